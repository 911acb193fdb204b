"""What a model reached on the test images of each task, kept so that it can be compared with another model's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ..data.images import ImageData
from ..metrics.attributes import best_thresholds, mean_average_precision, thresholded_scores
from ..metrics.bootstrap import resampled_maps, resampled_means, without_bias
from ..metrics.classification import classification_scores, in_top_k
from ..metrics.ranking import Ranking, rank
from ..models import MultitaskModel
from ..tasks import MultiLabel, Similarity
from ..tasks.labels import MISSING, known
from .predict import Predictions, predict_once
from .retrieval import query_and_gallery


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one model (one configuration, one seed) reached on the test images of one task: every metric; of those that
    are means the value of each image or query (N,); what is resampled (N,), items or, where they are not known, images;
    and (N, C) of many-label predictions, whose ``map`` is resampled."""

    metrics: dict[str, float]
    values: dict[str, np.ndarray]
    groups: np.ndarray
    probabilities: np.ndarray | None = None
    truth: np.ndarray | None = None

    @lru_cache(maxsize=512)  # noqa: B019 - several tables ask for them, of outcomes that live as long
    def resampled(self, repeats: int = 1000, seed: int = 0) -> dict[str, np.ndarray]:
        """Every metric that is a mean, and ``map``, in bootstrap resamples (R,): the same ones for the same groups."""
        found = {}
        if self.values:
            means = resampled_means(np.stack(list(self.values.values()), 1), self.groups, repeats, seed)
            found = dict(zip(self.values, means.T, strict=True))
        if self.probabilities is not None:
            maps = resampled_maps(self.probabilities, self.truth, self.groups, repeats, seed)
            found["map"] = without_bias(maps, self.metrics["map"])
        return found


def outcomes(
    predictions: Predictions, thresholds: Mapping[str, np.ndarray] | None = None, ks: Sequence[int] = (3, 5)
) -> dict[str, Outcome]:
    """What predictions reach, by name: of every single label accuracy, top3_accuracy, top5_accuracy, macro_f1; of every
    many-label task map, and micro_f1 and macro_f1 where it has ``thresholds`` (C,), chosen on validation images.
    Images whose label is missing do not count; a class that training never saw counts as an error."""
    found = {}
    if strange := set(thresholds or ()) - set(predictions.tasks):
        raise ValueError(f"thresholds are of {min(strange)!r}; there are {', '.join(predictions.tasks)}")
    for label, (predicted, target) in predictions.labels().items():
        probabilities, index, truth = known(predicted, target)
        values = {"accuracy": index == truth} | {f"top{k}_accuracy": in_top_k(probabilities, truth, k) for k in ks}
        macro_f1 = classification_scores(probabilities, index, truth)["macro_f1"]
        found[label] = _of_means(values, _groups(predictions)[target != MISSING], macro_f1=macro_f1)
    for name in [task.name for task in predictions.tasks.values() if isinstance(task, MultiLabel) and task.evaluated]:
        seen = (predictions.targets[name] >= 0).any(1)
        probabilities, truth = predictions.activations[name][seen], predictions.targets[name][seen]
        metrics = {"map": mean_average_precision(probabilities, truth)}
        if thresholds and name in thresholds:
            scores = thresholded_scores(probabilities, truth, thresholds[name])
            metrics |= {f1: scores[f1] for f1 in ("micro_f1", "macro_f1")}
        found[name] = Outcome(metrics, {}, _groups(predictions)[seen], probabilities, truth)
    return found


def exact_match(predictions: Predictions, labels: Sequence[str]) -> Outcome:
    """Of several labels together: exact_match, the share of images with all of them right among those that have all.
    Raises ``ValueError`` for a label that is not there, or of which an image may have several classes."""
    single = predictions.labels()
    if many := [name for name in labels if predictions.classes(name) and name not in single]:
        raise ValueError(f"an image may have several classes of {many[0]!r}; of one class are {', '.join(single)}")
    complete = np.all([single[name][1] != MISSING for name in labels], axis=0)
    right = np.all([predicted.index == target for predicted, target in map(single.get, labels)], axis=0)
    return _of_means({"exact_match": right[complete]}, _groups(predictions)[complete])


def ranking_outcome(ranking: Ranking) -> Outcome:
    """Of a retrieval: every metric of the ranking; queries of one item are resampled together."""
    return _of_means(ranking.values(), ranking.items)


def _groups(predictions: Predictions) -> np.ndarray:
    return predictions.rows if predictions.groups is None else predictions.groups


def _of_means(values: Mapping[str, np.ndarray], groups: np.ndarray, **others: float) -> Outcome:
    means = {name: float(each.mean()) if len(each) else float("nan") for name, each in values.items()}
    return Outcome(means | others, {name: each.astype(float) for name, each in values.items()}, groups)


def outcomes_of(model: MultitaskModel, data: Sequence[ImageData], run_dir: Path) -> dict[str, Outcome]:
    """What a finished run reaches on the test images of every task, each in the catalogue that has it. Predictions are
    kept in ``run_dir`` (see ``predict_once``); thresholds of many-label tasks come from validation images, if any."""
    result: dict[str, Outcome] = {}
    for part in data:
        tasks = [task for name, task in model.tasks.items() if name in part.catalogue.tasks and task.evaluated]
        similar = [task.name for task in tasks if isinstance(task, Similarity)]
        found = {name: ranking_outcome(_test_ranking(model, part, run_dir, name)) for name in similar}
        if len(tasks) > len(similar):
            many, thresholds = [task.name for task in tasks if isinstance(task, MultiLabel)], {}
            if many and (part.catalogue.table["split"] == "val").any():
                val = predict_once(model, part, "val", run_dir)
                known_there = [name for name in many if (val.targets[name] == 1).any()]
                thresholds = {n: best_thresholds(val.activations[n], val.targets[n]) for n in known_there}
            found |= outcomes(predict_once(model, part, "test", run_dir), thresholds)
        if twice := result.keys() & found.keys():
            raise ValueError(f"{', '.join(twice)}: in several catalogues; keep it in one with data.only(...)")
        result |= found
    return result


def _test_ranking(model: MultitaskModel, data: ImageData, run_dir: Path, task: str) -> Ranking:
    *sides, alone = query_and_gallery(data.catalogue, item=task)
    split, items = (data.catalogue.table[column].to_numpy() for column in ("split", task))
    embeddings = np.zeros((len(split), model.tasks[task].dimension), np.float32)
    for name in np.unique(split[np.concatenate(sides)]):  # "test", or "query" and "gallery"
        seen = predict_once(model, data, name, run_dir)
        embeddings[seen.rows] = seen.activations[task]
    return rank(*(embeddings[rows] for rows in sides), *(items[rows] for rows in sides), ks=(1, 10, 30), alone=alone)

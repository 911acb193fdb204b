"""What a model reached on the test images of each task, kept so that it can be compared with another model's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..metrics.attributes import best_thresholds, mean_average_precision, thresholded_scores
from .predict import Predictions, predict_once
from ..data.images import ImageData
from ..tasks.labels import MISSING
from ..metrics.classification import macro_f1
from ..models import MultitaskModel
from ..metrics.ranking import Ranking, rank
from .retrieval import query_and_gallery
from ..tasks import MultiLabel, Similarity

RANKING_METRICS = ("recall_at_1", "recall_at_10", "map_at_r", "mrr")


@dataclass(frozen=True)
class Outcome:
    """What one model (one configuration, one seed) reached on the test images of one task.

    Parameters
    ----------
    metrics: the value of every metric.
    values: of the metrics that are means, one value per image or query (N,).
    groups: (N,), what is resampled: items, whose images go together, or images where no items are known.
    probabilities, truth: (N, C) of many-label predictions, whose ``map`` is resampled.
    """

    metrics: dict[str, float]
    values: dict[str, np.ndarray]
    groups: np.ndarray
    probabilities: np.ndarray | None = None
    truth: np.ndarray | None = None


def sampling_units(table: pd.DataFrame) -> np.ndarray:
    """What a bootstrap resamples (N,): the images of an item together, for they are easy or hard together, and an image
    of no item alone."""
    if "item" not in table:
        return np.arange(len(table))
    units = pd.factorize(table["item"])[0]
    alone = units < 0
    units[alone] = len(table) + np.arange(alone.sum())
    return units


def label_outcome(predictions: Predictions, label: str, units: np.ndarray | None = None) -> Outcome:
    """Of a single label: accuracy, macro_f1, top3_accuracy, top5_accuracy, as ``accuracy_table`` counts them. ``units``
    are those of the catalogue's rows (see ``sampling_units``); without them images are resampled. Raises ``ValueError``
    for a label that was not predicted, or that no image has."""
    found = predictions.labels()
    if label not in found:
        raise ValueError(f"label {label!r} was not predicted; there are {', '.join(found) or 'none'}")
    predicted, target = found[label]
    labelled = target != MISSING
    if not labelled.any():
        raise ValueError(f"none of the {len(target):,} images has a label {label!r}; look at their split")
    probabilities, index, truth = predicted.probabilities[labelled], predicted.index[labelled], target[labelled]
    values = {"accuracy": (index == truth).astype(float)}
    for k in (3, 5):
        best = np.argpartition(-probabilities, min(k, probabilities.shape[1]) - 1, axis=1)[:, :k]
        values[f"top{k}_accuracy"] = (best == truth[:, None]).any(1).astype(float)
    metrics = {**_means(values), "macro_f1": macro_f1(index, truth)}
    return Outcome(metrics, values, _units(predictions.rows[labelled], units))


def attribute_outcome(
    predictions: Predictions,
    task: str = "attributes",
    thresholds: np.ndarray | None = None,
    units: np.ndarray | None = None,
) -> Outcome:
    """Of a many-label task: map, and with thresholds (C,), chosen on validation images, micro_f1 and macro_f1;
    ``units`` as in ``label_outcome``. Raises ``ValueError`` for a task that was not predicted, or that no image has a
    label of."""
    if task not in predictions.activations:
        raise ValueError(f"task {task!r} was not predicted; there are {', '.join(predictions.activations) or 'none'}")
    probabilities, truth = predictions.activations[task], predictions.targets[task]
    labelled = (truth >= 0).any(1)
    if not labelled.any():
        raise ValueError(f"none of the {len(truth):,} images has a label of {task!r}; look at their split")
    probabilities, truth = probabilities[labelled], truth[labelled]
    metrics = {"map": mean_average_precision(probabilities, truth)}
    if thresholds is not None:
        scores = thresholded_scores(probabilities, truth, thresholds)
        metrics |= {name: scores[name] for name in ("micro_f1", "macro_f1")}
    return Outcome(metrics, {}, _units(predictions.rows[labelled], units), probabilities, truth)


def ranking_outcome(ranking: Ranking) -> Outcome:
    """Of a retrieval: recall_at_1, recall_at_10 (where the ranking has them), map_at_r, mrr."""
    values = {name: each for name, each in ranking.values().items() if name in RANKING_METRICS}
    return Outcome(_means(values), values, ranking.items)


def outcomes_of(model: MultitaskModel, data: Sequence[ImageData], run_dir: Path) -> dict[str, Outcome]:
    """What a finished run reaches on the test images of every task, each in the catalogue that has it. Predictions are
    kept in ``run_dir`` (see ``predict_once``); thresholds of many-label tasks are chosen on validation images, and
    without any there are none. Images of one item are resampled together."""
    outcomes = {}
    for part in data:
        units = sampling_units(part.catalogue.table)
        tasks = [task for name, task in model.tasks.items() if name in part.catalogue.tasks and task.evaluated]
        labels = [task for task in tasks if not isinstance(task, Similarity)]
        seen = predict_once(model, part, "test", run_dir) if labels else None
        for task in tasks:
            if outcomes.keys() & {task.name, *task.labels}:
                raise ValueError(f"task {task.name!r} is in several catalogues; keep it in one with data.only(...)")
            if isinstance(task, Similarity):
                outcomes[task.name] = ranking_outcome(_test_ranking(model, part, run_dir, task.name))
            elif isinstance(task, MultiLabel):
                outcomes[task.name] = attribute_outcome(seen, task.name, _thresholds(model, part, run_dir, task), units)
            else:
                outcomes |= {label: label_outcome(seen, label, units) for label in task.labels}
    return outcomes


def _thresholds(model: MultitaskModel, data: ImageData, run_dir: Path, task: MultiLabel) -> np.ndarray | None:
    if not (data.catalogue.table["split"] == "val").any():
        return None
    chosen = predict_once(model, data, "val", run_dir)
    return best_thresholds(chosen.activations[task.name], chosen.targets[task.name])


def _units(rows: np.ndarray, units: np.ndarray | None) -> np.ndarray:
    return rows if units is None else units[rows]


def _test_ranking(model: MultitaskModel, data: ImageData, run_dir: Path, task: str) -> Ranking:
    sides = query_and_gallery(data.catalogue)
    split = data.catalogue.table["split"].to_numpy()
    embeddings = np.zeros((len(split), model.tasks[task].dimension), np.float32)
    for name in np.unique(split[np.concatenate(sides)]):  # "test", or "query" and "gallery"
        seen = predict_once(model, data, name, run_dir)
        embeddings[seen.rows] = seen.activations[task]
    items = data.catalogue.table["item"].to_numpy()
    return rank(*(embeddings[rows] for rows in sides), *(items[rows] for rows in sides))


def _means(values: dict[str, np.ndarray]) -> dict[str, float]:
    return {name: float(each.mean()) for name, each in values.items()}

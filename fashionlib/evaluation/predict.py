"""Prediction over a split, and metrics with confidence intervals."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from torch import Tensor

from ..machine.files import write_atomically
from ..data.images import ImageData
from .inference import infer
from ..tasks.labels import MISSING, Labels, known
from ..metrics.classification import classification_scores, top_k_accuracy
from ..models import MultitaskModel
from ..machine.processes import is_main_process
from ..tasks import Hierarchy, Task


@dataclass(frozen=True)
class Predictions:
    """What a model says of some rows of a catalogue, beside the truth.

    ``activations`` and ``targets`` hold an array for each task, in the order of ``rows``.
    """

    tasks: dict[str, Task]
    rows: np.ndarray
    activations: dict[str, np.ndarray]
    targets: dict[str, np.ndarray]

    def labels(self) -> dict[str, tuple[Labels, np.ndarray]]:
        """Every single label of the evaluated tasks: (predicted, true class numbers (N,))."""
        result = {}
        for name, task in self.tasks.items():
            if not task.evaluated or self.targets[name].ndim == 2 and not isinstance(task, Hierarchy):
                continue
            predicted = task.predict(self.activations[name])
            for column, label in enumerate(predicted):
                target = self.targets[name]
                result[label] = predicted[label], target[:, column] if target.ndim == 2 else target
        return result

    def classes(self, label: str) -> tuple[str, ...]:
        """The classes of a label of an evaluated task."""
        return next(task.labels[label] for task in self.tasks.values() if task.evaluated and label in task.labels)

    def metrics(self) -> dict[str, dict[str, float]]:
        """The metrics of every evaluated task, as the task defines them."""
        result = {}
        for name, task in self.tasks.items():
            if task.evaluated:
                result |= task.metrics(self.activations[name], self.targets[name])
        return result


def predict(
    model: MultitaskModel,
    data: ImageData,
    split: str | np.ndarray,
    batch_size: int = 256,
    mirror: bool = False,
    precision: str = "auto",
    tasks: tuple[str, ...] | None = None,
    shared: bool = False,
) -> Predictions:
    """Run a model over a split (or given rows), each image exactly once; ``mirror`` averages with the mirror image.

    Only tasks that the catalogue has are asked. ``tasks`` restricts them further; without it auxiliary ones are left
    out. ``shared`` divides the images among the processes of a distributed run, which must all call it.
    """
    rows = data.catalogue.rows(split) if isinstance(split, str) else np.asarray(split)
    there = _tasks_of(model, data)
    wanted = [t for t in there if (t.evaluated if tasks is None else t.name in tasks)]

    def activations(views: list[Tensor]) -> dict[str, Tensor]:
        outputs = [model(view) for view in views]
        return {task.name: task.average([task.activate(o[task.name]) for o in outputs]) for task in wanted}

    found = infer(model, data, rows, activations, batch_size, mirror, precision, shared=shared)
    targets = {task.name: task.encode(data.catalogue.table.iloc[rows]) for task in wanted}
    return Predictions({task.name: task for task in wanted}, rows, found, targets)


def predict_once(
    model: MultitaskModel, data: ImageData, split: str, run_dir: Path, mirror: bool = True, batch_size: int = 256
) -> Predictions:
    """``predict``, kept in ``run_dir`` beside the model of a finished run: the test is looked at once, and a notebook
    that is run again finds what it saw. Made anew if weights, data or split differ."""
    wanted = [task for task in _tasks_of(model, data) if task.evaluated]
    weights = hashlib.sha256()
    for tensor in model.state_dict().values():
        weights.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    key = f"{weights.hexdigest()} {data.fingerprint([c for t in wanted for c in t.columns])} {mirror}"
    fields = {task.name: f"task_{number}" for number, task in enumerate(wanted)}  # savez has arguments of its own
    path = run_dir / f"predictions_{data.catalogue.name}_{split}.npz"
    rows = data.catalogue.rows(split)
    if path.exists():
        with np.load(path) as kept:
            if str(kept["key"]) == key and set(fields.values()) <= set(kept):
                targets = {t.name: t.encode(data.catalogue.table.iloc[rows]) for t in wanted}
                found = {name: kept[field] for name, field in fields.items()}
                return Predictions({t.name: t for t in wanted}, rows, found, targets)
    made = predict(model, data, split, batch_size, mirror)
    if is_main_process():
        arrays = {field: made.activations[name] for name, field in fields.items()}
        write_atomically(path, lambda file: np.savez(file, key=np.array(key), **arrays))
    return made


def _tasks_of(model: MultitaskModel, data: ImageData) -> list[Task]:
    """The model's tasks that a catalogue has. Raises ``ValueError`` if it has none."""
    found = [task for task in model.tasks.values() if task.name in data.catalogue.tasks]
    if not found:
        known, there = ", ".join(model.tasks), ", ".join(data.catalogue.tasks)
        raise ValueError(f"the catalogue {data.catalogue.name!r} has none of the model's tasks {known}; it has {there}")
    return found


def accuracy_table(
    predictions: Predictions, bootstrap: int = 1000, seed: int = 0, ks: tuple[int, ...] = (3,)
) -> pd.DataFrame:
    """One row per label: n_test, n_classes, accuracy with its 95% bootstrap interval over images, macro_f1, and
    top3_accuracy (or that of other ``ks``). Images whose label is missing do not count; a class that training never
    saw counts as an error."""
    rows = []
    for name, (predicted, target) in predictions.labels().items():
        probabilities, index, truth = known(predicted, target)
        low, high = bootstrap_interval(index == truth, bootstrap, seed)
        scores = classification_scores(probabilities, index, truth)
        rows.append(
            {
                "task": name,
                "n_test": len(truth),
                "n_classes": len(predictions.classes(name)),
                "accuracy": scores["accuracy"],
                "ci_low": low,
                "ci_high": high,
                "macro_f1": scores["macro_f1"],
                **{f"top{k}_accuracy": top_k_accuracy(probabilities, truth, k) for k in ks},
            }
        )
    return pd.DataFrame(rows)


def paired_differences(first: Predictions, second: Predictions, bootstrap: int = 1000, seed: int = 0) -> pd.DataFrame:
    """One row per label that both predict: accuracy of the first minus the second on the same images, with its 95%
    interval from a paired bootstrap over images; NaN for a label that no image has. Raises ``ValueError`` if the
    images differ."""
    if not np.array_equal(first.rows, second.rows):
        raise ValueError("a paired comparison needs predictions of the same images in the same order")
    one, two = first.labels(), second.labels()
    rows = []
    for label in [name for name in one if name in two]:
        (_, index, truth), (_, other, _) = known(*one[label]), known(*two[label])
        if len(truth) == 0:
            rows.append({"task": label, "difference": np.nan, "ci_low": np.nan, "ci_high": np.nan})
            continue
        better = (index == truth).astype(int) - (other == truth)
        # resampling rows is drawing how often each difference (-1, 0, 1) occurs
        shares = [np.mean(better == value) for value in (-1, 0, 1)]
        draws = np.random.default_rng(seed).multinomial(len(better), shares, bootstrap) @ [-1, 0, 1] / len(better)
        low, high = np.percentile(draws, [2.5, 97.5])
        rows.append({"task": label, "difference": better.mean(), "ci_low": low, "ci_high": high})
    return pd.DataFrame(rows)


def exact_match(predictions: Predictions, labels: tuple[str, ...], bootstrap: int = 1000, seed: int = 0) -> dict:
    """Share of images with all of ``labels`` right, with its 95% interval, over images that have all of them."""
    found = predictions.labels()
    correct = np.stack([found[name][0].index == found[name][1] for name in labels], axis=1).all(1)
    complete = np.stack([found[name][1] != MISSING for name in labels], axis=1).all(1)
    low, high = bootstrap_interval(correct[complete], bootstrap, seed)
    return {
        "n_test": int(complete.sum()),
        "exact_match": float(correct[complete].mean()) if complete.any() else float("nan"),
        "ci_low": low,
        "ci_high": high,
    }


def impossible_rate(predictions: Predictions, levels: tuple[str, ...], train: pd.DataFrame) -> float:
    """Share of images whose predicted path through ``levels`` never occurs in the training table."""
    possible = set(train[list(levels)].dropna().itertuples(index=False, name=None))
    found = predictions.labels()
    names = [np.array(predictions.classes(level), dtype=object)[found[level][0].index] for level in levels]
    return float(np.mean([path not in possible for path in zip(*names, strict=True)]))


def per_class_table(predictions: Predictions, label: str) -> pd.DataFrame:
    """Precision, recall, F1 and test images of every class of a label."""
    from sklearn.metrics import precision_recall_fscore_support

    classes = predictions.classes(label)
    _, index, truth = known(*predictions.labels()[label])
    scores = precision_recall_fscore_support(truth, index, labels=range(len(classes)), zero_division=0)
    columns = dict(zip(("precision", "recall", "f1", "n_test"), scores, strict=True))
    return pd.DataFrame({"task": label, "class": classes, **columns})


def confusions(predictions: Predictions, label: str, top: int = 12) -> pd.DataFrame:
    """The most frequent mistakes of a label: true, predicted, images, and their share of the true class."""
    classes = np.array(predictions.classes(label), dtype=object)
    _, index, truth = known(*predictions.labels()[label])
    seen = truth >= 0
    pairs = pd.DataFrame({"true": classes[truth[seen]], "predicted": classes[index[seen]]})
    size = pairs["true"].value_counts()
    wrong = pairs[pairs["true"] != pairs["predicted"]].value_counts().head(top).reset_index(name="images")
    return wrong.assign(share_of_true=wrong["images"] / wrong["true"].map(size).astype(float))


def majority_table(
    data: ImageData, labels: tuple[str, ...], split: str = "test", ks: tuple[int, ...] = (3,)
) -> pd.DataFrame:
    """What always answering the most frequent training class reaches: the floor of every accuracy. NaN for a label that
    no image of the split has, or none of training."""
    table = data.catalogue.table
    train, test = table[table["split"] == "train"], table.iloc[data.catalogue.rows(split)]
    rows = []
    for label in labels:
        counts, truth = train[label].value_counts(), test[label].dropna()
        judged = truth if len(counts) else truth[:0]
        predicted = np.full(len(judged), counts.index[0] if len(counts) else None, dtype=object)
        low, high = bootstrap_interval((judged == predicted).to_numpy())
        rows.append(
            {
                "task": label,
                "n_test": len(truth),
                "n_classes": len(counts),
                "accuracy": float((judged == predicted).mean()),
                "ci_low": low,
                "ci_high": high,
                "macro_f1": _majority_f1(judged, predicted),
                **{f"top{k}_accuracy": float(judged.isin(counts.index[:k]).mean()) for k in ks},
            }
        )
    return pd.DataFrame(rows)


def bootstrap_interval(correct: np.ndarray, repeats: int = 1000, seed: int = 0) -> tuple[float, float]:
    """95% percentile interval of a mean of 0/1 values (N,), resampling images (Efron, 1979).

    Drawing n values with replacement from 0/1 values with k ones is a binomial draw, which is what is done here.
    """
    if len(correct) == 0:
        return float("nan"), float("nan")
    draws = np.random.default_rng(seed).binomial(len(correct), correct.mean(), repeats) / len(correct)
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)


def _majority_f1(truth: pd.Series, predicted: np.ndarray) -> float:
    from sklearn.metrics import f1_score

    if len(truth) == 0:
        return float("nan")
    return float(f1_score(truth.astype(str), predicted.astype(str), average="macro", zero_division=0))

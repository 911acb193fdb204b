"""Prediction over a split, beside the truth."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from torch import Tensor

from ..cells import as_text
from ..data.images import ImageData
from ..machine.files import write_atomically
from ..machine.processes import is_main_process, run_once
from ..models import MultitaskModel, weights_sha256
from ..tasks import Hierarchy, Task
from ..tasks.labels import Labels
from .inference import infer


@dataclass(frozen=True)
class Predictions:
    """What a model says of some rows of a catalogue, beside the truth: an array (N, ...) for each task. ``groups`` (N,)
    is what a bootstrap resamples (see ``sampling_units``), each row alone where it is None."""

    tasks: dict[str, Task]
    rows: np.ndarray
    activations: dict[str, np.ndarray]
    targets: dict[str, np.ndarray]
    groups: np.ndarray | None = None

    @classmethod
    def beside_truth(cls, tasks: dict[str, Task], data: ImageData, rows: np.ndarray, activations: dict) -> Self:
        """Some activations with the targets and groups of a catalogue's rows."""
        table = data.catalogue.table
        targets = {name: task.encode(table.iloc[rows]) for name, task in tasks.items()}
        return cls(tasks, rows, activations, targets, sampling_units(table)[rows])

    def labels(self) -> dict[str, tuple[Labels, np.ndarray]]:
        """Every single label of the evaluated tasks: (predicted, true class numbers (N,))."""
        result = {}
        for name, task in self.tasks.items():
            target = self.targets[name]
            if task.evaluated and (target.ndim == 1 or isinstance(task, Hierarchy)):
                for label, predicted in task.predict(self.activations[name]).items():
                    result[label] = predicted, target if target.ndim == 1 else target[:, task.columns.index(label)]
        return result

    def classes(self, label: str) -> tuple[str, ...]:
        """The classes of a label of an evaluated task. Raises ``ValueError`` if there is none of that name."""
        known = {name: of for task in self.tasks.values() if task.evaluated for name, of in task.labels.items()}
        if label not in known:
            raise ValueError(f"there is no label {label!r} in these predictions; there are {', '.join(known)}")
        return known[label]

    def metrics(self) -> dict[str, dict[str, float]]:
        """The metrics of every evaluated task, as the task defines them."""
        return joint_metrics(self)


def joint_metrics(*predictions: Predictions) -> dict[str, dict[str, float]]:
    """The metrics of every evaluated task, over one or several catalogues."""
    found = {}
    for name, task in {n: task for p in predictions for n, task in p.tasks.items() if task.evaluated}.items():
        parts = [(p.activations[name], p.targets[name]) for p in predictions if name in p.tasks]
        found |= task.metrics(*map(np.concatenate, zip(*parts, strict=True)))
    return found


def sampling_units(table: pd.DataFrame) -> np.ndarray:
    """What a bootstrap resamples (N,): images of an item, easy or hard together, and an image of no item alone."""
    items = pd.factorize(as_text(table["item"]))[0] if "item" in table else np.full(len(table), -1)
    return np.where(items < 0, len(table) + np.arange(len(table)), items)


def predict(
    model: MultitaskModel, data: ImageData, split: str | np.ndarray, mirror=False, tasks: Sequence[str] | None = None
) -> Predictions:
    """Run a model over a split (or given rows), each image exactly once; ``mirror`` averages with the mirror image.
    ``tasks`` are names of tasks that both have; None: all of these but auxiliary ones. Several processes divide the
    images among them: all must call it."""
    rows = data.catalogue.rows(split)
    both = _tasks_of(model, data)
    names = [t.name for t in both.values() if t.evaluated] if tasks is None else np.atleast_1d(tasks).tolist()
    if strange := [name for name in names if name not in both]:
        raise ValueError(f"model and catalogue have no task {strange[0]!r} in common; they have {', '.join(both)}")
    wanted = {name: both[name] for name in names}

    def activations(views: list[Tensor]) -> dict[str, Tensor]:
        outputs = [model(view) for view in views]
        return {name: task.average([task.activate(o[name]) for o in outputs]) for name, task in wanted.items()}

    return Predictions.beside_truth(wanted, data, rows, infer(model, data, rows, activations, mirror))


def predict_once(model: MultitaskModel, data: ImageData, split: str, run_dir: Path, mirror: bool = True) -> Predictions:
    """``predict``, mirrored, kept in a finished run's ``run_dir``; made anew where model, data or split differ."""
    wanted = {name: task for name, task in _tasks_of(model, data).items() if task.evaluated}
    columns = [column for task in wanted.values() for column in task.columns]
    key = f"{weights_sha256(model)} {model.input_size} {data.fingerprint(columns)} {list(wanted)} {mirror}"
    fields = {name: f"task_{number}" for number, name in enumerate(wanted)}  # savez has arguments of its own
    path = run_dir / f"predictions_{data.catalogue.name}_{split}.npz"

    def kept() -> dict[str, np.ndarray]:
        if not path.exists():
            return {}
        with np.load(path) as file:
            return {name: file[field] for name, field in fields.items()} if str(file["key"]) == key else {}

    if found := run_once(kept):
        return Predictions.beside_truth(wanted, data, data.catalogue.rows(split), found)
    made = predict(model, data, split, mirror)
    if is_main_process():
        arrays = {field: made.activations[name] for name, field in fields.items()}
        write_atomically(path, lambda file: np.savez(file, key=np.array(key), **arrays))
    return made


def _tasks_of(model: MultitaskModel, data: ImageData) -> dict[str, Task]:
    """The model's tasks that a catalogue has. Raises ``ValueError`` if it has none."""
    found = {name: task for name, task in model.tasks.items() if name in data.catalogue.tasks}
    if not found:
        asked, there = ", ".join(model.tasks), ", ".join(data.catalogue.tasks)
        raise ValueError(f"the catalogue {data.catalogue.name!r} has none of the model's tasks {asked}; it has {there}")
    return found

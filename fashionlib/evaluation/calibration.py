"""Calibration: temperatures, by which logits are divided, that make a model's probabilities as large as the share of
them that is right (Guo et al., 2017). The most probable class, or path, and so the accuracy, stays as it is."""

from collections.abc import Sequence

import numpy as np

from ..data.images import ImageData
from ..machine.processes import run_once
from ..models import LIMITS, MultitaskModel
from ..tasks import Task
from .predict import Predictions, predict

BLOCK = 4096  # rows at a time: hundreds of classes in double precision are large


def calibrate(model: MultitaskModel, data: ImageData | Sequence[ImageData], split: str = "val") -> dict[str, float]:
    """Fit the temperatures of a model on a split that it was not trained on, put them into ``model.temperatures``, and
    return them. Auxiliary tasks, and those of which no label is known, keep what they have. Of several processes all
    must call it. Raises ``CatalogueError`` if a catalogue has no image in the split."""
    seen = [predict(model, part, split) for part in ([data] if isinstance(data, ImageData) else data)]
    found = run_once(lambda: temperatures(*seen))
    model.temperatures = model.temperatures | found
    return found


def temperatures(*predictions: Predictions) -> dict[str, float]:
    """The temperature of every task with labels that are known, over one or several catalogues."""
    tasks = {name: task for part in predictions for name, task in part.tasks.items() if task.labels}
    parts = {n: [(p.activations[n], p.targets[n]) for p in predictions if n in p.tasks] for n in tasks}
    known = [name for name in tasks if any((target >= 0).any() for _, target in parts[name])]
    return {name: best_temperature(tasks[name], parts[name]) for name in known}


def best_temperature(task: Task, parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """The temperature between ``LIMITS`` with the least negative log-likelihood over parts of activations and targets.
    It is sought by its logarithm: for one softmax, and for independent classes, there is only one minimum."""
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        total, temperature = 0.0, float(np.exp(log_temperature))
        for activations, target in parts:
            for block in (slice(start, start + BLOCK) for start in range(0, len(target), BLOCK)):
                total += task.negative_log_likelihood(activations[block], target[block], temperature)
        return total

    return float(np.exp(minimize_scalar(loss, bounds=np.log(LIMITS), method="bounded", options={"xatol": 1e-4}).x))

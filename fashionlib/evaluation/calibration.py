"""Calibration: temperatures that make a model's probabilities as large as the share of them that is right.

A network trained to certainty says 99% where it is right nine times in ten. Guo et al. (2017) divide its logits by one
number, the temperature, chosen on validation images: the order of the classes, and so the accuracy, stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .predict import Predictions, predict
from ..data.images import ImageData
from ..models import MultitaskModel
from ..machine.processes import run_once
from ..tasks import Task

LIMITS = (0.05, 20.0)  # where everything is right the best temperature would be zero
BLOCK = 4096  # rows at a time: hundreds of classes in double precision are large


def calibrate(
    model: MultitaskModel,
    data: ImageData | Sequence[ImageData],
    split: str = "val",
    batch_size: int = 256,
    precision: str = "auto",
    shared: bool = False,
) -> dict[str, float]:
    """Fit the temperatures of a model on a split that it was not trained on, put them into ``model.temperatures``, and
    return them. ``fit`` does so by itself; for a model that was trained before, ``save_temperatures`` keeps them.

    The images are not mirrored, as the ``Tagger`` does not mirror them. Auxiliary tasks, and those of which no label is
    known, keep what they have. ``shared`` is for the processes of a distributed run, which must all call it.

    Raises ``ValueError`` if there is no image in the split.
    """
    parts = [data] if isinstance(data, ImageData) else list(data)
    empty = [part.catalogue.name for part in parts if not (part.catalogue.table["split"] == split).any()]
    if empty or not parts:
        raise ValueError(f"calibrate: no image in split {split!r} of {', '.join(empty) or 'no catalogue'}")
    seen = [predict(model, part, split, batch_size, precision=precision, shared=shared) for part in parts]
    found = run_once(lambda: temperatures(*seen)) if shared else temperatures(*seen)
    model.temperatures = model.temperatures | found
    return found


def temperatures(*predictions: Predictions) -> dict[str, float]:
    """The temperature of every task with labels that are known, over one or several catalogues."""
    tasks = {name: task for part in predictions for name, task in part.tasks.items() if task.labels}
    found = {}
    for name, task in tasks.items():
        parts = [(p.activations[name], p.targets[name]) for p in predictions if name in p.tasks]
        if any((target >= 0).any() for _, target in parts):
            found[name] = best_temperature(task, parts)
    return found


def best_temperature(task: Task, parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """The temperature between ``LIMITS`` with the least negative log-likelihood over parts of activations and targets.

    It is sought by its logarithm: for one softmax, and for independent classes, there is only one minimum.
    """
    from scipy.optimize import minimize_scalar

    blocks = [
        (activations[start : start + BLOCK], target[start : start + BLOCK])
        for activations, target in parts
        for start in range(0, len(target), BLOCK)
    ]

    def loss(log_temperature: float) -> float:
        return sum(task.negative_log_likelihood(*block, float(np.exp(log_temperature))) for block in blocks)

    least = minimize_scalar(loss, bounds=np.log(LIMITS), method="bounded", options={"xatol": 1e-4})
    return float(np.exp(least.x))

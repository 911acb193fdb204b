"""How a model is trained."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

CHOICES = {
    "optimizer": ("sgd", "adamw"),
    "schedule": ("onecycle", "cosine"),
    "sampler": ("shuffle", "balanced", "items", "mixed"),
    "precision": ("auto", "bf16", "fp32"),
    "layout": ("auto", "contiguous", "channels_last"),
}
LEAST = {"epochs": 1, "batch_size": 1, "per_item": 1}  # of whole numbers; others begin at 0
POSITIVE = ("learning_rate", "small_scale", "item_share", "checkpoint_minutes")
SHARES = ("label_smoothing", "ema_decay", "flip", "erase", "small_scale", "item_share")


@dataclass(frozen=True)
class Settings:
    """Everything that decides a training run besides the model and the data. Raises ``ValueError`` for a value of the
    wrong kind or out of range."""

    epochs: int = 12
    """Passes over the training split (of the only stage, where no stages are given)."""
    batch_size: int = 128
    """Images a step."""
    optimizer: str = "sgd"
    """``"sgd"`` (Nesterov momentum 0.9) or ``"adamw"``."""
    learning_rate: float = 0.2
    """Peak of the schedule; about 0.2 for SGD from scratch at batch 128, 0.001 for AdamW."""
    backbone_rate: float = 1.0
    """The backbone's learning rate relative to the heads'; 0 freezes it, batch-norm statistics included."""
    schedule: str = "onecycle"
    """``"onecycle"`` (rise over a quarter, cosine fall; Smith and Topin, 2019) or ``"cosine"`` (fall only)."""
    weight_decay: float = 5e-4
    """On weight matrices and kernels; norms and biases have none."""
    label_smoothing: float = 0.05
    """Share of the target spread evenly over all classes of a label."""
    loss_weights: str | Mapping[str, float] = field(default_factory=dict)
    """Weight of each task's loss (1 where not given), or ``"uncertainty"``: learned (Kendall, Gal, Cipolla, 2018)."""
    ema_decay: float = 0.999
    """Per-step decay of the averaged weights that are evaluated and saved; 0 switches the average off."""
    shift: int = 4
    """Random white-padded shift, in pixels."""
    flip: float = 0.5
    """Probability of a mirror image."""
    erase: float = 0.25
    """Probability of erasing a random rectangle."""
    sampler: str = "shuffle"
    """``"shuffle"``, ``"balanced"`` (every class of the first single label equally often), ``"items"`` (``per_item``
    images of each item in a batch) or ``"mixed"`` (part of each batch shuffled, part by items)."""
    per_item: int = 4
    """Images of one item in a batch, for the samplers ``"items"`` and ``"mixed"``."""
    item_share: float = 0.5
    """Share of each batch that the sampler ``"mixed"`` draws by items; an epoch is one pass of the other images."""
    small_epochs: int = 0
    """First epochs that see smaller images, which cost less (progressive resizing; Howard et al., 2018)."""
    small_scale: float = 0.6
    """Side of those smaller images, relative to the full ones."""
    mirror_test: bool = False
    """Average predictions over an image and its mirror image when validating after each epoch."""
    patience: int = 0
    """Stop after that many epochs without a better validation score; 0 never stops early."""
    precision: str = "auto"
    """``"bf16"``, ``"fp32"``, or ``"auto"``: whichever is faster, by a short measurement when the run begins."""
    layout: str = "auto"
    """``"contiguous"``, ``"channels_last"``, or ``"auto"``, likewise."""
    seed: int = 0
    """Of weights' order, shuffling, augmentation and dropout."""
    workers: int = 0
    """Processes that load batches; none are needed for cached pixels on a CPU."""
    checkpoint_minutes: float = 10.0
    """A checkpoint is written after each epoch, and within one after so many minutes."""

    def __post_init__(self):
        _check("settings", self)
        if self.loss_weights != "uncertainty" and not isinstance(self.loss_weights, Mapping):
            raise ValueError(f"settings: loss_weights is a mapping or 'uncertainty', not {self.loss_weights!r}")
        for task, weight in {} if isinstance(self.loss_weights, str) else self.loss_weights.items():
            _check_number(f"settings: loss_weights[{task!r}]", weight, "float")
        if self.small_epochs > self.epochs:
            raise ValueError(f"settings: small_epochs must be at most epochs ({self.epochs}), not {self.small_epochs}")


@dataclass(frozen=True)
class Stage:
    """One part of a staged training: which tasks count, for how long, and which parts of the network learn.

    Parameters
    ----------
    name: of the stage, in logs and tables.
    tasks: names of the tasks whose losses count; None means all.
    epochs: passes over the training split.
    train: ``"all"``, ``"heads"`` (the backbone is frozen, batch-norm statistics included), or the name of one head.
    learning_rate: peak of this stage's schedule; None takes the settings'.
    sampler: of this stage's batches; None takes the settings'.
    freeze_norms: the batch norms of backbone and heads keep and use the statistics they have, also where these learn.
    """

    name: str
    tasks: tuple[str, ...] | None = None
    epochs: int = 1
    train: str = "all"
    learning_rate: float | None = None
    sampler: str | None = None
    freeze_norms: bool = False

    def __post_init__(self):
        if isinstance(self.tasks, str):
            raise ValueError(f"stage {self.name!r}: tasks is a tuple of names, not the text {self.tasks!r}")
        _check(f"stage {self.name!r}", self)


def _check(what: str, values: Settings | Stage) -> None:
    """Raises ``ValueError`` that names the first field of a wrong kind or out of range."""
    for name, kind in ((f.name, f.type.removesuffix(" | None")) for f in fields(values)):
        value = getattr(values, name)
        if value is None and isinstance(values, Stage):
            continue
        if name in CHOICES and value not in CHOICES[name]:
            raise ValueError(f"{what}: {name} {value!r} is not one of {', '.join(CHOICES[name])}")
        if kind == "bool" and not isinstance(value, bool):
            raise ValueError(f"{what}: {name} is True or False, not {value!r}")
        if kind in ("int", "float"):
            _check_number(f"{what}: {name}", value, kind, LEAST.get(name, 0), name in POSITIVE, name in SHARES)


def _check_number(what: str, value, kind: str, least: int = 0, positive: bool = False, share: bool = False) -> None:
    number = isinstance(value, int if kind == "int" else int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value):
        raise ValueError(f"{what} is a {'whole' if kind == 'int' else 'finite'} number, not {value!r}")
    if value < least or (positive and value == 0) or (share and value > 1):
        rule = f"{'above' if positive else 'at least'} {least}{' and at most 1' if share else ''}"
        raise ValueError(f"{what} must be {rule}, not {value}")

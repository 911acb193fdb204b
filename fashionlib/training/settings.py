"""How a model is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

SAMPLERS = ("shuffle", "balanced", "items", "mixed")


@dataclass(frozen=True)
class Settings:
    """Everything that decides a training run besides the model and the data. Raises ``ValueError`` for values that
    contradict each other."""

    epochs: int = 12
    """Passes over the training split (of the only stage, where no stages are given)."""
    batch_size: int = 128
    """Images a step."""
    optimizer: str = "sgd"
    """``"sgd"`` (Nesterov momentum 0.9) or ``"adamw"``."""
    learning_rate: float = 0.2
    """Peak of the schedule; about 0.2 for SGD from scratch at batch 128, 0.001 for AdamW."""
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
    """``"bf16"``, ``"fp32"``, or ``"auto"``: bf16 where the hardware multiplies in it."""
    seed: int = 0
    """Of weights' order, shuffling, augmentation and dropout."""
    workers: int = 0
    """Processes that load batches; none are needed for cached pixels on a CPU."""

    def __post_init__(self):
        _one_of("optimizer", self.optimizer, ("sgd", "adamw"))
        _one_of("schedule", self.schedule, ("onecycle", "cosine"))
        _one_of("sampler", self.sampler, SAMPLERS)
        _one_of("precision", self.precision, ("auto", "bf16", "fp32"))
        for name in ("epochs", "batch_size", "learning_rate"):
            if getattr(self, name) <= 0:
                raise ValueError(f"settings: {name} must be positive, not {getattr(self, name)}")
        for name in ("shift", "patience", "workers", "weight_decay", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"settings: {name} must not be negative, but is {getattr(self, name)}")
        for name in ("label_smoothing", "ema_decay", "flip", "erase"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"settings: {name} must be between 0 and 1, not {getattr(self, name)}")
        if isinstance(self.loss_weights, str) and self.loss_weights != "uncertainty":
            raise ValueError(f"settings: loss_weights is a mapping or 'uncertainty', not {self.loss_weights!r}")
        if not 0 <= self.small_epochs <= self.epochs:
            raise ValueError(f"settings: small_epochs must be between 0 and epochs, not {self.small_epochs}")
        if not 0 < self.item_share < 1:
            raise ValueError(f"settings: item_share must be between 0 and 1, not {self.item_share}")
        if not 0 < self.small_scale <= 1:
            raise ValueError(f"settings: small_scale must be above 0 and at most 1, not {self.small_scale}")

    def to_dict(self) -> dict:
        """All values, as plain ones."""
        return asdict(self)

    def changed(self) -> dict:
        """The values that are not the defaults; a run is known by these, so that a new setting does not void it."""
        default = asdict(Settings())
        return {name: value for name, value in asdict(self).items() if value != default[name]}


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
        if self.epochs <= 0:
            raise ValueError(f"stage {self.name!r}: epochs must be positive, not {self.epochs}")
        if self.sampler not in (None, *SAMPLERS):
            raise ValueError(f"stage {self.name!r}: sampler {self.sampler!r} is not one of {', '.join(SAMPLERS)}")

    def to_dict(self) -> dict:
        """Plain values; what came to this class later is left out where it is at its default, so that earlier runs are
        found again."""
        values = asdict(self)
        return {n: v for n, v in values.items() if n not in ("sampler", "freeze_norms") or v}


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"settings: {name} {value!r} is not one of {', '.join(allowed)}")

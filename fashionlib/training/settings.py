"""How a model is trained."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from ..tasks.base import CHECKED

Whole = Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
LossWeight = Literal["uncertainty", "dwa", "pcgrad"]
Sampler = Literal["shuffle", "balanced", "items", "mixed"]


@dataclass(frozen=True, config=CHECKED)
class Settings:
    """Everything that decides a training run besides the model and the data. Raises ``ValueError`` that
    names each field of a wrong kind or out of range, with its value."""

    epochs: Count = 12
    """Passes over the training split (of the only stage, where no stages are given)."""
    batch_size: Count = 128
    """Images a step."""
    optimizer: Literal["sgd", "adamw"] = "adamw"
    """``"adamw"`` or ``"sgd"`` (Nesterov momentum 0.9)."""
    learning_rate: Positive = 0.001
    """Peak of the schedule; about 0.2 for SGD from scratch at batch 128, with a weight decay of 5e-4."""
    backbone_rate: Annotated[float, Field(ge=0)] = 1.0
    """The backbone's learning rate relative to the heads'; 0 freezes it, batch-norm statistics included."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.02
    """On weight matrices and kernels; norms, biases and position embeddings have none."""
    label_smoothing: Share = 0.05
    """Share of the target spread evenly over all classes of a label; a MultiLabel has none."""
    loss_weights: LossWeight | dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    """Weight of each task's loss (1 where not given), or how they are found (see ``LossWeights``)."""
    ema_decay: Share = 0.999
    """Largest decay per step of the averaged weights that are evaluated and saved (see ``weight_average``); 0: none."""
    shift: Whole = 4
    """Random white-padded shift, in pixels."""
    flip: Share = 0.5
    """Probability of a mirror image."""
    erase: Share = 0.25
    """Probability of erasing a random rectangle."""
    grounds: Share = 0.0
    """Probability that a product is cut out of its white background and laid on a synthetic one (see ``grounds``)."""
    sampler: Sampler = "shuffle"
    """``"shuffle"``, ``"balanced"`` (classes of the first single label equally often), ``"items"`` (``per_item`` images
    of each item in a batch) or ``"mixed"`` (part of each batch shuffled, part by items)."""
    per_item: Count = 4
    """Images of one item in a batch, for the samplers ``"items"`` and ``"mixed"``."""
    item_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of each batch that the sampler ``"mixed"`` draws by items."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """``"bf16"``, ``"fp32"``, or ``"auto"``: whichever is faster, by a short measurement when the run begins."""
    layout: Literal["auto", "contiguous", "channels_last"] = "auto"
    """``"contiguous"``, ``"channels_last"``, or ``"auto"``, likewise."""
    seed: Whole = 0
    """Of shuffling, augmentation and dropout; the first weights are those of ``torch.manual_seed``."""
    workers: Whole = 0
    """Processes that load batches; none are needed for cached pixels on a CPU."""
    checkpoint_minutes: Positive = 5.0
    """A checkpoint is written when so much time has passed, within an epoch too."""


@dataclass(frozen=True, config=CHECKED)
class Stage:
    """One part of a staged training: the ``tasks`` whose losses count (None: all), for how many ``epochs``, which parts
    of the network ``train`` - ``"all"``, ``"heads"`` (the backbone is frozen, batch-norm statistics included), or the
    name of one head - and, where they are not the settings', the peak ``learning_rate`` and the ``sampler``."""

    name: str
    tasks: Annotated[Annotated[tuple[str, ...], Field(min_length=1)] | None, Field(strict=False)] = None
    epochs: Count = 1
    train: str = "all"
    learning_rate: Positive | None = None
    sampler: Sampler | None = None

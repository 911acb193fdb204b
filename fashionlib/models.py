"""MultitaskModel: one torchvision backbone, one pooled feature, one head a task."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from .machine.files import read_checkpoint
from .tasks import Similarity, Task, task_from_dict

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class MultitaskModel(nn.Module):
    """Single-task, joint and final models are this class with different task lists.

    Parameters
    ----------
    backbone: name of a torchvision ResNet (``"resnet18"``, ``"resnet50"``, ...).
    tasks: with their classes learned; each gets a head on the pooled feature.
    weights: ``None`` (random), ``"imagenet"`` (torchvision's, downloaded once), or the path of a ``.pth`` file: a
        ``model.pth`` of this library, or a state dict of the torchvision backbone.
    size: (width, height) of the images, in pixels.
    dropout: on the pooled feature, or after every layer of the trunk.
    trunk: widths of fully connected layers (batch norm, ReLU, dropout) that the label heads share on top of the pooled
        feature, such as ``(1024, 512)``. An embedding is projected from the pooled feature itself.

    ``temperatures`` are those that calibrate a task's probabilities (see ``calibration``), by its name; a task without
    one is not calibrated. They are saved with the model, and applied by the ``Tagger`` alone.

    Images go in as uint8 (B, H, W, 3) and are normalised inside, so that whoever holds a model cannot prepare them
    wrongly. Raises ``ValueError`` for an unknown backbone, for ``weights`` that are no checkpoint or do not fit, and
    for two tasks that predict the same label, unless one of them is auxiliary (not ``evaluated``).
    """

    def __init__(
        self,
        backbone: str,
        tasks: Sequence[Task],
        weights: str | Path | None = None,
        size: tuple[int, int] = (60, 80),
        dropout: float = 0.0,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        trunk: Sequence[int] = (),
    ):
        super().__init__()
        if not tasks:
            raise ValueError("a model needs at least one task")
        for task in tasks:
            if not task.name.isidentifier() or task.name in ("all", "heads"):
                raise ValueError(f"task name {task.name!r}: use letters, digits and _, and neither 'all' nor 'heads'")
        _check_labels(tasks)
        self.tasks = {task.name: task for task in tasks}
        self.temperatures: dict[str, float] = {}
        self.config = {
            "backbone": backbone,
            "size": tuple(size),
            "dropout": dropout,
            "mean": tuple(mean),
            "std": tuple(std),
            **({"trunk": tuple(trunk)} if trunk else {}),
        }
        self.body = _backbone(backbone, weights)
        features = self.body.fc.in_features
        self.feature_dimension = features
        self.body.fc = nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.trunk = _trunk(features, trunk, dropout)
        shared = trunk[-1] if trunk else features
        self.heads = nn.ModuleDict(
            {module_key(t.name): t.head(features if isinstance(t, Similarity) else shared) for t in self.tasks.values()}
        )
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1) * 255, persistent=False)
        if weights not in (None, "imagenet"):
            self._load_backbone(Path(weights))

    @property
    def size(self) -> tuple[int, int]:
        return self.config["size"]

    def features(self, images: Tensor) -> Tensor:
        """uint8 (B, H, W, 3) -> pooled features (B, F)."""
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[-1] != 3:
            raise ValueError(f"images must be uint8 (B, H, W, 3), not {images.dtype} {tuple(images.shape)}")
        x = (images.permute(0, 3, 1, 2) - self.mean) / self.std  # a channels-last view of the same memory
        return self.body(x if _channels_last(self.body.conv1.weight) else x.contiguous())

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """uint8 (B, H, W, 3) -> the raw output of every head, by task name."""
        return self.answers(self.features(images))

    def answers(self, features: Tensor) -> dict[str, Tensor]:
        """Pooled features (B, F) -> the raw output of every head, by task name."""
        if len(self.trunk):
            shared = self.trunk(features)
        else:
            shared = features = self.dropout(features)
        return {
            t.name: self.head(t.name)(features if isinstance(t, Similarity) else shared) for t in self.tasks.values()
        }

    def head(self, task: str) -> nn.Module:
        """The head of a task. Raises ``KeyError`` for a task that the model does not have."""
        return self.heads[module_key(task)]

    def losses(
        self, outputs: dict[str, Tensor], targets: dict[str, Tensor], tasks: Iterable[str], smoothing: float = 0.0
    ) -> dict[str, Tensor]:
        """The loss of each of ``tasks`` on a batch."""
        return {t: self.tasks[t].loss(outputs[t], targets[t], smoothing, self.head(t)) for t in tasks}

    def description(self) -> dict:
        """Plain values from which ``model_from_description`` builds the same model, without its weights."""
        return {**self.config, "tasks": [task.to_dict() for task in self.tasks.values()]}

    def _load_backbone(self, path: Path) -> None:
        state = _read_state(path)
        if any(key.startswith("body.") for key in state):
            state = {key.removeprefix("body."): value for key, value in state.items() if key.startswith("body.")}
        state = {key: value for key, value in state.items() if not key.startswith("fc.")}
        try:
            self.body.load_state_dict(state)
        except RuntimeError as error:
            message = str(error).splitlines()[1:2] or [str(error)]
            raise ValueError(
                f"weights: {path} does not fit the backbone {self.config['backbone']}: {message[0].strip()[:200]}"
            ) from None


@cache
def module_key(task: str, container: type[nn.Module] = nn.ModuleDict) -> str:
    """What a task's head is called in ``MultitaskModel.heads`` and in a state dict: as the task, or ``type-`` where the
    container has an attribute of its name ("type", "half", "keys"), for PyTorch would refuse that."""
    return f"{task}-" if hasattr(container(), task) else task  # no task has a hyphen in its name


def _check_labels(tasks: Iterable[Task]) -> None:
    owner = {}
    for task in tasks:
        for label in task.labels if task.evaluated else ():
            if label in owner:
                both = f"the tasks {owner[label]!r} and {task.name!r}"
                raise ValueError(f"{both} predict the same label, {label!r}; leave one of them out")
            owner[label] = task.name


def _trunk(features: int, widths: Sequence[int], dropout: float) -> nn.Sequential:
    layers = []
    for before, width in zip((features, *widths), widths, strict=False):
        # the batch norm's shift makes a bias of the layer's own superfluous
        layers += [nn.Linear(before, width, bias=False), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers)


def model_from_description(description: dict) -> MultitaskModel:
    """The inverse of ``MultitaskModel.description``; weights are random."""
    config = dict(description)
    tasks = [task_from_dict(values) for values in config.pop("tasks")]
    return MultitaskModel(tasks=tasks, **config)


def count_parameters(model: nn.Module) -> int:
    """Weights of a module, frozen ones too."""
    return sum(p.numel() for p in model.parameters())


def _backbone(name: str, weights) -> nn.Module:
    from torchvision import models

    if not name.startswith(("resnet", "resnext", "wide_resnet")) or name not in models.list_models():
        known = ", ".join(m for m in models.list_models(models) if m.startswith("resnet"))
        raise ValueError(f"backbone {name!r} is not a torchvision ResNet; there are {known}")
    if weights == "imagenet":
        return models.get_model(name, weights=models.get_model_weights(name).DEFAULT)
    # the last batch norm of each block starts at zero, so that a block starts as the identity (Goyal et al., 2017)
    return models.get_model(name, weights=None, zero_init_residual=True)


def _channels_last(weight: Tensor) -> bool:
    return weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()


def _read_state(path: Path) -> dict[str, Tensor]:
    content = read_checkpoint(path, "weights")
    state = content.get("weights", content.get("state_dict", content))
    if not isinstance(state, dict) or not any(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()):
        raise ValueError(f"weights: {path} holds no weights")
    return {key: value for key, value in state.items() if isinstance(key, str)}

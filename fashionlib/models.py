"""MultitaskModel: one backbone, one pooled feature, one head a task."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .backbones import make_backbone
from .machine.hardware import Arithmetic, candidates, fastest
from .tasks import Similarity, Task, task_from_dict

DROPOUT = 0.3  # of the trunk
MAX_SIDE = 4096  # pixels
LIMITS = (0.05, 20.0)  # of temperatures: where everything is right the best would be zero
MEASURED: dict[str, Arithmetic] = {}  # what is fastest, by network, device and threads


class MultitaskModel(nn.Module):
    """Single-task, joint and final models are this class with different task lists.

    Parameters
    ----------
    backbone: any name that timm knows (``"resnet18"``, ``"tf_efficientnet_lite0"``, ...).
    tasks: with their classes learned; each gets a head on the pooled feature.
    weights: ``None`` (random), ``"pretrained"``, or the path of a ``.pth`` or ``.safetensors`` file (see
        ``backbones.make_backbone``).
    size: (width, height) of the images that it is given, in pixels.
    input_size: (width, height) that the backbone works at; images are resized inside the model. None: as they come.
    drop_path: rate of stochastic depth.
    trunk: widths of fully connected layers (batch norm, ReLU, dropout) that the label heads share on top of the pooled
        feature, such as ``(1024, 512)``. An embedding is projected from the pooled feature itself.

    ``temperatures`` calibrate a task's probabilities (see ``calibration``), by its name; the ``Tagger`` alone applies
    them. ``arithmetic`` is the precision and layout that it computes in, None until it is chosen (see ``settle``).

    Images go in as uint8 (B, H, W, 3) and are resized and normalised inside, so that nobody can prepare them wrongly.
    Raises ``ValueError`` for an unknown backbone, ``weights`` that do not fit, two evaluated tasks of one label."""

    def __init__(
        self,
        backbone: str,
        tasks: Sequence[Task],
        weights: str | Path | None = None,
        size: tuple[int, int] = (60, 80),
        input_size: tuple[int, int] | None = None,
        drop_path: float = 0.0,
        trunk: Sequence[int] = (),
    ):
        super().__init__()
        if not tasks or not all(isinstance(task, Task) for task in tasks) or len({t.name for t in tasks}) < len(tasks):
            raise ValueError(f"a model needs tasks of different names, as catalogue.select() gives, not {tasks!r:.200}")
        for task in tasks:
            if not task.name.isidentifier() or task.name in ("all", "heads"):
                raise ValueError(f"task name {task.name!r}: use letters, digits and _, and neither 'all' nor 'heads'")
        if empty := [label for task in tasks for label, classes in task.labels.items() if not classes]:
            raise ValueError(f"{empty[0]!r} has no classes; take tasks from catalogue.select(), which learned theirs")
        owner: dict[str, str] = {}
        for name, label in [(task.name, label) for task in tasks if task.evaluated for label in task.labels]:
            if (other := owner.setdefault(label, name)) != name:
                raise ValueError(f"{other!r} and {name!r} predict the same label, {label!r}; leave one task out")
        for pair in (size, input_size or size):
            if np.shape(pair) != (2,) or not all(isinstance(side, int) and 0 < side <= MAX_SIDE for side in pair):
                raise ValueError(f"a size is (width, height) in whole pixels up to {MAX_SIDE}, not {pair!r}")
        if not 0 <= drop_path < 1 or np.ndim(trunk) != 1 or not all(isinstance(w, int) and w > 0 for w in trunk):
            raise ValueError(f"drop_path is a rate below 1, trunk a list of widths; not {drop_path!r} and {trunk!r}")
        self.tasks = {task.name: task for task in tasks}
        self.temperatures: dict[str, float] = {}
        self.arithmetic: Arithmetic | None = None
        self.size, self.input_size = tuple(size), tuple(input_size or size)
        self.config = {"backbone": backbone, "size": self.size, "input_size": self.input_size}
        self.config |= {"drop_path": drop_path, "trunk": tuple(trunk)}
        self.body = make_backbone(backbone, weights, self.input_size, drop_path)
        self.feature_dimension = features = self.body.head_hidden_size
        layers = []  # a batch norm's shift makes a bias of the layer before it superfluous
        for before, width in zip((features, *trunk), trunk, strict=False):
            layers += [nn.Linear(before, width, bias=False), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(DROPOUT)]
        self.trunk = nn.Sequential(*layers)
        shared = trunk[-1] if trunk else features
        heads = {module_key(t.name): t.head(features if isinstance(t, Similarity) else shared) for t in tasks}
        self.heads = nn.ModuleDict(heads)
        for name in ("mean", "std"):  # that the backbone expects, of pixels from 0 to 1, by channel
            expected = torch.tensor(self.body.default_cfg[name]).view(1, 3, 1, 1) * 255
            self.register_buffer(name, expected, persistent=False)

    def features(self, images: Tensor) -> Tensor:
        """uint8 (B, H, W, 3) -> pooled features (B, F)."""
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[-1] != 3:
            raise ValueError(f"images must be uint8 (B, H, W, 3), not {images.dtype} {tuple(images.shape)}")
        arithmetic = self.arithmetic or Arithmetic()
        x = (images.permute(0, 3, 1, 2) - self.mean) / self.std  # channels-last, a view of the same memory
        x = x.contiguous(memory_format=arithmetic.memory_format)
        if (size := self.input_size[::-1]) != x.shape[2:]:
            x = F.interpolate(x, size, mode="bilinear", antialias=size[0] < x.shape[2] or size[1] < x.shape[3])
        with arithmetic.autocast(images.device):
            return self.body(x)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """uint8 (B, H, W, 3) -> the raw output of every head, by task name."""
        return self.answers(self.features(images))

    def answers(self, features: Tensor) -> dict[str, Tensor]:
        """Pooled features (B, F) -> the raw output of every head, by task name."""
        with (self.arithmetic or Arithmetic()).autocast(features.device):
            shared = self.trunk(features)
            return {
                t.name: self.head(t.name)(features if isinstance(t, Similarity) else shared)
                for t in self.tasks.values()
            }

    def head(self, task: str) -> nn.Module:
        """The head of a task. Raises ``KeyError`` for a task that the model does not have."""
        return self.heads[module_key(task)]

    def losses(
        self, outputs: dict[str, Tensor], targets: dict[str, Tensor], tasks: Iterable[str], smoothing: float = 0.0
    ) -> dict[str, Tensor]:
        """The loss of each of ``tasks`` on a batch."""
        return {t: self.tasks[t].loss(outputs[t], targets[t], smoothing, self.head(t)) for t in tasks}

    def compute_in(self, arithmetic: Arithmetic) -> Self:
        """Compute in a precision and layout from now on."""
        self.arithmetic = arithmetic
        return self.to(memory_format=arithmetic.memory_format)

    def settle(self) -> None:
        """Choose the arithmetic in which it predicts fastest, unless it has one: measured once for each kind of network
        in a process, on a batch of black images, in evaluation mode."""
        if self.arithmetic is not None:
            return
        device = self.mean.device
        kind = json.dumps([self.config, str(device), torch.get_num_threads()])
        if kind not in MEASURED:
            black = torch.zeros((16, self.size[1], self.size[0], 3), dtype=torch.uint8, device=device)
            with torch.no_grad():
                MEASURED[kind], _ = fastest(lambda a: self.compute_in(a).eval()(black), candidates(device))
        self.compute_in(MEASURED[kind])

    def description(self) -> dict:
        """Plain values from which ``model_from_description`` builds the same model, without its weights."""
        return {**self.config, "tasks": [task.to_dict() for task in self.tasks.values()]}


@cache
def module_key(task: str, container: type[nn.Module] = nn.ModuleDict) -> str:
    """What a task's head is called in a state dict: as the task, or ``type-`` where the container has an attribute of
    its name ("type", "half", "keys"), for PyTorch would refuse that."""
    return f"{task}-" if hasattr(container(), task) else task  # no task has a hyphen in its name


def model_from_description(description: dict) -> MultitaskModel:
    """The inverse of ``MultitaskModel.description``; weights are random, and nothing is downloaded or read.

    Raises ``ValueError`` for a description that names anything but what makes a model."""
    known = {"backbone", "size", "input_size", "drop_path", "trunk", "tasks"}
    if not isinstance(description, dict) or set(description) != known:
        raise ValueError(f"a model is described by {', '.join(sorted(known))}, not by {description!r:.200}")
    lists = {name: tuple(description[name]) for name in ("size", "input_size", "trunk")}
    return MultitaskModel(**description | lists | {"tasks": [task_from_dict(task) for task in description["tasks"]]})


def weights_sha256(model: nn.Module) -> str:
    """Of a network's parameters and statistics, in hexadecimal digits."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def count_parameters(model: nn.Module) -> int:
    """Weights of a module, frozen ones too."""
    return sum(p.numel() for p in model.parameters())

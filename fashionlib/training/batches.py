"""Batches: targets, order and loading. No work is done per image in Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..data.images import ImageData
from ..tasks.labels import MISSING
from .samplers import BalancedOrder, ItemOrder, MixedOrder, Order, SharedOrder
from ..machine.processes import process_count
from .settings import Settings, Stage
from ..tasks import Similarity, SingleLabel, Task


@dataclass
class Batch:
    """images (B, H, W, 3) uint8; targets by task name; rows (B,), their row numbers in the catalogue."""

    images: Tensor
    targets: dict[str, Tensor]
    rows: Tensor

    def to(self, device: torch.device) -> Batch:
        """A copy on a device."""

        def move(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=True)

        return Batch(move(self.images), {name: move(t) for name, t in self.targets.items()}, move(self.rows))

    def pin_memory(self) -> Batch:
        """A copy in page-locked memory, which goes to a GPU faster; the DataLoader calls it."""
        targets = {name: t.pin_memory() for name, t in self.targets.items()}
        return Batch(self.images.pin_memory(), targets, self.rows.pin_memory())


class Batches(Dataset):
    """Whole batches by their rows: ``batches[rows] -> Batch``.

    The rows of several catalogues are counted on, one catalogue after the other. An image has a target for each task
    that its own catalogue has, and counts as unlabelled for the others.
    """

    def __init__(self, data: ImageData | Sequence[ImageData], tasks: Sequence[Task]):
        self.parts = [data] if isinstance(data, ImageData) else list(data)
        self.starts = np.cumsum([0, *(len(part.catalogue) for part in self.parts)])
        self.tasks = list(tasks)
        self.targets = {task.name: self._encode(task) for task in tasks}

    def _encode(self, task: Task) -> np.ndarray:
        having = [k for k, part in enumerate(self.parts) if task.name in part.catalogue.tasks]
        found = {k: task.encode(self.parts[k].catalogue.table) for k in having}
        like = found[having[0]]
        encoded = np.full((len(self), *like.shape[1:]), MISSING, like.dtype)
        for k, part in found.items():
            encoded[self.starts[k] : self.starts[k + 1]] = part
        return encoded

    def rows(self, split: str, tasks: Sequence[str]) -> np.ndarray:
        """Rows of a split in the catalogues that have any of ``tasks``."""
        found = [
            part.catalogue.rows(split) + start
            for part, start in zip(self.parts, self.starts, strict=False)
            if not part.catalogue.tasks.keys().isdisjoint(tasks)
        ]
        return np.concatenate(found)

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, rows: np.ndarray) -> Batch:
        targets = {name: torch.from_numpy(t[rows]) for name, t in self.targets.items()}
        return Batch(self._fetch(rows), targets, torch.from_numpy(rows))

    def _fetch(self, rows: np.ndarray) -> Tensor:
        if len(self.parts) == 1:
            return self.parts[0].fetch(rows)
        owner = np.searchsorted(self.starts, rows, side="right") - 1
        width, height = self.parts[0].size
        images = torch.empty(len(rows), height, width, 3, dtype=torch.uint8)
        for number, part in enumerate(self.parts):
            mine = owner == number
            images[torch.from_numpy(mine)] = part.fetch(rows[mine] - self.starts[number])
        return images


def training_order(batches: Batches, settings: Settings, stage: Stage | None = None) -> Order:
    """The order that the stage or the settings ask for, over the catalogues that have a task of the stage.

    Raises ``ValueError`` if no task of the stage has the labels that the order needs, if none of its training images
    has any label of a task, or if a batch cannot be divided among the processes.
    """
    order = _order(batches, settings, stage)
    order.check_shares(process_count())
    return order


def _order(batches: Batches, settings: Settings, stage: Stage | None) -> Order:
    sampler = stage.sampler if stage and stage.sampler else settings.sampler
    tasks = [task for task in batches.tasks if not stage or not stage.tasks or task.name in stage.tasks]
    rows = batches.rows("train", [task.name for task in tasks])
    for task in tasks:
        if not (batches.targets[task.name][rows] >= 0).any():
            where = f"stage {stage.name!r}: " if stage else ""
            raise ValueError(f"{where}no training image has a label of task {task.name!r}; leave the task out")
    size, seed = settings.batch_size, settings.seed
    if sampler == "shuffle":
        return Order(rows, size, seed)
    wanted = SingleLabel if sampler == "balanced" else Similarity
    names = [task.name for task in tasks if isinstance(task, wanted) and task.evaluated]
    if not names:
        who = f"stage {stage.name!r}" if stage else "the model"
        raise ValueError(f"settings: sampler {sampler!r} needs a {wanted.__name__} task; {who} has none")
    labels = batches.targets[names[0]]
    if sampler == "balanced":
        return BalancedOrder(rows, labels[rows], size, seed)
    if sampler == "items":
        return ItemOrder(rows, labels[rows], size, settings.per_item, seed)
    others = [task.name for task in tasks if not isinstance(task, Similarity)]
    if not others:
        raise ValueError("settings: sampler 'mixed' needs a task of labels beside the items; take the sampler 'items'")
    if settings.per_item < 2:
        raise ValueError(f"settings: per_item must be at least 2, not {settings.per_item}")
    by_items = round(size * settings.item_share / settings.per_item) * settings.per_item
    if not 0 < by_items < size:
        raise ValueError(f"settings: item_share {settings.item_share} of a batch of {size} leaves one part empty")
    item_order = ItemOrder(rows, labels[rows], by_items, settings.per_item, seed)
    return MixedOrder(Order(batches.rows("train", others), size - by_items, seed), item_order)


def loader(batches: Batches, order: Order | SharedOrder, workers: int = 0, pin: bool = False) -> DataLoader:
    """A DataLoader of whole batches; ``workers`` = 0 suits cached pixels on a CPU."""
    return DataLoader(batches, sampler=order, batch_size=None, num_workers=workers, pin_memory=pin)

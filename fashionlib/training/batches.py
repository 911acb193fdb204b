"""Batches: targets, order and loading. No work is done per image in Python."""

import warnings
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..data.images import ImageData
from ..machine.processes import process_count
from ..tasks import Similarity, SingleLabel, Task
from ..tasks.labels import MISSING
from .samplers import BalancedOrder, ItemOrder, MixedOrder, Order, share
from .settings import Settings, Stage


class Batch(NamedTuple):
    """images (B, H, W, 3) uint8; targets by task name."""

    images: Tensor
    targets: dict[str, Tensor]


class Batches(Dataset):
    """Whole batches by their rows: ``batches[rows] -> Batch``. The rows of several catalogues are counted on; an image
    counts as unlabelled for the tasks that its own catalogue does not have."""

    def __init__(self, data: Sequence[ImageData], tasks: Iterable[Task]):
        self.parts = list(data)
        self.starts = np.cumsum([0, *(len(part.catalogue) for part in self.parts)])
        self.tasks = list(tasks)
        self.targets = {task.name: self._encode(task) for task in self.tasks}

    def _encode(self, task: Task) -> np.ndarray:
        having = [part for part in self.parts if task.name in part.catalogue.tasks]
        found = [task.encode(part.catalogue.table) for part in having]
        encoded = np.full((len(self), *found[0].shape[1:]), MISSING, found[0].dtype)
        for part, targets in zip(having, found, strict=True):
            start = self.starts[self.parts.index(part)]
            encoded[start : start + len(targets)] = targets
        return encoded

    def rows(self, split: str, tasks: Iterable[Task]) -> np.ndarray:
        """Rows of a split in the catalogues that have any of ``tasks``."""
        names, parts = {task.name for task in tasks}, zip(self.parts, self.starts, strict=False)
        return np.concatenate([p.catalogue.rows(split) + k for p, k in parts if p.catalogue.tasks.keys() & names])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, rows: np.ndarray) -> Batch:
        return Batch(self._fetch(rows), {name: torch.from_numpy(t[rows]) for name, t in self.targets.items()})

    def _fetch(self, rows: np.ndarray) -> Tensor:
        if len(self.parts) == 1:
            return self.parts[0].fetch(rows)
        owner = np.searchsorted(self.starts, rows, side="right") - 1
        images = torch.empty(len(rows), *self.parts[0].size[::-1], 3, dtype=torch.uint8)
        for number, part in enumerate(self.parts):
            mine = owner == number
            images[torch.from_numpy(mine)] = part.fetch(rows[mine] - self.starts[number])
        return images


def training_order(batches: Batches, settings: Settings, stage: Stage = Stage("train")) -> Order:  # noqa: B008
    """The order that the stage or the settings ask for, over the catalogues that have a task of the stage; with the
    sampler ``"mixed"`` of the model, so that stages in which other losses count see the same images. Raises
    ``ValueError`` if the stage lacks the labels that the order needs, no training image has a label of a task, or a
    batch cannot be divided among the processes."""
    sampler = stage.sampler or settings.sampler
    tasks = [task for task in batches.tasks if not stage.tasks or task.name in stage.tasks or sampler == "mixed"]
    order = _order(batches, batches.rows("train", tasks), tasks, sampler, settings)
    for task in tasks:
        known = batches.targets[task.name][order.rows]
        known, what = known[known >= 0], f"stage {stage.name!r}: no training image that sampler {sampler!r} draws has "
        if not known.size:
            raise ValueError(f"{what}a label of task {task.name!r}; leave it out, or take another sampler")
        needs_pairs = isinstance(task, Similarity) and task.loss_function != "proxy-anchor"
        if needs_pairs and len(known) == len(np.unique(known)):
            raise ValueError(f"{what}another of its item; leave task {task.name!r} out, which has nothing to learn")
        if needs_pairs and sampler in ("shuffle", "balanced"):
            counts, n = np.unique(known, return_counts=True)[1].astype(float), len(order.rows)
            if order.batch_size**2 / 2 * (counts * (counts - 1)).sum() / n**2 < 1:  # pairs in a shuffled batch
                text = f"most batches of sampler {sampler!r} have no two images of one item, and task {task.name!r}"
                warnings.warn(f"{text} learns nothing from them; take the sampler 'mixed' or 'items'", stacklevel=3)
    parts = (order.labels, order.items) if isinstance(order, MixedOrder) else (order,)
    for part in parts if process_count() > 1 else ():
        share(next(part.batches(0)), order.together, 0, process_count())
    return order


def _order(batches: Batches, rows: np.ndarray, tasks: list[Task], sampler: str, settings: Settings) -> Order:
    size, seed, per_item = settings.batch_size, settings.seed, settings.per_item
    if sampler == "shuffle":
        return Order(rows, size, seed)
    wanted = SingleLabel if sampler == "balanced" else Similarity
    names = [task.name for task in tasks if isinstance(task, wanted) and task.evaluated]
    if not names:
        there = ", ".join(task.name for task in tasks)
        raise ValueError(f"settings: sampler {sampler!r} needs a {wanted.__name__} task; take 'shuffle' for {there}")
    labels = batches.targets[names[0]][rows]
    if sampler == "balanced":
        return BalancedOrder(rows, labels, size, seed)
    if sampler == "items":
        return ItemOrder(rows, labels, size, per_item, seed)
    others = [task for task in tasks if not isinstance(task, Similarity)]
    if not others:
        raise ValueError("settings: sampler 'mixed' needs a task of labels beside the items; take the sampler 'items'")
    by_items = round(size * settings.item_share / per_item) * per_item
    if not 0 < by_items < size:
        raise ValueError(f"settings: item_share {settings.item_share} of a batch of {size} leaves one part empty")
    by_label = Order(batches.rows("train", others), size - by_items, seed)
    return MixedOrder(by_label, ItemOrder(rows, labels, by_items, per_item, seed))

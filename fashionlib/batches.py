"""Batches: targets, order and loading. No work is done per image in Python."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler

from .images import ImageData
from .settings import Settings
from .tasks import Similarity, SingleLabel, Task


@dataclass
class Batch:
    """images (B, H, W, 3) uint8; targets by task name; rows (B,), their row numbers in the catalogue."""

    images: Tensor
    targets: dict[str, Tensor]
    rows: Tensor

    def to(self, device: torch.device) -> Batch:
        def move(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=True)

        return Batch(move(self.images), {name: move(t) for name, t in self.targets.items()}, move(self.rows))

    def pin_memory(self) -> Batch:
        targets = {name: t.pin_memory() for name, t in self.targets.items()}
        return Batch(self.images.pin_memory(), targets, self.rows.pin_memory())


class Batches(Dataset):
    """Whole batches by their rows: ``batches[rows] -> Batch``."""

    def __init__(self, data: ImageData, tasks: Sequence[Task]):
        self.data, self.tasks = data, list(tasks)
        self.targets = {task.name: task.encode(data.catalogue.table) for task in tasks}

    def __getitem__(self, rows: np.ndarray) -> Batch:
        targets = {name: torch.from_numpy(t[rows]) for name, t in self.targets.items()}
        return Batch(self.data.fetch(rows), targets, torch.from_numpy(rows))


class Order:
    """The batches of one epoch as row numbers.

    With a seed the rows are shuffled, by (seed, epoch) alone, and an incomplete last batch is left out unless it is
    the only one (batch norm needs more than a few images); without, every row comes once, in order.
    """

    def __init__(self, rows: np.ndarray, batch_size: int, seed: int | None = None, epoch: int = 0):
        self.rows, self.batch_size, self.seed, self.epoch = rows, batch_size, seed, epoch

    def __len__(self) -> int:
        full = len(self.rows) // self.batch_size
        return max(full, 1) if self.seed is not None else -(-len(self.rows) // self.batch_size)

    def __iter__(self) -> Iterator[np.ndarray]:
        rows = self.rows if self.seed is None else self.draw(np.random.default_rng([self.seed, self.epoch]))
        for k in range(len(self)):
            yield rows[k * self.batch_size : (k + 1) * self.batch_size]

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """The rows of an epoch, one batch after the other."""
        return rng.permutation(self.rows)


class BalancedOrder(Order):
    """Each class of a label comes equally often: rows are drawn with replacement, by the inverse of how many have their
    class. Rows whose label is missing are not drawn."""

    def __init__(self, rows: np.ndarray, classes: np.ndarray, batch_size: int, seed: int):
        super().__init__(rows[classes >= 0], batch_size, seed)
        classes = classes[classes >= 0]
        self.weights = 1 / np.bincount(classes)[classes]

    def draw(self, rng):
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        drawn = WeightedRandomSampler(self.weights, len(self.rows), replacement=True, generator=generator)
        return self.rows[np.fromiter(drawn, np.int64, len(self.rows))]


class ItemOrder(Order):
    """``per_item`` images of each of ``batch_size / per_item`` items in every batch (m-per-class sampling), so that a
    loss on pairs finds some. Rows of unknown items, and items with a single image, do not take part.

    Raises ``ValueError`` if the batch cannot be divided so, or if there are too few items to fill it.
    """

    def __init__(self, rows: np.ndarray, items: np.ndarray, batch_size: int, per_item: int, seed: int):
        if per_item < 2 or batch_size % per_item:
            raise ValueError(f"per_item {per_item} must be at least 2 and divide the batch of {batch_size} images")
        counts = np.bincount(items[items >= 0], minlength=1)
        paired = (items >= 0) & (counts[np.maximum(items, 0)] > 1)
        super().__init__(rows[paired], batch_size, seed)
        self.items, self.per_item = items[paired], per_item
        if (found := len(np.unique(self.items))) < batch_size // per_item:
            raise ValueError(
                f"a batch of {batch_size} images, {per_item} an item, needs {batch_size // per_item} items with two or "
                f"more training images; there are {found}. Make the batch smaller or per_item larger"
            )

    def draw(self, rng):
        from pytorch_metric_learning.samplers import MPerClassSampler
        from pytorch_metric_learning.utils import common_functions

        sampler = MPerClassSampler(self.items, self.per_item, self.batch_size, len(self) * self.batch_size)
        before = common_functions.NUMPY_RANDOM
        common_functions.NUMPY_RANDOM = np.random.RandomState(rng.integers(2**31))  # its only source of chance
        try:
            return self.rows[np.fromiter(sampler, np.int64)]
        finally:
            common_functions.NUMPY_RANDOM = before


def training_order(batches: Batches, settings: Settings) -> Order:
    """The order that ``settings.sampler`` asks for. Raises ``ValueError`` if no task has the labels it needs."""
    rows = batches.data.catalogue.rows("train")
    if settings.sampler == "shuffle":
        return Order(rows, settings.batch_size, settings.seed)
    wanted = SingleLabel if settings.sampler == "balanced" else Similarity
    names = [task.name for task in batches.tasks if isinstance(task, wanted) and task.evaluated]
    if not names:
        raise ValueError(f"settings: sampler {settings.sampler!r} needs a {wanted.__name__} task; the model has none")
    labels = batches.targets[names[0]][rows]
    if settings.sampler == "balanced":
        return BalancedOrder(rows, labels, settings.batch_size, settings.seed)
    return ItemOrder(rows, labels, settings.batch_size, settings.per_item, settings.seed)


def loader(batches: Batches, order: Order, workers: int = 0, pin: bool = False) -> DataLoader:
    """A DataLoader of whole batches; ``workers`` = 0 suits cached pixels on a CPU."""
    return DataLoader(batches, sampler=order, batch_size=None, num_workers=workers, pin_memory=pin)

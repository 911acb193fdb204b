"""The order of training images: shuffled, balanced, by items, or mixed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import numpy as np
import torch
from torch.utils.data import Sampler, WeightedRandomSampler

from ..tasks.similarity import metric_learning


class Order:
    """The batches of one epoch as row numbers.

    With a seed the rows are shuffled, by (seed, epoch) alone, and an incomplete last batch is left out unless it is
    the only one (batch norm needs more than a few images); without, every row comes once, in order. ``repeats`` says
    that a row may come several times in an epoch.
    """

    repeats = False

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

    def share(self, batch: np.ndarray, process: int, processes: int) -> np.ndarray:
        """What one of several processes takes of a batch."""
        return batch[process::processes]

    def check_shares(self, processes: int, together: int = 1) -> None:
        """Raises ``ValueError`` unless a batch, of which ``together`` images each stay together, can be divided."""
        if self.batch_size % (processes * together):
            raise ValueError(
                f"{self.batch_size} images of a batch, {together} of them always together, cannot be divided among "
                f"{processes} processes; take a multiple of {processes * together} (batch_size, or item_share of it)"
            )


class BalancedOrder(Order):
    """Each class of a label comes equally often: rows are drawn with replacement, by the inverse of how many have their
    class. Rows whose label is missing are not drawn."""

    repeats = True

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

    repeats = True

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
        common_functions = metric_learning("utils.common_functions")
        samplers = metric_learning("samplers")
        images = len(self) * self.batch_size
        sampler = samplers.MPerClassSampler(self.items, self.per_item, self.batch_size, images)
        before = common_functions.NUMPY_RANDOM
        common_functions.NUMPY_RANDOM = np.random.RandomState(rng.integers(2**31))  # its only source of chance
        try:
            return self.rows[np.fromiter(sampler, np.int64)]
        finally:
            common_functions.NUMPY_RANDOM = before

    def share(self, batch, process, processes):
        """Whole items, so that every process finds pairs."""
        return batch.reshape(-1, self.per_item)[process::processes].ravel()

    def check_shares(self, processes, together=1):
        super().check_shares(processes, self.per_item)


class MixedOrder(Order):
    """Each batch joins one of ``labels``, shuffled images, and one of ``items``, several images of each item. An epoch
    is one pass of the first; the second is gone through again, in another order, as often as it takes."""

    repeats = True

    def __init__(self, labels: Order, items: ItemOrder):
        rows = np.union1d(labels.rows, items.rows)
        super().__init__(rows, labels.batch_size + items.batch_size, labels.seed)
        self.labels, self.items = labels, items

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[np.ndarray]:
        self.labels.epoch = self.epoch
        items = self._items()
        for batch in self.labels:
            yield np.concatenate([batch, next(items)])

    def _items(self) -> Iterator[np.ndarray]:
        for number in count(self.epoch * 1_000):
            self.items.epoch = number
            yield from self.items

    def share(self, batch, process, processes):
        cut = len(batch) - self.items.batch_size
        parts = (self.labels, batch[:cut]), (self.items, batch[cut:])
        return np.concatenate([order.share(part, process, processes) for order, part in parts])

    def check_shares(self, processes, together=1):
        for order in (self.labels, self.items):
            order.check_shares(processes)


class SharedOrder(Sampler):
    """What one process of several sees of an order: every batch is divided among them."""

    def __init__(self, order: Order, process: int, processes: int):
        self.order, self.process, self.processes = order, process, processes

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[np.ndarray]:
        for batch in self.order:
            yield self.order.share(batch, self.process, self.processes)

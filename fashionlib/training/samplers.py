"""The order of training images: shuffled, balanced, by items, or mixed."""

from collections.abc import Iterator
from itertools import chain, count, islice

import numpy as np


class Order:
    """The batches of one epoch as row numbers: shuffled, by (seed, epoch) alone. An incomplete last batch is left out
    unless it is the only one. ``together`` consecutive rows stay so when several processes divide a batch."""

    together = 1

    def __init__(self, rows: np.ndarray, batch_size: int, seed: int):
        self.rows, self.batch_size, self.seed = rows, batch_size, seed

    def __len__(self) -> int:
        return max(len(self.rows) // self.batch_size, 1)

    def batches(self, epoch: int, start: int = 0) -> Iterator[np.ndarray]:
        """The batches of an epoch from number ``start`` on."""
        rows = self.draw(np.random.default_rng([self.seed, epoch]))
        for k in range(start, len(self)):
            yield rows[k * self.batch_size : (k + 1) * self.batch_size]

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """The rows of an epoch, one batch after the other."""
        return rng.permutation(self.rows)


class BalancedOrder(Order):
    """Each class of a label comes equally often: rows are drawn with replacement, those without a label never."""

    def __init__(self, rows: np.ndarray, classes: np.ndarray, batch_size: int, seed: int):
        super().__init__(rows[classes >= 0], batch_size, seed)
        weights = 1 / np.bincount(classes[classes >= 0])[classes[classes >= 0]]
        self.shares = weights / weights.sum()

    def draw(self, rng):
        return rng.choice(self.rows, len(self.rows), p=self.shares)


class ItemOrder(Order):
    """``per_item`` images of each of ``batch_size / per_item`` items in every batch (m-per-class sampling); of an item
    with fewer some come twice. Rows of unknown items, and items with a single image, do not take part.

    Raises ``ValueError`` if the batch cannot be divided so, or if there are too few items to fill it."""

    def __init__(self, rows: np.ndarray, items: np.ndarray, batch_size: int, per_item: int, seed: int):
        if per_item < 2 or batch_size % per_item or per_item == batch_size:
            raise ValueError(f"per_item {per_item} must be over 1, a proper divisor of {batch_size}, the part by items")
        paired = (items >= 0) & (np.bincount(items[items >= 0], minlength=1)[np.maximum(items, 0)] > 1)
        super().__init__(rows[paired], batch_size, seed)
        self.together = per_item
        by_item = np.argsort(items[paired], kind="stable")
        starts = np.unique(items[paired][by_item], return_index=True)[1]
        self.images_of = np.split(self.rows[by_item], starts[1:]) if len(starts) else []
        if len(self.images_of) < batch_size // per_item:
            what = f"a batch of {batch_size} images, {per_item} an item, needs {batch_size // per_item} items with two"
            there = f"{len(self.images_of)}. A smaller batch or larger per_item; or no such task and sampler 'shuffle'"
            raise ValueError(f"{what} or more training images; there are {there}")

    def draw(self, rng):
        drawn = []
        for _ in range(len(self)):
            for item in rng.choice(len(self.images_of), self.batch_size // self.together, replace=False):
                drawn.append(np.resize(rng.permutation(self.images_of[item]), self.together))
        return np.concatenate(drawn)


class MixedOrder(Order):
    """Each batch joins one of ``labels``, shuffled images, and one of ``items``, several images of each item. An epoch
    shows as many images as there are in all; either side is gone through again where it is too short for that."""

    def __init__(self, labels: Order, items: ItemOrder):
        super().__init__(np.union1d(labels.rows, items.rows), labels.batch_size + items.batch_size, labels.seed)
        self.labels, self.items, self.together = labels, items, items.together

    def batches(self, epoch, start=0):
        passes = [map(side.batches, count(epoch * 1_000)) for side in (self.labels, self.items)]
        yield from map(np.concatenate, islice(zip(*map(chain.from_iterable, passes), strict=False), start, len(self)))


def share(batch: np.ndarray, together: int, process: int, processes: int) -> np.ndarray:
    """Positions in a batch of one of several processes: whole runs of ``together``. ``ValueError`` for a remainder."""
    if len(batch) % (processes * together):
        what = f"{len(batch)} images of a batch, {together} of them together, cannot be divided among {processes}"
        raise ValueError(f"{what} processes; take a multiple of {processes * together} (batch_size, or item_share)")
    return np.arange(len(batch)).reshape(-1, together)[process::processes].ravel()

"""Batches: targets, order and loading. No work is done per image in Python."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from .images import ImageData
from .tasks import Task


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
        self.data = data
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
        rows = self.rows
        if self.seed is not None:
            rows = np.random.default_rng([self.seed, self.epoch]).permutation(rows)
        for k in range(len(self)):
            yield rows[k * self.batch_size : (k + 1) * self.batch_size]


def loader(batches: Batches, order: Order, workers: int = 0, pin: bool = False) -> DataLoader:
    """A DataLoader of whole batches; ``workers`` = 0 suits cached pixels on a CPU."""
    return DataLoader(batches, sampler=order, batch_size=None, num_workers=workers, pin_memory=pin)

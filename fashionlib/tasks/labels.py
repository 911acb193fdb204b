"""Labels as numbers, and sums over them.

Encoded targets are integers. Two values stand for "no class": ``MISSING`` (-1), the label is not known and is masked
in loss and metrics, and ``UNSEEN`` (-2), the label is known but training never saw it: it is masked in the loss and
counts as an error in the metrics, because no prediction can be right."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

MISSING, UNSEEN = -1, -2


@dataclass(frozen=True)
class Labels:
    """The predictions for one label: ``probabilities`` (N, C) and the chosen class ``index`` (N,)."""

    probabilities: np.ndarray
    index: np.ndarray


def found_classes(column: pd.Series) -> tuple[str, ...]:
    """The distinct values of a column, sorted, without missing ones."""
    return tuple(sorted(column.dropna().unique().tolist()))


def encode_labels(column: pd.Series, classes: Iterable[str]) -> np.ndarray:
    """Class numbers (N,) of a column of strings, ``MISSING`` for missing, ``UNSEEN`` for a class not in the list."""
    numbers = column.map({c: i for i, c in enumerate(classes)})
    return np.where(column.isna(), MISSING, numbers.fillna(UNSEEN)).astype(np.int64)


def known(predicted: Labels, target: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rows that have a label: (probabilities, predicted class, true class)."""
    rows = target != MISSING
    return predicted.probabilities[rows], predicted.index[rows], target[rows]


def log_sum_by(log_values: Tensor, column: Tensor, n: int) -> Tensor:
    """log of the sums of exp(log_values) (B, P) over the columns that share a number in ``column`` (P,): (B, n)."""
    top = log_values.detach().amax(1, keepdim=True)
    sums = torch.zeros(len(log_values), n, device=log_values.device, dtype=log_values.dtype)
    sums = sums.index_add(1, column, (log_values - top).exp())
    return sums.clamp(min=torch.finfo(sums.dtype).tiny).log() + top

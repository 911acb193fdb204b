"""One class per image."""

from dataclasses import replace

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from ..metrics.classification import classification_scores
from .base import CHECKED, Classes, Task, log_probabilities
from .labels import encode_labels, found_classes, known


@dataclass(frozen=True, config=CHECKED)
class SingleLabel(Task):
    """One class per image; trained with cross-entropy. Classes that are given stay as they are, empty ones too; else
    they are those of the training table. ``balance`` weighs classes in the loss by (their share)^-balance: 0 not at
    all, 1 so that all count the same however rare; the weights are learned with the classes."""

    classes: Classes = ()
    evaluated: bool = True
    balance: float = 0.0
    class_weights: tuple[float, ...] = ()

    def __post_init__(self):
        if len(set(self.classes)) < len(self.classes):
            raise ValueError(f"task {self.name!r}: a class comes twice (blanks around a name do not count)")

    def learn(self, train):
        task = replace(self, classes=self.classes or found_classes(train[self.name]))
        if not self.balance:
            return task
        counts = train[self.name].value_counts().reindex(task.classes, fill_value=0)
        return replace(task, class_weights=balanced_weights(counts.to_numpy(), self.balance))

    def encode(self, table: pd.DataFrame) -> np.ndarray:
        """Class numbers (N,), int64, with ``MISSING`` and ``UNSEEN``."""
        return encode_labels(table[self.name], self.classes)

    def head(self, features: int) -> nn.Module:
        """One logit a class."""
        return nn.Linear(features, len(self.classes))

    def loss(self, output: Tensor, target: Tensor, smoothing: float = 0.0, head: nn.Module | None = None) -> Tensor:
        """Mean cross-entropy over the labelled rows of output (B, C) and target (B,), weighted by class if the task
        has weights; zero if no row is labelled."""
        known = target >= 0
        if not known.any():
            return output.sum() * 0.0
        weights = output.new_tensor(self.class_weights, dtype=torch.float32) if self.class_weights else None
        return F.cross_entropy(output[known].float(), target[known], weights, label_smoothing=smoothing)

    def activate(self, output: Tensor) -> Tensor:
        """Class probabilities (B, C)."""
        return output.float().softmax(1)

    def negative_log_likelihood(self, activations, target, temperature=1.0):
        """softmax(log p / T) is softmax(logits / T): of Guo et al. (2017), without the logits."""
        known = target >= 0
        logits = log_probabilities(activations[known]) / temperature
        return float(F.cross_entropy(logits, torch.from_numpy(target[known]), reduction="sum"))

    def metrics(self, activations: np.ndarray, target: np.ndarray) -> dict[str, dict[str, float]]:
        """Accuracy, macro-F1 and top-3 accuracy of each label, over the rows whose label is known."""
        predicted = self.predict(activations)
        return {name: classification_scores(*known(predicted[name], target)) for name in predicted}


def balanced_weights(counts: np.ndarray, balance: float) -> tuple[float, ...]:
    """Weights (C,) proportional to counts^-balance with a mean of 1 over images; a class without images has 1."""
    counts = np.asarray(counts, float)
    weights = np.where(counts > 0, np.maximum(counts, 1), np.nan) ** -balance
    weights *= counts.sum() / np.nansum(weights * counts)
    return tuple(np.nan_to_num(weights, nan=1.0).round(6).tolist())

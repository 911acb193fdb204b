"""A taxonomy: one class at every level."""

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from pydantic.dataclasses import dataclass
from torch import nn

from ..metrics.classification import classification_scores
from .base import CHECKED, Names, Task, log_probabilities
from .labels import Labels, encode_labels, known, log_sum_by


@dataclass(frozen=True, config=CHECKED)
class Hierarchy(Task):
    """A taxonomy such as master category > sub-category > article type.

    The head has one logit for each *path* seen in training, and one softmax over them; a row that lacks a level shows
    no path, nor a class that other rows do not have. The probability of a class at any level is the sum over its
    paths, so that none that is predicted is impossible (Redmon and Farhadi, 2017, sum upwards, too, with a softmax for
    each parent). The loss is the sum of the levels' cross-entropies."""

    levels: Names = ()
    paths: tuple[tuple[str, ...], ...] = ()
    evaluated: bool = True

    @property
    def columns(self):
        return tuple(self.levels)

    @property
    def labels(self):
        return {level: tuple(sorted({p[k] for p in self.paths})) for k, level in enumerate(self.levels)}

    def learn(self, train):
        complete = train[list(self.levels)].dropna()
        return replace(self, paths=tuple(sorted(set(complete.itertuples(index=False, name=None)))))

    def encode(self, table):
        """Class numbers of every level (N, L), int64."""
        return np.stack([encode_labels(table[level], self.labels[level]) for level in self.levels], axis=1)

    def path_classes(self) -> np.ndarray:
        """(P, L): the class number that path p has at level l."""
        numbers = [{c: i for i, c in enumerate(classes)} for classes in self.labels.values()]
        return np.array([[numbers[k][c] for k, c in enumerate(path)] for path in self.paths]).reshape(-1, len(numbers))

    def head(self, features):
        """Logits of the paths."""
        return nn.Linear(features, len(self.paths))

    def loss(self, output, target, smoothing=0.0, head=None):
        """Sum over levels of the masked cross-entropy; output (B, P) path logits, target (B, L)."""
        levels = self._levels(output.float().log_softmax(1), target)
        return output.sum() * 0.0 + sum(F.cross_entropy(*level, label_smoothing=smoothing) for level in levels)

    def _levels(self, log_paths, target):
        """Of each level: log-probabilities of its classes, and the true ones, in the rows that have one."""
        columns = torch.from_numpy(self.path_classes()).to(log_paths.device)
        for level, classes in enumerate(self.labels.values()):
            known = target[:, level] >= 0
            if known.any():
                yield log_sum_by(log_paths[known], columns[:, level], len(classes)), target[known, level]

    def activate(self, output):
        """Path probabilities (B, P)."""
        return output.float().softmax(1)

    def predict(self, activations):
        """Every level of the most probable path; the probabilities are sums over paths."""
        classes, best = self.path_classes(), activations.argmax(1)
        result = {}
        for level, (name, names) in enumerate(self.labels.items()):
            membership = np.eye(len(names), dtype=activations.dtype)[classes[:, level]]  # (P, C)
            result[name] = Labels(activations @ membership, classes[best, level])
        return result

    def negative_log_likelihood(self, activations, target, temperature=1.0):
        """One temperature for the distribution over paths; summed over the levels that are known."""
        log_paths = (log_probabilities(activations) / temperature).log_softmax(1)
        levels = self._levels(log_paths, torch.from_numpy(target))
        return float(sum(F.nll_loss(*level, reduction="sum") for level in levels))

    def metrics(self, activations, target):
        """Scores of each level by itself."""
        predicted = self.predict(activations)
        return {
            name: classification_scores(*known(predicted[name], target[:, level]))
            for level, name in enumerate(self.levels)
        }

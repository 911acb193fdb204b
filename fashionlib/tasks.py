"""Tasks: what a network is asked about an image.

A task owns four things: its head, its loss, its prediction and its metrics. A new kind of label is one new class
here. Tasks are immutable; ``learn`` returns a copy that knows the classes found in a training table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .labels import MISSING, Labels, encode_labels, found_classes, known, log_sum_by, smoothed_nll
from .metrics import classification_scores, multilabel_scores, recall_at_1


@dataclass(frozen=True)
class Task:
    """Base of all tasks.

    Parameters
    ----------
    name: of the task, and of its column unless the task says otherwise.
    evaluated: False marks an auxiliary target: it is trained and never reported.
    """

    name: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a catalogue's table that this task reads."""
        return (self.name,)

    @property
    def labels(self) -> dict[str, tuple[str, ...]]:
        """Every label this task predicts, with its classes."""
        return {}

    def learn(self, train: pd.DataFrame) -> Task:
        """A copy that knows the classes in the training table."""
        return self

    def average(self, activations: Sequence[Tensor]) -> Tensor:
        """One answer from those for several views of the same images, such as the mirror image."""
        return sum(activations) / len(activations)

    def to_dict(self) -> dict:
        """Plain values, for ``model.pth`` and ``settings.json``; what is at its default is left out."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        return {"kind": type(self).__name__, **values}


@dataclass(frozen=True)
class SingleLabel(Task):
    """One class per image; trained with cross-entropy."""

    classes: tuple[str, ...] = ()
    evaluated: bool = True

    @property
    def labels(self):
        return {self.name: self.classes}

    def learn(self, train):
        return replace(self, classes=found_classes(train[self.name]))

    def encode(self, table: pd.DataFrame) -> np.ndarray:
        """Class numbers (N,), int64, with ``MISSING`` and ``UNSEEN``."""
        return encode_labels(table[self.name], self.classes)

    def head(self, features: int) -> nn.Module:
        return nn.Linear(features, len(self.classes))

    def loss(self, output: Tensor, target: Tensor, smoothing: float = 0.0) -> Tensor:
        """Mean cross-entropy over the labelled rows of output (B, C) and target (B,); zero if there are none."""
        known = target >= 0
        if not known.any():
            return output.sum() * 0.0
        return F.cross_entropy(output[known].float(), target[known], label_smoothing=smoothing)

    def activate(self, output: Tensor) -> Tensor:
        """Class probabilities (B, C)."""
        return output.float().softmax(1)

    def predict(self, activations: np.ndarray) -> dict[str, Labels]:
        return {self.name: Labels(activations, activations.argmax(1))}

    def metrics(self, activations: np.ndarray, target: np.ndarray) -> dict[str, dict[str, float]]:
        """Accuracy, macro-F1 and top-3 accuracy of each label, over the rows whose label is known."""
        predicted = self.predict(activations)
        return {name: classification_scores(*known(predicted[name], target)) for name in predicted}


@dataclass(frozen=True)
class Hierarchy(Task):
    """A taxonomy such as master category > sub-category > article type.

    The head has one logit for each *path* seen in training, and one softmax over them. The probability of a class at
    any level is the sum over its paths (as in Redmon and Farhadi, 2017, who sum up a tree), so the levels agree by
    construction and a predicted path is never an impossible one. The loss is the sum over levels of the cross-entropy
    of that level, each masked by itself: a row that only knows its master category still teaches it.
    """

    levels: tuple[str, ...] = ()
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

    def pathfound_classes(self) -> np.ndarray:
        """(P, L): the class number that path p has at level l."""
        numbers = [{c: i for i, c in enumerate(classes)} for classes in self.labels.values()]
        return np.array([[numbers[k][c] for k, c in enumerate(path)] for path in self.paths]).reshape(-1, len(numbers))

    def head(self, features):
        return nn.Linear(features, len(self.paths))

    def loss(self, output, target, smoothing=0.0):
        """Sum over levels of the masked cross-entropy; output (B, P) path logits, target (B, L)."""
        log_paths = output.float().log_softmax(1)
        columns = torch.from_numpy(self.pathfound_classes()).to(output.device)
        total = output.sum() * 0.0
        for level, classes in enumerate(self.labels.values()):
            known = target[:, level] >= 0
            if known.any():
                log_level = log_sum_by(log_paths[known], columns[:, level], len(classes))
                total = total + smoothed_nll(log_level, target[known, level], smoothing)
        return total

    def activate(self, output):
        """Path probabilities (B, P)."""
        return output.float().softmax(1)

    def predict(self, activations):
        """Every level of the most probable path; the probabilities are sums over paths."""
        classes, best = self.pathfound_classes(), activations.argmax(1)
        result = {}
        for level, (name, names) in enumerate(self.labels.items()):
            membership = np.eye(len(names), dtype=activations.dtype)[classes[:, level]]  # (P, C)
            result[name] = Labels(activations @ membership, classes[best, level])
        return result

    def metrics(self, activations, target):
        predicted = self.predict(activations)
        return {
            name: classification_scores(*known(predicted[name], target[:, level]))
            for level, name in enumerate(self.levels)
        }


@dataclass(frozen=True)
class MultiLabel(Task):
    """Any number of classes per image, written ``"a;b;c"`` in the table; trained with binary cross-entropy.

    ``""`` says that none applies; a missing value says that nobody looked, and is masked. ``groups`` maps each class
    to a group of attributes (sleeve, neckline, ...), in the order of ``classes``.
    """

    classes: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    evaluated: bool = True
    minimum: int = 1  # a class needs that many training images

    @property
    def labels(self):
        return {self.name: self.classes}

    def learn(self, train):
        if self.classes:  # a fixed list, as DeepFashion's attributes are
            return self
        counts = train[self.name].dropna().str.split(";").explode().value_counts()
        return replace(self, classes=tuple(sorted(c for c, n in counts.items() if c and n >= self.minimum)))

    def encode(self, table):
        """(N, C) int8: 1 applies, 0 does not, ``MISSING`` unknown. Classes that training never saw are left out."""
        number = {c: i for i, c in enumerate(self.classes)}
        encoded = np.zeros((len(table), len(self.classes)), np.int8)
        for row, text in enumerate(table[self.name]):
            if pd.isna(text):
                encoded[row] = MISSING
            else:
                encoded[row, [number[c] for c in text.split(";") if c in number]] = 1
        return encoded

    def head(self, features):
        head = nn.Linear(features, len(self.classes))
        nn.init.constant_(head.bias, -4.6)  # every class starts at 1%: a rare one is not a surprise (Lin et al., 2017)
        return head

    def loss(self, output, target, smoothing=0.0):
        """Binary cross-entropy summed over classes, averaged over labelled rows; output and target (B, C).

        The sum, not the mean, over classes: with hundreds of rare words a mean makes the gradient vanish.
        """
        labelled = (target >= 0).any(1)
        if not labelled.any():
            return output.sum() * 0.0
        output, target = output[labelled].float(), target[labelled]
        each = F.binary_cross_entropy_with_logits(output, target.clamp(min=0).float(), reduction="none")
        return (each * (target >= 0)).sum() / len(output)

    def activate(self, output):
        """Probability of each class by itself (B, C)."""
        return output.float().sigmoid()

    def predict(self, activations):
        return {self.name: Labels(activations, activations.argmax(1))}

    def metrics(self, activations, target):
        return {self.name: multilabel_scores(activations, target)}


@dataclass(frozen=True)
class Similarity(Task):
    """Images of one item lie close together in a unit-length embedding; trained with a triplet loss on cosine
    distance and batch-hard mining (Hermans, Beyer, Leibe, 2017), both from pytorch-metric-learning."""

    dimension: int = 128
    margin: float = 0.2
    evaluated: bool = True

    def encode(self, table):
        """An item number for each row (N,), int64; ``MISSING`` where the item is not known."""
        return pd.factorize(table[self.name])[0].astype(np.int64)

    def head(self, features):
        return nn.Linear(features, self.dimension)

    def loss(self, output, target, smoothing=0.0):
        """output (B, D) before normalisation, target (B,); zero without a pair of the same item."""
        from pytorch_metric_learning import distances, losses, miners

        known = target >= 0
        output, target = output[known].float(), target[known]
        if len(target) < 3 or len(target.unique()) == len(target):
            return output.sum() * 0.0
        cosine = distances.CosineSimilarity()
        hard = miners.BatchHardMiner(distance=cosine)(output, target)
        return losses.TripletMarginLoss(self.margin, distance=cosine)(output, target, hard)

    def activate(self, output):
        """Embeddings (B, D), unit length."""
        return F.normalize(output.float(), dim=1)

    def average(self, activations):
        """The mean direction, unit length again."""
        return F.normalize(sum(activations), dim=1)

    def predict(self, activations):
        return {}

    def metrics(self, activations, target):
        return {self.name: {"recall_at_1": recall_at_1(activations, target)}}


KINDS = {kind.__name__: kind for kind in (SingleLabel, Hierarchy, MultiLabel, Similarity)}


def task_from_dict(values: dict) -> Task:
    """The inverse of ``Task.to_dict``; raises ``ValueError`` on an unknown kind."""
    values = dict(values)
    kind = values.pop("kind", None)
    if kind not in KINDS:
        raise ValueError(f"task kind {kind!r} is not one of {', '.join(KINDS)}")
    return KINDS[kind](**{key: _tuples(value) for key, value in values.items()})


def _tuples(value):
    return tuple(_tuples(v) for v in value) if isinstance(value, list | tuple) else value

"""Any number of classes per image."""

from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from ..metrics.attributes import mean_average_precision
from .base import CHECKED, Classes, Names, Task, log_probabilities
from .labels import MISSING


@dataclass(frozen=True, config=CHECKED)
class MultiLabel(Task):
    """Any number of classes per image; trained with binary cross-entropy or the asymmetric loss.

    The table holds text: ``"a;b;?c"`` says that a and b apply, that nobody knows about c (it is masked), and that no
    other class applies; ``"a;?"`` that nobody knows about the others; ``""`` that none applies. A missing value says
    that nobody looked, and all is masked.

    Parameters
    ----------
    classes: a fixed list, or learned from the training table.
    groups: of each class (sleeve, neckline, ...), in the order of ``classes``. Where none are given, a class written
        ``group:name`` belongs to that group.
    minimum: training images that a class needs to be learned.
    balance: exponent of the weight (negatives / positives)^balance of a class's positives in the binary
        cross-entropy: 0 none, 1 as many gradients for as against every class.
    loss_function: ``"bce"``, or ``"asymmetric"`` (Ridnik et al., 2021), which looks away from easy negatives."""

    multi: ClassVar[bool] = True

    classes: Classes = ()
    groups: Names = ()
    evaluated: bool = True
    minimum: int = 1
    balance: float = 0.0
    positive_weights: tuple[float, ...] = ()
    loss_function: Literal["bce", "asymmetric"] = "bce"

    def __post_init__(self):
        if self.balance and self.loss_function != "bce":
            raise ValueError(f"task {self.name!r}: balance is for the loss 'bce'; 'asymmetric' has its own")
        if self.groups and len(self.groups) != len(self.classes):
            raise ValueError(f"task {self.name!r}: {len(self.groups)} groups for {len(self.classes)} classes")
        for name in self.classes:
            if ";" in name or name.startswith("?") or self.classes.count(name) > 1:
                raise ValueError(f"task {self.name!r}: class {name!r} must not hold ';', start with '?' or come twice")

    def learn(self, train):
        counts = train[self.name].dropna().str.split(";").explode().value_counts()
        found = sorted(c for c, n in counts.items() if c and c[0] != "?" and n >= self.minimum)
        classes, groups = self.classes or tuple(found), self.groups
        if not groups and any(":" in name for name in classes):
            groups = tuple(name.partition(":")[0] if ":" in name else "" for name in classes)
        task = replace(self, classes=classes, groups=groups)
        if not self.balance:
            return task
        encoded = task.encode(train)
        weights = ((encoded >= 0).sum(0) / (encoded == 1).sum(0).clip(min=1) - 1).clip(min=1e-3) ** self.balance
        return replace(task, positive_weights=tuple(weights.round(4).tolist()))

    def encode(self, table):
        """(N, C) int8: 1 applies, 0 does not, ``MISSING`` unknown. Classes that training never saw are left out."""
        number = {c: i for i, c in enumerate(self.classes)}
        encoded = np.empty((len(table), len(self.classes)), np.int8)
        for row, text in enumerate(table[self.name]):
            if pd.isna(text):
                encoded[row] = MISSING
                continue
            names = text.split(";")
            encoded[row] = MISSING if "?" in names else 0
            encoded[row, [number[c] for c in names if c in number]] = 1
            encoded[row, [number[c[1:]] for c in names if c[:1] == "?" and c[1:] in number]] = MISSING
        return encoded

    def head(self, features):
        """One logit a class."""
        head = nn.Linear(features, len(self.classes))
        # every class starts at 1%: a rare one is not a surprise (Lin et al., 2017); at even odds if it weighs as much
        nn.init.constant_(head.bias, -4.6 * (1 - min(self.balance, 1.0)))
        return head

    def loss(self, output, target, smoothing=0.0, head=None):
        """The loss summed over classes (with hundreds of rare words a mean makes the gradient vanish), averaged over
        labelled rows; output and target (B, C)."""
        labelled = (target >= 0).any(1)
        if not labelled.any():
            return output.sum() * 0.0
        output, target = output[labelled].float(), target[labelled]
        truth = target.clamp(min=0).float()
        if self.loss_function == "asymmetric":
            each = asymmetric_loss(output, truth)
        else:
            weights = output.new_tensor(self.positive_weights) if self.positive_weights else None
            each = F.binary_cross_entropy_with_logits(output, truth, pos_weight=weights, reduction="none")
        return (each * (target >= 0)).sum() / len(output)

    def activate(self, output):
        """Probability of each class by itself (B, C)."""
        return output.float().sigmoid()

    def negative_log_likelihood(self, activations, target, temperature=1.0):
        """Plain binary cross-entropy of sigmoid(logit(p) / T) over the known entries, whatever loss trained it."""
        known = target >= 0
        p = activations[known]
        log_complements = log_probabilities(1 - p.astype(np.float64), 2.0**-25)  # what was nearer to one is one
        logits = (log_probabilities(p) - log_complements) / temperature
        truth = torch.from_numpy(target[known]).double()
        return float(F.binary_cross_entropy_with_logits(logits, truth, reduction="sum"))

    def metrics(self, activations, target):
        """Mean average precision over the classes."""
        return {self.name: {"map": mean_average_precision(activations, target)}}


def asymmetric_loss(logits: Tensor, truth: Tensor, gamma: float = 4.0, shift: float = 0.05) -> Tensor:
    """Elementwise: -log p where the class applies, -p_m^gamma log(1 - p_m) with p_m = max(p - shift, 0) where it does
    not (Ridnik et al., 2021, eq. 7, with gamma+ = 0)."""
    shifted = (logits.sigmoid() - shift).clamp(min=0)
    return torch.where(truth > 0, -F.logsigmoid(logits), -(shifted**gamma) * torch.log1p(-shifted))

"""What all tasks share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import pandas as pd
from torch import Tensor


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

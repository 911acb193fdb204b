"""What all tasks share."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Annotated, ClassVar, Self

import numpy as np
import pandas as pd
import torch
from pydantic import AfterValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from ..cells import plain
from .labels import Labels

CHECKED = ConfigDict(strict=True, allow_inf_nan=False, extra="forbid")  # 8.0 is no whole number, "1e-3" no number
Names = Annotated[tuple[str, ...], Field(strict=False)]  # a list will do
Classes = Annotated[Names, AfterValidator(lambda names: tuple(map(plain, names)))]  # spelled as cells are


@dataclass(frozen=True, config=CHECKED)
class Task:
    """Base of all tasks.

    Parameters
    ----------
    name: of the task, and of its column unless the task says otherwise.
    evaluated: False marks an auxiliary target: it is trained and never reported.

    A task with ``labels`` has a ``negative_log_likelihood`` (activations, target, temperature) of the known labels,
    summed, if the head's output had been divided by ``temperature``: what calibration minimises. ``multi`` says that an
    image may have several of a label's classes."""

    multi: ClassVar[bool] = False

    name: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a catalogue's table that this task reads."""
        return (self.name,)

    @property
    def labels(self) -> dict[str, tuple[str, ...]]:
        """Every label this task predicts, with its classes."""
        return {self.name: self.classes} if hasattr(self, "classes") else {}

    def learn(self, train: pd.DataFrame) -> Self:
        """A copy that knows the classes in the training table."""
        return self

    def average(self, activations: Sequence[Tensor]) -> Tensor:
        """One answer from those for several views of the same images, such as the mirror image."""
        return sum(activations) / len(activations)

    def predict(self, activations: np.ndarray) -> dict[str, Labels]:
        """Of each label: probabilities (N, C), and the most probable class of each image."""
        return {self.name: Labels(activations, activations.argmax(1))}

    def to_dict(self) -> dict:
        """Plain values, for ``model.pth`` and ``settings.json``; what is at its default is left out."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        return {"kind": type(self).__name__, **values}


def log_probabilities(probabilities: np.ndarray, least: float = 1e-45) -> Tensor:
    """Their logarithm in double precision, finite where single precision has rounded them to zero: those below
    ``least``, by default the smallest number it has."""
    return torch.from_numpy(np.maximum(probabilities.astype(np.float64), least)).log()

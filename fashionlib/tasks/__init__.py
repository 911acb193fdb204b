"""Tasks: what a network is asked about an image.

A task owns four things: its head, its loss, its prediction and its metrics. A new kind of label is one new class in
one file, here or in a study. Tasks are immutable; ``learn`` returns a copy that knows a training table's classes."""

from .base import Task
from .hierarchy import Hierarchy
from .multi_label import MultiLabel
from .similarity import Similarity
from .single_label import SingleLabel

__all__ = ["Hierarchy", "MultiLabel", "Similarity", "SingleLabel", "Task", "task_from_dict"]


def task_from_dict(values: dict) -> Task:
    """The inverse of ``Task.to_dict``; raises ``ValueError`` on a kind that no imported module defines."""
    values, kinds = dict(values), {kind.__name__: kind for kind in Task.__subclasses__()}
    kind = values.pop("kind", None)
    if kind not in kinds:
        raise ValueError(f"task kind {kind!r} is not one of {', '.join(kinds)}; import the module that defines it")
    return kinds[kind](**{key: _tuples(value) for key, value in values.items()})


def _tuples(value):
    return tuple(_tuples(v) for v in value) if isinstance(value, list | tuple) else value

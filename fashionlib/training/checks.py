"""Do model, catalogues and stages fit together? Asked before anything is trained or written."""

from __future__ import annotations

from collections.abc import Sequence

from ..data.images import ImageData
from ..models import MultitaskModel
from .settings import Stage
from ..tasks import Similarity, Task


def check(model: MultitaskModel, data: Sequence[ImageData], stages: Sequence[Stage]) -> None:
    """Raises ``ValueError`` with what does not fit, and what to do."""
    if not data:
        raise ValueError("fit needs at least one catalogue with its images")
    names = [part.catalogue.name for part in data]
    if len(set(names)) < len(names):
        raise ValueError(f"two catalogues have the same name, among {', '.join(names)}; give each once")
    for part in data:
        if part.size != tuple(model.size):
            raise ValueError(
                f"{part.catalogue.name}: images of {part.size} pixels (width, height), the model expects {model.size}"
            )
    for task in model.tasks.values():
        _check_task(task, data)
    for part in data:
        if part.catalogue.tasks.keys().isdisjoint(model.tasks):
            known = ", ".join(model.tasks)
            raise ValueError(f"{part.catalogue.name} has none of the model's tasks {known}; leave it out")
    for stage in stages:
        _check_stage(stage, model)


def _check_stage(stage: Stage, model: MultitaskModel) -> None:
    known, chosen = ", ".join(model.tasks), stage.tasks or tuple(model.tasks)
    for task in chosen:
        if task not in model.tasks:
            raise ValueError(f"stage {stage.name!r} names task {task!r}; the model has {known}")
    if stage.train not in ("all", "heads", *model.tasks):
        raise ValueError(f"stage {stage.name!r}: train {stage.train!r} is not one of all, heads, {known}")
    if stage.train in model.tasks and stage.train not in chosen:
        raise ValueError(f"stage {stage.name!r}: the head {stage.train!r} cannot learn, its task is not in the stage")


def _check_task(task: Task, data: Sequence[ImageData]) -> None:
    having = [part.catalogue for part in data if task.name in part.catalogue.tasks]
    if not having:
        raise ValueError(f"task {task.name!r} is in no catalogue: {_tasks(data)}")
    if len(having) == 1:
        return
    between = " and ".join(catalogue.name for catalogue in having)
    todo = f"take it from one of them: data.only(...) keeps the tasks it names ({_tasks(data)})"
    if isinstance(task, Similarity):
        raise ValueError(f"task {task.name!r} is in {between}, whose items cannot be told apart; {todo}")
    for catalogue in having:
        other = catalogue.tasks[task.name]
        if type(other) is not type(task) or other.labels != task.labels:
            found = {name: len(classes) for name, classes in other.labels.items()}
            wanted = {name: len(classes) for name, classes in task.labels.items()}
            raise ValueError(
                f"task {task.name!r} is in {between}, but {catalogue.name} has other classes (number of classes: "
                f"{found}, in the model {wanted}); {todo}"
            )


def _tasks(data: Sequence[ImageData]) -> str:
    return "; ".join(f"{part.catalogue.name} has {', '.join(part.catalogue.tasks) or 'no tasks'}" for part in data)

"""Do model, catalogues and stages fit together? Asked before anything is trained or written."""

import warnings
from collections.abc import Sequence

from ..data.images import ImageData
from ..models import MultitaskModel
from ..tasks import Similarity, Task
from .settings import Stage


def check(model: MultitaskModel, data: Sequence[ImageData], stages: Sequence[Stage]) -> None:
    """Raises ``ValueError`` with what does not fit, and what to do."""
    if strange := [type(part).__name__ for part in data if not isinstance(part, ImageData)]:
        raise ValueError(f"fit needs images, cache_images(catalogue, ...), not a {strange[0]}")
    if not all(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError("fit decides what learns: freeze with Settings(backbone_rate=0) or Stage(train=...) instead")
    names, known = [part.catalogue.name for part in data], ", ".join(model.tasks)
    if not names or len(set(names)) < len(names):
        raise ValueError(f"fit needs catalogues of different names, not {', '.join(names) or 'none'}")
    for task in model.tasks.values():
        _check_task(task, data)
    for part in data:
        if part.size != model.size:
            raise ValueError(f"{part.catalogue.name}: images of {part.size} pixels, the model expects {model.size}")
        if part.catalogue.tasks.keys().isdisjoint(model.tasks):
            raise ValueError(f"{part.catalogue.name} has none of the model's tasks {known}; leave it out")
    for stage in stages:
        chosen = stage.tasks or tuple(model.tasks)
        if strange := [task for task in chosen if task not in model.tasks]:
            raise ValueError(f"stage {stage.name!r} names task {strange[0]!r}; the model has {known}")
        if stage.train not in ("all", "heads", *model.tasks):
            raise ValueError(f"stage {stage.name!r}: train {stage.train!r} is not one of all, heads, {known}")
        if stage.train in model.tasks and stage.train not in chosen:
            raise ValueError(f"stage {stage.name!r}: head {stage.train!r} cannot learn, its task is not in the stage")


def _check_task(task: Task, data: Sequence[ImageData]) -> None:
    there = "; ".join(f"{part.catalogue.name} has {', '.join(part.catalogue.tasks) or 'no tasks'}" for part in data)
    having = [part.catalogue for part in data if task.name in part.catalogue.tasks]
    if not having:
        raise ValueError(f"task {task.name!r} is in no catalogue: {there}")
    others = [catalogue.tasks[task.name] for catalogue in having]
    what = f"task {task.name!r} is in {' and '.join(catalogue.name for catalogue in having)}"
    if strange := [type(other).__name__ for other in others if not isinstance(task, type(other))]:
        raise ValueError(f"{what}, as a {strange[0]}; the model has a {type(task).__name__} of that name")
    todo = f"take it from one of them: data.only(...) keeps the tasks it names ({there})"
    if len(having) == 1:
        known = {label: set(classes) & set(task.labels.get(label, ())) for label, classes in others[0].labels.items()}
        if foreign := [label for label in known if others[0].labels[label] and not known[label]]:
            raise ValueError(f"{what}, which has no class of {foreign[0]!r} that the model knows; build the model anew")
        for label, classes in others[0].labels.items():
            if unknown := sorted(set(classes) - known[label]):
                text = f"{what}, and {len(unknown)} classes of {label!r} there are not in the model: {unknown[:5]} ..."
                warnings.warn(f"{text}: their images are masked; rename them, or build the model anew", stacklevel=4)
        if isinstance(task, Similarity):
            train = having[0].table[having[0].table["split"] == "train"]
            if new := set(task.learn(train).items) - set(task.items):
                raise ValueError(f"{what}, and {len(new)} of its training items have no proxy; build the model anew")
        return
    if isinstance(task, Similarity):
        raise ValueError(f"{what}, whose items cannot be told apart; {todo}")
    if any(other.labels != task.labels for other in others):
        raise ValueError(f"{what}, with other classes than the model's; {todo}")

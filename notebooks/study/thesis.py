"""The networks of the thesis: one stream of images, and losses that count or do not."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from fashionlib.tasks import Task
from fashionlib.training.fit import Run
from fashionlib.training.settings import Settings, Stage

from .setup import Study

LABELS, ALL = ("category", "attributes"), ("category", "attributes", "item")
SINGLE = {"single category": "category", "single attributes": "attributes", "single retrieval": "item"}
TASKS = {**{name: (task,) for name, task in SINGLE.items()}, "joint": ALL, "staged": ALL, "joint in cycles": ALL}
MAIN = {"category": "accuracy", "attributes": "map", "item": "recall_at_1"}  # the metric of each task


def configurations(first: int, second: int = 0, third: int = 0) -> dict[str, list[Stage]]:
    """The six configurations at equal length, by name: the epochs are those of the staged one's stages."""
    found = {name: [Stage("train", TASKS[name], first + second + third)] for name in (*SINGLE, "joint")}
    stages = ("labels", LABELS, first), ("embedding", ("item",), second, "item"), ("all", ALL, third)
    staged = [Stage(*stage) for stage in stages if stage[2]]
    cycles = [replace(stage, name=f"cycle {k}", tasks=ALL, train="all") for k, stage in enumerate(staged, 1)]
    return {**found, "staged": staged, "joint in cycles": cycles}


class Thesis:
    """Trains the configurations; a run belongs to all notebooks, the first that asks for it makes it. Every network has
    a head for each task of the data; one whose loss does not count gets no gradient and gives none to the backbone. So
    all see the same batches: one half shuffled images, the other pairs of an item."""

    def __init__(self, study: Study, network: Mapping, heads: Mapping[str, dict], tag: str = "", **settings):
        """``network``: options of ``MultitaskModel``; ``heads``: fields of each task; ``tag``: in the names of runs."""
        self.study, self.network, self.tag = study, network, tag
        self.catalogues = [study.data] if study.items is study.data else [study.data.only(*LABELS), study.items]
        owner = {n: part.catalogue for part in self.catalogues for n in part.catalogue.tasks if n in ALL}
        self.heads: list[Task] = [owner[name].task(name, **heads.get(name, {})) for name in ALL if name in owner]
        sampler = "shuffle" if "item" not in owner else "mixed" if len(owner) > 1 else "items"
        shift = max(1, study.image_size[0] // 30)  # of the width; nothing is erased, for items differ in small things
        stream = {"sampler": sampler, "item_share": 0.5, "per_item": 2, "shift": shift, "erase": 0.0}
        recipe = {"optimizer": "adamw", "weight_decay": 0.02, "label_smoothing": 0.1}
        self.settings = Settings(**{**recipe, **stream, **settings})

    def train(self, configuration: str, lengths: Sequence[int], seed: int = 0) -> Run:
        """A configuration with a stage's epochs each (see ``configurations``), or the finished run."""
        name, stages = f"06_{self.tag}{configuration} {sum(lengths)} {seed}", configurations(*lengths)[configuration]
        settings = replace(self.settings, seed=seed)
        return self.study.train(name, self.heads, settings, data=self.catalogues, stages=stages, **self.network)

"""The networks of the thesis: one stream of images, and losses that count or do not."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from fashionlib.evaluation.outcomes import outcomes_of
from fashionlib.evaluation.predict import predict_once
from fashionlib.machine.processes import run_once
from fashionlib.tasks import Task
from fashionlib.training.fit import Run
from fashionlib.training.runs import RunFolder
from fashionlib.training.settings import Settings, Stage

from .kept import Reached, keep, kept
from .provenance import run_facts
from .setup import Study
from .tables import per_class_table

LABELS, ALL = ("category", "attributes"), ("category", "attributes", "item")
SINGLE = {"single category": "category", "single attributes": "attributes", "single retrieval": "item"}
EDITION = 1  # raise it when what is measured of a network changes: outcomes that were kept are then measured anew
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

    def __init__(self, study: Study, network: Mapping, heads: Mapping[str, dict], tag="", of=ALL, **settings):
        """``network``: of ``MultitaskModel``; ``heads``: fields of each; ``tag``: in names; ``of``: the tasks."""
        self.study, self.network, self.tag = study, network, tag
        parts = [study.data] if study.items is study.data else [study.data.only(*LABELS), study.items]
        self.catalogues = [part for part in parts if {*part.catalogue.tasks} & {*of}]
        owner = {n: part.catalogue for part in self.catalogues for n in part.catalogue.tasks if n in of}
        self.heads: list[Task] = [owner[name].task(name, **heads.get(name, {})) for name in ALL if name in owner]
        sampler = "shuffle" if "item" not in owner else "mixed" if len(owner) > 1 else "items"
        shift = max(1, study.image_size[0] // 30)  # of the width; nothing is erased, for items differ in small things
        stream = {"sampler": sampler, "item_share": 0.5, "per_item": 2, "shift": shift, "erase": 0.0}
        recipe = {"optimizer": "adamw", "weight_decay": 0.02, "label_smoothing": 0.1}
        self.settings = Settings(**{**recipe, **stream, **settings})

    def train(self, configuration: str, lengths: Sequence[int], seed: int = 0) -> Run:
        """A configuration with a stage's epochs each (see ``configurations``), or the finished run."""
        name, recipe = self._recipe(configuration, lengths, seed)
        return self.study.train(name, self.heads, data=self.catalogues, **recipe, **self.network)

    def reached(self, configuration: str, lengths: Sequence[int], seed: int = 0) -> Reached:
        """What the network of ``train`` reaches on the test images of its tasks (``outcomes_of``; in the category also
        ``macro_f1_of_10``, over classes with ten test images). It is kept in ``outcomes/`` of the results: whoever has
        that file, of the same start, data, stages and settings, need not train the network."""
        name, recipe = self._recipe(configuration, lengths, seed)
        results, folder = self.study.results, self.study.results.run_dir(name)
        path = results.folder / "outcomes" / f"{folder.name}.npz"
        model = self.study.model(self.heads, seed, self.catalogues, **self.network)
        record = {"edition": EDITION, **RunFolder(folder, model, self.catalogues, *recipe.values()).record}
        reached = kept(path, record)
        if reached is None:
            run = self.train(configuration, lengths, seed)
            found = outcomes_of(run.model, self.catalogues, run.run_dir)
            if "category" in TASKS[configuration]:
                rows = per_class_table(predict_once(run.model, self.catalogues[0], "test", run.run_dir), "category")
                found["category"].metrics["macro_f1_of_10"] = rows.query("n_test >= 10")["f1"].mean()
            made = Reached({task: found[task] for task in TASKS[configuration]}, run.history, run_facts(run))
            run_once(lambda: keep(path, record, made))
            reached = kept(path, record)
        self.study.note(name, reached.facts, *recipe.values(), self.network)
        results.add(f"outcomes/{path.name}")
        return reached

    def _recipe(self, configuration: str, lengths: Sequence[int], seed: int) -> tuple[str, dict]:
        stages, settings = configurations(*lengths)[configuration], replace(self.settings, seed=seed)
        return f"06_{self.tag}{configuration} {sum(lengths)} {seed}", {"settings": settings, "stages": stages}

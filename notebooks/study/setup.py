"""The one call with which every notebook opens: results and data, and from then on its trainings."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from fashionlib import __version__
from fashionlib.data.catalogue import Catalogue
from fashionlib.data.images import ImageData, cache_images
from fashionlib.evaluation.predict import sampling_units
from fashionlib.machine.files import write_json
from fashionlib.models import MultitaskModel, weights_sha256
from fashionlib.shop.duplicates import choose_split
from fashionlib.sources import open_catalogue
from fashionlib.tasks import Task
from fashionlib.training.fit import fit
from fashionlib.training.settings import Settings

from .drawn import open_drawn
from .provenance import git_state, plain, run_facts
from .results import Results

NOTEBOOKS = Path(__file__).resolve().parent.parent
GROUPED_SEED = 7  # the split of seed 42 was tested on by earlier editions
Tasks = Sequence[str | Task]


def _device() -> torch.device:
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def versions() -> None:
    """Print what is about to run: versions, the commit of the code, and the device."""
    libraries = f"torch {torch.__version__}, timm {version('timm')}, fashionlib {__version__}"
    print(f"Python {platform.python_version()}, {libraries}")
    git, device = git_state(), _device()
    print(f"commit {git['commit']}{', changed since' if git['dirty'] else ''}")
    print(f"device {device}{f', {torch.get_num_threads()} threads' if device.type == 'cpu' else ''}")


@dataclass
class Study:
    """A notebook's surroundings: where its results go, and the images that ``setup`` was asked for."""

    results: Results
    source: str
    options: dict
    image_size: tuple[int, int]
    split: str
    data_root: str | Path
    item_source: Sequence | None = None
    training_share: float = 1.0
    device: torch.device = field(default_factory=_device)
    data: ImageData = field(init=False)
    _opened: dict[str, ImageData] = field(default_factory=dict)
    _trained: dict[str, dict] = field(default_factory=dict)

    def __post_init__(self):
        self.data = self.open()

    @property
    def catalogue(self) -> Catalogue:
        return self.data.catalogue

    @property
    def items(self) -> ImageData:
        """The images whose items are looked for: those of ``item_source``, or ``data``."""
        return self.open(*self.item_source).only("item") if self.item_source else self.data

    def open(self, source=None, options=None, split=None, image_size=None) -> ImageData:
        """Another catalogue, or the same one in another split or size; else as in ``setup`` (options with source)."""
        if source in (None, self.source):
            source, options = self.source, self.options if options is None else options
        split, options, size = split or self.split, options or {}, tuple(image_size or self.image_size)
        key = json.dumps([str(source), plain(options), split, size])
        if key not in self._opened:
            data = cache_images(_catalogue(source, self.data_root, options), size, self.results.folder / "runs/cache")
            stratum = "category" if "category" in data.catalogue.table else next(iter(data.catalogue.tasks))
            data = choose_split(data, split, stratum, GROUPED_SEED)
            self._opened[key] = with_less_training(data, self.training_share)
        return self._opened[key]

    def model(self, tasks: Tasks, seed: int = 0, data=None, **options) -> MultitaskModel:
        """A new network for tasks of ``data`` (one or several ImageData; ours), by name or changed ones
        (``catalogue.task("category", balance=0.5)``). ``options`` are those of ``MultitaskModel``, ``backbone`` among
        them. The same seed gives the same weights."""
        parts = [data] if isinstance(data, ImageData) else list(data or [self.data])
        owner = {name: part.catalogue for part in reversed(parts) for name in part.catalogue.tasks}
        heads = [owner.get(t, parts[0].catalogue).task(t) if isinstance(t, str) else t for t in tasks]
        torch.manual_seed(seed)
        return MultitaskModel(tasks=heads, **{"size": parts[0].size, **options})

    def train(self, name: str, tasks: Tasks, settings: Settings, *, data=None, stages=None, start=None, **options):
        """Train a new ``model`` of these tasks, or a copy of the one to ``start`` from, in the folder of runs, or find
        it trained there; in its name an underscore stands for all but letters and digits, and another notebook's number
        may begin it. It is recorded: artefacts written from now on come from all settings and seeds so far."""
        data = self.data if data is None else data
        model = start or self.model(tasks, settings.seed, data, **options)
        run = fit(model, data, settings, self.results.run_dir(name), stages)
        options |= {"start": weights_sha256(start)} if start else {}
        if not run.found and self.results.writes:
            write_json(run.run_dir / "git.json", git_state())
        if name not in self._trained:
            self.note(name, run_facts(run), settings, stages, options)
        return run

    def note(self, name: str, facts: dict, settings: Settings, stages, options: dict) -> None:
        """Record a training, wherever it was made (``facts``: see ``run_facts``)."""
        self._trained[name] = {**plain(settings), "stages": plain(stages), **plain(options)}
        seeds = sorted({trained["seed"] for trained in self._trained.values()})
        self.results.record(runs={self.results.run_dir(name).name: facts}, settings=self._trained, seeds=seeds)

    def published(self, task: str, metric="accuracy", dataset: str | None = None) -> pd.DataFrame:
        """What others report of a task of this data (or ``dataset``), by one or several metrics; a row a figure, with
        the columns method, backbone, metric, value, comparable (what makes it so, or not) and source."""
        if dataset is None and self.catalogue.name == "products":
            dataset, task = "fashion-product-images-small", "articleType" if task == "category" else task
        table = pd.read_csv(NOTEBOOKS / "references.csv")
        wanted = (table["dataset"] == (dataset or self.catalogue.name)) & (table["task"] == task)
        wanted &= table["metric"].isin(np.atleast_1d(metric))
        return table.loc[wanted].drop(columns=["dataset", "task"]).reset_index(drop=True)

    def finish(self) -> None:
        """Enter what the notebook has written into the manifest."""
        self.results.finish()
        print(f"tables and figures of notebook {self.results.notebook} are in {self.results.folder}")


def setup(
    notebook: str,
    profile: str,
    source: str = "sample",
    source_options: dict | None = None,
    image_size: Sequence[int] = (60, 80),
    split: str = "source",
    data_root: str | Path | None = None,
    results_root: str | Path = "../results",
    item_source: Sequence | None = None,
    training_share: float = 1.0,
) -> Study:
    """Open the results of a notebook and its data, and say what is there.

    ``source``: ``"sample"`` (the photographs in this repository), ``"drawn"`` (garments drawn for tests), or what
    ``open_catalogue`` takes, below ``data_root`` (None: ``$FASHION_DATA``, or ``data/``), with ``source_options``.
    ``image_size``: (width, height) in pixels. ``split``: as the ``"source"`` gives it, or ``"grouped"``: no item or
    near-duplicate image on two sides. ``item_source``: source and options of the items, where they are in a catalogue
    of their own. ``training_share``: of the training images, whole items; validation and test stay as they are."""
    root = data_root or os.environ.get("FASHION_DATA") or NOTEBOOKS.parent / "data"
    results = Results(results_root, profile, notebook)
    study = Study(results, source, source_options or {}, tuple(image_size), split, root, item_source, training_share)
    results.record(data=study.data)
    print(study.catalogue)
    print("facts:", study.catalogue.facts, "- rejected rows:", len(study.catalogue.rejected))
    return study


def with_less_training(data: ImageData, share: float) -> ImageData:
    """The data with a share of its training images, whole items; the others are rejected rows."""
    if share >= 1:
        return data
    rows, units = data.catalogue.rows("train"), sampling_units(data.catalogue.table)
    drawn = np.random.default_rng(0).permutation(np.unique(units[rows]))
    fewer = without(data, rows[np.isin(units[rows], drawn[round(share * len(drawn)) :])], "training_share")
    return fewer.with_split(fewer.catalogue.table["split"], training_share=share)


def few_of_a_class(data: ImageData, column: str, n: int, seed: int) -> ImageData:
    """The data with at most ``n`` training images of each class of a column, drawn by the seed, and no validation."""
    table = data.catalogue.table.sample(frac=1, random_state=seed)
    turn = table[table["split"] == "train"].groupby(column).cumcount()
    spare = np.concatenate([turn.index[turn >= n], data.catalogue.rows("val")])
    return without(data, np.sort(spare), "few_of_a_class")


def without(data: ImageData, rows: np.ndarray, why: str) -> ImageData:
    """The data without some images, which are rejected rows."""
    kept = data.catalogue.without(rows, [f"left out by {why}"] * len(rows), source=why)
    return ImageData(kept, data.pixels, np.delete(data.position, rows))


def _catalogue(source: str, root: str | Path, options: dict) -> Catalogue:
    if source == "drawn":
        return open_drawn(**options)
    name, root = ("products", NOTEBOOKS / "sample") if source == "sample" else (source, root)
    return open_catalogue(name, root, **options)

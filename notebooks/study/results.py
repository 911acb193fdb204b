"""results/: tables, figures and the manifest that says where each came from. Nothing else writes there."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from fashionlib.machine.files import write_atomically, write_json
from .latex import latex_table
from fashionlib.machine.processes import is_main_process
from .provenance import data_facts, environment, plain, run_facts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = {"tables": (".csv", ".tex"), "figures": (".png", ".pdf")}


class Results:
    """What one notebook leaves in ``root/profile``: ``tables/07_name.csv`` and ``.tex``, ``figures/07_name.png`` and
    ``.pdf``, and its entries in ``manifest.json``.

    Parameters
    ----------
    root: the results folder.
    profile: names the folder below it, ``"products"``.
    notebook: number of the notebook, ``"07"``; it begins every file name.

    Of several processes that run the notebook only the main one writes; to the others all else is the same.

    Raises ``OSError`` naming the folder if it cannot be written: before the work, not after it.
    """

    def __init__(self, root: str | Path, profile: str, notebook: str):
        self.profile, self.notebook = _checked("profile", profile), _checked("notebook", notebook)
        self.folder = Path(root) / profile
        self.manifest_path = self.folder / "manifest.json"
        self._facts: dict = {"settings": None, "seeds": None, "data": None}
        self._artefacts: dict[str, dict] = {}
        self._runs: dict[str, dict] = {}
        self._started = time.perf_counter()
        self.writes = is_main_process()
        for folder in (self.folder, *(self.folder / kind for kind in SUFFIXES)) if self.writes else ():
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise OSError(error.errno, f"results cannot be written here ({error.strerror})", str(folder)) from error
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(13, "results cannot be written here (the folder is read-only)", str(folder))

    def table(self, frame: pd.DataFrame, name: str, caption: str = "") -> pd.DataFrame:
        """Write a table and return it. Floats have at most six significant digits, missing values are empty; an index
        that has a name becomes a column."""
        shown = frame.reset_index() if any(n is not None for n in frame.index.names) else frame
        text = shown.to_csv(index=False, float_format=_number, lineterminator="\n")
        self._write("tables", name, ".csv", lambda file: file.write(text.encode()))
        tex = latex_table(shown, caption, label=f"tab:{self.notebook}_{name}")
        self._write("tables", name, ".tex", lambda file: file.write(tex.encode()))
        return frame

    def figure(self, figure: Figure, name: str) -> None:
        """Write a figure as PNG (150 dots an inch) and PDF (fonts embedded as TrueType). The same figure gives the
        same bytes; it stays open, so that the notebook shows it."""
        import matplotlib as mpl

        png = {"format": "png", "dpi": 150, "metadata": {"Software": None}, "pil_kwargs": {"optimize": True}}
        self._write("figures", name, ".png", lambda file: figure.savefig(file, **png))
        pdf = {"format": "pdf", "metadata": {"CreationDate": None, "Creator": None, "Producer": None}}
        with mpl.rc_context({"pdf.fonttype": 42, "pdf.compression": 9}), _images_as_they_are(figure):
            self._write("figures", name, ".pdf", lambda file: figure.savefig(file, **pdf))

    def record(self, **facts) -> None:
        """State what the artefacts written from now on come from.

        ``settings`` (of a model, or several by name), ``seeds``, ``data`` (a Catalogue or ImageData, or several), and
        anything else worth keeping with them; ``runs`` (finished trainings) go to the notebook's entry.

        Raises ``ValueError`` if another notebook of this profile was made from other data under the same name.
        """
        runs = facts.pop("runs", ())
        runs = runs.values() if isinstance(runs, Mapping) else runs
        for run in runs if isinstance(runs, Iterable) else [runs]:
            self._runs[run.run_dir.name] = run_facts(run)
        if facts.get("data") is not None:
            several = isinstance(facts["data"], list | tuple)
            described = [data_facts(data) for data in (facts["data"] if several else [facts["data"]])]
            self._check_data(described)
            facts["data"] = described if several else described[0]
        self._facts |= {name: plain(value) for name, value in facts.items()}

    def finish(self) -> None:
        """Enter this notebook into the manifest. Other notebooks' entries stay; what this one wrote in an earlier run
        and not in this one is removed with its files, so that results are regenerated and never patched."""
        if not self.writes:
            return
        from filelock import FileLock

        lock = self.folder / "runs" / "manifest.lock"  # runs/ is not committed
        lock.parent.mkdir(exist_ok=True)
        with FileLock(lock, timeout=60):
            manifest = self._read_manifest()
            others = {k: v for k, v in manifest["artefacts"].items() if v["notebook"] != self.notebook}
            duration = round(time.perf_counter() - self._started, 1)
            entry = {**environment(), "seconds": duration, "runs": self._runs}
            write_json(
                self.manifest_path,
                {
                    "profile": self.profile,
                    "notebooks": dict(sorted({**manifest["notebooks"], self.notebook: entry}.items())),
                    "artefacts": dict(sorted({**others, **self._artefacts}.items())),
                },
            )
            for path in self._files():
                if path not in self._artefacts:
                    (self.folder / path).unlink(missing_ok=True)

    def once(self, name: str, key: dict, compute: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """A measurement that is made once for a key (machine, settings, ...) and found again when the notebook is run
        again; ``--fresh`` forgets it."""
        path = self.run_dir(name) / "measured.json"
        wanted = json.loads(json.dumps(plain(key)))
        if path.exists():
            found = json.loads(path.read_text())
            if found.get("key") == wanted:
                return pd.DataFrame(found["rows"])
        frame = compute()
        if self.writes:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, {"key": wanted, "rows": frame.to_dict("records")})
        return frame

    def read_table(self, name: str) -> pd.DataFrame:
        """A table of any notebook, by its full name (``"07_accuracy"``). Only an empty field is a missing value: a
        class may be called "NA". Raises ``FileNotFoundError`` saying which notebook writes it."""
        path = self.folder / "tables" / f"{name}.csv"
        if not path.is_file():
            number = name.split("_")[0]
            raise FileNotFoundError(
                f"there is no {path}: run notebook {number} first (./run_all.sh {self.profile} --only {number})"
            )
        return pd.read_csv(path, keep_default_na=False, na_values=[""])

    def made_by(self, name: str) -> dict:
        """What the manifest says of a table of any notebook: settings, seeds, data. Raises ``KeyError`` if the notebook
        that writes it has not ended."""
        entries = self._read_manifest()["artefacts"]
        if (path := f"tables/{name}.csv") not in entries:
            raise KeyError(f"{self.manifest_path} does not list {path}: run notebook {name.split('_')[0]} to its end")
        return entries[path]

    def trainings(self) -> pd.DataFrame:
        """One row for each training of the notebooks that have ended: notebook, run, epochs, seconds of training, those
        from before an interruption included, and cpu, threads and precision of the machine that ended the notebook."""
        of_run, of_machine = ["epochs", "seconds"], ["cpu", "threads", "precision"]
        rows = [
            {"notebook": notebook, "run": name}
            | {key: run[key] for key in of_run}
            | {key: entry["machine"].get(key) for key in of_machine}
            for notebook, entry in self._read_manifest()["notebooks"].items()
            for name, run in entry["runs"].items()
        ]
        return pd.DataFrame(rows, columns=["notebook", "run", *of_run, *of_machine])

    def run_dir(self, name: str) -> Path:
        """The folder of one training run of this notebook, for ``fit``."""
        return self.folder / "runs" / f"{self.notebook}_{_checked('run', name)}"

    def _write(self, kind: str, name: str, suffix: str, write) -> None:
        path = f"{kind}/{self.notebook}_{_checked('artefact', name)}{suffix}"
        if not self.writes:
            return
        write_atomically(self.folder / path, write)
        digest = hashlib.sha256((self.folder / path).read_bytes()).hexdigest()
        self._artefacts[path] = {"notebook": self.notebook, "sha256": digest, **copy.deepcopy(self._facts)}

    def _files(self) -> list[str]:
        """This notebook's files on disk, from this run and earlier ones."""
        found = [p for kind in SUFFIXES for p in (self.folder / kind).glob(f"{self.notebook}_*")]
        return [p.relative_to(self.folder).as_posix() for p in found if p.suffix in SUFFIXES[p.parent.name]]

    def _read_manifest(self) -> dict:
        empty = {"notebooks": {}, "artefacts": {}}
        try:
            return {**empty, **json.loads(self.manifest_path.read_text(encoding="utf-8"))}
        except FileNotFoundError:
            return empty
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"{self.manifest_path} is damaged ({error}); remove it and make all results anew: "
                f"./run_all.sh {self.profile} --fresh"
            ) from None

    def _check_data(self, described: list[dict]) -> None:
        """Data of one name, opened in one way, must be one and the same in all notebooks of a profile."""
        for path, entry in self._read_manifest()["artefacts"].items():
            there = entry.get("data") or []
            for old in there if isinstance(there, list) else [there]:
                for new in described:
                    same_way = _without_content(old) == _without_content(new)
                    if entry["notebook"] != self.notebook and same_way and old["fingerprint"] != new["fingerprint"]:
                        raise ValueError(
                            f"the data {new['name']!r} has changed: {path} of notebook {entry['notebook']} was made "
                            f"from fingerprint {old['fingerprint'][:12]}, notebook {self.notebook} now has "
                            f"{new['fingerprint'][:12]}. Make all results anew: ./run_all.sh {self.profile} --fresh, "
                            f"or remove {self.manifest_path} and run the notebooks"
                        )


@contextmanager
def _images_as_they_are(figure: Figure) -> Iterator[None]:
    """Thumbnails go into a PDF with the pixels they have, not enlarged: a third of the size, and no less sharp."""
    images = [(image, image.get_interpolation()) for axes in figure.axes for image in axes.images]
    try:
        for image, _ in images:
            image.set_interpolation("none")
        yield
    finally:
        for image, interpolation in images:
            image.set_interpolation(interpolation)


def _without_content(data: dict) -> dict:
    """How data was opened: its name, split, sample, size and columns - not what was in it."""
    return {name: value for name, value in data.items() if name not in ("fingerprint", "images")}


def _checked(what: str, name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise ValueError(f"{what} {name!r}: use letters, digits, - and _ only, because it becomes a file name")
    return name


def _number(value: float) -> str:
    return f"{value:.0f}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:.6g}"

"""results/: tables, figures and the manifest that says where each came from. Nothing else writes there."""

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryFile

import pandas as pd
from filelock import FileLock
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from fashionlib.machine.files import file_sha256, write_atomically, write_json
from fashionlib.machine.processes import is_main_process

from .latex import latex_table
from .provenance import data_facts, environment, plain

SUFFIXES = {"tables": (".csv", ".tex"), "figures": (".png", ".pdf")}


class Results:
    """What one notebook leaves in ``root/profile``: ``tables/07_name.csv`` and ``.tex``, ``figures/07_name.png`` and
    ``.pdf``, and its entries in ``manifest.json``: an artefact names its notebook (which has commit, versions, machine,
    duration and trainings), and the ``facts`` and ``data`` that it was made from. What many share is written once, in
    ``records``, under a short hash. Of several processes that run a notebook only the main one writes.

    ``notebook`` is a number, ``"07"``. Raises ``OSError`` naming a folder that cannot be written, at once."""

    def __init__(self, root: str | Path, profile: str, notebook: str):
        self.profile, self.notebook = _checked("profile", profile), _checked("notebook", notebook)
        self.folder = Path(root) / profile
        self.manifest_path = self.folder / "manifest.json"
        self._anew = f"Make all results anew: ./run_all.sh {profile} --fresh, or remove {self.manifest_path} before"
        self._artefacts, self._runs, self._records = {}, {}, {}
        self._facts, self._data = {"settings": None, "seeds": None}, []
        self._started = time.perf_counter()
        self.writes = is_main_process()
        for folder in [self.folder / kind for kind in SUFFIXES] if self.writes else ():
            try:
                folder.mkdir(parents=True, exist_ok=True)
                TemporaryFile(dir=folder).close()
            except OSError as error:
                raise OSError(error.errno, f"results cannot be written here ({error.strerror})", str(folder)) from error

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
        png = {"format": "png", "dpi": 150, "metadata": {"Software": None}, "pil_kwargs": {"optimize": True}}
        self._write("figures", name, ".png", lambda file: figure.savefig(file, **png))
        pdf = {"format": "pdf", "metadata": {"CreationDate": None, "Creator": None, "Producer": None}}
        for thumbnail in figure.findobj(AxesImage):
            thumbnail.set_interpolation("none")  # with the pixels it has, not enlarged: a third of the size, as sharp
        with rc_context({"pdf.fonttype": 42, "pdf.compression": 9}):
            self._write("figures", name, ".pdf", lambda file: figure.savefig(file, **pdf))

    def record(self, data=None, runs: Mapping[str, dict] | None = None, **more) -> None:
        """State what the artefacts written from now on come from: ``data`` (an ImageData, or several), ``settings`` (of
        a model, or several by name), ``seeds``, and anything else worth keeping with them. ``runs`` (the ``run_facts``
        of finished trainings, by name) go to the notebook's entry. Raises ``ValueError`` if another notebook of this
        profile was made from other data under the same name."""
        for name, facts in (runs or {}).items():
            self._runs[name] = facts | {"machine": self._keep(facts["machine"])}
        if data is not None:
            described = [data_facts(one) for one in (data if isinstance(data, list | tuple) else [data])]
            self._check_data(described)
            self._data = [self._keep(one) for one in described]
        self._facts |= plain(more)

    def finish(self) -> None:
        """Enter this notebook into the manifest. Other notebooks' entries stay; tables and figures that this one wrote
        in an earlier run and not in this one are removed, so that results are regenerated and never patched."""
        if not self.writes:
            return
        seconds = round(time.perf_counter() - self._started, 1)
        entry = {"seconds": seconds, "environment": self._keep(environment()), "runs": self._runs}
        (self.folder / "runs").mkdir(exist_ok=True)  # which is not committed
        with FileLock(self.folder / "runs" / "manifest.lock", timeout=60):
            notebooks, artefacts, records = self._manifest()
            others = {path: of for path, of in artefacts.items() if of["notebook"] != self.notebook}
            parts = {"notebooks": notebooks | {self.notebook: entry}, "artefacts": others | self._artefacts}
            used = json.dumps(parts)
            parts["records"] = {k: facts for k, facts in (records | self._records).items() if f'"{k}"' in used}
            parts = {name: dict(sorted(part.items())) for name, part in parts.items()}
            write_json(self.manifest_path, {"profile": self.profile, **parts})
            for kind in SUFFIXES:
                for file in (self.folder / kind).glob(f"{self.notebook}_*"):
                    if f"{kind}/{file.name}" not in self._artefacts and file.suffix in SUFFIXES[kind]:
                        file.unlink()

    def once(self, name: str, key: dict, compute: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """A measurement, made once for a key (machine, settings, ...) and found again; ``--fresh`` forgets it."""
        path, key = self.run_dir(name) / "measured.json", plain(key)
        found = json.loads(path.read_text()) if path.exists() else {}
        if found.get("key") != key:
            found = {"key": key, "rows": compute().to_dict("records")}
            if self.writes:
                write_json(path, found)
        return pd.DataFrame(found["rows"])

    def read_table(self, name: str) -> pd.DataFrame:
        """A table of any notebook, by its full name (``"07_accuracy"``). Only an empty field is a missing value: a
        class may be called "NA". Raises ``FileNotFoundError`` saying which notebook writes it."""
        path, run = self.folder / "tables" / f"{name}.csv", f"./run_all.sh {self.profile} --only {name.split('_')[0]}"
        if not path.is_file():
            raise FileNotFoundError(f"there is no {path}: run its notebook first ({run})")
        return pd.read_csv(path, keep_default_na=False, na_values=[""])

    def made_by(self, name: str) -> dict:
        """What the manifest says of a table of any notebook: settings, seeds, data (a list). Raises ``KeyError`` if the
        notebook that writes it has not ended."""
        _, artefacts, records = self._manifest()
        if (path := f"tables/{name}.csv") not in artefacts:
            raise KeyError(f"{self.manifest_path} does not list {path}: run notebook {name.split('_')[0]} to its end")
        return records[artefacts[path]["facts"]] | {"data": [records[key] for key in artefacts[path]["data"]]}

    def trainings(self) -> pd.DataFrame:
        """One row for each training of the notebooks that have ended: the first notebook that has it, run, epochs,
        seconds (those before an interruption included), precision, and the machine it began on: cpu, threads, gpus."""
        notebooks, _, records = self._manifest()
        rows = [
            {"notebook": notebook, "run": name, **run, **records[run["machine"]]}
            for notebook, entry in notebooks.items()
            for name, run in entry["runs"].items()
        ]
        columns = ["notebook", "run", "epochs", "seconds", "precision", "cpu", "threads", "gpus"]
        return pd.DataFrame(rows, columns=columns).drop_duplicates("run", ignore_index=True)

    def run_dir(self, name: str) -> Path:
        """The folder of one training run of this notebook, or of that whose number begins the name, for ``fit``: an
        underscore stands for all but letters, digits and -."""
        name = name if re.match(r"\d\d_", name) else f"{self.notebook}_{name}"
        return self.folder / "runs" / re.sub(r"[^A-Za-z0-9_-]+", "_", name)

    def _keep(self, facts: dict) -> str:
        key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]
        self._records[key] = facts
        return key

    def _write(self, kind: str, name: str, suffix: str, write) -> None:
        path = f"{kind}/{self.notebook}_{_checked('artefact', name)}{suffix}"
        if self.writes:
            write_atomically(self.folder / path, write)
            self.add(path)

    def add(self, path: str) -> None:
        """Enter a file that the notebook has written by itself, such as ``models/seven_labels.pth``."""
        entry = {"notebook": self.notebook, "sha256": file_sha256(self.folder / path)}
        self._artefacts[path] = {**entry, "facts": self._keep(dict(self._facts)), "data": self._data}

    def _manifest(self) -> tuple[dict[str, dict], ...]:
        try:
            read = json.loads(self.manifest_path.read_text(encoding="utf-8"))
            return read["notebooks"], read["artefacts"], read["records"]
        except FileNotFoundError:
            return {}, {}, {}
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{self.manifest_path} is damaged ({error!r}). {self._anew}") from None

    def _check_data(self, described: list[dict]) -> None:
        """Data of one name, opened in one way, must be one and the same in all notebooks of a profile."""
        _, artefacts, records = self._manifest()
        now = {_opened(one): one["fingerprint"] for one in described}
        for path, entry in artefacts.items():
            for old in (records[key] for key in entry["data"]):
                before, new = old["fingerprint"], now.get(_opened(old), old["fingerprint"])
                if entry["notebook"] != self.notebook and new != before:
                    text = f"the data {old['name']!r} has changed: {path} was made from {before[:12]}"
                    raise ValueError(f"{text}, notebook {self.notebook} now has {new[:12]}. {self._anew}")


def _opened(data: dict) -> str:
    """How data was opened: its name, split, sample, size and columns - not what was in it."""
    return json.dumps({k: v for k, v in data.items() if k not in ("fingerprint", "images")}, sort_keys=True)


def _checked(what: str, name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name if isinstance(name, str) else ""):
        raise ValueError(f"{what} {name!r}: text of letters, digits, - and _ is needed, which becomes a file name")
    return name


def _number(value: float) -> str:
    return f"{value:.0f}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:.6g}"

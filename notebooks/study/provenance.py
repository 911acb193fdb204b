"""Where a result comes from: code, libraries, machine, data, trainings - as plain values for a manifest."""

import dataclasses
import json
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import numpy as np

from fashionlib import __version__
from fashionlib.machine.hardware import describe

LIBRARIES = ("torch", "torchvision", "timm", "numpy", "pandas", "scikit-learn", "pillow")


def environment() -> dict[str, object]:
    """The git commit of the code, the versions of what decides numbers, and the machine."""
    versions = {n: version(n) for n in LIBRARIES} | {"fashionlib": __version__, "python": platform.python_version()}
    return {"git": git_state(), "versions": versions, "machine": plain(describe())}


def git_state(folder: Path | None = None) -> dict[str, object]:
    """``commit``, and ``dirty``: whether anything but results/ differs from it. Both None where there is no git."""

    def git(*arguments: str) -> str | None:
        command = ["git", "-C", str(folder or Path(__file__).parent), *arguments]
        try:
            return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
        except (OSError, subprocess.SubprocessError):
            return None

    commit = git("rev-parse", "--verify", "HEAD")
    changes = git("status", "--porcelain", "--", ":/", ":(top,exclude)results") if commit else None
    return {"commit": commit, "dirty": None if changes is None else bool(changes)}


def data_facts(data) -> dict[str, object]:
    """Name, fingerprint, images in each split, and how it was opened, of an ImageData (or a dict that says so)."""
    if isinstance(data, dict):
        return plain(data)
    catalogue = data.catalogue
    counts = catalogue.table["split"].value_counts(sort=False).to_dict()
    columns = [name for name in catalogue.table.columns if name not in ("image", "split")]
    content = {"name": catalogue.name, "fingerprint": data.fingerprint(), "images": counts}
    return plain({**content, **catalogue.facts, "size": data.size, "columns": columns})


def run_facts(run) -> dict[str, object]:
    """What the manifest says of a finished training (a ``training.fit.Run``), wherever and whenever it ran; ``git`` is
    None where ``Study.train`` did not note at which commit."""
    noted, git = json.loads((run.run_dir / "settings.json").read_text()), run.run_dir / "git.json"
    took = {"seconds": round(run.seconds, 1), "epochs": len(run.history), "found": run.found}
    took["git"] = json.loads(git.read_text()) if git.exists() else None
    return took | noted["arithmetic"] | {"machine": noted["machine"]}


def plain(value):
    """The same value in types that JSON knows; a number that is not finite becomes None."""

    def known(value):
        if dataclasses.is_dataclass(value):
            return dataclasses.asdict(value)
        if isinstance(value, np.ndarray | np.generic):
            return value.tolist()
        return list(value) if isinstance(value, set | frozenset) else str(value)

    return json.loads(json.dumps(value, default=known), parse_constant=lambda name: None)

"""Where a result comes from: code, libraries, machine, data, training runs - as plain values for a manifest."""

from __future__ import annotations

import math
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from fashionlib import __version__
from fashionlib.machine.hardware import describe

LIBRARIES = ("torch", "torchvision", "numpy", "pandas", "scikit-learn", "pillow")


def environment() -> dict[str, object]:
    """The git commit of the code, the versions of the libraries, and the machine."""
    return {"git": git_state(), "versions": versions(), "machine": plain(describe())}


def git_state(folder: Path | None = None) -> dict[str, object]:
    """``commit``, and ``dirty``: whether anything but results/ differs from it. Both None where there is no git."""
    folder = folder or Path(__file__).resolve().parent
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--", ":/", ":(top,exclude)results") if commit else None
    return {"commit": commit, "dirty": None if changes is None else bool(changes)}


def versions() -> dict[str, str | None]:
    """Of Python, the libraries that decide numbers, and this one."""
    found = {"python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            found[library] = None
    return {**found, "fashionlib": __version__}


def data_facts(data) -> dict[str, object]:
    """Name, fingerprint, images in each split, and how it was opened, of a Catalogue or an ImageData (or a dict that
    says so already)."""
    if isinstance(data, dict):
        return plain(data)
    catalogue = getattr(data, "catalogue", data)
    size = {} if catalogue is data else {"size": list(data.size)}
    fingerprint = catalogue.fingerprint if catalogue is data else data.fingerprint()
    counts = catalogue.table["split"].value_counts(sort=False).to_dict()
    columns = [name for name in catalogue.table.columns if name not in ("image", "split")]
    opened = {**catalogue.facts, **size, "columns": columns}
    return plain({"name": catalogue.name, "fingerprint": fingerprint, "images": counts, **opened})


def run_facts(run) -> dict[str, object]:
    """What the manifest says of a finished training (a ``training.Run``)."""
    return {"seconds": round(run.seconds, 1), "epochs": len(run.history), "found": run.found}


def plain(value):
    """The same value in types that JSON knows; a number that is not finite becomes None."""
    if hasattr(value, "to_dict"):
        value = value.to_dict()
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset | np.ndarray):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()

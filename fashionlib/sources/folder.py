"""A folder of photos, sorted into a folder for each class, as a Catalogue."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from ..data.catalogue import REJECTED, SPLITS, Catalogue, CatalogueError
from ..shop.photos import printable
from ..data.splits import random_split
from ..tasks import SingleLabel
from .table import SYNONYMS
from .table_files import TableImages

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def open_folder(path: str | Path, *, seed: int = 42) -> Catalogue:
    """The catalogue of the photos below a folder: ``dress/1.jpg``, or ``train/dress/1.jpg`` where every folder at the
    top is a split (``train``, ``val``, ``test``, ``query``, ``gallery``). The class becomes the column and task
    ``category``; folders below it do not matter.

    Without folders of splits, photos are split 70/15/15 within each class. Hidden files are ignored; a file that lies
    in no class, is not JPEG, PNG or WebP by its name, has a name that is not UTF-8, or leads out of the folder, is
    rejected with its reason. Raises ``CatalogueError`` if no photo is left, or where only some of the folders at the
    top are splits.
    """
    root = Path(path)
    top = sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    depth = 2 if _are_splits(root, top) else 1
    rows, rejected = [], []
    for location in _locations(root):
        parts = location.split("/")
        if (name := printable(location)) != location:
            rejected.append((str(root), None, name, "a name that is not UTF-8; rename it"))
        elif len(parts) <= depth:
            rejected.append((str(root), None, location, "lies in no folder that names a class"))
        elif not parts[-1].lower().endswith(SUFFIXES):
            rejected.append((str(root), None, location, f"not {', '.join(SUFFIXES)} by its name"))
        elif not os.path.realpath(root / location).startswith(os.path.realpath(root) + os.sep):
            rejected.append((str(root), None, location, "a link out of the folder"))
        else:
            rows.append((location, parts[depth - 1], parts[0]))
    if not rows:
        raise CatalogueError(f"{root}: no photo ({', '.join(SUFFIXES)}) in a folder named for its class: dress/1.jpg")
    table = pd.DataFrame(rows, columns=["image", "category", "split"], dtype=object)
    if depth == 1:
        try:
            table["split"] = random_split(table["category"], seed)
        except ValueError as error:
            raise CatalogueError(f"{root}: {error}; or sort them into train/, val/ and test/") from None
    return Catalogue(
        table=table,
        tasks=[SingleLabel("category")],
        images=TableImages(root, table["image"]),
        name=root.resolve().name,
        rejected=pd.DataFrame(rejected, columns=REJECTED),
        facts={"split": "given"} if depth == 2 else {"split": "random", "split_seed": seed},
    )


def _are_splits(root: Path, top: list[str]) -> bool:
    """Whether the folders at the top are splits."""
    meant = {name: SYNONYMS.get(name.lower(), name.lower()) for name in top}
    if not (set(top) & set(SPLITS) or top and set(meant.values()) <= set(SPLITS)):
        return False
    for name in top:
        if name not in SPLITS:
            hint = f": rename {name!r} to {meant[name]!r}" if meant[name] in SPLITS else f"; {name!r} is none"
            raise CatalogueError(f"{root}: all folders at the top must be splits ({', '.join(SPLITS)}), or none{hint}")
    return True


def _locations(root: Path, below: str = "") -> list[str]:
    """The paths of the files below a folder, hidden ones apart, in the order of their names; a link to a folder is a
    file."""
    found = []
    with os.scandir(root / below) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.startswith("."):
                continue
            location = f"{below}{entry.name}"
            found += _locations(root, f"{location}/") if entry.is_dir(follow_symlinks=False) else [location]
    return found

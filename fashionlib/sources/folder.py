"""A folder of photos, sorted into a folder for each class, as a Catalogue."""

from pathlib import Path

import pandas as pd

from ..data.catalogue import REJECTED, SPLITS, Catalogue, CatalogueError
from ..data.files import all_files
from ..data.images import FolderImages
from ..tasks import SingleLabel
from .table import fault, new_split, nothing_left, split_name

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def open_folder(path: str | Path, *, seed: int = 42) -> Catalogue:
    """The catalogue of the photos below a folder: ``dress/1.jpg``, or ``train/dress/1.jpg`` where every folder at the
    top is a split (see ``split_name``). The class becomes the column and task ``category``; folders below it do not
    matter. Without splits, photos are split 70/15/15 within each class.

    Rejected is a file, hidden ones apart, that is in no class, not JPEG, PNG or WebP by its name, whose name is not
    UTF-8, or that leads out of the folder or to a file that is there already, and a folder that cannot be searched.
    Raises ``CatalogueError`` if no photo is left, or where only some of the folders at the top are splits."""
    root, rows, rejected, seen = Path(path).resolve(), [], [], {}
    splits = _splits(root)
    for name, file in all_files(root):
        *folders, photo = name.split("/")
        if not isinstance(file, Path):
            reason = str(file).removeprefix(f"{name}: ")
        elif file.relative_to(root).as_posix() != name:
            reason = "a name that is not UTF-8, or holds control characters; rename it"
        elif len(folders) < 1 + bool(splits):
            reason = "lies in no folder that names a class"
        elif not photo.lower().endswith(SUFFIXES):
            reason = f"not {', '.join(SUFFIXES)} by its name"
        elif (before := seen.setdefault(file.resolve(), name)) != name:
            reason = f"the same file as {before!r}, through a link"
        elif not (reason := fault(root, name, name)):
            rows.append((name, folders[bool(splits)], splits.get(folders[0])))
            continue
        rejected.append((str(root), None, name, reason))
    table = pd.DataFrame(rows, columns=["image", "category", "split"], dtype=object)
    rejected = pd.DataFrame(rejected, columns=REJECTED)
    if table.empty:
        raise nothing_left(f"{root}: no photo in a folder named for its class, as dress/1.jpg is", rejected)
    if not splits:
        table["split"] = new_split(table, "category", seed, str(root), "sort them into train/, val/ and test/")
    facts = {"split": "given"} if splits else {"split": "random", "split_seed": seed}
    return Catalogue(table, [SingleLabel("category")], FolderImages(root, table["image"]), root.name, rejected, facts)


def _splits(root: Path) -> dict[str, str]:
    """The split that each folder at the top is; none where they are classes, and ``training`` may be a kind of shoe."""
    top = sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    splits = {name: split_name(name) for name in top if split_name(name) in SPLITS}
    other, names = next((name for name in top if name not in splits), None), ", ".join(SPLITS)
    if other and (len(splits) > 1 or any(name.lower() in SPLITS for name in splits)):
        raise CatalogueError(f"{root}: all folders at the top must be splits ({names}), or none; {other!r} is none")
    return {} if other else splits

"""A table of your own, CSV or parquet, as a Catalogue: one row per photo, and the columns that you name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ..data.catalogue import REJECTED, SPLITS, Catalogue, CatalogueError
from ..data.splits import grouped_split, random_split
from ..tasks import MultiLabel, Similarity, SingleLabel
from .table_files import TableImages, as_text, locate, read_table

SYNONYMS = {"training": "train", "valid": "val", "validation": "val", "dev": "val", "testing": "test"}


def open_table(
    path: str | Path,
    images: str | Path | None = None,
    category: str | None = None,
    attributes: str | Sequence[str] | None = None,
    item: str | None = None,
    split: str | None = None,
    image: str = "image",
    labels: Sequence[str] = (),
    separator: str = ";",
    seed: int = 42,
) -> Catalogue:
    """The catalogue of a table of photos.

    Parameters
    ----------
    path: of the ``.csv`` (commas, a header, UTF-8) or ``.parquet`` file.
    images: the folder that the paths in the table start from, as it is given or else seen from the table's folder;
        without it, the table's folder.
    category: the column of one class per image; becomes the column and task ``category``.
    attributes: a list of columns, whose values become classes ``column:value`` of the group ``column``; an empty cell
        says that nobody looked, and masks the classes of its column in that row. Or the one column that holds
        ``"a;b;c"``, where an empty cell masks the whole row. A cell of the separator alone says that none applies.
        Becomes the column and task ``attributes``.
    item: the column of the product that an image shows, such as its article number; becomes the column and task
        ``item``.
    split: the column of ``train``, ``val``, ``test`` (or ``query``, ``gallery``). Without it, rows are split 70/15/15
        within each category, with all images of an item on one side.
    image: the column of paths.
    labels: more columns of one class per image; each becomes a task of its name.
    separator: what parts several attributes in one cell.
    seed: of the split.

    Labels become text, 3 and 3.0 alike; empty cells are missing. A row is rejected, with its reason, that names no
    image, one outside the folder, one that is not there or one that a row before it has, or no split where the others
    do. Raises ``CatalogueError`` for a file, a column or a value that does not fit, or if no row is left.
    """
    path = Path(path)
    labels = (labels,) if isinstance(labels, str) else tuple(labels)
    made_of = {"image": image, "category": category, "attributes": attributes, "item": item, "split": split}
    table, rejected = read_table(path)
    _check_columns(path, table, made_of, labels)

    folder = _folder(path, images)
    locations, reasons = locate(as_text(table[image]), folder)
    table["image"] = locations
    if split:
        table["split"] = _given_split(as_text(table[split]), path)
        reasons = reasons.mask(reasons.isna() & table["split"].isna(), f"no split in column {split!r}")
    table, rejected = _without(table, reasons, rejected, path)

    for target, name in {"category": category, "item": item, **dict(zip(labels, labels, strict=True))}.items():
        if name:
            table[target] = as_text(table[name])
    if attributes:
        table["attributes"] = _attributes(table, attributes, separator, path)
    if not split:
        by = "category" if category else next(iter(labels), None)
        table["split"] = _new_split(table, by, bool(item), seed, path)
    tasks = [SingleLabel("category")] * bool(category) + [MultiLabel("attributes")] * bool(attributes)
    return Catalogue(
        table=table,
        tasks=[*tasks, *map(SingleLabel, labels), *[Similarity("item")] * bool(item)],
        images=TableImages(folder, table["image"]),
        name=path.stem,
        rejected=rejected,
        facts={"split": "given"} if split else {"split": "grouped" if item else "random", "split_seed": seed},
    )


def _check_columns(path: Path, table: pd.DataFrame, made_of: dict, labels: tuple[str, ...]) -> None:
    """Every column that is named is there, and none that is there would be overwritten by another."""
    if not (labels or any(made_of[name] for name in ("category", "attributes", "item"))):
        raise CatalogueError(f"{path}: nothing to learn; name at least one of category=, attributes=, item=, labels=")
    there = ", ".join(table.columns)
    for target, named in {**made_of, "labels": labels}.items():
        for column in [named] if isinstance(named, str) else named or ():
            if column not in table:
                raise CatalogueError(f"{path}: no column {column!r}, which {target}= names; the table has {there}")
    for label in labels:
        if not label.isidentifier():
            raise CatalogueError(f"{path}: column {label!r} cannot name a task; rename it, with letters, digits and _")
    for target, named in made_of.items():
        if target in table and named != target and (named or target == "split"):
            raise CatalogueError(
                f"{path}: the table has a column {target!r}, which this catalogue makes "
                f"{f'of {named!r}' if named else 'itself'}; rename it, or use it with {target}={target!r}"
            )


def _folder(path: Path, images: str | Path | None) -> Path:
    """Where the paths in the table start."""
    candidates = [path.parent] if images is None else [Path(images), path.parent / images]
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise CatalogueError(f"{path}: no folder of images, neither {' nor '.join(map(str, candidates))}")


def _without(table: pd.DataFrame, reasons: pd.Series, rejected: pd.DataFrame, path: Path):
    """(the rows that can be used, all that are rejected)."""
    good = reasons.isna()
    if not good.any():
        first = f"; the first, row {reasons.index[0]}: {reasons.iloc[0]}" if len(reasons) else ""
        raise CatalogueError(f"{path}: none of its {len(table) + len(rejected)} rows can be used{first}")
    bad = table[~good]
    gone = {"source": str(path), "row": bad.index, "image": bad["image"], "reason": reasons[~good]}
    rejected = pd.concat([rejected, pd.DataFrame(gone, columns=REJECTED)])
    return table[good].copy(), rejected.sort_values("row", kind="stable", ignore_index=True)


def _attributes(table: pd.DataFrame, named: str | Sequence[str], separator: str, path: Path) -> pd.Series:
    """The text of a ``MultiLabel`` for each row: that of one column, or of several with their names before it."""
    cells, unknown = {}, {}
    for name in [named] if isinstance(named, str) else named:
        prefix = "" if isinstance(named, str) else f"{name}:"
        column = as_text(table[name])
        cells[name] = [None if text is None else _classes(text, prefix, separator) for text in column]
        unknown[name] = sorted({f"?{label}" for cell in cells[name] if cell for label in cell})
    texts = []
    for row, parts in zip(table.index, zip(*cells.values(), strict=True), strict=True):
        known = [unknown[name] if part is None else part for name, part in zip(cells, parts, strict=True)]
        found = dict.fromkeys(label for part in known for label in part)
        if wrong := [label for label in found if ";" in label]:
            raise CatalogueError(f"{path}: row {row} has the attribute {wrong[0]!r}; a name must not hold ';'")
        texts.append(None if all(part is None for part in parts) else ";".join(found))
    return pd.Series(texts, index=table.index, dtype=object)


def _classes(text: str, prefix: str, separator: str) -> list[str]:
    return [prefix + piece.strip() for piece in text.split(separator) if piece.strip()]


def _given_split(column: pd.Series, path: Path) -> pd.Series:
    for row, value in column[~column.isin([*SPLITS, None])].items():
        meant = SYNONYMS.get(value.lower(), value.lower())
        hint = f"; write {meant!r}" if meant in SPLITS else ""
        raise CatalogueError(f"{path}: row {row} has the split {value!r}, which is not among {', '.join(SPLITS)}{hint}")
    return column


def _new_split(table: pd.DataFrame, by: str | None, grouped: bool, seed: int, path: Path):
    """70/15/15 within the classes of a column, images of one item on one side; an image without an item is one."""
    strata = table[by] if by else pd.Series("", index=table.index)
    try:
        if not grouped:
            return random_split(strata, seed)
        return grouped_split(table["item"].fillna("\0" + table["image"]), strata, seed)
    except ValueError as error:
        raise CatalogueError(f"{path}: {error} (items, where there are any); or name a column with split=") from None

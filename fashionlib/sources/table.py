"""A table of your own, CSV or parquet, as a Catalogue: one row per photo, and the columns that you name."""

import csv
import io
import os
import re
import unicodedata
import warnings
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import pandas as pd

from ..cells import as_text, parts, plain
from ..data.catalogue import REJECTED, SPLITS, Catalogue, CatalogueError
from ..data.files import stays_inside
from ..data.images import FolderImages
from ..data.splits import grouped_split, random_split
from ..tasks import MultiLabel, Similarity, SingleLabel

COLUMNS = {"image": "image", "category": None, "attributes": None, "item": None, "split": None, "labels": ()}
SYNONYMS = {"training": "train", "valid": "val", "validation": "val", "dev": "val", "testing": "test"}


def open_table(
    path: str | Path, images: str | Path | None = None, *, separator: str = ";", seed: int = 42, **columns
) -> Catalogue:
    """The catalogue of a table of photos: a ``.csv`` (commas, a header, UTF-8) or ``.parquet`` file, of which columns
    of lists, structs and bytes are left out. What a cell means: ``cells.as_text``. The paths in it start from the
    folder ``images``, as it is given or else seen from the table's folder; without it, from the table's folder.

    ``columns`` are the options that name columns. ``image``: paths. ``category``: one class per image. ``attributes``:
    a list of columns, whose values become classes ``column:value`` of the group ``column``, and where an empty cell
    says that nobody looked and masks these classes in its row; or one column that holds ``"a;b;?c"`` (or has another
    ``separator``; see ``MultiLabel``). A cell of the separator alone says that none applies. ``item``: the product that
    an image shows. ``split``: see ``split_name``; without it, rows are split 70/15/15 by the ``seed`` within each
    category, all images of an item on one side. ``labels``: further columns of one class per image, each a task of its
    name; the others become ``category``, ``attributes`` and ``item``.

    A row is rejected that has more or fewer fields than the header, names no image, one outside the folder, one that is
    not there or one that a row before it has, or no split where others do. Rows are numbered as in a spreadsheet (a CSV
    begins with row 2) or a DataFrame (parquet, with 0). Raises ``CatalogueError`` for what does not fit or if no row is
    left, and ``TypeError`` for an unknown option."""
    if unknown := [name for name in columns if name not in COLUMNS]:
        raise TypeError(f"{path}: no option {unknown[0]!r}; there are images, separator, seed, {', '.join(COLUMNS)}")
    path, named = Path(path), COLUMNS | columns
    named["labels"] = [named["labels"]] if isinstance(named["labels"], str) else list(named["labels"] or ())
    image, category, attributes, item, split, labels = named.values()
    if not path.is_file() or path.suffix.lower() not in (".csv", ".txt", ".parquet"):
        raise CatalogueError(f"{path}: no such table; give a .csv (UTF-8) or .parquet file")
    table, wrong, nested = (_read_parquet if path.suffix.lower() == ".parquet" else _read_csv)(path)
    _check_columns(path, table, named, nested)
    folder = next((f for f in (Path(images or path.parent), path.parent / (images or "")) if f.is_dir()), None)
    if folder is None:
        raise CatalogueError(f"{path}: no folder of images, {Path(images).absolute()} or {path.parent / images}")
    given = as_text(table[split]) if split else pd.Series("", table.index)
    table["image"], reasons = map(_locate(table[image], folder, given.isna()).get, ("image", "reason"))
    if split:
        table["split"] = given.map(split_name, na_action="ignore")
        for row, text in given[~table["split"].isin([*SPLITS, None])].items():
            raise CatalogueError(f"{path}: row {row} has the split {text!r}, which is not among {', '.join(SPLITS)}")
        reasons = reasons.mask(reasons.isna() & given.isna(), f"no split in column {split!r}")
    gone = table.assign(source=str(path), row=table.index, reason=reasons)[reasons.notna()][list(REJECTED)]
    rejected = pd.concat([pd.DataFrame(wrong, columns=REJECTED), gone]).sort_values("row", ignore_index=True)
    table = table[reasons.isna()].copy()
    if table.empty:
        raise nothing_left(f"{path}: none of its {len(rejected):,} rows can be used", rejected)
    for target, column in {"category": category, "item": item, **{label: label for label in labels}}.items():
        if column:
            table[target] = table[column]
    if item and (negative := as_text(table["item"]).str.fullmatch(r"-\d+", na=False)).any():
        raise CatalogueError(f"{path}: row {negative.idxmax()} has a negative {item!r}; leave it empty if not known")
    if attributes:
        table["attributes"] = _attributes(table, attributes, separator, path)
    facts = {"split": "given"} if split else {"split": "grouped" if item else "random", "split_seed": seed}
    if not split:
        by = "category" if category else next(iter(labels), None)
        read = table.assign(**{name: as_text(table[name]) for name in (by, item and "item") if name})
        table["split"] = new_split(read, by, seed, str(path), "name a column with split=", bool(item))
    tasks = [SingleLabel("category")] * bool(category) + [MultiLabel("attributes")] * bool(attributes)
    tasks += [*map(SingleLabel, labels), *[Similarity("item")] * bool(item)]
    return Catalogue(table, tasks, FolderImages(folder, table["image"]), path.stem, rejected, facts)


def split_name(text: str) -> str:
    """``train``, ``val``, ``test``, ``query``, ``gallery`` or another name of these (``SYNONYMS``), in any case."""
    return SYNONYMS.get(text.lower(), text.lower())


def fault(folder: Path, location: str, path: str) -> str | None:
    """Why a path cannot be used, whose place in a folder is ``location``."""
    if not stays_inside(folder, location):
        return f"the {'link' if (folder / location).is_symlink() else 'path'} {path!r} leaves the folder {folder}"
    return None if os.path.isfile(folder / location) else f"no file {path!r} in {folder}"


def nothing_left(what: str, rejected: pd.DataFrame) -> CatalogueError:
    """What to raise where all rows are rejected: how many for each kind of reason, and the first of each."""
    kinds = rejected.groupby(rejected["reason"].str.replace(r"'.*?'|[0-9]+", "", regex=True), sort=False)
    firsts = sorted(((len(rows), *rows.iloc[0]) for _, rows in kinds), key=lambda kind: -kind[0])
    each = [f"{n:,} like {image if pd.isna(row) else f'row {row}'}: {why}" for n, _, row, image, why in firsts]
    return CatalogueError("; ".join([what, *each]))


def new_split(table: pd.DataFrame, by: str | None, seed: int, source: str, advice: str, items: bool = False):
    """70/15/15 within the classes of a column, images of one item on one side; an image without an item is one."""
    strata = table[by] if by else [""] * len(table)
    try:
        return grouped_split(table["item"], strata, seed) if items else random_split(strata, seed)
    except ValueError as error:
        raise CatalogueError(f"{source}: {error}{' (items, where there are any)' * items}; or {advice}") from None


def read_text(path: Path) -> str:
    """A text file in UTF-8, with the mark that Excel begins it with or not. Raises ``CatalogueError`` for another."""
    try:
        text = (content := path.read_bytes()).decode("utf-8-sig")
    except OSError as error:
        raise CatalogueError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise CatalogueError(f"{path} line {line}: not UTF-8 text ({error.reason}); save it as CSV UTF-8") from None
    if "\0" in text:
        raise CatalogueError(f"{path}: not UTF-8 text (it holds zero bytes, as UTF-16 does); save it as CSV UTF-8")
    return text


def _read_csv(path: Path) -> tuple[pd.DataFrame, list, dict]:
    """By Python's own parser: that of pandas drops rows of too many fields, and fills those of too few."""
    try:
        reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True, skipinitialspace=True)
        header = [plain(name) for name in next(filter(None, reader), [])]  # no blank lines
        rows = {number: fields for number, fields in enumerate(reader, start=reader.line_num + 1) if fields}
    except csv.Error as error:
        raise CatalogueError(f"{path}: no CSV at or before line {reader.line_num} ({error}); a lone quote?") from None
    if (n := len(header)) < 2:
        found = f"one column, {header[0]!r}" if header else "empty"
        raise CatalogueError(f"{path}: {found}; a CSV has commas (not ';') between columns: an image, labels")
    good = {row: fields for row, fields in rows.items() if len(fields) == n}
    bad = [(str(path), row, None, f"has {len(rows[row])} fields instead of {n}") for row in rows if row not in good]
    if tall := [row for row, fields in good.items() if any("\n" in field.strip() for field in fields)]:
        warnings.warn(f"{path}: {len(tall):,} rows, first {tall[0]}, span several lines: a lone quote?", stacklevel=4)
    return pd.DataFrame.from_dict(good, orient="index", columns=header, dtype=object), bad, {}


def _read_parquet(path: Path) -> tuple[pd.DataFrame, list, dict]:
    import pyarrow
    import pyarrow.parquet as pq

    try:
        types = {field.name: str(field.type) for field in pq.read_schema(path)}
        nested = {name: kind for name, kind in types.items() if re.match(".*(list|binary)|struct|map", kind)}
        table = pq.ParquetFile(path).read(columns=[name for name in types if name not in nested])
        table.validate(full=True)
        return table.to_pandas(ignore_metadata=True, integer_object_nulls=True), [], nested  # the index, too
    except (pyarrow.ArrowException, OSError, ValueError) as error:  # a damaged page, a date before all others
        raise CatalogueError(f"{path}: not a whole parquet file ({error})") from None


def _locate(paths: pd.Series, folder: Path, left_out: pd.Series) -> pd.DataFrame:
    """``image``, each path from the folder, and ``reason``, why it cannot be used; a ``left_out`` row bars no other."""
    found, seen, root = [], {}, folder.resolve()
    for row, path in paths.items():
        path = None if pd.isna(path) else str(path).strip()
        for form in ("NFC", "NFD"):  # macOS writes é in two parts
            other = unicodedata.normalize(form, path or "")
            if path and not os.path.isfile(root / path) and os.path.isfile(root / other):
                path = other
        location = path and os.path.relpath(root / path, root).replace(os.sep, "/")
        reason = fault(root, location, path) if path else "names no image"
        if not (reason or left_out[row]) and (before := seen.setdefault(os.path.realpath(root / path), row)) != row:
            reason = f"names {path!r} again, which row {before} had before"
        found.append((location, reason))
    return pd.DataFrame(found, paths.index, ["image", "reason"], dtype=object)


def _check_columns(path: Path, table: pd.DataFrame, named: dict, nested: dict) -> None:
    """Every column that is named is there, once, and none that is there would be overwritten by another."""
    if not any(named[name] for name in ("category", "attributes", "item", "labels")):
        raise CatalogueError(f"{path}: nothing to learn; name at least one of category=, attributes=, item=, labels=")
    if (twice := table.columns[table.columns.duplicated()]).any():
        raise CatalogueError(f"{path}: two columns are called {twice[0]!r}; rename one")
    if wrong := [n for n in ("image", "category", "item", "split") if not isinstance(named[n] or "", str)]:
        raise CatalogueError(f"{path}: {wrong[0]}= names one column, and {named[wrong[0]]!r} is no name")
    for target, names in named.items():
        for column in [names] if isinstance(names, str) else names or ():
            if column == "item" and target not in ("item", "image"):
                raise CatalogueError(f"{path}: the column 'item' says which product it is, not its {target}; rename it")
            if column in nested:
                advice = "join lists with ';', write photos to files and name these"
                raise CatalogueError(f"{path}: column {column!r}, which {target}= names, is {nested[column]}; {advice}")
            if column not in table:
                raise CatalogueError(f"{path}: no column {column!r}, which {target}= names; it has {', '.join(table)}")
            if target == "attributes" and column != names and (";" in column or column.startswith("?")):
                raise CatalogueError(f"{path}: column {column!r} cannot name attributes: ';' and '?' have a meaning")
            cells = table[column].items() if path.suffix.lower() == ".csv" and target != "attributes" else ()
            if row := next((row for row, cell in cells if "\n" in cell.strip()), None):
                raise CatalogueError(f"{path}: row {row}: column {column!r} goes over several lines; a lone quote?")
            if target == "labels" and not column.isidentifier():
                raise CatalogueError(f"{path}: column {column!r} cannot name a task; rename it: letters, digits and _")
        meant = names or target == "split" or target == "item" and not named["split"]  # the split would not keep it
        if target in table and target not in ("labels", names) and meant:
            what = f"{target!r}, which this catalogue makes {f'of {names!r}' if names else 'itself'}; rename it"
            raise CatalogueError(f"{path}: the table has a column {what}, or use it with {target}={target!r}")


def _attributes(table: pd.DataFrame, named: str | Sequence[str], separator: str, path: Path) -> pd.Series:
    """The text of a ``MultiLabel`` for each row: that of one column, or of several with their names before it."""
    cells, known = [], False
    for name in [named] if isinstance(named, str) else named:
        prefix, texts = "" if isinstance(named, str) else f"{name}:", as_text(table[name])
        if separator != ";":  # replaced before blanks are: it may be a line's end
            if (wrong := texts[texts.str.contains(";", na=False)]).any():
                raise CatalogueError(f"{path}: row {wrong.index[0]}: a name must not hold ';': {wrong.iloc[0]!r}")
            texts = as_text(table[name].map(lambda c: c.replace(separator, ";") if isinstance(c, str) else c))
        said = [["?"] if text is None else parts(text) for text in texts]
        named_so = [[f"?{prefix}{p[1:]}" if p[0] == "?" else prefix + p for p in row if p != "?"] for row in said]
        unknown = sorted({f"?{label.removeprefix('?')}" for row in named_so for label in row})
        rows = zip(named_so, said, strict=True)
        cells.append([row + [u for u in unknown if "?" in of and u[1:] not in row] for row, of in rows])
        known |= texts.notna()
    texts = [";".join(dict.fromkeys(chain(*labels))) for labels in zip(*cells, strict=True)]
    return pd.Series(texts, table.index, dtype=object).where(known, None)

"""Tables of the user's own as they lie on disk, CSV or parquet, and the image files that they name."""

from __future__ import annotations

import csv
import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..data.catalogue import REJECTED, CatalogueError
from ..data.images import FolderImages


def read_table(path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(table, rejected rows). The index is the row's number: in a CSV that of a spreadsheet program, where the header
    is row 1; in a parquet file that of a DataFrame, from 0.

    A CSV has commas, a header and UTF-8 text; its rows with more or fewer fields than the header are rejected. Of a
    parquet file, columns of lists, structs and bytes are not read. Raises ``CatalogueError`` for a file that is not
    such a table, with what to do.
    """
    if not path.is_file():
        raise CatalogueError(f"{path}: no such table")
    table, rejected = _read_parquet(path) if path.suffix.lower() == ".parquet" else _read_csv(path)
    twice = table.columns[table.columns.duplicated()]
    if len(twice):
        raise CatalogueError(f"{path}: two columns are called {twice[0]!r}; rename one")
    return table, pd.DataFrame(rejected, columns=REJECTED)


def _read_csv(path: Path) -> tuple[pd.DataFrame, list]:
    rows, numbers, rejected = [], [], []
    try:
        with open(path, encoding="utf-8-sig", newline="") as lines:  # Excel begins UTF-8 with a mark of its own
            reader = csv.reader(lines, strict=True)
            header = [name.strip() for name in next(reader, [])]
            if len(header) < 2:
                raise CatalogueError(
                    f"{path}: {f'one column, {header[0]!r}' if header else 'empty'}; a CSV has commas between its "
                    "columns, and needs one for the image and one for a label"
                )
            for number, fields in enumerate(reader, start=2):
                if not fields:  # a blank line
                    continue
                if len(fields) == len(header):
                    rows.append(fields)
                    numbers.append(number)
                else:
                    reason = f"row {number} (line {reader.line_num}) has {len(fields)} fields instead of {len(header)}"
                    rejected.append((str(path), number, None, reason))
    except UnicodeDecodeError as error:
        raise CatalogueError(f"{path}: not UTF-8 text ({error}); save it as CSV UTF-8") from None
    except csv.Error as error:
        raise CatalogueError(
            f"{path}: not a CSV at or before line {reader.line_num} ({error}); look for a lone quote"
        ) from None
    return pd.DataFrame(rows, columns=header, index=numbers, dtype=object), rejected


def _read_parquet(path: Path) -> tuple[pd.DataFrame, list]:
    import pyarrow
    import pyarrow.parquet as pq
    from pyarrow import types

    try:
        fields = pq.read_schema(path)
        bytes_ = (types.is_binary, types.is_large_binary, types.is_fixed_size_binary)
        flat = [f.name for f in fields if not types.is_nested(f.type) and not any(is_(f.type) for is_ in bytes_)]
        return pq.read_table(path, columns=flat).to_pandas(ignore_metadata=True), []  # an index is a column too
    except pyarrow.ArrowInvalid as error:
        raise CatalogueError(f"{path}: not a whole parquet file ({error})") from None


def as_text(column: pd.Series) -> pd.Series:
    """Labels as text without blanks around them; None for what is missing or empty.

    Whole numbers are written without a point even where the column holds some as 3.0, as it does after a round through
    pandas with a value missing.
    """
    present = column.notna().to_numpy()
    texts = column[present].astype(str).str.strip()
    if texts.map(lambda text: bool(re.fullmatch(r"([+-]?\d+(\.0+)?)?", text))).all():
        texts = texts.str.replace(r"\.0+$", "", regex=True)
    values = np.full(len(column), None, dtype=object)
    values[present] = [text or None for text in texts]
    return pd.Series(values, index=column.index, name=column.name, dtype=object)


class TableImages(FolderImages):
    """The files below a folder that a table names; whatever else is written into the folder does not count."""

    def __init__(self, root: str | Path, locations: Sequence[str]):
        super().__init__(root)
        self.locations = sorted(locations)

    @property
    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for location in self.locations:
            stat = os.stat(self.root / location)
            digest.update(os.fsencode(f"{location}\0{stat.st_size}\0{stat.st_mtime_ns}\n"))
        return digest.hexdigest()


def locate(paths: pd.Series, folder: Path) -> tuple[pd.Series, pd.Series]:
    """(locations, reasons): each path as one relative to the folder, and why a row cannot be used, None where it can.

    A row needs a path that stays in the folder, names a file there, and that no row before it named.
    """
    root = folder.resolve()
    locations, reasons, seen = {}, {}, {}
    for row, path in paths.items():
        location = None if path is None else os.path.relpath(os.path.join(root, path), root).replace(os.sep, "/")
        locations[row], reasons[row] = location, None
        if path is None:
            reasons[row] = "names no image"
        elif "\0" in path or not os.path.realpath(root / location).startswith(str(root) + os.sep):
            reasons[row] = f"the path {path!r} leaves the folder {folder}"
        elif not os.path.isfile(root / location):
            reasons[row] = f"no file {path!r} in {folder}"
        elif location in seen:
            reasons[row] = f"names {path!r} again, which row {seen[location]} had before"
        else:
            seen[location] = row
    return pd.Series(locations, dtype=object), pd.Series(reasons, dtype=object)

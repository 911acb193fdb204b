"""The list files of DeepFashion (Liu et al., 2016), read strictly.

Most begin with a line that counts the rows and a line that names the columns; those of the fine annotation hold rows
alone. Real copies pad columns, and some the header, with spaces. Only the names of categories and attributes hold
spaces themselves; there the last word of a line is the second field. Errors (``CatalogueError``) name file and line."""

import csv
import io
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

import numpy as np
import pandas as pd

from ..cells import plain
from ..data.catalogue import CatalogueError
from .table import read_text

LIMIT = 1_000_000  # of any number, a box's corner among them
IMAGE_FOLDER = "img/"  # with which every image's path begins


@dataclass(frozen=True)
class ListFile:
    """``table`` holds a file's rows as text; its index is the number of the line."""

    path: Path
    table: pd.DataFrame

    def error(self, line: int, reason: str) -> CatalogueError:
        """An error that names file and line."""
        return CatalogueError(f"{self.path} line {line}: {reason}")

    def refuse(self, wrong: pd.Series, values: pd.Series, reason: str) -> None:
        """Raise where a row is wrong; ``reason`` says it of the first one's value."""
        if wrong.any():
            raise self.error(wrong.idxmax(), reason.format(values[wrong.idxmax()]))

    def images(self) -> pd.Series:
        """The first column: the paths of the images, none of them twice, all below ``img/``."""
        images = self.table.iloc[:, 0]
        reason = f"the image {{!r}} does not begin with {IMAGE_FOLDER!r}, letter for letter, as all do"
        self.refuse(~images.str.startswith(IMAGE_FOLDER), images, reason)
        if (twice := images.duplicated()).any():
            line = (images == images[twice.idxmax()]).idxmax()
            self.refuse(twice, images, f"the image {{}} is already in line {line}")
        return images

    def choices(self, column: str, allowed: Collection[str]) -> list[str]:
        """A column that only holds some words."""
        values = self.table[column]
        self.refuse(~values.isin(list(allowed)), values, f"{{!r}} is none of {', '.join(allowed)}")
        return values.tolist()

    def integers(self, start: int, lowest: int = -LIMIT, highest: int = LIMIT) -> np.ndarray:
        """The columns from ``start`` on as int64 (N, columns), each from ``lowest`` to ``highest``."""
        columns = self.table.iloc[:, start:]
        for column in (columns[name] for name in columns):
            self.refuse(~column.str.fullmatch("-?[0-9]{1,9}"), column, "{!r} is not a whole number of 9 digits at most")
            numbers = column.astype("int64")
            self.refuse(~numbers.between(lowest, highest), numbers, f"{{}} is not from {lowest} to {highest}")
        return columns.astype("int64").to_numpy()

    def order(self, wanted: "ListFile") -> np.ndarray:
        """The row here of every image that ``wanted`` lists (N,). Both must list the same images; official copies do so
        in the same order, but nothing rests on it."""
        here, there = pd.Index(self.images()), wanted.images()
        found = here.get_indexer(there)
        if (found < 0).any():
            line = there.index[(found < 0).argmax()]
            raise CatalogueError(f"{self.path}: no row for {there[line]}, which is in {wanted.path} line {line}")
        if len(here) > len(there):
            line = self.table.index[(~here.isin(there)).argmax()]
            raise self.error(line, f"the image {self.table.iloc[:, 0][line]} is not in {wanted.path}")
        return found


def read_list(path: Path, header: str, counted: bool = True) -> ListFile:
    """A file whose columns are those that ``header`` names, with spaces between. Without ``counted`` it is of the fine
    annotation: neither count nor header, only rows."""
    text, names, skip = read_text(path).rstrip(), header.split(), 2 * counted
    said = check_head(path, text, header) if counted else None
    options = {"header": None, "skiprows": skip, "skip_blank_lines": False, "na_filter": False, "dtype": str}
    options |= {"names": [*names, "more"], "index_col": False, "quoting": csv.QUOTE_NONE}
    try:
        table = pd.read_csv(io.StringIO(text), sep=r"\s+", **options)
        wrong = (table.pop("more") != "").any() or (table[names[-1]] == "").any()
    except pd.errors.ParserError:
        wrong = True
    for line, row in enumerate(text.split("\n") if wrong else (), start=1):
        if line > skip and (n := len(row.encode().split())) != len(names):
            raise CatalogueError(f"{path} line {line}: {n} fields instead of {len(names)}: {_short(row)}")
    check_count(path, said, len(table))
    return ListFile(path, table.set_axis(table.index + skip + 1))


def read_names(path: Path, header: str, types: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(names, what their type means) of ``list_category_cloth.txt`` or ``list_attr_cloth.txt``, in the file's order.

    A name that occurs again is told from the first by a number, ``"lace (2)"``: no number of a class ever shifts."""
    text = read_text(path).rstrip()
    said = check_head(path, text, header)
    names, meaning = [], []
    for line, row in enumerate(text.split("\n")[2:], start=3):
        name, kind = map(plain, [*row.rsplit(None, 1), "", ""][:2])
        if not kind:
            raise CatalogueError(f"{path} line {line}: {1 if name else 0} fields instead of 2: {_short(row)}")
        if kind not in types:
            raise CatalogueError(f"{path} line {line}: {kind!r} is none of {', '.join(types)}")
        if ";" in name or name.startswith("?"):
            reason = "holds ';' or starts with '?', which have a meaning of their own"
            raise CatalogueError(f"{path} line {line}: the name {name!r} {reason}")
        names.append(next(n for n in chain([name], (f"{name} ({k})" for k in count(2))) if n not in names))
        meaning.append(types[kind])
    check_count(path, said, len(names))
    return tuple(names), tuple(meaning)


def check_head(path: Path, text: str, header: str) -> int:
    """The count in a text's first line; the second must name the columns, however padded."""
    first, second, *_ = [*text.split("\n", 2), "", ""]
    if not re.fullmatch(r"\s*[0-9]{1,9}\s*", first):
        raise CatalogueError(f"{path} line 1: {_short(first)} is not the number of rows, which stands there")
    if second.split()[: len(header.split())] != header.split():
        reason = f"the header is {_short(second)} instead of {header!r}; is it another file?"
        raise CatalogueError(f"{path} line 2: {reason}")
    return int(first)


def check_count(path: Path, said: int | None, rows: int) -> None:
    """Raises ``CatalogueError`` unless there are as many rows as the first line says, and any."""
    if not rows:
        raise CatalogueError(f"{path}: there are no rows")
    if said not in (None, rows):
        reason = f"it says {said:,} rows, but {rows:,} follow; the file is cut or was edited"
        raise CatalogueError(f"{path} line 1: {reason}")


def _short(text: str) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= 60 else text[:57] + "...")

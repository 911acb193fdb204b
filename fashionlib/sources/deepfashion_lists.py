"""The list files of DeepFashion (Liu et al., 2016), read strictly.

Most begin with a line that counts the rows and a line that names the columns; those of the fine annotation hold rows
alone. Real copies pad columns, and some pad the header, with spaces. Only the names of categories and attributes hold
spaces themselves; there the last word of a line is the second field.

Every error is a ``CatalogueError`` that names file and line.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Collection, Mapping, Sequence
from itertools import chain, count
from pathlib import Path

import numpy as np
import pandas as pd

from ..data.catalogue import CatalogueError

LIMIT = 1_000_000  # of any number, a box's corner among them
FIRST_ROW = 3  # the line of the first row below count and header
WHOLE = "-?[0-9]{1,9}"  # int() would also take 1_0 and digits of other scripts
IMAGE_FOLDER = "img/"  # with which every image's path begins


class Rows:
    """The rows of one list file. ``words`` holds the fields of all, one row after the other, ``width`` for each;
    row 0 is in line ``first``."""

    def __init__(self, path: Path, words: Sequence[str], width: int, first: int = FIRST_ROW):
        self.path, self.words, self.width, self.first = path, words, width, first

    def __len__(self) -> int:
        return len(self.words) // self.width

    def error(self, row: int, reason: str) -> CatalogueError:
        """An error that names file and line of a row."""
        return CatalogueError(f"{self.path} line {self.first + int(row)}: {reason}")

    def column(self, k: int) -> Sequence[str]:
        """The words of the k-th column."""
        return self.words[k :: self.width]

    def images(self) -> pd.Index:
        """The first column: the paths of the images, none of them twice."""
        return image_index(self.path, self.column(0), self.first)

    def choices(self, k: int, allowed: Collection[str]) -> list[str]:
        """A column that only holds some words."""
        column = self.column(k)
        for row, value in enumerate(column):
            if value not in allowed:
                raise self.error(row, f"{value!r} is none of {', '.join(allowed)}")
        return column

    def integers(self, start: int, lowest: int = -LIMIT, highest: int = LIMIT) -> np.ndarray:
        """The columns from ``start`` on as int64 (N, columns), each from ``lowest`` to ``highest``."""
        columns = [self.column(k) for k in range(start, self.width)]
        for column in columns:
            if not re.fullmatch(rf"(?:{WHOLE} )*+", " ".join([*column, ""])):
                row = next(row for row, word in enumerate(column) if not re.fullmatch(WHOLE, word))
                raise self.error(row, f"{column[row]!r} is not a whole number of at most nine digits")
        numbers = np.array([list(map(int, column)) for column in columns]).T
        strange = (numbers < lowest) | (numbers > highest)
        if strange.any():
            row, k = np.argwhere(strange)[0]
            raise self.error(row, f"{numbers[row, k]} is not from {lowest} to {highest}")
        return numbers


def read_list(path: Path, header: str, spaced: bool = False) -> Rows:
    """A file with a count and a header. ``header`` is the names of its columns, with spaces between; with ``spaced``
    the first of two columns may hold spaces."""
    first, _, rest = _content(path).partition(b"\n")
    second, _, body = rest.partition(b"\n")
    said = check_head(path, first.decode(), second.decode(), header)
    rows = (_cut_names if spaced else _cut)(path, body, len(header.split()), FIRST_ROW)
    check_count(path, said, len(rows))
    return rows


def read_rows(path: Path, fields: int) -> Rows:
    """A file of the fine annotation: rows alone, each with that many fields."""
    rows = _cut(path, _content(path), fields, 1)
    if not len(rows):
        raise CatalogueError(f"{path}: there are no rows")
    return rows


def read_names(path: Path, header: str, types: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(names, what their type means) of ``list_category_cloth.txt`` or ``list_attr_cloth.txt``, in the file's order.

    A name that occurs again is told from the first by a number, ``"lace (2)"``: no number of a class ever shifts.
    """
    rows = read_list(path, header, spaced=True)
    meaning = [types[number] for number in rows.choices(1, types)]
    names: list[str] = []
    for row, name in enumerate(rows.column(0)):
        if ";" in name or name.startswith("?"):
            raise rows.error(row, f"the name {name!r} holds ';' or starts with '?', which have a meaning of their own")
        copies = (f"{name} ({k})" for k in count(2))
        names.append(next(copy for copy in chain([name], copies) if copy not in names))
    return tuple(names), tuple(meaning)


def image_index(path: Path, images: Sequence[str], first: int = FIRST_ROW) -> pd.Index:
    """The paths of images as an index; each must begin with ``img/`` and occur once."""
    index = pd.Index(images, dtype="str")
    strange = ~index.str.startswith(IMAGE_FOLDER)
    if strange.any():
        row = int(strange.argmax())
        reason = f"the image {index[row]!r} does not begin with {IMAGE_FOLDER!r}, letter for letter, as all do"
        raise CatalogueError(f"{path} line {first + row}: {reason}")
    if not index.is_unique:
        row = int(index.duplicated().argmax())
        before = first + int(index.get_indexer_for([index[row]])[0])
        raise CatalogueError(f"{path} line {first + row}: the image {index[row]} is already in line {before}")
    return index


def find_rows(wanted: pd.Index, source: Path, there: pd.Index, path: Path) -> np.ndarray:
    """The row in ``path`` of every image that ``source`` lists (N,). Both must list the same images; official copies
    do so in the same order, but nothing rests on it."""
    if wanted.equals(there):
        return np.arange(len(wanted))
    found = there.get_indexer(wanted)
    if (found < 0).any():
        row = int((found < 0).argmax())
        raise CatalogueError(f"{path}: no row for {wanted[row]}, which is in {source} line {FIRST_ROW + row}")
    if len(there) > len(wanted):
        row = int((~there.isin(wanted)).argmax())
        raise CatalogueError(f"{path} line {FIRST_ROW + row}: the image {there[row]} is not in {source}")
    return found


def check_head(path: Path, first: str, second: str, header: str) -> int:
    """The count in a file's first line; the second must name the columns, however padded."""
    if not re.fullmatch(r"\s*[0-9]{1,9}\s*", first):
        raise CatalogueError(f"{path} line 1: {_short(first)} is not the number of rows, which stands there")
    if second.split()[: len(header.split())] != header.split():
        raise CatalogueError(
            f"{path} line 2: the header is {_short(second)} instead of {header!r}; is it another file?"
        )
    return int(first)


def check_count(path: Path, said: int, rows: int) -> None:
    """Raises ``CatalogueError`` unless there are as many rows as the first line says, and any."""
    if said != rows:
        raise CatalogueError(
            f"{path} line 1: it says {said:,} rows, but {rows:,} follow; the file is cut or was edited"
        )
    if not rows:
        raise CatalogueError(f"{path} line 1: there are no rows")


def _content(path: Path) -> bytes:
    """A UTF-8 file without a mark of byte order, and without blanks and blank lines at the end."""
    try:
        content = path.read_bytes().removeprefix(BOM_UTF8)
        content.decode()
    except OSError as error:
        raise CatalogueError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise CatalogueError(f"{path} line {line}: not UTF-8 text ({error.reason})") from None
    return content.rstrip()


def _cut(path: Path, body: bytes, width: int, first: int) -> Rows:
    """Lines cut at blanks, all at once: what counts is how many words begin between two line ends."""
    words = b" ".join(body.split()).decode().split(" ") if body else []
    array = np.frombuffer(b"\n" + body, np.uint8)
    blank = (array == 32) | ((array >= 9) & (array <= 13))  # what bytes.split cuts at
    begins = np.flatnonzero(blank[:-1] > blank[1:])
    ends = np.append(np.flatnonzero(array[1:] == 10), len(body)) if body else np.array([], int)
    counts = np.diff(np.searchsorted(begins, ends), prepend=0)
    if (counts != width).any():
        row = int((counts != width).argmax())
        line = body.split(b"\n")[row].decode()
        raise CatalogueError(f"{path} line {first + row}: {counts[row]} fields instead of {width}: {_short(line)}")
    return Rows(path, words, width, first)


def _cut_names(path: Path, body: bytes, width: int, first: int) -> Rows:
    """Lines cut before their last word."""
    words: list[str] = []
    for row, line in enumerate(body.decode().split("\n") if body else []):
        found = line.rsplit(None, width - 1)
        if len(found) != width:
            raise CatalogueError(f"{path} line {first + row}: {len(found)} fields instead of {width}: {_short(line)}")
        words += [found[0].strip(), *found[1:]]
    return Rows(path, words, width, first)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= 60 else text[:57] + "...")

"""DeepFashion's ``list_attr_img.txt``: 289,222 rows of 1,000 values each, a gigabyte of text.

It is read in blocks, whose bytes are compared and counted as arrays, never value by value; what is found is kept as a
parquet file in a hidden folder beside the annotation.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from ..data.catalogue import CatalogueError
from ..machine.files import write_atomically
from .deepfashion_lists import FIRST_ROW, check_count, check_head

HEADER = "image_name attribute_labels"
BLOCK = 1 << 18  # bytes: the arrays made of them stay in the processor's cache, which makes it four times as fast
CACHE_FOLDER = ".fashionlib"
EDITION = 1  # raise it when the text form changes: older caches are then not used
BLANK, NEWLINE, MINUS, ZERO, ONE = b" \n-01"


def read_attributes(path: Path, names: Sequence[str], names_path: Path) -> pd.DataFrame:
    """What ``read_values`` returns, from the cache if ``path`` and ``names_path`` are the files it was made of (by size
    and time of change). A missing, damaged or older cache is made anew; where it cannot be written, there is none."""
    cache = path.parent / CACHE_FOLDER / f"{path.stem}.parquet"
    stats = [os.stat(file) for file in (path, names_path)]
    key = json.dumps([EDITION, *((stat.st_size, stat.st_mtime_ns) for stat in stats)]).encode()
    table = _read_cache(cache, key)
    if table is None:
        table = read_values(path, names)
        _write_cache(cache, key, table)
    return table


def read_values(path: Path, names: Sequence[str], block: int = BLOCK) -> pd.DataFrame:
    """Columns ``image`` and ``attributes``, a row for each row of the file.

    Attributes are text: ``"a;b;?c"`` says that a and b apply (1 in the file), that c is not known (0), and that the
    others do not apply (-1); None that nothing is known. Raises ``CatalogueError`` naming file and line for another
    number of values than of names, a value that is none of these three, or a count that is wrong.
    """
    marks = np.array([*names, *(f"?{name}" for name in names)], dtype=object)
    images, texts = [], []
    try:
        with open(path, "rb") as file:
            first, second = (file.readline(block).decode("utf-8-sig", "replace") for _ in range(2))
            said = check_head(path, first, second, HEADER)
            for part in _blocks(file, path, block):
                line = FIRST_ROW + len(images)
                found, values, applies = _parse(path, part, line, len(names))
                images += found
                texts += _texts(values, applies, marks, len(found))
    except OSError as error:
        raise CatalogueError(f"{path}: cannot be read ({error.strerror})") from None
    check_count(path, said, len(images))
    return pd.DataFrame({"image": pd.array(images, dtype="str"), "attributes": pd.array(texts, dtype="str")})


def _blocks(file, path: Path, size: int) -> Iterator[bytes]:
    """The rest of a file in pieces of whole lines; blank lines at its end are left out."""
    rest = b""
    while data := file.read(size):
        data = rest + data
        stop = data.rfind(b"\n") + 1
        tail = data[max(stop - 1000, 0) : stop]
        filled = len(tail.rstrip())
        end = stop - len(tail) + tail.index(b"\n", filled) + 1 if filled else 0  # after the last line that is not blank
        if end:
            yield data[:end]
        elif len(data) > size and b"\n" not in data:
            raise CatalogueError(f"{path}: a line of more than {size:,} bytes; this is no list of attributes")
        rest = data[end:]
    if rest.strip():
        yield rest.rstrip() + b"\n"


def _parse(path: Path, data: bytes, line: int, n: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    """(images, positions, applies) of a block of lines: position row * n + column of every value that is not -1, in
    ascending order, and whether it is 1 or else 0."""
    if any(blank in data for blank in (b"\t", b"\r", b"\v", b"\f")):
        data = data.translate(bytes.maketrans(b"\t\r\v\f", b"    "))
    array = np.frombuffer(data, np.uint8).copy()
    ends = np.flatnonzero(array == NEWLINE)
    images = []
    start = 0
    for row, end in enumerate(ends.tolist()):
        after = data.find(b" ", start, end)
        if after <= start:  # it begins with a space, or holds no value
            words = data[start:end].split()
            if not words:
                raise CatalogueError(f"{path} line {line + row}: the line is blank")
            start = data.index(words[0], start)
            after = start + len(words[0])
        array[start:after] = BLANK  # what remains are the values
        try:
            images.append(data[start:after].decode())
        except UnicodeDecodeError as error:
            raise CatalogueError(f"{path} line {line + row}: not UTF-8 text ({error.reason})") from None
        start = end + 1

    blank, minus, one = array == BLANK, array == MINUS, array == ONE
    digit = one | (array == ZERO)
    digits = np.flatnonzero(digit)
    known = len(digits) + len(ends) + np.count_nonzero(blank) + np.count_nonzero(minus)
    whole = (
        known == len(array)  # no other character
        and not (digit[1:] > (blank | minus)[:-1]).any()  # a digit follows a space or a minus
        and not (minus[:-1] > one[1:]).any()  # a 1 follows a minus
        and not (minus[1:] > blank[:-1]).any()  # a minus follows a space
        and (np.diff(np.searchsorted(digits, ends), prepend=0) == n).all()
    )
    if not whole:
        raise _first_error(path, data, line, n)
    unsigned = np.flatnonzero(digit[1:] > minus[:-1]) + 1
    return images, np.searchsorted(digits, unsigned), one[unsigned]


def _texts(positions: np.ndarray, applies: np.ndarray, marks: np.ndarray, rows: int) -> list[str | None]:
    n = len(marks) // 2
    row, column = np.divmod(positions, n)
    words = marks[np.where(applies, column, column + n)].tolist()
    unknown = np.bincount(row[~applies], minlength=rows) == n
    bounds = np.searchsorted(row, np.arange(rows + 1)).tolist()
    texts = [";".join(words[start:stop]) for start, stop in pairwise(bounds)]
    for nothing in np.flatnonzero(unknown):
        texts[nothing] = None
    return texts


def _first_error(path: Path, data: bytes, line: int, n: int) -> CatalogueError:
    """What is wrong in a block, found by going through it word by word."""
    for number, text in enumerate(data.decode("utf-8", "replace").split("\n"), start=line):
        image, *values = text.split()
        for column, value in enumerate(values, start=1):
            if value not in ("1", "-1", "0"):
                return CatalogueError(f"{path} line {number}: value {column} of {image} is {value!r}, not 1, -1 or 0")
        if len(values) != n:
            return CatalogueError(f"{path} line {number}: {len(values)} values instead of {n}, one for each attribute")
    return CatalogueError(f"{path}: a character that does not belong there, from line {line} on")


def _read_cache(cache: Path, key: bytes) -> pd.DataFrame | None:
    import pyarrow
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(cache, page_checksum_verification=True)
        return table.to_pandas() if (table.schema.metadata or {}).get(b"fashionlib") == key else None
    except (OSError, ValueError, pyarrow.ArrowException):
        return None


def _write_cache(cache: Path, key: bytes, table: pd.DataFrame) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = pa.Table.from_pandas(table, preserve_index=False)
    content = content.replace_schema_metadata({**content.schema.metadata, b"fashionlib": key})
    try:
        cache.parent.mkdir(exist_ok=True)
        write_atomically(cache, lambda file: pq.write_table(content, file, write_page_checksum=True))
    except OSError:
        pass  # a read-only or full disk: read again next time

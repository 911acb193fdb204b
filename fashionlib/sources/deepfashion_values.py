"""DeepFashion's ``list_attr_img.txt``: 289,222 rows of 1,000 values each, a gigabyte of text.

NumPy reads the numbers of a row, three times as fast as the parser of pandas; what is found is kept as a parquet file
in a hidden folder beside the annotation."""

import json
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..data.catalogue import CatalogueError
from ..machine.files import write_atomically
from .deepfashion_lists import check_count, check_head

HEADER = "image_name attribute_labels"
CACHE_FOLDER = ".fashionlib"
EDITION = 2  # raise it when the text form changes: older caches are then not used


def read_attributes(path: Path, names: Sequence[str], names_path: Path) -> pd.DataFrame:
    """What ``read_values`` returns, from the cache if ``path`` and ``names_path`` are the files it was made of (by size
    and time of change). A missing, damaged or older cache is made anew; where it cannot be written, there is none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    cache = path.parent / CACHE_FOLDER / f"{path.stem}.parquet"
    stats = [os.stat(file) for file in (path, names_path)]
    key = json.dumps([EDITION, *((stat.st_size, stat.st_mtime_ns) for stat in stats)]).encode()
    try:
        kept = pq.read_table(cache, page_checksum_verification=True)
        if (kept.schema.metadata or {}).get(b"fashionlib") == key:
            return kept.to_pandas()
    except (OSError, ValueError, pa.ArrowException):
        pass
    table = read_values(path, names)
    kept = pa.Table.from_pandas(table, preserve_index=False)
    kept = kept.replace_schema_metadata({**kept.schema.metadata, b"fashionlib": key})
    try:
        cache.parent.mkdir(exist_ok=True)
        write_atomically(cache, lambda file: pq.write_table(kept, file, write_page_checksum=True))
    except OSError:
        pass  # a read-only or full disk: read again next time
    return table


def read_values(path: Path, names: Sequence[str]) -> pd.DataFrame:
    """Columns ``image_name`` and ``attributes``, a row for each row of the file.

    Attributes are text: ``"a;b;?c"`` says that a and b apply (1 in the file), that c is not known (0), and that the
    others do not apply (-1); None that nothing is known. Raises ``CatalogueError`` naming file and line for another
    number of values than of names, a value that is none of these three, or a count that is wrong."""
    n, images, texts = len(names), [], []
    marks = np.array([*(f"?{name}" for name in names), *names], dtype=object)
    try:
        with open(path, "rb") as file, warnings.catch_warnings(action="error"):
            said = check_head(path, (file.readline(1000) + file.readline(1000)).decode("utf-8-sig", "replace"), HEADER)
            for line, row in enumerate(file, start=3):
                image, text = [*row.split(None, 1), b"", b""][:2]
                if not image:
                    continue
                try:
                    values = np.fromstring(text, np.int64, sep=" ")
                except (ValueError, DeprecationWarning):  # not numbers alone
                    values = np.empty(0)
                if not len(values) == len(text.split()) == n or np.abs(values).max() > 1:  # "- 1" would be one, too
                    raise CatalogueError(f"{path} line {line}: {_fault(row, n)}")
                said_here = np.flatnonzero(values != -1)
                images.append(image.decode())
                texts.append(";".join(marks[said_here + n * values[said_here]]) if values.any() else None)
    except OSError as error:
        raise CatalogueError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise CatalogueError(f"{path} line {line}: not UTF-8 text ({error.reason})") from None
    check_count(path, said, len(images))
    if n > 1 and images and all(text is None or text.count(";") == n - 1 for text in texts):
        raise CatalogueError(f"{path}: no value is -1 (does not apply); 0 is not known. Write -1 for 0 in a 0/1 copy")
    return pd.DataFrame({"image_name": pd.array(images, dtype="str"), "attributes": pd.array(texts, dtype="str")})


def _fault(row: bytes, n: int) -> str:
    """What is wrong in a row."""
    image, *values = row.decode("utf-8", "replace").split()
    for k, value in enumerate(values, start=1):
        if value not in ("1", "-1", "0"):
            return f"value {k} of {image} is {value!r}, not 1, -1 or 0"
    return f"{len(values)} values instead of {n}, one for each attribute"

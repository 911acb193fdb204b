"""Fashion Product Images (Small): 44,072 catalogue photographs with seven labels each (P. Aggarwal, Kaggle, 2019).

Two layouts are read: the Hugging Face hub's ``data/train-*.parquet`` and Kaggle's ``styles.csv`` + ``images/``.

Which ``"NA"`` is a class? None of them; counted in Kaggle's raw table:

- ``usage`` (316 rows): 263 are personal care, but nine of ten lipsticks and creams say ``Casual``; the others are
  bags, rain jackets, shoes. Nothing in the picture tells them apart, so the label was not given: missing.
- ``baseColour`` (15 rows): "Wrangler Men Blue Texas Jeans" is one of them. The goods have a colour: missing.
- ``productDisplayName`` (7 rows): no name was given: missing.
- The other columns hold no ``NA``. Empty text (season 21 times, year once, usage once) is missing everywhere.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pandas as pd

from ..data.catalogue import REJECTED, Catalogue, CatalogueError
from ..data.decoding import BadImage
from ..data.images import FolderImages
from ..data.splits import random_split
from ..tasks import Hierarchy, MultiLabel, Similarity, SingleLabel
from .product_words import product_attributes

TAXONOMY = ("masterCategory", "subCategory", "articleType")
SEVEN = ("gender", *TAXONOMY, "baseColour", "season", "usage")
COLUMNS = ("id", "gender", *TAXONOMY, "baseColour", "season", "year", "usage", "productDisplayName")
FOLDER = "fashion-product-images-small"
REPOSITORY = "ashraq/fashion-product-images-small"
REVISION = "bd09c69e56fc0b1f279743fef89d735f3bdf8a42"
SHARDS = (
    "data/train-00000-of-00002-6cff4c59f91661c3.parquet",
    "data/train-00001-of-00002-bb459e5ac5f01e71.parquet",
)
WORD_MINIMUM = 20  # training images that a word of productDisplayName needs to become an auxiliary target
ATTRIBUTE_MINIMUM = 50  # training images that an attribute needs; with fewer than some ten in the test, its average
# precision is chance, and what lies below is nearly all brands and names of models


def open_products(root: str | Path, *, seed: int = 42) -> Catalogue:
    """The catalogue below ``root``: a folder with the parquet files or Kaggle's files, or one that holds such a folder
    under the name ``fashion-product-images-small``.

    The split is 70/15/15, stratified by article type; for the ``grouped`` one, which needs the pixels, see
    ``duplicates.split_by_groups``. Raises ``CatalogueError`` if nothing is found, with what to do.
    """
    folder = _find(Path(root))
    if list(folder.glob("data/train-*.parquet")):
        table, images, rejected = _read_parquet(folder)
    else:
        table, images, rejected = _read_kaggle(folder)
    table["words"] = table["productDisplayName"].map(name_words)
    table["category"] = table["articleType"]
    table["attributes"] = product_attributes(table, SEVEN)
    table["split"] = random_split(table["articleType"], seed)
    return Catalogue(
        table=table,
        tasks=product_tasks(),
        images=images,
        name="products",
        rejected=rejected,
        facts={"split": "random", "split_seed": seed},
    )


def product_tasks() -> list:
    """The seven labels, the taxonomy that joins three of them, and two auxiliary targets that no result reports: the
    year, and the commoner words of the product's name. Then what every source has: category (the article type),
    attributes (``product_words`` has the rule) and item (a line of 2-8 images: same name, article type and gender)."""
    return [
        Hierarchy("taxonomy", TAXONOMY),
        *(SingleLabel(name) for name in SEVEN),
        SingleLabel("year", evaluated=False),
        MultiLabel("words", minimum=WORD_MINIMUM, evaluated=False),
        SingleLabel("category"),
        MultiLabel("attributes", minimum=ATTRIBUTE_MINIMUM),
        Similarity("item"),
    ]


def name_words(name: str | None) -> str | None:
    """The distinct lower-case words of a product's name, joined by ``;``."""
    if pd.isna(name):
        return None
    return ";".join(sorted(set(re.findall(r"[a-z][a-z0-9'&-]+", name.lower()))))


def _find(root: Path) -> Path:
    for folder in (root, root / FOLDER):
        if list(folder.glob("data/train-*.parquet")) or (folder / "styles.csv").exists():
            return folder
    raise CatalogueError(
        f"products: neither data/train-*.parquet nor styles.csv in {root} or {root / FOLDER}; "
        f"{_fetch(root)}, or unpack Kaggle's archive there"
    )


def _fetch(root: Path) -> str:
    return f"run `python -m fashionlib download products --data {root}`"


def clean_labels(table: pd.DataFrame) -> pd.DataFrame:
    """Empty text and ``NA`` become missing labels (see the top of this file); the year becomes text."""
    for column in (*SEVEN, "year", "productDisplayName"):
        values = table[column].astype("string").str.strip()
        table[column] = values.mask(values.isin(["", "NA"])).astype(object)
    table["year"] = table["year"].str.removesuffix(".0")
    name, kind, gender = table["productDisplayName"], table["articleType"], table["gender"]
    line = name.astype(str) + " | " + kind.astype(str) + " | " + gender.astype(str)
    sizes = line.map(line.value_counts())
    table["item"] = line.where(name.notna() & sizes.between(2, 8)).astype(object)
    return table.astype(object).where(table.notna(), None)


class ParquetImages:
    """Images inside parquet files; a location is ``file#row``. The encoded bytes (97 MB) are read on first use."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.files = sorted(folder.glob("data/train-*.parquet"))
        self._columns: dict[str, object] = {}

    @property
    def fingerprint(self) -> str:
        return " ".join(hashlib.sha256(f.read_bytes()).hexdigest() for f in self.files)

    def read(self, location: str) -> bytes:
        """The bytes of the image in a row of a parquet file, ``file#row``."""
        import pyarrow.parquet as pq

        name, row = location.rsplit("#", 1)
        if name not in self._columns:
            struct = pq.read_table(self.folder / "data" / name, columns=["image"])["image"].combine_chunks()
            self._columns[name] = struct.field("bytes")
        data = self._columns[name][int(row)].as_py()
        if data is None:
            raise BadImage(f"{location}: the row has no image")
        return data


def _read_parquet(folder: Path):
    import pyarrow
    import pyarrow.parquet as pq

    parts = []
    images = ParquetImages(folder)
    wanted = re.search(r"-of-(\d+)", images.files[0].name)
    if wanted and len(images.files) < int(wanted[1]):
        there = ", ".join(file.name for file in images.files)
        raise CatalogueError(
            f"{folder / 'data'}: {int(wanted[1])} files belong here, there is {there}; {_fetch(folder.parent)}"
        )
    for file in images.files:
        try:
            there = pq.read_schema(file).names
        except pyarrow.ArrowInvalid as error:
            raise CatalogueError(f"{file}: not a whole parquet file ({error}); {_fetch(folder.parent)}") from None
        for column in (*COLUMNS, "image"):
            if column not in there:
                raise CatalogueError(f"{file}: column {column!r} is missing; the file has {', '.join(there)}")
        part = pq.read_table(file, columns=list(COLUMNS)).to_pandas()
        parts.append(part.assign(image=[f"{file.name}#{row}" for row in range(len(part))]))
    return clean_labels(pd.concat(parts, ignore_index=True)), images, None


def read_styles(path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Kaggle's ``styles.csv``: (table, rejected rows); the table's index is the number of the line.

    The file has no quotes, so a comma in the last column, productDisplayName, splits it: everything from the tenth
    field on is the name. That recovers rows that a CSV parser throws away. A row with fewer fields, an ``id`` that is
    not a number or one that occurred before is rejected with its line.
    """
    with open(path, encoding="utf-8") as lines:
        header = tuple(lines.readline().rstrip("\r\n").split(","))
        for column in COLUMNS:
            if column not in header:
                raise CatalogueError(f"{path}: column {column!r} is missing; the header has {', '.join(header)}")
        if header[-1] != "productDisplayName":
            raise CatalogueError(f"{path}: productDisplayName must be the last column, since it may hold commas")
        rows, places, rejected, seen = [], [], [], set()
        for number, line in enumerate(lines, start=2):
            fields = line.rstrip("\r\n").split(",", len(header) - 1)
            image = f"{fields[0]}.jpg"
            if len(fields) < len(header):
                reason = f"{len(fields)} fields instead of {len(header)}"
            elif not fields[0].isdigit():
                reason = f"id {fields[0]!r} is not a number"
            elif fields[0] in seen:
                reason = f"id {fields[0]} occurred before"
            else:
                seen.add(fields[0])
                rows.append(fields)
                places.append(number)
                continue
            rejected.append((str(path), number, image, f"{path.name} line {number}: {reason}"))
    table = pd.DataFrame(rows, columns=header, index=pd.Index(places, name="line"), dtype=object)
    return table, pd.DataFrame(rejected, columns=REJECTED)


def _read_kaggle(folder: Path):
    path = folder / "styles.csv"
    table, rejected = read_styles(path)
    table["image"] = table["id"] + ".jpg"
    there = {file.name for file in (folder / "images").glob("*.jpg")}
    absent = ~table["image"].isin(there)
    gone = pd.DataFrame(
        {
            "source": str(path),
            "row": table.index[absent],
            "image": table["image"][absent],
            "reason": "no file of that name in images/",
        },
        columns=REJECTED,
    )
    table = table[~absent].reset_index(drop=True)
    if table.empty:
        raise CatalogueError(f"{path}: none of its {len(absent)} rows has an image in {folder / 'images'}")
    table["id"] = table["id"].astype("int64")
    return clean_labels(table), FolderImages(folder / "images"), pd.concat([rejected, gone], ignore_index=True)

"""Fashion Product Images (Small): 44,072 catalogue photographs with seven labels each (P. Aggarwal, Kaggle, 2019).

Two layouts are read: the Hugging Face hub's ``data/train-*.parquet`` and Kaggle's ``styles.csv`` + ``images/``.

Which ``"NA"`` is a class? None of them; counted in Kaggle's raw table:

- ``usage`` (316 rows): 263 are personal care, but nine of ten lipsticks and creams say ``Casual``; the others are
  bags, rain jackets, shoes. Nothing in the picture tells them apart, so the label was not given: missing.
- ``baseColour`` (15 rows): "Wrangler Men Blue Texas Jeans" is one of them. The goods have a colour: missing.
- ``productDisplayName`` (7 rows): no name was given: missing.
- The other columns hold no ``NA``. Empty text (season 21 times, year once, usage once) is missing everywhere."""

import re
from pathlib import Path
from threading import Lock

import pandas as pd

from ..cells import as_text
from ..data.catalogue import REJECTED, Catalogue, CatalogueError, ImageSource
from ..data.decoding import BadImage
from ..data.images import FolderImages
from ..machine.files import file_sha256
from ..tasks import Hierarchy, MultiLabel, Similarity, SingleLabel, Task
from .product_words import name_labels, name_words
from .table import new_split, nothing_left, read_text

TAXONOMY = ("masterCategory", "subCategory", "articleType")
SEVEN = ("gender", *TAXONOMY, "baseColour", "season", "usage")
COLUMNS = ("id", "gender", *TAXONOMY, "baseColour", "season", "year", "usage", "productDisplayName")
FOLDER = "fashion-product-images-small"
REPOSITORY = "ashraq/fashion-product-images-small"
REVISION = "bd09c69e56fc0b1f279743fef89d735f3bdf8a42"
SHARDS = ("data/train-00000-of-00002-6cff4c59f91661c3.parquet", "data/train-00001-of-00002-bb459e5ac5f01e71.parquet")
MINIMUM = 30  # training images of an attribute or brand; some six in the test
WORD_MINIMUM = 20  # of a word of productDisplayName
LOCK = Lock()  # many threads decode: one reads a column, the others wait for it
GAP = 50  # between the ids of neighbours in a product line


def open_products(root: str | Path, *, split: str = "random", seed: int = 42, minimum: int = MINIMUM) -> Catalogue:
    """The catalogue below ``root``: a folder with the parquet files or Kaggle's files, or one that holds such a folder
    under the name ``fashion-product-images-small``.

    The split is 70/15/15, stratified by article type: ``"random"``, or ``"grouped"`` with every product line on one
    side (and near-duplicates, for which pixels are needed, with ``shop.duplicates.choose_split``). An attribute or a
    brand needs ``minimum`` training images. ``CatalogueError`` if nothing is found; ``ValueError``: another split."""
    if split not in ("random", "grouped"):
        raise ValueError(f"split is {split!r}; there are 'random' and 'grouped'")
    root = Path(root)
    folder = next((f for f in (root, root / FOLDER) if [*f.glob("data/train-*.parquet"), *f.glob("styles.csv")]), None)
    if folder is None:
        where = f"products: neither data/train-*.parquet nor styles.csv in {root} or {root / FOLDER}"
        raise CatalogueError(f"{where}; {_fetch(root)}, or unpack Kaggle's archive there")
    table, images, rejected = (_read_parquet if any(folder.glob("data/train-*.parquet")) else _read_kaggle)(folder)
    for column in (*SEVEN, "year", "productDisplayName"):
        table[column] = as_text(table[column]).replace("NA", None)
    table["item"] = product_lines(table)
    table["words"] = table["productDisplayName"].map(name_words)
    table["category"] = table["articleType"]
    table = table.join(name_labels(table))
    table["split"] = new_split(table, "articleType", seed, str(folder), "add rows", split == "grouped")
    table = table.astype(object).where(table.notna(), None)
    return Catalogue(table, product_tasks(minimum), images, "products", rejected, {"split": split, "split_seed": seed})


def product_tasks(minimum: int = MINIMUM) -> list[Task]:
    """The seven labels and the taxonomy that joins three of them; what every source has: category (the article type),
    attributes and item; brands; and two auxiliary targets that no result reports: the year, and the commoner words of
    the product's name."""
    return [
        Hierarchy("taxonomy", TAXONOMY),
        *(SingleLabel(name) for name in SEVEN),
        SingleLabel("year", evaluated=False),
        MultiLabel("words", minimum=WORD_MINIMUM, evaluated=False),
        SingleLabel("category"),
        MultiLabel("attributes", minimum=minimum),
        MultiLabel("brands", minimum=minimum),
        Similarity("item"),
    ]


def product_lines(table: pd.DataFrame) -> pd.Series:
    """The product line of each image, called by its lowest id: same name, article type and gender, and ids that are at
    most ``GAP`` from their neighbour's. None for an image that is alone, or has no name."""
    ordered = table.sort_values("id")
    alike = [ordered[column] for column in ("productDisplayName", "articleType", "gender")]
    first = ordered["id"].mask(ordered.groupby(alike)["id"].diff() <= GAP)  # a line begins after a larger gap
    lines = first.groupby(alike).ffill().reindex(table.index)
    return as_text(lines.where(lines.duplicated(keep=False)))


class ParquetImages:
    """Images inside parquet files; a location is ``file#row``. The encoded bytes (97 MB) are read on first use."""

    def __init__(self, folder: Path):
        self.files = {file.name: file for file in sorted(folder.glob("data/train-*.parquet"))}
        self._columns: dict[str, object] = {}

    @property
    def fingerprint(self) -> str:
        return " ".join(map(file_sha256, self.files.values()))

    def read(self, location: str) -> bytes:
        """The bytes of the image in a file's row, ``file#row``. Raises ``CatalogueError`` if the file is damaged."""
        import pyarrow
        import pyarrow.parquet as pq

        name, row = location.rsplit("#", 1)
        with LOCK:
            if name not in self._columns:
                try:
                    struct = pq.read_table(self.files[name], columns=["image"])["image"].combine_chunks()
                except (OSError, pyarrow.ArrowException) as error:
                    raise CatalogueError(f"{self.files[name]}: not a whole parquet file ({error})") from None
                self._columns[name] = struct.field("bytes") if hasattr(struct, "field") else struct
        data = self._columns[name][int(row)].as_py()
        if data is None:
            raise BadImage(f"{location}: the row has no image")
        return data


def _fetch(root: Path) -> str:
    return f"run `python -m fashionlib download products --data {root}`"


def _check_header(path: Path, names: list[str], wanted: tuple[str, ...]) -> None:
    for column in wanted:
        if column not in names:
            raise CatalogueError(f"{path}: column {column!r} is missing; the file has {', '.join(names)}")


def _read_parquet(folder: Path) -> tuple[pd.DataFrame, ImageSource, None]:
    import pyarrow
    import pyarrow.parquet as pq

    parts, images = [], ParquetImages(folder)
    wanted = re.search(r"-of-(\d+)", there := ", ".join(images.files))
    if wanted and len(images.files) < int(wanted[1]):
        what = f"{int(wanted[1])} files belong here, there is {there}"
        raise CatalogueError(f"{folder / 'data'}: {what}; {_fetch(folder.parent)}")
    for name, file in images.files.items():
        try:
            _check_header(file, pq.read_schema(file).names, (*COLUMNS, "image"))
            part = pq.read_table(file, columns=list(COLUMNS)).to_pandas()
        except (pyarrow.ArrowException, OSError) as error:  # OSError: a damaged page
            raise CatalogueError(f"{file}: not a whole parquet file ({error}); {_fetch(folder.parent)}") from None
        parts.append(part.assign(id=pd.to_numeric(part["id"]), image=[f"{name}#{row}" for row in range(len(part))]))
    return pd.concat(parts, ignore_index=True), images, None


def read_styles(path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Kaggle's ``styles.csv``: (table, rejected rows); the table's index is the number of the line.

    The file has no quotes, so a comma in the last column, productDisplayName, splits it: everything from the tenth
    field on is the name. That recovers rows that a CSV parser throws away. A row with fewer fields, an ``id`` that is
    not a number or one that occurred before is rejected with its line."""
    header, *lines = read_text(path).rstrip("\n").split("\n")
    header = header.rstrip("\r").split(",")
    _check_header(path, header, COLUMNS)
    if header[-1] != "productDisplayName":
        raise CatalogueError(f"{path}: productDisplayName must be the last column, since it may hold commas")
    rows, rejected, seen = {}, [], {}
    for number, line in enumerate(lines, start=2):
        fields = line.rstrip("\r").split(",", len(header) - 1)
        if len(fields) < len(header):
            reason = f"{len(fields)} fields instead of {len(header)}"
        elif not fields[0].isdecimal() or len(fields[0]) > 18:
            reason = f"id {fields[0]!r} is not a number"
        elif seen.setdefault(fields[0], number) != number:
            reason = f"id {fields[0]} occurred before, in line {seen[fields[0]]}"
        else:
            rows[number] = fields
            continue
        rejected.append((str(path), number, f"{fields[0]}.jpg", reason))
    table = pd.DataFrame.from_dict(rows, orient="index", columns=header, dtype=object)
    return table, pd.DataFrame(rejected, columns=REJECTED)


def _read_kaggle(folder: Path) -> tuple[pd.DataFrame, ImageSource, pd.DataFrame]:
    path = folder / "styles.csv"
    table, rejected = read_styles(path)
    table["image"] = table["id"] + ".jpg"
    there = table["image"].isin([file.name for file in (folder / "images").glob("*.jpg")])
    gone = table.assign(source=str(path), row=table.index, reason="no file of that name in images/")[~there]
    rejected = pd.concat([rejected, gone[list(REJECTED)]], ignore_index=True)
    if not there.any():
        raise nothing_left(f"{path}: none of its {len(rejected):,} rows has an image", rejected)
    return table[there].reset_index(drop=True).astype({"id": "int64"}), FolderImages(folder / "images"), rejected

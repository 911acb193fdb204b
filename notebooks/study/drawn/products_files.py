"""Writes a drawn catalogue in the file formats of Fashion Product Images (Small), so that their readers can be tested
and tried without the data.

What the real files do is done here too: images are JPEGs, a few of them grey or of another size; `styles.csv` has no
quotes although some names hold commas; labels are missing as empty text or `NA`.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from fashionlib.data.catalogue import Catalogue
from fashionlib.sources.products import COLUMNS

FIRST_ID = 1163  # the lowest id of the real data set
GREY, SMALL, WIDE, COMMA = (17, 5), (23, 7), (29, 11), (13, 2)  # (every so many images, starting with this one)
SHARDS = 2


def write_products(
    catalogue: Catalogue, root: str | Path, layout: str = "huggingface", rows: Sequence[int] | None = None
) -> Path:
    """Write images and labels below `root`; returns the folder to open.

    `layout` is "huggingface" (`root/fashion-product-images-small/data/train-*.parquet`, two shards) or "kaggle"
    (`root/styles.csv` and `root/images/<id>.jpg`). `rows` of the catalogue, all of them by default. An image's id is
    its row number in the catalogue plus `FIRST_ID`, so both layouts agree. Raises ValueError for another layout.
    """
    if layout not in ("huggingface", "kaggle"):
        raise ValueError(f"layout is {layout!r}; there are 'huggingface' and 'kaggle'")
    root = Path(root)
    rows = np.arange(len(catalogue)) if rows is None else np.asarray(rows)
    table = _product_table(catalogue, rows)
    if layout == "huggingface":
        folder = root / "fashion-product-images-small"
        _write_shards(catalogue, rows, table, folder / "data")
        return folder
    (root / "images").mkdir(parents=True, exist_ok=True)
    for number, (row, identity) in enumerate(zip(rows, table["id"], strict=True)):
        (root / "images" / f"{identity}.jpg").write_bytes(_jpeg(catalogue.read(int(row)), number))
    _write_styles(table, root / "styles.csv")
    return root


def _product_table(catalogue: Catalogue, rows: np.ndarray) -> pd.DataFrame:
    """The ten columns of the data set; missing labels are None."""
    table = catalogue.table.iloc[rows].reset_index(drop=True)
    table = table.assign(id=rows.astype(np.int64) + FIRST_ID)[list(COLUMNS)]
    names = table["productDisplayName"].to_numpy(dtype=object, copy=True)
    # "Alderway Men Oak Blue Shirt" may become "Alderway Men Oak Blue Shirt, Pack of 2"; by its name, so that all
    # images of a product keep one name
    for i, name in enumerate(names):
        if name is not None and int(hashlib.md5(name.encode()).hexdigest(), 16) % COMMA[0] == COMMA[1]:
            names[i] = f"{name}, Pack of 2"
    return table.assign(productDisplayName=names)


def _jpeg(pixels: np.ndarray, number: int) -> bytes:
    """An encoded image. By its number some are grey (one channel), half as large, or square with white beside."""
    image = Image.fromarray(pixels)
    if number % GREY[0] == GREY[1]:
        image = image.convert("L")
    if number % SMALL[0] == SMALL[1]:
        image = image.resize((max(image.width // 2, 1), max(image.height // 2, 1)))
    if number % WIDE[0] == WIDE[1]:
        square = Image.new(image.mode, (image.height, image.height), "white")
        square.paste(image, ((image.height - image.width) // 2, 0))
        image = square
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90)
    return file.getvalue()


def _write_shards(catalogue: Catalogue, rows: np.ndarray, table: pd.DataFrame, folder: Path) -> None:
    """Two parquet files as `datasets` writes them: image is a struct of bytes and path, and the path is null."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    kinds = {"id": ("int64", pa.int64()), "year": ("float64", pa.float64())}
    text = ("string", pa.string())
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    fields = [pa.field(name, kinds.get(name, text)[1]) for name in COLUMNS] + [pa.field("image", image)]
    features = {name: {"dtype": kinds.get(name, text)[0], "_type": "Value"} for name in COLUMNS} | {
        "image": {"_type": "Image"}
    }
    schema = pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})

    for shard, part in enumerate(np.array_split(np.arange(len(rows)), SHARDS)):
        columns = {}
        for name in COLUMNS:
            values = table[name].iloc[part]
            if name == "year":
                values = [None if pd.isna(v) else float(v) for v in values]
            columns[name] = pa.array(list(values), kinds.get(name, text)[1], from_pandas=True)
        encoded = [{"bytes": _jpeg(catalogue.read(int(rows[i])), int(i)), "path": None} for i in part]
        columns["image"] = pa.array(encoded, image)
        written = pa.table(columns, schema=schema)
        tail = hashlib.sha256("".join(table["id"].iloc[part].astype(str)).encode()).hexdigest()[:16]
        pq.write_table(written, folder / f"train-{shard:05d}-of-{SHARDS:05d}-{tail}.parquet")


def _write_styles(table: pd.DataFrame, path: Path) -> None:
    """Kaggle's table: no quotes; a missing usage or colour is `NA`, any other missing label is empty."""
    lines = [",".join(COLUMNS)]
    for row in table.itertuples(index=False):
        fields = []
        for name, value in zip(COLUMNS, row, strict=True):
            absent = "NA" if name in ("usage", "baseColour") else ""
            fields.append(absent if pd.isna(value) else str(value))
        lines.append(",".join(fields))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")

"""Writes a drawn catalogue in the two layouts of Fashion Product Images (Small).

What the real files do is done here too: images are JPEGs, a few of them grey or of another size; ``styles.csv`` has no
quotes although some names hold commas; labels are missing as empty text or ``NA``.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from fashionlib.data.catalogue import Catalogue

FIRST_ID = 1163  # the lowest of the real dataset
TEXT = "gender masterCategory subCategory articleType baseColour season".split()
COLUMNS = ("id", *TEXT, "year", "usage", "productDisplayName")


def write_products(
    catalogue: Catalogue, root: str | Path, layout: str = "huggingface", rows: Sequence[int] | None = None
) -> Path:
    """Write images and labels below ``root``; returns the folder to open.

    ``layout`` is ``"huggingface"`` (``root/fashion-product-images-small/data/train-*.parquet``, two shards) or
    ``"kaggle"`` (``root/styles.csv`` and ``root/images/<id>.jpg``). ``rows`` of the catalogue, all by default. An
    image's id is its row number plus ``FIRST_ID``, so both layouts agree.
    """
    root = Path(root)
    rows = np.arange(len(catalogue)) if rows is None else np.asarray(rows)
    table = catalogue.table.iloc[rows].assign(id=rows + FIRST_ID)[list(COLUMNS)]
    with_comma = table["productDisplayName"].map(lambda name: crc32(name.encode()) % 5 == 0)
    table["productDisplayName"] += with_comma.map({True: ", Pack of 2", False: ""})
    images = [_jpeg(catalogue.read(int(row)), number) for number, row in enumerate(rows)]
    if layout == "huggingface":
        folder = root / "fashion-product-images-small"
        _write_shards(table, images, folder / "data")
        return folder
    (root / "images").mkdir(parents=True)
    for number, image in zip(table["id"], images, strict=True):
        (root / "images" / f"{number}.jpg").write_bytes(image)
    absent = {name: "NA" if name in ("usage", "baseColour") else "" for name in COLUMNS}
    lines = table.astype(object).fillna(absent).astype(str).agg(",".join, axis=1)
    (root / "styles.csv").write_text("\n".join([",".join(COLUMNS), *lines]) + "\n", encoding="utf-8")
    return root


def _jpeg(pixels: np.ndarray, number: int) -> bytes:
    """An encoded image. By its number some are grey (one channel), half as large, or square with white beside."""
    image = Image.fromarray(pixels)
    if number % 17 == 5:
        image = image.convert("L")
    if number % 23 == 7:
        image = image.reduce(2)
    if number % 29 == 11:
        square = Image.new(image.mode, (image.height, image.height), "white")
        square.paste(image, ((image.height - image.width) // 2, 0))
        image = square
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90)
    return file.getvalue()


def _write_shards(table: pd.DataFrame, images: list[bytes], folder: Path) -> None:
    """Two parquet files as the hub has them: image is a struct of bytes and path, and the path is null."""
    folder.mkdir(parents=True)
    kinds = {"id": pa.int64(), "year": pa.float64()}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])
    whole = pa.Table.from_pandas(table.astype({"year": float}), schema, preserve_index=False)
    struct = pa.array([{"bytes": image, "path": None} for image in images])
    struct = struct.cast(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    whole = whole.append_column("image", struct)
    half = len(whole) // 2
    pq.write_table(whole[:half], folder / "train-00000-of-00002-0123456789abcdef.parquet")
    pq.write_table(whole[half:], folder / "train-00001-of-00002-fedcba9876543210.parquet")

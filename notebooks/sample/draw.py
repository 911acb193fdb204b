"""Draws the sample: some thousand photos of Fashion Product Images (Small), few enough to lie in a repository.

``python notebooks/sample/draw.py DATA_ROOT`` reads the dataset in the hub's layout and writes
``fashion-product-images-small/data/train-00000-of-00001.parquet`` beside itself in the same layout. Images keep
their bytes.
"""

import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fashionlib.sources.products import FOLDER, open_products

IMAGES = 3_850  # just below 8 MB
LEAST = 7  # images of an article type, so that training, validation and test each have one; rarer types stay out
IN_LINES = 0.7  # share of a type's images that come in product lines, where there are as many
LONGEST = 8  # images of a product line; longer ones are mostly basics that share a name
SAMPLE = Path(__file__).resolve().parent


def choose(table: pd.DataFrame, images: int = IMAGES, seed: int = 42) -> pd.DataFrame:
    """About so many rows: seven of each article type, the others in proportion; a product line is taken whole or not
    at all. ``table`` has the columns articleType, gender, productDisplayName and item."""
    counts = table["articleType"].value_counts()
    counts = counts[counts >= LEAST]
    quotas = LEAST + (images - LEAST * len(counts)) * counts / counts.sum()
    shuffled = table.sample(frac=1, random_state=seed)
    lines = shuffled.dropna(subset="item")
    lines = lines[lines.groupby("item")["item"].transform("size") <= LONGEST]
    # of one name only one: two such products could look like a line in the sample
    singles = shuffled[shuffled["item"].isna()].drop_duplicates(["productDisplayName", "articleType", "gender"])
    parts = [
        _of_type(lines[lines["articleType"] == kind], singles[singles["articleType"] == kind], round(quota))
        for kind, quota in quotas.items()
    ]
    return pd.concat(parts).sort_index()


def _of_type(lines: pd.DataFrame, singles: pd.DataFrame, quota: int) -> pd.DataFrame:
    """At least ``quota`` rows, if there are as many: product lines, then single products, then the other lines."""
    sizes = lines.groupby("item", sort=False).size()
    early = sizes[sizes.cumsum() <= IN_LINES * quota]
    singles = singles.head(quota - early.sum())
    late = sizes.drop(early.index)
    late = late[late.cumsum() - late < quota - early.sum() - len(singles)]
    return pd.concat([lines[lines["item"].isin(early.index.union(late.index))], singles])


def write_sample(root: str | Path, folder: Path = SAMPLE) -> Path:
    """Draw the sample of ``root/fashion-product-images-small``, write it below ``folder``, return the file. Raises
    ``CatalogueError`` if the dataset is not there."""
    catalogue = open_products(root)
    ids = pa.array(choose(catalogue.table)["id"], pa.int64())
    shards = sorted((Path(root) / FOLDER / "data").glob("train-*.parquet"))
    whole = pa.concat_tables(pq.read_table(shard) for shard in shards)
    sample = whole.filter(pc.is_in(whole["id"], ids)).combine_chunks()
    file = folder / FOLDER / "data" / "train-00000-of-00001.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    # one page holds all images, so that what their headers have in common is stored once
    pq.write_table(sample, file, compression="zstd", compression_level=19, use_dictionary=False, data_page_size=2**26)
    return file


if __name__ == "__main__":
    written = write_sample(sys.argv[1])
    print(f"{pq.read_metadata(written).num_rows:,} images, {written.stat().st_size / 1e6:.2f} MB: {written}")

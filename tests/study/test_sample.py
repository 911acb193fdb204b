"""The sample: product lines are whole, every article type is there, and the files are the dataset's own."""

import pandas as pd
import pyarrow.parquet as pq
import pytest

from fashionlib.data.decoding import decode
from fashionlib.sources import open_catalogue
from fashionlib.sources.products import FOLDER
from sample.draw import LEAST, SAMPLE, choose, write_sample


def test_whole_lines_and_every_article_type():
    lines = [("Shirts", f"line {n}", f"line {n}") for n in range(60) for _ in range(2 + n % 3)]
    singles = [("Shirts", f"name {n}", None) for n in range(100)] + [("Shirts", "one name", None)] * 30
    rare = [("Hats", "hat", "hat")] * 6 + [("Hats", "cap", None)] + [("Masks", f"mask {n}", None) for n in range(6)]
    table = pd.DataFrame(lines + singles + rare, columns=["articleType", "productDisplayName", "item"], dtype=object)
    table = table.assign(gender="Men")
    chosen = choose(table, images=100)
    assert chosen["articleType"].value_counts().to_dict() == pytest.approx({"Shirts": 93, "Hats": LEAST}, abs=3)
    sizes = chosen.groupby("item").size()
    assert (sizes == table.groupby("item").size()[sizes.index]).all() and 0.5 < sizes.sum() / len(chosen) < 0.8
    assert (chosen["productDisplayName"] == "one name").sum() <= 1
    assert chosen.index.equals(choose(table, images=100).index) and chosen.index.is_monotonic_increasing
    assert not chosen.index.equals(choose(table, images=100, seed=1).index)


def test_the_file_has_the_datasets_layout_and_bytes(tmp_path):
    (shard,) = (SAMPLE / FOLDER / "data").iterdir()
    source = pq.read_table(shard)[:400]
    (tmp_path / FOLDER / "data").mkdir(parents=True)
    pq.write_table(source, tmp_path / FOLDER / "data" / shard.name)
    written = pq.read_table(write_sample(tmp_path, tmp_path / "sample"))
    assert written.schema.equals(source.schema) and 100 < len(written) <= len(source)
    expected = {row["id"]: row for row in source.to_pylist()}
    assert all(row == expected[row["id"]] for row in written.to_pylist())


def test_the_sample_in_the_repository_is_whole():
    assert sum(file.stat().st_size for file in SAMPLE.rglob("*") if file.is_file()) <= 8e6
    catalogue = open_catalogue("products", SAMPLE)
    assert len(catalogue.rejected) == 0 and catalogue.table["articleType"].value_counts().min() >= LEAST
    assert catalogue.table["item"].nunique() > 500
    for row in range(0, len(catalogue), 100):
        assert decode(catalogue.read(row), str(row)).size <= (80, 80)
    assert {"LICENSE", "NOTICE"} <= {file.name for file in SAMPLE.iterdir()}

"""What holds for any input: rows of a table, bytes of a photo, changes of a model file."""

import csv
import io
import random

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fashionlib.data.catalogue import CatalogueError
from fashionlib.models import MultitaskModel
from fashionlib.shop.tagging import Tagger
from fashionlib.sources import open_catalogue
from fashionlib.training.checkpoints import load_model, save_model
from tiny import tiny_data, tiny_model

FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
CELL = st.one_of(TEXT, st.integers(), st.floats(), st.none())
IMAGE = st.one_of(st.integers(0, 30).map("{}.jpg".format), TEXT, st.none())
ROWS = st.lists(st.tuples(IMAGE, CELL, CELL, CELL, st.sampled_from(["train", "Valid", "testing", None])), max_size=40)
COLUMNS = ["image", "kind", "tags", "sku", "split"]
NAMED = {"category": "kind", "attributes": "tags", "item": "sku", "split": "split"}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for number in range(30):  # of 31 that are named
        (folder / f"{number}.jpg").touch()
    return folder


@FEW
@given(rows=ROWS)
def test_rows_are_used_or_rejected_and_what_is_read_is_what_was_written(photos, tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("tables")
    with open(folder / "my.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    parquet = pd.DataFrame({c: pd.Series([r[k] for r in rows], dtype=object) for k, c in enumerate(COLUMNS)})
    parquet.map(lambda cell: None if cell is None else str(cell)).astype("str").to_parquet(folder / "my.parquet")
    seen = []
    for name in ("my.csv", "my.parquet"):
        try:
            catalogue = open_catalogue(folder / name, images=photos, **NAMED)
        except CatalogueError as error:
            assert name in str(error) or "my:" in str(error)
            continue
        assert len(catalogue) + len(catalogue.rejected) == len(rows) and catalogue.rejected["reason"].notna().all()
        labels = ["category", "attributes", "item"]
        catalogue.table[["image", "split", *labels]].to_parquet(folder / "again.parquet")
        again = open_catalogue(
            folder / "again.parquet", images=photos, **dict(zip(labels, labels, strict=True)), split="split"
        )
        seen.append(again.table[["image", "split", *labels]].fillna("missing"))
        written = catalogue.table.assign(attributes=catalogue.table["attributes"].replace("", None))
        pd.testing.assert_frame_equal(seen[-1], written[["image", "split", *labels]].fillna("missing"))


@pytest.fixture(scope="module")
def tagger():
    return Tagger(tiny_model(tiny_data(), "gender").eval(), "tiny")


@pytest.fixture(scope="module")
def encoded():
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 30, 3), np.uint8)).save(file, "JPEG")
    return file.getvalue()


@FEW
@given(data=st.binary(max_size=200), seed=st.integers(0, 10**6))
def test_any_bytes_are_one_photo_or_one_reason(tagger, encoded, data, seed):
    draw = random.Random(seed)
    damaged = bytearray(encoded)
    for _ in range(draw.randrange(1, 9)):
        damaged[draw.randrange(len(damaged))] = draw.randrange(256)
    for given_bytes in (data, bytes(damaged), bytes(damaged[: draw.randrange(len(damaged))])):
        tags = tagger.tag(given_bytes)
        assert len(tags) == 1 and (tags["error"].notna() | tags["label"].notna()).all()


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    return save_model(tiny_model(tiny_data(), "gender"), tmp_path_factory.mktemp("model") / "model.pth")


@FEW
@given(seed=st.integers(0, 10**9))
def test_any_change_of_a_model_file_is_a_model_or_an_error_that_names_it(model_file, tmp_path_factory, seed):
    draw = random.Random(seed)
    content = bytearray(model_file.read_bytes())
    for _ in range(draw.choice([1, 1, 3, 50])):
        place = draw.choice(
            [draw.randrange(len(content)), draw.randrange(2000), len(content) - draw.randrange(1, 2000)]
        )
        content[place] ^= 1 << draw.randrange(8)
    if draw.random() < 0.2:
        content = content[: draw.randrange(len(content))]
    path = tmp_path_factory.mktemp("changed") / "changed.pth"
    path.write_bytes(content)
    try:
        assert isinstance(load_model(path), MultitaskModel)
    except ValueError as error:
        assert "changed.pth" in str(error)

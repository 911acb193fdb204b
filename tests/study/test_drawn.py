"""Drawn garments: their pixels are reproducible and show their labels, and the files written of them are plain."""

import csv
import io

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image
from sklearn.ensemble import ExtraTreesClassifier

from fashionlib.data.decoding import BadImage
from fashionlib.sources.products import SEVEN
from products_writer import FIRST_ID, write_products
from study.drawn import ARTICLES, COLOURS, GROUP, DrawnImages, open_drawn

HEADER = "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,productDisplayName".split(",")


@pytest.fixture(scope="module")
def catalogue():
    return open_drawn(items=60, views=3, seed=7)


def test_same_pixels_from_fresh_objects_in_any_order(catalogue):
    places = list(catalogue.table["image"].iloc[:40])
    forth = {place: DrawnImages(7).read(place) for place in places}
    images = DrawnImages(7)
    for place in reversed(places):
        assert forth[place].dtype == np.uint8 and forth[place].shape == (80, 60, 3)
        np.testing.assert_array_equal(images.read(place), forth[place])
    assert len({image.tobytes() for image in forth.values()}) == len(places)
    assert not np.array_equal(DrawnImages(8).read(places[0]), forth[places[0]])
    assert len({DrawnImages(*key).fingerprint for key in ((1,), (2,), (1, (80, 60)), (1, (60, 80)))}) == 3


def test_same_catalogue_from_same_seed_and_items_do_not_depend_on_their_number(catalogue):
    same, other = (open_drawn(items=60, views=3, seed=seed).table for seed in (7, 8))
    assert catalogue.table.equals(same) and not catalogue.table.equals(other)
    fewer = open_drawn(items=30, views=3, seed=7).table.drop(columns="split")
    pd.testing.assert_frame_equal(fewer, catalogue.table.drop(columns="split").iloc[: len(fewer)])


@pytest.mark.parametrize("place", ["drawn/12", "elsewhere/000001_0", "drawn/a_b", "drawn/-1_0", "drawn/1_2_3", ""])
def test_strange_location_is_refused(place):
    with pytest.raises(BadImage, match="not the location of a drawing"):
        DrawnImages().read(place)


def test_labels_are_valid_and_the_same_in_all_views(catalogue):
    table = catalogue.table
    assert set(table["articleType"]) == set(ARTICLES)
    for row in table.itertuples():
        assert ARTICLES[row.articleType][:2] == (row.masterCategory, row.subCategory)
        assert row.gender in ARTICLES[row.articleType][3] and row.category == row.articleType
        assert {row.gender, row.brands.title(), *row.baseColour.split()} <= set(row.productDisplayName.split())
        groups, words = zip(*(attribute.split(":") for attribute in row.attributes.split(";")), strict=True)
        assert [GROUP.get(word, "colour") for word in words] == list(groups) and row.baseColour in words
    same = table.groupby("item")[[*SEVEN, "year", "attributes", "brands", "words", "productDisplayName"]].nunique()
    assert (same == 1).all(axis=None) and table.groupby("item").size().between(2, 3).all()
    assert len(catalogue.tasks["taxonomy"].paths) == len(ARTICLES)
    assert set(catalogue.tasks["attributes"].groups) == {"colour", *GROUP.values()}


def test_missing_labels_are_none():
    table = open_drawn(items=80, missing=0.2).table
    for name in SEVEN:
        assert 0.1 < table[name].isna().mean() < 0.3
    assert table[["item", "image", "attributes", "year"]].notna().all(axis=None)
    assert all(value is None for value in table["gender"][table["gender"].isna()])
    assert table["category"].equals(table["articleType"])


@pytest.mark.parametrize("options", [{"items": 0}, {"views": 0}])
def test_options_that_make_no_sense(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        open_drawn(**options)


@pytest.mark.parametrize("size", [(60, 80), (96, 96), (48, 120), (24, 32)])
def test_every_article_is_drawn_in_every_size_and_fits(size):
    images = DrawnImages(3, size)
    for item in range(len(ARTICLES)):  # one of each
        picture = images.read(f"drawn/{item}_0").astype(int)
        assert picture.shape == (size[1], size[0], 3)
        inked = (np.abs(picture - picture[0, 0]).sum(-1) > 30).mean()
        assert 0.02 < inked < 0.7
        corners = picture[[0, 0, -1, -1], [0, -1, 0, -1]]
        assert (corners == corners[0]).all() and corners.min() > 150


def test_the_labels_can_be_seen():
    """On the pixels of items that it never saw, a forest is ahead of the commonest label."""
    data = open_drawn(items=400, views=2, size=(24, 32))
    pixels = np.stack([data.read(row).ravel() for row in range(len(data))])
    later = (data.table["item"] >= "d000280").to_numpy()
    train, test = np.flatnonzero(~later), np.flatnonzero(later)
    for name in SEVEN:
        labels = data.table[name].to_numpy()
        forest = ExtraTreesClassifier(30, random_state=0).fit(pixels[train], labels[train])
        assert forest.score(pixels[test], labels[test]) > pd.Series(labels[test]).value_counts(normalize=True).max()
    assert len(set(data.table["baseColour"])) == len(COLOURS)


def test_views_of_an_item_differ_but_resemble_each_other(catalogue):
    table = catalogue.table
    pictures = np.stack([catalogue.read(row) for row in range(len(table))]).astype(np.int16)
    colours = np.stack([np.histogram(picture, 64)[0] for picture in pictures])
    distance = np.abs(colours[:, None] - colours[None]).sum(-1)
    items = pd.factorize(table["item"])[0]
    same = (items[:, None] == items) & ~np.eye(len(items), dtype=bool)
    assert distance[same].mean() < 0.8 * distance[items[:, None] != items].mean()
    first, second = np.nonzero(np.triu(same))
    assert (np.abs(pictures[first] - pictures[second]).mean((1, 2, 3)) > 1).all()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("products")
    source = open_drawn(items=40, views=3, seed=7, missing=0.05)
    return source, write_products(source, root / "hub"), write_products(source, root / "kaggle", "kaggle")


def test_parquet_files_parse_with_plain_pyarrow(written):
    source, folder, _ = written
    files = sorted((folder / "data").iterdir())
    assert [file.name[:20] for file in files] == ["train-00000-of-00002", "train-00001-of-00002"]
    schema = pq.read_schema(files[0])
    assert schema.names == [*HEADER, "image"]
    assert [str(schema.field(name).type) for name in ("id", "year")] == ["int64", "double"]
    assert str(schema.field("image").type) == "struct<bytes: binary, path: string>"
    rows = [row for file in files for row in pq.read_table(file).to_pylist()]
    modes, sizes = set(), set()
    for number, (row, truth) in enumerate(zip(rows, source.table.to_dict("records"), strict=True)):
        assert row["id"] == number + FIRST_ID and row["year"] == float(truth["year"])
        assert [row[name] for name in SEVEN] == [truth[name] for name in SEVEN]
        image = Image.open(io.BytesIO(row["image"]["bytes"]))
        assert image.format == "JPEG" and row["image"]["path"] is None
        modes.add(image.mode)
        sizes.add(image.size)
        if image.mode == "RGB" and image.size == (60, 80):
            assert np.abs(np.asarray(image).astype(int) - source.read(number)).mean() < 6
    assert modes == {"RGB", "L"} and {(60, 80), (30, 40), (80, 80)} <= sizes


def test_kaggle_files_parse_by_hand(written):
    source, _, folder = written
    text = (folder / "styles.csv").read_text(encoding="utf-8")
    header, *rows = csv.reader(text.splitlines(), quoting=csv.QUOTE_NONE)
    assert header == HEADER and len(rows) == len(source) and '"' not in text
    assert any(len(row) > len(HEADER) for row in rows)  # commas in names, as in the real file
    assert {file.name for file in (folder / "images").iterdir()} == {f"{row[0]}.jpg" for row in rows}
    for row, truth in zip(rows, source.table.to_dict("records"), strict=True):
        values = dict(zip(HEADER, [*row[:9], ",".join(row[9:])], strict=True))
        for name in SEVEN:
            assert values[name] == truth[name] or (truth[name] is None and values[name] in ("", "NA"))

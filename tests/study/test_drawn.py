"""Drawn garments: their pixels are reproducible and so are their labels."""

import numpy as np
import pandas as pd
import pytest

from fashionlib.sources.products import SEVEN
from study.drawn import ARTICLES, GROUP, DrawnImages, open_drawn


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

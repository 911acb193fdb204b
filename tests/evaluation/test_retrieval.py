"""Query and gallery by hand, embeddings against the prediction of a model, histograms against a plain loop."""

import numpy as np
import pandas as pd
import pytest
import torch

from fashionlib.data.catalogue import Catalogue, CatalogueError
from fashionlib.data.images import ImageData
from fashionlib.evaluation.predict import predict
from fashionlib.evaluation.retrieval import embed, query_and_gallery
from fashionlib.metrics.ranking import rank
from fashionlib.tasks import Similarity
from study.tables import colour_histograms
from tiny import NoFiles, tiny_data, tiny_model


def catalogue(table: pd.DataFrame) -> Catalogue:
    return Catalogue(table, [Similarity("item")], NoFiles(), "tiny")


@pytest.fixture
def table() -> pd.DataFrame:
    """In the test: items of 1, 2, 3 and 5 images and two images of no item; one item is also in training."""
    items = ["a", *"bb", *"ccc", *"ddddd", None, None]
    test = pd.DataFrame({"item": items, "split": "test"})
    train = pd.DataFrame({"item": list("abexx"), "split": "train"})
    table = pd.concat([train, test], ignore_index=True).astype(object)
    table["item"] = table["item"].where(table["item"].notna(), None)
    return table.assign(image=[f"{k}.png" for k in range(len(table))])


# --- query and gallery ----------------------------------------------------------------------------


def test_every_image_of_the_split_asks_all_others_of_it(table):
    query, gallery, alone = query_and_gallery(catalogue(table))
    assert query.tolist() == gallery.tolist() == list(range(5, 18)) and alone
    items, points = table["item"].to_numpy(), np.random.default_rng(0).normal(size=(len(table), 4))
    ranking = rank(points[query], points[gallery], items[query], items[gallery], alone=alone)
    assert table["item"].iloc[query[ranking.queries]].value_counts().to_dict() == {"b": 2, "c": 3, "d": 5}
    assert ranking.n_excluded == 3  # two images of no item, and one that is alone


def test_official_query_and_gallery_are_used_for_the_test_alone(table):
    split = ["train"] * 3 + ["val"] * 2 + ["query"] * 6 + ["gallery"] * 7
    official = catalogue(table.assign(split=split))
    query, gallery, alone = query_and_gallery(official)
    assert query.tolist() == list(range(5, 11)) and gallery.tolist() == list(range(11, 18)) and not alone
    assert query_and_gallery(official, "val")[0].tolist() == [3, 4]


def test_nothing_to_find_is_said(table):
    with pytest.raises(CatalogueError, match="no item has two images in split 'test'"):
        query_and_gallery(catalogue(table.drop_duplicates("item")))
    with pytest.raises(CatalogueError, match="'val' is empty"):
        query_and_gallery(catalogue(table), "val")
    without = Catalogue(table.drop(columns="item"), [], NoFiles(), "tiny")
    with pytest.raises(CatalogueError, match="column 'item' is missing"):
        query_and_gallery(without)


# --- embeddings -----------------------------------------------------------------------------------


ROWS = np.array([3, 40, 0, 17, 47])


@pytest.mark.parametrize("mirror", [False, True])
def test_embeddings_are_what_the_model_predicts(trained, mirror):
    model, data = trained
    model.train()
    expected = predict(model, data, ROWS, mirror=mirror, tasks=("item",)).activations["item"]
    found = embed(model, data, ROWS, mirror=mirror)
    assert found.dtype == np.float32 and found.shape == (5, 16)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert model.training  # as before


def test_features_are_those_of_the_backbone(trained):
    model, data = trained
    model.eval()
    with torch.no_grad():
        views = [model.features(images).numpy() for images in (data.fetch(ROWS), data.fetch(ROWS).flip(2))]
    plain, mirrored = (view / np.linalg.norm(view, axis=1, keepdims=True) for view in views)
    np.testing.assert_allclose(embed(model, data, ROWS, what="features", mirror=False), plain, atol=1e-6)
    both = plain + mirrored
    found = embed(model, data, ROWS, what="features")
    np.testing.assert_allclose(found, both / np.linalg.norm(both, axis=1, keepdims=True), atol=1e-5)


def test_a_model_without_an_embedding_still_has_features():
    data = tiny_data()
    model = tiny_model(data, "gender")
    assert embed(model, data, ROWS, what="features").shape == (5, model.feature_dimension)
    with pytest.raises(ValueError, match="no Similarity task 'item'.*SingleLabel gender.*features"):
        embed(model, data, ROWS)
    with pytest.raises(ValueError, match="task 'gender'"):
        embed(model, data, ROWS, task="gender")
    with pytest.raises(ValueError, match="'embedding' and 'features'"):
        embed(model, data, ROWS, what="logits")


# --- colour histograms ----------------------------------------------------------------------------


def of_pixels(pixels: np.ndarray, bins: int = 8) -> np.ndarray:
    images = pd.DataFrame({"image": [f"{n}.png" for n in range(len(pixels))], "split": "train"})
    data = ImageData(Catalogue(images, [], NoFiles(), "few"), pixels, np.arange(len(pixels)))
    return colour_histograms(data, np.arange(len(pixels)), bins)


@pytest.mark.parametrize("bins", [1, 3, 8])
def test_histograms_are_those_of_a_plain_loop(bins, monkeypatch):
    monkeypatch.setattr("study.tables.BATCH", 2)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 5, 4, 3)).astype(np.uint8)
    expected = np.zeros((3, bins, bins, bins))
    for image, counts in zip(pixels, expected, strict=True):
        for red, green, blue in image.reshape(-1, 3).tolist():
            counts[red * bins // 256, green * bins // 256, blue * bins // 256] += 1 / 20
    found = of_pixels(pixels, bins)
    np.testing.assert_allclose(found**2, expected.reshape(3, -1), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert found.dtype == np.float32


def test_a_histogram_sees_colours_and_not_where_they_are():
    picture = np.full((6, 6, 3), 255, np.uint8)
    picture[:2] = (200, 0, 0)
    turned, blue = picture[::-1], picture[..., ::-1]
    one, same, other = of_pixels(np.stack([picture, turned, blue]))
    assert one @ same == pytest.approx(1)
    assert one @ other == pytest.approx(24 / 36)  # the white they share (Bhattacharyya)

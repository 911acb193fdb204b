"""What the figures of retrieval say, against rankings made by hand."""

from dataclasses import replace
from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import same_color

from fashionlib.data.catalogue import Catalogue
from fashionlib.data.images import ImageData
from study.figures.retrieval import embedding_map, project, recall_curve, retrieval_montage
from study.figures.style import COLOURS, GREEN, LIGHT, VERMILION
from fashionlib.metrics.ranking import rank
from fashionlib.tasks import Similarity

# rows 0-3 ask, rows 5-9 answer; the item of row 2 is not in the gallery
ITEMS = list("abxc") + ["z"] + list("abacb")
QUERY, GALLERY = np.arange(4), np.arange(5, 10)
ANGLES = [0, 19, 5, 48] + [0] + [0, 10, 20, 30, 40]


@pytest.fixture
def data():
    """Every image is of one shade, so that it can be told in a figure."""
    table = pd.DataFrame({"image": [str(k) for k in range(10)], "item": ITEMS, "split": "train"})
    catalogue = Catalogue(table, [Similarity("item")], SimpleNamespace(fingerprint="x"), "tiny")
    pixels = np.full((10, 8, 6, 3), 1, np.uint8) * np.arange(10, dtype=np.uint8)[:, None, None, None] * 20
    return ImageData(catalogue, pixels, np.arange(10))


@pytest.fixture
def ranking():
    """a: 5, 6, 7 (hit, miss, hit); b: 7, 6, 8 (miss, hit, miss); c: 9, 8, 7 (miss, hit, miss)."""
    angles = np.deg2rad(ANGLES)
    points, items = np.stack([np.cos(angles), np.sin(angles)], 1), np.array(ITEMS)
    return rank(points[QUERY], points[GALLERY], items[QUERY], items[GALLERY], ks=(1, 3))


def row_of(axes) -> int:
    return int(np.asarray(axes.images[0].get_array())[0, 0, 0]) // 20


def said(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_a_montage_shows_each_query_beside_its_nearest_and_marks_them(data, ranking):
    figure = retrieval_montage(data, QUERY, GALLERY, ranking, n=3, k=3)
    lines = [figure.axes[k : k + 4] for k in range(0, 12, 4)]
    shown = {row_of(line[0]): [row_of(axes) for axes in line[1:]] for line in lines}
    assert shown == {0: [5, 6, 7], 1: [7, 6, 8], 3: [9, 8, 7]}
    marks = {row_of(line[0]): ["".join(said(axes)) for axes in line[1:]] for line in lines}
    assert marks == {0: ["✓", "×", "✓"], 1: ["×", "✓", "×"], 3: ["×", "✓", "×"]}
    texts = {row_of(line[0]): said(line[0]) for line in lines}
    assert texts[0] == ["match at rank 1", "2 in the gallery"]
    assert texts[3] == ["match at rank 2", "1 in the gallery"]
    for axes in figure.axes:
        if said(axes) in (["✓"], ["×"]):
            expected = GREEN if said(axes) == ["✓"] else VERMILION
            assert same_color(axes.spines["left"].get_edgecolor(), expected)
            assert same_color(axes.texts[0].get_color(), expected)
        else:
            assert same_color(axes.spines["left"].get_edgecolor(), LIGHT)
    foot = figure.texts[0].get_text()
    assert "1 where the nearest image is a match (true of 1 of 3 queries), 2 where it is not" in foot


def test_a_montage_stays_inside_the_page(data, ranking):
    ranking = replace(ranking, first_match_rank=np.array([12_345, 1, 2]))  # of In-shop's gallery of 12,612
    figure = retrieval_montage(data, QUERY, GALLERY, ranking, n=3, k=3)
    figure.canvas.draw()
    texts = [text.get_window_extent() for axes in figure.axes for text in axes.texts]
    texts.append(figure.texts[0].get_window_extent())
    pictures = [axes.get_window_extent() for axes in figure.axes]
    edge = figure.bbox
    for box in (*texts, *pictures):
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= edge.x1 and box.y1 <= edge.y1
    assert not any(texts[-1].overlaps(picture) for picture in pictures)


def test_queries_are_drawn_by_seed_half_of_them_failures():
    rng = np.random.default_rng(0)
    n = 60
    items = np.arange(n)
    points = rng.normal(size=(n, 6))
    queries = points + 1.2 * rng.normal(size=(n, 6))
    ranking = rank(queries, points, items, items, ks=(1, 2))
    assert 8 < (ranking.first_match_rank == 1).sum() < 52
    table = pd.DataFrame({"image": [str(k) for k in range(2 * n)], "item": [*items, *items], "split": "train"})
    catalogue = Catalogue(table, [Similarity("item")], SimpleNamespace(fingerprint="x"), "tiny")
    pixels = np.full((2 * n, 4, 4, 3), 1, np.uint8) * np.arange(2 * n, dtype=np.uint8)[:, None, None, None] * 2
    data = ImageData(catalogue, pixels, np.arange(2 * n))

    def drawn(**options) -> list[int]:
        figure = retrieval_montage(data, np.arange(n), np.arange(n, 2 * n), ranking, n=8, k=2, **options)
        assert len(figure.axes) == 8 * 3
        return [int(np.asarray(axes.images[0].get_array())[0, 0, 0]) // 2 for axes in figure.axes[::3]]

    first = drawn()
    assert len(set(first)) == 8 and (ranking.first_match_rank[first] == 1).tolist() == [True] * 4 + [False] * 4
    assert drawn() == first != drawn(seed=1)


def test_a_montage_of_queries_that_all_succeed_is_filled_with_them(data):
    items = np.array(["a", "b"])
    perfect = rank(np.eye(2), np.eye(2), items, items)
    figure = retrieval_montage(data, np.array([0, 1]), np.array([5, 6]), perfect, n=8, k=6)
    assert sorted(row_of(axes) for axes in figure.axes[::3]) == [0, 1] and len(figure.axes) == 6


def test_recall_curves_are_the_share_of_queries_found_by_then(ranking):
    figure = recall_curve({"made by hand": ranking}, most=4)
    (axes,) = figure.axes
    assert axes.lines[0].get_xdata().tolist() == [1, 2, 3, 4]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [1 / 3, 1, 1, 1])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["made by hand: 0.333 at 1"]
    band = axes.collections[0].get_paths()[0].vertices
    at_one = band[band[:, 0] == 1, 1]
    assert at_one.min() == 0 and at_one.max() > 1 / 3
    assert len(recall_curve({str(k): ranking for k in range(9)}).axes[0].lines) == 9


def test_a_map_colours_the_commonest_and_leaves_the_others_grey():
    labels = ["shirt"] * 5 + ["shoe"] * 4 + ["bag"] * 2 + ["hat", None]
    points = np.arange(26.0).reshape(13, 2)
    figure = embedding_map(points, labels, commonest=2)
    (axes,) = figure.axes
    drawn = {c.get_label(): (c.get_offsets().tolist(), c.get_facecolor()[0]) for c in axes.collections}
    assert {name: where for name, (where, _) in drawn.items()} == {
        "shirt, 5": points[:5].tolist(),
        "shoe, 4": points[5:9].tolist(),
        "2 others, 4": points[9:].tolist(),
    }
    for name, colour in [("shirt, 5", COLOURS[0]), ("shoe, 4", COLOURS[1]), ("2 others, 4", LIGHT)]:
        assert same_color(drawn[name][1][:3], colour)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["shirt, 5", "shoe, 4", "2 others, 4"]
    assert len(embedding_map(points, list("abcdefghijklm"), commonest=20).axes[0].collections) == len(COLOURS) + 1
    assert len(embedding_map(points, ["a"] * 13).axes[0].collections) == 1


def test_a_projection_keeps_groups_together_and_is_found_again():
    rng = np.random.default_rng(0)
    centres = np.eye(8)[:3]
    embeddings = np.repeat(centres, 12, 0) + 0.05 * rng.normal(size=(36, 8))
    embeddings = (embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)).astype(np.float32)
    points = project(embeddings, seed=1)
    assert points.shape == (36, 2)
    np.testing.assert_array_equal(points, project(embeddings, seed=1))
    distance = np.linalg.norm(points[:, None] - points, axis=2) + np.diag(np.full(36, np.inf))
    group = np.repeat(np.arange(3), 12)
    assert (group[distance.argmin(1)] == group).all()
    with pytest.raises(ValueError, match="at least 3"):
        project(embeddings[:2])

"""What the figures of retrieval say, against rankings made by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import same_color

from fashionlib.metrics.ranking import rank
from fashionlib.tasks import Similarity, SingleLabel
from seen import legend, row_of, said, shaded, unreadable
from study.figures.retrieval import embedding_map, neighbours, recall_curve, retrieval_montage
from study.figures.style import COLOURS, GREEN, LIGHT, VERMILION

# rows 0-3 ask, rows 5-9 answer; the item of row 2 is not in the gallery
ITEMS = list("abxc") + ["z"] + list("abacb")
QUERY, GALLERY = np.arange(4), np.arange(5, 10)
ANGLES = [0, 19, 5, 48] + [0] + [0, 10, 20, 30, 40]


@pytest.fixture
def data():
    return shaded(pd.DataFrame({"item": ITEMS}), [Similarity("item")])


@pytest.fixture
def ranking():
    """a: 5, 6, 7 (hit, miss, hit); b: 7, 6, 8 (miss, hit, miss); c: 9, 8, 7 (miss, hit, miss)."""
    angles = np.deg2rad(ANGLES)
    points, items = np.stack([np.cos(angles), np.sin(angles)], 1), np.array(ITEMS)
    return rank(points[QUERY], points[GALLERY], items[QUERY], items[GALLERY], ks=(1, 3))


def test_each_query_stands_beside_its_nearest_which_are_marked(data, ranking):
    figure = retrieval_montage(data, QUERY, GALLERY, ranking, n=3, k=3)
    lines = [figure.axes[k : k + 4] for k in range(0, 12, 4)]
    shown = {row_of(line[0], data): [row_of(axes, data) for axes in line[1:]] for line in lines}
    assert shown == {0: [5, 6, 7], 1: [7, 6, 8], 3: [9, 8, 7]}
    marks = {row_of(line[0], data): ["".join(said(axes)) for axes in line[1:]] for line in lines}
    assert marks == {0: ["✓", "×", "✓"], 1: ["×", "✓", "×"], 3: ["×", "✓", "×"]}
    texts = {row_of(line[0], data): said(line[0]) for line in lines}
    assert texts[0] == ["match at rank 1", "2 in the gallery"] and texts[3][0] == "match at rank 2"
    for axes in figure.axes:
        colour = {"✓": GREEN, "×": VERMILION}.get(said(axes)[0], LIGHT)
        assert same_color(axes.spines["left"].get_edgecolor(), colour)
    assert "(true of 1 of 3 queries)" in figure.texts[0].get_text().replace("\n", " ")
    ranking = replace(ranking, first_match_rank=np.array([12_345, 1, 2]))  # of In-shop's gallery of 12,612
    assert not unreadable(retrieval_montage(data, QUERY, GALLERY, ranking, n=3, k=3))


def test_queries_are_drawn_by_seed_half_of_them_failures():
    rng, n = np.random.default_rng(0), 60
    items, points = np.arange(n), rng.normal(size=(n, 6))
    ranking = rank(points + 1.2 * rng.normal(size=(n, 6)), points, items, items, ks=(1, 2))
    data = shaded(pd.DataFrame({"item": [*items, *items]}), [Similarity("item")])

    def drawn(**options) -> list[int]:
        figure = retrieval_montage(data, np.arange(n), np.arange(n, 2 * n), ranking, n=8, k=2, **options)
        return [row_of(axes, data) for axes in figure.axes[::3]]

    first = drawn()
    assert len(set(first)) == 8 and (ranking.first_match_rank[first] == 1).tolist() == [True] * 4 + [False] * 4
    assert drawn() == first != drawn(seed=1)
    perfect = rank(points, points, items, items, ks=(1, 2))
    figure = retrieval_montage(data, np.arange(n), np.arange(n, 2 * n), perfect, n=8, k=2)
    assert len(figure.axes) == 24  # where none fails, successes fill the page


def test_the_curve_is_recall_at_every_k(ranking):
    figure = recall_curve({"made by hand": ranking}, most=4)
    (axes,) = figure.axes
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [1 / 3, 1, 1, 1])
    assert legend(figure) == ["made by hand: 0.333 at 1"]
    band = axes.collections[-1].get_paths()[0].vertices
    at_one = band[band[:, 0] == 1, 1]
    assert at_one.min() == 0 and at_one.max() > 1 / 3


def test_a_map_colours_the_commonest_and_leaves_the_others_grey():
    labels = pd.Series(["shirt"] * 5 + ["shoe"] * 4 + ["bag"] * 2 + ["hat", None], name="category")
    points = np.arange(26.0).reshape(13, 2)
    figure = embedding_map(points, labels, commonest=2)
    (collection,) = figure.axes[0].collections
    assert collection.get_offsets().tolist() == [*points[9:].tolist(), *points[:9].tolist()]  # grey ones lie below
    expected = [LIGHT] * 4 + [COLOURS[0]] * 5 + [COLOURS[1]] * 4
    assert all(same_color(face[:3], colour) for face, colour in zip(collection.get_facecolor(), expected, strict=True))
    assert legend(figure) == ["shirt, 5", "shoe, 4", "all others, 4"]
    assert figure.legends[0].get_title().get_text() == "category, images"
    assert legend(embedding_map(points, pd.Series(list("abcdefghijklm")), commonest=20))[-1] == "all others, 6"
    assert legend(embedding_map(points, pd.Series(["a"] * 13))) == ["a, 13"]
    alike = pd.Series([f"A very long name of women's clothing, {colour}" for colour in ["red", "blue"] * 6 + ["red"]])
    first, second = legend(embedding_map(points, alike.drop(12).reindex(range(13))))[:2]
    assert first == second and first.endswith("…, 6")  # cut alike, and two all the same


@pytest.mark.parametrize("n, more", [(3, 0), (8, 0), (3, 10)])
def test_neighbours_stand_beside_the_photo_and_its_tags(n, more):
    kinds = ["shirt", "shoe", "shirt", None, "bag", "bag", "shirt", "shirt", "shirt"]
    table = pd.DataFrame({"kind": kinds, "colour": ["red", "red", "blue", *["red"] * 6]})
    data = shaded(table, [SingleLabel("kind")])
    tags = pd.DataFrame({"task": ["kind", "colour"], "label": ["shirt", "red"], "confidence": [0.914, 0.5]})
    tags = pd.concat([tags, pd.DataFrame({"task": "another", "label": "something", "confidence": [0.1] * more})])
    found, pixels = table[1 : n + 1].assign(similarity=np.linspace(0.98, 0.5, n)), data.pixels
    figure = neighbours(pixels[0], tags, pixels[1 : n + 1], found, ["kind", "colour"])
    pictures = [axes for axes in figure.axes if axes.images]
    assert [row_of(axes, data) for axes in pictures] == list(range(n + 1))
    assert said(pictures[1]) == ["0.98", "× shoe", "red"] and said(pictures[2])[1:] == ["shirt", "× blue"]
    assert said(pictures[3])[1:] == ["not given", "red"]
    (bars,) = [axes for axes in figure.axes if not axes.images]
    assert [bar.get_width() for bar in bars.patches][:2] == [0.914, 0.5]
    assert said(bars)[:6] == ["kind", "shirt", "0.91", "colour", "red", "0.50"] and not unreadable(figure)
    asked = neighbours(pixels[0], tags, pixels[1 : n + 1], found, ["kind", "colour"], ["colour"])
    assert said([axes for axes in asked.axes if axes.images][2])[1:] == ["shirt", "blue"]  # as it was asked for

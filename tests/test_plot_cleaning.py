"""What the figures of cleaning say, against tables made by hand."""

import matplotlib

matplotlib.use("Agg")
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import same_color

from fashionlib.data.catalogue import Catalogue
from fashionlib.shop.cleaning import duplicate_table
from fashionlib.data.images import ImageData
from study.figures.cleaning import duplicate_groups_figure, neighbours_figure, planted_curve, suspect_montage
from study.figures.style import GREEN, LIGHT, VERMILION
from fashionlib.shop.suspects import found_planted
from fashionlib.tasks import SingleLabel


class Nothing:
    fingerprint = "x"


@pytest.fixture
def data():
    """Every image is of one shade, so that it can be told in a figure."""
    kinds = ["shirt", "shoe", "shirt", None, "bag", "bag", "shirt", "shirt", "shirt", "a kind with a very long name"]
    colours = ["red", "red", "blue", "red", "red", "green", "red", "red", "red", "red"]
    table = pd.DataFrame({"image": [str(k) for k in range(10)], "kind": kinds, "colour": colours, "split": "train"})
    catalogue = Catalogue(table, [SingleLabel("kind"), SingleLabel("colour")], Nothing(), "tiny")
    pixels = np.full((10, 8, 6, 3), 1, np.uint8) * np.arange(10, dtype=np.uint8)[:, None, None, None] * 20
    return ImageData(catalogue, pixels, np.arange(10))


@pytest.fixture
def suspects():
    table = pd.DataFrame(
        {"row": [4, 2, 9, 0], "label": "kind", "given": ["bag", "shirt", "a kind of garment", "shirt"]}
    )
    table["suggested"] = ["shoe", "bag", "shirt", "something else entirely"]
    return table.assign(p_given=[0.012, 0.2, 0.45, 0.9], rank=[1, 2, 3, 4])


PLANTED = pd.DataFrame({"row": [2, 0, 7], "true": ["bag", "hat", "shoe"], "kind": ["any", "sibling", "any"]})


def row_of(axes) -> int:
    return int(np.asarray(axes.images[0].get_array())[0, 0, 0]) // 20


def said(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def overlapping(figure) -> list[str]:
    """Texts that leave the page, lie on another text or on an image."""
    figure.canvas.draw()
    texts = [text for axes in figure.axes for text in axes.texts if text.get_text() not in ("✓", "×")]
    texts += figure.texts
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts if text.get_text()]
    pictures = [axes.get_window_extent() for axes in figure.axes if axes.images]
    page, bad = figure.bbox, []
    for k, (text, box) in enumerate(boxes):
        inside = box.x0 >= page.x0 - 1 and box.x1 <= page.x1 + 1 and box.y0 >= page.y0 - 1 and box.y1 <= page.y1 + 1
        others = [other.padded(-1) for _, other in boxes[:k]] + [picture.padded(-1) for picture in pictures]
        if not inside or any(box.padded(-1).overlaps(other) for other in others):
            bad.append(text)
    return bad


# --- suspects -------------------------------------------------------------------------------------


def test_suspects_are_shown_with_what_is_given_and_suggested(data, suspects):
    figure = suspect_montage(data, suspects.iloc[::-1], n=3)
    assert [row_of(axes) for axes in figure.axes] == [4, 2, 9]
    assert said(figure.axes[0]) == ["bag", "→ shoe", "p 0.01"]
    assert said(figure.axes[2])[0].endswith("…")
    assert same_color(figure.axes[0].texts[0].get_color(), VERMILION)
    assert "Given kind" in figure.texts[0].get_text() and "planted" not in figure.texts[0].get_text()


def test_planted_suspects_are_marked_and_counted(data, suspects):
    figure = suspect_montage(data, suspects, planted=PLANTED)
    marked = {row_of(axes) for axes in figure.axes if "✓" in said(axes)}
    assert marked == {2, 0}
    for axes in figure.axes:
        assert same_color(axes.spines["left"].get_edgecolor(), GREEN if row_of(axes) in marked else LIGHT)
    assert "planted: 2 of these 4" in figure.texts[0].get_text()


def test_a_full_page_of_suspects_can_be_read(data, suspects):
    many = pd.concat([suspects] * 10, ignore_index=True).assign(rank=range(40))
    figure = suspect_montage(data, many, planted=PLANTED)
    assert len(figure.axes) == 40 and figure.get_figheight() < 9.5  # a page
    assert not overlapping(figure)


# --- planted errors -------------------------------------------------------------------------------


def test_the_curve_is_that_of_the_table():
    rng = np.random.default_rng(0)
    suspects = pd.DataFrame({"row": rng.permutation(60), "suggested": "a", "rank": np.arange(1, 61)})
    planted = pd.DataFrame({"row": range(6), "true": "a", "kind": ["any", "sibling"] * 3})
    figure = planted_curve(suspects, planted)
    for panel, name in zip(figure.axes, ("precision", "recall"), strict=True):
        curves = panel.get_lines()[::3]
        for line, kind in zip(curves, ("any", "sibling", "all"), strict=True):
            n, values = line.get_data()
            part = planted if kind == "all" else planted[planted["kind"] == kind]
            expected = found_planted(suspects, planted, times=np.asarray(n) / len(part))
            expected = expected[expected["kind"] == kind].set_index("examined")[name]
            np.testing.assert_allclose(values, expected.loc[np.asarray(n)])
            assert n[0] == 1 and n[-1] >= 57
        assert panel.get_xscale() == "log" and name in panel.get_ylabel()
        mark = panel.get_lines()[1].get_data()
        assert list(mark[0]) == [3]
        n, chance = panel.get_lines()[2].get_data()
        at_random = 3 / 57 if name == "precision" else np.asarray(n) / 57
        np.testing.assert_allclose(chance, np.full(len(n), 1) * at_random)
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "any other class (3 planted): AP" in legend[0] and len(legend) == 3


# --- duplicates -----------------------------------------------------------------------------------


def test_groups_that_contradict_themselves_are_shown(data):
    pairs = np.array([[0, 1], [2, 3], [4, 5], [6, 7], [7, 8]])  # 6, 7, 8 agree
    groups = duplicate_table(data, pairs)
    figure = duplicate_groups_figure(data, groups)
    shown = {row_of(axes): said(axes) for axes in figure.axes}
    assert set(shown) == {0, 1, 2, 3, 4, 5}
    assert shown[0][:1] == ["shirt"] and shown[1] == ["shoe"]
    assert shown[0][1:] == ["2 images", "kind"]
    assert shown[3] == ["red"]  # a kind that is not given contradicts nothing
    assert "3 of the 3 groups" in figure.texts[0].get_text()
    assert not overlapping(figure)
    assert "1 of the 3 groups" in duplicate_groups_figure(data, groups, n=1).texts[0].get_text()
    with pytest.raises(ValueError, match="no group has labels that conflict"):
        duplicate_groups_figure(data, duplicate_table(data, pairs[3:]))


def test_large_groups_are_cut_and_say_so(data):
    pairs = np.stack([np.arange(9), np.arange(1, 10)], axis=1)
    figure = duplicate_groups_figure(data, duplicate_table(data, pairs), images=4)
    assert len(figure.axes) == 4
    assert "10 images, 4 shown" in said(figure.axes[0])
    assert said(figure.axes[3]) == ["not given", "red"]
    assert not overlapping(figure)


# --- neighbours -----------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [3, 8])
def test_neighbours_are_shown_beside_the_photo_and_its_tags(data, n):
    tags = pd.DataFrame({"task": ["kind", "colour"], "label": ["shirt", "red"], "confidence": [0.914, 0.5]})
    neighbours = data.catalogue.table.loc[1:n, ["kind", "colour"]].assign(similarity=np.linspace(0.98, 0.5, n))
    pixels = data.fetch(np.arange(n + 1)).numpy()
    figure = neighbours_figure(pixels[0], tags, pixels[1:], neighbours, ["kind", "colour"])
    pictures = [axes for axes in figure.axes if axes.images]
    assert [row_of(axes) for axes in pictures] == list(range(n + 1))
    assert said(pictures[1]) == ["0.98", "× shoe", "red"]
    assert said(pictures[2])[1:] == ["shirt", "× blue"]
    assert said(pictures[3])[1:] == ["not given", "red"]
    (bars,) = [axes for axes in figure.axes if not axes.images]
    assert [bar.get_width() for bar in bars.patches] == [0.914, 0.5]
    assert said(bars) == ["kind", "shirt", "0.91", "colour", "red", "0.50"]
    assert not overlapping(figure)
    asked = neighbours_figure(pixels[0], tags, pixels[1:], neighbours, ["kind", "colour"], {"colour": "blue"})
    of_second = said([axes for axes in asked.axes if axes.images][2])
    assert of_second[1:] == ["shirt", "blue"]  # what was asked for is no difference


def test_many_tags_make_room(data):
    tags = pd.DataFrame({"task": [f"label {k}" for k in range(12)], "label": "something", "confidence": 0.5})
    pixels = data.fetch(np.arange(3)).numpy()
    figure = neighbours_figure(pixels[0], tags, pixels[1:], pd.DataFrame({"similarity": [0.9, 0.8]}))
    assert not overlapping(figure)

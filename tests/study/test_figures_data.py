"""What figures of a catalogue say, against tables made by hand."""

import numpy as np
import pandas as pd
import pytest

from fashionlib.shop import suspects as doubts
from fashionlib.tasks import MultiLabel, SingleLabel
from seen import row_of, said, shaded, ticks, titles
from study.figures.data import (
    KIND_NAMES,
    catalogue_montage,
    class_balance,
    duplicate_groups,
    duplicate_pairs,
    planted_curve,
    suspect_montage,
)

KINDS = ["shirt", "shirt", "shoe", "shoe", "shoe", "bag", "bag", "shirt"]


@pytest.fixture
def data():
    colours = ["red", "blue", "red", "red", None, "blue", "green", "red"]
    words = ["a;b", "a", "", None, "b;a", "a;?c", "c", "a"]  # nobody knows of c in the sixth
    table = pd.DataFrame({"colour": colours, "kind": KINDS, "words": words, "split": ["train", "test"] * 4})
    return shaded(table, [SingleLabel("colour"), SingleLabel("kind"), MultiLabel("words", evaluated=False)])


def test_bars_are_the_counts(data):
    figure = class_balance(data.catalogue, ["colour", "kind", "words"])
    bars = [dict(zip(ticks(axes), [b.get_width() for b in axes.patches], strict=True)) for axes in figure.axes[:3]]
    assert bars[0] == {"red": 4, "blue": 2, "green": 1}
    assert bars[1] == {"shirt": 3, "shoe": 3, "bag": 2} and bars[2] == {"a": 5, "b": 2, "c": 1}
    assert titles(figure)[0] == "colour: 3 classes, 1 images without"
    years = shaded(pd.DataFrame({"kind": ["a"] * 6, "year": [2011] + [2012] * 2 + [2013] * 3}), [SingleLabel("kind")])
    (axes,) = class_balance(years.catalogue, ["year"]).axes
    assert ticks(axes) == ["2013", "2012", "2011"] and [b.get_width() for b in axes.patches] == [3, 2, 1]


def test_many_classes_are_a_falling_curve():
    names = [f"c{k:02d}" for k in range(40) for _ in range(1 + 3 * k)]
    (axes,) = class_balance(shaded(pd.DataFrame({"kind": names}), [SingleLabel("kind")]).catalogue, ["kind"]).axes
    assert axes.lines[0].get_ydata().tolist() == [1 + 3 * k for k in range(39, -1, -1)]
    assert axes.get_yscale() == "log" and said(axes)[0] == "c39 118"


def test_a_montage_has_a_row_for_each_frequent_class(data):
    figure = catalogue_montage(data, "kind", n=2, seed=1, classes=2)
    rows = [row_of(axes, data) for axes in figure.axes]
    assert [KINDS[row] for row in rows] == ["shirt", "shirt", "shoe", "shoe"] and len(set(rows)) == 4
    assert said(figure.axes[0]) == ["shirt", "3 images"] and figure.texts[0].get_text() == "and 1 more classes of kind"
    assert len(catalogue_montage(data, "words", n=3).axes) == 3 + 2 + 1


def test_pairs_say_split_and_difference(data):
    figure = duplicate_pairs(data, np.array([[0, 7], [2, 5], [4, 3]]), ["colour", "kind"])
    assert [row_of(axes, data) for axes in figure.axes] == [0, 7, 2, 5, 4, 3]
    assert [said(axes) for axes in figure.axes] == [
        ["train"], ["test"], ["train", "red", "shoe"], ["test", "blue", "bag"], ["train", "unknown"], ["test", "red"]
    ]  # fmt: skip


def test_groups_that_contradict_themselves_are_shown_and_cut(data):
    groups = data.catalogue.table.assign(
        row=range(8), group=[0, 0, 1, 1, 1, 2, 2, 2], conflicts=["colour"] * 5 + [""] * 3
    )
    figure = duplicate_groups(data, groups, images=2)
    assert [(row_of(axes, data), said(axes)[0]) for axes in figure.axes] == [
        (0, "red"),
        (1, "blue"),
        (2, "red"),
        (3, "red"),
    ]
    assert said(figure.axes[2])[1:] == ["3 images, 2 shown", "colour"]
    assert "2 of the 2 groups" in figure.texts[0].get_text()
    with pytest.raises(ValueError, match="no group has labels that conflict"):
        duplicate_groups(data, groups[5:])


def test_suspects_come_by_rank_with_what_is_given_and_suggested(data):
    suspects = pd.DataFrame({"row": [4, 2, 1], "label": "kind", "given": "bag", "suggested": "shoe", "rank": [2, 1, 3]})
    figure = suspect_montage(data, suspects.assign(p_given=0.012), n=2)
    assert [row_of(axes, data) for axes in figure.axes] == [2, 4]
    assert said(figure.axes[0]) == ["bag", "→ shoe", "p 0.01"]


def test_the_curve_of_planted_errors_is_that_of_the_table():
    suspects = pd.DataFrame(
        {"row": np.random.default_rng(0).permutation(60), "suggested": "a", "rank": np.arange(1, 61)}
    )
    planted = pd.DataFrame({"row": range(6), "true": "a", "kind": ["any", "sibling"] * 3})
    assert set(KIND_NAMES) == {*doubts.KINDS, "all"}  # each has a name in the legend
    for axes, name in zip(planted_curve(suspects, planted).axes, ("precision", "recall"), strict=True):
        drawn = [line for line in axes.lines if len(line.get_xdata())]
        for line, chance, kind in zip(drawn[:3], drawn[3:], ("any", "sibling", "all"), strict=True):
            n = np.asarray(line.get_xdata())
            expected = doubts.found_planted(suspects, planted, times=n / (6 if kind == "all" else 3))
            expected = expected[expected["kind"] == kind].set_index("examined").loc[n]
            np.testing.assert_allclose(line.get_ydata(), expected[name])
            at_random = expected["chance"] if name == "precision" else n / (60 if kind == "all" else 57)
            np.testing.assert_allclose(chance.get_ydata(), at_random)

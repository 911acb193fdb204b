"""What figures of compared configurations draw, against tables written by hand."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import same_color

from seen import legend, said, ticks, titles, unreadable
from study.figures.comparison import contrast_forest, published_points, seed_dots
from study.figures.style import BLUE, GREY, MARKERS, VERMILION

LONG = "one network for everything, trained in three stages"


def points(axes) -> list[tuple]:
    """(x, y, mark) of what is drawn as a single point."""
    lines = [line for line in axes.lines if len(line.get_xdata()) == 1 and not np.isnan(line.get_xdata()[0])]
    return [(round(float(line.get_xdata()[0]), 9), line.get_ydata()[0], line.get_marker()) for line in lines]


def intervals(axes, upright: bool = False) -> list[list]:
    found = [np.round(collection.get_segments()[0], 9) for collection in axes.collections]
    return [ends[:, 0].tolist() for ends in found if len(ends) and (ends[0, 0] == ends[1, 0]) == upright]


@pytest.fixture
def table():
    rows = [
        ("single category", "category", "accuracy", 0.80, 0.78, 0.83),
        (LONG, "category", "accuracy", 0.81, 0.79, 0.82),
        (LONG, "attributes", "map", 0.4, 0.35, 0.44),
    ]
    return pd.DataFrame(rows, columns="configuration task metric mean ci_low ci_high".split())


def test_means_stand_with_their_intervals(table):
    figure = seed_dots(table, "mean", "configuration", "task")
    category, attributes = figure.axes
    assert points(category) == [(0.80, 0, MARKERS[0]), (0.81, 1, MARKERS[1])]
    assert intervals(category) == [[0.78, 0.83], [0.79, 0.82]]
    assert points(attributes) == [(0.4, 1, MARKERS[1])]
    assert same_color(attributes.lines[-1].get_color(), category.lines[1].get_color())
    assert said(category) == ["0.800", "0.810"] and said(attributes) == ["–", "0.400"]
    assert [text.replace("\n", " ") for text in ticks(category)] == ["single category", LONG]
    assert category.get_ylim()[0] > category.get_ylim()[1]  # the first on top
    assert titles(figure) == ["category\naccuracy", "attributes\nmAP"] and len(legend(figure)) == 1
    with pytest.raises(ValueError, match="choose among accuracy, map"):
        seed_dots(table.assign(task="all"), "mean", "configuration", "task")


def test_seeds_are_dots_beside_their_mean_of_three_digits():
    rows = [
        ("plain", 0.40, 0.031, 90),
        ("weighted", 0.5, 0.029, 120.4),
        ("plain", 0.44, np.nan, 91),
        ("weighted", 0.3, 0.02, 120),
    ]
    runs = pd.DataFrame(rows, columns=["variant", "map", "hamming_loss", "minutes"])
    figure = seed_dots(runs.melt("variant", var_name="metric"), "value", "variant", "metric")
    mean_ap, loss, minutes = figure.axes
    seeds = [line.get_xydata()[:, 0].tolist() for line in mean_ap.lines if line.get_marker() == "."]
    assert seeds == [[0.40, 0.44], [0.5, 0.3]]
    assert [(x, y) for x, y, mark in points(mean_ap)] == [(0.42, 0), (0.4, 1)]
    assert titles(figure) == ["mAP", "hamming loss", "minutes"]
    assert [said(axes) for axes in figure.axes] == [["0.420", "0.400"], ["0.0310", "0.0245"], ["90", "120"]]
    assert legend(figure) == ["mean", "a seed"] and mean_ap.get_xlim()[0] > 0


def test_a_forest_is_in_percentage_points_and_marks_the_verdict():
    rows = [
        ("joint", "category", "accuracy", 0.012, 0.004, 0.02, "inconclusive"),  # whatever the interval seems to say
        (LONG, "category", "accuracy", -0.03, -0.05, -0.01, "lower"),
        ("equal", "category", "accuracy", 0.0, -0.01, 0.01, "not inferior"),
        (LONG, "attributes", "map", 0.02, -0.01, 0.05, "higher"),
    ]
    table = pd.DataFrame(rows, columns="contrast task metric difference ci_low ci_high verdict".split())
    figure = contrast_forest(table.assign(margin=[0.01, np.nan, np.nan, np.nan]))
    category, attributes = figure.axes
    assert points(category) == [(1.2, 0, "o"), (-3, 1, "<"), (0, 2, "s")] and points(attributes) == [(2, 1, ">")]
    assert intervals(category) == [[0.4, 2], [-5, -1], [-1, 1]] and intervals(attributes) == [[-1, 5]]
    zero, *marks = category.lines
    assert list(zero.get_xdata()) == [0, 0]
    for mark, colour in zip(marks, (GREY, VERMILION, BLUE), strict=True):
        assert same_color(mark.get_color(), colour)
    assert [same_color(mark.get_markerfacecolor(), "white") for mark in marks] == [True, False, False]
    assert said(category) == ["+1.2", "−3.0", "+0.0"] and said(attributes) == ["–", "+2.0", "–"]
    assert intervals(category, upright=True) == [[-1, -1]]  # only in the row that has a margin
    assert legend(figure) == ["inconclusive", "lower", "not inferior", "higher", "margin"]


def test_published_figures_are_sorted_and_ours_stand_out_with_captions_whole():
    caption = "random 70/15/15 stratified by articleType; 6611 test images"
    rows = [
        ("a paper", "accuracy", 0.7, None, False),
        ("ours, staged", "accuracy", 0.8, None, True),
        ("another paper with a name that is longer than its place", "accuracy", 0.9, np.nan, False),
        ("a paper", "map_at_r", 0.5, caption, False),
    ]
    table = pd.DataFrame(rows, columns="method metric value comparable ours".split())
    table.insert(0, "task", ["category"] * 3 + ["retrieval"])
    figure = published_points(table)
    accuracy, retrieval = figure.axes
    assert points(accuracy) == [(0.9, 0, "o"), (0.8, 1, "D"), (0.7, 2, "o")]
    assert [text.replace("\n", " ") for text in ticks(accuracy)] == [rows[2][0], "ours, staged", "a paper"]
    faces = [line.get_markerfacecolor() for line in accuracy.lines]
    assert all(same_color(face, colour) for face, colour in zip(faces, (BLUE, VERMILION, BLUE), strict=True))
    assert said(accuracy) == ["0.900", "0.800", "0.700"]
    assert said(retrieval)[1].replace("\n", " ") == caption
    assert titles(figure) == ["category: accuracy", "retrieval: mAP@R"]
    assert legend(figure) == ["ours", "others"] and not unreadable(figure)

"""What figures of compared configurations draw, against tables written by hand."""

import matplotlib

matplotlib.use("Agg")
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import same_color
from matplotlib.figure import Figure
from matplotlib.text import Text

from study.figures.comparison import comparison_points, difference_forest, published_points, stage_curves
from study.figures.style import BLUE, COLOURS, GREY, MARKERS, VERMILION

MAIN = {"category": "accuracy", "attributes": "map"}
LONG = "one network for everything, trained in three stages"


def said(axes) -> list[str]:
    return [text.get_text() for text in axes.texts if text.get_text()]


def ticks(axes) -> list[str]:
    return [text.get_text() for text in axes.get_yticklabels()]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def points(axes) -> list[tuple]:
    """(x, y, mark) of what is drawn as a single point."""
    lines = [line for line in axes.lines if len(line.get_xdata()) == 1]
    return [(line.get_xdata()[0], line.get_ydata()[0], line.get_marker()) for line in lines]


def intervals(axes) -> list[list]:
    return [collection.get_segments()[0].tolist() for collection in axes.collections]


def assert_inside_and_apart(figure: Figure) -> None:
    """No text is cut off by the edge of the figure, and none lies on another."""
    figure.canvas.draw()
    shown = [axes for axes in figure.axes if axes.get_visible()]
    texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    for axes in shown:  # a tick outside of the limits is there, but not drawn
        (left, right), (bottom, top) = sorted(axes.get_xlim()), sorted(axes.get_ylim())
        hidden = [label for label in axes.get_xticklabels() if not left <= label.get_position()[0] <= right]
        hidden += [label for label in axes.get_yticklabels() if not bottom <= label.get_position()[1] <= top]
        texts = [text for text in texts if text not in hidden]
    boxes = {text: Text.get_window_extent(text) for text in texts}
    edge = figure.bbox.padded(1)
    for text, box in boxes.items():
        assert edge.contains(*box.min) and edge.contains(*box.max), f"{text.get_text()!r} is cut off"
        others = [other.get_text() for other, lies in boxes.items() if other is not text and lies.overlaps(box)]
        assert not others, f"{text.get_text()!r} lies on {others}"


@pytest.fixture
def table():
    rows = [
        ("single category", "category", "accuracy", 0.80, 0.01, 0.78, 0.83, 3),
        ("single category", "category", "macro_f1", 0.50, 0.01, np.nan, np.nan, 3),
        (LONG, "category", "accuracy", 0.81, np.nan, 0.79, 0.82, 1),
        (LONG, "attributes", "map", 0.4, 0.0, 0.35, 0.44, 3),
    ]
    return pd.DataFrame(rows, columns="configuration task metric mean std ci_low ci_high n_seeds".split())


def test_comparison_points_stand_at_mean_interval_and_deviation(table):
    figure = comparison_points(table, MAIN)
    category, attributes = figure.axes
    assert points(category) == [(0.80, 0, MARKERS[0]), (0.81, 1, MARKERS[1])]
    assert intervals(category) == [[[0.78, 0], [0.83, 0]], [[0.79, 1], [0.82, 1]]]
    (band,) = category.patches  # one seed has none
    assert (band.get_x(), band.get_width()) == (pytest.approx(0.79), pytest.approx(0.02))
    assert band.get_y() + band.get_height() / 2 == pytest.approx(0)
    assert points(attributes) == [(0.4, 1, MARKERS[1])] and not attributes.patches
    assert same_color(attributes.lines[0].get_color(), category.lines[1].get_color())
    assert said(category) == ["0.800", "0.810"] and said(attributes) == ["–", "0.400"]
    assert [text.replace("\n", " ") for text in ticks(category)] == ["single category", LONG]
    assert category.get_ylim()[0] > category.get_ylim()[1]  # the first on top
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["category\naccuracy", "attributes\nmean average precision"]
    assert "own scale" in figure.get_supxlabel() and "(1 to 3)" in legend(figure)[1]
    assert_inside_and_apart(figure)
    assert len(legend(comparison_points(table.assign(std=np.nan), MAIN))) == 1
    with pytest.raises(ValueError, match="no 'mrr' of 'category'; it has accuracy, macro_f1"):
        comparison_points(table, {"category": "mrr"})


def test_five_tasks_are_two_lines_of_panels(table):
    rows = [table.iloc[:1].assign(task=f"task {k}") for k in range(5)]
    figure = comparison_points(pd.concat(rows), {f"task {k}": "accuracy" for k in range(5)})
    assert len([axes for axes in figure.axes if axes.get_visible()]) == 5
    assert_inside_and_apart(figure)


def test_a_forest_is_in_percentage_points_and_marks_what_leaves_zero_out():
    rows = [
        ("joint", "single category", "category", "accuracy", 0.012, 0.004, 0.02, 3),
        (LONG, "single category", "category", "accuracy", -0.03, -0.05, -0.01, 3),
        ("equal", "single category", "category", "accuracy", 0.0, -0.01, 0.01, 3),
        (LONG, "single attributes", "attributes", "map", 0.02, -0.01, 0.05, 3),
    ]
    table = pd.DataFrame(rows, columns="configuration against task metric difference ci_low ci_high n_seeds".split())
    figure = difference_forest(table, MAIN)
    category, attributes = figure.axes
    assert [(round(x, 9), y, mark) for x, y, mark in points(category)] == [(1.2, 0, ">"), (-3, 1, "<"), (0, 2, "o")]
    np.testing.assert_allclose(intervals(category), [[[0.4, 0], [2, 0]], [[-5, 1], [-1, 1]], [[-1, 2], [1, 2]]])
    zero, *marks = category.lines
    assert list(zero.get_xdata()) == [0, 0] and category.get_xlim()[0] < -5 and category.get_xlim()[1] > 2
    for mark, colour in zip(marks, (BLUE, VERMILION, GREY), strict=True):
        assert same_color(mark.get_color(), colour)
    assert [same_color(mark.get_markerfacecolor(), "white") for mark in marks] == [False, False, True]
    assert said(category) == ["+1.2", "−3.0", "+0.0"] and said(attributes) == ["–", "+2.0", "–"]
    assert [axes.get_xlabel() for axes in figure.axes] == ["against single category", "against single attributes"]
    assert "percentage points" in figure.get_supxlabel()
    assert_inside_and_apart(figure)
    with pytest.raises(ValueError, match="no 'map' of 'retrieval'; it has none"):
        difference_forest(table, {"retrieval": "map"})


def history(stages: list[str], **columns) -> pd.DataFrame:
    return pd.DataFrame({"epoch": range(1, len(stages) + 1), "stage": stages, **columns})


@pytest.fixture
def histories():
    accuracy, stages = "category/accuracy", ["labels"] * 3 + ["retrieval head"] * 2 + ["everything at once"] * 3
    return {
        "single category": [
            history(["train"] * 3, **{accuracy: [0.2, 0.4, 0.6]}),
            history(["train"] * 2, **{accuracy: [0.4, 0.5]}),  # stopped early
        ],
        "single retrieval": [history(["train"] * 4, **{accuracy: np.nan, "item/recall_at_1": [0.1, 0.2, 0.3, 0.4]})],
        "staged": [
            history(stages, **{accuracy: np.linspace(0.3, 0.7, 8), "item/recall_at_1": [np.nan] * 3 + [0.5] * 5})
        ],
    }


def test_stage_curves_are_means_over_seeds_and_part_the_stages(histories):
    panels = {"category: accuracy": "category/accuracy", "retrieval: Recall@1": "item/recall_at_1"}
    figure = stage_curves(histories, panels)
    category, retrieval = figure.axes
    assert [axes.get_title(loc="left") for axes in figure.axes] == list(panels)
    one, two, mean, staged, *borders = category.lines
    assert list(one.get_ydata()) == [0.2, 0.4, 0.6] and list(two.get_xdata()) == [1, 2]
    assert list(mean.get_xdata()) == [1, 2]  # as long as all seeds went on
    np.testing.assert_allclose(mean.get_ydata(), [0.3, 0.45])
    assert mean.get_linewidth() > one.get_linewidth()
    assert len(staged.get_xdata()) == 8 and same_color(staged.get_color(), COLOURS[2])
    alone, later, *others = retrieval.lines
    assert same_color(alone.get_color(), COLOURS[1]) and list(later.get_xdata()) == [4, 5, 6, 7, 8]
    for lines in (borders, others):
        assert [line.get_xdata()[0] for line in lines] == [3.5, 5.5]
    assert [text.replace("\n", " ") for text in said(category)] == ["labels", "retrieval head", "everything at once"]
    assert [text.get_position()[0] for text in category.texts] == [2, 4.5, 7] and said(retrieval) == []
    assert legend(figure) == list(histories)
    assert "“staged”" in figure.get_supxlabel() and "each seed" in figure.get_supxlabel()
    assert_inside_and_apart(figure)


def test_stage_curves_of_single_stages_and_seeds_say_nothing_of_them(histories):
    figure = stage_curves({"single retrieval": histories["single retrieval"]}, {"retrieval": "item/recall_at_1"})
    (axes,) = figure.axes
    assert len(axes.lines) == 1 and not axes.texts and figure.get_supxlabel() == "each panel has its own scale"
    with pytest.raises(ValueError, match="no history has a value in column 'words/map'"):
        stage_curves(histories, {"words": "words/map"})


def test_published_points_are_sorted_and_ours_stand_out():
    rows = [
        ("a paper", "accuracy", 0.7, True, False),
        ("ours, staged", "accuracy", 0.8, True, True),
        ("another paper with a name that is longer than its place", "accuracy", 0.9, False, False),
        ("a paper", "map_at_r", 0.5, "official query and gallery; second-hand", False),
    ]
    table = pd.DataFrame(rows, columns="method metric value comparable ours".split())
    table.insert(0, "task", ["category"] * 3 + ["retrieval"])
    figure = published_points(table)
    accuracy, retrieval = figure.axes
    assert points(accuracy) == [(0.9, 0, "o"), (0.8, 1, "D"), (0.7, 2, "o")]
    assert ticks(accuracy)[1:] == ["ours, staged", "a paper"] and ticks(accuracy)[0].endswith("…")
    assert [label.get_weight() for label in accuracy.get_yticklabels()] == ["normal", "bold", "normal"]
    faces = [line.get_markerfacecolor() for line in accuracy.lines]
    assert same_color(faces[0], "white") and same_color(faces[1], VERMILION) and same_color(faces[2], BLUE)
    assert said(accuracy) == ["0.900", "0.800", "0.700"]
    assert said(retrieval) == ["0.500", "official query and gallery; second-hand"]
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["category: accuracy", "retrieval: mAP@R"]
    assert legend(figure) == ["ours", "published", "not comparable"]
    assert_inside_and_apart(figure)
    assert legend(published_points(table[table["comparable"].astype(bool)])) == ["ours", "published"]

"""What figures of attributes and variants say, against tables written by hand."""

from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import same_color
from matplotlib.figure import Figure

from study.figures import training as plots
from fashionlib.metrics.attributes import top_k_recall
from fashionlib.data.catalogue import Catalogue
from fashionlib.evaluation.predict import Predictions
from fashionlib.data.images import ImageData
from study.figures.names import name_points
from study.figures.style import GREEN, GREY, VERMILION
from fashionlib.tasks import MultiLabel


def attributes(rows: list[tuple], columns=("attribute", "group", "n_test", "prevalence", "average_precision")):
    table = pd.DataFrame(rows, columns=list(columns))
    return table.assign(lift=table["average_precision"] / table["prevalence"])


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def said(axes) -> list[str]:
    return [text.get_text() for text in axes.texts if text.get_text()]


def test_attribute_scatter_draws_every_group_and_what_a_constant_answer_reaches():
    table = attributes(
        [
            ("fabric:denim", "fabric", 40, 0.04, 0.8),
            ("fabric:silk", "fabric", 10, 0.01, 0.01),
            ("fabric:tweed", "fabric", 0, 0.0, np.nan),
            ("plain", "", 500, 0.5, 0.6),
        ]
    )
    figure = plots.attribute_scatter(table, named=2)
    (axes,) = figure.axes
    assert axes.get_xscale() == axes.get_yscale() == "log"
    drawn = [collection.get_offsets().tolist() for collection in axes.collections]
    assert drawn == [[[0.04, 0.8], [0.01, 0.01]], [[0.5, 0.6]]]
    assert legend(figure) == ["fabric (2)", "no group (1)", "what a constant answer reaches"]
    diagonal = axes.lines[0]
    assert list(diagonal.get_xdata()) == list(diagonal.get_ydata()) == list(axes.get_xlim())
    assert axes.get_title(loc="left") == "3 attributes, 1 more without a test image"
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    assert left < 0.01 and right > 0.5 and bottom < 0.01 and top > 0.8


def test_attribute_scatter_names_the_extremes_among_frequent_attributes():
    rows = [(f"part:p{k}", "part", 10 + k, 0.1, 0.1 * (k + 1)) for k in range(8)]
    rows += [("part:rare", "part", 9, 0.001, 0.99), ("part:hopeless", "part", 9, 0.001, 0.0001)]
    (axes,) = plots.attribute_scatter(attributes(rows), named=4).axes
    assert sorted(said(axes)) == ["p0", "p1", "p6", "p7"]
    where = {text.get_text(): text.xy for text in axes.texts if text.get_text()}
    assert np.allclose(where["p7"], (0.1, 0.8)) and np.allclose(where["p0"], (0.1, 0.1))
    (axes,) = plots.attribute_scatter(attributes(rows), named=30).axes
    assert sorted(said(axes)) == [f"p{k}" for k in range(8)]  # each once
    (axes,) = plots.attribute_scatter(attributes(rows), named=0).axes
    assert said(axes) == []


def test_attribute_scatter_names_rare_attributes_if_there_are_no_others():
    (axes,) = plots.attribute_scatter(attributes([("a", "", 1, 0.1, 0.5), ("b", "", 2, 0.2, 0.5)])).axes
    assert said(axes) == ["b"]


def test_attribute_scatter_without_groups_has_no_legend_of_groups():
    table = attributes([("a", np.nan, 10, 0.1, 0.5), ("b", "", 20, 0.2, 0.5)])  # as read again from a CSV file
    figure = plots.attribute_scatter(table)
    assert legend(figure) == ["an attribute", "what a constant answer reaches"]
    assert len(figure.axes[0].collections[0].get_offsets()) == 2


def test_attribute_scatter_of_eight_groups_gives_each_its_own_look():
    table = attributes([(f"g{k}:a", f"g{k}", 10, 0.1, 0.1 * k) for k in range(1, 9)])
    figure = plots.attribute_scatter(table)
    looks = {
        (c.get_paths()[0].vertices.tobytes(), c.get_facecolor().tobytes(), c.get_edgecolor().tobytes())
        for c in figure.axes[0].collections
    }
    assert len(looks) == 8 and len(legend(figure)) == 9
    hollow = [len(collection.get_facecolor()) == 0 for collection in figure.axes[0].collections]
    assert hollow == [False] * 7 + [True]  # there are seven colours and marks
    figure.canvas.draw()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.x1


def test_attribute_scatter_needs_an_attribute_with_a_test_image():
    with pytest.raises(ValueError, match="none of the 1 attributes"):
        plots.attribute_scatter(attributes([("a", "", 0, 0.0, np.nan)]))


def test_names_of_a_crowd_lie_apart_and_inside_the_axes():
    rng = np.random.default_rng(0)
    prevalence = np.exp(rng.uniform(np.log(0.001), np.log(0.3), 300))
    precision = prevalence ** rng.uniform(0.05, 1, 300)
    rows = [
        (f"g:a rather long name {k}", "g", 50, *pair) for k, pair in enumerate(zip(prevalence, precision, strict=True))
    ]
    figure = plots.attribute_scatter(attributes(rows), named=12)
    figure.canvas.draw()
    (axes,) = figure.axes
    boxes = [matplotlib.text.Text.get_window_extent(text) for text in axes.texts if text.get_text()]
    assert len(boxes) == 12
    assert not any(one.overlaps(other) for k, one in enumerate(boxes) for other in boxes[:k])
    frame = axes.get_window_extent().padded(1)
    assert all(frame.contains(*box.min) and frame.contains(*box.max) for box in boxes)


def test_a_name_without_room_beside_its_place_gets_a_line_to_it():
    figure, axes = plt.subplots()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    place = np.array([[0.5, 0.5]])
    name_points(axes, ["free"], place, place)
    assert said(axes) == ["free"] and len(axes.texts) == 1
    grid = np.linspace(0.42, 0.58, 40)  # points all around the place
    crowd = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    figure, axes = plt.subplots()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    name_points(axes, ["far"], place, crowd)
    text, line = axes.texts
    assert text.get_text() == "far" and tuple(line.xy) == (0.5, 0.5)
    figure.canvas.draw()
    box = matplotlib.text.Text.get_window_extent(text)
    dots = axes.transData.transform(crowd)
    assert not ((dots > box.min) & (dots < box.max)).all(1).any()
    start = axes.transData.transform(place[0]) + np.array(line.xyann) * figure.dpi / 72
    assert box.padded(2).contains(*start)  # the line begins at the name


@pytest.fixture
def recall():
    rows = [("fabric", 3, 0.5, 40), ("", 3, 0.25, 4), ("pooled", 3, 0.4, 44), ("all", 3, 0.2, 44)]
    rows += [("fabric", 5, 0.7, 40), ("", 5, np.nan, 4), ("pooled", 5, 0.6, 44), ("all", 5, 0.3, 44)]
    return pd.DataFrame(rows, columns=["scope", "k", "recall", "labels"])


def test_recall_bars_are_the_recalls_with_the_totals_apart_at_the_bottom(recall):
    figure = plots.recall_bars(recall)
    three, five = figure.axes
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["top-3 recall", "top-5 recall"]
    assert [patch.get_width() for patch in three.patches] == [0.5, 0.25, 0.4, 0.2]
    assert [patch.get_width() for patch in five.patches] == [0.7, 0, 0.6, 0.3]
    assert said(three) == ["0.500", "0.250", "0.400", "0.200"] and said(five) == ["0.700", "–", "0.600", "0.300"]
    names = [text.get_text() for text in three.get_yticklabels()]
    assert names == ["fabric (40)", "no group (4)", "pooled over groups (44)", "all ranked together (44)"]
    middles = [patch.get_y() + patch.get_height() / 2 for patch in three.patches]
    assert np.allclose(middles, three.get_yticks()) and np.allclose(np.diff(middles), [1, 1.4, 1])
    assert middles[1] + 0.5 < three.lines[0].get_ydata()[0] < middles[2] - 0.5  # a line between
    assert three.get_ylim()[0] > three.get_ylim()[1]  # the first row on top
    assert not figure.legends


def test_recall_bars_of_models_lie_beside_each_other_below_what_is_published(recall):
    prior = recall.assign(recall=recall["recall"] / 2, model="prior")
    published = pd.DataFrame(
        [("a paper", "all", 3, 0.45), ("a paper", "all", 5, 0.8), ("another", "pooled", 5, 0.65)],
        columns=["method", "scope", "k", "recall"],
    )
    both = pd.concat([recall.assign(model="network"), prior])
    figure = plots.recall_bars(both, published)
    assert legend(figure) == ["network", "prior", "a paper", "another"]
    three, five = figure.axes
    network, priors = three.containers
    assert [patch.get_width() for patch in network] == [0.5, 0.25, 0.4, 0.2]
    assert [patch.get_width() for patch in priors] == [0.25, 0.125, 0.2, 0.1]
    for one, other, row in zip(network, priors, three.get_yticks(), strict=True):
        assert row - 0.5 < one.get_y() < one.get_y() + one.get_height() <= other.get_y() < row + 0.5
        assert np.isclose(one.get_y() + other.get_y() + other.get_height(), 2 * row)
    assert network[0].get_facecolor() != priors[0].get_facecolor()
    marks = {line.get_label(): line.get_xydata().tolist() for line in five.lines if line.get_label()[0] != "_"}
    pooled, ranked = five.get_yticks()[-2:]
    assert marks == {"a paper": [[0.8, ranked]], "another": [[0.65, pooled]]}
    assert three.get_xlim() == five.get_xlim() == (0, pytest.approx(0.88))


def test_recall_bars_without_groups_has_one_row():
    truth = np.eye(4, dtype=int)
    figure = plots.recall_bars(top_k_recall(truth.astype(float), truth, ks=(1,)))
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["all ranked together (4)"]
    assert [patch.get_width() for patch in axes.patches] == [1.0] and axes.get_xlim() == (0, 1)
    assert not axes.lines


def test_recall_bars_refuse_a_published_figure_without_a_place(recall):
    published = pd.DataFrame([("a paper", "all", 10, 0.5)], columns=["method", "scope", "k", "recall"])
    with pytest.raises(ValueError, match="'all' with k=10"):
        plots.recall_bars(recall, published)


PROBABILITIES = np.array([[0.1, 0.9], [0.9, 0.9], [0.5, 0.2], [0.7, 0.1]])
TRUTH = np.array([[0, 0], [1, 0], [1, 0], [-1, 0]], np.int8)


@pytest.fixture
def data():
    table = pd.DataFrame({"image": list(map(str, range(6))), "words": "fit:loose", "split": "train"})
    task = MultiLabel("words", classes=("fit:loose", "never"))
    catalogue = Catalogue(table, [task], SimpleNamespace(fingerprint="x"), "tiny")
    # every image is of one shade, so that it can be told in a figure
    pixels = np.full((6, 8, 6, 3), 40, np.uint8) * np.arange(1, 7, dtype=np.uint8)[:, None, None, None]
    return ImageData(catalogue, pixels, np.arange(6))


@pytest.fixture
def predictions(data):
    tasks = {"words": data.catalogue.tasks["words"]}
    return Predictions(tasks, np.array([5, 0, 3, 1]), {"words": PROBABILITIES}, {"words": TRUTH})


def rows_shown(figure: Figure) -> list[int]:
    return [int(np.asarray(axes.images[0].get_array())[0, 0, 0]) // 40 - 1 for axes in figure.axes]


def test_attribute_montage_shows_the_most_probable_images_with_their_truth(data, predictions):
    figure = plots.attribute_montage(data, predictions, "words", ["fit:loose"], n=3)
    assert rows_shown(figure) == [0, 1, 3]  # of probability 0.9, 0.7, 0.5
    marks = [axes.texts[0] for axes in figure.axes]
    assert [mark.get_text() for mark in marks] == ["✓", "?", "✓"]
    for axes, colour in zip(figure.axes, (GREEN, GREY, GREEN), strict=True):
        assert same_color(axes.texts[0].get_color(), colour)
        assert all(same_color(spine.get_edgecolor(), colour) and spine.get_visible() for spine in axes.spines.values())
    # of the three images of known truth the two with the label come first
    assert said(figure.axes[0])[1:] == ["loose", "AP 1.000, 2 images"]
    assert all(len(axes.texts) == 1 for axes in figure.axes[1:])


def test_attribute_montage_of_several_classes_is_a_row_for_each(data, predictions):
    figure = plots.attribute_montage(data, predictions, "words", ["never", "fit:loose"], n=8)
    assert rows_shown(figure) == [5, 0, 3, 1, 0, 1, 3, 5]  # equal probabilities keep their order
    assert [axes.texts[0].get_text() for axes in figure.axes] == ["×"] * 4 + ["✓", "?", "✓", "×"]
    assert same_color(figure.axes[0].texts[0].get_color(), VERMILION)
    assert said(figure.axes[0])[1:] == ["never", "no image has it"]
    boxes = [axes.get_position() for axes in figure.axes]
    assert len({box.y0 for box in boxes[:4]}) == 1 and boxes[0].y0 > boxes[4].y1 and boxes[0].x0 == boxes[4].x0
    assert "over 4 images" in figure.texts[0].get_text()


@pytest.mark.parametrize("n", [1, 8, 16])
def test_text_of_an_attribute_montage_stays_inside_the_figure(data, predictions, n):
    figure = plots.attribute_montage(data, predictions, "words", ["fit:loose", "never"], n=n)
    figure.canvas.draw()
    boxes = [text.get_window_extent() for axes in figure.axes for text in axes.texts]
    boxes += [axes.get_window_extent() for axes in figure.axes]
    edge = figure.bbox.padded(1)
    assert all(edge.contains(*box.min) and edge.contains(*box.max) for box in boxes)
    foot = figure.texts[0].get_window_extent()
    assert not any(foot.overlaps(box) for box in boxes)


def test_attribute_montage_refuses_an_unknown_class(data, predictions):
    with pytest.raises(ValueError, match="'loose' is not among the 2 classes of 'words'"):
        plots.attribute_montage(data, predictions, "words", ["loose"])


@pytest.fixture
def runs():
    rows = [
        ("plain", 0, 0.40, 0.031),
        ("weighted", 0, 0.5, 0.029),
        ("plain", 1, 0.44, 0.035),
        ("weighted", 1, 0.3, 0.02),
    ]
    return pd.DataFrame(rows, columns=["variant", "seed", "mean_ap", "hamming_loss"])


def test_variant_bars_draw_each_seed_and_the_mean(runs):
    figure = plots.variant_bars(runs, ["mean_ap", "hamming_loss"])
    left, right = figure.axes
    seeds, means = left.collections
    assert seeds.get_offsets().tolist() == [[0.40, 0], [0.5, 1], [0.44, 0], [0.3, 1]]
    assert np.allclose(means.get_offsets(), [[0.42, 0], [0.4, 1]])
    assert [text.get_text() for text in left.get_yticklabels()] == ["plain", "weighted"]
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["mean ap", "hamming loss"]
    assert legend(figure) == ["a seed", "mean of 2"]
    assert left.get_xlim()[0] > 0 and "need not start at zero" in figure.get_supxlabel()
    assert left.get_ylim()[0] > left.get_ylim()[1]


def test_variant_bars_print_the_best_mean_in_bold(runs):
    left, right = plots.variant_bars(runs, ["mean_ap", "hamming_loss"]).axes
    assert [(text.get_text(), text.get_weight()) for text in left.texts] == [("0.420", "bold"), ("0.400", "normal")]
    assert [(text.get_text(), text.get_weight()) for text in right.texts] == [("0.0330", "normal"), ("0.0245", "bold")]
    assert (left.get_xlabel(), right.get_xlabel()) == ("higher is better", "lower is better")
    (axes,) = plots.variant_bars(
        runs.assign(minutes=[90, 120.4, 91, 120]), ["minutes"], lower_is_better=["minutes"]
    ).axes
    assert [(text.get_text(), text.get_weight()) for text in axes.texts] == [("90", "bold"), ("120", "normal")]


def test_variant_bars_of_another_column_with_gaps(runs):
    runs = runs.assign(rate=[0.1, 0.2, 0.1, 0.3], mean_ap=[0.4, np.nan, 0.44, 0.3], empty=np.nan)
    figure = plots.variant_bars(runs, ["mean_ap", "empty"], by="rate")
    left, empty = figure.axes
    assert [text.get_text() for text in left.get_yticklabels()] == ["0.1", "0.2", "0.3"]
    assert [text.get_text() for text in left.texts] == ["0.420", "–", "0.300"]
    assert [text.get_text() for text in empty.texts] == ["–"] * 3
    assert legend(figure) == ["a seed", "mean of 1 to 2"]


def test_variant_bars_of_many_metrics_and_long_names_fit():
    names = [f"weights of the classes by the square root of their number, {end}" for end in ("on", "off")]
    columns = [f"metric{k}" for k in range(5)]
    table = pd.DataFrame(np.random.default_rng(0).random((2, 5)), columns=columns).assign(variant=names)
    figure = plots.variant_bars(table, columns)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in shown] == columns
    labels = shown[0].get_yticklabels()
    assert [text.get_text().replace("\n", " ") for text in labels] == names  # whole, because they differ at the end
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in labels]
    assert not boxes[0].overlaps(boxes[1]) and min(box.x0 for box in boxes) >= 0
    numbers = [text.get_window_extent() for axes in shown for text in axes.texts]
    assert max(box.x1 for box in numbers) <= figure.bbox.x1


def test_no_function_leaves_the_style_behind(runs):
    before = dict(matplotlib.rcParams)
    plots.variant_bars(runs, ["mean_ap"])
    plots.attribute_scatter(attributes([("a", "", 10, 0.1, 0.5)]))
    assert dict(matplotlib.rcParams) == before

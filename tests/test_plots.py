"""What figures say, against counts made by hand."""

from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import same_color
from matplotlib.figure import Figure

from study.figures import training as plots
from fashionlib.data.catalogue import Catalogue
from fashionlib.evaluation.predict import Predictions
from fashionlib.data.images import ImageData
from fashionlib.tasks.labels import MISSING, UNSEEN
from study.figures.style import BLACK, VERMILION
from fashionlib.tasks import MultiLabel, SingleLabel

COLOURS = ["red", "blue", "red", "red", None, "blue", "green", "red"]
KINDS = ["shirt", "shirt", "shoe", "shoe", "shoe", "bag", "bag", "shirt"]
SPLITS = ["train", "train", "train", "test", "train", "test", "test", "test"]


@pytest.fixture
def data():
    table = pd.DataFrame(
        {
            "image": [str(k) for k in range(8)],
            "colour": COLOURS,
            "kind": KINDS,
            "words": ["a;b", "a", "", None, "b;a", "a", "c", "a"],
            "split": SPLITS,
        }
    )
    tasks = [SingleLabel("colour"), SingleLabel("kind"), MultiLabel("words", evaluated=False)]
    catalogue = Catalogue(table, tasks, SimpleNamespace(fingerprint="x"), "tiny")
    # every image is of one shade, so that it can be told in a figure
    pixels = np.full((8, 8, 6, 3), 255, np.uint8) // np.arange(1, 9, dtype=np.uint8)[:, None, None, None]
    return ImageData(catalogue, pixels, np.arange(8))


@pytest.fixture
def predictions(data):
    """Classes of colour: blue, red. The first image is right in both labels, the second wrong in colour, the third
    has a colour that training never saw, the fourth has no colour."""
    colour, kind = data.catalogue.select("colour", "kind")
    rows = np.array([3, 5, 6, 4])
    one_hot = np.eye(2)[[1, 1, 0, 0]]
    kinds = np.eye(2)[[1, 0, 0, 1]]
    targets = {"colour": np.array([1, 0, UNSEEN, MISSING]), "kind": np.array([1, UNSEEN, UNSEEN, 1])}
    assert colour.classes == ("blue", "red") and kind.classes == ("shirt", "shoe")
    return Predictions({"colour": colour, "kind": kind}, rows, {"colour": one_hot, "kind": kinds}, targets)


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts] + [t.get_text() for t in figure.texts]


def shade(axes) -> int:
    return int(np.asarray(axes.images[0].get_array())[0, 0, 0])


def test_image_montage_shows_each_image_once_with_its_title():
    images = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.full((5, 8, 6, 3), 50, np.uint8)
    figure = plots.image_montage(images, titles=list("abcde"), columns=3)
    assert [shade(axes) for axes in figure.axes] == [0, 50, 100, 150, 200]
    assert texts(figure) == list("abcde")
    boxes = [axes.get_position() for axes in figure.axes]
    assert boxes[0].y0 == boxes[2].y0 > boxes[3].y0 and boxes[0].x0 == boxes[3].x0  # a new row after three
    assert all(0 <= box.x0 and box.x1 <= 1 and 0 <= box.y0 and box.y1 <= 1 for box in boxes)


def test_catalogue_montage_draws_examples_of_the_named_class(data):
    figure = plots.catalogue_montage(data, "kind", n=2, seed=1, classes=2)
    rows = [np.flatnonzero(data.pixels[:, 0, 0, 0] == shade(axes))[0] for axes in figure.axes]
    assert [KINDS[row] for row in rows] == ["shirt", "shirt", "shoe", "shoe"] and len(set(rows)) == 4
    assert texts(figure) == ["shirt", "3 images", "shoe", "3 images", "and 1 more classes of kind"]


def test_catalogue_montage_of_many_labels_takes_each_label_by_itself(data):
    figure = plots.catalogue_montage(data, "words", n=3)
    assert [t for t in texts(figure) if "images" not in t] == ["a", "b", "c"]
    assert len(figure.axes) == 3 + 2 + 1


def test_prediction_montage_marks_what_is_wrong_and_names_the_truth(data, predictions):
    figure = plots.prediction_montage(data, predictions)
    said = [[t.get_text().strip() for t in axes.texts] for axes in figure.axes]
    assert said == [
        ["red", "shoe"],
        ["× red", "true: blue", "× shirt", "true: bag"],
        ["× blue", "true: green", "× shirt", "true: bag"],
        ["blue ?", "shoe"],
    ]
    assert [shade(axes) for axes in figure.axes] == [data.pixels[row, 0, 0, 0] for row in predictions.rows]
    for text in (text for axes in figure.axes for text in axes.texts):
        assert same_color(text.get_color(), VERMILION) == ("×" in text.get_text() or "true" in text.get_text())
    assert same_color(figure.axes[0].texts[0].get_color(), BLACK)


def test_prediction_montage_of_some_labels_and_images(data, predictions):
    figure = plots.prediction_montage(data, predictions, n=2, labels=["kind"])
    assert [[t.get_text().strip() for t in axes.texts] for axes in figure.axes] == [["shoe"], ["× shirt", "true: bag"]]


def test_text_of_a_montage_stays_inside_the_figure(data, predictions):
    figure = plots.prediction_montage(data, predictions)
    figure.canvas.draw()
    boxes = [text.get_window_extent() for axes in figure.axes for text in axes.texts]
    edge = figure.bbox
    assert all(box.x0 >= 0 and box.x1 <= edge.x1 and box.y0 >= 0 and box.y1 <= edge.y1 for box in boxes)
    foot = figure.texts[0].get_window_extent()
    assert not any(foot.overlaps(box) for box in boxes)


def test_prediction_montage_needs_a_label(data):
    with pytest.raises(ValueError, match="no label"):
        plots.prediction_montage(data, Predictions({}, np.arange(2), {}, {}))


def test_duplicate_pairs_say_split_and_difference(data):
    figure = plots.duplicate_pairs(data, np.array([[0, 7], [2, 5], [4, 3]]), n=3)
    said = [[t.get_text() for t in axes.texts] for axes in figure.axes]
    assert said == [
        ["train"],
        ["test"],
        ["train", "red", "shoe"],
        ["test", "blue", "bag"],
        ["train", "unknown"],
        ["test", "red"],
    ]


def test_class_balance_bars_are_the_counts(data):
    figure = plots.class_balance(data.catalogue, ["colour", "kind", "words"])
    heights = [[patch.get_width() for patch in axes.patches] for axes in figure.axes]
    names = [[t.get_text() for t in axes.get_yticklabels()] for axes in figure.axes]
    assert dict(zip(names[0], heights[0], strict=True)) == {"red": 4, "blue": 2, "green": 1}
    assert dict(zip(names[1], heights[1], strict=True)) == {"shirt": 3, "shoe": 3, "bag": 2}
    assert dict(zip(names[2], heights[2], strict=True)) == {"a": 5, "b": 2, "c": 1}
    assert figure.axes[0].get_title(loc="left") == "colour: 3 classes, 1 images without"


def test_class_balance_of_many_classes_is_a_falling_curve():
    names = [f"c{k:02d}" for k in range(40) for _ in range(1 + 3 * k)]
    table = pd.DataFrame({"image": map(str, range(len(names))), "kind": names, "split": "train"})
    catalogue = Catalogue(table, [SingleLabel("kind")], SimpleNamespace(fingerprint="x"), "tiny")
    (axes,) = plots.class_balance(catalogue, ["kind"]).axes
    assert axes.lines[0].get_ydata().tolist() == [1 + 3 * k for k in range(39, -1, -1)]
    assert axes.get_yscale() == "log" and axes.texts[0].get_text() == "c39 118"


def history(epochs: int, offset: float = 0.0) -> pd.DataFrame:
    epoch = np.arange(1, epochs + 1)
    return pd.DataFrame(
        {
            "epoch": epoch,
            "stage": ["heads"] + ["all"] * (epochs - 1),
            "learning_rate": 0.1,
            "loss/kind": 2.0 / epoch,
            "loss/words": 1.0 / epoch,
            "kind/accuracy": 0.5 + 0.1 * epoch + offset,
            "kind/macro_f1": 0.4 + 0.1 * epoch,
            "kind/top3_accuracy": 0.9,
            "score": 0.5 + 0.1 * epoch + offset,
        }
    )


def test_training_curves_of_one_run():
    figure = plots.training_curves(history(4))
    assert [a.get_ylabel() for a in figure.axes] == ["training loss", "validation accuracy", "validation macro-F1"]
    loss, accuracy, _ = figure.axes
    drawn = {line.get_label(): line.get_ydata().tolist() for line in loss.lines if not line.get_label().startswith("_")}
    assert drawn == {"kind": [2.0, 1.0, 2 / 3, 0.5], "words": [1.0, 0.5, 1 / 3, 0.25]}
    assert [line.get_xdata()[0] for line in accuracy.lines[1:]] == [1.5]  # where the second stage begins
    assert loss.lines[0].get_color() == accuracy.lines[0].get_color()
    plots.training_curves(history(1).drop(columns=["kind/accuracy", "kind/macro_f1", "kind/top3_accuracy"]))


def test_training_curves_of_several_runs_lie_over_one_another():
    figure = plots.training_curves({"short": history(2), "long": history(4, offset=0.05)})
    shown = {
        a.get_title(loc="left"): [line.get_ydata().tolist() for line in a.lines] for a in figure.axes if a.get_visible()
    }
    assert set(shown) == {"training loss, summed", "validation score", "kind, accuracy"}
    assert shown["training loss, summed"] == [[3.0, 1.5], [3.0, 1.5, 1.0, 0.75]]
    assert [len(line) for line in shown["kind, accuracy"]] == [2, 4]
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["short", "long"]


def test_confusion_pairs_count_and_normalise_by_row():
    task = SingleLabel("kind", classes=("bag", "hat", "shirt", "shoe"))
    truth = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 3, UNSEEN, MISSING])
    index = np.array([0, 0, 0, 1, 1, 3, 3, 2, 3, 0, 0, 0])
    predictions = Predictions({"kind": task}, np.arange(12), {"kind": np.eye(4)[index]}, {"kind": truth})
    axes = plots.confusion_pairs(predictions, "kind", top=3).axes[0]
    names = [t.get_text() for t in axes.get_yticklabels()]
    assert names == [t.get_text() for t in axes.get_xticklabels()] == ["shirt", "shoe", "bag"]
    share = np.asarray(axes.collections[0].get_array()).reshape(3, 3)
    assert np.allclose(share, [[0.25, 0.75, 0], [0, 0, 1], [0, 0, 1]])
    cells = {(t.get_position()[1] - 0.5, t.get_position()[0] - 0.5): t.get_text() for t in axes.texts}
    assert cells == {(0, 0): "1", (0, 1): "3", (1, 2): "1", (2, 2): "3"}


def test_confusion_pairs_without_a_mistake_still_draws():
    task = SingleLabel("kind", classes=("bag", "hat"))
    perfect = Predictions({"kind": task}, np.arange(2), {"kind": np.eye(2)}, {"kind": np.arange(2)})
    assert [t.get_text() for t in plots.confusion_pairs(perfect, "kind").axes[0].texts] == ["1", "1"]


def test_calibration_draws_the_given_curve_and_its_error():
    curve = (np.array([0.25, 0.75]), np.array([0.2, 0.9]), np.array([0.4, 0.6]), 0.11)
    figure = plots.calibration({"kind": curve})
    top, bottom = figure.axes
    assert top.lines[1].get_xydata().tolist() == [[0.25, 0.2], [0.75, 0.9]]
    assert bottom.lines[0].get_ydata().tolist() == [0.4, 0.6]
    assert "kind: ECE 0.110" in [t.get_text() for t in figure.legends[0].get_texts()]


def test_accuracy_comparison_puts_points_intervals_and_references_in_place():
    row = {"model": "joint", "split": "random", "task": "kind", "accuracy": 0.8, "ci_low": 0.78, "ci_high": 0.83}
    table = pd.DataFrame(
        [
            {**row, "seed_accuracy": 0.7, "best_published": 0.9},
            {**row, "split": "grouped", "accuracy": 0.75, "ci_low": 0.7, "ci_high": 0.79},
            {**row, "task": "colour", "accuracy": 0.6, "ci_low": 0.5, "ci_high": 0.7},
            {**row, "model": "majority class", "accuracy": 0.3},
        ]
    )
    figure = plots.accuracy_comparison(table)
    kind, colour = figure.axes
    assert [t.get_text() for t in kind.get_yticklabels()] == ["joint, random", "joint, grouped"]
    points = [(float(c.lines[0].get_xdata()[0]), float(c.lines[0].get_ydata()[0])) for c in kind.containers]
    assert points == [(0.8, 0), (0.75, 1)]
    (interval,) = kind.containers[0].lines[2][0].get_segments()
    assert np.allclose(interval[:, 0], [0.78, 0.83])
    references = {
        line.get_label(): line.get_xdata()[0]
        for line in kind.lines
        if line.get_label() in ("result to beat", "best published")
    }
    assert references == {"result to beat": 0.7, "best published": 0.9}
    assert "0.300" in kind.get_title(loc="left") and colour.get_title(loc="left") == "colour"
    assert len(colour.containers) == 1 and not [t for t in colour.lines if t.get_label() == "best published"]


def test_per_class_scatter_names_the_outlier():
    n = np.array([1, 10, 20, 30, 40, 50, 60, 70, 80, 90])
    f1 = np.array([0.0, 0.5, 0.5, 0.5, 0.5, 0.02, 0.5, 0.5, 0.5, 0.5])
    table = pd.DataFrame({"task": "kind", "class": [f"class {k}" for k in n], "f1": f1, "n_train": n})
    (axes,) = plots.per_class_scatter(table, named=1).axes
    assert axes.get_xscale() == "log" and axes.collections[0].get_offsets().tolist() == np.stack([n, f1], 1).tolist()
    assert [t.get_text() for t in axes.texts] == ["class 50"]


def test_no_function_leaves_the_style_behind(data):
    before = dict(matplotlib.rcParams)
    plots.class_balance(data.catalogue, ["kind"])
    assert dict(matplotlib.rcParams) == before

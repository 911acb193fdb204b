"""Which images a montage shows, and what it says of them."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import same_color

from fashionlib.evaluation.predict import Predictions
from fashionlib.tasks import MultiLabel, SingleLabel
from fashionlib.tasks.labels import MISSING, UNSEEN
from seen import row_of, said, shaded, unreadable
from study.figures.images import attribute_montage, image_montage, prediction_montage
from study.figures.style import BLACK, GREEN, GREY, VERMILION


@pytest.fixture
def data():
    colours = ["red", "blue", "red", "red", None, "blue", "green", "red"]
    kinds = ["shirt", "shirt", "shoe", "shoe", "shoe", "bag", "bag", "shirt"]
    table = pd.DataFrame({"colour": colours, "kind": kinds, "words": "fit:loose"})
    table["split"] = ["train"] * 5 + ["test"] * 3
    words = MultiLabel("words", classes=("fit:loose", "never"))
    return shaded(table, [SingleLabel("colour"), SingleLabel("kind"), words])


def test_images_are_shown_in_rows_with_their_titles():
    pixels = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.full((5, 8, 6, 3), 50, np.uint8)
    figure = image_montage(pixels, list("abcde"), columns=3)
    assert [int(np.asarray(axes.images[0].get_array())[0, 0, 0]) for axes in figure.axes] == [0, 50, 100, 150, 200]
    assert [said(axes) for axes in figure.axes] == [[letter] for letter in "abcde"]
    boxes = [axes.get_position() for axes in figure.axes]
    assert boxes[0].y0 == boxes[2].y0 > boxes[3].y0 and boxes[0].x0 == boxes[3].x0  # a new row after three


def test_predictions_mark_what_is_wrong_and_name_the_truth(data):
    """Right; wrong in colour, with a kind that training never saw; unseen in both; a colour that nobody knows."""
    tasks = {task.name: task for task in data.catalogue.select("colour", "kind")}
    assert tasks["colour"].classes == ("blue", "red") and tasks["kind"].classes == ("shirt", "shoe")
    activations = {"colour": np.eye(2)[[1, 1, 0, 0]], "kind": np.eye(2)[[1, 0, 0, 1]]}
    targets = {"colour": np.array([1, 0, UNSEEN, MISSING]), "kind": np.array([1, UNSEEN, UNSEEN, 1])}
    seen = Predictions(tasks, np.array([3, 5, 6, 4]), activations, targets)
    figure = prediction_montage(data, seen)
    assert [row_of(axes, data) for axes in figure.axes] == [3, 5, 6, 4]
    assert [said(axes) for axes in figure.axes] == [
        ["red", "shoe"],
        ["× red", "true: blue", "× shirt", "true: bag"],
        ["× blue", "true: green", "× shirt", "true: bag"],
        ["blue ?", "shoe"],
    ]
    for text in (text for axes in figure.axes for text in axes.texts):
        assert same_color(text.get_color(), VERMILION) == ("×" in text.get_text() or "true" in text.get_text())
    assert same_color(figure.axes[0].texts[0].get_color(), BLACK)
    part = prediction_montage(data, seen, n=2, labels=["kind"])
    assert [said(axes) for axes in part.axes] == [["shoe"], ["× shirt", "true: bag"]]
    with pytest.raises(ValueError, match="no label"):
        prediction_montage(data, Predictions({}, np.arange(2), {}, {}))


@pytest.mark.parametrize("n", [3, 8, 16])
def test_attributes_show_the_most_probable_images_with_their_truth(data, n):
    probabilities = np.array([[0.1, 0.9], [0.9, 0.9], [0.5, 0.2], [0.7, 0.1]])
    truth = np.array([[0, 0], [1, 0], [1, 0], [-1, 0]], np.int8)
    seen = Predictions(data.catalogue.tasks, np.array([5, 0, 3, 1]), {"words": probabilities}, {"words": truth})
    figure = attribute_montage(data, seen, "words", ["never", "fit:loose"], n=n)
    shown = min(n, 4)
    assert [row_of(axes, data) for axes in figure.axes] == [*[5, 0, 3, 1][:shown], *[0, 1, 3, 5][:shown]]
    marks = [axes.texts[-1] for axes in figure.axes]
    assert [mark.get_text() for mark in marks] == ["×"] * shown + ["✓", "?", "✓", "×"][:shown]
    for axes, mark in zip(figure.axes, marks, strict=True):
        colour = {"✓": GREEN, "×": VERMILION, "?": GREY}[mark.get_text()]
        assert same_color(mark.get_color(), colour) and same_color(axes.spines["left"].get_edgecolor(), colour)
    # of the three images of known truth the two with the label come first
    assert said(figure.axes[shown])[:2] == ["loose", "AP 1.000, 2 images"]
    assert said(figure.axes[0])[:2] == ["never", "no image has it"]
    assert not unreadable(figure)
    with pytest.raises(ValueError, match="'loose' is not among the 2 classes of 'words'"):
        attribute_montage(data, seen, "words", ["loose"])

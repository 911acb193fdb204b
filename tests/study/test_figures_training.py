"""What is drawn over epochs, images seen and cost, against histories made by hand."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import same_color

from seen import legend, said, titles
from study.figures.style import COLOURS
from study.figures.training import curves, training_curves


def history(epochs: int, images: int = 10, **columns) -> pd.DataFrame:
    epoch = np.arange(1, epochs + 1)
    table = pd.DataFrame({"epoch": epoch, "images_seen": epoch * images, "stage": ["heads"] + ["all"] * (epochs - 1)})
    table = table.assign(learning_rate=0.1, **{"loss/kind": 2.0 / epoch, "loss/words": 1.0 / epoch, "score": 0.5})
    measured = {"kind/accuracy": 0.5 + 0.1 * epoch, "kind/macro_f1": 0.4 + 0.1 * epoch, "kind/top3_accuracy": 0.9}
    return table.assign(**{"weight/kind": 1.0, "weight/words": 1.0} | measured | columns)


def drawn(axes) -> list[list]:
    """The points of every line but those that part stages."""
    lines = [line.get_xydata() for line in axes.lines if len(line.get_xdata()) and line.get_linestyle() != ":"]
    return [np.round(points, 9).tolist() for points in lines]


def borders(axes) -> list[float]:
    return [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == ":"]


def test_one_run_has_a_panel_for_losses_and_one_for_each_metric():
    figure = training_curves(history(4))
    assert titles(figure) == ["training loss", "validation accuracy", "validation macro-F1"]
    loss, accuracy, _ = figure.axes
    assert drawn(loss) == [
        [[1, 2], [2, 1], [3, round(2 / 3, 9)], [4, 0.5]],
        [[1, 1], [2, 0.5], [3, round(1 / 3, 9)], [4, 0.25]],
    ]
    assert borders(accuracy) == [1] and legend(figure) == ["kind", "words"]
    assert same_color(loss.lines[0].get_color(), accuracy.lines[0].get_color())
    learned = training_curves(history(2, **{"weight/kind": [1.0, 2.0]}))
    assert drawn(learned.axes[titles(learned).index("loss weight")]) == [[[1, 1], [2, 2]]]


def test_several_runs_lie_over_one_another_by_the_images_that_they_saw():
    runs = {"short": [history(2)], "long": [history(3, images=20)]}
    figure = training_curves(runs)
    assert titles(figure) == ["training loss, summed", "validation score"] and legend(figure) == ["short", "long"]
    assert drawn(figure.axes[0]) == [[[10, 3], [20, 1.5]], [[20, 3], [40, 1.5], [60, 1]]]
    seeds = [history(3, **{"kind/accuracy": [0.2, 0.4, 0.6]}), history(2, **{"kind/accuracy": [0.4, 0.5]})]
    without = history(4).drop(columns="kind/accuracy")
    figure = training_curves({"b": [without], "a": seeds}, {"accuracy": "kind/accuracy", "f1": "kind/macro_f1"})
    accuracy, f1 = figure.axes
    assert legend(figure) == ["b", "a"]
    assert drawn(accuracy) == [[[10, 0.3], [20, 0.45]]]  # the mean, as far as all seeds went
    band = accuracy.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (0.2, 0.5)
    assert same_color(accuracy.lines[0].get_color(), COLOURS[1]) and borders(f1) == borders(accuracy) == [10]
    with pytest.raises(ValueError, match="no history has a value in column 'words/map'"):
        training_curves(runs, {"words": "words/map"})


def test_curves_have_panels_seeds_and_intervals():
    rows = [("a", 1, 0.1, "x"), ("a", 1, 0.3, "x"), ("a", 2, 0.4, "x"), ("b", 1, 0.5, "y")]
    table = pd.DataFrame(rows, columns=["net", "minutes", "value", "metric"])
    figure = curves(table, "minutes", "value", "net", "metric", log=True)
    x, y = figure.axes
    assert titles(figure) == ["x", "y"] and x.get_xscale() == "log"
    assert drawn(x) == [[[1, 0.2], [2, 0.4]]] and drawn(y) == [[[1, 0.5]]]
    assert same_color(y.lines[0].get_color(), COLOURS[1])  # the same in all panels
    figure = curves(table[1:3].assign(ci_low=0.2, ci_high=0.6), "minutes", "value", "net")
    band = figure.axes[0].collections[-1].get_paths()[0].vertices
    assert set(band[:, 1]) == {0.2, 0.6}


def test_a_trade_off_is_joined_in_the_order_of_its_weights():
    table = pd.DataFrame(
        {"weight": [0.0, 0.5, 1.0], "accuracy": [0.8, 0.9, 0.7], "map": [0.1, 0.2, 0.3], "net": "joint"}
    )
    (axes,) = curves(table, "accuracy", "map", "net", name="weight").axes
    assert drawn(axes) == [[[0.8, 0.1], [0.9, 0.2], [0.7, 0.3]]] and said(axes) == ["0.0", "0.5", "1.0"]

"""What figures of predictions draw, against tables written by hand."""

import numpy as np
import pandas as pd
import pytest

from fashionlib.evaluation.predict import Predictions
from fashionlib.metrics.attributes import top_k_recall
from fashionlib.tasks import SingleLabel
from fashionlib.tasks.labels import MISSING, UNSEEN
from seen import legend, said, ticks, titles
from study.figures.predictions import attribute_scatter, calibration, confusion_pairs, per_class_scatter, recall_bars


def test_confusions_are_counted_and_shared_by_row():
    task = SingleLabel("kind", classes=("bag", "hat", "shirt", "shoe"))
    truth = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 3, UNSEEN, MISSING])
    index = np.array([0, 0, 0, 1, 1, 3, 3, 2, 3, 0, 0, 0])
    seen = Predictions({"kind": task}, np.arange(12), {"kind": np.eye(4)[index]}, {"kind": truth})
    axes = confusion_pairs(seen, "kind", top=3).axes[0]
    assert ticks(axes) == ["shirt", "shoe", "bag"]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["shirt", "shoe", "bag", "all others"]
    share = np.asarray(axes.collections[0].get_array()).reshape(3, 4)
    assert np.allclose(share, [[0.25, 0.75, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0]])
    cells = {(t.get_position()[1] - 0.5, t.get_position()[0] - 0.5): t.get_text() for t in axes.texts if t.get_text()}
    assert cells == {(0, 0): "1", (0, 1): "3", (1, 2): "1", (2, 2): "3"}
    of_two = np.asarray(confusion_pairs(seen, "kind", top=2).axes[0].collections[0].get_array()).reshape(2, 3)
    assert np.allclose(of_two, [[0.25, 0.75, 0], [0, 0, 1]])
    perfect = Predictions({"kind": task}, np.arange(4), {"kind": np.eye(4)}, {"kind": np.arange(4)})
    assert said(confusion_pairs(perfect, "kind").axes[0]) == ["1"] * 4


def test_calibration_draws_the_given_curve_and_its_error():
    curve = (np.array([0.25, 0.75]), np.array([0.2, 0.9]), np.array([0.4, 0.6]), 0.11)
    figure = calibration({"kind": curve})
    left, right = figure.axes
    assert left.lines[0].get_xydata().tolist() == [[0.25, 0.2], [0.75, 0.9]]
    assert right.lines[0].get_ydata().tolist() == [0.4, 0.6] and legend(figure) == ["kind: ECE 0.110"]


def test_the_class_far_from_its_like_is_named_and_one_without_a_test_image_not_drawn():
    n = np.array([1, 10, 20, 30, 40, 50, 60, 70, 80, 90])
    f1 = np.array([0.0, 0.5, 0.5, 0.5, 0.5, 0.02, 0.5, 0.5, 0.5, 0.5])
    table = pd.DataFrame({"task": "kind", "class": [f"class {k}" for k in n], "f1": f1, "n_train": n, "n_test": n // 2})
    (axes,) = per_class_scatter(table, named=1).axes
    assert (
        axes.get_xscale() == "log" and axes.collections[0].get_offsets().tolist() == np.stack([n, f1], 1)[1:].tolist()
    )
    assert said(axes) == ["class 50"]


def attributes(*rows: tuple) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["attribute", "group", "n_test", "prevalence", "average_precision"])
    return table.assign(lift=table["average_precision"] / table["prevalence"])


def test_attributes_lie_at_prevalence_and_precision_by_group():
    silk, denim = ("fabric:silk", "fabric", 10, 0.01, 0.02), ("fabric:denim", "fabric", 40, 0.04, 0.8)
    figure = attribute_scatter(
        attributes(denim, silk, ("fabric:tweed", "fabric", 0, 0.0, np.nan), ("plain", "", 500, 0.5, 0.6))
    )
    (axes,) = figure.axes
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert axes.collections[0].get_offsets().tolist() == [[0.04, 0.8], [0.01, 0.02], [0.5, 0.6]]
    assert legend(figure) == ["fabric (2)", "no group (1)", "a constant answer"]
    diagonal = next(line for line in axes.lines if line.get_label() == "a constant answer")
    assert list(diagonal.get_xdata()) == list(diagonal.get_ydata()) == list(axes.get_xlim())
    assert titles(figure) == ["3 attributes, 1 more without a test image"]
    many = attribute_scatter(attributes(*((f"g{k}:a", f"g{k}", 10, 0.1, 0.1 * k) for k in range(1, 10)))).axes[0]
    looks = zip(many.collections[0].get_paths(), many.collections[0].get_facecolor(), strict=True)
    assert len({(path.vertices.tobytes(), colour.tobytes()) for path, colour in looks}) == 9
    with pytest.raises(ValueError, match="none of the 1 attributes"):
        attribute_scatter(attributes(("a", "", 0, 0.0, np.nan)))


@pytest.mark.parametrize("named, names", [(4, ["p0", "p1", "p6", "p7"]), (30, [f"p{k}" for k in range(8)]), (0, [])])
def test_extremes_among_the_frequent_attributes_are_named(named, names):
    rare = [("part:rare", "part", 9, 0.001, 0.99), ("part:hopeless", "part", 9, 0.001, 0.0001)]
    table = attributes(*((f"part:p{k}", "part", 10 + k, 0.1, 0.1 * (k + 1)) for k in range(8)), *rare)
    assert sorted(said(attribute_scatter(table, named).axes[0])) == names


def test_recall_has_no_bar_where_it_is_1_by_construction():
    rows = [("fabric", 3, 0.5, 40, 9), ("neck", 3, 1, 5, 3), ("", 3, 0.25, 4, 4)]
    rows += [("pooled", 3, 0.4, 49, 0), ("all", 3, 0.2, 49, 0), ("fabric", 5, 0.7, 40, 9), ("neck", 5, 1, 5, 3)]
    rows += [("", 5, 1, 4, 4), ("pooled", 5, 0.6, 49, 0), ("all", 5, 0.3, 49, 0)]
    table = pd.DataFrame(rows, columns=["scope", "k", "recall", "labels", "members"])
    figure = recall_bars(table)
    three, five = figure.axes
    assert titles(figure) == ["top-3 recall", "top-5 recall"] and not figure.legends
    names = ["fabric (40)", "neck (5)", "no group (4)", "pooled over groups (49)", "all ranked together (49)"]
    assert ticks(three) == names
    bars = [[(round(b.get_y() + b.get_height() / 2), b.get_width()) for b in axes.patches] for axes in figure.axes]
    assert bars == [[(0, 0.5), (2, 0.25), (3, 0.4), (4, 0.2)], [(0, 0.7), (3, 0.6), (4, 0.3)]]
    assert said(three).count("1 by construction") == 1 and said(five).count("1 by construction") == 2
    assert three.get_ylim()[0] > three.get_ylim()[1]  # the first row on top
    both = recall_bars(
        pd.concat([table.assign(model="network"), table.assign(model="prior", recall=table["recall"] / 2)])
    )
    assert legend(both) == ["network", "prior"]
    network, prior = both.axes[0].containers
    assert [bar.get_width() for bar in prior] == [bar.get_width() / 2 for bar in network]
    assert all(one.get_y() < other.get_y() for one, other in zip(network, prior, strict=True))
    alone = recall_bars(top_k_recall(np.eye(4), np.eye(4, dtype=int), ks=(1,)).assign(members=np.nan)).axes[0]
    assert ticks(alone) == ["all ranked together (4)"] and [bar.get_width() for bar in alone.patches] == [1.0]

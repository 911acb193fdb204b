"""Tables against scikit-learn and counts by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score, top_k_accuracy_score

from fashionlib.evaluation.predict import Predictions
from fashionlib.tasks import Hierarchy, MultiLabel, SingleLabel
from fashionlib.tasks.labels import MISSING, UNSEEN
from study.tables import accuracy_table, confusions, impossible_rate, per_class_table, prior
from tiny import tiny_data, tiny_table

FRUIT = SingleLabel("fruit", classes=("apple", "fig", "plum"))
SIZE = SingleLabel("size", classes=("big", "small"))
YEAR = SingleLabel("year", classes=("2011", "2012"), evaluated=False)


def certain(classes, n):
    """Activations that choose these classes."""
    return np.eye(n, dtype=np.float32)[classes]


@pytest.fixture
def handmade():
    #         right  right  fig for apple  fig for apple  plum for fig  unknown  never trained
    fruit = np.array([0, 2, 0, 0, 1, MISSING, UNSEEN])
    said = [0, 2, 1, 1, 2, 0, 0]
    size = np.array([0, 0, 1, 0, 1, 1, 0])
    answers = {"fruit": certain(said, 3), "size": certain([0, 1, 1, 0, 1, 1, 0], 2), "year": certain([0] * 7, 2)}
    truth = {"fruit": fruit, "size": size, "year": np.zeros(7, int)}
    return Predictions({t.name: t for t in (FRUIT, SIZE, YEAR)}, np.arange(7), answers, truth)


def test_accuracy_table_is_scikit_learns():
    rng = np.random.default_rng(0)
    probabilities, truth = rng.dirichlet(np.ones(4), 300).astype(np.float32), rng.integers(0, 4, 300)
    truth[:50] = probabilities[:50].argmax(1)
    tasks = {"colour": SingleLabel("colour", classes=tuple("abcd")), "words": MultiLabel("words", classes=("a",))}
    answers = {"colour": np.r_[probabilities, probabilities[:20]], "words": np.ones((320, 1))}
    targets = {"colour": np.r_[truth, [MISSING] * 20], "words": np.ones((320, 1), int)}
    predictions = Predictions(tasks, np.arange(320), answers, targets)
    table = accuracy_table(predictions)
    columns = "task n_test n_classes accuracy std ci_low ci_high macro_f1 top3_accuracy n_seeds".split()
    assert list(table) == columns and len(table) == 1
    row, predicted = table.loc[0], probabilities.argmax(1)
    assert row[["task", "n_test", "n_classes", "n_seeds"]].tolist() == ["colour", 300, 4, 1]
    assert row["accuracy"] == pytest.approx(accuracy_score(truth, predicted))
    assert row["macro_f1"] == pytest.approx(f1_score(truth, predicted, average="macro"))
    assert row["top3_accuracy"] == pytest.approx(top_k_accuracy_score(truth, probabilities, k=3))
    half = 1.96 * np.sqrt(row["accuracy"] * (1 - row["accuracy"]) / 300)
    np.testing.assert_allclose(
        [row["ci_low"], row["ci_high"]], [row["accuracy"] - half, row["accuracy"] + half], atol=0.01
    )
    perfect = replace(predictions, activations=answers | {"colour": certain(targets["colour"], 4)})
    both = accuracy_table(predictions, perfect, ks=(1, 2)).loc[0]
    assert both["accuracy"] == both["top1_accuracy"] == pytest.approx((row["accuracy"] + 1) / 2)
    assert both["std"] == pytest.approx((1 - row["accuracy"]) / np.sqrt(2)) and both["n_seeds"] == 2


def test_labels_keep_their_order_and_one_that_no_image_has_is_nan(handmade):
    table = accuracy_table(handmade)
    assert table["task"].tolist() == ["fruit", "size"] and table["accuracy"].tolist() == pytest.approx([2 / 6, 6 / 7])
    unknown = replace(handmade, targets=handmade.targets | {"fruit": np.full(7, MISSING)})
    table = accuracy_table(unknown).set_index("task")
    assert table.loc["fruit", ["accuracy", "ci_low", "macro_f1"]].isna().all() and table.loc["fruit", "n_test"] == 0


def test_impossible_rate_by_hand(handmade):
    paths = [("apple", "big"), ("plum", "small"), ("fig", "big"), ("plum", None)]
    train = pd.DataFrame(paths, columns=["fruit", "size"])
    # said: apple big, plum small, fig small, fig big, plum small, apple small, apple big
    assert impossible_rate(handmade, ("fruit", "size"), train) == pytest.approx(2 / 7)


def test_a_hierarchy_is_reported_by_level_and_never_impossible():
    task = Hierarchy("t", levels=("a", "b"), paths=(("A", "x"), ("A", "y"), ("B", "x")))
    answers = np.random.default_rng(0).dirichlet(np.ones(3), 100).astype(np.float32)
    truth = np.stack([np.zeros(100, int), np.full(100, MISSING)], 1)
    predictions = Predictions({"t": task}, np.arange(100), {"t": answers}, {"t": truth})
    table = accuracy_table(predictions).set_index("task")
    assert table.loc["a", "accuracy"] == pytest.approx((answers.argmax(1) < 2).mean())
    assert table.loc["b", "n_test"] == 0
    assert impossible_rate(predictions, ("a", "b"), pd.DataFrame(task.paths, columns=["a", "b"])) == 0


def test_per_class_table_by_hand(handmade):
    table = per_class_table(handmade, "fruit").set_index("class")
    assert table["n_test"].to_dict() == {"apple": 3, "fig": 1, "plum": 1}
    assert table["recall"].to_dict() == pytest.approx({"apple": 1 / 3, "fig": 0, "plum": 1})
    assert table["precision"].to_dict() == pytest.approx({"apple": 1 / 2, "fig": 0, "plum": 1 / 2})  # one was unseen
    assert table["f1"].to_dict() == pytest.approx({"apple": 0.4, "fig": 0, "plum": 2 / 3})


def test_confusions_by_hand(handmade):
    found = confusions(handmade, "fruit")
    assert found[["true", "predicted", "images"]].to_numpy().tolist() == [["apple", "fig", 2], ["fig", "plum", 1]]
    assert found["share_of_true"].tolist() == pytest.approx([2 / 3, 1])
    assert len(confusions(handmade, "fruit", top=1)) == 1
    right = Predictions({"size": SIZE}, np.arange(2), {"size": certain([0, 1], 2)}, {"size": np.array([0, 1])})
    assert len(confusions(right, "size")) == 0


def test_the_prior_answers_with_the_frequencies_of_training():
    table = tiny_table(train=6, val=0, test=5)
    table["gender"] = ["Men", "Men", "Men", "Women", "Unisex", None, "Men", "Women", None, "Kids", "Men"]
    table["words"] = ["", "red", "red;?wool", "wool", None, "red", "red", "", "red", "wool", ""]
    data = tiny_data(table)
    seen = prior(data, ("gender", "sub", "words"))
    np.testing.assert_allclose(seen.activations["gender"], [[3 / 5, 1 / 5, 1 / 5]] * 5)
    np.testing.assert_allclose(seen.activations["words"], [[3 / 5, 1 / 4]] * 5)
    row = accuracy_table(seen).set_index("task").loc["gender"]
    # Men: precision 2/4, recall 1; Women and Kids, which training never saw: 0
    assert row[["n_test", "n_classes", "accuracy", "top3_accuracy"]].tolist() == [4, 3, 2 / 4, 3 / 4]
    assert row["macro_f1"] == pytest.approx((2 / 3) / 3)
    assert seen.metrics()["words"]["map"] == pytest.approx((2 / 5 + 1 / 5) / 2)  # how often the test has each
    table.loc[:5, "gender"] = None
    with pytest.raises(ValueError, match="tiny: no training image has a label in column 'gender'"):
        prior(tiny_data(table), ("gender",))

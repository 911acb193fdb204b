"""Evaluation against scikit-learn, hand counts and a resampling that really resamples."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score, top_k_accuracy_score
from tiny import tiny_data, tiny_model, tiny_table

from fashionlib.evaluation.predict import (
    Predictions,
    accuracy_table,
    bootstrap_interval,
    confusions,
    exact_match,
    impossible_rate,
    majority_table,
    paired_differences,
    per_class_table,
    predict,
)
from fashionlib.tasks.labels import MISSING, UNSEEN
from fashionlib.tasks import Hierarchy, MultiLabel, SingleLabel

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
    task = SingleLabel("colour", classes=tuple("abcd"))
    unlabelled = np.r_[truth, [MISSING] * 20]
    padded = np.r_[probabilities, probabilities[:20]]
    table = accuracy_table(Predictions({"colour": task}, np.arange(320), {"colour": padded}, {"colour": unlabelled}))
    row, predicted = table.loc[0], probabilities.argmax(1)
    assert list(table) == "task n_test n_classes accuracy ci_low ci_high macro_f1 top3_accuracy".split()
    assert (row["task"], row["n_test"], row["n_classes"]) == ("colour", 300, 4)
    assert row["accuracy"] == pytest.approx(accuracy_score(truth, predicted))
    assert row["macro_f1"] == pytest.approx(f1_score(truth, predicted, average="macro"))
    assert row["top3_accuracy"] == pytest.approx(top_k_accuracy_score(truth, probabilities, k=3))
    assert row["ci_low"] < row["accuracy"] < row["ci_high"]


def test_missing_labels_do_not_count_unseen_ones_are_errors_auxiliary_ones_are_not_reported(handmade):
    table = accuracy_table(handmade).set_index("task")
    assert list(table.index) == ["fruit", "size"]
    assert table.loc["fruit", "n_test"] == 6 and table.loc["fruit", "accuracy"] == pytest.approx(2 / 6)
    assert table.loc["size", "accuracy"] == pytest.approx(6 / 7)


def test_bootstrap_interval_is_that_of_a_real_resampling_and_nearly_normal():
    rng = np.random.default_rng(3)
    correct = np.zeros(400, bool)
    correct[:300] = True
    means = [correct[rng.integers(0, 400, 400)].mean() for _ in range(4000)]
    low, high = bootstrap_interval(correct, repeats=4000)
    np.testing.assert_allclose([low, high], np.percentile(means, [2.5, 97.5]), atol=0.005)
    half = 1.96 * np.sqrt(0.75 * 0.25 / 400)
    np.testing.assert_allclose([low, high], [0.75 - half, 0.75 + half], atol=0.005)
    assert bootstrap_interval(correct, seed=1) == bootstrap_interval(correct, seed=1)
    assert bootstrap_interval(np.ones(9, bool)) == (1.0, 1.0)
    assert np.isnan(bootstrap_interval(np.zeros(0, bool))).all()


def test_exact_match_by_hand(handmade):
    match = exact_match(handmade, ("fruit", "size"))
    # of the six images with both labels only the first has both right
    assert match["n_test"] == 6 and match["exact_match"] == pytest.approx(1 / 6)
    assert 0 <= match["ci_low"] <= 1 / 6 <= match["ci_high"] <= 1


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


def test_confusions_of_a_perfect_label_are_none():
    right = Predictions({"size": SIZE}, np.arange(2), {"size": certain([0, 1], 2)}, {"size": np.array([0, 1])})
    assert len(confusions(right, "size")) == 0


def test_multilabel_is_measured_but_is_no_single_label():
    task = MultiLabel("words", classes=("a", "b"))
    truth = np.array([[1, 0], [0, 1]], np.int8)
    predictions = Predictions({"words": task}, np.arange(2), {"words": truth.astype(np.float32)}, {"words": truth})
    assert predictions.labels() == {} and predictions.metrics() == {"words": {"map": 1.0}}


def test_majority_table_by_hand():
    table = tiny_table(train=6, val=0, test=5)
    table["gender"] = ["Men", "Men", "Men", "Women", "Unisex", None, "Men", "Women", None, "Kids", "Men"]
    row = majority_table(tiny_data(table), ("gender",)).loc[0]
    assert (row["n_test"], row["n_classes"], row["accuracy"]) == (4, 3, pytest.approx(2 / 4))
    assert row["top3_accuracy"] == pytest.approx(3 / 4)
    # Men: precision 2/4, recall 1; Women and Kids: 0
    assert row["macro_f1"] == pytest.approx((2 / 3) / 3)


def test_predict_covers_each_row_once_in_order_whatever_the_batch(trained):
    model, data = trained
    model.train()
    whole = predict(model, data, "train", precision="fp32")
    assert whole.rows.tolist() == list(range(32))
    parts = predict(model, data, "train", batch_size=5, precision="fp32")
    for name in model.tasks:
        assert len(whole.activations[name]) == len(whole.targets[name]) == 32
        np.testing.assert_allclose(parts.activations[name], whole.activations[name], atol=1e-5)
    one = predict(model, data, np.array([7]), precision="fp32")
    np.testing.assert_allclose(one.activations["gender"][0], whole.activations["gender"][7], atol=1e-5)
    assert model.training  # as before


def test_targets_are_those_of_the_rows(trained):
    model, data = trained
    predictions = predict(model, data, np.array([40, 5, 47]))
    genders = model.tasks["gender"].classes
    assert predictions.targets["gender"].tolist() == [genders.index("Women"), MISSING, UNSEEN]


def test_mirror_averages_two_runs(trained):
    model, data = trained
    mirrored = type(data)(data.catalogue, np.ascontiguousarray(data.pixels[:, :, ::-1]), data.position)
    both = predict(model, data, "test", mirror=True, precision="fp32").activations
    plain, other = (predict(model, d, "test", precision="fp32").activations for d in (data, mirrored))
    for name in both:
        mean = (plain[name] + other[name]) / 2
        if name == "item":  # an embedding stays unit length, or rankings by dot product would be biased
            mean /= np.linalg.norm(mean, axis=1, keepdims=True)
        np.testing.assert_allclose(both[name], mean, atol=1e-5)
    assert not np.allclose(plain["gender"], other["gender"], atol=1e-4)


def test_predict_leaves_auxiliary_tasks_out_unless_asked():
    data = tiny_data(tasks=(SingleLabel("gender"), SingleLabel("article", evaluated=False)))
    model = tiny_model(data)
    assert list(predict(model, data, "val").activations) == ["gender"]
    assert list(predict(model, data, "val", tasks=("article",)).activations) == ["article"]


def test_a_label_that_no_image_has_is_a_row_of_nan(handmade):
    targets = handmade.targets | {"fruit": np.full(7, MISSING)}
    unknown = Predictions(handmade.tasks, handmade.rows, handmade.activations, targets)
    table = paired_differences(unknown, unknown).set_index("task")
    assert list(table.index) == ["fruit", "size"] and table.loc["fruit"].isna().all()
    assert (table.loc["size"] == 0).all()
    assert accuracy_table(unknown).set_index("task").loc["fruit", ["accuracy", "ci_low"]].isna().all()


def test_the_majority_of_a_label_without_training_or_test_images_is_nan():
    table = tiny_table(train=6, val=0, test=5)
    table.loc[:5, "gender"] = None
    table.loc[6:, "article"] = None
    both = majority_table(tiny_data(table), ("gender", "article", "master")).set_index("task")
    assert both["n_test"].tolist() == [5, 0, 5] and both["n_classes"].tolist()[0] == 0
    measures = ["accuracy", "ci_low", "ci_high", "macro_f1", "top3_accuracy"]
    assert both.loc[["gender", "article"], measures].isna().all(axis=None)
    assert both.loc["master", measures].notna().all()

"""Metrics against scikit-learn and against tables made by hand."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, top_k_accuracy_score

from fashionlib.metrics.attributes import mean_average_precision
from fashionlib.metrics.classification import calibration_curve, classification_scores, macro_f1, top_k_accuracy
from fashionlib.tasks import Similarity


def recall_at_1(embeddings, items):
    return Similarity("item").metrics(embeddings, items)["item"]["recall_at_1"]


@pytest.fixture
def scores():
    rng = np.random.default_rng(0)
    return rng.dirichlet(np.ones(6), 200), rng.integers(0, 6, 200)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_top_k_is_scikit_learns(scores, k):
    probabilities, truth = scores
    expected = top_k_accuracy_score(truth, probabilities, k=k, labels=range(6))
    assert top_k_accuracy(probabilities, truth, k) == pytest.approx(expected)


def test_top_k_with_fewer_classes_than_k_counts_all_but_the_unseen():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    assert top_k_accuracy(probabilities, np.array([1, 0, -2]), 3) == pytest.approx(2 / 3)


def test_macro_f1_by_hand_and_against_scikit_learn(scores):
    # class 0: precision 1/2, recall 1; class 1: precision 1, recall 1/2; class 2: never predicted
    assert macro_f1(np.array([0, 0, 1]), np.array([0, 1, 1])) == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert macro_f1(np.array([0, 0]), np.array([0, 2])) == pytest.approx((2 / 3 + 0) / 2)
    probabilities, truth = scores
    predicted = probabilities.argmax(1)
    assert macro_f1(predicted, truth) == pytest.approx(f1_score(truth, predicted, average="macro"))


def test_nothing_labelled_gives_nan_not_an_error():
    empty = classification_scores(np.zeros((0, 4)), np.zeros(0, int), np.zeros(0, int))
    assert set(empty) == {"accuracy", "macro_f1", "top3_accuracy"} and all(np.isnan(v) for v in empty.values())
    assert np.isnan(mean_average_precision(np.zeros((2, 1)), np.array([[0], [-1]])))
    assert np.isnan(recall_at_1(np.eye(2), np.array([0, 1])))


def test_map_leaves_out_unknown_entries_and_classes_without_a_positive():
    rng = np.random.default_rng(1)
    probabilities, truth = rng.random((50, 4)), rng.integers(0, 2, (50, 4))
    truth[:20, 0] = -1
    truth[:, 2] = np.where(np.arange(50) < 25, -1, 0)
    expected = [
        average_precision_score(truth[20:, 0], probabilities[20:, 0]),
        average_precision_score(truth[:, 1], probabilities[:, 1]),
        average_precision_score(truth[:, 3], probabilities[:, 3]),
    ]
    assert mean_average_precision(probabilities, truth) == pytest.approx(np.mean(expected))
    # by hand: positives at ranks 1 and 3 of the known ones
    by_hand = mean_average_precision(np.array([[0.9], [0.8], [0.7], [0.95]]), np.array([[1], [0], [1], [-1]]))
    assert by_hand == pytest.approx((1 / 1 + 2 / 3) / 2)


def test_recall_at_1_by_a_hand_made_neighbour_table():
    angles = np.deg2rad([0, 4, 30, 33, 60, 90, 91])
    embeddings = np.stack([np.cos(angles), np.sin(angles)], 1)
    items = np.array([1, 1, 1, 2, 2, 3, -1])
    # nearest other: 0>4 yes, 4>0 yes, 30>33 no, 33>30 no, 60>33 yes; item 3 has no match, the unknown one is left out
    assert recall_at_1(embeddings, items) == pytest.approx(3 / 5)


def test_recall_at_1_in_blocks_equals_a_plain_loop():
    rng = np.random.default_rng(2)
    embeddings = rng.normal(size=(1500, 3))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    items = rng.integers(0, 700, 1500)
    hits = []
    for i in range(1500):
        others = np.delete(np.arange(1500), i)
        if (items[others] == items[i]).any():
            hits.append(items[others[np.argmax(embeddings[others] @ embeddings[i])]] == items[i])
    assert recall_at_1(embeddings, items) == pytest.approx(np.mean(hits))


def test_calibration_by_hand():
    confidence = np.array([0.05, 0.72, 0.78, 0.95, 1.0])
    mean, accuracy, share, error = calibration_curve(confidence, np.array([0, 1, 0, 1, 1]))
    np.testing.assert_allclose(mean, [0.05, 0.75, 0.975])
    np.testing.assert_allclose(accuracy, [0, 0.5, 1])
    np.testing.assert_allclose(share, [0.2, 0.4, 0.4])
    assert error == pytest.approx(0.2 * 0.05 + 0.4 * 0.25 + 0.4 * 0.025)

"""Metrics of classification against scikit-learn and numbers counted by hand."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, top_k_accuracy_score

from fashionlib.metrics.classification import calibration_curve, classification_scores, in_top_k


def test_scores_are_scikit_learns():
    rng = np.random.default_rng(0)
    probabilities, truth = rng.dirichlet(np.ones(6), 200), rng.integers(0, 6, 200)
    for k in (1, 3, 5):
        expected = top_k_accuracy_score(truth, probabilities, k=k, labels=range(6))
        assert in_top_k(probabilities, truth, k).mean() == pytest.approx(expected)
    predicted = probabilities.argmax(1)
    assert classification_scores(probabilities, predicted, truth) == pytest.approx(
        {
            "accuracy": (predicted == truth).mean(),
            "macro_f1": f1_score(truth, predicted, average="macro"),
            "top3_accuracy": top_k_accuracy_score(truth, probabilities, k=3, labels=range(6)),
        }
    )


def test_with_fewer_classes_than_k_all_count_but_the_unseen():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    assert in_top_k(probabilities, np.array([1, 0, -2]), 3).tolist() == [True, True, False]


def test_nothing_labelled_gives_nan_not_an_error():
    empty = classification_scores(np.zeros((0, 4)), np.zeros(0, int), np.zeros(0, int))
    assert set(empty) == {"accuracy", "macro_f1", "top3_accuracy"} and all(np.isnan(v) for v in empty.values())


def test_calibration_by_hand():
    confidence = np.array([0.05, 0.72, 0.78, 0.95, 1.0])
    mean, accuracy, share, error = calibration_curve(confidence, np.array([0, 1, 0, 1, 1], bool))
    np.testing.assert_allclose(mean, [0.05, 0.75, 0.975])
    np.testing.assert_allclose(accuracy, [0, 0.5, 1])
    np.testing.assert_allclose(share, [0.2, 0.4, 0.4])
    assert error == pytest.approx(0.2 * 0.05 + 0.4 * 0.25 + 0.4 * 0.025)

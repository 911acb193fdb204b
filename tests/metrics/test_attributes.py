"""Multi-label metrics against scikit-learn, plain loops and answers counted by hand."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, hamming_loss

from fashionlib.metrics.attributes import (
    average_precisions,
    best_thresholds,
    mean_average_precision,
    thresholded_scores,
    top_k_recall,
)
from study.tables import attribute_table


@pytest.fixture
def answers():
    rng = np.random.default_rng(3)
    truth = (rng.random((200, 6)) < [0.5, 0.3, 0.1, 0.05, 0.02, 0.0]).astype(np.int8)
    truth[0, 4] = 1
    return np.clip(0.4 * truth + 0.6 * rng.random(truth.shape), 0, 1), truth


def test_average_precision_is_scikit_learns_and_skips_what_is_unknown(answers):
    probabilities, truth = answers
    expected = [average_precision_score(truth[:, c], probabilities[:, c]) for c in range(5)]
    np.testing.assert_allclose(average_precisions(probabilities, truth)[:5], expected)
    assert np.isnan(average_precisions(probabilities, truth)[5])
    masked = truth.copy()
    masked[50:, 0] = -1
    assert average_precisions(probabilities, masked)[0] == pytest.approx(
        average_precision_score(truth[:50, 0], probabilities[:50, 0])
    )
    assert mean_average_precision(probabilities, truth) == pytest.approx(np.mean(expected))
    # by hand: positives at ranks 1 and 3 of the known ones
    by_hand = mean_average_precision(np.array([[0.9], [0.8], [0.7], [0.95]]), np.array([[1], [0], [1], [-1]]))
    assert by_hand == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert np.isnan(mean_average_precision(np.zeros((2, 1)), np.array([[0], [-1]])))


def test_thresholds_are_the_best_of_all_that_could_be_chosen(answers):
    probabilities, truth = answers
    thresholds = best_thresholds(probabilities, truth)
    for column in range(5):
        score = probabilities[:, column]
        every = max(f1_score(truth[:, column], score >= t) for t in np.unique(score))
        assert f1_score(truth[:, column], score >= thresholds[column]) == pytest.approx(every)
    assert np.isinf(thresholds[5])


def test_a_threshold_does_not_part_equal_scores():
    """Of four equal scores one is right: the best that a threshold can do is to take all four, not the right one."""
    probabilities, truth = np.full((4, 1), 0.5), np.array([[1], [0], [0], [0]])
    threshold = best_thresholds(probabilities, truth)
    assert thresholded_scores(probabilities, truth, threshold)["micro_f1"] == pytest.approx(2 * 1 / (4 + 1))


def test_f1_and_hamming_loss_are_scikit_learns(answers):
    probabilities, truth = answers
    thresholds = np.full(6, 0.5)
    chosen = probabilities >= 0.5
    found = thresholded_scores(probabilities, truth, thresholds)
    assert found["micro_f1"] == pytest.approx(f1_score(truth, chosen, average="micro"))
    assert found["macro_f1"] == pytest.approx(f1_score(truth[:, :5], chosen[:, :5], average="macro"))
    assert found["hamming_loss"] == pytest.approx(hamming_loss(truth, chosen))
    assert found["hamming_loss_of_nothing"] == pytest.approx(truth.mean())


def test_unknown_entries_count_neither_as_right_nor_as_wrong(answers):
    probabilities, truth = answers
    shortened = thresholded_scores(probabilities[:100], truth[:100], np.full(6, 0.5))
    masked = truth.copy()
    masked[100:] = -1
    assert thresholded_scores(probabilities, masked, np.full(6, 0.5)) == pytest.approx(shortened)


def test_top_k_recall_in_its_three_readings():
    """Two images, five attributes: fabric (a b c), part (d e). Counted by hand at k = 1:
    image 1 is a and d; best fabric is b (miss), best part is d (hit), best of all is b (miss).
    image 2 is c; best fabric is c (hit), best of all is e (miss)."""
    probabilities = np.array([[0.5, 0.9, 0.1, 0.8, 0.2], [0.1, 0.2, 0.6, 0.3, 0.7]])
    truth = np.array([[1, 0, 0, 1, 0], [0, 0, 1, 0, 0]])
    found = top_k_recall(probabilities, truth, ("fabric",) * 3 + ("part",) * 2, ks=(1,)).set_index("scope")
    assert found["recall"].to_dict() == pytest.approx({"fabric": 1 / 2, "part": 1, "pooled": 2 / 3, "all": 0})
    assert found["labels"].to_dict() == {"fabric": 2, "part": 1, "pooled": 3, "all": 3}


def test_top_k_recall_agrees_with_a_plain_loop(answers):
    probabilities, truth = answers
    truth[np.random.default_rng(4).random(truth.shape) < 0.2] = -1
    found = top_k_recall(probabilities, truth, ks=(2, 3)).set_index("k")["recall"]
    for k in (2, 3):
        hits = 0
        for score, true in zip(probabilities, truth, strict=True):
            known = np.flatnonzero(true >= 0)
            hits += (true[known[np.argsort(-score[known])[:k]]] == 1).sum()
        assert found[k] == pytest.approx(hits / (truth == 1).sum())


def test_a_constant_answer_has_a_lift_of_one(answers):
    _, truth = answers
    table = attribute_table(np.tile(truth.mean(0), (len(truth), 1)), truth, list("abcdef"))
    np.testing.assert_allclose(table["lift"][:5], 1)
    assert table["n_test"].tolist() == truth.sum(0).tolist() and table["lift"][5:].isna().all()

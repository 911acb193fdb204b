"""Intervals against resampling in plain loops, scikit-learn and the normal approximation."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from fashionlib.metrics.attributes import mean_average_precision
from fashionlib.metrics.bootstrap import (
    percentile_interval,
    resampled_maps,
    resampled_means,
    resamples,
    without_bias,
)


@pytest.fixture
def answers():
    """Scores that tie, labels that nobody knows, a class that only some resamples have, and one without a positive."""
    rng = np.random.default_rng(3)
    truth = (rng.random((200, 5)) < [0.5, 0.3, 0.1, 0.05, 0.0]).astype(np.int8)
    probabilities = np.clip(0.4 * truth + 0.6 * rng.random(truth.shape), 0, 1).round(1)
    truth[20:60, 1] = -1
    truth[:, 3] = np.arange(200) == 7
    return probabilities, truth


def test_groups_are_drawn_whole_and_as_often_as_there_are():
    groups = np.array([4, 4, 9, 9, 9, 7])
    drawn = np.stack(list(resamples(groups, 500, seed=1)))
    assert drawn.shape == (500, 6) and (drawn[:, :1] == drawn[:, :2]).all() and (drawn[:, 2:3] == drawn[:, 2:5]).all()
    assert (drawn[:, [0, 2, 5]].sum(1) == 3).all()
    np.testing.assert_allclose(drawn.mean(0), 1, atol=0.15)
    np.testing.assert_array_equal(drawn[:9], list(resamples(groups, 9, seed=1)))
    assert not np.array_equal(drawn[:9], list(resamples(groups, 9, seed=2)))


def test_means_are_those_of_a_plain_resampling_and_nearly_normal():
    rng = np.random.default_rng(12)
    values = np.stack([rng.random(300) < 0.7, rng.exponential(size=300)], 1).astype(float)
    plain = np.array([values[rng.integers(0, 300, 300)].mean(0) for _ in range(4000)])
    draws = resampled_means(values, repeats=4000)
    np.testing.assert_allclose(*(np.percentile(d, [2.5, 97.5], axis=0) for d in (draws, plain)), atol=0.012)
    half = 1.96 * values.std(0) / np.sqrt(300)
    low, high = np.array([percentile_interval(column) for column in draws.T]).T
    np.testing.assert_allclose([low, high], [values.mean(0) - half, values.mean(0) + half], atol=0.02)
    np.testing.assert_array_equal(resampled_means(values[:, 0], repeats=4000), draws[:, 0])
    assert np.isnan(resampled_means(np.zeros(0), repeats=3)).all()


def test_rows_of_one_group_tell_as_much_as_one():
    """Four queries of an item that are all right or all wrong: the interval is twice as wide."""
    rng = np.random.default_rng(14)
    right = np.repeat(rng.random(400) < 0.5, 4).astype(float)
    together, alone = (resampled_means(right, groups, 4000) for groups in (np.repeat(np.arange(400), 4), None))
    assert together.std() / alone.std() == pytest.approx(2, rel=0.07)


@pytest.mark.parametrize("size", [1, 2])
def test_a_resampled_map_is_scikit_learns_of_weighted_images(answers, size):
    probabilities, truth = answers
    groups, expected = np.arange(200) // size, []
    for weight in resamples(groups, 12, seed=5):
        each = []
        for column in range(5):
            rows = np.flatnonzero((truth[:, column] >= 0) & (weight > 0))
            if (truth[rows, column] == 1).any():
                score = probabilities[rows, column]
                each.append(average_precision_score(truth[rows, column], score, sample_weight=weight[rows]))
        expected.append(np.mean(each))
    np.testing.assert_allclose(resampled_maps(probabilities, truth, groups, 12, seed=5), expected, rtol=1e-5)


def test_the_interval_holds_the_value_also_where_every_class_is_rare():
    rng = np.random.default_rng(0)
    truth = (rng.random((1000, 300)) < 0.006).astype(int)
    scores = rng.normal(size=truth.shape) + 2.5 * truth
    value, draws = mean_average_precision(scores, truth), resampled_maps(scores, truth, np.arange(1000), 200)
    assert percentile_interval(draws)[0] > value, "there is no bias here to be freed of"
    low, high = percentile_interval(without_bias(draws, value))
    assert low < value < high and without_bias(draws, value).mean() == pytest.approx(value)


def test_without_a_positive_there_is_no_map_and_no_interval():
    maps = resampled_maps(np.array([[0.5], [0.4]]), np.array([[1], [0]]), np.arange(2), 40)
    assert set(maps[np.isfinite(maps)]) == {1.0} and np.isnan(maps).any()
    assert percentile_interval(maps) == (1, 1)
    nothing = without_bias(resampled_maps(np.full((3, 2), 0.5), np.zeros((3, 2)), np.arange(3), 10), float("nan"))
    assert np.isnan(percentile_interval(nothing)).all()
    np.testing.assert_allclose(percentile_interval(np.arange(1001.0)), (25, 975))

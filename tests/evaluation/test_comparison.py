"""Configurations compared, against plain loops with draws of their own, formulas and numbers made by hand."""

import statistics
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fashionlib.evaluation.comparison import comparison_table, contrast, difference_table, holm
from fashionlib.evaluation.outcomes import Outcome
from fashionlib.metrics.attributes import mean_average_precision

N = 150


def right_or_wrong(right: np.ndarray, groups: np.ndarray | None = None) -> Outcome:
    right = np.asarray(right, float)
    groups = np.arange(len(right)) if groups is None else groups
    return Outcome({"accuracy": float(right.mean()), "macro_f1": 0.25}, {"accuracy": right}, groups)


def many_labels(seed: int, truth: np.ndarray, signal: float = 0.5) -> Outcome:
    noise = np.random.default_rng(seed).random(truth.shape)
    probabilities = (signal * truth + noise).astype(np.float32)
    return Outcome({"map": mean_average_precision(probabilities, truth)}, {}, np.arange(N), probabilities, truth)


@pytest.fixture
def truth():
    return (np.random.default_rng(1).random((N, 3)) < [0.4, 0.2, 0.1]).astype(np.int8)


@pytest.fixture
def outcomes(truth):
    """Two configurations of three seeds, hard and easy on the same images; the first has no words."""
    rng = np.random.default_rng(2)
    hard = rng.random(N)
    joint, single = [], []
    for seed in range(3):
        noise = rng.normal(0, 0.1, (2, N))
        single.append({"category": right_or_wrong(hard + noise[0] < 0.7)})
        joint.append({"category": right_or_wrong(hard + noise[1] < 0.8), "words": many_labels(seed, truth)})
    return {"single": single, "joint": joint}


def of(outcomes, configuration: str, task: str) -> list[Outcome]:
    return [run[task] for run in outcomes[configuration] if task in run]


def at(table: pd.DataFrame, configuration: str, task: str, metric: str) -> pd.Series:
    found = table[(table["configuration"] == configuration) & (table["task"] == task) & (table["metric"] == metric)]
    assert len(found) == 1
    return found.iloc[0]


def interval(row) -> np.ndarray:
    return np.array([row["ci_low"], row["ci_high"]])


# --- the table ------------------------------------------------------------------------------------


def test_a_row_is_the_mean_and_deviation_over_seeds_with_an_interval_over_images_and_seeds(outcomes):
    table = comparison_table(outcomes, repeats=4000)
    assert list(table) == "configuration task metric mean std ci_low ci_high n_test n_seeds".split()
    assert table[["configuration", "task", "metric"]].to_numpy().tolist() == [
        ["single", "category", "accuracy"],
        ["single", "category", "macro_f1"],
        ["joint", "category", "accuracy"],
        ["joint", "category", "macro_f1"],
        ["joint", "words", "map"],
    ]
    row = at(table, "joint", "category", "accuracy")
    reached = [run.metrics["accuracy"] for run in of(outcomes, "joint", "category")]
    assert row["mean"] == pytest.approx(statistics.mean(reached)) and row["std"] == pytest.approx(
        statistics.stdev(reached)
    )
    assert (row["n_test"], row["n_seeds"]) == (N, 3)
    rng, draws = np.random.default_rng(7), []
    values = np.stack([run.values["accuracy"] for run in of(outcomes, "joint", "category")])
    for _ in range(4000):  # two of three seeds, the same images for both
        draws.append(values[rng.integers(0, 3, 2)][:, rng.integers(0, N, N)].mean())
    np.testing.assert_allclose(interval(row), np.percentile(draws, [2.5, 97.5]), atol=0.008)
    assert at(table, "single", "category", "macro_f1")[["ci_low", "ci_high"]].isna().all()


def test_with_one_seed_the_interval_is_nearly_the_binomial_one():
    right = np.arange(900) % 4 > 0
    row = at(comparison_table({"single": [{"t": right_or_wrong(right)}]}, repeats=3000), "single", "t", "accuracy")
    half = 1.96 * np.sqrt(0.75 * 0.25 / 900)
    np.testing.assert_allclose(interval(row), [0.75 - half, 0.75 + half], atol=0.004)
    assert np.isnan(row["std"]) and row["n_seeds"] == 1


def test_queries_of_one_item_are_resampled_together():
    right = np.repeat(np.arange(100) % 2, 4)
    alone, together = (
        at(comparison_table({"c": [{"t": right_or_wrong(right, groups)}]}), "c", "t", "accuracy")
        for groups in (np.arange(400), np.repeat(np.arange(100), 4))
    )
    assert np.ptp(interval(together)) / np.ptp(interval(alone)) == pytest.approx(2, rel=0.1)  # the root of 4


# --- contrasts ------------------------------------------------------------------------------------


def test_a_contrast_is_that_of_a_plain_loop_over_images_and_seeds(outcomes):
    joint, single = of(outcomes, "joint", "category"), of(outcomes, "single", "category")[:2]
    found = contrast(joint, single, "accuracy", repeats=4000, seed=5)
    one, two = (np.stack([run.values["accuracy"] for run in runs]) for runs in (joint, single))
    rng, draws = np.random.default_rng(6), []
    for _ in range(4000):
        images = rng.integers(0, N, N)
        draws.append(one[rng.integers(0, 3, 2)][:, images].mean() - two[rng.integers(0, 2)][images].mean())
    assert found["difference"] == pytest.approx(one.mean() - two.mean())
    np.testing.assert_allclose(interval(found), np.percentile(draws, [2.5, 97.5]), atol=0.01)
    assert found["p"] == pytest.approx(2 * np.mean(np.array(draws) <= 0), abs=0.01)


def test_its_variance_is_that_of_independent_seeds_and_paired_images():
    """Values = image + seed + noise: what is common to an image cancels, each side's seeds add their variance / n."""
    rng = np.random.default_rng(3)
    n, seeds = 4000, 5
    image = rng.normal(0, 1, n)
    sides = [
        [
            Outcome({"x": 0.0}, {"x": image + rng.normal(0, 0.05) + rng.normal(0, 0.5, n)}, np.arange(n))
            for _ in range(seeds)
        ]
        for _ in range(2)
    ]
    sides = [[replace(o, metrics={"x": float(o.values["x"].mean())}) for o in side] for side in sides]
    found = contrast(*sides, "x", repeats=4000)
    between = sum(np.var([o.metrics["x"] for o in side], ddof=1) / seeds for side in sides)
    within = np.var(np.mean([a.values["x"] - b.values["x"] for a, b in zip(*sides, strict=True)], axis=0)) / n
    expected = 2 * 1.96 * np.sqrt(between + within)
    assert np.ptp(interval(found)) == pytest.approx(expected, rel=0.15)


@pytest.mark.parametrize("margin", [0.01, 0.05])
def test_with_a_margin_p_is_that_of_the_difference_shifted_by_it(margin):
    rng = np.random.default_rng(8)
    one, two = rng.normal(-0.02, 1, 2000), rng.normal(0, 1, 2000)
    sides = [[Outcome({"x": v.mean()}, {"x": v}, np.arange(2000))] for v in (one, two, two - margin)]
    found, expected = contrast(*sides[:2], "x", margin=margin), contrast(sides[0], sides[2], "x")
    assert found["p"] == pytest.approx(expected["p"]) and found["ci_low"] == contrast(*sides[:2], "x")["ci_low"]


def test_a_contrast_with_itself_is_nothing_even_but_for_rounding(truth):
    words = many_labels(0, truth)
    found = contrast([words], [replace(words, metrics={"map": words.metrics["map"] - 1e-17})], "map", repeats=40)
    assert found["p"] == 1 and abs(found["difference"]) < 1e-12 and np.ptp(interval(found)) < 1e-12


def test_a_contrast_of_map_is_paired_too(truth):
    one = many_labels(0, truth)
    noise = 0.1 * np.random.default_rng(9).random(truth.shape)
    two = replace(one, probabilities=one.probabilities + noise, metrics={"map": one.metrics["map"] + 0.01})
    found = contrast([two], [one], "map", repeats=100)
    assert found["difference"] == pytest.approx(0.01)
    each = comparison_table({"a": [{"w": one}], "b": [{"w": two}]}, repeats=100)
    apart = np.hypot(*(np.ptp(interval(row)) for _, row in each.iterrows()))  # what two independent samples would have
    assert 0 < np.ptp(interval(found)) < 0.5 * apart


def test_without_an_interval_there_is_no_p(outcomes):
    found = contrast(of(outcomes, "joint", "category"), of(outcomes, "single", "category"), "macro_f1", repeats=20)
    assert found["difference"] == 0 and np.isnan([found["ci_low"], found["ci_high"], found["p"]]).all()


@pytest.mark.parametrize(
    "p_values", [[0.01, 0.04, 0.03, 0.005], [0.2], [0.5, 0.5, 0.9], [0.001, 0.02, 0.02, 0.6, 0.03]]
)
def test_holm_rejects_what_stepping_down_rejects(p_values):
    adjusted = holm(p_values)
    for level in np.linspace(0.001, 0.999, 500):
        rejected, left = set(), sorted(range(len(p_values)), key=p_values.__getitem__)
        while left and p_values[left[0]] <= level / len(left):
            rejected.add(left.pop(0))
        assert {n for n, p in enumerate(adjusted) if p <= level} == rejected
    assert (adjusted <= 1).all()
    assert np.array_equal(holm([*p_values, np.nan]), [*adjusted, np.nan], equal_nan=True)  # which is no test


# --- differences ----------------------------------------------------------------------------------


def test_a_table_of_differences_holds_the_contrast_of_every_configuration(outcomes):
    outcomes["again"] = [*outcomes["joint"][:1], {"words": outcomes["joint"][1]["words"]}]
    table = difference_table(outcomes, {"category": "single", "words": "joint"}, repeats=50, seed=4)
    assert list(table) == "configuration against task metric difference ci_low ci_high p n_seeds".split()
    assert table[["configuration", "against", "task", "metric", "n_seeds"]].to_numpy().tolist() == [
        ["joint", "single", "category", "accuracy", 3],
        ["joint", "single", "category", "macro_f1", 3],
        ["again", "single", "category", "accuracy", 1],
        ["again", "single", "category", "macro_f1", 1],
        ["again", "joint", "words", "map", 2],
    ]
    expected = contrast(of(outcomes, "again", "words"), of(outcomes, "joint", "words"), "map", repeats=50, seed=4)
    assert at(table, "again", "words", "map")[list(expected)].to_dict() == expected


def test_other_test_images_are_refused_by_name(outcomes, truth):
    right = outcomes["single"][0]["category"].values["accuracy"]
    shifted, fewer = right_or_wrong(right, np.arange(N) + 1), right_or_wrong(right[1:])
    with pytest.raises(ValueError, match="joint against single, category: outcomes 4 and 1 have other test images"):
        difference_table({"single": outcomes["single"], "joint": [{"category": shifted}]}, {"category": "single"})
    with pytest.raises(ValueError, match="single, category: outcomes 3 and 1 .*149 and 150"):
        comparison_table({"single": [*outcomes["single"][:2], {"category": fewer}]})
    with pytest.raises(ValueError, match="outcomes 2 and 1 have other true labels"):
        contrast([many_labels(0, truth)], [many_labels(0, 1 - truth)], "map")
    with pytest.raises(ValueError, match="no outcome of 'double' in 'category'"):
        difference_table(outcomes, {"category": "double"})
    with pytest.raises(ValueError, match="no outcome of 'single' in 'words'"):
        difference_table(outcomes, {"words": "single"})

"""Configurations compared, against plain loops with the same draws, scikit-learn and numbers made by hand."""

import statistics
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, f1_score

from fashionlib.evaluation.comparison import comparison_table, difference_table, verdict
from fashionlib.evaluation.predict import Predictions, accuracy_table, predict
from fashionlib.tasks.labels import MISSING, UNSEEN
from fashionlib.evaluation.outcomes import (
    Outcome,
    attribute_outcome,
    label_outcome,
    outcomes_of,
    ranking_outcome,
    sampling_units,
)
from fashionlib.metrics.ranking import rank
from fashionlib.evaluation.retrieval import embed, query_and_gallery
from fashionlib.tasks import MultiLabel, SingleLabel

N = 150


def right_or_wrong(right: np.ndarray, groups: np.ndarray | None = None) -> Outcome:
    right = np.asarray(right, float)
    groups = np.arange(len(right)) if groups is None else groups
    return Outcome({"accuracy": float(right.mean()), "macro_f1": 0.25}, {"accuracy": right}, groups)


def many_labels(seed: int, truth: np.ndarray, signal: float = 0.5) -> Outcome:
    noise = np.random.default_rng(seed).random(truth.shape)
    probabilities = np.float32(signal) * truth.clip(0) + noise.astype(np.float32)
    predictions = Predictions(
        {"words": MultiLabel("words", classes=("a", "b", "c"))},
        np.arange(N),
        {"words": probabilities},
        {"words": truth},
    )
    return attribute_outcome(predictions, "words")


@pytest.fixture
def truth():
    rng = np.random.default_rng(1)
    truth = (rng.random((N, 3)) < [0.4, 0.2, 0.1]).astype(np.int8)
    truth[:10, 1] = MISSING
    return truth


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


def at(table: pd.DataFrame, configuration: str, task: str, metric: str) -> pd.Series:
    found = table[(table["configuration"] == configuration) & (table["task"] == task) & (table["metric"] == metric)]
    assert len(found) == 1
    return found.iloc[0]


# --- outcomes -------------------------------------------------------------------------------------


def test_a_label_outcome_counts_as_the_accuracy_table_does():
    rng = np.random.default_rng(0)
    probabilities, target = rng.dirichlet(np.ones(7), N).astype(np.float32), rng.integers(0, 7, N)
    target[:40] = probabilities[:40].argmax(1)
    target[40:45], target[45:48] = MISSING, UNSEEN
    task = SingleLabel("kind", classes=tuple("abcdefg"))
    predictions = Predictions({"kind": task}, np.arange(N) + 500, {"kind": probabilities}, {"kind": target})
    outcome, row = label_outcome(predictions, "kind"), accuracy_table(predictions, ks=(3, 5)).loc[0]
    names = ["accuracy", "macro_f1", "top3_accuracy", "top5_accuracy"]
    assert sorted(outcome.metrics) == names
    assert outcome.metrics == pytest.approx(row[names].to_dict())
    assert outcome.groups.tolist() == [500 + k for k in range(N) if not 40 <= k < 45]
    assert sorted(outcome.values) == ["accuracy", "top3_accuracy", "top5_accuracy"]
    for name, values in outcome.values.items():
        assert len(values) == N - 5 and values.mean() == pytest.approx(row[name])
    assert outcome.values["top5_accuracy"][40:43].tolist() == [0, 0, 0]  # a class never trained cannot be right
    with pytest.raises(ValueError, match="'colour' was not predicted; there are kind"):
        label_outcome(predictions, "colour")
    nothing = replace(predictions, targets={"kind": np.full(N, MISSING)})
    with pytest.raises(ValueError, match="none of the 150 images has a label 'kind'"):
        label_outcome(nothing, "kind")


def test_a_label_of_two_classes_is_always_among_the_best_three():
    task = SingleLabel("size", classes=("big", "small"))
    chosen = {"size": np.eye(2, dtype=np.float32)}
    outcome = label_outcome(Predictions({"size": task}, np.arange(2), chosen, {"size": np.zeros(2, int)}), "size")
    assert outcome.metrics == pytest.approx(
        {"accuracy": 0.5, "macro_f1": 1 / 3, "top3_accuracy": 1, "top5_accuracy": 1}
    )


def test_an_attribute_outcome_is_scikit_learns_over_images_that_somebody_looked_at(truth):
    truth[100:110] = MISSING
    outcome = many_labels(0, truth)
    known, score = outcome.truth, outcome.probabilities
    assert outcome.groups.tolist() == [*range(100), *range(110, N)] and outcome.values == {}
    columns = [(known[known[:, c] >= 0, c], score[known[:, c] >= 0, c]) for c in range(3)]
    expected = np.mean([average_precision_score(*column) for column in columns])
    assert outcome.metrics == {"map": pytest.approx(expected)}
    words = MultiLabel("words", classes=("a", "b", "c"))
    whole = Predictions({"words": words}, outcome.groups, {"words": score}, {"words": known})
    metrics = attribute_outcome(whole, "words", np.array([0.6, 0.7, 0.8])).metrics
    each = [f1_score(t, p >= cut) for (t, p), cut in zip(columns, (0.6, 0.7, 0.8), strict=True)]
    assert metrics["macro_f1"] == pytest.approx(np.mean(each)) and list(metrics) == ["map", "micro_f1", "macro_f1"]
    with pytest.raises(ValueError, match="none of the 150 images has a label of 'words'"):
        many_labels(0, np.full((N, 3), MISSING))
    with pytest.raises(ValueError, match="'attributes' was not predicted; there are words"):
        attribute_outcome(whole)


def test_a_ranking_outcome_has_a_value_for_each_query_and_its_item():
    rng = np.random.default_rng(4)
    items = np.repeat(np.arange(12), 3)
    points = np.eye(12)[items] + 0.6 * rng.normal(size=(36, 12))
    ranking = rank(points, points + 0.3 * rng.normal(size=points.shape), items, items)
    outcome, scores = ranking_outcome(ranking), ranking.scores()
    assert list(outcome.metrics) == list(outcome.values) == ["recall_at_1", "recall_at_10", "map_at_r", "mrr"]
    assert outcome.metrics == pytest.approx({name: scores[name] for name in outcome.metrics})
    assert all(values.shape == (36,) for values in outcome.values.values())
    assert outcome.groups.tolist() == ranking.items.tolist()


# --- the table ------------------------------------------------------------------------------------


def test_a_row_is_the_mean_and_deviation_over_seeds_with_an_interval_over_images(outcomes):
    table = comparison_table(outcomes, repeats=300, seed=7)
    assert list(table) == "configuration task metric mean std ci_low ci_high n_seeds".split()
    assert table[["configuration", "task", "metric"]].to_numpy().tolist() == [
        ["single", "category", "accuracy"],
        ["single", "category", "macro_f1"],
        ["joint", "category", "accuracy"],
        ["joint", "category", "macro_f1"],
        ["joint", "words", "map"],
    ]
    row = at(table, "joint", "category", "accuracy")
    reached = [run["category"].metrics["accuracy"] for run in outcomes["joint"]]
    assert row["mean"] == pytest.approx(statistics.mean(reached))
    assert row["std"] == pytest.approx(statistics.stdev(reached)) and row["n_seeds"] == 3
    rng, draws = np.random.default_rng(7), []
    for _ in range(300):  # the same images for each seed, then the mean of all
        images = rng.integers(0, N, N)
        draws.append(np.mean([run["category"].values["accuracy"][images].mean() for run in outcomes["joint"]]))
    np.testing.assert_allclose(row[["ci_low", "ci_high"]].astype(float), np.percentile(draws, [2.5, 97.5]))
    assert at(table, "single", "category", "macro_f1")[["ci_low", "ci_high"]].isna().all()


def test_the_interval_of_an_accuracy_is_nearly_the_binomial_one():
    right = np.arange(900) % 4 > 0
    table = comparison_table({"single": [{"category": right_or_wrong(right)}]}, repeats=3000)
    row = at(table, "single", "category", "accuracy")
    half = 1.96 * np.sqrt(0.75 * 0.25 / 900)
    np.testing.assert_allclose(row[["ci_low", "ci_high"]].astype(float), [0.75 - half, 0.75 + half], atol=0.004)
    assert np.isnan(row["std"]) and row["n_seeds"] == 1


def test_queries_of_one_item_are_resampled_together():
    right = np.repeat(np.arange(100) % 2, 4)
    alone, together = (
        at(comparison_table({"c": [{"t": right_or_wrong(right, groups)}]}), "c", "t", "accuracy")
        for groups in (np.arange(400), np.repeat(np.arange(100), 4))
    )
    ratio = (together["ci_high"] - together["ci_low"]) / (alone["ci_high"] - alone["ci_low"])
    assert ratio == pytest.approx(2, rel=0.1)  # the root of 4


@pytest.mark.parametrize("size", [1, 2])
def test_the_interval_of_map_is_that_of_weighted_images_in_every_seed(truth, size):
    groups = np.arange(N) // size
    runs = [replace(many_labels(seed, truth), groups=groups) for seed in range(2)]
    row = at(comparison_table({"c": [{"words": run} for run in runs]}, repeats=20, seed=3), "c", "words", "map")
    n, draws = N // size, []
    for drawn in np.random.default_rng(3).multinomial(n, np.full(n, 1 / n), 20):
        maps = []
        for run in runs:
            for column in range(3):
                known = run.truth[:, column] >= 0
                said, true = run.probabilities[known, column], run.truth[known, column]
                maps.append(average_precision_score(true, said, sample_weight=drawn[groups][known]))
        draws.append(np.mean(maps))
    value = np.mean([run.metrics["map"] for run in runs])
    expected = np.percentile(draws, [2.5, 97.5]) - np.mean(draws) + value
    np.testing.assert_allclose(row[["ci_low", "ci_high"]].astype(float), expected, rtol=1e-5)


def test_map_is_resampled_two_hundred_times_at_most(outcomes):
    often, enough = (at(comparison_table(outcomes, repeats=r), "joint", "words", "map") for r in (500, 200))
    assert often["ci_low"] == enough["ci_low"] and often["ci_high"] == enough["ci_high"]


# --- differences ----------------------------------------------------------------------------------


def test_a_difference_is_paired(outcomes):
    table = difference_table(outcomes, {"category": "single"}, repeats=400, seed=5)
    assert list(table) == "configuration against task metric difference ci_low ci_high n_seeds".split()
    assert len(table) == 1  # macro_f1 is no mean, and nothing is compared in words
    row = at(table, "joint", "category", "accuracy")
    one, two = ([run["category"].values["accuracy"] for run in outcomes[name]] for name in ("joint", "single"))
    assert row["difference"] == pytest.approx(np.mean(one) - np.mean(two))
    assert (row["against"], row["n_seeds"]) == ("single", 3)
    rng, draws = np.random.default_rng(5), []
    for _ in range(400):
        images = rng.integers(0, N, N)
        draws.append(np.mean([a[images].mean() - b[images].mean() for a, b in zip(one, two, strict=True)]))
    np.testing.assert_allclose(row[["ci_low", "ci_high"]].astype(float), np.percentile(draws, [2.5, 97.5]), atol=1e-12)
    each = comparison_table(outcomes, repeats=400)
    widths = [x["ci_high"] - x["ci_low"] for x in (at(each, name, "category", "accuracy") for name in outcomes)]
    assert row["ci_high"] - row["ci_low"] < 0.8 * np.hypot(*widths)  # what two independent samples would have


def test_a_paired_difference_of_map_is_narrower_than_two_intervals(truth):
    one = many_labels(0, truth)
    two = replace(one, probabilities=one.probabilities + 0.1 * np.random.default_rng(9).random(truth.shape))
    two = replace(two, metrics={"map": one.metrics["map"] + 0.01})
    outcomes = {"a": [{"words": one}], "b": [{"words": two}]}
    row = at(difference_table(outcomes, {"words": "a"}, repeats=100), "b", "words", "map")
    assert row["difference"] == pytest.approx(0.01)
    each = comparison_table(outcomes, repeats=100)
    widths = [x["ci_high"] - x["ci_low"] for x in (at(each, name, "words", "map") for name in outcomes)]
    assert 0 < row["ci_high"] - row["ci_low"] < 0.5 * np.hypot(*widths)


def test_a_configuration_differs_by_nothing_from_itself(outcomes):
    twice = {**outcomes, "again": outcomes["joint"]}
    table = difference_table(twice, {"category": "joint", "words": "joint"}, repeats=50)
    assert table[["configuration", "task"]].to_numpy().tolist() == [
        ["single", "category"],
        ["again", "category"],
        ["again", "words"],
    ]
    again = table[table["configuration"] == "again"]
    assert (again[["difference", "ci_low", "ci_high"]] == 0).all(axis=None)


def test_seeds_may_differ_in_number(outcomes):
    outcomes["joint"] = [*outcomes["joint"][:1], {"words": outcomes["joint"][1]["words"]}]
    row = at(difference_table(outcomes, {"category": "single"}, repeats=20), "joint", "category", "accuracy")
    assert row["n_seeds"] == 1
    first = outcomes["joint"][0]["category"].metrics["accuracy"]
    expected = first - np.mean([run["category"].metrics["accuracy"] for run in outcomes["single"]])
    assert row["difference"] == pytest.approx(expected)
    table = comparison_table(outcomes, repeats=20)
    assert at(table, "joint", "words", "map")["n_seeds"] == 2
    assert at(table, "joint", "category", "accuracy")["n_seeds"] == 1


def test_other_test_images_are_refused_by_name(outcomes, truth):
    right = outcomes["single"][0]["category"].values["accuracy"]
    shifted, fewer = right_or_wrong(right, np.arange(N) + 1), right_or_wrong(right[1:])
    with pytest.raises(ValueError, match="joint, category: it has other test images .from place 0 on. than single"):
        difference_table({"single": outcomes["single"], "joint": [{"category": shifted}]}, {"category": "single"})
    with pytest.raises(ValueError, match="joint, category: it has another number of test images .149 and 150."):
        difference_table({"single": outcomes["single"], "joint": [{"category": fewer}]}, {"category": "single"})
    with pytest.raises(ValueError, match="single, category: run 3 has other test images"):
        comparison_table({"single": [*outcomes["single"][:2], {"category": shifted}]})
    other = replace(outcomes["joint"][0]["words"], truth=1 - truth.clip(0))
    with pytest.raises(ValueError, match="joint, words: run 2 has other true labels"):
        comparison_table({"joint": [outcomes["joint"][0], {"words": other}]})
    with pytest.raises(ValueError, match="joint, words: run 2 has other metrics"):
        thresholded = replace(outcomes["joint"][0]["words"], metrics={"map": 0.5, "micro_f1": 0.5})
        comparison_table({"joint": [outcomes["joint"][0], {"words": thresholded}]})


def test_what_is_compared_against_must_be_there(outcomes):
    with pytest.raises(ValueError, match="no configuration 'double'; there are single, joint"):
        difference_table(outcomes, {"category": "double"})
    with pytest.raises(ValueError, match="single, words: there is no outcome"):
        difference_table(outcomes, {"words": "single"})
    alone = difference_table(outcomes, {"words": "joint"}, repeats=5)
    with pytest.raises(ValueError, match="no difference of 'map' in 'words'; it has none"):
        verdict(alone, {"words": "map"})


# --- verdicts -------------------------------------------------------------------------------------


def test_a_verdict_is_on_which_side_of_zero_the_interval_lies():
    rows = [
        ("joint", "single", "category", "accuracy", 0.02, 0.01, 0.03, 3),
        ("staged", "single", "category", "accuracy", -0.02, -0.03, -0.01, 3),
        ("joint", "alone", "words", "map", 0.02, -0.01, 0.03, 3),
        ("staged", "alone", "words", "map", 0.0, 0.0, 0.0, 3),
        ("touching", "alone", "words", "map", 0.1, 1e-17, 0.2, 3),
        ("joint", "single", "category", "top3_accuracy", 0.0, -0.1, 0.1, 3),
    ]
    table = pd.DataFrame(rows, columns="configuration against task metric difference ci_low ci_high n_seeds".split())
    found = verdict(table, {"category": "accuracy", "words": "map"})
    assert found["verdict"].tolist() == ["above", "below", "within", "within", "within"]
    assert found["configuration"].tolist() == ["joint", "staged", "joint", "staged", "touching"]
    assert {"task", "metric", "difference", "ci_low", "ci_high"} < set(found)
    assert len(verdict(table, {"category": "accuracy"})) == 2
    with pytest.raises(ValueError, match="no difference of 'macro_f1' in 'category'; it has accuracy, top3_accuracy"):
        verdict(table, {"category": "macro_f1"})
    with pytest.raises(ValueError, match="joint, words: map has no interval"):
        verdict(table.assign(ci_low=np.nan), {"words": "map"})


def test_a_finished_run_is_measured_on_every_task_in_its_catalogue(trained, tmp_path):
    model, data = trained
    shop = data.only("item")
    labels = data.only("gender", "taxonomy", "words")
    found = outcomes_of(model, [labels, shop], tmp_path)
    assert list(found) == ["gender", "master", "sub", "article", "words", "item"]
    seen = predict(model, data, "test", mirror=True)
    accuracy = accuracy_table(seen).set_index("task")["accuracy"]
    assert found["article"].metrics["accuracy"] == pytest.approx(accuracy["article"])
    assert found["words"].metrics["map"] == pytest.approx(seen.metrics()["words"]["map"])
    query, gallery = query_and_gallery(data.catalogue)
    items = data.catalogue.table["item"]
    ranking = rank(embed(model, data, query), embed(model, data, gallery), items[query], items[gallery])
    assert found["item"].metrics["map_at_r"] == pytest.approx(ranking.scores()["map_at_r"])
    whole = items.iloc[seen.rows]
    of_label = found["article"].groups
    assert len(set(of_label)) == len(of_label) - whole.dropna().duplicated().sum() < len(of_label)
    without = data.with_split(data.catalogue.table["split"].replace("val", "test"))
    (tmp_path / "without").mkdir()
    assert "macro_f1" not in outcomes_of(model, [without.only("words")], tmp_path / "without")["words"].metrics


def test_images_of_an_item_are_drawn_together_and_others_alone():
    table = pd.DataFrame({"item": ["a", None, "b", "a", None, "a"]})
    units = sampling_units(table)
    assert len(set(units[[0, 3, 5]])) == 1 and len(set(units)) == 4
    assert sampling_units(table.drop(columns="item")).tolist() == list(range(6))

"""What was reached on the test images, against scikit-learn and the prediction it is made from."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, top_k_accuracy_score

from fashionlib.evaluation.outcomes import exact_match, outcomes, outcomes_of, ranking_outcome
from fashionlib.evaluation.predict import Predictions, predict
from fashionlib.evaluation.retrieval import embed
from fashionlib.metrics.attributes import best_thresholds, thresholded_scores
from fashionlib.metrics.ranking import rank
from fashionlib.tasks import MultiLabel, Similarity, SingleLabel
from fashionlib.tasks.labels import MISSING, UNSEEN
from tiny import tiny_data, tiny_model, tiny_table

N = 150


def of_one(task, activations, targets, groups=None) -> Predictions:
    return Predictions(
        {task.name: task}, np.arange(len(targets)), {task.name: activations}, {task.name: targets}, groups
    )


def test_of_a_label_they_are_scikit_learns_over_images_that_have_it():
    rng = np.random.default_rng(0)
    probabilities, target = rng.dirichlet(np.ones(7), N).astype(np.float32), rng.integers(0, 7, N)
    target[:40] = probabilities[:40].argmax(1)
    target[40:45] = MISSING
    groups = np.arange(N) // 2
    known, said, true = target >= 0, probabilities[target >= 0], target[target >= 0]
    outcome = outcomes(of_one(SingleLabel("kind", classes=tuple("abcdefg")), probabilities, target, groups))["kind"]
    assert outcome.metrics == pytest.approx(
        {
            "accuracy": accuracy_score(true, said.argmax(1)),
            "top3_accuracy": top_k_accuracy_score(true, said, k=3, labels=range(7)),
            "top5_accuracy": top_k_accuracy_score(true, said, k=5, labels=range(7)),
            "macro_f1": f1_score(true, said.argmax(1), average="macro"),
        }
    )
    np.testing.assert_array_equal(outcome.groups, groups[known])
    assert list(outcome.values) == ["accuracy", "top3_accuracy", "top5_accuracy"]
    assert all(values.mean() == pytest.approx(outcome.metrics[name]) for name, values in outcome.values.items())


def test_a_class_that_was_never_trained_counts_as_an_error_an_auxiliary_task_not_at_all():
    size, year = SingleLabel("size", classes=("big", "small")), SingleLabel("year", classes=("1",), evaluated=False)
    answers = {"size": np.eye(2, dtype=np.float32)[[0, 1, 0]], "year": np.ones((3, 1))}
    truth = {"size": np.array([0, 0, UNSEEN]), "year": np.zeros(3, int)}
    found = outcomes(Predictions({"size": size, "year": year}, np.arange(3), answers, truth))
    assert list(found) == ["size"] and found["size"].groups.tolist() == [0, 1, 2]
    assert found["size"].metrics == pytest.approx(
        {"accuracy": 1 / 3, "top3_accuracy": 2 / 3, "top5_accuracy": 2 / 3, "macro_f1": 1 / 6}
    )


def test_of_many_labels_they_are_scikit_learns_over_images_that_somebody_looked_at():
    rng = np.random.default_rng(1)
    truth = (rng.random((N, 3)) < [0.4, 0.2, 0.1]).astype(np.int8)
    truth[:10, 1] = truth[100:110] = MISSING
    words = MultiLabel("words", classes=("a", "b", "c"))
    predictions = of_one(words, (0.5 * truth.clip(0) + rng.random(truth.shape)).astype(np.float32), truth)
    outcome = outcomes(predictions, {"words": np.array([0.6, 0.7, 0.8])})["words"]
    known, score = outcome.truth, outcome.probabilities
    assert outcome.groups.tolist() == [*range(100), *range(110, N)] and outcome.values == {}
    columns = [(known[known[:, c] >= 0, c], score[known[:, c] >= 0, c]) for c in range(3)]
    each = [f1_score(t, p >= cut) for (t, p), cut in zip(columns, (0.6, 0.7, 0.8), strict=True)]
    assert list(outcome.metrics) == ["map", "micro_f1", "macro_f1"]
    assert outcome.metrics["map"] == pytest.approx(np.mean([average_precision_score(*column) for column in columns]))
    assert outcome.metrics["macro_f1"] == pytest.approx(np.mean(each))
    assert list(outcomes(predictions)["words"].metrics) == ["map"]
    nobody = outcomes(replace(predictions, targets={"words": np.full_like(truth, MISSING)}))["words"]
    assert np.isnan(nobody.metrics["map"]) and len(nobody.groups) == 0


def test_an_exact_match_has_all_labels_right_that_are_all_known():
    fruit, size = SingleLabel("fruit", classes=("apple", "fig", "plum")), SingleLabel("size", classes=("big", "small"))
    answers = {"fruit": np.eye(3)[[0, 2, 0, 1, 0, 0]], "size": np.eye(2)[[0, 1, 1, 0, 1, 0]]}
    truth = {"fruit": np.array([0, 2, 0, 0, MISSING, UNSEEN]), "size": np.array([0, 0, 1, 0, 1, 0])}
    groups = np.array([9, 9, 8, 7, 6, 5])
    found = exact_match(
        Predictions({"fruit": fruit, "size": size}, np.arange(6), answers, truth, groups), ("fruit", "size")
    )
    assert found.values["exact_match"].tolist() == [1, 0, 1, 0, 0] and found.metrics == {"exact_match": 2 / 5}
    assert found.groups.tolist() == [9, 9, 8, 7, 5]


def test_of_a_ranking_there_is_a_value_for_each_query_and_its_item():
    rng = np.random.default_rng(4)
    items = np.repeat(np.arange(12), 3)
    points = np.eye(12)[items] + 0.6 * rng.normal(size=(36, 12))
    ranking = rank(points, points + 0.3 * rng.normal(size=points.shape), items, items, ks=(1, 10))
    outcome, scores = ranking_outcome(ranking), ranking.scores()
    assert list(outcome.metrics) == list(outcome.values) == ["recall_at_1", "recall_at_10", "map_at_r", "mrr"]
    assert outcome.metrics == pytest.approx({name: scores[name] for name in outcome.metrics})
    assert outcome.groups.tolist() == ranking.items.tolist()


def test_a_finished_run_is_measured_on_every_task_in_its_catalogue(trained, tmp_path):
    model, data = trained
    found = outcomes_of(model, [data.only("gender", "taxonomy", "words"), data.only("item")], tmp_path)
    assert set(found) == {"gender", "master", "sub", "article", "words", "item"}
    seen = predict(model, data, "test", mirror=True).metrics()
    for name, metric in {"article": "accuracy", "gender": "macro_f1", "words": "map"}.items():
        assert found[name].metrics[metric] == pytest.approx(seen[name][metric])
    rows = data.catalogue.rows("test")
    items, vectors = data.catalogue.table["item"][rows], embed(model, data, rows)
    ranking = rank(vectors, vectors, items, items, alone=True)
    assert found["item"].metrics["map_at_r"] == pytest.approx(ranking.scores()["map_at_r"])
    assert len(set(found["article"].groups)) == len(found["article"].groups) / 2  # images of one item go together
    val, test = (predict(model, data, split, mirror=True) for split in ("val", "test"))
    thresholds = best_thresholds(val.activations["words"], val.targets["words"])
    expected = thresholded_scores(test.activations["words"], test.targets["words"], thresholds)
    for f1 in ("micro_f1", "macro_f1"):
        assert found["words"].metrics[f1] == pytest.approx(expected[f1])
    (tmp_path / "without").mkdir()
    unvalidated = data.with_split(data.catalogue.table["split"].replace("val", "test")).only("words")
    assert "macro_f1" not in outcomes_of(model, [unvalidated], tmp_path / "without")["words"].metrics
    with pytest.raises(ValueError, match="gender: in several catalogues"):
        outcomes_of(model, [data.only("gender")] * 2, tmp_path)


def test_a_dataset_s_own_queries_are_ranked_against_its_gallery(trained, tmp_path):
    model, data = trained
    split = data.catalogue.table["split"].tolist()[:40] + ["query", "gallery"] * 4
    data = data.with_split(split).only("item")
    sides = [data.catalogue.rows(name) for name in ("query", "gallery")]
    items = [data.catalogue.table["item"][rows] for rows in sides]
    expected = rank(*(embed(model, data, rows) for rows in sides), *items, ks=(1, 10, 30))
    found = outcomes_of(model, [data], tmp_path)["item"]
    assert found.metrics == pytest.approx(ranking_outcome(expected).metrics)


def test_a_ranking_is_of_the_column_of_its_task_whatever_its_name(tmp_path):
    table = tiny_table().assign(style=lambda t: [f"s{k % 4}" for k in range(len(t))])
    table.loc[table["split"] == "val", "words"] = None
    data = tiny_data(table, (Similarity("style", dimension=16), MultiLabel("words")))
    found = outcomes_of(model := tiny_model(data), [data], tmp_path)
    rows = data.catalogue.rows("test")
    styles, vectors = table["style"].to_numpy()[rows], embed(model, data, rows, task="style")
    ranking = rank(vectors, vectors, styles, styles, ks=(1, 10, 30), alone=True)
    assert found["style"].metrics == pytest.approx(ranking_outcome(ranking).metrics)
    assert set(found["words"].metrics) == {"map"}  # no threshold can be chosen where validation has no label

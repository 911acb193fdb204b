"""Temperatures against scikit-learn's log loss at those beside them; where they are kept, what they leave alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from fashionlib.evaluation.calibration import LIMITS, best_temperature, calibrate, temperatures
from fashionlib.evaluation.predict import Predictions, predict
from fashionlib.tasks import Hierarchy, MultiLabel, SingleLabel
from fashionlib.training.checkpoints import load_model
from fashionlib.training.fit import fit
from tiny import PATHS, SETTINGS, tiny_data, tiny_model, tiny_table


def is_least(loss, found, near=0.02):
    """Whether a loss is greater at temperatures near and far from the one that was found."""
    others = np.clip(found * np.array([0.1, 0.3, 0.7, 1 - near, 1 + near, 1.5, 3, 10]), *LIMITS)
    return all(loss(found) < loss(other) for other in others if abs(other / found - 1) > near / 2)


def softmax(logits):
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def sigmoid(logits):
    return 1 / (1 + np.exp(-logits))


def drawn(rng, probabilities):
    """A class for each row, as often as its probability says."""
    return (rng.random((len(probabilities), 1)) > probabilities.cumsum(1)).sum(1).clip(max=probabilities.shape[1] - 1)


@pytest.fixture
def overconfident():
    """Logits that are 2.5 times as large as they should be, and the classes."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, (3000, 5))
    return 2.5 * logits, drawn(rng, softmax(logits))


def test_one_label_has_the_temperature_of_the_least_log_loss(overconfident):
    logits, truth = overconfident
    target = truth.astype(np.int64)
    target[:100], target[100:120] = -1, -2  # nobody knows; a class that training never saw
    task = SingleLabel("kind", classes=tuple("abcde"), balance=1.0, class_weights=(5.0, 0.1, 1.0, 1.0, 1.0))
    found = best_temperature(task, [(softmax(logits).astype(np.float32), target)])
    assert is_least(lambda t: log_loss(truth[120:], softmax(logits[120:] / t), labels=range(5)), found)
    assert 2.3 < found < 2.7


def test_a_taxonomy_sums_over_the_levels_that_are_known():
    rng = np.random.default_rng(1)
    task = Hierarchy("taxonomy", levels=("master", "sub", "article"), paths=tuple(sorted(PATHS)))
    logits = rng.normal(0, 1.5, (400, 4))
    classes = task.path_classes()
    target = classes[drawn(rng, softmax(logits))]
    target[:50, 2] = -1
    target[50:80, 1:] = -1
    target[80:90, 2] = -2

    def loss(temperature):
        total = 0.0
        for p, row in zip(softmax(1.8 * logits / temperature), target, strict=True):
            for level in range(3):
                if row[level] >= 0:
                    total -= np.log(p[classes[:, level] == row[level]].sum())
        return total

    activations = softmax(1.8 * logits).astype(np.float32)
    for temperature in (0.5, 1.0, 3.0):
        assert task.negative_log_likelihood(activations, target, temperature) == pytest.approx(loss(temperature), 1e-5)
    assert is_least(loss, best_temperature(task, [(activations, target)]))


@pytest.mark.parametrize(
    "options", [{}, {"loss_function": "asymmetric"}, {"balance": 1.0, "positive_weights": (9.0, 9.0, 9.0)}]
)
def test_many_labels_have_that_of_the_plain_cross_entropy_whatever_trained_them(options):
    rng = np.random.default_rng(2)
    logits = rng.normal(-1, 1.5, (1500, 3))
    truth = (rng.random(logits.shape) < sigmoid(logits)).astype(np.int8)
    known = rng.random(logits.shape) < 0.7
    task = MultiLabel("words", classes=("a", "b", "c"), **options)
    found = best_temperature(task, [(sigmoid(2 * logits).astype(np.float32), np.where(known, truth, -1))])
    assert is_least(lambda t: log_loss(truth[known], sigmoid(2 * logits[known] / t)), found) and 1.8 < found < 2.2


def test_what_single_precision_rounds_to_certainty_is_not_taken_for_infinite():
    words = MultiLabel("words", classes=("a",))
    certain = np.array([[1.0], [0.0]], np.float32)
    wrong = words.negative_log_likelihood(certain, np.array([[0], [1]], np.int8))
    assert wrong == pytest.approx(np.log(2.0**25) + np.log(1e45), rel=0.01)
    kind = SingleLabel("kind", classes=("a", "b"))
    assert np.isfinite(kind.negative_log_likelihood(np.array([[1, 0]], np.float32), np.array([1])))
    everything_right = [(np.array([[0.9, 0.1], [0.2, 0.8]], np.float32), np.array([0, 1]))]
    assert best_temperature(kind, everything_right) == pytest.approx(LIMITS[0], rel=0.01)


def test_several_catalogues_and_blocks_count_as_one(overconfident, monkeypatch):
    logits, truth = overconfident
    task, p = SingleLabel("kind", classes=tuple("abcde")), softmax(logits)
    parts = [
        Predictions({"kind": task}, np.arange(n), {"kind": p[part]}, {"kind": truth[part]})
        for n, part in ((1000, slice(0, 1000)), (2000, slice(1000, 3000)))
    ]
    whole = Predictions({"kind": task}, np.arange(3000), {"kind": p}, {"kind": truth})
    expected = temperatures(whole)["kind"]
    monkeypatch.setattr("fashionlib.evaluation.calibration.BLOCK", 7)
    assert temperatures(*parts)["kind"] == pytest.approx(expected, rel=1e-3)


def test_a_task_of_which_nothing_is_known_has_no_temperature():
    kind = SingleLabel("kind", classes=("a", "b"))
    nothing = Predictions({"kind": kind}, np.arange(2), {"kind": np.full((2, 2), 0.5)}, {"kind": np.array([-1, -2])})
    assert temperatures(nothing) == {}


def test_a_model_is_calibrated_on_its_validation_images_and_predicts_as_before(trained):
    model, data = trained
    model.eval()
    before = predict(model, data, "test")
    assert model.temperatures == {}
    try:
        found = calibrate(model, data)
        assert found == model.temperatures and list(found) == ["gender", "taxonomy", "words"]
        rows = data.catalogue.rows("val")
        with torch.inference_mode():
            logits = model(data.fetch(rows))["gender"].double().numpy()
        truth = data.catalogue.table["gender"].iloc[rows]
        labels = ["Men", "Unisex", "Women"]
        assert is_least(lambda t: log_loss(truth, softmax(logits / t), labels=labels), found["gender"])
        after = predict(model, data, "test")
    finally:
        model.temperatures = {}
    for name, values in before.activations.items():
        np.testing.assert_array_equal(after.activations[name], values)


def test_fit_calibrates_and_a_found_run_has_the_same(tmp_path):
    data = tiny_data()
    settings = replace(SETTINGS, epochs=1)
    run = fit(tiny_model(data), data, settings, tmp_path / "run")
    assert list(run.model.temperatures) == ["gender", "taxonomy", "words"]
    assert load_model(tmp_path / "run" / "model.pth").temperatures == run.model.temperatures
    again = fit(tiny_model(data), data, settings, tmp_path / "run")
    assert again.found and again.model.temperatures == run.model.temperatures
    assert calibrate(again.model.compute_in(run.model.arithmetic), data) == run.model.temperatures


def test_without_validation_a_trained_model_loses_the_temperatures_it_came_with(tmp_path):
    data = tiny_data(tiny_table(train=16, val=0, test=0))
    model = tiny_model(data, "gender")
    model.temperatures = {"gender": 3.0}
    assert fit(model, data, replace(SETTINGS, epochs=1), tmp_path / "run").model.temperatures == {}

"""Predictions and embeddings of a small network against its plain forward pass, and what is found again."""

import numpy as np
import pytest
import torch

from fashionlib.data.catalogue import Catalogue
from fashionlib.data.images import ImageData
from fashionlib.evaluation import inference, predict
from fashionlib.evaluation.predict import sampling_units
from fashionlib.tasks import SingleLabel
from fashionlib.tasks.labels import MISSING, UNSEEN
from tiny import TASKS, tiny_data, tiny_model, tiny_table


def test_each_row_is_seen_once_in_order_whatever_the_batch(trained, monkeypatch):
    model, data = trained
    model.train()
    whole = predict.predict(model, data, "train")
    assert whole.rows.tolist() == list(range(32)) and model.training  # as before
    model.eval()
    with torch.no_grad():
        logits = model(data.fetch(whole.rows))
    monkeypatch.setattr(inference, "BATCH", 5)
    parts = predict.predict(model, data, "train")
    for name, task in model.tasks.items():
        assert len(whole.targets[name]) == 32 and whole.activations[name].dtype == np.float32
        for found in (whole, parts):
            np.testing.assert_allclose(found.activations[name], task.activate(logits[name]).numpy(), atol=1e-5)


def test_processes_divide_the_rows_and_all_get_the_whole(trained, monkeypatch):
    model, data = trained
    rows, shares = np.arange(3, 8), []
    alone = inference.infer(model, data, rows, lambda views: {"mean": views[0].float().mean((1, 2, 3))})["mean"]
    monkeypatch.setattr(inference, "process_count", lambda: 7)
    for number in range(7):  # two of them have no row
        monkeypatch.setattr(inference, "process_number", lambda number=number: number)
        monkeypatch.setattr(inference, "gather_object", lambda batches: shares.extend(batches) or shares)
        together = inference.infer(model, data, rows, lambda views: {"mean": views[0].float().mean((1, 2, 3))})
    np.testing.assert_allclose(together["mean"], alone)


def test_targets_and_groups_are_those_of_the_rows(trained):
    model, data = trained
    predictions = predict.predict(model, data, np.array([40, 5, 47, 46]))
    women = model.tasks["gender"].classes.index("Women")
    assert predictions.targets["gender"].tolist() == [women, MISSING, UNSEEN, women]
    assert len(set(predictions.groups)) == 3 and predictions.groups[2] == predictions.groups[3]


def test_images_of_an_item_are_drawn_together_and_others_alone():
    table = tiny_table().iloc[:6].assign(item=["a", None, "b", "a", "", "a"])  # "": as a table that was read has it
    units = sampling_units(table)
    assert len(set(units[[0, 3, 5]])) == 1 and len(set(units)) == 4
    assert len(set(sampling_units(table.drop(columns="item")))) == 6


def test_images_of_another_size_than_the_model_s_are_refused(trained):
    """Resized to the model's they would lose the shape that their cache has kept."""
    with pytest.raises(ValueError, match=r"images of \(30, 20\) pixels; the model is one of \(24, 32\)"):
        predict.predict(trained[0], tiny_data(size=(30, 20)), "test")


def test_mirror_averages_two_runs(trained):
    model, data = trained
    mirrored = ImageData(data.catalogue, np.ascontiguousarray(data.pixels[:, :, ::-1]), data.position)
    both = predict.predict(model, data, "test", mirror=True).activations
    plain, other = (predict.predict(model, d, "test").activations for d in (data, mirrored))
    for name in both:
        mean = (plain[name] + other[name]) / 2
        if name == "item":  # an embedding stays unit length, or rankings by dot product would be biased
            mean /= np.linalg.norm(mean, axis=1, keepdims=True)
        np.testing.assert_allclose(both[name], mean, atol=1e-5)
    assert not np.allclose(plain["gender"], other["gender"], atol=1e-4)


def test_auxiliary_tasks_are_left_out_unless_asked():
    data = tiny_data(tasks=(SingleLabel("gender"), SingleLabel("article", evaluated=False)))
    model = tiny_model(data)
    assert list(predict.predict(model, data, "val").activations) == ["gender"]
    assert list(predict.predict(model, data, "val", tasks=("article",)).activations) == ["article"]
    with pytest.raises(ValueError, match="'tiny' has none of the model's tasks gender, article; it has item"):
        predict.predict(model, tiny_data().only("item"), "val")
    with pytest.raises(ValueError, match="model and catalogue have no task 'article' in common; they have gender"):
        predict.predict(model, tiny_data(tasks=TASKS[:1]), "val", tasks="article")


def test_a_network_that_has_predicted_can_still_be_trained():
    data = tiny_data()
    model = tiny_model(data)
    predict.predict(model, data, "val")
    model.train().body.eval()  # as a frozen backbone's batch norms are
    predict.predict(model, data, "val")
    assert model.training and not any(module.training for module in model.body.modules())
    model.train()(data.fetch(np.arange(8)))["gender"].sum().backward()
    assert model.head("gender").weight.grad.abs().sum() > 0


def test_an_interrupted_prediction_leaves_the_model_as_it_was(monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    data = tiny_data()
    model = tiny_model(data).train()
    monkeypatch.setattr(ImageData, "fetch", stop)
    with pytest.raises(KeyboardInterrupt):
        predict.predict(model, data, "val")
    assert all(module.training for module in model.modules())


# --- kept beside a run ----------------------------------------------------------------------------


def test_predictions_are_those_of_predict_and_are_found_again(trained, tmp_path, monkeypatch):
    model, data = trained
    expected = predict.predict(model, data, "test", mirror=True)
    first = predict.predict_once(model, data, "test", tmp_path)
    monkeypatch.setattr(predict, "predict", lambda *_, **__: pytest.fail("predicted a second time"))
    again = predict.predict_once(model, data, "test", tmp_path)
    for found in (first, again):
        assert list(found.activations) == [task.name for task in TASKS]
        np.testing.assert_array_equal(found.groups, expected.groups)
        for name, values in expected.activations.items():
            np.testing.assert_array_equal(found.activations[name], values)
            np.testing.assert_array_equal(found.targets[name], expected.targets[name])


@pytest.mark.parametrize("name", ["file", "key", "allow_pickle", "task_0"])
def test_a_task_may_be_called_as_anything_in_the_kept_file(name, tmp_path):
    was = tiny_data()
    table = was.catalogue.table.rename(columns={"article": name})
    catalogue = Catalogue(table, [SingleLabel("gender"), SingleLabel(name)], was.catalogue.images, "renamed")
    data = ImageData(catalogue, was.pixels, was.position)
    model = tiny_model(data)
    expected = predict.predict(model, data, "test", mirror=True).activations
    for _ in range(2):
        found = predict.predict_once(model, data, "test", tmp_path).activations
        for task in ("gender", name):
            np.testing.assert_array_equal(found[task], expected[task])


def test_other_weights_sizes_or_labels_are_predicted_anew(tmp_path):
    data = tiny_data()
    model = tiny_model(data, "gender")
    before = predict.predict_once(model, data, "test", tmp_path).activations["gender"]
    with torch.no_grad():
        model.head("gender").bias.add_(torch.arange(3))
    after = predict.predict_once(model, data, "test", tmp_path).activations["gender"]
    assert not np.allclose(before, after)
    larger = tiny_model(data, "gender", input_size=(48, 64))
    larger.load_state_dict(model.state_dict())
    assert not np.allclose(predict.predict_once(larger, data, "test", tmp_path).activations["gender"], after)
    moved = data.with_split(np.roll(data.catalogue.table["split"].to_numpy(), 1))
    predict.predict_once(model, data, "test", tmp_path)
    found, expected = predict.predict_once(model, moved, "test", tmp_path), predict.predict(model, moved, "test", True)
    assert not np.array_equal(found.rows, data.catalogue.rows("test"))
    np.testing.assert_array_equal(found.activations["gender"], expected.activations["gender"])

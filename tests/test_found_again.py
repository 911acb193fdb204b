"""What a second run finds instead of computing it again - and when it must not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from fashionlib.data import duplicates
from fashionlib.evaluation import predict as evaluation
from fashionlib.data.catalogue import Catalogue
from fashionlib.data.images import ImageData
from fashionlib.models import MultitaskModel
from study.results import Results
from fashionlib.tasks import SingleLabel


@pytest.fixture
def model(garments):
    torch.manual_seed(0)
    tasks = garments.catalogue.select("taxonomy", "gender", "year")
    return MultitaskModel("resnet18", tasks, size=garments.size).eval()


def test_predictions_are_those_of_predict_and_are_found_again(garments, model, tmp_path, monkeypatch):
    expected = evaluation.predict(model, garments, "test", mirror=True)
    first = evaluation.predict_once(model, garments, "test", tmp_path)
    monkeypatch.setattr(evaluation, "predict", lambda *_, **__: pytest.fail("predicted a second time"))
    again = evaluation.predict_once(model, garments, "test", tmp_path)
    for found in (first, again):
        assert list(found.activations) == ["taxonomy", "gender"]
        for name, values in expected.activations.items():
            np.testing.assert_array_equal(found.activations[name], values)
            np.testing.assert_array_equal(found.targets[name], expected.targets[name])


@pytest.mark.parametrize("name", ["file", "key", "allow_pickle", "task_0"])
def test_a_task_may_be_called_as_anything_in_the_kept_file(garments, name, tmp_path):
    was = garments.catalogue
    tasks = [SingleLabel("gender"), SingleLabel(name)]
    catalogue = Catalogue(was.table.rename(columns={"season": name}), tasks, was.images, "renamed")
    data = ImageData(catalogue, garments.pixels, garments.position)
    model = MultitaskModel("resnet18", catalogue.select("gender", name), size=data.size).eval()
    expected = evaluation.predict(model, data, "test", mirror=True).activations
    for _ in range(2):
        found = evaluation.predict_once(model, data, "test", tmp_path).activations
        for task in ("gender", name):
            np.testing.assert_array_equal(found[task], expected[task])


def test_other_weights_or_labels_are_predicted_anew(garments, model, tmp_path):
    before = evaluation.predict_once(model, garments, "test", tmp_path).activations["gender"]
    with torch.no_grad():
        model.heads["gender"].bias.add_(torch.arange(len(model.heads["gender"].bias)))
    after = evaluation.predict_once(model, garments, "test", tmp_path).activations["gender"]
    assert not np.allclose(before, after)
    moved = garments.with_split(np.roll(garments.catalogue.table["split"].to_numpy(), 1))
    rows = evaluation.predict_once(model, moved, "test", tmp_path).rows
    assert not np.array_equal(rows, garments.catalogue.rows("test"))


def test_near_duplicates_are_kept_beside_the_pixels(garments, monkeypatch):
    for kept in garments.folder.glob("near_duplicates_*"):
        kept.unlink()
    first = duplicates.duplicate_pairs(garments, difference=20.0)
    monkeypatch.setattr(duplicates, "perceptual_hashes", lambda _: pytest.fail("hashed a second time"))
    np.testing.assert_array_equal(duplicates.duplicate_pairs(garments, difference=20.0), first)
    with pytest.raises(pytest.fail.Exception):
        duplicates.duplicate_pairs(garments, difference=21.0)


def test_a_measurement_is_made_once_for_a_key(tmp_path):
    results = Results(tmp_path, "smoke", "07")
    made = []

    def measure():
        made.append(len(made) + 1)
        return pd.DataFrame({"what": ["fit"], "speed": [1.5 * len(made)]})

    first = results.once("speed", {"cores": 2}, measure)
    pd.testing.assert_frame_equal(results.once("speed", {"cores": 2}, measure), first)
    assert results.once("speed", {"cores": 4}, measure)["speed"].item() == 3.0
    assert made == [1, 2]

"""The one call with which a notebook opens, on drawn garments."""

import dataclasses
import json

import pytest
import torch

from study import setup as module
from study.setup import setup, versions
from tiny import SETTINGS, same_weights

ONE_EPOCH = dataclasses.replace(SETTINGS, epochs=1, batch_size=16)


@pytest.fixture
def study(tmp_path):
    return setup("07", "smoke", "drawn", {"items": 24, "size": (24, 32)}, (24, 32), results_root=tmp_path)


def test_it_opens_results_and_data_and_says_so(study, tmp_path, capsys):
    versions()
    assert f"torch {torch.__version__}" in capsys.readouterr().out
    assert study.data.size == (24, 32) and study.catalogue is study.data.catalogue
    assert list((tmp_path / "smoke" / "runs" / "cache").glob("*-24x32-*"))
    assert study.device.type in ("cpu", "cuda", "mps")


def test_another_split_and_another_catalogue_are_opened_beside_the_first(study):
    grouped = study.open(split="grouped")
    assert grouped.catalogue.facts["split"] == "grouped" and grouped is study.open(split="grouped")
    other = study.open("drawn", {"items": 12, "seed": 1})
    assert other.size == (24, 32) and len(other.catalogue) < len(study.catalogue)


def test_items_may_come_from_a_catalogue_of_their_own_and_training_from_a_share_of_whole_items(study, tmp_path):
    assert study.items is study.data
    options = {"items": 24, "views": 2, "size": (24, 32)}
    chosen = {"item_source": ["drawn", {"items": 12, "seed": 1}], "training_share": 0.5}
    less = setup("06", "smoke", "drawn", options, (24, 32), "grouped", results_root=tmp_path, **chosen)
    assert list(less.items.catalogue.tasks) == ["item"] and len(less.items.catalogue) != len(less.catalogue)
    whole = setup("06", "smoke", "drawn", options, (24, 32), "grouped", results_root=tmp_path).catalogue.table
    table = less.catalogue.table
    parts, all_parts = (t["split"].value_counts() for t in (table, whole))
    assert parts["train"] == pytest.approx(all_parts["train"] / 2, abs=2) and parts["test"] == all_parts["test"]
    kept = table.loc[table["split"] == "train", "item"].value_counts()
    assert (kept == whole["item"].value_counts()[kept.index]).all()


def test_the_sample_and_own_data_are_looked_for_where_they_are(study, monkeypatch):
    asked = []
    monkeypatch.setattr(module, "open_catalogue", lambda name, root, **options: asked.append((name, root)) or 1 / 0)
    for source in ("sample", "my.csv"):
        with pytest.raises(ZeroDivisionError):
            study.open(source)
    assert asked == [("products", module.NOTEBOOKS / "sample"), ("my.csv", study.data_root)]


def test_the_same_seed_gives_the_same_model_on_the_tasks_that_are_asked_for(study):
    options = {"backbone": "resnet_tiny", "trunk": (16,)}
    changed = study.catalogue.task("gender", balance=0.5)
    one, two, three = (study.model([changed, "item"], seed, **options) for seed in (1, 1, 2))
    assert list(one.tasks) == ["gender", "item"] and one.tasks["gender"].balance == 0.5 and one.size == (24, 32)
    assert same_weights(one, two) and not same_weights(one, three)
    with pytest.raises(ValueError, match="no task 'colour'"):
        study.model(["colour"], **options)


def test_a_training_is_found_again_and_recorded_with_its_settings(study, tmp_path):
    first = study.train("one", ["gender"], ONE_EPOCH, backbone="resnet_tiny")
    again = study.train("one", ["gender"], ONE_EPOCH, backbone="resnet_tiny")
    assert not first.found and again.found and same_weights(first.model.cpu(), again.model.cpu())
    two = dataclasses.replace(ONE_EPOCH, seed=3)
    study.train("two", ["gender"], two, data=[study.data.only("gender")], backbone="resnet_tiny")
    study.results.table(first.history, "history")
    study.finish()
    manifest = json.loads((tmp_path / "smoke" / "manifest.json").read_text())
    assert set(manifest["notebooks"]["07"]["runs"]) == {"07_one", "07_two"}
    made = study.results.made_by("07_history")
    assert made["seeds"] == [0, 3] and made["settings"]["two"]["backbone"] == "resnet_tiny"
    assert made["settings"]["one"]["epochs"] == 1 and made["data"][0]["fingerprint"] == study.data.fingerprint()


def test_published_figures_are_those_of_the_dataset_task_and_metrics(study):
    assert study.published("category").empty  # nobody has drawn these garments before
    seven = study.published("articleType", dataset="fashion-product-images-small")
    assert list(seven) == ["method", "backbone", "metric", "value", "comparable", "source"] and len(seven) == 2
    recalls = study.published("category", ["top3_accuracy", "top5_accuracy"], dataset="deepfashion-attributes")
    assert set(recalls["metric"]) == {"top3_accuracy", "top5_accuracy"} and len(recalls) == 6
    study.catalogue.name = "products"
    assert study.published("category").equals(seven)


def test_random_numbers_outside_do_not_matter(study):
    torch.manual_seed(99)
    assert same_weights(*(study.model(["gender"], backbone="resnet_tiny") for _ in range(2)))

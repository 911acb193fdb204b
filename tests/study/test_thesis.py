"""The configurations see the same images, and what a catalogue lacks is left out."""

import io
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import f1_score

from fashionlib.evaluation.outcomes import outcomes_of
from fashionlib.evaluation.predict import predict
from fashionlib.training.batches import Batches, training_order
from study.setup import setup
from study.thesis import ALL, TASKS, Thesis, configurations

NETWORK, HEADS = {"backbone": "resnet_tiny"}, {"item": {"dimension": 8}}


def thesis(tmp_path, *tasks, items=24):
    study = setup("06", "smoke", "drawn", {"items": items, "size": (24, 32)}, (24, 32), "grouped", None, tmp_path)
    study.data = study.data.only(*tasks) if tasks else study.data
    return Thesis(study, NETWORK, HEADS, batch_size=12, learning_rate=0.01)


def test_all_are_as_long_and_see_the_same_batches(tmp_path):
    made = thesis(tmp_path)
    batches, streams = Batches(made.catalogues, made.heads), {}
    for name, stages in configurations(2, 1, 3).items():
        orders = [training_order(batches, made.settings, stage) for stage in stages for _ in range(stage.epochs)]
        streams[name] = np.concatenate([np.concatenate(list(o.batches(epoch))) for epoch, o in enumerate(orders)])
        assert {task for stage in stages for task in stage.tasks} == set(TASKS[name])
    assert list(streams) == list(TASKS) and len({stream.tobytes() for stream in streams.values()}) == 1
    shown = len(streams["joint"]) / 6
    assert shown == pytest.approx(len(batches.rows("train", made.heads)), abs=12)  # an epoch: as many as there are


def test_the_embedding_is_learned_on_a_frozen_backbone_and_the_cycles_are_those_of_the_stages():
    of = configurations(2, 1, 3)
    assert [(s.train, s.epochs) for s in of["staged"]] == [("all", 2), ("item", 1), ("all", 3)]
    assert [(s.train, s.epochs) for s in of["joint in cycles"]] == [("all", 2), ("all", 1), ("all", 3)]


@pytest.mark.parametrize(
    ("tasks", "sampler"), [(("category",), "shuffle"), (("item",), "items"), (("category", "item"), "mixed")]
)
def test_a_catalogue_without_some_of_the_tasks_has_networks_for_the_others(tmp_path, tasks, sampler):
    made = thesis(tmp_path, *tasks)
    assert [head.name for head in made.heads] == list(tasks) and made.settings.sampler == sampler


def test_a_task_alone_has_its_own_images_and_batches(tmp_path):
    whole = thesis(tmp_path)
    pairs = Thesis(whole.study, NETWORK, HEADS, "pairs alone ", ["item"], batch_size=12, learning_rate=0.01)
    assert [head.name for head in pairs.heads] == ["item"] and pairs.settings.sampler == "items"
    items = whole.study.catalogue.table["item"]
    order = training_order(Batches(pairs.catalogues, pairs.heads), pairs.settings)
    for rows in order.batches(0):  # each image with another of its item
        assert items.loc[rows].value_counts().min() >= 2


def test_a_run_is_found_by_every_notebook(tmp_path):
    first = thesis(tmp_path).train("single category", (1, 1, 1))
    again = setup("02", "smoke", "drawn", {"items": 24, "size": (24, 32)}, (24, 32), "grouped", None, tmp_path)
    second = Thesis(again, NETWORK, HEADS, batch_size=12, learning_rate=0.01).train("single category", (1, 1, 1))
    assert not first.found and second.found and first.run_dir == second.run_dir


def test_what_a_network_reached_is_kept_without_it(tmp_path):
    first = thesis(tmp_path).reached("joint", (1, 0, 1))
    shutil.rmtree(tmp_path / "smoke/runs")
    made = thesis(tmp_path)
    again = made.reached("joint", (1, 0, 1))
    assert not (tmp_path / "smoke/runs/06_joint_2_0").exists(), "it was trained again"
    assert again.facts == first.facts and again.history.equals(first.history) and set(again.outcomes) == set(ALL)
    fresh = outcomes_of(made.train("joint", (1, 0, 1)).model, made.catalogues, tmp_path / "smoke/runs/06_joint_2_0")
    for task, outcome in again.outcomes.items():
        assert outcome.metrics.items() >= fresh[task].metrics.items()
        assert (wanted := fresh[task].resampled(20))
        for metric, means in wanted.items():
            assert outcome.resampled(20)[metric] == pytest.approx(means, abs=2e-3)
    other = thesis(tmp_path).reached("joint", (1, 0, 1), seed=1)
    assert other.outcomes["category"].metrics != again.outcomes["category"].metrics


def test_an_outcome_of_other_settings_is_made_anew_and_the_old_one_set_aside(tmp_path, capsys):
    made, outcomes = thesis(tmp_path, "category"), tmp_path / "smoke/outcomes"
    made.reached("single category", (1,))
    first = (outcomes / "06_single_category_1_0.npz").read_bytes()
    made.settings = replace(made.settings, weight_decay=0.5)
    made.reached("single category", (1,))
    assert (
        "06_single_category_1_0.npz is of another run (settings.weight_decay: 0.02 -> 0.5)" in capsys.readouterr().out
    )
    (aside,) = outcomes.glob("06_single_category_1_0.*.npz")
    assert aside.read_bytes() == first and (outcomes / "06_single_category_1_0.npz").read_bytes() != first


def spoilt() -> bytes:
    """A file of which a piece inside is another: no stream of deflate."""
    np.savez_compressed(file := io.BytesIO(), about=np.array("a network " * 99))
    whole = file.getvalue()
    return whole[:60] + b"\xff" * 8 + whole[68:]


GIT_LFS = b"version https://git-lfs.github.com/spec/v1\n"


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", GIT_LFS, spoilt()])
def test_a_damaged_outcome_is_named(tmp_path, content):
    path = tmp_path / "smoke/outcomes/06_single_category_1_0.npz"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(ValueError, match="06_single_category_1_0.npz is damaged.*restore it with git, or remove it"):
        thesis(tmp_path, "category").reached("single category", (1,))


def test_where_and_when_an_outcome_was_made_stays_with_it(tmp_path, monkeypatch):
    monkeypatch.setattr("study.setup.git_state", lambda: {"commit": "c0ffee", "dirty": False})
    first = thesis(tmp_path, "category").reached("single category", (1,))
    assert first.facts["git"] == {"commit": "c0ffee", "dirty": False} and not first.facts["found"]
    shutil.rmtree(tmp_path / "smoke/runs")
    monkeypatch.setattr("study.setup.git_state", lambda: {"commit": "another", "dirty": True})
    made = thesis(tmp_path, "category")
    made.reached("single category", (1,))
    made.train("single category", (1,))  # for its pictures
    made.study.finish()
    entry = json.loads((tmp_path / "smoke/manifest.json").read_text())["notebooks"]["06"]
    assert entry["runs"]["06_single_category_1_0"]["git"]["commit"] == "c0ffee"


def test_rare_classes_do_not_count_in_the_macro_f1_of_ten(tmp_path):
    made = thesis(tmp_path, "category", items=200)
    found = made.reached("single category", (1,)).outcomes["category"].metrics
    run = made.train("single category", (1,))
    predicted, truth = predict(run.model, made.catalogues[0], "test", mirror=True).labels()["category"]
    often = np.flatnonzero(np.bincount(truth) >= 10)
    assert 0 < len(often) < len(set(truth))
    wanted = f1_score(truth, predicted.index, labels=often, average="macro", zero_division=0)
    assert found["macro_f1_of_10"] == pytest.approx(wanted) and found["macro_f1_of_10"] != found["macro_f1"]

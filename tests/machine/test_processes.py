"""Two processes train what one would: same metrics, every image once, an end and a resumption after a crash."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from filelock import FileLock

import shared_run
from fashionlib.machine.processes import is_main_process, process_count, process_number, run_once
from fashionlib.training.batches import Batches, training_order
from fashionlib.training.checkpoints import load_model

CHILD = Path(shared_run.__file__)


def launch(folder, *options):
    """Two processes on this machine, that talk through gloo."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", str(CHILD)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        [*command, str(folder), *options], env=environment, capture_output=True, text=True, timeout=400
    )


def seen(folder):
    return [json.loads((folder / f"seen_{rank}.json").read_text()) for rank in (0, 1)]


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """The usual training, by two processes, and more (see ``shared_run``)."""
    folder = tmp_path_factory.mktemp("two")
    done = launch(folder, "more")
    assert done.returncode == 0, done.stderr
    return folder, done


def test_without_batch_norm_two_processes_compute_what_one_does(shared, tmp_path):
    """A batch norm sees a process's own images; all else is computed on the whole batch."""
    alone, _ = shared_run.run(tmp_path / "one", shared_run.NO_BATCH_NORM)
    together = load_model(shared[0] / "by the image" / "model.pth")
    for (name, one), two in zip(alone.model.state_dict().items(), together.state_dict().values(), strict=True):
        torch.testing.assert_close(two, one, atol=2e-4, rtol=1e-3, msg=lambda text, name=name: f"{name}: {text}")
    history = pd.read_csv(shared[0] / "by the image" / "history.csv")
    numbers = [c for c in history if "/" in c and c != "images_per_second"]
    pd.testing.assert_frame_equal(history[numbers], alone.history[numbers], atol=1e-3, rtol=1e-3)


def test_each_image_is_predicted_once_and_all_processes_know_all(shared):
    one, two = seen(shared[0])
    assert one["images"] + two["images"] == 9 and one["images"] == 5
    assert one["rows"] == two["rows"] and len(set(one["rows"])) == 9
    assert one["early"] == two["early"] == 9
    assert one["equal"] and two["equal"] and one["weights"] == pytest.approx(two["weights"], rel=1e-9)


def test_the_main_process_alone_writes_and_prints(shared):
    folder, done = shared
    lines = [line for line in done.stdout.splitlines() if line.startswith("epoch")]
    assert len(lines) == 3 + 3  # of two trainings; the first was called twice, and found
    assert all(facts["found"] for facts in seen(folder))
    assert len(list((folder / "run" / "tensorboard").iterdir())) == 1


def test_a_killed_process_ends_the_job_and_the_next_launch_goes_on(shared, tmp_path):
    folder = tmp_path / "killed"
    done = launch(folder, "kill", "6")  # in the second epoch
    assert done.returncode != 0 and "Signal 9" in done.stderr
    assert not (folder / "run" / "model.pth").exists()
    again = launch(folder)
    assert again.returncode == 0, again.stderr
    assert "going on after epoch 1 of 3" in again.stdout
    history, whole = (pd.read_csv(f / "run" / "history.csv") for f in (folder, shared[0]))
    assert history["epoch"].tolist() == [1, 2, 3]
    assert history["score"].to_numpy() == pytest.approx(whole["score"].to_numpy(), abs=1e-4)


def test_a_folder_in_which_another_job_trains_ends_this_one(tmp_path):
    with FileLock(tmp_path / "run.lock"):
        done = launch(tmp_path)  # the second process does not wait for the first for ever
    assert done.returncode != 0 and "run: another process is training here" in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("processes", "stage", "message"),
    [
        ("3", 0, "16 images of a batch, 1 of them together, cannot be divided among 3 processes; .* 3 "),
        ("8", 1, "8 images of a batch, 2 of them together, cannot be divided among 8 processes; .* 16 "),
    ],
)
def test_a_batch_that_cannot_be_divided_is_refused(monkeypatch, processes, stage, message):
    made = shared_run.data()
    batches = Batches([made], made.catalogue.select("gender", "words", "item"))
    monkeypatch.setenv("WORLD_SIZE", processes)
    with pytest.raises(ValueError, match=message):
        training_order(batches, shared_run.SHARED, shared_run.STAGED[stage])


def test_without_a_launcher_there_is_one_process(monkeypatch):
    for name in ("WORLD_SIZE", "RANK"):
        monkeypatch.delenv(name, raising=False)
    assert (process_count(), process_number(), is_main_process()) == (1, 0, True)
    assert run_once(lambda: "done") == "done"
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", "3")
    assert (process_count(), process_number(), is_main_process()) == (4, 3, False)

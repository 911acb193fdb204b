"""A run that was killed, whose checkpoint was damaged, or whose disk was full ends as one that was never stopped."""

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

import killed_run
from fashionlib.training.checkpoints import CheckpointFolder, load_model
from fashionlib.training.tracking import Tracker
from tiny import same_weights

CHILD = Path(killed_run.__file__)
TIMES = ["train_seconds", "images_per_second"]


def child(*when_and_where):
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    command = [sys.executable, str(CHILD), *map(str, when_and_where)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    return [int(line.split()[-1]) for line in lines if line.startswith("ended with")], lines


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run that nobody stopped."""
    return killed_run.run(tmp_path_factory.mktemp("whole") / "run")


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """Folders of runs that a SIGKILL ended, by the moment of it."""
    moments = {
        "in the first epoch": "step 2",
        "in mid-epoch": f"step {2 * killed_run.STEPS + 3}",
        "at an epoch's end": "epoch 3",
        "at a stage's end": "epoch 1",
    }
    folder = tmp_path_factory.mktemp("killed")
    ends, _ = child(*(part for moment, when in moments.items() for part in (when, folder / moment)))
    assert ends == [-signal.SIGKILL] * 4
    assert not list(folder.glob("*/model.pth"))
    return folder


@pytest.fixture
def interrupted(killed, tmp_path):
    """A copy of the run that was killed after its third checkpoint."""
    return Path(shutil.copytree(killed / "at an epoch's end", tmp_path / "run"))


def test_killed_runs_go_on_in_a_new_process_and_end_bit_equal(whole, killed, tmp_path):
    folders = [Path(shutil.copytree(folder, tmp_path / folder.name)) for folder in sorted(killed.glob("*/"))]
    ends, lines = child(*(part for folder in folders for part in ("never", folder)))
    assert ends == [0] * 4
    goes_on = [line for line in lines if "going on" in line]
    assert goes_on == [
        "fit: going on after epoch 1 of 4",
        "fit: going on after epoch 3 of 4",
        "fit: going on after epoch 2 of 4 and 2 batches",
        "fit: going on after epoch 0 of 4 and 1 batches",
    ]
    for folder in folders:
        assert same_weights(load_model(folder / "model.pth"), whole.model), folder.name
        history = pd.read_csv(folder / "history.csv")
        pd.testing.assert_frame_equal(history.drop(columns=TIMES), whole.history.drop(columns=TIMES), check_exact=True)
        assert not list((folder / "checkpoints").iterdir())


def test_tensorboard_shows_each_epoch_once_after_a_crash(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    first = Tracker(tmp_path, 0)
    first.epoch({"loss/gender": 3.0}, 4)
    first.epoch({"loss/gender": 2.0}, 8)  # shown, but its checkpoint was never written
    again = Tracker(tmp_path, 4)
    again.epoch({"loss/gender": 2.5}, 8)
    again.writer.close()
    events = accumulator.EventAccumulator(str(tmp_path))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss/gender")] == [(4, 3.0), (8, 2.5)]


@pytest.mark.parametrize("damage", ["flip", "truncate"])
def test_a_damaged_newest_checkpoint_is_passed_over_and_the_end_is_bit_equal(whole, interrupted, capsys, damage):
    newest = sorted((interrupted / "checkpoints").glob("*.pth"))[-1]
    content = bytearray(newest.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 0x01
    newest.write_bytes(content if damage == "flip" else content[: len(content) // 2])
    with pytest.warns(UserWarning, match="damaged checkpoint passed over: .*step_000000012"):
        again = killed_run.run(interrupted)
    assert "going on after epoch 2 of 4 and 3 batches" in capsys.readouterr().out
    assert same_weights(again.model, whole.model)


def test_with_every_checkpoint_damaged_it_starts_again(whole, interrupted):
    for path in (interrupted / "checkpoints").glob("*.pth"):
        path.write_bytes(b"")
    with pytest.warns(UserWarning, match="damaged checkpoint passed over"):
        assert same_weights(killed_run.run(interrupted).model, whole.model)


def test_checkpoints_whose_record_is_gone_are_set_aside(whole, interrupted, capsys):
    """Nobody can say what they are of."""
    (interrupted / "settings.json").unlink()
    again = killed_run.run(interrupted)
    said = capsys.readouterr().out
    assert "its record is damaged or gone" in said and "going on after" not in said
    assert same_weights(again.model, whole.model)
    assert list(interrupted.parent.glob("run.unknown*/checkpoints/*.pth"))


def test_a_full_disk_names_the_file_and_keeps_the_last_checkpoint(whole, tmp_path, monkeypatch):
    sync = os.fsync

    def full(descriptor):
        if "step_000000008.pth" in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc to know which file is written")
    monkeypatch.setattr("fashionlib.machine.files.os.fsync", full)
    with pytest.raises(OSError, match=r"No space left.*unharmed.*step_000000008\.pth") as caught:
        killed_run.run(tmp_path / "run")
    assert caught.value.errno == errno.ENOSPC
    folder = CheckpointFolder(tmp_path / "run" / "checkpoints")
    assert next(folder.newest_first())[1]["step"] == 7
    monkeypatch.undo()
    assert same_weights(killed_run.run(tmp_path / "run").model, whole.model)


def test_a_file_where_the_run_folder_should_be(tmp_path):
    (tmp_path / "run").write_text("in the way")
    with pytest.raises(OSError, match="run"):
        killed_run.run(tmp_path / "run")
    assert (tmp_path / "run").read_text() == "in the way"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_results_folder(tmp_path):
    (tmp_path / "results").mkdir(mode=0o555)
    with pytest.raises(OSError, match=r"Permission denied.*results"):
        killed_run.run(tmp_path / "results" / "run")

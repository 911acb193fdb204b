"""Files are written whole or not at all, and foreign ones are refused."""

import errno
import os

import pytest
import torch
from pydantic.dataclasses import dataclass
from torch import nn

from fashionlib.machine.files import write_atomically, write_json
from fashionlib.models import MultitaskModel
from fashionlib.tasks import Task
from fashionlib.tasks.base import CHECKED
from fashionlib.training.checkpoints import CheckpointFolder, load_model, save_model
from tiny import same_weights, tiny_data, tiny_model


def fail_halfway(file):
    file.write(b"half of the new")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_write_that_fails_keeps_the_old_content_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "notes.txt"
    write_atomically(path, lambda file: file.write(b"old"))
    with pytest.raises(OSError, match=r"cannot write.*unharmed.*notes\.txt") as caught:
        write_atomically(path, fail_halfway)
    assert caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["notes.txt"]
    write_atomically(path, lambda file: file.write(b"new"))
    assert path.read_bytes() == b"new"


def test_readers_see_no_partial_file(tmp_path):
    path = tmp_path / "state.json"
    write_json(path, {"epoch": 1})
    seen = []

    def write(file):
        file.write(b"{")
        file.flush()
        seen.append(path.read_text())

    write_atomically(path, write)
    assert '"epoch": 1' in seen[0]


def test_a_disk_that_fills_while_torch_saves(tmp_path, monkeypatch):
    model = tiny_model(tiny_data(), "gender")
    path = save_model(model, tmp_path / "model.pth")
    real = torch.save

    def full_disk(content, file):
        class Full:
            def write(self, data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            def flush(self):
                pass

        real(content, Full())

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError, match=r"cannot write.*model\.pth|model\.pth.*cannot write"):
        save_model(tiny_model(tiny_data(), "gender", seed=1), path)
    assert same_weights(load_model(path), model) and os.listdir(tmp_path) == ["model.pth"]


def test_half_precision_rounds_the_weights_and_names_one_that_is_too_large(tmp_path):
    model = tiny_model(tiny_data(), "gender")
    loaded = load_model(save_model(model, tmp_path / "model.pth", half=True))
    assert same_weights(loaded, model.half().float()) and not loaded.training
    model.head("gender").bias.data[1] = 1e5
    with pytest.raises(ValueError, match="weights are not finite in half precision, the first in heads.gender.bias"):
        save_model(model, tmp_path / "model.pth", half=True)


@pytest.mark.parametrize("content", [{"weights": {"a": torch.zeros(1)}}, {"format": "another model 3"}, [1, 2]])
def test_load_model_refuses_a_checkpoint_of_something_else(tmp_path, content):
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"other\.pth (is not a model\.pth of this library|holds a list)"):
        load_model(tmp_path / "other.pth")


@pytest.mark.parametrize("damage", ["truncate", "empty", "text"])
def test_load_model_names_a_damaged_file(tmp_path, damage):
    path = save_model(tiny_model(tiny_data(), "gender"), tmp_path / "model.pth")
    whole = path.read_bytes()
    path.write_bytes({"truncate": whole[: len(whole) // 2], "empty": b"", "text": b"weights: 1, 2, 3"}[damage])
    with pytest.raises(ValueError, match=r"model: .*model\.pth is not a checkpoint"):
        load_model(path)


def test_load_model_names_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*model\.pth"):
        load_model(tmp_path / "model.pth")


def test_the_folder_keeps_the_newest_two(tmp_path):
    folder = CheckpointFolder(tmp_path / "checkpoints")
    assert not list(folder.newest_first())
    for step in (1, 2, 3, 10):
        folder.save(step, {"step": step})
    assert [path.name for path in folder.paths()] == ["step_000000003.pth", "step_000000010.pth"]
    assert [saved["step"] for _, saved in folder.newest_first()] == [10, 3]
    folder.clear()
    assert os.listdir(folder.folder) == []


def test_clear_removes_what_a_killed_process_left_half_written(tmp_path):
    folder = CheckpointFolder(tmp_path)
    folder.save(1, {"step": 1})
    (tmp_path / ".step_000002.pth.4711.part").write_bytes(b"half")
    folder.clear()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("damage", ["flip", "truncate"])
def test_a_damaged_newest_checkpoint_is_passed_over(tmp_path, damage):
    folder = CheckpointFolder(tmp_path)
    for step in (1, 2):
        folder.save(step, {"step": step, "weights": torch.full((1000,), float(step))})
    newest = folder.paths()[-1]
    content = bytearray(newest.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 0xFF  # inside the numbers: the archive itself still opens
        newest.write_bytes(content)
        assert torch.load(newest, weights_only=True)["step"] == 2, "torch notices it by now: this test proved nothing"
    else:
        newest.write_bytes(content[: len(content) // 3])
    with pytest.warns(UserWarning, match="damaged checkpoint passed over: .*step_000000002"):
        assert [saved["step"] for _, saved in folder.newest_first()] == [1]


@dataclass(frozen=True, config=CHECKED)
class Price(Task):
    """A task of a study's own."""

    evaluated: bool = True

    def head(self, features):
        return nn.Linear(features, 1)


def test_a_task_that_a_study_defines_is_loaded_again(tmp_path):
    model = MultitaskModel("resnet_tiny", [Price("price")], size=(24, 32))
    loaded = load_model(save_model(model, tmp_path / "model.pth"))
    assert loaded.tasks == {"price": Price("price")} and same_weights(loaded, model)

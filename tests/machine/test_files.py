"""A checkpoint that is damaged, packed or no checkpoint is refused, whatever bit of it is wrong."""

import zipfile

import pytest
import torch

from fashionlib.machine.files import read_checkpoint


@pytest.fixture
def checkpoint(tmp_path):
    torch.save({"weights": torch.arange(1000.0), "epoch": 3}, tmp_path / "model.pth")
    return tmp_path / "model.pth"


def test_one_flipped_bit_of_the_content_is_noticed(checkpoint):
    whole = checkpoint.read_bytes()
    with zipfile.ZipFile(checkpoint) as parts:
        part = next(p for p in parts.infolist() if p.file_size >= 4000)
    for place in range(part.header_offset + 200, part.header_offset + 4000, 190):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        checkpoint.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"model\.pth is not a checkpoint"):
            read_checkpoint(checkpoint)


def test_a_packed_file_is_refused_before_it_is_unpacked(checkpoint, tmp_path):
    with zipfile.ZipFile(checkpoint) as plain, zipfile.ZipFile(tmp_path / "packed.pth", "w") as packed:
        for part in plain.infolist():
            packed.writestr(part.filename, plain.read(part), zipfile.ZIP_DEFLATED)
    assert torch.load(tmp_path / "packed.pth", weights_only=True)["epoch"] == 3
    with pytest.raises(ValueError, match="packed, as torch.save never does"):
        read_checkpoint(tmp_path / "packed.pth")

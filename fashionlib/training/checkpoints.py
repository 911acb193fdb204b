"""Checkpoints: atomic, checked, and never unpickled beyond tensors and plain values."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import torch

from ..machine.files import file_sha256, read_checkpoint, write_atomically
from ..models import MultitaskModel, model_from_description

FORMAT = "fashionlib model 1"


def save_model(
    model: MultitaskModel, path: str | Path, settings: dict | None = None, facts: dict | None = None
) -> Path:
    """Write ``model.pth``: weights, label spaces, preprocessing, temperatures, settings, and facts about the data."""
    path = Path(path)
    content = {
        "format": FORMAT,
        "weights": {name: tensor.contiguous() for name, tensor in model.state_dict().items()},
        "model": json.dumps(model.description()),
        "settings": json.dumps(settings or {}),
        "facts": json.dumps(facts or {}),
        **({"temperatures": json.dumps(model.temperatures)} if model.temperatures else {}),
    }
    write_atomically(path, lambda file: torch.save(content, file))
    return path


def load_model(path: str | Path) -> MultitaskModel:
    """The model in ``model.pth``, in evaluation mode. Raises as ``read_checkpoint``, and ``ValueError`` if the file is
    a checkpoint of something else."""
    content = _read_model(path)
    model = model_from_description(json.loads(content["model"]))
    model.load_state_dict(content["weights"])
    model.temperatures = json.loads(content.get("temperatures", "{}"))  # older files have none
    return model.eval()


def save_temperatures(path: str | Path, temperatures: dict[str, float]) -> None:
    """Put temperatures into a ``model.pth``, such as one that was trained before there were any; all else stays.
    Raises as ``load_model``."""
    content = _read_model(path) | {"temperatures": json.dumps(temperatures)}
    write_atomically(Path(path), lambda file: torch.save(content, file))


def _read_model(path: str | Path) -> dict:
    content = read_checkpoint(path, "model")
    if content.get("format") != FORMAT:
        raise ValueError(f"model: {path} is not a model.pth of this library")
    return content


def model_id(path: str | Path) -> str:
    """What a ``model.pth`` is known by in indexes and bulk jobs: the first 16 hex digits of its SHA-256. Raises
    ``FileNotFoundError``."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"model: there is no file {path}")
    return file_sha256(path)[:16]


class CheckpointFolder:
    """The resumable states of a run, newest last: ``step_000012.pth`` with its SHA-256 beside it."""

    def __init__(self, folder: Path, keep: int = 2):
        self.folder, self.keep = folder, keep

    def paths(self) -> list[Path]:
        """The files there are, oldest first."""
        return sorted(self.folder.glob("step_*.pth"))

    def save(self, step: int, state: dict) -> None:
        """Write a state and remove all but the newest ``keep``."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"step_{step:06d}.pth"
        write_atomically(path, lambda file: torch.save(state, file))
        write_atomically(_sum_path(path), lambda file: file.write(file_sha256(path).encode()))
        for old in self.paths()[: -self.keep]:
            _sum_path(old).unlink(missing_ok=True)
            old.unlink(missing_ok=True)

    def load_newest(self) -> dict | None:
        """The newest state that is whole, or None. A damaged one is passed over with a warning."""
        for path in reversed(self.paths()):
            try:
                if _sum_path(path).read_text() != file_sha256(path):
                    raise ValueError(f"{path} does not match its checksum")
                return read_checkpoint(path)
            except (ValueError, FileNotFoundError) as error:
                warnings.warn(f"damaged checkpoint passed over: {error}", stacklevel=2)
        return None

    def clear(self) -> None:
        """Remove all of them: a finished run needs none."""
        for path in self.paths():
            _sum_path(path).unlink(missing_ok=True)
            path.unlink(missing_ok=True)
        for part in self.folder.glob(".*.part"):  # of a process that was killed while it wrote
            part.unlink()


def _sum_path(path: Path) -> Path:
    return path.with_suffix(".sha256")

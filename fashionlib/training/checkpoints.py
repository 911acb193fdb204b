"""Models and checkpoints: atomic, checked, and never unpickled beyond tensors and plain values."""

import json
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch

from ..machine.files import read_checkpoint, write_atomically
from ..models import LIMITS, MultitaskModel, model_from_description

FORMAT = "fashionlib model 2"


def save_model(
    model: MultitaskModel, path: str | Path, settings: dict | None = None, facts: dict | None = None, half: bool = False
) -> Path:
    """Write ``model.pth``: weights (``half``: float16), label spaces, preprocessing, temperatures, settings, facts.
    Raises ``ValueError`` for weights that are not finite, or too large for half precision."""
    path, weights = Path(path), {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    if half:
        weights = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    if bad := [name for name, tensor in weights.items() if not torch.isfinite(tensor).all()]:
        raise ValueError(f"{path}: weights are not finite{' in half precision' * half}, the first in {bad[0]}")
    plain = {"model": model.description(), "temperatures": model.temperatures}
    plain |= {"settings": settings or {}, "facts": facts or {}}
    content = {"format": FORMAT, "weights": weights} | {name: json.dumps(values) for name, values in plain.items()}
    write_atomically(path, lambda file: torch.save(content, file))
    return path


def load_model(path: str | Path) -> MultitaskModel:
    """The model in ``model.pth``, in evaluation mode; weights in half precision come as float32.

    Raises ``FileNotFoundError``, and ``ValueError`` naming the file if it is no whole ``model.pth`` of this library, or
    if its weights do not fit what it says of itself or are not finite."""
    content = read_checkpoint(path, "model")
    if content.get("format") != FORMAT:
        raise ValueError(f"model: {path} is not a model.pth of this library")
    try:
        model = model_from_description(json.loads(content["model"]))
        model.load_state_dict(content["weights"])
        model.temperatures = {str(task): float(t) for task, t in json.loads(content["temperatures"]).items()}
    except (LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise ValueError(f"model: {path} does not hold together ({str(error)[:300]})") from None
    if bad := [name for name, tensor in model.state_dict().items() if not torch.isfinite(tensor).all()]:
        raise ValueError(f"model: {path} has weights that are not finite, the first in {bad[0]}")
    if bad := {t: v for t, v in model.temperatures.items() if not LIMITS[0] <= v <= LIMITS[1]}:
        raise ValueError(f"model: {path} has temperatures {bad}; they lie between {LIMITS[0]} and {LIMITS[1]}")
    return model.eval()


class CheckpointFolder:
    """The resumable states of a run: ``step_000000012.pth``, one file each, whose own checksums tell whether it is
    whole, so that a kill at any moment leaves the one before."""

    def __init__(self, folder: Path, keep: int = 2):
        self.folder, self.keep = folder, keep

    def paths(self) -> list[Path]:
        """The files there are, oldest first."""
        return sorted(self.folder.glob("step_*.pth"))

    def save(self, step: int, state: dict) -> None:
        """Write a state and remove all but the newest ``keep``."""
        write_atomically(self.folder / f"step_{step:09d}.pth", lambda file: torch.save(state, file))
        for old in self.paths()[: -self.keep]:
            old.unlink(missing_ok=True)

    def newest_first(self) -> Iterator[tuple[Path, dict]]:
        """The states that are whole; a damaged one is passed over with a warning."""
        for path in reversed(self.paths()):
            try:
                yield path, read_checkpoint(path)
            except (ValueError, FileNotFoundError) as error:
                warnings.warn(f"damaged checkpoint passed over: {error}", stacklevel=2)

    def clear(self) -> None:
        """Remove all of them: a finished run needs none."""
        for path in (*self.paths(), *self.folder.glob(".*.part")):  # parts: of a process that was killed as it wrote
            path.unlink(missing_ok=True)

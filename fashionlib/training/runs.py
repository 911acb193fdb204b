"""A run's folder and its state: what makes training resumable."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import torch

from .checkpoints import CheckpointFolder
from ..machine.files import write_atomically, write_json
from ..machine.hardware import describe
from ..data.images import ImageData
from ..models import MultitaskModel
from .optimisation import LossWeights, WeightAverage
from ..machine.processes import is_main_process, process_count
from .settings import Settings, Stage


class State:
    """All that changes while training: tensors, and where the run stands."""

    NUMBERS = ("stage", "stage_epoch", "epoch", "step", "seconds", "best_score", "best_epoch", "history")

    def __init__(self, model: MultitaskModel, loss_weights: LossWeights, ema_decay: float):
        self.model, self.loss_weights = model, loss_weights
        self.average = WeightAverage(model, ema_decay)
        self.optimizer: torch.optim.Optimizer | None = None
        self.stage = self.stage_epoch = self.epoch = self.step = self.best_epoch = 0
        self.seconds, self.best_score = 0.0, float("-inf")
        self.best: dict[str, torch.Tensor] | None = None
        self.history: list[dict] = []
        self._averaged: MultitaskModel | None = None

    def averaged(self) -> MultitaskModel:
        """A model with the averaged weights: what is validated and saved."""
        if self._averaged is None:
            self._averaged = copy.deepcopy(self.model).requires_grad_(False)
        self._averaged.load_state_dict(self.average.weights(self.model))
        return self._averaged

    def end_epoch(self, row: dict, stage_epochs: int, patience: int, seconds: float) -> bool:
        """Take an epoch into the books. True if ``patience`` is used up, which ends the stage."""
        self.epoch += 1
        self.stage_epoch += 1
        self.seconds += seconds
        self.history.append(row)
        if row.get("score", float("nan")) > self.best_score:  # without validation there is no best
            self.best_score, self.best_epoch = row["score"], self.epoch
            if patience:
                self.best = copy.deepcopy(self.averaged().state_dict())
        waited = min(self.epoch - self.best_epoch, self.stage_epoch)  # a new stage gets its own patience
        stopping = bool(patience) and self.best_epoch > 0 and waited >= patience
        if stopping or self.stage_epoch == stage_epochs:
            self.stage, self.stage_epoch = self.stage + 1, 0
        return stopping

    def final_weights(self) -> dict[str, torch.Tensor]:
        """The best validated weights with early stopping, the last averaged ones without."""
        return self.best if self.best is not None else self.average.weights(self.model)

    def to_dict(self) -> dict:
        """All that a checkpoint holds."""
        return {
            **{name: getattr(self, name) for name in self.NUMBERS},
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "loss_weights": self.loss_weights.state_dict(),
            "average": self.average.tensors,
            "average_updates": self.average.updates,
            "best": self.best,
        }

    def load(self, saved: dict) -> None:
        """Go back to a checkpoint; the optimiser is loaded apart, when its stage has begun."""
        for name in self.NUMBERS:
            setattr(self, name, saved[name])
        self.model.load_state_dict(saved["model"])
        self.loss_weights.load_state_dict(saved["loss_weights"])
        for name, tensor in self.average.tensors.items():
            tensor.copy_(saved["average"][name])
        self.average.updates, self.best = saved["average_updates"], saved["best"]

    def load_optimizer(self, saved: dict | None) -> None:
        """Restore the optimiser if the checkpoint lies inside a stage; a new stage starts with a new one."""
        if saved is not None and saved["stage"] == self.stage and saved["stage_epoch"] > 0:
            self.optimizer.load_state_dict(saved["optimizer"])


class RunFolder:
    """The files of one run. Its fingerprint covers settings, stages, model, initial weights and data."""

    def __init__(
        self, path: Path, model: MultitaskModel, data: list[ImageData], settings: Settings, stages: list[Stage]
    ):
        self.path = path
        described = [_describe(part, model) for part in data]
        self.facts = described[0] if len(data) == 1 else {f["name"]: {"place": k, **f} for k, f in enumerate(described)}
        self.model_path, self.settings_path = path / "model.pth", path / "settings.json"
        self.checkpoints = CheckpointFolder(path / "checkpoints")
        self.record = {
            "settings": settings.to_dict(),
            "stages": [stage.to_dict() for stage in stages],
            "model": model.description(),
            "initial_weights": _weights_hash(model),
            "data": self.facts,
        }
        self.record = json.loads(json.dumps(self.record))
        known_by = {**self.record, "settings": settings.changed()}
        self.fingerprint = hashlib.sha256(json.dumps(known_by, sort_keys=True).encode()).hexdigest()

    def find_finished(self) -> bool:
        """True if this very run was finished here."""
        old = self._old()
        same = old is not None and old.get("fingerprint") == self.fingerprint
        return same and bool(old.get("finished")) and self.model_path.exists()

    def _old(self) -> dict | None:
        """The record of the run that is in the folder; empty if it is damaged, None if there is none."""
        try:
            return json.loads(self.settings_path.read_text())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValueError:
            return {}

    def _move_aside(self) -> None:
        """Keep a different run under another name, and print the reason."""
        old = self._old()
        if old is None or old.get("fingerprint") == self.fingerprint:
            return
        aside = self.path.with_name(f"{self.path.name}.{str(old.get('fingerprint', 'unknown'))[:8]}")
        for number in range(1, 1000):
            if not aside.exists():
                break
            aside = aside.with_name(f"{self.path.name}.{str(old.get('fingerprint', 'unknown'))[:8]}.{number}")
        changes = "; ".join(_differences(old, self.record)) or "its record is damaged"
        print(f"fit: {self.path.name} is another run ({changes}); it is kept as {aside.name}", flush=True)
        self.path.rename(aside)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone with the folder: the main process holds ``<folder>.lock`` beside it, also for those it trains with.

        Raises ``RuntimeError`` if another process trains there, and ``OSError`` if the lock cannot be made.
        """
        if not is_main_process():
            yield
            return
        from filelock import FileLock, Timeout

        lock = FileLock(f"{self.path}.lock")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(blocking=False)
        except Timeout:
            raise RuntimeError(
                f"{self.path}: another process is training in this folder; wait for it, or give another run_dir"
            ) from None
        except OSError as error:
            raise self._cannot_be_made(error) from error
        try:
            yield
        finally:
            lock.release()

    def _cannot_be_made(self, error: OSError) -> OSError:
        return OSError(error.errno, f"the run folder cannot be made ({error.strerror})", str(self.path))

    def start(self) -> None:
        """Begin the run, or go on with it; a different one that is in the folder is moved aside."""
        self._move_aside()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._cannot_be_made(error) from error
        self._write(finished=False, seconds=0.0)

    def finish(self, seconds: float) -> None:
        """Note that the run is complete, and how long it took."""
        self._write(finished=True, seconds=seconds)

    def _write(self, **progress) -> None:
        versions = {"torch": torch.__version__, **describe(), "processes": process_count()}
        write_json(
            self.settings_path, {"fingerprint": self.fingerprint, **progress, "machine": versions, **self.record}
        )

    def seconds(self) -> float:
        """How long a finished run took."""
        return float(json.loads(self.settings_path.read_text())["seconds"])

    def write_history(self, rows: list[dict]) -> None:
        """Write ``history.csv``, a row an epoch."""
        text = pd.DataFrame(rows).to_csv(index=False)
        write_atomically(self.path / "history.csv", lambda file: file.write(text.encode()))

    def history(self) -> pd.DataFrame:
        """Read ``history.csv``."""
        return pd.read_csv(self.path / "history.csv")


def _describe(data: ImageData, model: MultitaskModel) -> dict:
    """What a model was trained on: images in each split, and a fingerprint that covers the columns it learned."""
    catalogue = data.catalogue
    tasks = [task for name, task in model.tasks.items() if name in catalogue.tasks]
    columns = dict.fromkeys(column for task in tasks for column in task.columns)
    splits = {str(k): int(v) for k, v in catalogue.table["split"].value_counts().items()}
    fingerprint = data.fingerprint(list(columns))
    return {"name": catalogue.name, "fingerprint": fingerprint, "images": splits, **catalogue.facts}


def _weights_hash(model: MultitaskModel) -> str:
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _differences(old: dict, new: dict, prefix: str = "") -> list[str]:
    """What changed between two records, as ``settings.epochs: 3 -> 5``; at most five."""
    found = []
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            found += _differences(before, value, f"{prefix}{key}.")
        elif before != value:
            short = [str(v) if len(str(v)) < 40 else f"{str(v)[:12]}..." for v in (before, value)]
            found.append(f"{prefix}{key}: {short[0]} -> {short[1]}")
    return found[:5]

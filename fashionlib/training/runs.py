"""A run's folder and its state: what makes training resumable."""

import hashlib
import json
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import count
from pathlib import Path

import pandas as pd
import torch

from ..data.images import ImageData
from ..machine.files import write_atomically, write_json
from ..machine.hardware import Arithmetic, candidates, describe
from ..machine.processes import is_main_process, process_count
from ..models import MultitaskModel, weights_sha256
from .checkpoints import CheckpointFolder
from .optimisation import LossWeights, weight_average
from .settings import Settings, Stage


class State:
    """All that changes while training: tensors, where it stands (``batch``: done in the epoch, ``losses``: sums)."""

    PLAIN = ("stage", "stage_epoch", "epoch", "batch", "step", "seconds", "losses", "history")
    MODULES = ("model", "loss_weights", "average")

    def __init__(self, model: MultitaskModel, loss_weights: LossWeights, ema_decay: float):
        self.model, self.loss_weights, self.ema_decay = model, loss_weights, ema_decay
        self.average = weight_average(model, ema_decay)
        self.optimizer: torch.optim.Optimizer | None = None
        self.losses: dict[str, float] = {}
        self.stage = self.stage_epoch = self.epoch = self.batch = self.step = 0
        self.seconds, self.saved = 0.0, time.perf_counter()
        self.history: list[dict] = []
        self._saved_optimizer: dict = {}

    def averaged(self) -> MultitaskModel:
        """The model with the averaged weights (its own where there are none): what is validated and saved."""
        if not self.ema_decay or not self.average.n_averaged:
            self.average.module.load_state_dict(self.model.state_dict())
        return self.average.module

    def begin_stage(self, optimizer: torch.optim.Optimizer) -> None:
        """Take a stage's optimiser: in the state that a checkpoint within this stage had it, or with what was validated
        last, from which averaging begins anew."""
        self.optimizer = optimizer
        if self.stage_epoch or self.batch:
            optimizer.load_state_dict(self._saved_optimizer)
        elif self.stage > 0:
            self.model.load_state_dict(self.averaged().state_dict())
            self.average.n_averaged.zero_()

    def end_epoch(self, row: dict, stage_epochs: int) -> None:
        """Take an epoch into the books, the last one of a stage begins the next."""
        self.epoch += 1
        self.stage_epoch += 1
        self.batch, self.losses = 0, {}
        self.history.append(row)
        if self.stage_epoch == stage_epochs:
            self.stage, self.stage_epoch = self.stage + 1, 0

    def to_dict(self) -> dict:
        """All that a checkpoint holds."""
        states = {name: getattr(self, name).state_dict() for name in (*self.MODULES, "optimizer")}
        return {name: getattr(self, name) for name in self.PLAIN} | states

    def load_newest(self, checkpoints: CheckpointFolder) -> bool:
        """Go back to the newest checkpoint, if there is any; one of an older edition is passed over with a warning. The
        optimiser is loaded when its stage begins."""
        for path, saved in checkpoints.newest_first():
            if missing := {*self.PLAIN, *self.MODULES, "optimizer"} - set(saved):
                warnings.warn(f"checkpoint {path} passed over: it lacks {', '.join(sorted(missing))}", stacklevel=2)
                continue
            for name in self.PLAIN:
                setattr(self, name, saved[name])
            for name in self.MODULES:
                getattr(self, name).load_state_dict(saved[name])
            self._saved_optimizer = saved["optimizer"]
            return True
        return False


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
        record = {"settings": asdict(settings), "stages": [asdict(stage) for stage in stages]}
        record |= {"model": model.description(), "initial_weights": weights_sha256(model), "data": self.facts}
        self.record = json.loads(json.dumps(record))
        deciding = self.record | {"settings": self.record["settings"] | {"workers": 0, "checkpoint_minutes": 5.0}}
        self.fingerprint = hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()
        self.progress: dict = {"finished": False, "seconds": 0.0, "arithmetic": None}

    def find_finished(self) -> bool:
        """True if this very run was finished here."""
        old = self._old() or {}
        if old.get("fingerprint") == self.fingerprint:
            self.progress |= {name: old[name] for name in self.progress if name in old}
        return self.progress["finished"] and self.model_path.exists()

    def _old(self) -> dict | None:
        """The record of the run in the folder; empty if it is damaged or gone from its checkpoints, None if none is."""
        try:
            old = json.loads(self.settings_path.read_text())
            return old if isinstance(old, dict) else {}
        except (FileNotFoundError, NotADirectoryError):
            return {} if self.checkpoints.paths() else None
        except ValueError:
            return {}

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone with the folder: the main process holds ``<folder>.lock`` beside it, also for those it trains with.
        Raises ``RuntimeError`` if another process trains there."""
        from filelock import FileLock, Timeout

        if not is_main_process():
            yield
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self.path}.lock", blocking=False):
                yield
        except Timeout:
            raise RuntimeError(f"{self.path}: another process is training here; wait, or give another folder") from None

    def start(self) -> None:
        """Begin the run, or go on with it; a different one that is there is moved aside, and the reason printed."""
        old = self._old()
        if old is not None and old.get("fingerprint") != self.fingerprint:
            kept = f"{self.path.name}.{str(old.get('fingerprint', 'unknown'))[:8]}"
            names = (self.path.with_name(f"{kept}.{k}" if k else kept) for k in count())
            aside = next(name for name in names if not name.exists())
            changes = "; ".join(differences(old, self.record)) if old else "its record is damaged or gone"
            print(f"fit: {self.path.name} is another run ({changes}); it is kept as {aside.name}", flush=True)
            self.path.rename(aside)
        self.path.mkdir(parents=True, exist_ok=True)
        self.note(finished=False, seconds=0.0)

    def arithmetic(self, device: torch.device) -> Arithmetic | None:
        """What the run computes in, if that was chosen before and is one of what this machine may choose from."""
        among = candidates(device, *(self.record["settings"][key] for key in ("precision", "layout")))
        return next((one for one in among if asdict(one) == self.progress["arithmetic"]), None)

    def note(self, **progress) -> None:
        """Write ``settings.json`` with what has become of the run by now."""
        self.progress |= progress
        machine = {"torch": torch.__version__, **describe(), "processes": process_count()}
        facts = {"fingerprint": self.fingerprint, **self.progress, "machine": machine}
        write_json(self.settings_path, facts | self.record)

    def write_history(self, rows: list[dict]) -> None:
        """Write ``history.csv``, a row an epoch, from which a ``Run`` reads it."""
        write_atomically(self.path / "history.csv", lambda file: pd.DataFrame(rows).to_csv(file, index=False))


def _describe(data: ImageData, model: MultitaskModel) -> dict:
    """What a model was trained on: images in each split, and a fingerprint that covers the columns it learned."""
    catalogue = data.catalogue
    columns = dict.fromkeys(c for name, task in model.tasks.items() if name in catalogue.tasks for c in task.columns)
    described = {"name": catalogue.name, "fingerprint": data.fingerprint(list(columns))}
    return {**described, "images": catalogue.table["split"].value_counts().to_dict(), **catalogue.facts}


def differences(old: dict, new: dict) -> list[str]:
    """What changed between two records, as ``settings.epochs: 3 -> 5``; at most five."""
    old = {name: value for name, value in old.items() if name in new}  # a record on disk tells of its machine, too
    before, after = ((pd.json_normalize(values).to_dict("records") or [{}])[0] for values in (old, new))
    changed = [key for key in before | after if before.get(key) != after.get(key)]
    return [f"{key}: {str(before.get(key)):.40} -> {str(after.get(key)):.40}" for key in changed[:5]]

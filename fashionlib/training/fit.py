"""fit: the one loop."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from .batches import Batches, training_order
from ..evaluation.calibration import calibrate
from .checkpoints import load_model, save_model
from .checks import check
from .epochs import TrainingStep, train_epoch
from ..evaluation.predict import Predictions, predict
from ..machine.hardware import memory_format, resolve_precision
from ..data.images import ImageData
from ..models import MultitaskModel
from .optimisation import LossWeights, freeze, make_optimizer
from .samplers import Order
from ..machine.processes import Alone, run_once, same_everywhere, start_accelerator
from .runs import RunFolder, State
from .settings import Settings, Stage
from .tracking import Tracker

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass
class Run:
    """A finished training.

    ``model`` carries the averaged weights, ``history`` has a row an epoch, ``seconds`` counts training and validation
    of all processes that took part, ``found`` says that nothing was trained because it had been done before.
    """

    model: MultitaskModel
    history: pd.DataFrame
    run_dir: Path
    seconds: float
    found: bool


def fit(
    model: MultitaskModel,
    data: ImageData | Sequence[ImageData],
    settings: Settings,
    run_dir: str | Path,
    stages: Sequence[Stage] | None = None,
) -> Run:
    """Train a model on the training split of one or several catalogues, validate after each epoch, and leave in
    ``run_dir``: ``model.pth``, ``history.csv``, ``settings.json``, TensorBoard events, and checkpoints while it runs.

    After the last epoch the model is calibrated on the validation split (see ``calibration``); without one it is not.

    Images of several catalogues are mixed in every batch, and each counts for the tasks that its catalogue has and it
    has labels for. What a batch holds is the sampler's rule (see ``Settings.sampler``): ``"mixed"`` joins shuffled
    images with several images of each item.

    Called again with the same model, data and settings it loads the finished run, or goes on after the last whole
    epoch and ends bit-equal to a run that was never stopped (on one machine, with one number of threads). If anything
    differs, the old run is moved aside and the reason printed. A run is known by the weights it starts from, too: make
    the model anew, after ``torch.manual_seed``, before calling again. The model itself is trained, not a copy.

    Started by ``torchrun``, every process calls it and works on its share of each batch; batch norms see that share
    alone, and their statistics are those of the main process, which writes into a ``run_dir`` that all of them see.

    Triplets are sought within a share, too, so that the number of processes changes the result a little.

    Raises ``ValueError`` for a stage or loss weight that names no task, a task that no catalogue has, that has other
    classes in a second one or no label in training, and for images of another size than the model's;
    ``CatalogueError`` for an empty training split; ``FloatingPointError`` if a loss or a weight is no longer finite;
    ``RuntimeError`` if another process trains in ``run_dir``; ``OSError`` if it cannot be written - the last checkpoint
    stays good.
    """
    data = [data] if isinstance(data, ImageData) else list(data)
    stages = list(stages or [Stage("train", epochs=settings.epochs)])
    check(model, data, stages)
    run = RunFolder(Path(run_dir), model, data, settings, stages)
    accelerator = start_accelerator()
    device = accelerator.device
    same_everywhere(run.fingerprint, "model, settings or data")
    if run_once(run.find_finished):
        saved = load_model(run.model_path)
        model.load_state_dict(saved.state_dict())
        model.temperatures = saved.temperatures
        return Run(model.to(device).eval(), run.history(), run.path, run.seconds(), found=True)
    loss_weights = LossWeights(settings.loss_weights, tuple(model.tasks))
    batches = Batches(data, list(model.tasks.values()))
    orders = [training_order(batches, settings, stage) for stage in stages]
    with run.locked():
        run_once(run.start)
        dtype = resolve_precision(settings.precision, device)
        model.to(device, memory_format=memory_format(dtype, device))
        state = State(model, loss_weights.to(device), settings.ema_decay)
        if (saved := run.checkpoints.load_newest()) is not None:
            state.load(saved)
        same_everywhere(state.epoch, f"checkpoints in {run.path}: it must be a folder that all of them see")
        writes = accelerator.is_main_process
        if saved is not None and writes:
            print(f"fit: going on after epoch {state.epoch} of {_total(stages)}", flush=True)
        with closing(Tracker(run.path / "tensorboard", state.step)) if writes else nullcontext() as tracker:
            _train(state, saved, batches, stages, orders, settings, run, tracker, accelerator)

        model.load_state_dict(state.final_weights())
        model.requires_grad_(True).eval()
        model.temperatures = {}
        if validated := _with_validation(data):
            calibrate(model, validated, precision=settings.precision, shared=True)
        if writes:
            save_model(model, run.model_path, settings.to_dict(), run.facts)
            run.finish(state.seconds)
            run.checkpoints.clear()
        accelerator.wait_for_everyone()
    return Run(model, run.history(), run.path, state.seconds, found=False)


def _train(
    state: State,
    saved: dict | None,
    batches: Batches,
    stages: list[Stage],
    orders: list[Order],
    settings: Settings,
    run: RunFolder,
    tracker: Tracker | None,
    accelerator: Accelerator | Alone,
) -> None:
    """Every epoch that is left. ``saved`` is the checkpoint that the state comes from; the main process has a tracker,
    and writes."""
    model, validated, device = state.model, _with_validation(batches.parts), accelerator.device
    dtype = resolve_precision(settings.precision, device)
    for number, (stage, order) in enumerate(zip(stages, orders, strict=True)):
        if number < state.stage:
            continue
        if number > 0 and state.stage_epoch == 0:  # what was validated is what goes on
            model.load_state_dict(state.average.weights(model))
            state.average.restart(model)
        freeze(model, stage)
        state.optimizer = make_optimizer(
            [model, state.loss_weights], settings, stage.learning_rate or settings.learning_rate
        )
        state.load_optimizer(saved)
        step = accelerator.prepare(TrainingStep(model, state.loss_weights))
        while state.stage == number:
            started = time.perf_counter()
            row = {"epoch": state.epoch + 1, "stage": stage.name}
            row |= train_epoch(state, batches, order, stage, settings, device, dtype, step)
            _check_weights(model, state.step)
            row |= {f"weight/{task}": weight for task, weight in state.loss_weights.weights().items()}
            averaged = state.averaged()
            if validated:
                how = {"mirror": settings.mirror_test, "precision": settings.precision, "shared": True}
                row |= validation_row(*[predict(averaged, part, "val", **how) for part in validated])
            stopping = state.end_epoch(row, stage.epochs, settings.patience, time.perf_counter() - started)
            if tracker:
                print(epoch_line(row, _total(stages), state.seconds), flush=True)
                tracker.epoch(row, state.step)
                if validated and state.stage > number:
                    tracker.montage(averaged, validated[0], state.step)
                run.write_history(state.history)
                run.checkpoints.save(state.epoch, state.to_dict())
                if stopping:
                    print(f"fit: no better validation score for {settings.patience} epochs; stopping early", flush=True)


def _with_validation(data: Sequence[ImageData]) -> list[ImageData]:
    return [part for part in data if (part.catalogue.table["split"] == "val").any()]


def validation_row(*predictions: Predictions) -> dict[str, float]:
    """Every metric of every evaluated task, over one or several catalogues, as ``label/metric``; and ``score``: the
    mean of the first of each label (accuracy, mean average precision or recall at 1)."""
    metrics = {}
    for task in {name: task for part in predictions for name, task in part.tasks.items() if task.evaluated}.values():
        parts = [part for part in predictions if task.name in part.tasks]
        found, wanted = ([getattr(p, of)[task.name] for p in parts] for of in ("activations", "targets"))
        metrics |= task.metrics(np.concatenate(found), np.concatenate(wanted))
    row = {f"{label}/{name}": value for label, values in metrics.items() for name, value in values.items()}
    first = pd.Series([next(iter(values.values())) for values in metrics.values()], dtype=float)
    return {**row, "score": float(first.mean())}


def epoch_line(row: dict, epochs: int, seconds: float) -> str:
    """One line of a log."""
    loss = sum(value for name, value in row.items() if name.startswith("loss/"))
    parts = [f"epoch {row['epoch']:>2}/{epochs}", f"loss {loss:.3f}"]
    if "score" in row:
        parts.append(f"val {row['score']:.4f}")
        parts += [
            f"{k.split('/')[0]} {v:.3f}" for k, v in row.items() if k.endswith(("/accuracy", "/map", "/recall_at_1"))
        ]
    return "  ".join([*parts, f"{row['images_per_second']:.0f} img/s", f"{seconds / 60:.1f} min"])


def _check_weights(model: MultitaskModel, step: int) -> None:
    if not all(torch.isfinite(tensor).all() for tensor in model.state_dict().values()):
        raise FloatingPointError(
            f"step {step}: the weights are not finite; lower the learning rate (earlier checkpoints are good)"
        )


def _total(stages: list[Stage]) -> int:
    return sum(stage.epochs for stage in stages)

"""fit: the one loop."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from .augment import ShiftFlipErase, shrink, uniform_numbers
from .batches import Batches, Order, loader, training_order
from .checkpoints import CheckpointFolder, load_model, save_model
from .evaluation import Predictions, predict
from .hardware import autocast, memory_format, resolve_precision
from .images import ImageData
from .models import MultitaskModel
from .optimisation import LossWeights, freeze, learning_rate_at, make_optimizer
from .progress import progress
from .runs import RunFolder, State
from .settings import Settings, Stage
from .tracking import Tracker


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
    data: ImageData,
    settings: Settings,
    run_dir: str | Path,
    stages: Sequence[Stage] | None = None,
) -> Run:
    """Train a model on the training split of a catalogue, validate after each epoch, and leave in ``run_dir``:
    ``model.pth``, ``history.csv``, ``settings.json``, TensorBoard events, and checkpoints while it runs.

    Called again with the same model, data and settings it loads the finished run, or goes on after the last whole
    epoch and ends bit-equal to a run that was never stopped (on one machine, with one number of threads). If anything
    differs, the old run is moved aside and the reason printed. A run is known by the weights it starts from, too: make
    the model anew, after ``torch.manual_seed``, before calling again. The model itself is trained, not a copy.

    Raises ``ValueError`` for a stage or loss weight that names no task, and for images of another size than the
    model's; ``CatalogueError`` for an empty training split; ``FloatingPointError`` if a loss is no longer finite;
    ``OSError`` if ``run_dir`` cannot be written - the last checkpoint stays good.
    """
    stages = list(stages or [Stage("train", epochs=settings.epochs)])
    _check(model, data, stages)
    run = RunFolder(Path(run_dir), model, data, settings, stages)
    if run.find_finished():
        model.load_state_dict(load_model(run.model_path).state_dict())
        return Run(model.eval(), run.history(), run.path, run.seconds(), found=True)
    loss_weights = LossWeights(settings.loss_weights, tuple(model.tasks))
    run.start()

    from accelerate import Accelerator

    accelerator = Accelerator()
    if accelerator.num_processes > 1:
        raise RuntimeError("fit trains in one process; start it without torchrun or accelerate launch")
    device = accelerator.device
    dtype = resolve_precision(settings.precision, device)
    model.to(device, memory_format=memory_format(dtype, device))
    batches = Batches(data, list(model.tasks.values()))
    order = training_order(batches, settings)
    validates = bool((data.catalogue.table["split"] == "val").any())
    checkpoints = CheckpointFolder(run.path / "checkpoints")
    state = State(model, loss_weights.to(device), settings.ema_decay)
    if (saved := checkpoints.load_newest()) is not None:
        state.load(saved)
        print(f"fit: going on after epoch {state.epoch} of {_total(stages)}", flush=True)
    tracker = Tracker(run.path / "tensorboard", state.step)

    for number, stage in enumerate(stages):
        if number < state.stage:
            continue
        freeze(model, stage)
        state.optimizer = make_optimizer(
            [model, state.loss_weights], settings, stage.learning_rate or settings.learning_rate
        )
        state.load_optimizer(saved)
        while state.stage == number:
            started = time.perf_counter()
            row = {"epoch": state.epoch + 1, "stage": stage.name}
            row |= train_epoch(state, batches, order, stage, settings, device, dtype, accelerator.backward)
            averaged = state.averaged()
            if validates:
                row |= validation_row(predict(averaged, data, "val", mirror=settings.mirror_test))
            stopping = state.end_epoch(row, stage.epochs, settings.patience, time.perf_counter() - started)
            print(epoch_line(row, _total(stages), state.seconds), flush=True)
            tracker.epoch(row, state.step)
            if validates and state.stage > number:
                tracker.montage(averaged, data, state.step)
            run.write_history(state.history)
            checkpoints.save(state.epoch, state.to_dict())
            if stopping:
                print(f"fit: no better validation score for {settings.patience} epochs; stopping early", flush=True)

    model.load_state_dict(state.final_weights())
    model.requires_grad_(True).eval()
    tracker.close()
    save_model(model, run.model_path, settings.to_dict(), run.facts())
    run.finish(state.seconds)
    checkpoints.clear()
    return Run(model, run.history(), run.path, state.seconds, found=False)


def train_epoch(
    state: State,
    batches: Batches,
    order: Order,
    stage: Stage,
    settings: Settings,
    device: torch.device,
    dtype: torch.dtype | None,
    backward=Tensor.backward,
) -> dict[str, float]:
    """One pass over the training split. Returns the mean loss of each task, the last learning rate, and the speed.

    What is random depends on the seed, the epoch and the sample alone, so an epoch can be run again after a crash.
    """
    model, optimizer = state.model, state.optimizer
    augment = ShiftFlipErase(settings.shift, settings.flip, settings.erase)
    names = stage.tasks or tuple(model.tasks)
    peak, steps = stage.learning_rate or settings.learning_rate, stage.epochs * len(order)
    order.epoch = state.epoch
    torch.manual_seed(settings.seed * 1_000_003 + state.epoch)  # dropout
    freeze(model, stage)
    sums = dict.fromkeys(names, 0.0)
    seen = 0
    started = time.perf_counter()
    with progress(total=len(order), what=f"epoch {state.epoch + 1}", unit="step") as bar:
        for k, batch in enumerate(loader(batches, order, settings.workers, pin=device.type == "cuda")):
            noise = uniform_numbers(settings.seed, state.epoch, batch.rows.numpy(), augment.draws)
            batch = batch.to(device)
            rate = learning_rate_at(state.stage_epoch * len(order) + k, steps, settings, peak)
            for group in optimizer.param_groups:
                group["lr"] = rate * group.get("faster", 1)
            with autocast(device, dtype):
                images = augment(batch.images, torch.from_numpy(noise))
                if state.epoch < settings.small_epochs:
                    images = shrink(images, settings.small_scale)
                outputs = model(images)
            losses = model.losses(outputs, batch.targets, names, settings.label_smoothing)
            total = state.loss_weights(losses)
            _check_finite(total, losses, state.step)
            backward(total)
            optimizer.step()
            optimizer.zero_grad()
            state.step += 1
            state.average.update(model, state.step)
            for name in names:
                sums[name] += losses[name].detach()
            seen += len(batch.images)
            bar.update()
    seconds = time.perf_counter() - started
    return {
        "learning_rate": optimizer.param_groups[0]["lr"],
        **{f"loss/{name}": float(value) / len(order) for name, value in sums.items()},
        "train_seconds": seconds,
        "images_per_second": seen / seconds,
    }


def validation_row(predictions: Predictions) -> dict[str, float]:
    """Every metric of every evaluated task as ``label/metric``, and ``score``: the mean of the first of each label
    (accuracy, mean average precision or recall at 1)."""
    metrics = predictions.metrics()
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


def _check(model: MultitaskModel, data: ImageData, stages: list[Stage]) -> None:
    if data.size != tuple(model.size):
        raise ValueError(f"the data has images of {data.size} pixels (width, height), the model expects {model.size}")
    for stage in stages:
        for task in stage.tasks or ():
            if task not in model.tasks:
                raise ValueError(f"stage {stage.name!r} names task {task!r}; the model has {', '.join(model.tasks)}")
    missing = [c for task in model.tasks.values() for c in task.columns if c not in data.catalogue.table]
    if missing:
        raise ValueError(f"the catalogue {data.catalogue.name!r} has no column {', '.join(missing)}")


def _check_finite(total: Tensor, losses: dict[str, Tensor], step: int) -> None:
    if not torch.isfinite(total):
        bad = ", ".join(name for name, loss in losses.items() if not torch.isfinite(loss)) or "the loss weights"
        raise FloatingPointError(
            f"step {step}: the loss of {bad} is not finite; lower the learning rate (earlier checkpoints are good)"
        )


def _total(stages: list[Stage]) -> int:
    return sum(stage.epochs for stage in stages)

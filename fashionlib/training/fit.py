"""fit: the one loop."""

import copy
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from accelerate.utils import reduce, send_to_device
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..data.images import ImageData
from ..evaluation.calibration import calibrate
from ..evaluation.predict import predict
from ..machine.hardware import Arithmetic, candidates, fastest
from ..machine.processes import agree, process_count, process_number, run_once, start_accelerator
from ..machine.progress import progress
from ..models import MEASURED, MultitaskModel
from .augmentation import ShiftFlipErase
from .batches import Batch, Batches, training_order
from .checkpoints import load_model, save_model
from .checks import check
from .grounds import on_grounds
from .optimisation import AVERAGE_EVERY, LossWeights, freeze, learning_rate_at, make_optimizer, surgery
from .runs import RunFolder, State
from .samplers import Order, share
from .settings import Settings, Stage
from .tracking import Tracker, epoch_line, validation_row

ADVICE = "lower the learning rate (earlier checkpoints are good)"


@dataclass
class Run:
    """A finished training: ``model`` carries the averaged weights, ``history`` has a row an epoch, ``seconds`` counts
    training and validation of all processes that took part, ``found`` says that it had been done before."""

    model: MultitaskModel = field(repr=False)
    history: pd.DataFrame
    run_dir: Path
    seconds: float
    found: bool


@torch.random.fork_rng(devices=())  # whoever trains two models finds both again: the second starts as it would alone
def fit(
    model: MultitaskModel,
    data: ImageData | Sequence[ImageData],
    settings: Settings,
    run_dir: str | Path,
    stages: Sequence[Stage] | None = None,
) -> Run:
    """Train a copy of a model on the training split of one or several catalogues, validate after each epoch, calibrate
    it on the validation split where there is one, and leave in ``run_dir``: ``model.pth``, ``history.csv``,
    ``settings.json``, TensorBoard events, and checkpoints while it runs.

    Precision and memory layout are measured on a few steps when the run begins, and kept when it goes on. Images of
    several catalogues are mixed in every batch, as ``Settings.sampler`` says; each counts for the tasks that its
    catalogue has and it has labels for.

    Called again with the same model, data and settings it loads the finished run, or goes on after the last checkpoint
    and ends bit-equal to a run that was never stopped (on one machine, with one number of threads). If anything
    differs, first weights included (``torch.manual_seed``), the old run is moved aside and the reason printed.

    Started by ``torchrun``, every process works on its share of each batch, in which triplets are sought; batch norms
    have the statistics of the main process, which writes into a ``run_dir`` that all of them see.

    Raises ``ValueError`` where model, data, stages and settings do not fit together, before anything is written;
    ``FloatingPointError`` if a loss or a weight is no longer finite; ``RuntimeError`` if another process trains in
    ``run_dir``; ``OSError`` if it cannot be written - the last checkpoint stays good."""
    data = list(data) if isinstance(data, Sequence) else [data]
    stages = [stages] if isinstance(stages, Stage) else list(stages or [Stage("train", epochs=settings.epochs)])
    check(model, data, stages)
    if settings.loss_weights == "pcgrad" and process_count() > 1:
        raise ValueError("settings: loss_weights 'pcgrad' takes the gradients of one process; start one")
    model = copy.deepcopy(model)
    run = RunFolder(Path(run_dir), model, data, settings, stages)
    accelerator = start_accelerator()
    device, writes = accelerator.device, accelerator.is_main_process
    agree((run.fingerprint, found := run.find_finished()), "model, settings, data or what is in the run folder")
    if found:
        model = load_model(run.model_path).to(device)
        if arithmetic := run.arithmetic(device):
            model.compute_in(arithmetic)
        return Run(model, pd.read_csv(run.path / "history.csv"), run.path, run.progress["seconds"], found=True)

    loss_weights = LossWeights(settings.loss_weights, tuple(model.tasks)).to(device)
    batches = Batches(data, model.tasks.values())
    orders = [training_order(batches, settings, stage) for stage in stages]
    least = min(min(order.batch_size, len(order.rows)) for order in orders) // process_count()
    if least < 2 and any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules()):
        raise ValueError(f"batch_size {settings.batch_size} of {len(orders[0].rows):,} images: a batch norm needs two")
    validated = [part for part in data if (part.catalogue.table["split"] == "val").any()]
    epochs = sum(stage.epochs for stage in stages)
    with run.locked():
        run_once(run.start)
        model.to(device)
        batch = send_to_device(batches[next(orders[0].batches(0))[:: process_count()]], device)  # one's share
        arithmetic = run_once(lambda: run.arithmetic(device) or _fastest(model, batch, settings))
        model.compute_in(arithmetic)
        state = State(model, loss_weights, settings.ema_decay)
        resumed = state.load_newest(run.checkpoints)
        agree((state.epoch, state.batch), f"checkpoints in {run.path}: it must be a folder that all see")
        if writes:
            run.note(arithmetic=asdict(arithmetic))
            if resumed:
                inside = f" and {state.batch} batches" if state.batch else ""
                print(f"fit: going on after epoch {state.epoch} of {epochs}{inside}", flush=True)

        def save() -> None:
            if writes:
                run.checkpoints.save(state.step, state.to_dict())
            state.saved = time.perf_counter()

        tracker = Tracker(run.path / "tensorboard", state.step) if writes else None
        with tracker.writer if tracker else nullcontext():
            for number, (stage, order) in enumerate(zip(stages, orders, strict=True)):
                if number < state.stage:
                    continue
                peak = stage.learning_rate or settings.learning_rate
                freeze(model, stage, settings.backbone_rate)
                state.begin_stage(make_optimizer(model, loss_weights, settings, peak))
                step = accelerator.prepare(TrainingStep(model, loss_weights, stage, settings))
                while state.stage == number:
                    row = {"epoch": state.epoch + 1, "stage": stage.name}
                    row |= train_epoch(state, step, batches, order, peak, save)
                    began = time.perf_counter()
                    seen = [predict(state.averaged(), p, "val") for p in validated]
                    row |= validation_row(*seen) if seen else {}
                    state.seconds += time.perf_counter() - began
                    state.end_epoch(row, stage.epochs)
                    if writes:
                        run.write_history(state.history)
                    if time.perf_counter() - state.saved > 60 * settings.checkpoint_minutes:
                        save()
                    if tracker:
                        print(epoch_line(row, epochs, state.seconds), flush=True)
                        tracker.epoch(row, state.step)
                        if seen and state.stage > number:
                            tracker.show(validated[0], seen[0], state.step)

        model.load_state_dict(state.averaged().state_dict())
        model.requires_grad_(True).eval()
        model.temperatures = {}
        if validated:
            calibrate(model, validated)
        if writes:
            save_model(model, run.model_path, asdict(settings), run.facts)
            run.note(finished=True, seconds=state.seconds)
            run.checkpoints.clear()
        accelerator.wait_for_everyone()
    return Run(model, pd.read_csv(run.path / "history.csv"), run.path, state.seconds, found=False)


class TrainingStep(nn.Module):
    """From images to the total loss: the one module that several processes keep alike."""

    def __init__(self, model: MultitaskModel, loss_weights: LossWeights, stage: Stage, settings: Settings):
        super().__init__()
        self.model, self.loss_weights, self.stage, self.settings = model, loss_weights, stage, settings
        self.tasks = stage.tasks or tuple(model.tasks)

    def forward(self, images: Tensor, targets: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        losses = self.model.losses(self.model(images), targets, self.tasks, self.settings.label_smoothing)
        return self.loss_weights(losses), losses


def train_epoch(
    state: State, step: nn.Module, batches: Batches, order: Order, peak: float, save: Callable[[], None]
) -> dict[str, float]:
    """One pass over the training split, or what is left of it: mean losses, last learning rate, images seen, speed.
    ``step`` is a ``TrainingStep``, perhaps wrapped for several processes, of which each takes its share of every batch;
    ``save`` is called when a checkpoint is due."""
    plain = getattr(step, "module", step)
    stage, settings, tasks = plain.stage, plain.settings, plain.tasks
    augment = ShiftFlipErase(settings.shift, settings.flip, settings.erase)
    device, processes, me = state.model.mean.device, process_count(), process_number()
    steps = stage.epochs * len(order)
    if settings.loss_weights == "dwa":
        state.loss_weights.balance(state.history, tasks)
    common = (*state.model.body.parameters(), *state.model.trunk.parameters())
    shared = [p for p in common if p.requires_grad and settings.loss_weights == "pcgrad"]
    sums = torch.tensor([state.losses.get(name, 0.0) for name in tasks], device=device)
    patience, first = 60 * settings.checkpoint_minutes, state.batch
    began, before = time.perf_counter(), state.seconds

    def rows() -> Iterator[np.ndarray]:
        for batch in order.batches(state.epoch, first):
            yield batch[share(batch, order.together, me, processes)] if processes > 1 else batch

    where = {"num_workers": settings.workers, "pin_memory": device.type == "cuda"}
    with progress(total=len(order), what=f"epoch {state.epoch + 1}", unit="step") as bar:
        bar.update(first)
        for batch in DataLoader(batches, sampler=rows(), batch_size=None, **where):
            rng = np.random.default_rng([settings.seed, state.epoch, state.batch])
            noise = rng.random((len(batch.images) * processes, augment.draws), np.float32)
            if processes > 1:
                noise = noise[share(noise, order.together, me, processes)]
            torch.manual_seed(int(rng.integers(2**62)) + me)  # dropout, stochastic depth, grounds
            batch = send_to_device(batch, device, non_blocking=True)
            rate = learning_rate_at(state.stage_epoch * len(order) + state.batch, steps, peak)
            for group in state.optimizer.param_groups:
                group["lr"] = rate * group["relative"]
            images = on_grounds(batch.images, settings.grounds) if settings.grounds else batch.images
            total, losses = step(augment(images, torch.from_numpy(noise)), batch.targets)
            check_finite(total, losses, state.step)
            surgery(list(losses.values()), shared, rng) if shared else total.backward()
            state.optimizer.step()
            state.optimizer.zero_grad()
            state.step += 1
            state.batch += 1
            if state.step % AVERAGE_EVERY == 0:
                state.average.update_parameters(state.model)
            sums += torch.stack([losses[name].detach().float() for name in tasks])
            bar.update()
            if time.perf_counter() - state.saved > patience and state.batch < len(order):
                state.losses = dict(zip(tasks, sums.tolist(), strict=True))
                state.seconds = before + time.perf_counter() - began
                save()
    means = sums / len(order)
    if processes > 1:
        for tensor in (*state.model.buffers(), *state.average.buffers(), *state.average.parameters()):
            torch.distributed.broadcast(tensor, src=0)  # the statistics of batch norms are the main process's
        means = reduce(means, reduction="mean")
    if bad := [name for name, tensor in state.model.state_dict().items() if not torch.isfinite(tensor).all()]:
        raise FloatingPointError(f"step {state.step}: weights are not finite, the first in {bad[0]}; {ADVICE}")
    state.seconds = before + (seconds := time.perf_counter() - began)
    size, seen = min(order.batch_size, len(order.rows)), state.history[-1]["images_seen"] if state.history else 0
    return {
        "learning_rate": rate,
        **{f"loss/{name}": float(value) for name, value in zip(tasks, means, strict=True)},
        **{f"weight/{task}": weight for task, weight in state.loss_weights.weights().items()},
        "images_seen": seen + len(order) * size,
        "train_seconds": seconds,
        "images_per_second": (len(order) - first) * size / seconds,
    }


def _fastest(model: MultitaskModel, batch: Batch, settings: Settings) -> Arithmetic:
    """The arithmetic in which a step takes the least time, measured on a copy, once a process for a kind of network."""
    device = batch.images.device
    kind = json.dumps([model.config, len(batch.images), settings.precision, settings.layout, str(device)])
    if kind in MEASURED:
        return MEASURED[kind]
    trial = copy.deepcopy(model).train()

    def step(arithmetic: Arithmetic) -> None:
        sum(trial.losses(trial.compute_in(arithmetic)(batch.images), batch.targets, trial.tasks).values()).backward()
        trial.zero_grad()

    return MEASURED.setdefault(kind, fastest(step, candidates(device, settings.precision, settings.layout))[0])


def check_finite(total: Tensor, losses: dict[str, Tensor], step: int) -> None:
    """Raises ``FloatingPointError`` that names the losses which are not finite."""
    if not torch.isfinite(total):
        bad = ", ".join(name for name, loss in losses.items() if not torch.isfinite(loss)) or "the loss weights"
        raise FloatingPointError(f"step {step}: the loss of {bad} is not finite; {ADVICE}")

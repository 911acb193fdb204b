"""One epoch of training: what is done with every batch."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from .augmentation import ShiftFlipErase, shrink, uniform_numbers
from .batches import Batches, loader
from ..machine.hardware import autocast
from ..models import MultitaskModel
from .optimisation import LossWeights, freeze, learning_rate_at
from .samplers import Order, SharedOrder
from ..machine.processes import copy_from_main, mean_over_processes, process_count, process_number
from ..machine.progress import progress
from .runs import State
from .settings import Settings, Stage


class TrainingStep(nn.Module):
    """From images to the total loss: the one module that several processes keep alike."""

    def __init__(self, model: MultitaskModel, loss_weights: LossWeights):
        super().__init__()
        self.model, self.loss_weights = model, loss_weights

    def forward(
        self, images: Tensor, targets: dict[str, Tensor], tasks: Sequence[str], smoothing: float, autocast
    ) -> tuple[Tensor, dict[str, Tensor]]:
        with autocast:
            outputs = self.model(images)
        losses = self.model.losses(outputs, targets, tasks, smoothing)
        return self.loss_weights(losses), losses


def train_epoch(
    state: State,
    batches: Batches,
    order: Order,
    stage: Stage,
    settings: Settings,
    device: torch.device,
    dtype: torch.dtype | None,
    step: nn.Module | None = None,
) -> dict[str, float]:
    """One pass over the training split. Returns the mean loss of each task, the last learning rate, and the speed.

    What is random depends on the seed, the epoch and the sample alone (and, where an order may draw an image several
    times, on which draw it is), so an epoch can be run again after a crash.
    ``step`` is the training step of one of several processes; each takes its share of every batch. Statistics of batch
    norms are those of the main process.
    """
    model, optimizer = state.model, state.optimizer
    augment = ShiftFlipErase(settings.shift, settings.flip, settings.erase)
    names = stage.tasks or tuple(model.tasks)
    peak, steps = stage.learning_rate or settings.learning_rate, stage.epochs * len(order)
    order.epoch = state.epoch
    shared = step is not None and process_count() > 1
    mine = SharedOrder(order, process_number(), process_count()) if shared else order
    torch.manual_seed(settings.seed * 1_000_003 + state.epoch)  # dropout
    freeze(model, stage)
    forward = step or TrainingStep(model, state.loss_weights)
    sums = torch.zeros(len(names), device=device)
    seen = 0
    started = time.perf_counter()
    with progress(total=len(order), what=f"epoch {state.epoch + 1}", unit="step") as bar:
        for k, batch in enumerate(loader(batches, mine, settings.workers, pin=device.type == "cuda")):
            samples = batch.rows.numpy()
            if order.repeats:  # an image that comes again looks different
                first = (k * process_count() + process_number()) * len(samples)
                samples = samples + len(batches) * (first + np.arange(len(samples)))
            noise = uniform_numbers(settings.seed, state.epoch, samples, augment.draws)
            batch = batch.to(device)
            rate = learning_rate_at(state.stage_epoch * len(order) + k, steps, settings, peak)
            for group in optimizer.param_groups:
                group["lr"] = rate * group.get("faster", 1)
            with autocast(device, dtype):
                images = augment(batch.images, torch.from_numpy(noise))
                if state.epoch < settings.small_epochs:
                    images = shrink(images, settings.small_scale)
            total, losses = forward(images, batch.targets, names, settings.label_smoothing, autocast(device, dtype))
            _check_finite(total, losses, state.step)
            total.backward()
            optimizer.step()
            optimizer.zero_grad()
            state.step += 1
            state.average.update(model, state.step)
            sums += torch.stack([losses[name].detach().float() for name in names])
            seen += len(batch.images)
            bar.update()
    means = sums / len(order)
    if shared:
        copy_from_main([*model.buffers(), *state.average.tensors.values()])
        means = mean_over_processes(means)
    seconds = time.perf_counter() - started
    return {
        "learning_rate": optimizer.param_groups[0]["lr"],
        **{f"loss/{name}": float(value) for name, value in zip(names, means, strict=True)},
        "train_seconds": seconds,
        "images_per_second": seen * (process_count() if shared else 1) / seconds,
    }


def _check_finite(total: Tensor, losses: dict[str, Tensor], step: int) -> None:
    if not torch.isfinite(total):
        bad = ", ".join(name for name, loss in losses.items() if not torch.isfinite(loss)) or "the loss weights"
        raise FloatingPointError(
            f"step {step}: the loss of {bad} is not finite; lower the learning rate (earlier checkpoints are good)"
        )

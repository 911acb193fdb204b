"""Parts of the loop: loss weights, what is frozen, optimiser, schedule, weight average."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from ..models import MultitaskModel, module_key
from .settings import Settings, Stage

AVERAGE_EVERY = 4  # steps: with the fourth power of the decay it is the same average at a quarter of the memory traffic


class LossWeights(nn.Module):
    """The total loss: a weighted sum, or with ``"uncertainty"`` the sum of exp(-s) L + s / 2 with a learned s for each
    task, the log of its variance (Kendall, Gal, Cipolla, 2018, eq. 10 for classification)."""

    def __init__(self, weights: str | Mapping[str, float], tasks: tuple[str, ...]):
        super().__init__()
        self.learned = weights == "uncertainty"
        if not self.learned and (strange := set(weights) - set(tasks)):
            raise ValueError(f"settings: loss_weights names {', '.join(sorted(strange))}; tasks are {', '.join(tasks)}")
        self.fixed = {} if self.learned else dict(weights)
        self.tasks = tasks if self.learned else ()
        keys = [module_key(task, nn.ParameterDict) for task in self.tasks]
        self.log_variance = nn.ParameterDict({key: nn.Parameter(torch.zeros(())) for key in keys})

    def weights(self) -> dict[str, float]:
        """What each loss is multiplied by, where that is learned."""
        return {task: float((-self._s(task).detach()).exp()) for task in self.tasks}

    def _s(self, task: str) -> Tensor:
        return self.log_variance[module_key(task, nn.ParameterDict)]

    def forward(self, losses: dict[str, Tensor]) -> Tensor:
        if not self.learned:
            return sum(loss * self.fixed.get(t, 1.0) for t, loss in losses.items())
        return sum(loss * (-self._s(t)).exp() + self._s(t) / 2 for t, loss in losses.items())


def freeze(model: MultitaskModel, stage: Stage, backbone_rate: float = 1.0) -> None:
    """Let only the parts learn that the stage names; frozen batch norms keep their statistics. The trunk learns with
    ``"heads"``, not with one head alone; a backbone of rate 0 stays as it is."""
    backbone, heads = stage.train == "all" and backbone_rate > 0, stage.train in ("all", "heads")
    model.train()
    model.body.requires_grad_(backbone).train(backbone)
    model.trunk.requires_grad_(heads).train(heads)
    for name in model.tasks:  # the statistics of a head are those of the stages it learns in
        learns = stage.train in ("all", "heads", name)
        asked = stage.tasks is None or name in stage.tasks
        model.head(name).requires_grad_(learns).train(learns and asked)


def make_optimizer(
    model: MultitaskModel, loss_weights: LossWeights, settings: Settings, learning_rate: float
) -> torch.optim.Optimizer:
    """The fused optimiser over all parameters that learn; norms and biases without weight decay. A group's ``relative``
    rate is what the schedule is multiplied by: ``backbone_rate`` for the backbone; with AdamW, whose steps are no
    larger than its rate, 10 for learned loss weights and 100 for proxies (Kim et al., 2020, section 4.2)."""
    adamw = settings.optimizer == "adamw"
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in (*model.named_parameters(), *loss_weights.named_parameters()):
        if not parameter.requires_grad:
            continue
        relative = settings.backbone_rate if name.startswith("body.") else 1.0
        if adamw and name.endswith(".proxies"):
            relative = 100.0
        elif adamw and name.startswith("log_variance."):
            relative = 10.0
        decay = settings.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((relative, decay), []).append(parameter)
    described = [
        {"params": found, "relative": relative, "weight_decay": decay, "lr": relative * learning_rate}
        for (relative, decay), found in groups.items()
    ]
    if adamw:
        return torch.optim.AdamW(described, lr=learning_rate, fused=True)
    return torch.optim.SGD(described, lr=learning_rate, momentum=0.9, nesterov=True, fused=True)


def learning_rate_at(step: int, steps: int, peak: float) -> float:
    """One cycle (Smith and Topin, 2019): up over the first quarter, then down along a cosine to a thousandth."""
    warm = 0.25 * steps
    if step < warm:
        return peak * (0.04 + 0.96 * step / warm)
    share = (step - warm) / max(1.0, steps - warm)
    return peak * (0.001 + 0.999 * 0.5 * (1 + math.cos(math.pi * min(1.0, share))))


def weight_average(model: nn.Module, decay: float) -> AveragedModel:
    """Exponential moving average of weights and batch-norm statistics (Polyak and Juditsky, 1992), to be updated every
    ``AVERAGE_EVERY`` steps. The decay starts low and reaches its value after some hundred steps, so that the first
    weights are forgotten; 0 follows the model."""

    @torch.no_grad()
    def update(average: list[Tensor], now: list[Tensor], updates: Tensor) -> None:
        if decay and average[0].is_floating_point():
            kept = min(decay**AVERAGE_EVERY, float(updates) / (float(updates) + 10))
            torch._foreach_lerp_(average, now, 1 - kept)
        else:
            torch._foreach_copy_(average, now)

    average = AveragedModel(model, multi_avg_fn=update, use_buffers=True)
    average.module.requires_grad_(False)
    return average

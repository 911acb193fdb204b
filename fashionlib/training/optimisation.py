"""Parts of the loop: loss weights, what is frozen, optimiser, schedule, weight average."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from ..models import MultitaskModel, module_key
from .settings import Settings, Stage

AVERAGE_EVERY = 4  # steps: with the fourth power of the decay it is the same average at a quarter of the memory traffic


class LossWeights(nn.Module):
    """The total loss: a weighted sum. The weights of ``"uncertainty"`` are exp(-s) with a learned s, the log of a
    task's variance, and s / 2 is added (Kendall, Gal, Cipolla, 2018, eq. 10 for classification); those of ``"dwa"``
    grow with the ratio of a loss to that of the epoch before (Liu et al., 2019, eq. 7); ``"pcgrad"``: ``surgery``."""

    def __init__(self, weights: str | Mapping[str, float], tasks: tuple[str, ...]):
        super().__init__()
        self.kind, self.fixed = (weights, {}) if isinstance(weights, str) else ("fixed", dict(weights))
        if strange := set(self.fixed) - set(tasks):
            raise ValueError(f"settings: loss_weights names {', '.join(sorted(strange))}; tasks are {', '.join(tasks)}")
        self.tasks = tasks if self.kind == "uncertainty" else ()
        keys = [module_key(task, nn.ParameterDict) for task in self.tasks]
        self.log_variance = nn.ParameterDict({key: nn.Parameter(torch.zeros(())) for key in keys})

    def weights(self) -> dict[str, float]:
        """What each loss is multiplied by, where that is found in training."""
        return self.fixed if self.kind == "dwa" else {t: float((-self._s(t).detach()).exp()) for t in self.tasks}

    def balance(self, history: Sequence[Mapping], tasks: Sequence[str], temperature: float = 2.0) -> None:
        """Set the weights that ``"dwa"`` gives an epoch, by the losses of those before it: equal in the first two."""
        now, before = [[row.get(f"loss/{t}", np.nan) for t in tasks] for row in [{}, {}, *history][:-3:-1]]
        powers = np.exp(np.nan_to_num(np.divide(now, np.maximum(before, 1e-6)), nan=1.0).clip(0, 20) / temperature)
        self.fixed = dict(zip(tasks, (len(tasks) * powers / powers.sum()).tolist(), strict=True))

    def _s(self, task: str) -> Tensor:
        return self.log_variance[module_key(task, nn.ParameterDict)]

    def forward(self, losses: dict[str, Tensor]) -> Tensor:
        if self.kind != "uncertainty":
            return sum(loss * self.fixed.get(t, 1.0) for t, loss in losses.items())
        # a loss of 0 is of a batch without a label or pair, and says nothing of the noise
        return sum(of * (-self._s(t)).exp() + self._s(t) / 2 * (of.detach() != 0) for t, of in losses.items())


def surgery(losses: Sequence[Tensor], shared: Sequence[nn.Parameter], rng: np.random.Generator) -> None:
    """The backward pass of a sum of losses in which each one's gradient on the ``shared`` weights (None where none
    reaches) is first freed of what opposes the others', in random order (PCGrad: Yu et al., 2020, algorithm 1)."""
    found, sizes = [], [parameter.numel() for parameter in shared]
    for loss in losses:
        loss.backward(retain_graph=True)
        found.append(torch.cat([p.new_zeros(p.numel()) if p.grad is None else p.grad.flatten() for p in shared]))
        for parameter in shared:
            parameter.grad = None
    freed = [gradient.clone() for gradient in found]
    for number, gradient in enumerate(freed):
        for other in [found[k] for k in rng.permutation(len(found)) if k != number]:
            gradient -= (gradient @ other).clamp(max=0) / (other @ other).clamp(min=1e-30) * other
    for parameter, part in zip(shared, sum(freed).split(sizes), strict=True):
        parameter.grad = torch.empty_like(parameter).copy_(part.view_as(parameter)) if part.any() else None


def freeze(model: MultitaskModel, stage: Stage, backbone_rate: float = 1.0) -> None:
    """Let only the parts learn that the stage names; frozen batch norms keep their statistics. The trunk learns with
    ``"heads"``, not with one head alone; a backbone of rate 0 stays as it is."""
    backbone, heads = stage.train == "all" and backbone_rate > 0, stage.train in ("all", "heads")
    model.train()
    model.body.requires_grad_(backbone).train(backbone)
    model.trunk.requires_grad_(heads).train(heads)
    for name in model.tasks:  # the statistics of a head are those of the stages it learns in
        learns = stage.train in ("all", "heads", name)
        model.head(name).requires_grad_(learns).train(learns and (not stage.tasks or name in stage.tasks))


def make_optimizer(
    model: MultitaskModel, loss_weights: LossWeights, settings: Settings, learning_rate: float
) -> torch.optim.Optimizer:
    """The fused optimiser over all parameters that learn; norms, biases and what the backbone's ``no_weight_decay``
    names (position embeddings) without weight decay. A group's ``relative`` rate is what the schedule is multiplied by:
    ``backbone_rate`` for the backbone; with AdamW, whose steps are no larger than its rate, 10 for learned loss weights
    and 100 for proxies (Kim et al., 2020, section 4.2)."""
    adamw = settings.optimizer == "adamw"
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    spared = {f"body.{name}" for name in getattr(model.body, "no_weight_decay", set)()}
    for name, parameter in (*model.named_parameters(), *loss_weights.named_parameters()):
        if not parameter.requires_grad:
            continue
        relative = settings.backbone_rate if name.startswith("body.") else 1.0
        if adamw and name.endswith(".proxies"):
            relative = 100.0
        elif adamw and name.startswith("log_variance."):
            relative = 10.0
        decays = parameter.ndim > 1 and name not in spared
        groups.setdefault((relative, settings.weight_decay if decays else 0.0), []).append(parameter)
    described = [dict(params=p, relative=r, weight_decay=d, lr=r * learning_rate) for (r, d), p in groups.items()]
    if adamw:
        return torch.optim.AdamW(described, lr=learning_rate, fused=True)
    return torch.optim.SGD(described, lr=learning_rate, momentum=0.9, nesterov=True, fused=True)


def learning_rate_at(step: int, steps: int, peak: float) -> float:
    """One cycle (Smith and Topin, 2019): up over the first quarter, then down along a cosine to a thousandth."""
    warm = 0.25 * steps
    if step < warm:
        return peak * (0.04 + 0.96 * step / warm)
    return peak * (0.001 + 0.999 * 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm))))


def weight_average(model: nn.Module, decay: float) -> AveragedModel:
    """Exponential moving average of weights and batch-norm statistics (Polyak and Juditsky, 1992), to be updated every
    ``AVERAGE_EVERY`` steps. At update n the decay is n / (n + 10) at most, so that the first weights are forgotten: up
    to step 10 / (1 - decay), 10,000 for 0.999, the average is over about the last tenth of all steps, whatever the
    decay is. 0 follows the model."""

    @torch.no_grad()
    def update(average: list[Tensor], now: list[Tensor], updates: Tensor) -> None:
        if decay and average[0].is_floating_point():
            torch._foreach_lerp_(average, now, 1 - min(decay**AVERAGE_EVERY, float(updates) / (float(updates) + 10)))
        else:
            torch._foreach_copy_(average, now)

    average = AveragedModel(model, multi_avg_fn=update, use_buffers=True)
    average.module.requires_grad_(False)
    return average

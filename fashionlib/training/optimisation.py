"""Parts of the loop: loss weights, optimiser, schedule, weight average."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..models import MultitaskModel, module_key
from .settings import Settings, Stage


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
        if self.learned:
            return sum(loss * (-self._s(t)).exp() + self._s(t) / 2 for t, loss in losses.items())
        return sum(loss * self.fixed.get(t, 1.0) for t, loss in losses.items())


def freeze(model: MultitaskModel, stage: Stage) -> None:
    """Let only the parts learn that the stage names; frozen batch norms keep their statistics. The trunk learns with
    ``"heads"``, and stays as it is where one head learns alone."""
    if stage.train not in ("all", "heads", *model.tasks):
        known = ", ".join(["all", "heads", *model.tasks])
        raise ValueError(f"stage {stage.name!r}: train {stage.train!r} is not one of {known}")
    model.train()
    for name, parameter in model.named_parameters():
        in_head = name.startswith(("heads.", "trunk."))
        chosen = name.startswith(f"heads.{module_key(stage.train)}.")
        parameter.requires_grad_(stage.train == "all" or chosen or (stage.train == "heads" and in_head))
    for name in model.tasks:  # the statistics of a head are those of the stages it learns in
        model.head(name).train(stage.train in ("all", "heads", name) and (stage.tasks is None or name in stage.tasks))
    if stage.train != "all":
        model.body.eval()
    if stage.train not in ("all", "heads"):
        model.trunk.eval()
    if stage.freeze_norms:
        for module in (*model.body.modules(), *model.heads.modules()):
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.eval()


def make_optimizer(modules: list[nn.Module], settings: Settings, learning_rate: float) -> torch.optim.Optimizer:
    """The fused optimiser over all parameters that learn; norms and biases without weight decay. With AdamW, whose
    steps are no larger than its rate, learned loss weights learn ten times faster, or they would stay where they begin,
    and the proxies of Proxy-Anchor a hundred times (Kim et al., 2020, section 4.2)."""
    learn, proxies, uncertainties = [], [], []
    for name, parameter in (pair for module in modules for pair in module.named_parameters()):
        if parameter.requires_grad:
            group = learn
            if settings.optimizer == "adamw":
                group = proxies if name.endswith(".proxies") else group
                group = uncertainties if name.startswith("log_variance.") else group
            group.append(parameter)
    groups = [
        {"params": [p for p in learn if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in learn if p.ndim <= 1], "weight_decay": 0.0},
        {"params": proxies, "weight_decay": settings.weight_decay, "faster": 100, "lr": 100 * learning_rate},
        {"params": uncertainties, "weight_decay": 0.0, "faster": 10, "lr": 10 * learning_rate},
    ]
    groups = [group for group in groups if group["params"]]
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=learning_rate, fused=True)
    return torch.optim.SGD(groups, lr=learning_rate, momentum=0.9, nesterov=True, fused=True)


def learning_rate_at(step: int, steps: int, settings: Settings, peak: float) -> float:
    """The schedule: ``onecycle`` rises linearly over the first quarter, both fall along a cosine to a thousandth."""
    warm = 0.25 * steps if settings.schedule == "onecycle" else 0
    if step < warm:
        return peak * (0.04 + 0.96 * step / warm)
    share = (step - warm) / max(1.0, steps - warm)
    return peak * (0.001 + 0.999 * 0.5 * (1 + math.cos(math.pi * min(1.0, share))))


class WeightAverage:
    """Exponential moving average of weights and batch-norm statistics (Polyak and Juditsky, 1992).

    Updated every fourth step with the fourth power of the decay: the same average, a quarter of the memory traffic.
    The decay starts low and reaches its value after some hundred steps, so that the first weights are forgotten.
    """

    every = 4

    def __init__(self, model: nn.Module, decay: float):
        self.decay = decay
        self.tensors = {n: t.detach().clone() for n, t in model.state_dict().items()}
        self.updates = 0

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take the weights after a step into the average."""
        if self.decay == 0 or step % self.every:
            return
        self.updates += 1
        decay = min(self.decay**self.every, self.updates / (self.updates + 10))
        now = model.state_dict()
        smooth = [n for n, t in now.items() if t.is_floating_point()]
        torch._foreach_lerp_([self.tensors[n] for n in smooth], [now[n] for n in smooth], 1 - decay)

    def restart(self, model: nn.Module) -> None:
        """Begin anew with the weights that the model has now."""
        for name, tensor in model.state_dict().items():
            self.tensors[name].copy_(tensor)
        self.updates = 0

    def weights(self, model: nn.Module) -> dict[str, Tensor]:
        """The averaged weights, with the model's own counters; all the model's own where averaging is off or has not
        begun."""
        now = model.state_dict()
        if self.decay == 0 or self.updates == 0:
            return now
        return {n: self.tensors[n] if t.is_floating_point() else t for n, t in now.items()}

"""What this machine is, and in which arithmetic it computes a network fastest."""

import os
import platform
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch

PRECISIONS, LAYOUTS = ("fp32", "bf16"), ("contiguous", "channels_last")
BF16_CPUS = ("avx512_bf16", "amx_bf16", "bf16")  # have one of these; others emulate it, and a step takes minutes


@dataclass(frozen=True)
class Arithmetic:
    """How a network computes: ``precision`` "fp32" or "bf16", memory ``layout`` "contiguous" or "channels_last"."""

    precision: str = "fp32"
    layout: str = "contiguous"

    @property
    def memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.layout == "channels_last" else torch.contiguous_format

    def autocast(self, device: torch.device):
        """A context in which a network computes in this precision."""
        return torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bf16")


def candidates(device: torch.device, precision: str = "auto", layout: str = "auto") -> list[Arithmetic]:
    """What may be chosen from; ``"auto"`` leaves it open, but for bf16 where the device merely emulates it."""
    precisions = PRECISIONS if precision == "auto" else (precision,)
    if precision == "auto" and device.type == "cpu" and not any(map(torch.cpu.get_capabilities().get, BF16_CPUS)):
        precisions = ("fp32",)
    return [Arithmetic(p, f) for p in precisions for f in (LAYOUTS if layout == "auto" else (layout,))]


def fastest(step: Callable, among: Iterable[Arithmetic], repeats=3) -> tuple[Arithmetic, dict[Arithmetic, float]]:
    """The arithmetic in which ``step`` takes the least time, and the seconds of each that was tried. The first step of
    each warms up; a later one that takes three times as long as the best so far is the last."""
    among, seconds = list(among), {}
    for arithmetic in among if len(among) > 1 else ():
        times, least = [], min(seconds.values(), default=float("inf"))
        for _ in range(1 + repeats):
            began = time.perf_counter()
            step(arithmetic)
            if torch.accelerator.is_available():
                torch.accelerator.synchronize()
            times.append(time.perf_counter() - began)
            if len(times) > 1 and times[-1] > 3 * least:
                break
        seconds[arithmetic] = min(times[1:] or times)
    return min(seconds, key=seconds.get, default=among[0]), seconds


def describe() -> dict[str, object]:
    """The machine, for a manifest."""
    return {
        "cpu": torch.cpu.get_capabilities().get("cpu_name") or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
    }

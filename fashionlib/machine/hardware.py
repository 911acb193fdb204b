"""What this machine is good at: precision and memory layout."""

from __future__ import annotations

import os
import platform

import torch


def resolve_precision(precision: str, device: torch.device) -> torch.dtype | None:
    """The autocast type for ``"bf16"``, ``"fp32"`` (none) or ``"auto"``: bf16 on a GPU that has it (not on one that
    emulates it), on a CPU with matrix units (AMX), and on one of AMD's with AVX512-BF16, where training is 1.7 times as
    fast as in float32; on others convolutions in bf16 are slower."""
    if precision == "auto":
        if device.type == "cuda":
            fast = torch.cuda.is_bf16_supported(including_emulation=False)
        else:
            fast = _cpu_is_fast_in_bf16(torch.cpu.get_capabilities())
        precision = "bf16" if fast else "fp32"
    if precision not in ("bf16", "fp32"):
        raise ValueError(f"precision {precision!r} is not one of 'auto', 'bf16', 'fp32'")
    return torch.bfloat16 if precision == "bf16" else None


def _cpu_is_fast_in_bf16(capabilities: dict) -> bool:
    amd = str(capabilities.get("cpu_name", "")).startswith("AMD")
    return bool(capabilities.get("amx_bf16") or (amd and capabilities.get("avx512_bf16")))


def autocast(device: torch.device, dtype: torch.dtype | None):
    """Autocast to dtype, or a context that does nothing for None."""
    return torch.autocast(device.type, dtype or torch.bfloat16, enabled=dtype is not None)


def memory_format(dtype: torch.dtype | None, device: torch.device) -> torch.memory_format:
    """channels-last where it helps: on GPUs and with bf16; float32 on a CPU is faster in the usual layout."""
    fast = device.type == "cuda" or dtype is not None
    return torch.channels_last if fast else torch.contiguous_format


def describe() -> dict[str, object]:
    """The machine, for a manifest."""
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": gpus,
        "precision": str(resolve_precision("auto", torch.device("cuda" if gpus else "cpu")) or "float32"),
    }


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()

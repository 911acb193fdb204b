"""A model run over images, each exactly once: what predictions and embeddings have in common."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..training.batches import Batches, loader
from ..machine.hardware import autocast, memory_format, resolve_precision
from ..data.images import ImageData
from ..models import MultitaskModel
from ..training.samplers import Order
from ..machine.processes import gather_from_all, process_count, process_number
from ..machine.progress import progress


def infer(
    model: MultitaskModel,
    data: ImageData,
    rows: np.ndarray,
    compute: Callable[[list[Tensor]], dict[str, Tensor]],
    batch_size: int = 256,
    mirror: bool = False,
    precision: str = "auto",
    what: str = "predict",
    shared: bool = False,
) -> dict[str, np.ndarray]:
    """``compute`` on every batch of some rows, its arrays (B, ...) joined to (N, ...); bf16 comes as float32.

    It is given the batch as uint8 (B, H, W, 3) on the model's device, and with ``mirror`` its mirror images after it,
    while the model is in evaluation mode, without gradients; afterwards the model's mode is what it was.

    With ``shared``, several processes divide the rows among them, each image exactly once, and all get the whole
    answer; all of them must call it then.
    """
    if shared:
        rows = np.array_split(rows, process_count())[process_number()]
    device = next(model.parameters()).device
    dtype = resolve_precision(precision, device)
    model.to(memory_format=memory_format(dtype, device))
    was_training = model.training
    model.eval()
    kept: dict[str, list[np.ndarray]] = {}
    with torch.inference_mode(), autocast(device, dtype):
        for batch in progress(loader(Batches(data, []), Order(rows, batch_size)), what=what, unit="batch"):
            images = batch.images.to(device, non_blocking=True)
            for name, output in compute([images, images.flip(2)] if mirror else [images]).items():
                kept.setdefault(name, []).append(_numpy(output))
    model.train(was_training)
    found = [{name: np.concatenate(parts) for name, parts in kept.items()}]
    if shared:
        found = [part for part in gather_from_all(found) if part] or found  # of few rows some processes have none
    return {name: np.concatenate([part[name] for part in found]) for name in found[0]}


def _numpy(output: Tensor) -> np.ndarray:
    output = output.cpu()
    return (output.float() if output.dtype is torch.bfloat16 else output).numpy()  # NumPy has no bf16

"""A model run over images, each exactly once: what predictions and embeddings have in common."""

from collections.abc import Callable

import numpy as np
import torch
from accelerate.utils import gather_object

from ..data.images import ImageData
from ..machine.processes import process_count, process_number, start_accelerator
from ..machine.progress import progress
from ..models import MultitaskModel

BATCH = 64  # images; a CPU is half as fast with 256, whose activations leave its caches


def infer(
    model: MultitaskModel, data: ImageData, rows: np.ndarray, compute: Callable, mirror=False, what="predict"
) -> dict[str, np.ndarray]:
    """``compute`` on every batch of some rows, its tensors (B, ...) by name joined to float32 arrays (N, ...).

    It is given a list: the batch as uint8 (B, H, W, 3) on the model's device, and with ``mirror`` its mirror images;
    the model is in evaluation mode, without gradients. Several processes divide the rows: all must call it."""
    if not len(rows):
        raise ValueError(f"{data.catalogue.name}: no row is asked for")
    if data.size != model.size:  # which would distort what was fitted with its shape kept
        raise ValueError(f"{data.catalogue.name}: images of {data.size} pixels; the model is one of {model.size}")
    rows = np.array_split(rows, process_count())[process_number()]
    modes = {module: module.training for module in model.modules()}  # frozen batch norms are not as the others
    model.eval()
    model.settle()
    batches = []
    try:
        with torch.inference_mode():
            for start in progress(range(0, len(rows), BATCH), what=what, unit="batch"):
                images = data.fetch(rows[start : start + BATCH]).to(model.mean.device, non_blocking=True)
                found = compute([images, images.flip(2)] if mirror else [images])
                batches.append({name: output.float().cpu().numpy() for name, output in found.items()})
    finally:
        for module, training in modes.items():
            module.training = training
    if process_count() > 1:
        start_accelerator()  # without which nothing would be gathered
        batches = gather_object(batches)
    return {name: np.concatenate([batch[name] for batch in batches]) for name in (batches[0] if batches else ())}

"""Images per second, measured against the bare network in one run on one machine."""

from __future__ import annotations

import copy
import io
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from fashionlib.training.augmentation import plain_recipe
from fashionlib.training.batches import Batches
from fashionlib.training.epochs import train_epoch
from fashionlib.evaluation.predict import predict
from fashionlib.machine.hardware import autocast, memory_format, resolve_precision
from fashionlib.data.images import ImageData
from fashionlib.evaluation.inference import infer
from fashionlib.models import MultitaskModel, count_parameters
from fashionlib.training.optimisation import LossWeights, make_optimizer
from fashionlib.training.samplers import Order
from fashionlib.training.runs import State
from fashionlib.training.settings import Settings, Stage


def throughput(
    model: MultitaskModel, data: ImageData, settings: Settings, steps: int = 10, repeats: int = 3
) -> pd.DataFrame:
    """Columns what, images_per_second, ratio_to_bare; each the median of ``repeats`` turns of ``steps`` batches, taken
    in turns so that a slow minute of the machine falls on all of them.

    - ``bare_step``: forward, losses, backward and optimiser on a batch in memory.
    - ``fit``: the library's epoch, with loading, augmentation and weight average. Ratio to ``bare_step``.
    - ``plain_recipe``: Pillow and albumentations in a DataLoader with two workers, from JPEG bytes in memory, the step
      in float32 and the usual layout. Ratio to ``bare_step``.
    - ``bare_forward`` and ``evaluate``: the network alone, and the library's prediction. Ratio to ``bare_forward``.
    """
    batch_size = settings.batch_size
    available = data.catalogue.rows("train")
    rows = np.resize(available, steps * batch_size)  # a small catalogue is gone through several times
    device = next(model.parameters()).device
    dtype = resolve_precision(settings.precision, device)
    model = copy.deepcopy(model).to(memory_format=memory_format(dtype, device))
    batches = Batches(data, list(model.tasks.values()))
    plain = copy.deepcopy(model).to(memory_format=torch.contiguous_format)

    state = State(model, LossWeights({}, tuple(model.tasks)).to(device), settings.ema_decay)
    state.optimizer = make_optimizer([model], settings, 1e-3)
    stage = Stage("benchmark", learning_rate=1e-3)

    def fit() -> None:
        train_epoch(state, batches, Order(rows, batch_size, seed=0), stage, settings, device, dtype)

    memory = batches[rows[:batch_size]].to(device)

    def bare_step() -> None:
        for _ in range(steps):
            with autocast(device, dtype):
                outputs = model(memory.images)
            _step(model, outputs, memory.targets, state.optimizer)

    def bare_forward() -> None:
        model.eval()
        with torch.inference_mode(), autocast(device, dtype):
            for _ in range(steps):
                model(memory.images)
        model.train()

    def evaluate() -> None:
        predict(model, data, rows, batch_size=batch_size, precision=settings.precision)

    turns: dict[str, Callable[[], None]] = {"bare_step": bare_step, "fit": fit, "bare_forward": bare_forward}
    turns |= {"evaluate": evaluate, "plain_recipe": _plain(plain, data, batches, rows, settings, device)}
    seconds: dict[str, list[float]] = {what: [] for what in turns}
    for turn in [bare_step, bare_forward]:  # the first steps choose kernels
        turn()
    for _ in range(repeats):
        for what, turn in turns.items():
            started = time.perf_counter()
            turn()
            if device.type == "cuda":
                torch.cuda.synchronize()
            seconds[what].append(time.perf_counter() - started)
    speed = pd.Series({what: len(rows) / float(np.median(times)) for what, times in seconds.items()})
    bare = [speed["bare_forward" if what in ("bare_forward", "evaluate") else "bare_step"] for what in speed.index]
    frame = pd.DataFrame({"what": speed.index, "images_per_second": speed.to_numpy()})
    return frame.assign(ratio_to_bare=frame["images_per_second"] / bare)


def inference_speed(
    models: Mapping[str, Sequence[MultitaskModel]], data: ImageData, images: int = 2048, repeats: int = 3
) -> pd.DataFrame:
    """Images per second of getting every answer for an image from one or from several networks: columns what,
    images_per_second, ratio (to the first), parameters. Medians of ``repeats`` turns, taken in turns."""
    available = data.catalogue.rows("test")
    images = min(images, max(256, len(available)))  # a small catalogue is gone through several times, a large one not
    rows = np.resize(available, images)

    def turn(networks: Sequence[MultitaskModel], some: np.ndarray) -> float:
        started = time.perf_counter()
        for network in networks:
            infer(network, data, some, lambda views, network=network: network(views[0]))
        return time.perf_counter() - started

    for networks in models.values():
        turn(networks, rows[:256])  # the first batches choose kernels
    seconds: dict[str, list[float]] = {what: [] for what in models}
    for _ in range(repeats):
        for what, networks in models.items():
            seconds[what].append(turn(networks, rows))
    speed = [images / float(np.median(times)) for times in seconds.values()]
    parameters = [sum(map(count_parameters, networks)) for networks in models.values()]
    table = pd.DataFrame({"what": list(models), "images_per_second": speed, "parameters": parameters})
    return table.assign(ratio=table["images_per_second"] / speed[0])


def resident_memory() -> pd.DataFrame:
    """Memory of this process in GB, from Linux: ``private`` is its own, ``file`` is mapped from disk (the pixel cache,
    libraries) and given up when others need it. Empty where ``/proc`` is missing."""
    try:
        with open("/proc/self/status") as lines:
            found = dict(line.split(":", 1) for line in lines)
    except OSError:
        return pd.DataFrame(columns=["kind", "gigabytes"])
    kinds = {"private": "RssAnon", "file": "RssFile"}
    rows = [{"kind": kind, "gigabytes": int(found[key].split()[0]) / 2**20} for kind, key in kinds.items()]
    return pd.DataFrame(rows)


def _step(model: MultitaskModel, outputs, targets, optimizer) -> None:
    sum(model.losses(outputs, targets, outputs).values()).backward()
    optimizer.step()
    optimizer.zero_grad()


class _PlainDataset(Dataset):
    """One image at a time: decode, albumentations, a tensor."""

    def __init__(self, encoded: list[bytes], targets: dict[str, np.ndarray], transform):
        self.encoded, self.targets, self.transform = encoded, targets, transform

    def __len__(self) -> int:
        return len(self.encoded)

    def __getitem__(self, k: int):
        image = np.asarray(Image.open(io.BytesIO(self.encoded[k])).convert("RGB"))
        return self.transform(image=image)["image"], {name: t[k] for name, t in self.targets.items()}


def _plain(model, data, batches, rows, settings, device) -> Callable[[], None]:
    transform = plain_recipe(model.size, model.config["mean"], model.config["std"])
    encoded = [_encoded(data, row) for row in rows]
    targets = {name: t[rows] for name, t in batches.targets.items()}
    optimizer = make_optimizer([model], settings, 1e-3)
    loader = DataLoader(_PlainDataset(encoded, targets, transform), settings.batch_size, num_workers=2)

    def run() -> None:
        for images, labels in loader:
            outputs = model.answers(model.body(images.to(device)))
            _step(model, outputs, {name: t.to(device) for name, t in labels.items()}, optimizer)

    return run


def _encoded(data: ImageData, row: int) -> bytes:
    """The JPEG bytes of a row; a drawn garment is encoded first."""
    content = data.catalogue.read(int(row))
    if isinstance(content, bytes):
        return content
    buffer = io.BytesIO()
    Image.fromarray(content).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()

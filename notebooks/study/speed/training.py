"""Images per second, measured against the bare network in one run on one machine."""

import copy
import io
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import torch
from accelerate.utils import send_to_device
from PIL import Image
from torch.utils.data import DataLoader

from fashionlib.data.images import ImageData
from fashionlib.evaluation.inference import infer
from fashionlib.evaluation.predict import predict
from fashionlib.machine.hardware import Arithmetic
from fashionlib.models import MultitaskModel, count_parameters
from fashionlib.training.batches import Batches
from fashionlib.training.fit import fit
from fashionlib.training.settings import Settings

from . import in_turns


def throughput(
    model: MultitaskModel, data: ImageData, settings: Settings, steps: int = 10, repeats: int = 3
) -> pd.DataFrame:
    """Columns what, images_per_second, ratio_to_bare; each the median of ``repeats`` turns of ``steps`` batches (fewer,
    if there are not as many training images).

    - ``bare_step``: all that learns, on a batch in memory, in the arithmetic that ``fit`` takes.
    - ``fit``: the second epoch of ``fit``, with loading, augmentation and weight average. Ratio to ``bare_step``.
    - ``plain_recipe``: the usual way: Pillow and albumentations, image by image, in a DataLoader with two
      workers, from JPEG bytes in memory, the step in float32 and the usual layout. Ratio to ``bare_step``.
    - ``bare_forward`` and ``evaluate``: the network alone, and the library's prediction. Ratio to ``bare_forward``."""
    size, rows = settings.batch_size, data.catalogue.rows("train")
    steps = max(1, min(steps, len(rows) // size))
    rows = rows[: steps * size]
    part = data.with_split(np.where(np.isin(np.arange(len(data.catalogue)), rows), "train", "test"))
    twice = replace(settings, epochs=2)  # in the first one memory is asked for, which the bare step has by then

    def fitted():
        with tempfile.TemporaryDirectory() as place, redirect_stdout(io.StringIO()):
            return fit(model, part, twice, place)

    bare = fitted().model  # which has chosen its arithmetic
    batches = Batches([part], model.tasks.values())
    batch = send_to_device(batches[rows[:size]], bare.mean.device)
    learn = _learner(bare, settings)

    def bare_step() -> None:
        bare.train()
        for _ in range(steps):
            learn(bare(batch.images), batch.targets)

    def bare_forward() -> None:
        bare.eval()
        with torch.inference_mode():
            for _ in range(steps):
                bare(batch.images)

    plain = _plain_recipe(copy.deepcopy(model).to(bare.mean.device), part, batches, rows, settings)
    ways = {"bare_step": bare_step, "fit": lambda: float(fitted().history["train_seconds"].iloc[-1])}
    ways |= {"bare_forward": bare_forward, "evaluate": partial(predict, bare, part, rows)}
    bare_step(), bare_forward()  # the first steps choose kernels
    speed = len(rows) / in_turns(ways | {"plain_recipe": plain}, repeats)
    against = ["bare_forward" if what in ("bare_forward", "evaluate") else "bare_step" for what in speed.index]
    return pd.DataFrame({"images_per_second": speed, "ratio_to_bare": speed / speed[against].to_numpy()}).reset_index()


def inference_speed(
    models: Mapping[str, Sequence[MultitaskModel]], data: ImageData, images: int = 512, repeats: int = 3
) -> pd.DataFrame:
    """Images per second of getting every answer for an image from one or from several networks: columns what,
    images_per_second, parameters, ratio (to the first). Medians of ``repeats`` turns."""
    available = data.catalogue.rows("test")
    images = min(images, 8 * len(available))  # a small catalogue is gone through several times, not for ever
    rows = np.resize(available, images)

    def answer(networks: Sequence[MultitaskModel], some: np.ndarray) -> None:
        for network in networks:
            infer(network, data, some, lambda views, network=network: network(views[0]))

    for networks in models.values():
        answer(networks, rows[:256])  # the first batches choose kernels
    speed = images / in_turns({what: partial(answer, networks, rows) for what, networks in models.items()}, repeats)
    parameters = [sum(map(count_parameters, networks)) for networks in models.values()]
    table = pd.DataFrame({"images_per_second": speed, "parameters": parameters, "ratio": speed / speed.iloc[0]})
    return table.reset_index()


def _learner(model: MultitaskModel, settings: Settings) -> Callable:
    make = torch.optim.AdamW if settings.optimizer == "adamw" else partial(torch.optim.SGD, momentum=0.9, nesterov=True)
    optimizer = make(model.parameters(), lr=1e-3, fused=True)

    def learn(outputs, targets) -> None:
        sum(model.losses(outputs, targets, outputs).values()).backward()
        optimizer.step()
        optimizer.zero_grad()

    return learn


def _plain_recipe(model, data: ImageData, batches: Batches, rows: np.ndarray, settings: Settings) -> Callable[[], None]:
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    import albumentations as A
    from albumentations.pytorch import ToTensorV2

    shift, erase = A.Affine(translate_px=(-4, 4), fill=255), A.CoarseDropout(num_holes_range=(1, 1), fill=127, p=0.25)
    resize, known = A.Resize(*model.input_size[::-1]), model.body.default_cfg
    normalise = A.Normalize(known["mean"], known["std"])
    transform = A.Compose([resize, shift, A.HorizontalFlip(p=0.5), erase, normalise, ToTensorV2()])
    encoded = [io.BytesIO() for _ in rows]
    for pixels, file in zip(data.fetch(rows).numpy(), encoded, strict=True):
        Image.fromarray(pixels).save(file, "JPEG", quality=90)
    decode = partial(_decode, [file.getvalue() for file in encoded], transform)
    loader = DataLoader(range(len(rows)), settings.batch_size, num_workers=2, collate_fn=decode)
    learn, device = _learner(model.compute_in(Arithmetic()).train(), settings), model.mean.device

    def run() -> None:
        for numbers, images in loader:
            outputs = model.answers(model.body(images.to(device)))
            learn(outputs, send_to_device(batches[rows[numbers]].targets, device))

    return run


def _decode(encoded: Sequence[bytes], transform: Callable, numbers: list[int]) -> tuple[list[int], torch.Tensor]:
    images = (np.asarray(Image.open(io.BytesIO(encoded[k])).convert("RGB")) for k in numbers)
    return numbers, torch.stack([transform(image=image)["image"] for image in images])

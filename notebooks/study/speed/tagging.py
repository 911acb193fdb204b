"""Tagging photos from files, in images per second, beside the bare network on pixels in memory."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from fashionlib.shop.bulk import tag_folder
from fashionlib.training.checkpoints import save_model
from fashionlib.machine.hardware import autocast
from fashionlib.data.images import ImageData
from fashionlib.models import MultitaskModel
from fashionlib.shop.tagging import Tagger


def tagging_speed(
    model: MultitaskModel, data: ImageData, photos: int = 512, batch_size: int = 128, repeats: int = 3
) -> pd.DataFrame:
    """Columns what, images_per_second, ratio_to_bare; each the median of ``repeats`` turns over the same ``photos``
    (a small catalogue's are taken several times), in turns, so that a slow minute of the machine falls on all of them.

    - ``bare_forward``: the network alone on batches in memory, with its heads.
    - ``tag``: ``Tagger.tag`` of a folder of JPEG files, to a table in memory.
    - ``tag_folder``: from the JPEG files to a parquet file, with the start of a job and the loading of the model.
    """
    rows = np.resize(data.catalogue.rows("test"), photos)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "photos").mkdir()
        for number, row in enumerate(rows):
            Image.fromarray(data.pixels[data.position[row]]).save(folder / "photos" / f"{number:06d}.jpg", quality=95)
        tagger = Tagger.load(save_model(model, folder / "model.pth"))
        batches = [data.fetch(rows[start : start + batch_size]) for start in range(0, photos, batch_size)]

        def bare() -> None:
            with torch.inference_mode(), autocast(tagger.device, tagger.dtype):
                for batch in batches:
                    tagger.model(batch.to(tagger.device))

        ways = {
            "bare_forward": bare,
            "tag": lambda: tagger.tag(folder / "photos", batch_size=batch_size),
            "tag_folder": lambda: tag_folder(
                folder / "model.pth", folder / "photos", folder / "tags.parquet", batch_size=batch_size
            ),
        }
        bare()  # the first pass allocates
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(repeats):
            for name, run in ways.items():
                (folder / "tags.parquet").unlink(missing_ok=True)
                started = time.perf_counter()
                run()
                seconds[name].append(time.perf_counter() - started)
    speed = {name: photos / statistics.median(taken) for name, taken in seconds.items()}
    return pd.DataFrame(
        [
            {"what": name, "images_per_second": rate, "ratio_to_bare": rate / speed["bare_forward"]}
            for name, rate in speed.items()
        ]
    )

"""Tagging photos from files, in images per second, beside the bare network on pixels in memory."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image, ImageChops

from fashionlib.data.images import ImageData
from fashionlib.models import MultitaskModel
from fashionlib.shop.bulk import BulkOptions, tag_folder
from fashionlib.shop.photos import decoded, picture_files
from fashionlib.shop.tagging import Tagger
from fashionlib.training.checkpoints import save_model

from . import in_turns


def tagging_speed(
    model: MultitaskModel, data: ImageData, photos: int = 512, batch_size: int = 128, repeats: int = 3
) -> pd.DataFrame:
    """Columns what, images_per_second, ratio_to_bare; each the median of ``repeats`` turns over the same ``photos``
    (a small catalogue's are taken several times).

    - ``bare_forward``: the network alone on batches in memory, with its heads.
    - ``tag``: ``Tagger.tag`` of a folder of JPEG files, to a table in memory.
    - ``tag_folder``: from the JPEG files to a parquet file, with the start of a job and the loading of the model.
    - ``read_phone_photos``, ``tag_phone_photos``: JPEG files of 12 megapixels (a 64th of them), decoded, and tagged."""
    rows = np.resize(data.catalogue.rows("test"), photos)
    batches = [data.fetch(rows[start : start + batch_size]) for start in range(0, photos, batch_size)]
    with tempfile.TemporaryDirectory() as place:
        folder, phone, out = Path(place, "photos"), Path(place, "phone"), Path(place, "tags.parquet")
        folder.mkdir(), phone.mkdir()
        grain = Image.merge("RGB", [Image.effect_noise((3000, 4000), 16)] * 3)  # else such files would be small
        for number, row in enumerate(rows):
            image = Image.fromarray(data.pixels[data.position[row]])
            image.save(folder / f"{number:06d}.jpg", quality=95)
            if number % 64 == 0:
                image = ImageChops.add(image.resize(grain.size), grain, offset=-128)
                image.save(phone / f"{number:06d}.jpg", quality=90)
        file = save_model(model, Path(place, "model.pth"))
        tagger, options = Tagger.load(file), BulkOptions(batch_size=batch_size)
        tagger.tag(folder, batch_size=batch_size)  # the first pass chooses the arithmetic and allocates

        def bare() -> None:
            with torch.inference_mode():
                for batch in batches:
                    tagger.model(batch.to(tagger.device))

        def job() -> None:
            out.unlink(missing_ok=True)
            tag_folder(file, folder, out, options=options)

        ways = {"bare_forward": bare, "tag": lambda: tagger.tag(folder, batch_size=batch_size), "tag_folder": job}
        counts = [photos] * 3 + [len(list(phone.iterdir()))] * 2
        ways["read_phone_photos"] = lambda: list(decoded(picture_files(phone), tagger.model.size, batch_size, False))
        ways["tag_phone_photos"] = lambda: tagger.tag(phone, batch_size=batch_size)
        rates = counts / in_turns(ways, repeats)
    return pd.DataFrame({"images_per_second": rates, "ratio_to_bare": rates / rates["bare_forward"]}).reset_index()

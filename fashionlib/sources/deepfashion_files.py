"""Where DeepFashion's files lie: the dataset's folder, its annotation, its images."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..data.catalogue import REJECTED, CatalogueError, ImageSource
from ..data.decoding import BadImage
from ..data.files import all_files
from ..data.images import FolderImages
from .crops import CroppedImages
from .deepfashion_lists import IMAGE_FOLDER

REQUEST = """DeepFashion is given out by its authors on request, for research: sign their agreement at
https://mmlab.ie.cuhk.edu.hk/projects/DeepFashion.html and unpack what they send""".replace("\n", " ")


class DeepFashionImages(FolderImages):
    """Images below the folder that ``img/`` stands for; a location is a path as the annotation writes it."""

    def read(self, location: str) -> bytes:
        """The bytes of the image that a list file names."""
        return super().read(location.removeprefix(IMAGE_FOLDER))


def find_folder(name: str, root: Path, subfolders: Sequence[str], files: Sequence[str]) -> Path:
    """The dataset's folder: one of ``subfolders`` of ``root``, or ``root`` itself; it holds one of ``files``."""
    for folder in (*(root / subfolder for subfolder in subfolders), root):
        if any((folder / file).is_file() for file in files):
            return folder
    usual = root / subfolders[0]
    raise CatalogueError(f"{name}: no {' or '.join(files)} in {root} or {usual}. {REQUEST} in {usual}")


def find_file(folder: Path, *candidates: str) -> Path:
    """The first of some files that exists. Raises ``CatalogueError`` that names them all."""
    for candidate in candidates:
        if (folder / candidate).is_file():
            return folder / candidate
    raise CatalogueError(f"{folder}: there is no {' or '.join(candidates)}; unpack the whole release")


def present_images(
    name: str, folder: Path, table: pd.DataFrame, boxes: np.ndarray | None
) -> tuple[ImageSource, pd.DataFrame, pd.DataFrame]:
    """(image source, the rows whose image is there, the others as a table of rejected rows).

    ``table`` has the columns ``image``, ``source`` (its annotation file) and ``row`` (its line there); ``boxes`` (N, 4)
    are what images are cut to. Images are in ``img/``, ``Img/img/`` or ``Img/``; of these, the folder that has most of
    the annotation's first-level folders. Raises ``CatalogueError`` if no image is there at all, or if one is there
    under a name in other letter case, which would be found on some computers and not on others."""
    top = set(table["image"].str.split("/", n=2).str[1].str.casefold())
    img = "[iI][mM][gG]"
    named = (entry for pattern in (img, f"{img}/{img}") for entry in sorted(folder.glob(pattern)))
    candidates = sorted(filter(Path.is_dir, named), key=lambda f: -len(top & {n.casefold() for n in os.listdir(f)}))
    found = dict(all_files(candidates[0])) if candidates else {}
    there = {f"{IMAGE_FOLDER}{path}" for path in found}
    odd = next((f" ({why})" for why in found.values() if isinstance(why, BadImage)), "")  # such as a link to a folder
    here = table["image"].isin(there)
    gone = table[~here]
    on_disk = {path.casefold(): path for path in there} if len(gone) else {}
    for row in gone.itertuples():
        if near := on_disk.get(row.image.casefold()):
            what = f"{row.source} line {row.row}: {row.image} is not in {candidates[0]}; the nearest path is {near}"
            raise CatalogueError(f"{what}, which differs in letter case: rename it as the annotation has it")
    if len(gone) == len(table):
        what = f"{name}: none of the {len(table):,} images that {table['source'].iloc[0]} lists is there. The first"
        where = f"{table['image'].iloc[0]}, belongs in {folder / 'img'} or {folder / 'Img' / 'img'}"
        raise CatalogueError(f"{what}, {where}{odd}. {REQUEST} there")
    rejected = gone.assign(reason=f"no such file in {candidates[0]}{odd}")[list(REJECTED)]
    table, images = table[here].drop(columns=["source", "row"]), DeepFashionImages(candidates[0])
    return images if boxes is None else CroppedImages(images, table["image"], boxes[here]), table, rejected

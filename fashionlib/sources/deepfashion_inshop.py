"""DeepFashion's in-shop clothes retrieval benchmark (Liu et al., 2016)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from ..data.catalogue import Catalogue
from ..tasks import Similarity, SingleLabel
from .crops import CroppedImages
from .deepfashion_files import find_file, find_folder, present_images
from .deepfashion_lists import Rows, find_rows, read_list

NAME = "deepfashion-inshop"
FOLDERS = (NAME, "In-shop Clothes Retrieval Benchmark")
PARTITION = ("Eval/list_eval_partition.txt", "Anno/list_eval_partition.txt", "list_eval_partition.txt")
BOXES = ("Anno/list_bbox_inshop.txt", "Eval/list_bbox_inshop.txt", "list_bbox_inshop.txt")
PARTS = ("train", "query", "gallery")
VALIDATION = 0.15  # of the training items


def open_inshop(root: str | Path, *, crop: bool = True, seed: int = 42) -> Catalogue:
    """The catalogue in ``root``, or in its folder ``deepfashion-inshop`` or ``In-shop Clothes Retrieval Benchmark``.

    Parameters
    ----------
    crop: whether images are cut to the bounding box of the garment.
    seed: of the choice of training items, 15%, that become the split ``val``.

    The official ``query`` and ``gallery`` stay as they are, for the final figure only. Category and gender are folders
    of an image's path: ``img/MEN/Denim/id_00000080/01_1_front.jpg``. ``facts`` counts the queries whose item has no
    image in the gallery. Raises ``CatalogueError`` naming file and line for annotation that is not exactly as
    documented, and for an item on both sides. Rows whose image is not there are in ``rejected``.
    """
    folder = find_folder(NAME, Path(root), FOLDERS, PARTITION)
    rows = read_list(find_file(folder, *PARTITION), "image_name item_id evaluation_status")
    images = rows.images()
    table = _partition(rows, images, seed)
    boxes = None
    if crop:
        found = read_list(find_file(folder, *BOXES), "image_name clothes_type pose_type x_1 y_1 x_2 y_2")
        order = find_rows(images, rows.path, found.images(), found.path)
        boxes = found.integers(3)[order]
    source, table, rejected = present_images(NAME, folder, table)
    if boxes is not None:
        source = CroppedImages(source, table["image"], boxes[table.index])
    queries = table["item"][table["split"] == "query"]
    alone = int((~queries.isin(table["item"][table["split"] == "gallery"])).sum())
    return Catalogue(
        table=table.drop(columns=["source", "line"]),
        tasks=[Similarity("item"), SingleLabel("category"), SingleLabel("gender")],
        images=source,
        name=NAME,
        rejected=rejected,
        facts={"split": "official", "split_seed": seed, "crop": crop, "queries_without_match": alone},
    )


def _partition(rows: Rows, images: pd.Index, seed: int) -> pd.DataFrame:
    """Columns image, gender, category, item, split, source and line."""
    paths = [image.split("/") for image in images]
    for row, path in enumerate(paths):
        if len(path) != 5:
            raise rows.error(row, f"{images[row]} is not a path like img/MEN/Denim/id_00000080/01_1_front.jpg")
    table = pd.DataFrame(
        {
            "image": images,
            "gender": [path[1] for path in paths],
            "category": [path[2] for path in paths],
            "item": rows.column(1),
            "split": rows.choices(2, PARTS),
            "source": str(rows.path),
            "line": np.arange(len(paths)) + rows.first,
        }
    )
    training = table["split"] == "train"
    items = np.sort(table["item"][training].unique())
    both = ~training & table["item"].isin(items)
    if both.any():
        row = int(both.argmax())
        before = int((training & (table["item"] == table.at[row, "item"])).argmax())
        reason = f"item {table.at[row, 'item']} is for {table.at[row, 'split']} here and for train in line"
        raise rows.error(row, f"{reason} {rows.first + before}; it must be on one side")
    chosen = np.random.default_rng(seed).permutation(len(items))[: round(VALIDATION * len(items))]
    table.loc[table["item"].isin(items[chosen]), "split"] = "val"
    return table

"""DeepFashion's in-shop clothes retrieval benchmark (Liu, Luo, Qiu, Wang, Tang, CVPR 2016)."""

from pathlib import Path

import numpy as np
import pandas as pd

from ..data.catalogue import Catalogue
from ..tasks import Similarity, SingleLabel
from .deepfashion_files import find_file, find_folder, present_images
from .deepfashion_lists import ListFile, read_list

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
    documented, and for an item on both sides. Rows whose image is not there are in ``rejected``."""
    folder = find_folder(NAME, Path(root), FOLDERS, PARTITION)
    file = read_list(find_file(folder, *PARTITION), "image_name item_id evaluation_status")
    table, boxes = _partition(file, seed), None
    if crop:
        rows = read_list(find_file(folder, *BOXES), "image_name clothes_type pose_type x_1 y_1 x_2 y_2")
        boxes = rows.integers(3)[rows.order(file)]
    source, table, rejected = present_images(NAME, folder, table, boxes)
    alone = int((~table["item"][table["split"] == "query"].isin(table["item"][table["split"] == "gallery"])).sum())
    tasks = [Similarity("item"), SingleLabel("category"), SingleLabel("gender")]
    facts = {"split": "official", "split_seed": seed, "crop": crop, "queries_without_match": alone}
    return Catalogue(table, tasks, source, NAME, rejected, facts)


def _partition(file: ListFile, seed: int) -> pd.DataFrame:
    """Columns image, gender, category, item, split, source and row, the last two being the file and its line."""
    images = file.images()
    file.refuse(images.str.count("/") != 4, images, "{} is not a path like img/MEN/Denim/id_00000080/01_1_front.jpg")
    table = images.str.split("/", expand=True)[[1, 2]].set_axis(["gender", "category"], axis=1)
    table.insert(0, "image", images)
    table["item"] = file.table["item_id"]
    table["split"] = file.choices("evaluation_status", PARTS)
    training = table["split"] == "train"
    items = np.sort(table["item"][training].unique())
    both = ~training & table["item"].isin(items)
    if both.any():
        item, part = table.loc[both.idxmax(), ["item", "split"]]
        before = (training & (table["item"] == item)).idxmax()
        reason = f"item {item} is for {part} here and for train in line {before}; it must be on one side"
        raise file.error(both.idxmax(), reason)
    chosen = np.random.default_rng(seed).permutation(len(items))[: round(VALIDATION * len(items))]
    table.loc[table["item"].isin(items[chosen]), "split"] = "val"
    return table.assign(source=str(file.path), row=table.index).reset_index(drop=True)

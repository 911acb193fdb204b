"""DeepFashion's category and attribute prediction benchmark (Liu et al., 2016), coarse and fine annotation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..data.catalogue import Catalogue, CatalogueError
from ..tasks import MultiLabel, SingleLabel
from .crops import CroppedImages
from .deepfashion_files import find_file, find_folder, present_images
from .deepfashion_lists import Rows, find_rows, image_index, read_list, read_names, read_rows
from .deepfashion_values import read_attributes

NAME = "deepfashion-attributes"
FOLDERS = (NAME, "Category and Attribute Prediction Benchmark")
COARSE = ("Anno_coarse", "Anno")  # Anno in older copies
PARTS = ("train", "val", "test")
CATEGORY_TYPES = {"1": "upper body", "2": "lower body", "3": "full body"}
ATTRIBUTE_TYPES = {"1": "texture", "2": "fabric", "3": "shape", "4": "part", "5": "style"}
CATEGORY_HEADER = "category_name category_type"
FINE = {
    "pattern": "floral graphic striped embroidered pleated solid lattice".split(),
    "sleeve": "long_sleeve short_sleeve sleeveless".split(),
    "length": "maxi_length mini_length no_dress".split(),
    "neckline": "crew_neckline v_neckline square_neckline no_neckline".split(),
    "fabric": "denim chiffon cotton leather faux knit".split(),
    "fit": "tight loose conventional".split(),
}


@dataclass(frozen=True)
class Annotation:
    """``table`` has the columns image, category, category_type, attributes, split, source and line, the last two being
    where a row comes from; ``boxes`` (N, 4) belong to its rows."""

    table: pd.DataFrame
    categories: tuple[str, ...]
    attributes: tuple[str, ...]
    groups: tuple[str, ...]
    boxes: np.ndarray | None


def open_attributes(root: str | Path, *, annotations: str = "coarse", crop: bool = True) -> Catalogue:
    """The catalogue in ``root``, or in its folder ``deepfashion-attributes`` or ``Category and Attribute Prediction
    Benchmark``.

    Parameters
    ----------
    annotations: ``"coarse"`` (289,222 images, 1,000 attributes; ``Anno_coarse/`` or ``Anno/``) or ``"fine"`` (20,000
        images, 26 attributes; ``Anno_fine/``).
    crop: whether images are cut to the bounding box of the garment.

    The split is the official one. Classes are those of the files, in their order, whether they have images or not.
    Raises ``CatalogueError`` naming file and line for annotation that is not exactly as documented. Rows whose image
    is not there are in ``rejected``.
    """
    if annotations not in ("coarse", "fine"):
        raise ValueError(f"annotations is {annotations!r}; there are 'coarse' and 'fine'")
    if annotations == "coarse":
        files = [f"{anno}/list_category_img.txt" for anno in COARSE]
        folder = find_folder(NAME, Path(root), FOLDERS, files)
        annotation = read_coarse(folder, crop)
    else:
        folder = find_folder(NAME, Path(root), FOLDERS, ["Anno_fine/train.txt"])
        annotation = read_fine(folder, crop)
    images, table, rejected = present_images(NAME, folder, annotation.table)
    if annotation.boxes is not None:
        images = CroppedImages(images, table["image"], annotation.boxes[table.index])
    return Catalogue(
        table=table.drop(columns=["source", "line"]),
        tasks=[
            SingleLabel("category", annotation.categories),
            MultiLabel("attributes", annotation.attributes, annotation.groups),
        ],
        images=images,
        name=NAME if annotations == "coarse" else f"{NAME}-fine",  # published figures are for one or the other
        rejected=rejected,
        facts={"split": "official", "annotations": annotations, "crop": crop},
    )


def read_coarse(folder: Path, crop: bool) -> Annotation:
    """The coarse annotation; its rows are in the order of ``Eval/list_eval_partition.txt``."""
    anno = find_file(folder, *(f"{anno}/list_category_img.txt" for anno in COARSE)).parent
    categories, kinds = read_names(find_file(anno, "list_category_cloth.txt"), CATEGORY_HEADER, CATEGORY_TYPES)
    names_path = find_file(anno, "list_attr_cloth.txt")
    names, groups = read_names(names_path, "attribute_name attribute_type", ATTRIBUTE_TYPES)

    split = read_list(find_file(folder, "Eval/list_eval_partition.txt"), "image_name evaluation_status")
    images = split.images()
    table = pd.DataFrame({"image": images, "split": split.choices(1, PARTS)})
    table["source"], table["line"] = str(split.path), np.arange(len(table)) + split.first

    labels = read_list(anno / "list_category_img.txt", "image_name category_label")
    order = find_rows(images, split.path, labels.images(), labels.path)
    table = table.join(_categories(labels, 1, categories, kinds).iloc[order].reset_index(drop=True))

    path = find_file(anno, "list_attr_img.txt")
    values = read_attributes(path, names, names_path)
    order = find_rows(images, split.path, image_index(path, values["image"]), path)
    table["attributes"] = values["attributes"].to_numpy(dtype=object)[order]

    boxes = None
    if crop:
        rows = read_list(find_file(anno, "list_bbox.txt"), "image_name x_1 y_1 x_2 y_2")
        boxes = rows.integers(1)[find_rows(images, split.path, rows.images(), rows.path)]
    return Annotation(table, categories, names, groups, boxes)


def read_fine(folder: Path, crop: bool) -> Annotation:
    """The fine annotation: for each part four files without headers, aligned by the number of the row."""
    categories, kinds = _fine_categories(folder)
    names = tuple(name for group in FINE.values() for name in group)
    tables, boxes = [], []
    for part in PARTS:
        paths = read_rows(find_file(folder, f"Anno_fine/{part}.txt"), 1)
        labels = _aligned(paths, "cate", 1)
        values = _aligned(paths, "attr", len(names)).integers(0, 0, 1)
        table = pd.DataFrame({"image": paths.images(), "split": part, "source": str(paths.path)})
        table["line"] = np.arange(len(table)) + paths.first
        table = table.join(_categories(labels, 0, categories, kinds))
        table["attributes"] = [";".join(name for name, yes in zip(names, row, strict=True) if yes) for row in values]
        tables.append(table)
        if crop:
            boxes.append(_aligned(paths, "bbox", 4).integers(0))
    table = pd.concat(tables, ignore_index=True)
    twice = table["image"].duplicated()
    if twice.any():
        row = table.iloc[int(twice.argmax())]
        before = table[table["image"] == row["image"]].iloc[0]
        place = f"{before['source']} line {before['line']}"
        raise CatalogueError(f"{row['source']} line {row['line']}: the image {row['image']} is already in {place}")
    groups = tuple(group for group, members in FINE.items() for _ in members)
    return Annotation(table, categories, names, groups, np.concatenate(boxes) if crop else None)


def _fine_categories(folder: Path) -> tuple[tuple[str, ...], tuple[str | None, ...]]:
    """The names in ``list_category_cloth.txt`` of either annotation, or numbers where there is none."""
    for anno in ("Anno_fine", *COARSE):
        if (folder / anno / "list_category_cloth.txt").is_file():
            return read_names(folder / anno / "list_category_cloth.txt", CATEGORY_HEADER, CATEGORY_TYPES)
    return tuple(f"category {k}" for k in range(1, 51)), (None,) * 50


def _aligned(paths: Rows, kind: str, fields: int) -> Rows:
    """The file beside ``train.txt`` that holds one kind of label: ``train_attr.txt``."""
    rows = read_rows(find_file(paths.path.parent, f"{paths.path.stem}_{kind}.txt"), fields)
    if len(rows) != len(paths):
        raise CatalogueError(
            f"{rows.path} line {rows.first + min(len(rows), len(paths))}: the file has {len(rows):,} rows, but "
            f"{paths.path} has {len(paths):,}; they are matched row by row, so one of them is cut or was edited"
        )
    return rows


def _categories(rows: Rows, column: int, names: tuple[str, ...], kinds: tuple[str | None, ...]) -> pd.DataFrame:
    """The columns category and category_type, from labels that count from 1."""
    number = rows.integers(column, 1, len(names))[:, 0] - 1
    return pd.DataFrame({"category": np.array(names, object)[number], "category_type": np.array(kinds, object)[number]})

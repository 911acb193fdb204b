"""DeepFashion's category and attribute prediction benchmark (Liu, Luo, Qiu, Wang, Tang, CVPR 2016), coarse and fine
annotation, as the official releases are unpacked. Its images may not be passed on."""

from pathlib import Path

import numpy as np
import pandas as pd

from ..data.catalogue import Catalogue, CatalogueError
from ..tasks import MultiLabel, SingleLabel, Task
from .deepfashion_files import find_file, find_folder, present_images
from .deepfashion_lists import ListFile, read_list, read_names
from .deepfashion_values import read_attributes

NAME = "deepfashion-attributes"
FOLDERS = (NAME, "Category and Attribute Prediction Benchmark")
COARSE = ("Anno_coarse", "Anno")  # Anno in older copies
PARTS = ("train", "val", "test")
CATEGORY_TYPES = {"1": "upper body", "2": "lower body", "3": "full body"}
ATTRIBUTE_TYPES = {"1": "texture", "2": "fabric", "3": "shape", "4": "part", "5": "style"}
CATEGORY_HEADER = "category_name category_type"
BOX = "x_1 y_1 x_2 y_2"
FINE = {
    "pattern": "floral graphic striped embroidered pleated solid lattice".split(),
    "sleeve": "long_sleeve short_sleeve sleeveless".split(),
    "length": "maxi_length mini_length no_dress".split(),
    "neckline": "crew_neckline v_neckline square_neckline no_neckline".split(),
    "fabric": "denim chiffon cotton leather faux knit".split(),
    "fit": "tight loose conventional".split(),
}


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
    is not there are in ``rejected``."""
    readers = {"coarse": read_coarse, "fine": read_fine}
    if annotations not in readers:
        raise ValueError(f"annotations is {annotations!r}; there are {' and '.join(map(repr, readers))}")
    files = ["Anno_fine/train.txt"] if annotations == "fine" else [f"{a}/list_category_img.txt" for a in COARSE]
    folder = find_folder(NAME, Path(root), FOLDERS, files)
    table, tasks, boxes = readers[annotations](folder, crop)
    images, table, rejected = present_images(NAME, folder, table, boxes)
    name = NAME if annotations == "coarse" else f"{NAME}-fine"  # published figures are for one or the other
    facts = {"split": "official", "annotations": annotations, "crop": crop}
    return Catalogue(table, tasks, images, name, rejected, facts)


def read_coarse(folder: Path, crop: bool) -> tuple[pd.DataFrame, list[Task], np.ndarray | None]:
    """The coarse annotation, in the order of ``Eval/list_eval_partition.txt``: (a table with the columns image,
    category, category_type, attributes, split, source and row, the last two being the file and line where a row comes
    from; its tasks; boxes (N, 4) where they are asked for)."""
    anno = find_file(folder, *(f"{anno}/list_category_img.txt" for anno in COARSE)).parent
    categories, kinds = read_names(find_file(anno, "list_category_cloth.txt"), CATEGORY_HEADER, CATEGORY_TYPES)
    names_path = find_file(anno, "list_attr_cloth.txt")
    names, groups = read_names(names_path, "attribute_name attribute_type", ATTRIBUTE_TYPES)

    split = read_list(find_file(folder, "Eval/list_eval_partition.txt"), "image_name evaluation_status")
    table = _rows(split, split.choices("evaluation_status", PARTS))
    labels = read_list(anno / "list_category_img.txt", "image_name category_label")
    table = table.join(_categories(labels, 1, categories, kinds).iloc[labels.order(split)].reset_index(drop=True))
    path = find_file(anno, "list_attr_img.txt")
    values = read_attributes(path, names, names_path)
    values.index += 3  # the line
    table["attributes"] = values["attributes"].to_numpy(dtype=object)[ListFile(path, values).order(split)]
    boxes = None
    if crop:
        rows = read_list(find_file(anno, "list_bbox.txt"), f"image_name {BOX}")
        boxes = rows.integers(1)[rows.order(split)]
    return table, [SingleLabel("category", categories), MultiLabel("attributes", names, groups)], boxes


def read_fine(folder: Path, crop: bool) -> tuple[pd.DataFrame, list[Task], np.ndarray | None]:
    """The fine annotation, likewise: for each part four files without headers, aligned by the number of the row."""
    categories, kinds = _fine_categories(folder)
    names = tuple(name for group in FINE.values() for name in group)
    tables, boxes = [], []
    for part in PARTS:
        paths = read_list(find_file(folder, f"Anno_fine/{part}.txt"), "image_name", counted=False)
        values = _aligned(paths, "attr", " ".join(names)).integers(0, 0, 1)
        table = _rows(paths, part).join(_categories(_aligned(paths, "cate", "category"), 0, categories, kinds))
        table["attributes"] = [";".join(name for name, yes in zip(names, row, strict=True) if yes) for row in values]
        tables.append(table)
        boxes += [_aligned(paths, "bbox", BOX).integers(0)] * crop
    table = pd.concat(tables, ignore_index=True)
    twice = table["image"].duplicated()
    if twice.any():
        row = table.iloc[int(twice.argmax())]
        before = table[table["image"] == row["image"]].iloc[0]
        place = f"{before['source']} line {before['row']}"
        raise CatalogueError(f"{row['source']} line {row['row']}: the image {row['image']} is already in {place}")
    groups = tuple(group for group, members in FINE.items() for _ in members)
    tasks = [SingleLabel("category", categories), MultiLabel("attributes", names, groups)]
    return table, tasks, np.concatenate(boxes) if crop else None


def _rows(file: ListFile, split: str | list[str]) -> pd.DataFrame:
    images = file.images()
    return pd.DataFrame({"image": images.array, "split": split, "source": str(file.path), "row": images.index})


def _fine_categories(folder: Path) -> tuple[tuple[str, ...], tuple[str | None, ...]]:
    """The names in ``list_category_cloth.txt`` of either annotation, or numbers where there is none."""
    for anno in ("Anno_fine", *COARSE):
        if (folder / anno / "list_category_cloth.txt").is_file():
            return read_names(folder / anno / "list_category_cloth.txt", CATEGORY_HEADER, CATEGORY_TYPES)
    return tuple(f"category {k}" for k in range(1, 51)), (None,) * 50


def _aligned(paths: ListFile, kind: str, columns: str) -> ListFile:
    """The file beside ``train.txt`` that holds one kind of label: ``train_attr.txt``."""
    file = read_list(find_file(paths.path.parent, f"{paths.path.stem}_{kind}.txt"), columns, counted=False)
    n, wanted = len(file.table), len(paths.table)
    if n != wanted:
        reason = f"the file has {n:,} rows, but {paths.path} has {wanted:,}; they are matched row by row"
        raise file.error(1 + min(n, wanted), f"{reason}, so one of them is cut or was edited")
    return file


def _categories(file: ListFile, column: int, names: tuple[str, ...], kinds: tuple[str | None, ...]) -> pd.DataFrame:
    """The columns category and category_type, from labels that count from 1."""
    number = file.integers(column, 1, len(names))[:, 0] - 1
    return pd.DataFrame({"category": np.array(names, object)[number], "category_type": np.array(kinds, object)[number]})

"""Writes a drawn catalogue in the file formats of DeepFashion, whose images may not be passed on.

What the real files do is done here too: count and header lines, columns padded with spaces, names that hold spaces,
zero-padded boxes, categories and attributes without an image, some values that nobody knows. A garment lies somewhere
on a larger noisy canvas, so that it matters whether images are cut to their box. Only clothes are written, and of those
the rows whose labels are known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from fashionlib.data.catalogue import Catalogue

UPPER = (
    "Anorak Blazer Blouse Bomber Button-Down Cardigan Flannel Halter Henley Hoodie Jacket Jersey Parka Peacoat Poncho "
    "Sweater Tank Tee Top Turtleneck"
).split()
LOWER = (
    "Capris Chinos Culottes Cutoffs Gauchos Jeans Jeggings Jodhpurs Joggers Leggings Sarong Shorts Skirt Sweatpants "
    "Sweatshorts Trunks"
).split()
FULL = "Caftan Cape Coat Coverup Dress Jumpsuit Kaftan Kimono Nightdress Onesie Robe Romper Shirtdress Sundress".split()
CATEGORIES = (*UPPER, *LOWER, *FULL)  # as in list_category_cloth.txt; the number of one is its place, from 1
KIND = dict.fromkeys(UPPER, 1) | dict.fromkeys(LOWER, 2) | dict.fromkeys(FULL, 3)
# article type: DeepFashion's category, and the in-shop folders for men and for women
GARMENTS = {
    "Tshirts": ("Tee", "Tees_Tanks", "Tees_Tanks"),
    "Shirts": ("Button-Down", "Shirts_Polos", "Blouses_Shirts"),
    "Tops": ("Top", "Tees_Tanks", "Tees_Tanks"),
    "Jeans": ("Jeans", "Denim", "Denim"),
    "Dresses": ("Dress", "Suiting", "Dresses"),
    "Skirts": ("Skirt", "Suiting", "Skirts"),
}
COARSE = {
    "striped": "striped", "checked": "plaid", "floral": "floral print", "denim": "denim", "sleeveless": "sleeveless",
    "solid": "solid", "short-sleeve": "short sleeve", "long-sleeve": "long sleeve", "crew-neck": "crew neck",
    "v-neck": "v-neck", "collar": "shirt collar", "mini": "mini", "maxi": "maxi", "cropped": "cropped",
    "Casual": "everyday", "Sports": "athletic", "Formal": "formal",
}  # the catalogue's word, the attribute's name # fmt: skip
COARSE_TYPES = {
    1: ("solid", "striped", "plaid", "floral print", "abstract chevron print"),
    2: ("denim", "chiffon"),
    3: ("cropped", "mini", "maxi", "a-line"),
    4: ("sleeveless", "short sleeve", "long sleeve", "crew neck", "v-neck", "shirt collar"),
    5: ("everyday", "athletic", "formal", "bohemian"),
}  # some have no image: abstract chevron print, chiffon, a-line, bohemian
COARSE_TYPE = dict(sorted((name, kind) for kind, names in COARSE_TYPES.items() for name in names))
POSES = ("front", "side", "back", "full", "additional", "flat")
UNKNOWN = 0.01  # of the coarse attributes' values


def write_coarse(catalogue: Catalogue, root: str | Path, seed: int = 0) -> Path:
    """The coarse benchmark of a drawn catalogue below ``root``: ``Anno_coarse/``, ``Eval/``, ``Img/img/``; returns the
    folder to open. ``seed`` chooses the values that nobody knows and where a garment lies."""
    folder = Path(root) / "deepfashion-attributes"
    table = _write_images(catalogue, folder / "Img", _by_title(_garments(catalogue)), seed)
    write_categories(folder / "Anno_coarse")
    write_list(folder / "Anno_coarse/list_attr_cloth.txt", "attribute_name attribute_type", COARSE_TYPE.items(), 29)
    names = [{COARSE.get(word) for word in (*_words(row), row.usage)} for row in table.itertuples()]
    values = np.array([[1 if name in found else -1 for name in COARSE_TYPE] for found in names])
    values[np.random.default_rng(seed).random(values.shape) < UNKNOWN] = 0
    for name, header, columns in (
        ("list_attr_img", "image_name attribute_labels", [[" ".join(f"{v:2d}" for v in row) for row in values]]),
        ("list_category_img", "image_name category_label", [_numbers(table)]),
        ("list_bbox", "image_name x_1 y_1 x_2 y_2", _padded_boxes(table)),
    ):
        write_list(folder / f"Anno_coarse/{name}.txt", header, zip(table["path"], *columns, strict=True), 71)
    parts = zip(table["path"], table["split"], strict=True)
    write_list(folder / "Eval/list_eval_partition.txt", "image_name evaluation_status", parts, 71)
    return folder


def write_inshop(catalogue: Catalogue, root: str | Path, seed: int = 0) -> Path:
    """The in-shop benchmark below ``root``: ``Anno/``, ``Eval/``, ``Img/img/``; returns the folder to open.

    Items with two images or more are written. Every other one is for training; of the others, every other image is a
    query and the rest are in the gallery, so that every query has a match.
    """
    folder = Path(root) / "deepfashion-inshop"
    table = _garments(catalogue)
    table = table[table.groupby("item")["item"].transform("size") > 1].reset_index(drop=True)
    number, place = pd.factorize(table["item"])[0], table.groupby("item").cumcount()
    women = table.groupby("item")["gender"].transform("first").isin(["Women", "Girls"]).astype(int)
    table["id"] = [f"id_{n + 1:08d}" for n in number]
    table["part"] = np.where(number % 2 == 0, "train", np.where(place % 2 == 0, "query", "gallery"))
    table["path"] = [
        f"img/{('MEN', 'WOMEN')[w]}/{GARMENTS[kind][1 + w]}/{item}/01_{k + 1}_{POSES[k % 6]}.jpg"
        for w, kind, item, k in zip(women, table["articleType"], table["id"], place, strict=True)
    ]
    table = _write_images(catalogue, folder / "Img", table, seed)
    parts = zip(table["path"], table["id"], table["part"], strict=True)
    write_list(folder / "Eval/list_eval_partition.txt", "image_name item_id evaluation_status", parts, 71, False)
    kinds = table["articleType"].map(lambda kind: KIND[GARMENTS[kind][0]])
    rows = zip(table["path"], kinds, place % 6 + 1, *_padded_boxes(table), strict=True)
    header = "image_name clothes_type pose_type x_1 y_1 x_2 y_2"
    write_list(folder / "Anno/list_bbox_inshop.txt", header, rows, 71, False)
    return folder


def write_categories(folder: Path) -> None:
    """Write ``list_category_cloth.txt``: the categories and their kinds."""
    write_list(folder / "list_category_cloth.txt", "category_name category_type", KIND.items(), 15)


def write_list(path: Path, header: str, rows: Iterable[Sequence], width: int, padded_header: bool = True) -> None:
    """Count, header, rows; the first column is padded to ``width``, and the header's too in some files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{str(first):<{width - 1}} {' '.join(map(str, others))}" for first, *others in rows]
    first, rest = header.split(" ", 1)
    title = f"{first:<{width - 1}} {rest}" if padded_header else header
    path.write_text("\n".join([str(len(lines)), title, *lines]) + "\n", encoding="utf-8")


def _garments(catalogue: Catalogue) -> pd.DataFrame:
    """The rows that DeepFashion could have; ``row`` is their number in the catalogue."""
    table = catalogue.table.assign(row=np.arange(len(catalogue)))
    table = table[table["articleType"].isin(list(GARMENTS)) & table["gender"].notna() & table["usage"].notna()]
    return table.reset_index(drop=True)


def _by_title(table: pd.DataFrame) -> pd.DataFrame:
    """With the column ``path``: a folder for each title and a number in it, as in the coarse benchmark."""
    titles = table["productDisplayName"].map(lambda name: re.sub(r"[^A-Za-z0-9'-]+", "_", name))
    numbers = titles.groupby(titles).cumcount() + 1
    return table.assign(path=[f"img/{t}/img_{n:08d}.jpg" for t, n in zip(titles, numbers, strict=True)])


def _numbers(table: pd.DataFrame) -> list[int]:
    """Of the categories, from 1."""
    return [CATEGORIES.index(GARMENTS[kind][0]) + 1 for kind in table["articleType"]]


def _words(row) -> list[str]:
    """The drawn garment's attributes without the names of their groups."""
    return [word.rpartition(":")[2] for word in row.attributes.split(";")]


def _write_images(catalogue: Catalogue, folder: Path, table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Write each garment on a canvas half as large again; returns the table with the column ``box``."""
    boxes = []
    for row, path in zip(table["row"], table["path"], strict=True):
        pixels = catalogue.read(int(row))
        height, width = pixels.shape[:2]
        rng = np.random.default_rng((seed, int(row)))
        shape = (height * 3 // 2, width * 3 // 2, 3)
        canvas = np.clip(rng.integers(0, 256, 3) + rng.normal(0, 40, shape), 0, 255).astype(np.uint8)
        top, left = (int(v) for v in rng.integers(0, [shape[0] - height + 1, shape[1] - width + 1]))
        canvas[top : top + height, left : left + width] = pixels
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(canvas).save(folder / path, "JPEG", quality=95)
        boxes.append((left, top, left + width, top + height))
    return table.assign(box=boxes)


def _padded_boxes(table: pd.DataFrame) -> list[list[str]]:
    """The four columns of the boxes, zero-padded to three digits."""
    return [[f"{box[k]:03d}" for box in table["box"]] for k in range(4)]

"""Writes a drawn catalogue in the file formats of DeepFashion, so that its readers can be tested and tried without it.

What the real files do is done here too: count and header lines, columns padded with spaces, names that hold spaces,
zero-padded boxes, categories and attributes without an image, some values that nobody knows. A garment lies somewhere
on a larger noisy canvas, so that it matters whether images are cut to their box.

Only garments are written, since DeepFashion has nothing else, and of those the rows whose labels are known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from fashionlib.data.catalogue import Catalogue
from fashionlib.sources.deepfashion_attributes import CATEGORY_HEADER, FINE, PARTS
from fashionlib.sources.deepfashion_attributes import NAME as ATTRIBUTES_FOLDER
from fashionlib.sources.deepfashion_inshop import NAME as INSHOP_FOLDER

UPPER = (
    "Anorak Blazer Blouse Bomber Button-Down Cardigan Flannel Halter Henley Hoodie Jacket Jersey Parka Peacoat Poncho "
    "Sweater Tank Tee Top Turtleneck"
).split()
LOWER = (
    "Capris Chinos Culottes Cutoffs Gauchos Jeans Jeggings Jodhpurs Joggers Leggings Sarong Shorts Skirt Sweatpants "
    "Sweatshorts Trunks"
).split()
FULL = (
    "Caftan Cape Coat Coverup Dress Jumpsuit Kaftan Kimono Nightdress Onesie Robe Romper Shirtdress Sundress"
).split()
CATEGORIES = (*UPPER, *LOWER, *FULL)  # as in list_category_cloth.txt; the number of one is its place, from 1
KIND = {name: 1 for name in UPPER} | {name: 2 for name in LOWER} | {name: 3 for name in FULL}
GARMENTS = {
    "Tshirts": "Tee", "Shirts": "Button-Down", "Tops": "Top", "Jeans": "Jeans", "Kurtas": "Kaftan", "Dresses": "Dress",
    "Trousers": "Chinos", "Sweatshirts": "Hoodie", "Shorts": "Shorts", "Jackets": "Jacket", "Track Pants": "Sweatpants",
    "Skirts": "Skirt", "Blazers": "Blazer",
}  # fmt: skip
COARSE_NAMES = {
    "solid": "solid", "striped": "striped", "checked": "plaid", "polka-dot": "polka dot print",
    "floral": "floral print", "printed": "graphic print", "denim": "denim", "sleeveless": "sleeveless",
    "short-sleeve": "short sleeve", "long-sleeve": "long sleeve", "crew-neck": "crew neck", "v-neck": "v-neck",
    "scoop-neck": "scoop neck", "polo-collar": "polo collar", "shirt-collar": "shirt collar", "hooded": "hooded",
    "stand-collar": "stand collar", "lapel": "lapel collar", "short-cut": "cropped", "regular-cut": "regular cut",
    "long-cut": "maxi",
    "Casual": "everyday", "Sports": "athletic", "Formal": "formal", "Party": "party", "Ethnic": "bohemian",
}  # fmt: skip
COARSE_TYPES = {
    1: "solid;striped;plaid;polka dot print;floral print;graphic print;abstract chevron print",
    2: "denim;chiffon",
    3: "cropped;regular cut;maxi;a-line",
    4: "sleeveless;short sleeve;long sleeve;crew neck;v-neck;scoop neck;polo collar;shirt collar;hooded;stand collar;"
    "lapel collar",
    5: "everyday;athletic;formal;party;bohemian",
}  # some have no image: abstract chevron print, chiffon, a-line
COARSE_TYPE = dict(sorted((name, kind) for kind, names in COARSE_TYPES.items() for name in names.split(";")))
FINE_NAMES = {
    "solid": "solid", "denim": "denim", "striped": "striped", "checked": "lattice", "polka-dot": "graphic",
    "floral": "floral", "printed": "graphic", "sleeveless": "sleeveless", "short-sleeve": "short_sleeve",
    "long-sleeve": "long_sleeve", "crew-neck": "crew_neckline", "v-neck": "v_neckline", "fitted": "tight",
    "straight-fit": "conventional", "childrens-fit": "loose",
}  # fmt: skip
DEPARTMENTS = {
    "Tshirts": ("Tees_Tanks", "Tees_Tanks"), "Shirts": ("Shirts_Polos", "Blouses_Shirts"),
    "Tops": ("Tees_Tanks", "Tees_Tanks"), "Jeans": ("Denim", "Denim"), "Kurtas": ("Shirts_Polos", "Blouses_Shirts"),
    "Dresses": ("Suiting", "Dresses"), "Trousers": ("Pants", "Pants"),
    "Sweatshirts": ("Sweatshirts_Hoodies", "Sweatshirts_Hoodies"), "Shorts": ("Shorts", "Shorts"),
    "Jackets": ("Jackets_Vests", "Jackets_Coats"), "Track Pants": ("Pants", "Pants"), "Skirts": ("Suiting", "Skirts"),
    "Blazers": ("Suiting", "Jackets_Coats"),
}  # for men, for women # fmt: skip
POSES = ("front", "side", "back", "full", "additional", "flat")
UNKNOWN = 0.01  # of the coarse attributes' values


def write_coarse(catalogue: Catalogue, root: str | Path, seed: int = 0) -> Path:
    """The coarse benchmark of a drawn catalogue below ``root``: ``Anno_coarse/``, ``Eval/``, ``Img/img/``; returns the
    folder to open. ``seed`` chooses the values that nobody knows and where a garment lies."""
    folder = Path(root) / ATTRIBUTES_FOLDER
    table = _write_images(catalogue, folder / "Img", _by_title(_garments(catalogue)), seed)
    write_categories(folder / "Anno_coarse")
    write_list(folder / "Anno_coarse/list_attr_cloth.txt", "attribute_name attribute_type", COARSE_TYPE.items(), 29)
    names = [[COARSE_NAMES.get(word) for word in (*_words(row), row.usage)] for row in table.itertuples()]
    values = np.array([[1 if name in row else -1 for name in COARSE_TYPE] for row in names])
    values[np.random.default_rng(seed).random(values.shape) < UNKNOWN] = 0
    tails = [" ".join(f"{value:2d}" for value in row) for row in values.tolist()]
    numbers = table["articleType"].map(lambda kind: CATEGORIES.index(GARMENTS[kind]) + 1)
    for name, header, columns in (
        ("list_attr_img", "image_name attribute_labels", [tails]),
        ("list_category_img", "image_name category_label", [numbers]),
        ("list_bbox", "image_name x_1 y_1 x_2 y_2", _padded_boxes(table)),
    ):
        write_list(folder / f"Anno_coarse/{name}.txt", header, zip(table["path"], *columns, strict=True), 71)
    parts = zip(table["path"], table["split"], strict=True)
    write_list(folder / "Eval/list_eval_partition.txt", "image_name evaluation_status", parts, 71)
    return folder


def write_fine(catalogue: Catalogue, root: str | Path, seed: int = 0) -> Path:
    """The fine benchmark below ``root``: ``Anno_fine/`` and ``Img/img/``; returns the folder to open. The images are
    those of ``write_coarse``, and both may lie in one folder."""
    folder = Path(root) / ATTRIBUTES_FOLDER
    table = _write_images(catalogue, folder / "Img", _by_title(_garments(catalogue)), seed)
    write_categories(folder / "Anno_fine")
    names = [name for group in FINE.values() for name in group]
    for part in PARTS:
        rows = table[table["split"] == part]
        labels = [" ".join(str(int(name in _fine_names(row))) for name in names) + " " for row in rows.itertuples()]
        numbers = [str(CATEGORIES.index(GARMENTS[kind]) + 1) for kind in rows["articleType"]]
        corners = [" ".join(row) for row in zip(*_padded_boxes(rows), strict=True)]
        for kind, lines in (("", rows["path"]), ("_attr", labels), ("_cate", numbers), ("_bbox", corners)):
            (folder / f"Anno_fine/{part}{kind}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def write_inshop(catalogue: Catalogue, root: str | Path, seed: int = 0) -> Path:
    """The in-shop benchmark below ``root``: ``Anno/``, ``Eval/``, ``Img/img/``; returns the folder to open.

    Items with two images or more are written. Every other one is for training; of the others, every other image is a
    query and the rest are in the gallery, so that every query has a match.
    """
    folder = Path(root) / INSHOP_FOLDER
    table = _garments(catalogue)
    table = table[table.groupby("item")["item"].transform("size") > 1].reset_index(drop=True)
    number = pd.factorize(table["item"])[0]
    place = table.groupby("item").cumcount()
    women = table.groupby("item")["gender"].transform("first").isin(["Women", "Girls"])
    department = [DEPARTMENTS[kind][int(w)] for kind, w in zip(table["articleType"], women, strict=True)]
    table["id"] = [f"id_{n + 1:08d}" for n in number]
    table["part"] = np.where(number % 2 == 0, "train", np.where(place % 2 == 0, "query", "gallery"))
    table["path"] = [
        f"img/{'WOMEN' if w else 'MEN'}/{folder_name}/{item}/01_{k + 1}_{POSES[k % 6]}.jpg"
        for w, folder_name, item, k in zip(women, department, table["id"], place, strict=True)
    ]
    table = _write_images(catalogue, folder / "Img", table, seed)
    parts = zip(table["path"], table["id"], table["part"], strict=True)
    write_list(folder / "Eval/list_eval_partition.txt", "image_name item_id evaluation_status", parts, 71, False)
    kinds = table["articleType"].map(lambda kind: KIND[GARMENTS[kind]])
    rows = zip(table["path"], kinds, place % 6 + 1, *_padded_boxes(table), strict=True)
    header = "image_name clothes_type pose_type x_1 y_1 x_2 y_2"
    write_list(folder / "Anno/list_bbox_inshop.txt", header, rows, 71, False)
    return folder


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


def _words(row) -> list[str]:
    """The drawn garment's attributes without the names of their groups."""
    return [word.rpartition(":")[2] for word in row.attributes.split(";")]


def _fine_names(row) -> set[str]:
    """At least one name of each group that every garment has; the drawn catalogue does not know about the fabric."""
    words = _words(row)
    names = {FINE_NAMES[word] for word in words if word in FINE_NAMES}
    length = {"long-cut": "maxi_length", "short-cut": "mini_length"} if row.articleType == "Dresses" else {}
    names |= {length[word] for word in words if word in length} or {"no_dress"}
    names |= set() if names & set(FINE["neckline"]) else {"no_neckline"}
    return names | ({"knit"} if row.articleType == "Sweatshirts" else set() if "denim" in names else {"cotton"})


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


def write_categories(folder: Path) -> None:
    """Write ``list_category_cloth.txt``: the categories and their kinds."""
    write_list(folder / "list_category_cloth.txt", CATEGORY_HEADER, KIND.items(), 15)


def write_list(path: Path, header: str, rows: Iterable[Sequence], width: int, padded_header: bool = True) -> None:
    """Count, header, rows; the first column is padded to ``width``, and the header's too in some files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{str(first):<{width - 1}} {' '.join(map(str, others))}" for first, *others in rows]
    first, rest = header.split(" ", 1)
    title = f"{first:<{width - 1}} {rest}" if padded_header else header
    path.write_text("\n".join([str(len(lines)), title, *lines]) + "\n", encoding="utf-8")

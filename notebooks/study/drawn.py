"""Drawn garments: a tiny catalogue for tests and the smoke profile, with the columns and tasks of Fashion Product
Images. Every label but the year can be seen: article type is the silhouette, gender its width and size, season the
backdrop, usage the trimmings, brand the label sewn on, an attribute the cloth's pattern or a part of the shape."""

import hashlib
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from math import cos, pi, sin

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from fashionlib.data.catalogue import Catalogue
from fashionlib.data.decoding import BadImage
from fashionlib.data.splits import random_split
from fashionlib.sources.products import SEVEN, name_words, product_tasks

EDITION = 2  # raise it when drawing changes: pixel caches and finished runs of older pictures are then not reused
ALL, WOMEN = ("Men", "Women", "Boys", "Girls"), ("Women", "Girls")
SHORT_LONG, CREW_V = ("short-sleeve", "long-sleeve"), ("crew-neck", "v-neck")
# article type: master and sub category, noun in a name, genders, and sets of words of which one applies each
ARTICLES = {
    "Tshirts": ("Apparel", "Topwear", "T-shirt", ALL, SHORT_LONG, CREW_V),
    "Shirts": ("Apparel", "Topwear", "Shirt", ALL, ("long-sleeve", "short-sleeve"), ("collar",)),
    "Casual Shoes": ("Footwear", "Shoes", "Casual Shoes", ALL, ("low-top", "high-top")),
    "Jeans": ("Apparel", "Bottomwear", "Jeans", ALL, ("denim",), ("full-length", "cropped")),
    "Handbags": ("Accessories", "Bags", "Handbag", ("Women",), ("short-strap", "long-strap")),
    "Tops": ("Apparel", "Topwear", "Top", WOMEN, ("sleeveless", "short-sleeve"), ("v-neck", "crew-neck")),
    "Dresses": ("Apparel", "Dress", "Dress", WOMEN, ("sleeveless", "short-sleeve"), ("mini", "maxi"), CREW_V),
    "Skirts": ("Apparel", "Bottomwear", "Skirt", WOMEN, ("mini", "maxi")),
    "Sandals": ("Footwear", "Sandal", "Sandals", ALL),
}  # from the commonest to the rarest, as in every list below
TEXTURES = ("solid", "striped", "checked", "floral")
GROUPS = {
    "texture": TEXTURES,
    "fabric": ("denim",),
    "shape": ("full-length", "cropped", "mini", "maxi", "low-top", "high-top"),
    "part": (*SHORT_LONG, "sleeveless", *CREW_V, "collar", "short-strap", "long-strap"),
}
GROUP = {word: group for group, words in GROUPS.items() for word in words}
COLOURS = {
    "Blue": (50, 90, 190), "Black": (40, 40, 44), "Red": (200, 40, 45), "Green": (50, 140, 70), "Grey": (140, 142, 146),
    "Pink": (240, 140, 175), "Brown": (125, 80, 45), "Yellow": (240, 205, 60),
}  # fmt: skip
BACKDROPS = {"Summer": (252, 252, 252), "Fall": (250, 234, 208), "Winter": (218, 232, 250), "Spring": (222, 246, 222)}
USAGES = ("Casual", "Sports", "Formal")  # Sports: two lines down the sides; Formal: a row of buttons
BRANDS = {"Alder": (250, 120, 0), "Birch": (0, 200, 200), "Cedar": (150, 0, 200), "Elm": (250, 250, 250)}  # its label
LINES = "Oak Pine Hazel Maple Rowan Linden Poplar Willow Laurel Juniper Acacia Cypress".split()
FINE = 3  # drawn so many times enlarged, then averaged: smooth edges


@dataclass(frozen=True)
class DrawnImages:
    """Draws the image at a location such as ``drawn/000123_2``: item 123, view 2, always with the same pixels."""

    seed: int = 42
    size: tuple[int, int] = (60, 80)  # width, height

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(repr(("drawn", EDITION, *astuple(self))).encode()).hexdigest()

    def read(self, location: str) -> np.ndarray:
        """Pixels, uint8 (H, W, 3). Raises ``BadImage`` for what is not a location."""
        folder, _, name = location.partition("/")
        item, _, view = name.partition("_")
        if folder != "drawn" or not (item.isdecimal() and view.isdecimal()):
            raise BadImage(f"{location}: not the location of a drawing, like drawn/000123_2")
        return draw(product(self.seed, int(item)), (self.seed, int(item), int(view)), self.size)


def open_drawn(items: int = 600, views: int = 4, seed: int = 42, size=(60, 80), missing: float = 0.0) -> Catalogue:
    """A catalogue of drawn garments, one row per image of ``size`` (width, height) in pixels.

    ``items``: how many products, the first ones one of each article type. ``views``: most images of a product; each has
    between 2 and this many (or 1 if it is 1). ``seed``: of everything. ``missing``: share of the seven product labels
    that is left out, each on its own. The split is of single images, 70/15/15 within each article type. Raises
    ``ValueError`` for a value that makes no sense."""
    if items < 1 or views < 1:
        raise ValueError(f"items is {items} and views is {views}; both must be at least 1")
    rows = []
    for item in range(items):
        count = np.random.default_rng((seed, item, 1)).integers(min(views, 2), views + 1)
        shown = {"item": f"d{item:06d}", **product(seed, item)}
        rows += [{"image": f"drawn/{item:06d}_{view}", **shown} for view in range(count)]
    table = pd.DataFrame(rows, dtype=object)
    table["split"] = random_split(table["articleType"], seed)
    rng = np.random.default_rng((seed, 2))
    for name in SEVEN:
        table[name] = table[name].mask(rng.random(len(table)) < missing, None)
    table["category"] = table["articleType"]
    return Catalogue(
        table=table.astype(object).where(table.notna(), None),
        tasks=product_tasks(minimum=1),
        images=DrawnImages(seed, (int(size[0]), int(size[1]))),
        name="drawn",
        facts={"split": "random", "split_seed": seed, "items": items, "views": views, "missing": missing},
    )


def product(seed: int, item: int) -> dict[str, str]:
    """The labels of one product; the same arguments give the same."""
    rng = np.random.default_rng((seed, item))
    kind = _pick(rng, list(ARTICLES)) if item >= len(ARTICLES) else list(ARTICLES)[item]
    master, sub, noun, genders, *choices = ARTICLES[kind]
    gender, colour, season = _pick(rng, genders), _pick(rng, list(COLOURS)), _pick(rng, list(BACKDROPS))
    usage, brand, line = _pick(rng, USAGES), _pick(rng, list(BRANDS)), LINES[rng.integers(len(LINES))]
    texture = "solid" if kind in ("Jeans", "Sandals") else _pick(rng, TEXTURES)
    words = [texture, *(_pick(rng, choice) for choice in choices)]
    said = [word.title() for word in words if word in ("striped", "checked", "floral", "v-neck", "maxi")]
    name = " ".join([brand, gender, line, *said, colour, noun])
    return {
        "gender": gender, "masterCategory": master, "subCategory": sub, "articleType": kind, "baseColour": colour,
        "season": season, "usage": usage, "year": str(2011 + rng.integers(3)), "productDisplayName": name,
        "attributes": ";".join(sorted([f"colour:{colour}", *(f"{GROUP[word]}:{word}" for word in words)])),
        "brands": brand.lower(), "words": name_words(name),
    }  # fmt: skip


def _pick(rng: np.random.Generator, names: Sequence[str]) -> str:
    """One of the names; the k-th comes as often as 1 / (k + 2)."""
    share = np.cumsum(1 / np.arange(2, len(names) + 2))
    return names[int(np.searchsorted(share, rng.random() * share[-1], side="right"))]


Points = list[tuple[float, float]]


def draw(labels: dict[str, str], key: tuple[int, int, int], size: tuple[int, int]) -> np.ndarray:
    """The pixels, uint8 (H, W, 3), of a product's view; ``key`` is (seed, item, view), and what is not in the labels
    (shade, pattern, where the label is sewn on, camera) follows from it.

    Points are in pixels of a 60 x 80 picture; x is 0 in the middle, y is 0 at the top."""
    own, camera = np.random.default_rng((*key[:2], 3)), np.random.default_rng((*key, 4))
    words = {word.rpartition(":")[2] for word in labels["attributes"].split(";")}
    women, child = labels["gender"] in WOMEN, labels["gender"] in ("Boys", "Girls")
    unit = FINE * min(size[0] / 60, size[1] / 80)
    high = unit * camera.uniform(0.92, 1.04) * (0.72 if child else 1.0)
    wide = high * own.uniform(0.95, 1.05) * (0.8 if women else 1.0) * camera.choice([-1, 1])  # -1: seen in a mirror
    left, top = (FINE * side / 2 + unit * camera.uniform(-2.5, 2.5) for side in size)

    def fill(image: Image.Image, colour, *polygons: Points) -> None:
        pen = ImageDraw.Draw(image)
        for points in polygons:
            pen.polygon([(x * wide + left, (y - 40) * high + top) for x, y in points], colour)

    large = FINE * size[0], FINE * size[1]
    backdrop = BACKDROPS[labels["season"]]
    colour = np.array(COLOURS[labels["baseColour"]]) + own.integers(-14, 15, 3)
    second = tuple(np.where(colour.mean() > 110, colour * 0.45, colour * 0.4 + 150).astype(int).tolist())
    picture, cloth, where = Image.new("RGB", large, backdrop), Image.new("RGB", large), Image.new("L", large)
    fill(cloth, tuple(colour.tolist()), _box(-40, -20, 40, 100))
    fill(cloth, second, *_pattern(words, own.uniform(6, 11), own.uniform(0, 6)))
    if labels["usage"] == "Sports":
        fill(cloth, (255, 255, 255), *_both(_box(7.5, 0, 9.5, 80)))
    if labels["usage"] == "Formal":
        fill(cloth, (15, 15, 15), *(_circle(0, y, 1.5) for y in range(20, 80, 7)))
    x, y = own.uniform(-6, 4), own.uniform(38, 50)
    fill(cloth, BRANDS[labels["brands"].title()], _box(x, y, x + 4, y + 4))
    fill(where, 255, *_silhouette(labels["articleType"], words))
    picture.paste(cloth, mask=where)
    if "crew-neck" in words:
        fill(picture, backdrop, _circle(0, 13, 5))
    if "v-neck" in words:
        fill(picture, backdrop, [(-5, 12), (5, 12), (0, 28)])
    if "collar" in words:
        fill(picture, second, *_both([(0, 15), (5, 10), (9, 16), (4, 24)]))
    pixels = np.asarray(picture.reduce(FINE), np.float32) * camera.uniform(0.88, 1.04)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def _silhouette(kind: str, words: set[str]) -> list[Points]:
    """The polygons that make up an article of some type."""
    if kind in ("Tshirts", "Shirts", "Tops", "Dresses"):
        shoulder = 10 if "sleeveless" in words else 14
        top = [(4, 12), (shoulder, 16), (shoulder - 1, 28)]
        parts = {"Tshirts": [(14, 64)], "Shirts": [(15, 70), (5, 74)], "Tops": [(17, 56)]}
        hem = parts.get(kind) or [(9, 36), (21, 74) if "maxi" in words else (17, 54)]
        sleeve = {"short-sleeve": [(24, 32), (18, 37)], "long-sleeve": [(26, 60), (20, 62)]}
        sleeves = [[(12, 15), *sleeve[word], (12, 30)] for word in sleeve if word in words]
        return [_whole([*top, *hem]), *(side for points in sleeves for side in _both(points))]
    if kind == "Jeans":
        end = 56 if "cropped" in words else 76
        return [_whole([(11, 8), (13, end), (5, end), (0, 30)])]
    if kind == "Skirts":
        return [_whole([(9, 16), (20, 74) if "maxi" in words else (16, 44)])]
    if kind == "Handbags":
        rise = 6 if "long-strap" in words else 24
        strap = [(10, 36), (7, rise), (0, rise), (0, rise + 3), (5, rise + 3), (7, 36)]
        return [_whole([(19, 36), (22, 70)]), *_both(strap)]
    if kind == "Sandals":
        straps = [(-22, 58), (-18, 38), (-12, 38), (-16, 58)], [(4, 58), (10, 44), (18, 48), (16, 58)]
        return [_box(-24, 57, 24, 62), *straps]
    ankle = 24 if "high-top" in words else 38
    return [[(-22, ankle), (-8, ankle), (-3, 44), (22, 53), (25, 62), (-24, 62)]]


def _pattern(words: set[str], pitch: float, start: float) -> list[Points]:
    """What is printed on a fabric: lines or flowers, every so many pixels."""
    steps = np.arange(start - 40, 100, pitch).tolist()
    across = [_box(-40, y, 40, y + pitch / 3) for y in steps]
    if "striped" in words:
        return across
    if "checked" in words:
        return across + [_box(x, -20, x + pitch / 3, 100) for x in steps]
    if "floral" in words:
        return [_circle(x, y, 3, 1.6) for x in steps[1:-1] for y in steps if abs(x) < 30]
    return []


def _box(left: float, top: float, right: float, bottom: float) -> Points:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _circle(x: float, y: float, radius: float, inner: float | None = None) -> Points:
    """An octagon; a star of four rays where every other corner is ``inner`` from the middle."""
    radii = [radius, radius if inner is None else inner] * 4
    return [(x + r * cos(k * pi / 4), y + r * sin(k * pi / 4)) for k, r in enumerate(radii)]


def _both(points: Points) -> list[Points]:
    """A polygon and its mirror image."""
    return [points, [(-x, y) for x, y in points]]


def _whole(right: Points) -> Points:
    """A symmetric polygon from its right half, from top to bottom."""
    return [*right, *((-x, y) for x, y in reversed(right))]

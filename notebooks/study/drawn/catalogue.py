"""The synthetic catalogue: garments drawn on demand, nothing to download.

It has the columns of Fashion Product Images, the labels of the thesis pipeline (category, attributes, item),
and as many
items and views as are asked for. Its pixels are never stored: a location names the seed, and drawing is quick.
"""

from __future__ import annotations

import hashlib
from dataclasses import astuple, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from fashionlib.data.catalogue import Catalogue
from fashionlib.data.decoding import BadImage
from fashionlib.data.splits import grouped_split, random_split
from fashionlib.tasks import Hierarchy, MultiLabel, Similarity, SingleLabel
from .garments.drawing import draw
from .garments.shapes import Garment
from .garments.views import random_view
from .garments.wardrobe import product
from fashionlib.sources.products import SEVEN, TAXONOMY, name_words

EDITION = 1  # raise it when drawing changes: pixel caches and finished runs of older pictures are then not reused
WORD_MINIMUM = 10  # training images that a word of productDisplayName needs to become an auxiliary target


@dataclass(frozen=True)
class DrawnImages:
    """Draws the image at a location such as ``synthetic/000123_2``: item 123, view 2.

    The same (seed, item, view, size) gives the same pixels, whatever was drawn before.
    """

    seed: int = 42
    size: tuple[int, int] = (60, 80)  # width, height

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(repr(("synthetic", EDITION, *astuple(self))).encode()).hexdigest()

    def read(self, location: str) -> np.ndarray:
        """Pixels, uint8 (H, W, 3). Raises ``BadImage`` for what is not a location."""
        try:
            folder, _, name = location.partition("/")
            item, view = map(int, name.split("_"))
        except ValueError:
            folder, item, view = "", -1, -1
        if folder != "synthetic" or item < 0 or view < 0:
            raise BadImage(f"{location}: not the location of a drawing, like synthetic/000123_2")
        garment = _garment(self.seed, item)
        return draw(garment, random_view(np.random.default_rng((self.seed, item, 1 + view)), view), self.size)


@lru_cache(maxsize=64)  # the views of a product are usually read one after the other
def _garment(seed: int, item: int) -> Garment:
    return product(seed, item)[0]


def open_synthetic(
    root: str | Path | None = None,
    *,
    items: int = 600,
    views: int = 4,
    seed: int = 42,
    size: tuple[int, int] = (60, 80),
    missing: float = 0.0,
    split: str = "random",
) -> Catalogue:
    """A catalogue of drawn garments, one row per image.

    Parameters
    ----------
    root: not used; the other sources have one.
    items: how many products.
    views: most images of a product; each has between 2 and this many (or 1 if ``views`` is 1).
    seed: of everything: products, views, labels, split.
    size: width and height of the images, in pixels.
    missing: share of the seven product labels that is left out, each on its own.
    split: ``"random"`` (single images, 70/15/15 within each article type) or ``"grouped"`` (all views of a product on
        one side).

    Raises ``ValueError`` for a value that makes no sense.
    """
    if items < 1 or views < 1:
        raise ValueError(f"items is {items} and views is {views}; both must be at least 1")
    if not 0 <= missing < 1:
        raise ValueError(f"missing is {missing}; it is a share, from 0 to below 1")
    if split not in ("random", "grouped"):
        raise ValueError(f"split is {split!r}; there are 'random' and 'grouped'")
    rows = []
    for item in range(items):
        labels = product(seed, item)[1]
        count = int(np.random.default_rng((seed, item, 0, 1)).integers(min(views, 2), views + 1))
        for view in range(count):
            rows.append({"image": f"synthetic/{item:06d}_{view}", "item": f"s{item:06d}", **labels})
    table = pd.DataFrame(rows)
    table["words"] = table["productDisplayName"].map(name_words)
    if split == "random":
        table["split"] = random_split(table["articleType"], seed)
    else:
        table["split"] = grouped_split(table["item"], table["articleType"], seed)
    if missing:
        rng = np.random.default_rng((seed, 0, 0, 2))
        for name in SEVEN:
            table[name] = table[name].astype(object).mask(rng.random(len(table)) < missing, None)
        table["category"] = table["articleType"]
    table = table.astype(object).where(table.notna(), None)
    return Catalogue(
        table=table,
        tasks=synthetic_tasks(),
        images=DrawnImages(seed, (int(size[0]), int(size[1]))),
        name="synthetic",
        facts={"split": split, "split_seed": seed, "items": items, "views": views, "missing": missing},
    )


def synthetic_tasks() -> list:
    """Those of Fashion Product Images, and those of the thesis pipeline: category, attributes and item."""
    return [
        Hierarchy("taxonomy", TAXONOMY),
        *(SingleLabel(name) for name in SEVEN),
        SingleLabel("category"),
        SingleLabel("year", evaluated=False),
        MultiLabel("words", minimum=WORD_MINIMUM, evaluated=False),
        MultiLabel("attributes"),
        Similarity("item"),
    ]

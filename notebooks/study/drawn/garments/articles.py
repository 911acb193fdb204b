"""The made-up shop's range: its article types, their place in the taxonomy, and how often each property occurs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

MEN, WOMEN, ALL = (
    {"Men": 0.84, "Boys": 0.16},
    {"Women": 0.86, "Girls": 0.14},
    {"Men": 0.5, "Women": 0.34, "Boys": 0.08, "Girls": 0.08},
)
WARM, COLD = {"Summer": 0.74, "Spring": 0.16, "Fall": 0.1}, {"Winter": 0.62, "Fall": 0.33, "Spring": 0.05}
YEARLY = {"Summer": 0.38, "Fall": 0.3, "Winter": 0.24, "Spring": 0.08}
CASUAL, SPORTS, FORMAL = (
    {"Casual": 0.93, "Party": 0.07},
    {"Sports": 0.95, "Casual": 0.05},
    {"Formal": 0.9, "Casual": 0.1},
)
PLAIN = {"solid": 1.0}


@dataclass(frozen=True)
class Article:
    """One article type: its place in the taxonomy, how it is drawn, and how often each property occurs."""

    name: str
    sub: str
    master: str
    kind: str  # silhouette
    gender: Mapping[str, float]
    season: Mapping[str, float]
    usage: Mapping[str, float]
    pattern: Mapping[str, float] = field(default_factory=lambda: PLAIN)
    sleeve: Mapping[str, float] | None = None  # None: it has none to speak of
    neckline: Mapping[str, float] | None = None
    length: Mapping[str, float] | None = None
    fit: str | None = None  # None: by gender
    noun: str = ""


def _top(name, kind, gender, season, usage, pattern, sleeve, neckline, length=None, noun=""):
    return Article(
        name, "Topwear", "Apparel", kind, gender, season, usage, pattern, sleeve, neckline, length, noun=noun
    )


_PRINTS = {"solid": 0.4, "striped": 0.2, "graphic": 0.3, "dotted": 0.05, "floral": 0.05}
_WOVEN = {"solid": 0.4, "checked": 0.33, "striped": 0.27}
_PRETTY = {"solid": 0.42, "floral": 0.28, "dotted": 0.16, "striped": 0.14}
_SHORTLONG = {"short": 0.85, "long": 0.15}
_LEGS = {"regular": 0.8, "long": 0.2}
_HEMS = {"short": 0.35, "regular": 0.45, "long": 0.2}

# from the commonest to the rarest
ARTICLES: tuple[Article, ...] = (
    _top("Tshirts", "tshirt", ALL, WARM, {"Casual": 0.8, "Sports": 0.2}, _PRINTS, _SHORTLONG,
        {"crew": 0.5, "polo": 0.28, "v": 0.22}, noun="T-shirt"),
    _top("Shirts", "shirt", {"Men": 0.8, "Women": 0.12, "Boys": 0.08}, YEARLY, {"Casual": 0.6, "Formal": 0.4}, _WOVEN,
        {"long": 0.65, "short": 0.35}, {"collar": 1.0}, noun="Shirt"),
    Article("Casual Shoes", "Shoes", "Footwear", "shoe", ALL, YEARLY, CASUAL,
        {"solid": 0.8, "checked": 0.1, "dotted": 0.1}, length={"regular": 0.65, "long": 0.35}, fit="straight",
        noun="Sneakers"),
    Article("Handbags", "Bags", "Accessories", "handbag", {"Women": 1.0}, YEARLY, {"Casual": 0.75, "Party": 0.25},
        {"solid": 0.75, "striped": 0.12, "checked": 0.13}, length={"regular": 0.6, "long": 0.4}, noun="Handbag"),
    _top("Tops", "tshirt", WOMEN, WARM, CASUAL, _PRETTY, {"sleeveless": 0.55, "short": 0.35, "long": 0.1},
        {"scoop": 0.55, "v": 0.35, "crew": 0.1}, {"regular": 0.6, "short": 0.4}, noun="Top"),
    Article("Watches", "Watches", "Accessories", "watch", {"Men": 0.58, "Women": 0.42}, YEARLY,
        {"Casual": 0.7, "Formal": 0.3}, noun="Watch"),
    Article("Sports Shoes", "Shoes", "Footwear", "shoe", ALL, YEARLY, SPORTS, fit="straight", noun="Running Shoes"),
    Article("Jeans", "Bottomwear", "Apparel", "trousers", ALL, YEARLY, {"Casual": 1.0}, {"denim": 1.0}, length=_LEGS,
        noun="Jeans"),
    _top("Kurtas", "tshirt", {"Women": 0.75, "Men": 0.25}, YEARLY, {"Ethnic": 0.96, "Casual": 0.04},
        {"floral": 0.4, "solid": 0.35, "dotted": 0.15, "striped": 0.1}, {"long": 0.6, "short": 0.3, "sleeveless": 0.1},
        {"stand": 1.0}, {"long": 1.0}, noun="Kurta"),
    Article("Dresses", "Dress", "Apparel", "dress", WOMEN, WARM, {"Casual": 0.6, "Party": 0.4}, _PRETTY,
        {"sleeveless": 0.6, "short": 0.4}, {"scoop": 0.45, "v": 0.4, "crew": 0.15}, _HEMS, noun="Dress"),
    Article("Heels", "Shoes", "Footwear", "heel", {"Women": 1.0}, YEARLY, {"Casual": 0.55, "Party": 0.45},
        length={"regular": 0.7, "long": 0.3}, noun="Heels"),
    Article("Sunglasses", "Eyewear", "Accessories", "sunglasses", {"Men": 0.4, "Women": 0.35, "Unisex": 0.25}, WARM,
        {"Casual": 1.0}, noun="Sunglasses"),
    Article("Trousers", "Bottomwear", "Apparel", "trousers", {"Men": 0.72, "Women": 0.28}, YEARLY,
        {"Formal": 0.62, "Casual": 0.38}, {"solid": 0.75, "checked": 0.15, "striped": 0.1}, length=_LEGS,
        noun="Trousers"),
    Article("Flip Flops", "Flip Flops", "Footwear", "flipflops", ALL, WARM, {"Casual": 1.0},
        {"solid": 0.7, "striped": 0.3}, noun="Flip Flops"),
    Article("Backpacks", "Bags", "Accessories", "backpack", {"Unisex": 0.7, "Men": 0.15, "Women": 0.15}, YEARLY,
        {"Casual": 0.55, "Sports": 0.3, "Travel": 0.15}, {"solid": 0.8, "checked": 0.1, "dotted": 0.1},
        noun="Backpack"),
    Article("Sandals", "Sandal", "Footwear", "sandal", {"Men": 0.5, "Women": 0.3, "Boys": 0.1, "Girls": 0.1}, WARM,
        CASUAL, noun="Sandals"),
    _top("Sweatshirts", "sweatshirt", ALL, COLD, {"Casual": 0.78, "Sports": 0.22},
        {"solid": 0.6, "graphic": 0.25, "striped": 0.15}, {"long": 1.0}, {"crew": 0.45, "hood": 0.55},
        noun="Sweatshirt"),
    Article("Formal Shoes", "Shoes", "Footwear", "shoe", {"Men": 0.95, "Boys": 0.05}, YEARLY, FORMAL, fit="fitted",
        noun="Oxford Shoes"),
    Article("Shorts", "Bottomwear", "Apparel", "trousers", ALL, WARM, {"Casual": 0.68, "Sports": 0.32},
        {"solid": 0.6, "checked": 0.2, "denim": 0.2}, length={"short": 1.0}, noun="Shorts"),
    _top("Jackets", "jacket", {"Men": 0.62, "Women": 0.28, "Boys": 0.1}, COLD, {"Casual": 0.65, "Sports": 0.35},
        {"solid": 0.9, "checked": 0.1}, {"long": 1.0}, {"stand": 1.0}, noun="Jacket"),
    Article("Caps", "Headwear", "Accessories", "cap", {"Unisex": 0.4, "Men": 0.45, "Boys": 0.15}, WARM,
        {"Casual": 0.6, "Sports": 0.4}, {"solid": 0.7, "graphic": 0.2, "checked": 0.1}, noun="Cap"),
    Article("Track Pants", "Bottomwear", "Apparel", "trousers", ALL, COLD, SPORTS, noun="Track Pants"),
    Article("Skirts", "Bottomwear", "Apparel", "skirt", WOMEN, WARM, CASUAL, _PRETTY, length=_HEMS, noun="Skirt"),
    Article("Ties", "Ties", "Accessories", "tie", {"Men": 1.0}, YEARLY, FORMAL,
        {"striped": 0.45, "solid": 0.3, "dotted": 0.25}, noun="Tie"),
    _top("Blazers", "jacket", {"Men": 0.72, "Women": 0.28}, COLD, {"Formal": 0.8, "Party": 0.2},
        {"solid": 0.75, "checked": 0.25}, {"long": 1.0}, {"lapel": 1.0}, noun="Blazer"),
)  # fmt: skip
FREQUENCY = 1 / np.arange(2, len(ARTICLES) + 2)

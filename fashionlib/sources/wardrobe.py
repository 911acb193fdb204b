"""What the made-up shop sells: products drawn at random, with labels that a picture tells in part.

The picture follows from the true product; the labels follow from it too, and some are then mistaken (`MISTAKES`),
as in a real catalogue. Gender, season and usage show only through colour, cut, sleeve and trim. So no model can reach
100%, and a better one comes closer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from .fabrics import COLOURS
from .shapes import Garment

MISTAKES = {"gender": 0.05, "articleType": 0.015, "baseColour": 0.03, "season": 0.12, "usage": 0.05}
MEN, WOMEN, ALL = {"Men": 0.84, "Boys": 0.16}, {"Women": 0.86, "Girls": 0.14}, {"Men": 0.5, "Women": 0.34, "Boys": 0.08, "Girls": 0.08}
WARM, COLD = {"Summer": 0.62, "Spring": 0.2, "Fall": 0.18}, {"Winter": 0.5, "Fall": 0.42, "Spring": 0.08}
YEARLY = {"Summer": 0.4, "Fall": 0.27, "Winter": 0.23, "Spring": 0.1}
CASUAL, SPORTS, FORMAL = {"Casual": 0.93, "Party": 0.07}, {"Sports": 0.95, "Casual": 0.05}, {"Formal": 0.9, "Casual": 0.1}
PLAIN = {"solid": 1.0}
YEARS = {"Summer": ("2012", "2011", "2013"), "Fall": ("2011", "2012", "2010"), "Winter": ("2015", "2016", "2012"), "Spring": ("2013", "2017", "2014")}
BRANDS = ("Alderway", "Brisk & Pine", "Calloway", "Dunmere", "Eastquay", "Fernhill", "Grayling", "Hollin", "Ivelle", "Juno Lane", "Kestrel", "Larkfield")
LINES = ("Arden", "Bay", "Cinder", "Delta", "Echo", "Flint", "Grove", "Haven", "Indigo", "Jetty", "Keel", "Linden", "Meadow", "North", "Oak",
         "Prairie", "Quill", "Ridge", "Summit", "Tide", "Union", "Vale", "Willow", "Yarrow", "Zephyr")  # fmt: skip


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
    return Article(name, "Topwear", "Apparel", kind, gender, season, usage, pattern, sleeve, neckline, length, noun=noun)


_PRINTS = {"solid": 0.4, "striped": 0.2, "graphic": 0.3, "dotted": 0.05, "floral": 0.05}
_WOVEN = {"solid": 0.4, "checked": 0.33, "striped": 0.27}
_PRETTY = {"solid": 0.42, "floral": 0.28, "dotted": 0.16, "striped": 0.14}
_SHORTLONG = {"short": 0.85, "long": 0.15}
_LEGS = {"regular": 0.8, "long": 0.2}
_HEMS = {"short": 0.35, "regular": 0.45, "long": 0.2}

# from the commonest to the rarest
ARTICLES: tuple[Article, ...] = (
    _top("Tshirts", "tshirt", ALL, WARM, {"Casual": 0.8, "Sports": 0.2}, _PRINTS, _SHORTLONG, {"crew": 0.5, "polo": 0.28, "v": 0.22}, noun="T-shirt"),
    _top("Shirts", "shirt", {"Men": 0.8, "Women": 0.12, "Boys": 0.08}, YEARLY, {"Casual": 0.6, "Formal": 0.4}, _WOVEN, {"long": 0.65, "short": 0.35}, {"collar": 1.0}, noun="Shirt"),
    Article("Casual Shoes", "Shoes", "Footwear", "shoe", ALL, YEARLY, CASUAL, {"solid": 0.8, "checked": 0.1, "dotted": 0.1}, length={"regular": 0.65, "long": 0.35}, fit="straight", noun="Sneakers"),
    Article("Handbags", "Bags", "Accessories", "handbag", {"Women": 1.0}, YEARLY, {"Casual": 0.75, "Party": 0.25}, {"solid": 0.75, "striped": 0.12, "checked": 0.13}, length={"regular": 0.6, "long": 0.4}, noun="Handbag"),
    _top("Tops", "tshirt", WOMEN, WARM, CASUAL, _PRETTY, {"sleeveless": 0.55, "short": 0.35, "long": 0.1}, {"scoop": 0.55, "v": 0.35, "crew": 0.1}, {"regular": 0.6, "short": 0.4}, noun="Top"),
    Article("Watches", "Watches", "Accessories", "watch", {"Men": 0.58, "Women": 0.42}, YEARLY, {"Casual": 0.7, "Formal": 0.3}, noun="Watch"),
    Article("Sports Shoes", "Shoes", "Footwear", "shoe", ALL, YEARLY, SPORTS, fit="straight", noun="Running Shoes"),
    Article("Jeans", "Bottomwear", "Apparel", "trousers", ALL, YEARLY, {"Casual": 1.0}, {"denim": 1.0}, length=_LEGS, noun="Jeans"),
    _top("Kurtas", "tshirt", {"Women": 0.75, "Men": 0.25}, YEARLY, {"Ethnic": 0.96, "Casual": 0.04}, {"floral": 0.4, "solid": 0.35, "dotted": 0.15, "striped": 0.1}, {"long": 0.6, "short": 0.3, "sleeveless": 0.1}, {"stand": 1.0}, {"long": 1.0}, noun="Kurta"),
    Article("Dresses", "Dress", "Apparel", "dress", WOMEN, WARM, {"Casual": 0.6, "Party": 0.4}, _PRETTY, {"sleeveless": 0.6, "short": 0.4}, {"scoop": 0.45, "v": 0.4, "crew": 0.15}, _HEMS, noun="Dress"),
    Article("Heels", "Shoes", "Footwear", "heel", {"Women": 1.0}, YEARLY, {"Casual": 0.55, "Party": 0.45}, length={"regular": 0.7, "long": 0.3}, noun="Heels"),
    Article("Sunglasses", "Eyewear", "Accessories", "sunglasses", {"Men": 0.4, "Women": 0.35, "Unisex": 0.25}, WARM, {"Casual": 1.0}, noun="Sunglasses"),
    Article("Trousers", "Bottomwear", "Apparel", "trousers", {"Men": 0.72, "Women": 0.28}, YEARLY, {"Formal": 0.62, "Casual": 0.38}, {"solid": 0.75, "checked": 0.15, "striped": 0.1}, length=_LEGS, noun="Trousers"),
    Article("Flip Flops", "Flip Flops", "Footwear", "flipflops", ALL, WARM, {"Casual": 1.0}, {"solid": 0.7, "striped": 0.3}, noun="Flip Flops"),
    Article("Backpacks", "Bags", "Accessories", "backpack", {"Unisex": 0.7, "Men": 0.15, "Women": 0.15}, YEARLY, {"Casual": 0.55, "Sports": 0.3, "Travel": 0.15}, {"solid": 0.8, "checked": 0.1, "dotted": 0.1}, noun="Backpack"),
    Article("Sandals", "Sandal", "Footwear", "sandal", {"Men": 0.5, "Women": 0.3, "Boys": 0.1, "Girls": 0.1}, WARM, CASUAL, noun="Sandals"),
    _top("Sweatshirts", "sweatshirt", ALL, COLD, {"Casual": 0.78, "Sports": 0.22}, {"solid": 0.6, "graphic": 0.25, "striped": 0.15}, {"long": 1.0}, {"crew": 0.45, "hood": 0.55}, noun="Sweatshirt"),
    Article("Formal Shoes", "Shoes", "Footwear", "shoe", {"Men": 0.95, "Boys": 0.05}, YEARLY, FORMAL, fit="fitted", noun="Oxford Shoes"),
    Article("Shorts", "Bottomwear", "Apparel", "trousers", ALL, WARM, {"Casual": 0.68, "Sports": 0.32}, {"solid": 0.6, "checked": 0.2, "denim": 0.2}, length={"short": 1.0}, noun="Shorts"),
    _top("Jackets", "jacket", {"Men": 0.62, "Women": 0.28, "Boys": 0.1}, COLD, {"Casual": 0.65, "Sports": 0.35}, {"solid": 0.9, "checked": 0.1}, {"long": 1.0}, {"stand": 1.0}, noun="Jacket"),
    Article("Caps", "Headwear", "Accessories", "cap", {"Unisex": 0.4, "Men": 0.45, "Boys": 0.15}, WARM, {"Casual": 0.6, "Sports": 0.4}, {"solid": 0.7, "graphic": 0.2, "checked": 0.1}, noun="Cap"),
    Article("Track Pants", "Bottomwear", "Apparel", "trousers", ALL, COLD, SPORTS, noun="Track Pants"),
    Article("Skirts", "Bottomwear", "Apparel", "skirt", WOMEN, WARM, CASUAL, _PRETTY, length=_HEMS, noun="Skirt"),
    Article("Ties", "Ties", "Accessories", "tie", {"Men": 1.0}, YEARLY, FORMAL, {"striped": 0.45, "solid": 0.3, "dotted": 0.25}, noun="Tie"),
    _top("Blazers", "jacket", {"Men": 0.72, "Women": 0.28}, COLD, {"Formal": 0.8, "Party": 0.2}, {"solid": 0.75, "checked": 0.25}, {"long": 1.0}, {"lapel": 1.0}, noun="Blazer"),
)  # fmt: skip
FREQUENCY = 1 / np.arange(2, len(ARTICLES) + 2)

_BASIC = {"Black": 9, "White": 6, "Blue": 6, "Navy Blue": 5, "Grey": 5, "Red": 4, "Green": 3.5, "Brown": 3.5, "Pink": 2.5, "Purple": 2, "Yellow": 2, "Beige": 2, "Orange": 1.5}
_TASTE = {
    "Men": {"Navy Blue": 1.8, "Blue": 1.5, "Grey": 1.4, "Pink": 0.06, "Purple": 0.2},
    "Women": {"Pink": 2.8, "Purple": 2.4, "Red": 1.6, "Beige": 1.5, "Navy Blue": 0.4, "Grey": 0.5, "Blue": 0.6},
    "Boys": {"Blue": 2.2, "Green": 2.0, "Yellow": 2.0, "Orange": 2.5, "Pink": 0.05, "Black": 0.4, "Beige": 0.3},
    "Girls": {"Pink": 6.0, "Purple": 3.5, "Yellow": 2.0, "Black": 0.15, "Grey": 0.3, "Navy Blue": 0.3, "Brown": 0.3},
    "Summer": {"White": 2.2, "Yellow": 2.2, "Orange": 1.8, "Pink": 1.4, "Black": 0.45, "Brown": 0.5, "Navy Blue": 0.6, "Grey": 0.6},
    "Spring": {"Green": 2.2, "Pink": 2.0, "Beige": 1.8, "Black": 0.5},
    "Fall": {"Brown": 2.2, "Orange": 1.8, "Green": 1.4, "Beige": 1.4, "White": 0.6},
    "Winter": {"Black": 1.6, "Navy Blue": 1.8, "Grey": 2.2, "Red": 1.3, "Yellow": 0.25, "White": 0.4, "Orange": 0.3},
    "Formal": {"Black": 2.2, "Navy Blue": 2.0, "Grey": 2.0, "White": 1.6, "Orange": 0.05, "Yellow": 0.1, "Pink": 0.3, "Green": 0.3, "Red": 0.4},
    "Party": {"Black": 1.8, "Red": 2.2, "Purple": 1.8, "Grey": 0.4, "Beige": 0.5},
    "Ethnic": {"Orange": 3, "Yellow": 2.5, "Purple": 2, "Red": 1.6, "Grey": 0.3, "Black": 0.4},
    "Sports": {"Black": 1.3, "White": 1.4, "Red": 1.3, "Brown": 0.1, "Beige": 0.15},
}  # fmt: skip
_LEATHER = {"Brown": 6.0, "Black": 3.0, "Beige": 1.5, "White": 0.4, "Green": 0.2, "Yellow": 0.2, "Purple": 0.3, "Blue": 0.4, "Orange": 0.3}
_MATERIAL = {"Formal Shoes": _LEATHER | {"Red": 0.05}, "Sandals": _LEATHER, "Watches": _LEATHER, "Handbags": {"Brown": 2.0},
             "Sunglasses": {"Black": 3.0, "Brown": 3.0, "White": 0.4}, "Jeans": {"Blue": 9.0, "Navy Blue": 6.0, "Grey": 1.0, "Black": 0.5}}  # fmt: skip
ATTRIBUTES = {
    "sleeve": {"sleeveless": "sleeveless", "short": "short-sleeve", "long": "long-sleeve"},
    "neckline": {"crew": "crew-neck", "v": "v-neck", "scoop": "scoop-neck", "polo": "polo-collar", "collar": "shirt-collar",
                 "hood": "hooded", "stand": "stand-collar", "lapel": "lapel"},
    "pattern": {"solid": "solid", "striped": "striped", "checked": "checked", "dotted": "polka-dot", "floral": "floral",
                "graphic": "printed", "denim": "denim"},
    "length": {"short": "short-cut", "regular": "regular-cut", "long": "long-cut"},
}  # fmt: skip


def _pick(rng: np.random.Generator, weights: Mapping[str, float]) -> str:
    share = np.cumsum(list(weights.values()))
    return list(weights)[int(np.searchsorted(share, rng.random() * share[-1], side="right"))]


def _colour(rng: np.random.Generator, article: Article, *influences: str) -> str:
    names = [name for name in _BASIC if article.name != "Jeans" or name in _MATERIAL["Jeans"]]
    weights = {name: _BASIC[name] * _MATERIAL.get(article.name, {}).get(name, 1.0) for name in names}
    for influence in influences:
        weights = {name: w * _TASTE.get(influence, {}).get(name, 1.0) for name, w in weights.items()}
    return _pick(rng, weights)


def _contrast(rng: np.random.Generator, colour: str) -> str:
    """A second colour that is seen on the first: lighter on dark, darker on light, and often white or black."""
    light = {name: sum(rgb) / 3 for name, rgb in COLOURS.items()}
    usual = "White" if light[colour] < 0.62 else "Black"
    weights = {name: 1.0 for name in COLOURS if abs(light[name] - light[colour]) > 0.22}
    return _pick(rng, weights | {usual: 5.0})


def product(seed: int, item: int) -> tuple[Garment, dict[str, str | None]]:
    """One product of the shop: what it looks like and what its labels say. The same arguments give the same product.

    The first products are one of each article type, so that even a small catalogue has all of them.
    """
    rng = np.random.default_rng((seed, item, 0))
    chance = int(np.searchsorted(np.cumsum(FREQUENCY), rng.random() * FREQUENCY.sum(), side="right"))
    article = ARTICLES[item if item < len(ARTICLES) else chance]
    gender, season, usage = (_pick(rng, w) for w in (article.gender, article.season, article.usage))
    colour = _colour(rng, article, gender, season, usage)
    look = {"pattern": _pick(rng, article.pattern)}
    if usage == "Formal" and look["pattern"] in ("checked", "striped") and rng.random() < 0.5:
        look["pattern"] = "solid"
    for name in ("sleeve", "neckline", "length"):
        weights = dict(getattr(article, name) or {})
        if name == "sleeve" and "long" in weights:
            weights["long"] *= {"Winter": 6.0, "Fall": 2.5}.get(season, 0.6)
        if weights:
            look[name] = _pick(rng, weights)
    small = gender in ("Boys", "Girls") and rng.random() < 0.92
    adult = "fitted" if gender == "Women" and rng.random() < 0.85 else "straight"
    garment = Garment(
        kind=article.kind, colour=colour, accent=_contrast(rng, colour), fit="small" if small else article.fit or adult,
        sporty=article.name == "Track Pants" or rng.random() < (0.93 if usage == "Sports" else 0.0), seed=int(rng.integers(2**31)), **look,
    )  # fmt: skip
    labels = {"gender": gender, "articleType": article.name, "baseColour": colour, "season": season, "usage": usage}
    return garment, _labels(rng, article, labels, look)


def _labels(rng: np.random.Generator, article: Article, labels: dict[str, str], look: dict[str, str]) -> dict[str, str | None]:
    """The catalogue's entry: the truth with mistakes, the name, and what follows from both."""
    siblings = [a for a in ARTICLES if a.sub == article.sub]
    others = {
        "gender": list(article.gender), "articleType": [a.name for a in siblings], "baseColour": list(_BASIC),
        "season": list(YEARLY), "usage": list(article.usage),
    }  # fmt: skip
    for name, share in MISTAKES.items():
        replacement = others[name][int(rng.integers(len(others[name])))]
        if rng.random() < share:
            labels[name] = replacement
    seen = {name: ATTRIBUTES[name][value] for name, value in look.items()}
    noun = next(a.noun for a in siblings if a.name == labels["articleType"])
    words = [BRANDS[int(rng.integers(len(BRANDS)))], labels["gender"], LINES[int(rng.integers(len(LINES)))], labels["baseColour"]]
    words += [seen[n].title() for n in ("pattern", "neckline") if n in seen and seen[n] != "solid" and rng.random() < 0.7]
    year = YEARS[labels["season"]][int(rng.choice(3, p=(0.6, 0.25, 0.15)))]
    taxonomy = {"masterCategory": article.master, "subCategory": article.sub}
    return taxonomy | labels | {
        "year": year, "productDisplayName": " ".join([*words, noun]), "category": labels["articleType"],
        "attributes": ";".join(sorted(seen.values())),
    }  # fmt: skip

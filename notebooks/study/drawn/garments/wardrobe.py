"""What the made-up shop sells: products drawn at random, with labels that a picture tells in part.

The picture follows from the true product; the labels follow from it too, and some are then mistaken (`MISTAKES`),
as in a real catalogue. Gender, season and usage show only through colour, cut, sleeve and trim. So no model can reach
100%, and a better one comes closer.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .articles import ARTICLES, FREQUENCY, YEARLY, Article
from .fabrics import COLOURS
from .shapes import Garment

MISTAKES = {"gender": 0.05, "articleType": 0.015, "baseColour": 0.03, "season": 0.08, "usage": 0.04}
TINT = {"Summer": 0.8, "Spring": 0.35, "Fall": -0.35, "Winter": -0.8}  # summer collections are brighter
YEARS = {
    "Summer": ("2012", "2011", "2013"),
    "Fall": ("2011", "2012", "2010"),
    "Winter": ("2015", "2016", "2012"),
    "Spring": ("2013", "2017", "2014"),
}
BRANDS = tuple(
    "Alderway Briskpine Calloway Dunmere Eastquay Fernhill Grayling Hollin Ivelle Junolane Kestrel Larkfield".split()
)
LINES = tuple(
    "Arden Bay Cinder Delta Echo Flint Grove Haven Indigo Jetty Keel Linden Meadow North Oak Prairie Quill Ridge "
    "Summit Tide Union Vale Willow Yarrow Zephyr".split()
)

_BASIC = {
    "Black": 9,
    "White": 6,
    "Blue": 6,
    "Navy Blue": 5,
    "Grey": 5,
    "Red": 4,
    "Green": 3.5,
    "Brown": 3.5,
    "Pink": 2.5,
    "Purple": 2,
    "Yellow": 2,
    "Beige": 2,
    "Orange": 1.5,
}
_TASTE = {
    "Men": {"Navy Blue": 1.8, "Blue": 1.5, "Grey": 1.4, "Pink": 0.06, "Purple": 0.2},
    "Women": {"Pink": 2.8, "Purple": 2.4, "Red": 1.6, "Beige": 1.5, "Navy Blue": 0.4, "Grey": 0.5, "Blue": 0.6},
    "Boys": {"Blue": 2.2, "Green": 2.0, "Yellow": 2.0, "Orange": 2.5, "Pink": 0.05, "Black": 0.4, "Beige": 0.3},
    "Girls": {"Pink": 6.0, "Purple": 3.5, "Yellow": 2.0, "Black": 0.15, "Grey": 0.3, "Navy Blue": 0.3, "Brown": 0.3},
    "Summer": {"White": 2.6, "Yellow": 4.0, "Orange": 3.0, "Pink": 1.5, "Black": 0.25, "Brown": 0.3, "Navy Blue": 0.3,
        "Grey": 0.35},
    "Spring": {"Green": 4.5, "Pink": 3.0, "Beige": 2.0, "Purple": 1.8, "Black": 0.2, "Navy Blue": 0.3, "Grey": 0.4},
    "Fall": {"Brown": 4.0, "Orange": 2.2, "Green": 1.4, "Beige": 2.2, "White": 0.3, "Pink": 0.3, "Yellow": 0.5},
    "Winter": {"Black": 1.8, "Navy Blue": 2.6, "Grey": 3.0, "Red": 1.4, "Yellow": 0.08, "White": 0.15, "Orange": 0.1,
        "Pink": 0.3},
    "Formal": {"Black": 2.2, "Navy Blue": 2.0, "Grey": 2.0, "White": 1.6, "Orange": 0.05, "Yellow": 0.1, "Pink": 0.3,
        "Green": 0.3, "Red": 0.4},
    "Party": {"Black": 1.8, "Red": 2.2, "Purple": 1.8, "Grey": 0.4, "Beige": 0.5},
    "Ethnic": {"Orange": 3, "Yellow": 2.5, "Purple": 2, "Red": 1.6, "Grey": 0.3, "Black": 0.4},
    "Sports": {"Black": 1.3, "White": 1.4, "Red": 1.3, "Brown": 0.1, "Beige": 0.15},
}  # fmt: skip
_LEATHER = {
    "Brown": 6.0,
    "Black": 3.0,
    "Beige": 1.5,
    "White": 0.4,
    "Green": 0.2,
    "Yellow": 0.2,
    "Purple": 0.3,
    "Blue": 0.4,
    "Orange": 0.3,
}
_MATERIAL = {"Formal Shoes": _LEATHER | {"Red": 0.05}, "Sandals": _LEATHER, "Watches": _LEATHER,
    "Handbags": {"Brown": 2.0},
             "Sunglasses": {"Black": 3.0, "Brown": 3.0, "White": 0.4},
             "Jeans": {"Blue": 9.0, "Navy Blue": 6.0, "Grey": 1.0, "Black": 0.5}}  # fmt: skip
ATTRIBUTES = {
    "sleeve": {"sleeveless": "sleeveless", "short": "short-sleeve", "long": "long-sleeve"},
    "neckline": {"crew": "crew-neck", "v": "v-neck", "scoop": "scoop-neck", "polo": "polo-collar",
        "collar": "shirt-collar",
                 "hood": "hooded", "stand": "stand-collar", "lapel": "lapel"},
    "pattern": {"solid": "solid", "striped": "striped", "checked": "checked", "dotted": "polka-dot", "floral": "floral",
                "graphic": "printed", "denim": "denim"},
    "length": {"short": "short-cut", "regular": "regular-cut", "long": "long-cut"},
    "fit": {"straight": "straight-fit", "fitted": "fitted", "small": "childrens-fit"},
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
        sporty=article.name == "Track Pants" or rng.random() < (0.93 if usage == "Sports" else 0.0),
        tint=float(np.clip(TINT[season] + 0.4 * rng.standard_normal(), -1, 1)), seed=int(rng.integers(2**31)), **look,
    )  # fmt: skip
    if article.master == "Apparel":  # the fit of a bag or a shoe is not seen
        look["fit"] = garment.fit
    labels = {"gender": gender, "articleType": article.name, "baseColour": colour, "season": season, "usage": usage}
    return garment, _labels(rng, article, labels, look)


def _labels(
    rng: np.random.Generator, article: Article, labels: dict[str, str], look: dict[str, str]
) -> dict[str, str | None]:
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
    words = [
        BRANDS[int(rng.integers(len(BRANDS)))],
        labels["gender"],
        LINES[int(rng.integers(len(LINES)))],
        labels["baseColour"],
    ]
    words += [
        seen[n].title() for n in ("pattern", "neckline") if n in seen and seen[n] != "solid" and rng.random() < 0.7
    ]
    year = YEARS[labels["season"]][int(rng.choice(3, p=(0.6, 0.25, 0.15)))]
    taxonomy = {"masterCategory": article.master, "subCategory": article.sub}
    return taxonomy | labels | {
        "year": year, "productDisplayName": " ".join([*words, noun]), "category": labels["articleType"],
        "attributes": ";".join(sorted(f"{group}:{name}" for group, name in seen.items())),
    }  # fmt: skip

"""Attributes that can be seen, and brands, from names of Fashion Product Images; DeepFashion's were mined from titles.

"Wrangler Men Striped Slim Fit Blue Shirt" is ``texture:striped`` and ``shape:slim``, of the brand ``wrangler``. A name
that does not say "striped" counts against it, as in DeepFashion, although nobody may have looked."""

import re
from collections import Counter
from collections.abc import Sequence

import pandas as pd

OWN_LINE, KNOWN = 50, 10  # names
GENDER = re.compile(r"(men|women|man|woman|boy|girl|kid|infant|teen)('?s)?|unisex|kidswear")
LEXICON = {  # chosen by hand: an attribute, its other spellings behind "=", "_" for a blank
    "texture": "printed=print=prints striped=stripes=stripe=striper checked=check=checks=checkered solid=plain washed "
    "floral=flower=flowers melange logo polka",
    "fabric": "leather leatherette canvas cotton denim silk lace knit=knits=knitted woven steel",
    "shape": "polo v_neck round_neck=round=crew_neck slim skinny high=hi mid low=lo flat=flats wedge=wedges sling tote "
    "aviator bikini thong",
    "part": "sleeveless short_sleeve=half_sleeve slip_on strap chain dupatta reversible chronograph digital "
    "analogue=analog",
    "style": "casual formal sports=sport=sporty graphic ethnic party wedding running training football=soccer",
}
SPELLINGS = {
    spelling: f"{group}:{attribute.partition('=')[0]}".replace("_", " ")
    for group, attributes in LEXICON.items()
    for attribute in attributes.split()
    for spelling in attribute.replace("_", " ").split("=")
}
FIND = re.compile(rf"\b(?:{'|'.join(sorted(SPELLINGS, key=len, reverse=True))})\b")


def name_words(name: str | None) -> str | None:
    """The distinct lower-case words of a product's name, joined by ``;``."""
    return None if pd.isna(name) else ";".join(sorted(set(re.findall(r"[a-z][a-z0-9'&-]+", name.lower()))))


def name_labels(table: pd.DataFrame) -> pd.DataFrame:
    """Columns ``attributes`` and ``brands``, the text of a ``MultiLabel`` for each row.

    ``table`` has ``productDisplayName``, ``articleType`` and ``baseColour``, which is an attribute of its own group,
    ``colour:Red``. Unknown is an attribute that the article type says (casual, of casual shoes), and all of which a
    missing name or colour would tell; the brand of a row without a name is None."""
    named = table["productDisplayName"].notna()
    names = table["productDisplayName"].where(named, "").map(split_words)
    brands = find_brands(names)
    colours = [f"?colour:{colour}" for colour in sorted(table["baseColour"].dropna().unique())]
    restated = {kind: _restated(kind) for kind in table["articleType"].unique()}
    texts = []
    for name, brand, kind, colour in zip(names, brands, table["articleType"], table["baseColour"], strict=True):
        unknown = restated[kind] if name else set(SPELLINGS.values())
        found = {SPELLINGS[spelling] for spelling in FIND.findall(" ".join(name[len(brand) :]))} - unknown
        coloured = colours if pd.isna(colour) else [f"colour:{colour}"]
        texts.append(";".join([*sorted(found), *coloured, *(f"?{attribute}" for attribute in sorted(unknown))]))
    table = pd.DataFrame({"attributes": texts, "brands": map(" ".join, brands)}, index=table.index, dtype=object)
    return table.assign(brands=table["brands"].where(named, None))


def _restated(kind: str | None) -> set[str]:
    """The attributes that an article type says itself."""
    words = {word.rstrip("s") for word in (kind or "").lower().split()}
    return {attribute for spelling, attribute in SPELLINGS.items() if spelling.rstrip("s") in words}


def split_words(name: str) -> list[str]:
    """The words of a name in lower case, parted by hyphens, too; "&" by itself is "and"."""
    words = re.findall(r"[a-z0-9&][a-z0-9'&+.]*", name.lower())
    words = ["and" if word == "&" else word for word in words]
    return [word.rstrip(".") if word.count(".") == 1 else word for word in words]  # "Mr.", but "U.S."


def find_brands(names: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """The words of the brand that each name begins with; empty where none is found.

    A brand ends before the first gender word. It is the longest beginning that makes up all the words before the gender
    word in at least ``OWN_LINE`` names, so that Lee Cooper is not Lee; else the shortest that does so in ``KNOWN``
    names, so that every kind of Casio is a Casio; else all the words before the gender word. Without a gender word or
    such a beginning, it is the first word, if at least ``KNOWN`` names begin with it and that is where it mostly
    stands, with the second if that nearly always follows (Lotus Herbals)."""
    ends = [next((i for i, word in enumerate(name) if GENDER.fullmatch(word)), None) for name in names]
    alone = Counter(tuple(name[:end]) for name, end in zip(names, ends, strict=True) if end)
    anywhere = Counter(word for name in names for word in set(name))
    first, two = (Counter(tuple(name[:n]) for name in names) for n in (1, 2))

    def brand(name: Sequence[str], end: int | None) -> tuple[str, ...]:
        beginnings = [tuple(name[: n + 1]) for n in range(len(name) if end is None else end)]
        if own := [words for words in beginnings if alone[words] >= OWN_LINE]:
            return own[-1]
        if known := [words for words in beginnings if alone[words] >= KNOWN]:
            return known[0]
        if end is not None or not name:
            return tuple(name[:end])
        words = tuple(name[:1])
        if first[words] < max(KNOWN, 0.5 * anywhere[name[0]]):
            return ()
        return tuple(name[:2]) if two[tuple(name[:2])] >= 0.9 * first[words] else words

    return [brand(name, end) for name, end in zip(names, ends, strict=True)]

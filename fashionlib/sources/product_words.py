"""Attributes mined from the names of Fashion Product Images, as DeepFashion's were mined from titles.

"Wrangler Men Striped Slim Fit Blue Shirt" becomes ``brand:wrangler;fit:slim;pattern:striped``. The rule reads names
and labels of the whole table, no pixel and no split; which classes there are is decided by the training images alone
(``MultiLabel`` with a minimum).

1. **Words.** A name is put into lower case, "&" is read as "and", and hyphens part words.
2. **Brand.** A name begins with its brand, which ends before the first gender word (Men, Women's, Kids, ...).
   ``brand:`` is the longest beginning that makes up all the words before the gender word in at least ``OWN_LINE``
   names, so that Lee Cooper is not Lee; else the shortest that does so in ``KNOWN`` names, so that every kind of Casio
   is a Casio; else all the words before the gender word. A name without a gender word has the brand it begins with,
   if other names show it to be one; else its first word, if at least ``KNOWN`` names begin with it and that is where
   it mostly stands (with the second word, if that nearly always follows: Lotus Herbals).
3. **Left out** is what the table already says:
   words that *restate*: in at least half of the names with the word, it is a word of one of the image's own seven
   labels; singular and plural are one word, and neighbours are also read as one ("flip-flop", "eye liner");
   *synonyms*: nine of ten images with the word are of one article type, and three of ten images of that type (and at
   least ``KNOWN``) have it, as "sari", "deo", or "dial", which most watches have in their name;
   gender words, words of one letter or with a digit, and ``LEFT_OUT``, which is written by hand.
4. **Group.** ``GROUPS`` joins spellings and names a group, so that check, checks and checked are ``pattern:checked``;
   every other word is ``word:...``. Many of those are names of models, and nothing that can be seen: air, classic.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import cache

import numpy as np
import pandas as pd

OWN_LINE, KNOWN = 50, 10  # names
GENDER = re.compile(r"(men|women|man|woman|boy|girl|kid|infant|teen)('?s)?|unisex|kidswear")
GROUPS = {
    "pattern:striped": "striped stripes stripe",
    "pattern:checked": "checked checks check",
    "pattern:solid": "solid plain",
    "pattern:floral": "floral flower flowers",
    "print:printed": "printed print prints",
    "print:graphic": "graphic",
    "print:logo": "logo",
    "fabric:leather": "leather",
    "fabric:leatherette": "leatherette",
    "fabric:canvas": "canvas",
    "fabric:cotton": "cotton",
    "fabric:silk": "silk",
    "fabric:lace": "lace",
    "fabric:knit": "knit knits knitted",
    "fabric:washed": "washed wash",
    "fit:slim": "slim",
    "neck:polo": "polo",
    "neck:round": "round roundneck",
    "cut:low": "low lo",
    "cut:mid": "mid",
    "cut:high": "high hi",
    "shape:flat": "flat flats",
    "shape:wedge": "wedge wedges",
    "shape:sling": "sling",
    "shape:aviator": "aviator aviators",
    "shape:bikini": "bikini",
    "dial:analogue": "analogue analog",
    "dial:chronograph": "chronograph",
    "dial:digital": "digital",
}
GROUP_OF = {word: attribute for attribute, words in GROUPS.items() for word in words.split()}
LEFT_OUT = (
    "all an and as at by for from her in new of on or the to up with "  # say nothing
    "pack combo two three ii iii ml "  # number and size
    "golden coloured colored colour color multicoloured toned light dark bright "  # colour, in words of its own
    "tee slipper purse "  # article type, likewise
    "fit neck sleeve frame full"  # mean something only with their neighbour: slim fit, full coverage
)


def product_attributes(table: pd.DataFrame, columns: Sequence[str]) -> pd.Series:
    """The attributes of each row, such as ``"brand:puma;pattern:striped"``; None where there is no name.

    ``table`` has ``productDisplayName``, ``articleType`` and the label ``columns`` whose words are left out; what is
    missing there is None.
    """
    is_named = table["productDisplayName"].notna().to_numpy()
    named = table[is_named]
    names = [split_words(name) for name in named["productDisplayName"]]
    brands = find_brands(names)
    rests = [name[len(brand) :] for name, brand in zip(names, brands, strict=True)]
    labels = [label_words(row) for row in named[list(columns)].itertuples(index=False, name=None)]
    dropped = restating_words(rests, labels) | synonyms(rests, named["articleType"])
    dropped |= {stem(word) for word in LEFT_OUT.split()}
    texts = np.full(len(table), None, dtype=object)
    texts[is_named] = [_attributes(*each, dropped) for each in zip(brands, rests, strict=True)]
    return pd.Series(texts, index=table.index, dtype=object)


def _attributes(brand: tuple[str, ...], rest: list[str], dropped: set[str]) -> str:
    found = {"brand:" + " ".join(brand)} if brand else set()
    for word in rest:
        if word in GROUP_OF:
            found.add(GROUP_OF[word])
        elif len(word) > 1 and word.isalpha() and not GENDER.fullmatch(word) and stem(word) not in dropped:
            found.add(f"word:{word}")
    return ";".join(sorted(found))


def split_words(name: str) -> list[str]:
    """The words of a name in lower case; "&" by itself is "and"."""
    words = re.findall(r"[a-z0-9&][a-z0-9'&+.]*", name.lower())
    words = ["and" if word == "&" else word for word in words]
    return [word.rstrip(".") if word.count(".") == 1 else word for word in words]  # "Mr.", but "U.S."


def find_brands(names: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """The words of the brand that each name begins with; empty where none is found. See the top of this file."""
    ends = [next((i for i, word in enumerate(name) if GENDER.fullmatch(word)), None) for name in names]
    alone = Counter(tuple(name[:end]) for name, end in zip(names, ends, strict=True) if end)
    anywhere = Counter(word for name in names for word in set(name))
    following = defaultdict(Counter)  # the second words of the names that begin with a word
    for name in filter(None, names):
        following[name[0]][name[1] if len(name) > 1 else ""] += 1

    def brand(name: Sequence[str], end: int | None) -> tuple[str, ...]:
        beginnings = [tuple(name[: n + 1]) for n in range(len(name) if end is None else end)]
        if own := [words for words in beginnings if alone[words] >= OWN_LINE]:
            return own[-1]
        if known := [words for words in beginnings if alone[words] >= KNOWN]:
            return known[0]
        if end is not None or not name:
            return tuple(name[:end])
        first = following[name[0]].total()
        if first < KNOWN or first < 0.5 * anywhere[name[0]]:
            return ()
        second, count = following[name[0]].most_common(1)[0]
        return (name[0], second) if second and count >= 0.9 * first else (name[0],)

    return [brand(name, end) for name, end in zip(names, ends, strict=True)]


@cache
def stem(word: str) -> str:
    """A word in the singular, without a possessive s: of women's, watches, accessories, ties."""
    word = re.sub(r"'s?$", "", word)
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if re.search(r"(ch|sh|x|ss)es$", word):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


@cache
def label_words(labels: tuple[str | None, ...]) -> frozenset[str]:
    """The words of an image's labels, in the singular, and each label in one: "Flip Flops" is flip, flop, flipflop."""
    found = set()
    for label in filter(None, labels):
        words = split_words(label)
        found |= {stem(word) for word in words} | {stem("".join(words))}
    return frozenset(found)


def restating_words(names: Sequence[Sequence[str]], labels: Sequence[frozenset[str]]) -> set[str]:
    """The words, in the singular, that are in at least half of their names a word of that row's own labels."""
    count, hits = Counter(), Counter()
    for name, own in zip(names, labels, strict=True):
        stems = {stem(word) for word in name}
        said = stems & own
        for one, other in zip(name, name[1:], strict=False):
            if stem(one + other) in own:
                said |= {stem(one), stem(other)}
        count.update(stems)
        hits.update(said)
    return {word for word, n in count.items() if hits[word] >= 0.5 * n}


def synonyms(names: Sequence[Sequence[str]], kinds: Sequence[str | None]) -> set[str]:
    """The words, in the singular, that stand for an article type: 90% of their images are of it, 30% of its images have
    the word, and these are at least ``KNOWN``."""
    size = Counter(kinds)
    seen = defaultdict(Counter)
    for name, kind in zip(names, kinds, strict=True):
        for word in {stem(word) for word in name}:
            seen[word][kind] += 1
    best = {word: counts.most_common(1)[0] for word, counts in seen.items()}
    return {word for word, (kind, n) in best.items() if n >= max(0.9 * seen[word].total(), 0.3 * size[kind], KNOWN)}

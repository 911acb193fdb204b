"""What a cell of a table means: one rule for labels, items and ids, from whatever hands them over."""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import pandas as pd

# What shows nothing: controls, zero-width blanks, marks of direction, soft hyphens. Joiners (200c, 200d) are part of
# words in scripts from Hebrew on, and of emoji; beside other letters they show nothing either.
JOINED = "[\u0590-\u1fff\u2100-\U0010ffff]"
INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff]"
    f"|(?<!{JOINED})[\u200c\u200d]|[\u200c\u200d](?!{JOINED})"
)
WHOLE = re.compile(r"(^|:)([+-]?[0-9]+)\.0+$")  # after a colon: an attribute and its value, size:37.0


def as_text(values: Iterable) -> pd.Series:
    """The cells of a column as text, or None for what is missing: None, NaN, NaT, and text that is empty or ``"?"``.

    ``values`` (N,) is a Series, whose index is kept, an array of NumPy, Arrow or torch, or any iterable of plain values
    and tensors of one. Text comes as ``plain`` makes it; whole numbers have no point, so that 3, 3.0 and "3.0" are the
    same. Raises ``ValueError`` for more than one dimension, and for a cell that holds several values or bytes."""
    if hasattr(values, "detach"):  # of torch
        values = values.detach().cpu().numpy()
    if not isinstance(values, pd.Series):
        if (shape := getattr(values, "shape", (1,))) and len(shape) != 1:
            raise ValueError(f"labels and ids are one column (N,), not of the shape {tuple(shape)}")
        if hasattr(values, "to_pylist"):  # of Arrow
            values = values.to_numpy(zero_copy_only=False) if str(values.type).endswith("float") else values.to_pylist()
        values = pd.Series(values if hasattr(values, "dtype") else pd.Series(list(values), dtype=object))
    if (kind := values.dtype).kind == "f" and kind.itemsize < 8:  # as a Python number, 0.1 would be 0.10000000149
        values = pd.Series([*values.to_numpy(f"f{kind.itemsize}", na_value=np.nan)], values.index, object, values.name)
    return pd.Series([_meaning(value) for value in values], values.index, object, values.name)


@lru_cache(2**16)
def plain(text: str) -> str:
    """Text in NFC with single blanks inside, none around and no invisible characters; a whole number has no point."""
    if not (text.isascii() and text.isprintable()):
        text = unicodedata.normalize("NFC", INVISIBLE.sub("", text))
    return WHOLE.sub(r"\1\2", " ".join(text.split()))


def parts(text: str) -> list[str]:
    """The distinct texts between semicolons, each as ``plain`` makes it, without empty ones; ``"? a"`` is ``"?a"``."""
    found = (plain(part) for part in text.split(";"))
    return [*dict.fromkeys("?" + plain(part[1:]) if part[0] == "?" else part for part in found if part)]


def group_numbers(groups: Iterable) -> np.ndarray:
    """Groups (N,) as numbers from 0 in the order of their first rows; each missing one is a group by itself."""
    codes = pd.factorize(as_text(groups))[0]
    return pd.factorize(np.where(codes < 0, len(codes) + np.arange(len(codes)), codes))[0]


def respelled(given: pd.Series, text: pd.Series) -> int:
    """How many cells are spelled otherwise than the first one of the same meaning."""
    spelled = given[text.notna()].astype(str)
    return int((spelled != spelled.groupby(text).transform("first")).sum())


def _meaning(value) -> str | None:
    if not isinstance(value, str):
        if hasattr(value, "detach"):  # by way of NumPy, whose 0.1 of 32 bits is written 0.1
            value = value.detach().cpu().reshape(()).numpy()[()] if value.numel() == 1 else value.tolist()
        if isinstance(value, bytes) or not pd.api.types.is_scalar(value):
            raise ValueError(f"a cell holds {value!r:.60}, which is no text, number or date; join lists with ';'")
        if pd.isna(value):
            return None
        value = str(int(value)) if isinstance(value, float | np.floating) and value.is_integer() else str(value)
    text = plain(value)
    return None if text in ("", "?") else text

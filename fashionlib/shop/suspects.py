"""Suspects: labels that out-of-fold networks disbelieve, and errors planted to see how many of them are found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..data.catalogue import Catalogue
from ..data.images import ImageData
from ..tasks import Hierarchy

if TYPE_CHECKING:
    from .cleaning import OutOfFold

KINDS = ("any", "sibling")
SCORES = ("margin", "self-confidence")


def find_suspects(found: OutOfFold, label: str, by: str = "margin") -> pd.DataFrame:
    """Every judged row, the least believed label first: row, image, label, given, suggested (the most probable class
    but the given one), p_given, p_suggested, score, rank (from 1).

    ``by`` is ``"margin"``, p_given - p_suggested, which is negative where the network prefers another class, or
    ``"self-confidence"``, p_given alone (Northcutt, Jiang and Chuang, 2021). Rows without a label are not listed, nor
    those whose given class the network does not know, or no other (``OutOfFold.summary`` counts them).

    Raises ``ValueError`` for a label that was not predicted, and for another ``by``.
    """
    if by not in SCORES:
        raise ValueError(f"by is {by!r}; there are {', '.join(SCORES)}")
    probabilities, names, given = found.of(label)
    rows = np.flatnonzero(given >= 0)
    p_given = probabilities[rows, given[rows]]
    others = np.nan_to_num(probabilities[rows], nan=-1.0)
    others[np.arange(len(rows)), given[rows]] = -1.0
    best = others.argmax(1)
    p_best = others[np.arange(len(rows)), best]
    table = pd.DataFrame({"row": rows, "image": found.catalogue.table["image"].to_numpy()[rows], "label": label})
    table = table.assign(given=names[given[rows]], suggested=names[best], p_given=p_given, p_suggested=p_best)
    table["score"] = p_given - p_best if by == "margin" else p_given
    table = table[~np.isnan(p_given) & (p_best >= 0)].sort_values(["score", "row"], ignore_index=True)
    return table.assign(rank=np.arange(1, len(table) + 1))


def plant_errors(
    data: ImageData,
    label: str,
    share: float = 0.02,
    seed: int = 0,
    kinds: Sequence[str] = KINDS,
    parent: str | None = None,
) -> tuple[ImageData, pd.DataFrame]:
    """The same images with a share of the given labels replaced by wrong ones, and which: row, image, label, true,
    planted, kind.

    Kinds share the errors evenly: ``"any"`` draws uniformly among all other classes of the catalogue, ``"sibling"``
    among those that occur under the same ``parent`` class, such as the same subCategory (the level above in a
    Hierarchy task if not given), which are harder to tell apart. The catalogue's ``facts`` say what was planted.

    Only this column is changed. Columns that say the same, such as a copy of it or the levels of a taxonomy, still
    tell the truth: judge with a task that reads this column alone. A Hierarchy would learn the planted paths.

    Raises ``ValueError`` for an unknown kind, a label with a single class, a label without a level above it and no
    ``parent``, and if the catalogue has too few rows that can be changed.
    """
    catalogue, column = data.catalogue, data.catalogue.table[label]
    if not kinds or set(kinds) - set(KINDS):
        raise ValueError(f"kinds is {kinds!r}; there are {', '.join(KINDS)}")
    labelled = column.dropna()
    if labelled.nunique() < 2:
        raise ValueError(f"{catalogue.name}: label {label!r} has {labelled.nunique()} class; no other can be planted")
    rng = np.random.default_rng(seed)
    left = rng.permutation(labelled.index)
    total, parts = round(share * len(labelled)), []
    for place, kind in enumerate(kind for kind in reversed(KINDS) if kind in kinds):  # the choosier kind goes first
        n = total // len(kinds) + (place < total % len(kinds))
        among = _level_above(catalogue, label, parent) if kind == "sibling" else None
        family = pd.Series("", index=column.index) if among is None else catalogue.table[among]
        choices = labelled.groupby(family).unique()
        able = np.array([row for row in left if len(choices.get(family[row], ())) > 1], dtype=int)
        if len(able) < n:
            raise ValueError(f"{catalogue.name}: only {len(able)} rows can get a wrong {label!r} of kind {kind!r}")
        for row in able[:n]:
            wrong = sorted(set(choices[family[row]]) - {column[row]})
            planted = wrong[rng.integers(len(wrong))]
            parts.append({"row": row, "label": label, "true": column[row], "planted": planted, "kind": kind})
        left = np.setdiff1d(left, able[:n])[rng.permutation(len(left) - n)]
    planted = pd.DataFrame(parts, columns=["row", "label", "true", "planted", "kind"])
    planted.insert(1, "image", catalogue.table["image"].to_numpy()[planted["row"]])
    facts = {"label": label, "share": share, "seed": seed, "rows": planted["kind"].value_counts().to_dict()}
    changed = _with_values(data, label, planted["row"].to_numpy(), planted["planted"].to_numpy(), planted=facts)
    return changed, planted.sort_values("row", ignore_index=True)


def hide_labels(data: ImageData, label: str, share: float = 0.05, seed: int = 0) -> tuple[ImageData, pd.DataFrame]:
    """The same images without a share of the given labels, and which they were: row, image, label, true. Only this
    column is changed, and the catalogue's ``facts`` say so."""
    column = data.catalogue.table[label]
    labelled = np.flatnonzero(column.notna())
    rows = np.sort(np.random.default_rng(seed).choice(labelled, round(share * len(labelled)), replace=False))
    image = data.catalogue.table["image"].to_numpy()[rows]
    hidden = pd.DataFrame({"row": rows, "image": image, "label": label, "true": column.to_numpy()[rows]})
    facts = {"label": label, "share": share, "seed": seed, "rows": len(rows)}
    return _with_values(data, label, rows, None, hidden=facts), hidden


def found_planted(
    suspects: pd.DataFrame, planted: pd.DataFrame, times: Sequence[float] = (0.5, 1, 2, 4)
) -> pd.DataFrame:
    """How many planted errors are among the first suspects, one row per kind and number of suspects looked at, which
    is ``times`` as many as were planted: kind, planted, examined, found, precision (of those examined), recall (of
    those planted), corrected (share of those found whose suggested class is the true one), average_precision (of the
    whole ranking), chance (precision and average precision of a ranking without any knowledge).

    For each kind the rows planted in another way are left out of the ranking; with several kinds there is also "all".
    A planted error that is not ranked, because the network has no opinion, is never found, and lowers the average
    precision too. Labels that were wrong before are not known and count as false alarms: precision is a lower bound.
    """
    kinds = list(dict.fromkeys(planted["kind"]))
    kinds = [kind for kind in KINDS if kind in kinds]
    rows = []
    for kind in [*kinds, *(["all"] if len(kinds) > 1 else [])]:
        wanted = planted if kind == "all" else planted[planted["kind"] == kind]
        other = planted.loc[~planted["row"].isin(wanted["row"]), "row"]
        ranked = suspects[~suspects["row"].isin(other)].sort_values("rank")
        true = ranked["row"].map(wanted.set_index("row")["true"])
        hit, right = true.notna().to_numpy(), (ranked["suggested"] == true).to_numpy()
        found, precision = hit.cumsum(), hit.cumsum() / np.arange(1, len(hit) + 1)
        whole = {"average_precision": precision[hit].sum() / len(wanted), "chance": hit.mean()}
        examined = np.clip(np.round(np.array(times) * len(wanted)).astype(int), 1, len(ranked))
        for n in dict.fromkeys(examined.tolist()):
            row = {"kind": kind, "planted": len(wanted), "examined": n, "found": int(found[n - 1])}
            row |= {"precision": precision[n - 1], "recall": found[n - 1] / len(wanted)}
            corrected = right[:n].sum() / found[n - 1] if found[n - 1] else float("nan")
            rows.append({**row, "corrected": corrected, **whole})
    return pd.DataFrame(rows)


def _level_above(catalogue: Catalogue, label: str, parent: str | None) -> str:
    """``parent``, or the level above a label in one of the catalogue's taxonomies."""
    taxonomies = [task.levels for task in catalogue.tasks.values() if isinstance(task, Hierarchy)]
    above = [levels[levels.index(label) - 1] for levels in taxonomies if label in levels[1:]]
    if parent is None and not above:
        raise ValueError(f"{catalogue.name}: no Hierarchy task has a level above {label!r}; name its parent column")
    return parent or above[0]


def _with_values(data: ImageData, label: str, rows: Sequence[int], values, **facts) -> ImageData:
    """The same images with other values of a label in some rows, which is told in ``facts``."""
    catalogue = data.catalogue.with_labels(label, rows, values, **facts)
    return ImageData(catalogue, data.pixels, data.position, data.folder)

"""Suspects: labels that out-of-fold networks disbelieve, and errors planted to see how many of them are found."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ..data.catalogue import Catalogue
from ..data.images import ImageData
from ..tasks import Hierarchy
from .cleaning import OutOfFold

KINDS = ("any", "sibling", "confused")
SCORES = ("margin", "self-confidence")


def find_suspects(found: OutOfFold, label: str, by: str = "margin") -> pd.DataFrame:
    """Every judged row, the least believed label first: row, image, label, given, suggested (the most probable class
    but the given one), p_given, p_suggested, score, rank (from 1). Left out are rows whose given class is missing or
    unknown to the network, or the only one that it knows.

    ``by`` is ``"margin"``, p_given - p_suggested, or ``"self-confidence"``, p_given alone (Northcutt, Jiang and Chuang,
    2021). Raises ``ValueError`` for another, and for a label that was not predicted."""
    if by not in SCORES:
        raise ValueError(f"by is {by!r}; there are {', '.join(SCORES)}")
    probabilities, given, p_given = found.of(label)
    rows = np.flatnonzero(~np.isnan(p_given))
    given, others = given.iloc[rows], probabilities.iloc[rows].fillna(-1.0).to_numpy(copy=True)
    others[np.arange(len(rows)), probabilities.columns.get_indexer(given)] = -1.0
    table = found.catalogue.table[["image"]].iloc[rows].assign(label=label, given=given)
    table = table.rename_axis("row").reset_index()
    table["suggested"] = probabilities.columns[others.argmax(1)]
    table["p_given"], table["p_suggested"] = p_given[rows], others.max(1)
    table["score"] = table["p_given"] - table["p_suggested"] if by == "margin" else table["p_given"]
    table = table[table["p_suggested"] >= 0].sort_values(["score", "row"], ignore_index=True)
    return table.assign(rank=table.index + 1)


def plant_errors(
    data: ImageData, label: str, share=0.02, seed=0, kinds=KINDS[:2], parent="", confused: Mapping | None = None
) -> tuple[ImageData, pd.DataFrame]:
    """The same images with a share of the given labels replaced by wrong ones, and which: row, image, label, true,
    planted, kind. The catalogue's ``facts`` say what was planted.

    Kinds share the errors evenly: ``"any"`` draws among all other classes, ``"sibling"`` among those under the same
    ``parent`` class (by default the level above in a Hierarchy), ``"confused"`` takes what ``confused`` has for the
    true class. Levels of a taxonomy still tell the truth: judge with a task that reads this column alone. Raises
    ``ValueError`` for an unknown kind, a label of one class or without ``parent``, and if too few rows can change."""
    catalogue, column = data.catalogue, data.catalogue.column(label)
    if not kinds or set(kinds) - set(KINDS) or not 0 <= share <= 1:
        raise ValueError(f"kinds is {kinds!r}; there are {', '.join(KINDS)}; share is {share!r}, of 0 to 1")
    labelled = column.dropna()
    if labelled.nunique() < 2:
        raise ValueError(f"{catalogue.name}: label {label!r} has {labelled.nunique()} class; no other can be planted")
    rng = np.random.default_rng(seed)
    left, total, parts = rng.permutation(labelled.index), round(share * len(labelled)), []
    kinds = [kind for kind in reversed(KINDS) if kind in kinds]  # the choosier kind goes first
    for place, kind in enumerate(kinds):
        n = total // len(kinds) + (place < total % len(kinds))
        if kind == "confused":
            family, choices = column, {true: {true, wrong} for true, wrong in (confused or {}).items()}
        else:
            above = (parent or _level_above(catalogue, label)) if kind == "sibling" else None
            family = catalogue.column(above) if above else pd.Series("", index=column.index)
            choices = labelled.groupby(family).unique()
        able = [row for row in left if len(choices.get(family[row], ())) > 1]
        if len(able) < n:
            raise ValueError(f"{catalogue.name}: only {len(able)} rows can get a wrong {label!r} of kind {kind!r}")
        for row in able[:n]:
            wrong = str(rng.choice(sorted(set(choices[family[row]]) - {column[row]})))
            parts.append((row, catalogue.table["image"][row], label, column[row], wrong, kind))
        left = rng.permutation(np.setdiff1d(left, able[:n]))
    planted = pd.DataFrame(parts, columns=["row", "image", "label", "true", "planted", "kind"])
    facts = {"label": label, "share": share, "seed": seed, "rows": planted["kind"].value_counts().to_dict()}
    changed = catalogue.with_labels(label, planted["row"].to_numpy(), planted["planted"].to_numpy(), planted=facts)
    return ImageData(changed, data.pixels, data.position, data.folder), planted.sort_values("row", ignore_index=True)


def hide_labels(data: ImageData, label: str, share: float = 0.05, seed: int = 0) -> tuple[ImageData, pd.DataFrame]:
    """The same images without a share of the given labels, and which they were: row, image, label, true. Only this
    column is changed, and the catalogue's ``facts`` say so."""
    hidden = data.catalogue.table[["image"]].assign(label=label, true=data.catalogue.column(label)).dropna()
    hidden = hidden.sample(round(share * len(hidden)), random_state=seed).sort_index().rename_axis("row").reset_index()
    facts = {"label": label, "share": share, "seed": seed, "rows": len(hidden)}
    changed = data.catalogue.with_labels(label, hidden["row"].to_numpy(), None, hidden=facts)
    return ImageData(changed, data.pixels, data.position, data.folder), hidden


def found_planted(suspects: pd.DataFrame, planted: pd.DataFrame, times=(0.5, 1, 2, 4)) -> pd.DataFrame:
    """How many planted errors are among the first suspects, one row per kind and number of suspects looked at, which
    is ``times`` as many as were planted: kind, planted, examined, found, precision (of those examined), recall (of
    those planted, ranked or not), corrected (share of those found whose suggested class is the true one),
    average_precision (of the whole ranking), chance (both precisions of a ranking without any knowledge).

    For each kind the rows planted in another way are left out; with several kinds there is also "all". Labels that were
    wrong before count as false alarms: precision is a lower bound. Raises ``ValueError`` without suspects."""
    if not len(suspects):
        raise ValueError("there are no suspects: no image with this label was judged")
    kinds, rows = [kind for kind in KINDS if (planted["kind"] == kind).any()], []
    for kind in [*kinds, "all"][: len(kinds) + (len(kinds) > 1)]:
        wanted = planted if kind == "all" else planted[planted["kind"] == kind]
        other = planted.loc[~planted["row"].isin(wanted["row"]), "row"]
        ranked = suspects[~suspects["row"].isin(other)].sort_values("rank")
        true = ranked["row"].map(wanted.set_index("row")["true"])
        hit, right = true.notna().to_numpy(), (ranked["suggested"] == true).to_numpy()
        found, precision = hit.cumsum(), hit.cumsum() / np.arange(1, len(hit) + 1)
        whole = {"average_precision": precision[hit].sum() / len(wanted), "chance": hit.mean()}
        for n in np.unique(np.clip(np.round(np.array(times) * len(wanted)).astype(int), 1, len(ranked))):
            row = {"kind": kind, "planted": len(wanted), "examined": n, "found": found[n - 1]}
            row |= {"precision": precision[n - 1], "recall": found[n - 1] / len(wanted)}
            rows.append({**row, "corrected": right[:n].sum() / (found[n - 1] or np.nan), **whole})
    return pd.DataFrame(rows)


def _level_above(catalogue: Catalogue, label: str) -> str:
    """The level above a label in one of the catalogue's taxonomies."""
    for task in catalogue.tasks.values():
        if isinstance(task, Hierarchy) and label in task.levels[1:]:
            return task.levels[task.levels.index(label) - 1]
    raise ValueError(f"{catalogue.name}: no Hierarchy task has a level above {label!r}; name its parent column")

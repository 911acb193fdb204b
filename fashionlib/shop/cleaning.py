"""Clean a catalogue: what networks that never saw an image say of its labels, and which labels contradict each other.

What a network learned from an image it repeats of that image, its wrong label too. So the catalogue is divided into
folds, and each fold is judged by a network that was trained on the others. Ranking what they disbelieve, and planting
errors to see how many are found, are in ``suspects``; its functions are found here as well.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ..data.catalogue import Catalogue
from ..data.duplicates import duplicate_groups, duplicate_pairs
from ..evaluation.predict import bootstrap_interval, predict_once
from ..data.images import ImageData
from ..tasks.labels import encode_labels, found_classes
from ..models import MultitaskModel
from ..machine.processes import is_main_process
from ..training.settings import Settings
from ..data.splits import join_groups
from .suspects import find_suspects, found_planted, hide_labels, plant_errors
from ..tasks import Hierarchy, MultiLabel
from ..training.fit import fit

__all__ = [
    "OutOfFold",
    "duplicate_table",
    "fill_missing",
    "fill_scores",
    "find_suspects",
    "fold_numbers",
    "found_planted",
    "hide_labels",
    "impossible_paths",
    "out_of_fold",
    "plant_errors",
]


@dataclass(frozen=True)
class OutOfFold:
    """What networks that never saw an image say of it.

    ``fold`` (N,) is the fold of every row of ``catalogue``; ``probabilities`` holds for each label (N, C), a column
    for each of its ``classes``, which are those of the whole catalogue. Where the network that judges a row never saw
    a class, because all images of it lie in that row's own fold, the value is NaN: it has no opinion of that class.
    """

    catalogue: Catalogue
    fold: np.ndarray
    classes: dict[str, tuple[str, ...]]
    probabilities: dict[str, np.ndarray]

    def of(self, label: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of a label: probabilities (N, C), names of the classes (C,), and the given class of every row (N,),
        ``MISSING`` where none is given. Raises ``ValueError`` for a label that was not predicted."""
        if label not in self.probabilities:
            there = ", ".join(self.probabilities)
            raise ValueError(f"label {label!r} was not predicted out of fold; there are {there}")
        given = encode_labels(self.catalogue.table[label], self.classes[label])
        return self.probabilities[label], np.array(self.classes[label], dtype=object), given

    def summary(self) -> pd.DataFrame:
        """One row per label: label, classes, labelled, missing, no_opinion (the given class is unknown to the network
        that judges the row; such a row is never a suspect), judged, and agree: the share of the judged rows whose most
        probable class is the given one."""
        rows = []
        for label, classes in self.classes.items():
            probabilities, _, given = self.of(label)
            labelled = np.flatnonzero(given >= 0)
            judged = labelled[~np.isnan(probabilities[labelled, given[labelled]])]
            best = np.nan_to_num(probabilities[judged], nan=-1.0).argmax(1)
            counts = {"labelled": len(labelled), "missing": len(given) - len(labelled)}
            counts |= {"no_opinion": len(labelled) - len(judged), "judged": len(judged)}
            agree = float((best == given[judged]).mean()) if len(judged) else float("nan")
            rows.append({"label": label, "classes": len(classes), **counts, "agree": agree})
        return pd.DataFrame(rows)


def fold_numbers(groups: Sequence, strata: Sequence, folds: int = 3, seed: int = 0) -> np.ndarray:
    """A fold (N,), from 0 to ``folds`` - 1, for every row: rows that share a group share a fold, and each stratum is
    spread over the folds as evenly as its groups allow; missing values are a stratum of their own.

    Raises ``ValueError`` with fewer than two folds or fewer groups than folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    groups, units = pd.factorize(pd.Series(groups).to_numpy())
    strata = pd.Series(strata).reset_index(drop=True).fillna("").astype(str)
    if not 2 <= folds <= len(units):
        raise ValueError(f"folds is {folds}; it must be at least 2, and at most the number of groups ({len(units)})")
    if strata.value_counts().max() < folds:
        strata[:] = ""  # every stratum is too rare to be spread
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    numbers = np.full(len(groups), -1)
    with warnings.catch_warnings():
        # a class with fewer images than folds is nothing to warn of: it goes where it can
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        for number, (_, held) in enumerate(splitter.split(groups, strata, groups)):
            numbers[held] = number
    return numbers


def out_of_fold(
    data: ImageData,
    make_model: Callable[[ImageData], MultitaskModel],
    settings: Settings,
    run_dir: str | Path,
    stratum: str,
    folds: int = 3,
    groups: Sequence | None = None,
    mirror: bool = True,
) -> OutOfFold:
    """Every row of a catalogue, of whatever split, judged once by a network that was trained on the other folds.

    ``make_model`` is called for each fold, after the seed was set, with data whose training split is the other folds:
    the model's tasks decide which labels are judged (those with one class an image, and every level of a taxonomy), as
    in ``lambda part: MultitaskModel("resnet18", part.catalogue.select("articleType"), size=part.size)``.

    Folds are stratified by the column ``stratum``, and images of one group share a fold; without ``groups`` (N,) these
    are the items and near-duplicates (``duplicates.duplicate_groups``), for a network that saw the same photo with the
    same wrong label would believe it. The runs are in ``run_dir/fold_0`` and so on, and resumable: called again, it
    trains nothing twice. There is no validation, so that ``patience`` has no effect. ``mirror`` averages with the
    mirror image. The probabilities are as the networks give them, not calibrated.

    Raises ``ValueError`` as ``fold_numbers`` and ``fit`` do, and if no task of the model has one class an image.
    """
    table = data.catalogue.table
    if groups is None:
        groups = duplicate_groups(data, duplicate_pairs(data))
    fold = fold_numbers(groups, table[stratum], folds, settings.seed)
    classes: dict[str, tuple[str, ...]] = {}
    probabilities: dict[str, np.ndarray] = {}
    for number in range(folds):
        held = fold == number
        if is_main_process():
            print(f"fold {number + 1} of {folds}: {(~held).sum():,} images judge {held.sum():,}", flush=True)
        part = data.with_split(np.where(held, "test", "train"), fold=number, folds=folds)
        torch.manual_seed(settings.seed)
        run = fit(make_model(part), part, settings, Path(run_dir) / f"fold_{number}")
        predictions = predict_once(run.model, part, "test", run.run_dir, mirror)
        for label, (predicted, _) in predictions.labels().items():
            if label not in classes:
                classes[label] = found_classes(table[label])
                probabilities[label] = np.full((len(table), len(classes[label])), np.nan, np.float32)
            learned = set(table.loc[~held, label].dropna())
            known = [k for k, name in enumerate(predictions.classes(label)) if name in learned]
            columns = [classes[label].index(predictions.classes(label)[k]) for k in known]
            probabilities[label][np.ix_(predictions.rows, columns)] = predicted.probabilities[:, known]
    if not classes:
        raise ValueError("no evaluated task of the model has one class an image; there is nothing to judge")
    return OutOfFold(data.catalogue, fold, classes, probabilities)


def fill_missing(found: OutOfFold, label: str, minimum: float = 0.0) -> pd.DataFrame:
    """The rows whose ``label`` is missing, with the most probable class, the surest first: row, image, label,
    suggested, confidence; those below ``minimum`` are left out. How far to trust a confidence, ``fill_scores`` says."""
    probabilities, names, given = found.of(label)
    rows = np.flatnonzero(given < 0)
    known = np.nan_to_num(probabilities[rows], nan=-1.0)
    images = found.catalogue.table["image"].to_numpy()[rows]
    filled = pd.DataFrame({"row": rows, "image": images, "label": label, "suggested": names[known.argmax(1)]})
    filled["confidence"] = known.max(1)
    filled = filled[filled["confidence"] >= minimum]
    return filled.sort_values(["confidence", "row"], ascending=[False, True], ignore_index=True)


def fill_scores(
    filled: pd.DataFrame, hidden: pd.DataFrame, minimums: Sequence[float] = (0.0, 0.5, 0.7, 0.9, 0.95)
) -> pd.DataFrame:
    """How right fills are, on labels that were hidden on purpose: one row per confidence threshold: minimum, hidden,
    filled, coverage (share of the hidden rows that is filled), accuracy of those, and its 95% bootstrap interval
    ci_low, ci_high. ``hidden`` is that of ``hide_labels``, ``filled`` that of ``fill_missing`` with minimum 0; rows
    that were not hidden do not count."""
    sure = hidden.merge(filled[["row", "suggested", "confidence"]], on="row", how="left")
    right = (sure["suggested"] == sure["true"]).to_numpy()
    rows = []
    for minimum in minimums:
        kept = (sure["confidence"] >= minimum).to_numpy()
        low, high = bootstrap_interval(right[kept])
        accuracy = float(right[kept].mean()) if kept.any() else float("nan")
        row = {"minimum": minimum, "hidden": len(hidden), "filled": int(kept.sum()), "coverage": float(kept.mean())}
        rows.append({**row, "accuracy": accuracy, "ci_low": low, "ci_high": high})
    return pd.DataFrame(rows)


def duplicate_table(data: ImageData, pairs: np.ndarray, labels: Sequence[str] | None = None) -> pd.DataFrame:
    """Near-duplicate ``pairs`` (M, 2) joined to groups of images, directly or through others: group, row, image, the
    ``labels`` (every single label if not given), and conflicts, the names of those labels of which the group has more
    than one class, joined by "; " (a label that is missing contradicts nothing). Groups with the most conflicts come
    first, then the larger ones."""
    table = data.catalogue.table
    if labels is None:
        tasks = data.catalogue.tasks.values()
        labels = [c for t in tasks if t.evaluated and t.labels and not isinstance(t, MultiLabel) for c in t.columns]
    labels = list(dict.fromkeys(labels))
    joined = pd.Series(join_groups(len(table), pairs))
    found = table.loc[joined.duplicated(keep=False), ["image", *labels]]
    group = joined[found.index]
    differ = found[labels].groupby(group).nunique() > 1
    size = group.value_counts()
    order = sorted(differ.index, key=lambda number: (-differ.loc[number].sum(), -size[number], number))
    names = {number: "; ".join(label for label in labels if differ.at[number, label]) for number in order}
    found = found.assign(group=group.map({number: place for place, number in enumerate(order)}))
    found = found.assign(row=found.index, conflicts=group.map(names)).sort_values(["group", "row"], ignore_index=True)
    return found[["group", "row", "image", *labels, "conflicts"]]


def impossible_paths(
    catalogue: Catalogue, levels: Sequence[str] | None = None, share: float = 0.9, minimum: int = 3
) -> pd.DataFrame:
    """Rows whose classes at two neighbouring ``levels`` contradict the taxonomy that the catalogue itself has.

    The levels, from the top, are those of its Hierarchy task if not given. A class's parent is the one that most of
    its images have, where that is at least ``share`` of them and the class has at least ``minimum`` images with a
    parent; classes without such a parent judge nobody. A row that disagrees is listed: row, image, level, class (at
    that level), given (its parent), expected, share (of the class's images that have the expected one), images (of the
    class), path. Which of the two classes is wrong is not said. Surest first.

    Raises ``ValueError`` if no levels are given and the catalogue has no Hierarchy task.
    """
    if levels is None:
        taxonomies = [task for task in catalogue.tasks.values() if isinstance(task, Hierarchy)]
        if not taxonomies:
            raise ValueError(f"{catalogue.name}: there is no Hierarchy task; name the levels, from the top")
        levels = taxonomies[0].levels
    if len(levels) < 2:
        raise ValueError(f"levels is {', '.join(levels)}; it takes two to contradict each other")
    table, parts = catalogue.table, []
    paths = table[list(levels)].astype(object).fillna("?").agg(" > ".join, axis=1)
    for parent, level in zip(levels, levels[1:], strict=False):
        both = table[[parent, level]].dropna()
        counts = both.value_counts().rename("n").reset_index()
        counts["images"] = counts.groupby(level)["n"].transform("sum")
        counts["share"] = counts["n"] / counts["images"]
        expected = counts.sort_values("n", ascending=False, kind="stable").drop_duplicates(level).set_index(level)
        expected = expected[(expected["share"] >= share) & (expected["images"] >= minimum)]
        wrong = both[both[level].isin(expected.index) & (both[parent] != both[level].map(expected[parent]))]
        part = {"row": wrong.index, "image": table.loc[wrong.index, "image"], "level": level, "class": wrong[level]}
        part |= {"given": wrong[parent], "expected": wrong[level].map(expected[parent])}
        part |= {name: wrong[level].map(expected[name]) for name in ("share", "images")}
        parts.append(pd.DataFrame({**part, "path": paths[wrong.index]}))
    return pd.concat(parts).sort_values(["share", "row"], ascending=[False, True], ignore_index=True)

"""Clean a catalogue: what networks that never saw an image say of its labels (of those that a network has learned, it
repeats the wrong ones), and which labels contradict each other. Ranking what they disbelieve is in ``suspects``."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ..cells import as_text, group_numbers
from ..data.catalogue import Catalogue
from ..data.images import ImageData
from ..evaluation.predict import predict_once
from ..machine.processes import is_main_process
from ..models import MultitaskModel
from ..tasks import Hierarchy
from ..tasks.labels import found_classes
from ..training.fit import fit
from ..training.settings import Settings
from .duplicates import duplicate_groups, duplicate_pairs, join_groups


@dataclass(frozen=True)
class OutOfFold:
    """What networks that never saw an image say of it: ``fold`` (N,) of every row of ``catalogue``, and for each label
    a table of ``probabilities`` (N, C), a column for each of the whole catalogue's classes. The value is NaN where the
    network that judges a row has no opinion of a class, because all images of it lie in that row's own fold."""

    catalogue: Catalogue
    fold: np.ndarray
    probabilities: dict[str, pd.DataFrame]

    def of(self, label: str) -> tuple[pd.DataFrame, pd.Series, np.ndarray]:
        """Of a label: probabilities (N, C), the given class of every row, and its probability (N,), NaN where none is
        given or the network has no opinion. Raises ``ValueError`` for a label that was not predicted."""
        if label not in self.probabilities:
            raise ValueError(f"label {label!r} was not predicted; there are {', '.join(self.probabilities)}")
        probabilities, given = self.probabilities[label], self.catalogue.table[label]
        column = probabilities.columns.get_indexer(given)
        p_given = np.where(column < 0, np.nan, probabilities.to_numpy()[np.arange(len(column)), column])
        return probabilities, given, p_given

    def summary(self) -> pd.DataFrame:
        """One row per label: label, classes, labelled, missing, no_opinion (rows whose given class is unknown to the
        network that judges them), judged, and agree: the share of the judged whose most probable class is the given."""
        rows = []
        for label in self.probabilities:
            probabilities, given, p_given = self.of(label)
            judged, labelled = ~np.isnan(p_given), int(given.count())
            counts = [labelled, len(given) - labelled, labelled - int(judged.sum()), int(judged.sum())]
            agree = (probabilities.fillna(-1.0).idxmax(axis=1) == given)[judged].mean()
            rows.append([label, probabilities.shape[1], *counts, agree])
        return pd.DataFrame(rows, columns=["label", "classes", "labelled", "missing", "no_opinion", "judged", "agree"])


def fold_numbers(groups: Sequence, strata: Sequence, folds: int = 3, seed: int = 0) -> np.ndarray:
    """A fold (N,), from 0 to ``folds`` - 1, for every row: rows that share a group share a fold (a row without one is a
    group by itself), and each stratum, missing values being one, is spread over the folds as evenly as its groups
    allow. Raises ``ValueError`` with fewer than two folds or fewer groups than folds."""
    from sklearn.model_selection import StratifiedGroupKFold

    groups = group_numbers(groups)
    strata = pd.Series(strata).reset_index(drop=True).astype(object).fillna("").astype(str)
    most = groups.max() + 1
    if not 2 <= folds <= most:
        raise ValueError(f"folds is {folds}; it must be at least 2, and at most the number of groups ({most})")
    if strata.value_counts().max() < folds:
        strata[:] = ""  # every stratum is too rare to be spread
    numbers = np.full(len(groups), -1)
    with warnings.catch_warnings():  # a class with fewer images than folds goes where it can
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
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
) -> OutOfFold:
    """Every row of a catalogue, of whatever split, judged once by a network that was trained on the other folds.

    ``make_model`` is called for each fold, after the seed was set, with data whose training split is the other folds:
    ``lambda part: MultitaskModel("resnet18", part.catalogue.select("articleType"), size=part.size)``. Judged are the
    labels with one class an image, and every level of a taxonomy; the probabilities are not calibrated.

    Folds are stratified by the column ``stratum``, and images of one group (N,), by default items and near-duplicates
    (``duplicates.duplicate_groups``), share a fold. The runs, in ``run_dir/fold_0`` and so on, go on where they were.
    Raises ``ValueError`` as ``fold_numbers`` and ``fit`` do, and if no task of the model has one class an image."""
    table = data.catalogue.table
    if groups is None:
        groups = duplicate_groups(data, duplicate_pairs(data))
    fold = fold_numbers(groups, data.catalogue.column(stratum), folds, settings.seed)
    probabilities: dict[str, pd.DataFrame] = {}
    for number in range(folds):
        held = fold == number
        if is_main_process():
            print(f"fold {number + 1} of {folds}: {(~held).sum():,} images judge {held.sum():,}", flush=True)
        part = data.with_split(np.where(held, "test", "train"), fold=number, folds=folds)
        torch.manual_seed(settings.seed)
        run = fit(make_model(part), part, settings, Path(run_dir) / f"fold_{number}")
        predictions = predict_once(run.model, part, "test", run.run_dir)
        for label, (predicted, _) in predictions.labels().items():
            nothing = pd.DataFrame(np.float32("nan"), table.index, found_classes(table[label]))
            said = pd.DataFrame(predicted.probabilities, predictions.rows, predictions.classes(label), np.float32)
            said = said.loc[:, said.columns.isin(table.loc[~held, label])]  # a head may have classes that it never saw
            probabilities.setdefault(label, nothing).loc[said.index, said.columns] = said
        if not probabilities:
            raise ValueError("no evaluated task of the model has one class an image; there is nothing to judge")
    return OutOfFold(data.catalogue, fold, probabilities)


def fill_missing(found: OutOfFold, label: str, minimum: float = 0.0) -> pd.DataFrame:
    """The rows whose ``label`` is missing, with the most probable class, the surest first: row, image, label,
    suggested, confidence; those below ``minimum`` are left out. ``hide_labels`` makes some to try it on."""
    probabilities, given, _ = found.of(label)
    known = probabilities[given.isna()].fillna(-1.0)
    filled = found.catalogue.table.loc[known.index, ["image"]].rename_axis("row").reset_index().assign(label=label)
    filled["suggested"], filled["confidence"] = known.columns[known.to_numpy().argmax(1)], known.to_numpy().max(1)
    filled = filled[filled["confidence"] >= minimum]
    return filled.sort_values(["confidence", "row"], ascending=[False, True], ignore_index=True)


def duplicate_table(data: ImageData, pairs: np.ndarray, labels: Sequence[str] | None = None) -> pd.DataFrame:
    """Near-duplicate ``pairs`` (M, 2) joined to groups of images, directly or through others: group, row, image, the
    ``labels`` (every single label if not given), and conflicts, the names of those of which the group has more than one
    class, joined by "; ". Groups with the most conflicts come first, then the larger ones."""
    table = data.catalogue.table
    if labels is None:
        tasks = [task for task in data.catalogue.tasks.values() if task.evaluated and not task.multi]
        labels = [label for task in tasks for label in task.labels]
    labels = [*dict.fromkeys(labels)]
    if taken := {"group", "row", "image", "conflicts"}.intersection(labels):
        raise ValueError(f"label {min(taken)!r}: the table has a column of that name of its own; leave it out (labels)")
    table = table.assign(**{label: as_text(data.catalogue.column(label)) for label in labels})
    joined = pd.Series(join_groups(len(table), pairs))
    found = table.loc[joined.duplicated(keep=False), ["image", *labels]]
    group = joined[found.index]
    differ = found[labels].groupby(group).nunique() > 1
    order = pd.DataFrame({"conflicts": differ.sum(axis=1), "size": group.value_counts()}).sort_index()
    order = order.sort_values(["conflicts", "size"], ascending=False).index
    names = {number: "; ".join(differ.columns[differ.loc[number].astype(bool)]) for number in order}
    found = found.assign(group=order.get_indexer(group), row=found.index, conflicts=group.map(names))
    return found.sort_values(["group", "row"], ignore_index=True)[["group", "row", "image", *labels, "conflicts"]]


def impossible_paths(catalogue: Catalogue, levels: Sequence[str] | None = None, share=0.9, minimum=3) -> pd.DataFrame:
    """Rows whose classes at two neighbouring ``levels`` contradict the taxonomy that the catalogue itself has.

    The levels, from the top, are those of its Hierarchy task if not given. The parent of a class is the one that at
    least ``share`` of its images with a parent, which are at least ``minimum``, have. A row with another is listed, the
    surest first: row, image, level, class (at that level), given (its parent), expected, share (of the class's images
    that have the expected one), images (of the class), path. Raises ``ValueError`` for fewer than two levels."""
    if levels is None:
        levels = next((task.levels for task in catalogue.tasks.values() if isinstance(task, Hierarchy)), ())
    if len(levels) < 2:
        what = f"levels is {', '.join(levels)}" if levels else f"{catalogue.name}: there is no Hierarchy task"
        raise ValueError(f"{what}; name two levels at least, from the top")
    table, parts = catalogue.table.assign(**{level: as_text(catalogue.column(level)) for level in levels}), []
    paths = table[[*levels]].fillna("?").agg(" > ".join, axis=1)
    for parent, level in zip(levels, levels[1:], strict=False):
        both = table[[parent, level]].dropna().set_axis(["given", "class"], axis=1)
        counts = both.value_counts().rename("n").reset_index()
        counts["images"] = counts.groupby("class")["n"].transform("sum")
        expected = counts.drop_duplicates("class").assign(share=lambda t: t["n"] / t["images"])  # the most frequent
        expected = expected[(expected["share"] >= share) & (expected["images"] >= minimum)]
        expected = expected.rename(columns={"given": "expected"}).set_index("class")[["expected", "share", "images"]]
        both = both.join(expected, on="class", how="inner")
        wrong = both[both["given"] != both["expected"]]
        parts.append(wrong.join(table["image"]).assign(row=wrong.index, level=level, path=paths[wrong.index]))
    columns = ["row", "image", "level", "class", "given", "expected", "share", "images", "path"]
    return pd.concat(parts)[columns].sort_values(["share", "row"], ascending=[False, True], ignore_index=True)

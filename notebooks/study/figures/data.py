"""Figures of a catalogue: its classes, examples of them, near-duplicates, suspicious labels."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fashionlib.data.catalogue import Catalogue
from fashionlib.data.images import ImageData
from fashionlib.shop.suspects import found_planted
from fashionlib.tasks import MultiLabel

from .images import Page
from .panels import log_scale, name_points, panels, small_note
from .style import BLUE, COLOURS, GREY, VERMILION, shorten, styled
from .training import curves

KIND_NAMES = {"any": "any other class", "sibling": "same parent", "confused": "what it is taken for", "all": "all"}
BARS = 12  # with more classes than this a rank-frequency curve is easier to read


@styled
def class_balance(catalogue: Catalogue, labels: Sequence[str]) -> Figure:
    """Images of each class of some labels: bars for up to twelve classes, else a logarithmic curve of images
    against rank with some classes named."""
    figure, axes_of = panels(len(labels), 1.8, columns=2, extra=0.1)
    counts = [_column(catalogue, label).value_counts() for label in labels]
    for axes, label, count in zip(axes_of, labels, counts, strict=True):
        (_bars if len(count) <= BARS else _rank_curve)(axes, count)
        facts = [f"{label}: {len(count)} classes"]
        if len(count) > BARS and (once := int((count == 1).sum())):
            facts.append(f"{once} of one image")
        if missing := int(catalogue.table[label].isna().sum()):
            facts.append(f"{missing:,} images without")
        axes.set_title(", ".join(facts))
    for axes, count in zip(axes_of, counts, strict=True):
        if len(count) > BARS:
            points = np.column_stack([np.arange(1, len(count) + 1), count])
            shown = np.linspace(0, len(count) - 1, 5).astype(int)[:-1]
            name_points(axes, [f"{count.index[k]} {count.iloc[k]:,}" for k in shown], points[shown], points)
    return figure


@styled
def catalogue_montage(data: ImageData, by: str, n: int = 8, seed: int = 0, classes: int = 8) -> Figure:
    """A row of n random examples for each of the most frequent classes of the column ``by``, and how many it has."""
    column = _column(data.catalogue, by)
    counts = column.value_counts()
    shown, more = counts.head(classes), len(counts) - classes
    rng = np.random.default_rng(seed)
    note = f"and {more} more classes of {by}" if more > 0 else ""
    page = Page(len(shown) * n, data.size, n, left=1.15, width=0.58, note=note)
    for row, (name, count) in enumerate(shown.items()):
        rows = rng.permutation(column.index[column == name].to_numpy())[:n]
        page.row(row, data.fetch(rows).numpy(), name, [f"{count:,} images"])
    return page.figure


@styled
def duplicate_pairs(data: ImageData, pairs: np.ndarray, labels: Sequence[str], n: int = 12) -> Figure:
    """The first n pairs of row numbers (M, 2) as images side by side: the split of each, and those of the ``labels``
    in which the two differ, three at most."""
    table = data.catalogue.table.astype(object).fillna("unknown")
    pairs = np.asarray(pairs)[:n]
    differing = [[label for label in labels if table.at[i, label] != table.at[j, label]][:3] for i, j in pairs]
    note = "Grey: the split of each image. Below it: the labels in which the two differ."
    page = Page(2 * len(pairs), data.size, 8, below=1.6 + max(map(len, differing), default=0), width=0.7, note=note)
    for k, (pair, names) in enumerate(zip(pairs, differing, strict=True)):
        for side, row in enumerate(pair):
            lines = [(table.at[row, "split"], GREY), *(str(table.at[row, name]) for name in names)]
            page.show(2 * k + side, data.fetch(np.array([row]))[0].numpy(), lines, shift=0.02 - 0.04 * side)
    return page.figure


@styled
def suspect_montage(data: ImageData, suspects: pd.DataFrame, n: int = 40) -> Figure:
    """The first n suspects: given label, suggested one after an arrow, and the probability of the given one."""
    shown = suspects.sort_values("rank").head(n)
    label = suspects["label"].iloc[0] if len(suspects) else "label"
    note = f"Given {label} → what the network believes most instead; p is what it believes of the given one."
    page = Page(len(shown), data.size, 8, below=3.2, note=note)
    for k, suspect in enumerate(shown.itertuples()):
        lines = [(suspect.given, VERMILION), f"→ {suspect.suggested}", (f"p {suspect.p_given:.2f}", GREY)]
        page.show(k, data.fetch(np.array([suspect.row]))[0].numpy(), lines)
    return page.figure


@styled
def planted_curve(suspects: pd.DataFrame, planted: pd.DataFrame) -> Figure:
    """Precision and recall of planted errors against the number of suspects looked at, a line for each kind, and
    a dotted one for a ranking without any knowledge."""
    most = len(suspects) / planted["kind"].value_counts().min()
    points = found_planted(suspects, planted, np.geomspace(1 / len(planted), most, 200))
    facts = points["planted"].map(" ({:,} planted): AP ".format) + points["average_precision"].map("{:.3f}".format)
    points = points.assign(name=points["kind"].map(KIND_NAMES) + facts)
    long = points.melt(["name", "examined"], ["precision", "recall"], "metric")
    figure = curves(long, "examined", "value", "name", "metric", log=True)
    for axes, name in zip(figure.axes, ("precision", "recall"), strict=True):
        for colour, (_, part) in zip(COLOURS, points.groupby("kind", sort=False), strict=False):
            chance = part["chance"] * (1 if name == "precision" else part["examined"] / part["planted"])
            axes.plot(part["examined"], chance, color=colour, linestyle=":", linewidth=1)
        axes.set(ylim=(-0.02, 1.02), xlabel="suspects looked at (log scale)")
    figure.axes[0].set_title("precision: of those looked at, planted")
    figure.axes[1].set_title("recall: of those planted, found")
    small_note(figure, "Dotted: a ranking without any knowledge. AP: average precision.")
    return figure


@styled
def duplicate_groups(data: ImageData, groups: pd.DataFrame, n: int = 6, images: int = 6) -> Figure:
    """The first n groups of near-duplicates whose labels contradict each other (of ``duplicate_table``), a row each,
    with at most ``images`` of each group: below an image its classes of the first four labels that conflict, in the
    order in which they are named beside the row. Raises ``ValueError`` if no group conflicts."""
    conflicting = groups[groups["conflicts"] != ""]
    shown = [part for _, part in conflicting.groupby("group")][:n]
    if not shown:
        raise ValueError("duplicate_groups: no group has labels that conflict")
    total, named = conflicting["group"].nunique(), [part["conflicts"].iloc[0].split("; ") for part in shown]
    note = f"{len(shown)} of the {total:,} groups of near-duplicates whose labels contradict each other."
    below = min(max(map(len, named)), 4) + 0.4
    page = Page(len(shown) * images, data.size, images, below=below, left=1.25, width=0.66, note=note)
    for row, (part, names) in enumerate(zip(shown, named, strict=True)):
        members = part.head(images)
        lines = members[names[:4]].astype(object).fillna("not given").astype(str).to_numpy().tolist()
        title = f"{len(part)} images" + (f", {images} shown" if len(part) > images else "")
        more = [f"and {len(names) - 4} more"] if len(names) > 4 else []
        page.row(row, data.fetch(members["row"].to_numpy()).numpy(), title, [*names[:4], *more], lines)
    return page.figure


def _column(catalogue: Catalogue, label: str) -> pd.Series:
    """The classes of a label by row number; an image of several has as many entries, those not known ("?c") none."""
    column = catalogue.table[label].dropna()
    if isinstance(task := catalogue.tasks.get(label), MultiLabel):
        return column.str.split(";").explode().loc[lambda each: each.isin(task.classes)]
    return column[column != ""]


def _bars(axes: Axes, counts: pd.Series) -> None:
    if counts.empty:
        return
    sns.barplot(x=counts.to_numpy(), y=list(counts.index.astype(str)), orient="h", color=BLUE, saturation=1, ax=axes)
    axes.set_yticks(range(len(counts)), [shorten(name, 1.1, 7) for name in counts.index])
    axes.bar_label(axes.containers[0], fmt="{:,.0f}", padding=2, fontsize=6.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(False)
    axes.set(xlabel="images", xlim=(0, counts.iloc[0] * 1.2))
    axes.xaxis.set_major_formatter("{x:,.0f}")


def _rank_curve(axes: Axes, counts: pd.Series) -> None:
    axes.plot(range(1, len(counts) + 1), counts, color=BLUE, marker="o", markersize=2, linewidth=0.8)
    axes.set(xlabel="class, by rank", ylabel="images (log scale)", xlim=(0, len(counts) + 2))
    axes.set_ylim(counts.iloc[-1] * 0.6, counts.iloc[0] * 3)
    log_scale(axes, "y")

"""Figures of data and training, and the way in to all others. Every function returns a Figure and shows nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from fashionlib.data.catalogue import Catalogue
from .attributes import attribute_montage, attribute_scatter, recall_bars, variant_bars
from .images import catalogue_montage, duplicate_pairs, image_montage, prediction_montage
from .scores import accuracy_comparison, calibration, confusion_pairs, per_class_scatter
from .style import BLUE, COLOURS, GREY, MARKERS, TEXT_WIDTH, shorten, style
from fashionlib.tasks import MultiLabel

__all__ = [
    "accuracy_comparison",
    "attribute_montage",
    "attribute_scatter",
    "calibration",
    "catalogue_montage",
    "class_balance",
    "confusion_pairs",
    "duplicate_pairs",
    "image_montage",
    "per_class_scatter",
    "prediction_montage",
    "recall_bars",
    "training_curves",
    "variant_bars",
]

THOUSANDS = StrMethodFormatter("{x:,.0f}")
LINES = ("-", "--", ":", "-.")
BARS = 12  # with more classes than this a rank-frequency curve is easier to read


@style()
def class_balance(catalogue: Catalogue, labels: Sequence[str]) -> Figure:
    """Images of each class of some labels: bars for up to twelve classes, else a curve of images against rank with
    some classes named; logarithmic where the largest class has more than 30 times the images of the smallest."""
    counts = {label: _counts(catalogue, label) for label in labels}
    few = [label for label in labels if len(counts[label]) <= BARS]
    many = [label for label in labels if label not in few]
    bar_rows = [few[k : k + 2] for k in range(0, len(few), 2)]
    heights = [0.7 + 0.13 * max(len(counts[label]) for label in row) for row in bar_rows] + [1.55] * len(many)
    figure = plt.figure(figsize=(TEXT_WIDTH, sum(heights)), layout="constrained")
    grid = figure.add_gridspec(len(heights), 2, height_ratios=heights)
    for number, label in enumerate(few):
        _bars(figure.add_subplot(grid[number // 2, number % 2]), counts[label])
    for number, label in enumerate(many, start=len(bar_rows)):
        _rank_curve(figure.add_subplot(grid[number, :]), counts[label])
    for axes, label in zip(figure.axes, few + many, strict=True):
        facts = [f"{label}: {len(counts[label])} classes"]
        if label in many and (once := int((counts[label] == 1).sum())):
            facts.append(f"{once} of a single image")
        if missing := int(catalogue.table[label].isna().sum()):
            facts.append(f"{missing:,} images without")
        axes.set_title(", ".join(facts))
    return figure


@style()
def training_curves(history: pd.DataFrame | Mapping[str, pd.DataFrame]) -> Figure:
    """The course of training. One history: a panel for the losses of all tasks and one for each kind of validation
    metric, with a line for every label. Several, by name: the runs over one another, in a panel for the summed loss,
    the validation score, and the first metric of each label."""
    if isinstance(history, pd.DataFrame):
        figure, panels = _curves_of_one(history)
    else:
        figure, panels = _curves_of_several(history)
    for axes in panels:
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(axis="y")
    return figure


def _counts(catalogue: Catalogue, label: str) -> pd.Series:
    """Images of each class, the largest first."""
    column = catalogue.table[label].dropna()
    if isinstance(catalogue.tasks.get(label), MultiLabel):
        column = column.str.split(";").explode()
        column = column[column != ""]
    return column.value_counts()


def _bars(axes: Axes, counts: pd.Series) -> None:
    if counts.empty:
        return
    bars = axes.barh(range(len(counts)), counts, color=BLUE, height=0.7)
    axes.bar_label(bars, [f"{count:,}" for count in counts], padding=2, fontsize=6.5)
    axes.set_yticks(range(len(counts)), [shorten(name, 20) for name in counts.index])
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.margins(x=0.2)
    axes.set_xlabel("images")
    if counts.iloc[0] > 30 * counts.iloc[-1]:
        axes.set(xscale="log", xlim=(min(counts.iloc[-1], 10) * 0.5, counts.iloc[0] * 6), xlabel="images (log scale)")
    axes.xaxis.set_major_formatter(THOUSANDS)


def _rank_curve(axes: Axes, counts: pd.Series, named: int = 6) -> None:
    ranks = np.arange(1, len(counts) + 1)
    axes.plot(ranks, counts, color=BLUE, marker="o", markersize=2, linewidth=0.8)
    axes.set(xlabel="class, by rank", ylabel="images (log scale)", yscale="log", xlim=(0, len(counts) + 2))
    axes.set_ylim(counts.iloc[-1] * 0.6, counts.iloc[0] * 3)
    axes.yaxis.set_major_formatter(THOUSANDS)
    axes.grid(axis="y")
    for k in np.linspace(0, len(counts) - 1, named + 1).astype(int)[:-1]:
        text = f"{shorten(counts.index[k], 20)} {counts.iloc[k]:,}"
        axes.annotate(text, (ranks[k], counts.iloc[k]), (4, 4), textcoords="offset points", fontsize=6.5)


def _curves_of_one(history: pd.DataFrame) -> tuple[Figure, list[Axes]]:
    losses = [name for name in history if name.startswith("loss/")]
    metrics: dict[str, list[str]] = {}
    for column in history:
        if "/" in column and not column.startswith("loss/") and not column.endswith("top3_accuracy"):
            metrics.setdefault(column.rsplit("/", 1)[1], []).append(column)
    lines = {"training loss": losses, **{f"validation {_words(name)}": columns for name, columns in metrics.items()}}
    figure, panels = _rows(len(lines))
    labels = list(dict.fromkeys(name.rsplit("/", 1)[0] for columns in metrics.values() for name in columns))
    tasks = [name.removeprefix("loss/") for name in losses]
    order = labels + [task for task in tasks if task not in labels]  # a label has one colour in all panels
    for axes, (title, columns) in zip(panels, lines.items(), strict=True):
        for column in columns:
            name = column.removeprefix("loss/").rsplit("/", 1)[0]
            k = order.index(name)
            look = {"color": COLOURS[k % 7], "linestyle": LINES[k // 7 % 4], "marker": ".", "markersize": 3}
            axes.plot(history["epoch"], history[column], label=name, **look)
        axes.set_ylabel(title)
        if columns is losses and history[losses].min().min() * 10 < history[losses].max().max():
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        for epoch in history["epoch"][history["stage"] != history["stage"].shift()][1:]:
            axes.axvline(epoch - 0.5, color=GREY, linewidth=0.6, linestyle=":")
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure, panels


def _curves_of_several(histories: Mapping[str, pd.DataFrame]) -> tuple[Figure, list[Axes]]:
    first: dict[str, str] = {}
    for history in histories.values():
        for column in history:
            if "/" in column and not column.startswith("loss/"):
                first.setdefault(column.rsplit("/", 1)[0], column)
    titles = {"loss": "training loss, summed", "score": "validation score"}
    titles |= {column: f"{label}, {_words(column.rsplit('/', 1)[1])}" for label, column in first.items()}
    columns = 3
    rows = -(-len(titles) // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(TEXT_WIDTH, 1.65 * rows + 0.3), sharex=True, squeeze=False, layout="constrained"
    )
    for axes, (column, title) in zip(grid.flat, titles.items(), strict=False):
        for k, (name, history) in enumerate(histories.items()):
            values = history.filter(like="loss/").sum(axis=1) if column == "loss" else history.get(column)
            if values is not None:
                look = {"color": COLOURS[k % 7], "marker": MARKERS[k % 7], "markersize": 2.5}
                axes.plot(history["epoch"], values, label=name, **look)
        axes.set_title(title)
        axes.tick_params(labelbottom=True)
    for axes in grid.flat[len(titles) :]:
        axes.set_visible(False)
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return figure, list(grid.flat[: len(titles)])


def _rows(n: int) -> tuple[Figure, list[Axes]]:
    figure, grid = plt.subplots(n, 1, figsize=(TEXT_WIDTH, 1.9 * n), squeeze=False, layout="constrained")
    return figure, list(grid[:, 0])


def _words(metric: str) -> str:
    """A metric's name as it is written in text."""
    known_names = {"macro_f1": "macro-F1", "map": "mean average precision", "recall_at_1": "recall at 1"}
    return known_names.get(metric, metric.replace("_", " "))

"""Figures of results: confusions, calibration, accuracies beside published ones, classes one by one."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from fashionlib.evaluation.predict import Predictions
from fashionlib.tasks.labels import known
from .style import BLACK, BLUE, COLOURS, GREY, MARKERS, TEXT_WIDTH, VERMILION, shorten, style

REFERENCES = (("seed_accuracy", "result to beat", ":", GREY), ("best_published", "best published", "--", BLACK))


@style()
def confusion_pairs(predictions: Predictions, label: str, top: int = 12) -> Figure:
    """The part of the confusion matrix where most mistakes are: the ``top`` classes of the most frequent confusions.
    Colour is the share of all images of the true class, so that rows compare; numbers are images."""
    classes = predictions.classes(label)
    _, index, truth = known(*predictions.labels()[label])
    matrix = np.zeros((len(classes), len(classes)), int)
    np.add.at(matrix, (truth[truth >= 0], index[truth >= 0]), 1)
    wrong = matrix - np.diag(np.diag(matrix))
    worst = np.argsort(-wrong, axis=None, kind="stable")[: np.count_nonzero(wrong)]
    pairs = np.stack(np.unravel_index(worst, wrong.shape), axis=1)
    numbers = list(dict.fromkeys(pairs.ravel().tolist()))[:top] or list(range(len(classes)))[:top]
    names = [classes[number] for number in numbers]
    counts = matrix[np.ix_(numbers, numbers)]
    share = counts / np.maximum(matrix[numbers].sum(1, keepdims=True), 1)
    side = min(TEXT_WIDTH, 1.9 + 0.36 * len(names))
    figure, axes = plt.subplots(figsize=(side, side * 0.86), layout="constrained")
    mesh = axes.pcolormesh(share, cmap="Blues", vmin=0, vmax=1, edgecolors="white", linewidth=0.8)
    for (i, j), count in np.ndenumerate(counts):
        if count:
            axes.text(
                j + 0.5, i + 0.5, f"{count:,}", ha="center", va="center", fontsize=6.5,
                color="white" if share[i, j] > 0.55 else BLACK,
            )  # fmt: skip
    ticks = np.arange(len(names)) + 0.5
    axes.set_xticks(ticks, [shorten(name, 22) for name in names], rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(ticks, [shorten(name, 22) for name in names])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.invert_yaxis()
    axes.set(xlabel=f"predicted {label}", ylabel=f"true {label}", aspect="equal")
    figure.colorbar(mesh, ax=axes, label="share of the true class", shrink=0.6, aspect=25)
    return figure


@style()
def calibration(curves: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray, float]]) -> Figure:
    """Reliability diagram of labels by name, each as ``metrics.calibration_curve`` gives it: accuracy against mean
    confidence, with the expected calibration error (ECE), above the share of images at each confidence."""
    figure, (top, bottom) = plt.subplots(
        2, 1, figsize=(TEXT_WIDTH * 0.8, 4.6), sharex=True, height_ratios=(3, 1), layout="constrained"
    )
    top.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle="--", label="perfectly calibrated")
    for k, (name, (confidence, accuracy, share, error)) in enumerate(curves.items()):
        look = {"color": COLOURS[k % 7], "marker": MARKERS[k % 7]}
        top.plot(confidence, accuracy, label=f"{name}: ECE {error:.3f}", **look)
        bottom.plot(confidence, share, linewidth=0.8, **look)
    top.set(ylabel="accuracy", ylim=(0, 1), xlim=(0, 1))
    bottom.set(ylabel="share of images", xlabel="confidence (mean of each tenth)", yscale="log")
    for axes in (top, bottom):
        axes.grid()
    figure.legend(*top.get_legend_handles_labels(), loc="outside right upper")
    return figure


@style()
def accuracy_comparison(table: pd.DataFrame) -> Figure:
    """Accuracy with its 95% interval for each model and split, a panel for each task, each with its own scale.

    ``table`` has the columns of 07_accuracy: model, split, task, accuracy, ci_low, ci_high, and where known
    seed_accuracy and best_published (drawn as lines) and majority (said in the title; also taken from rows whose model
    begins with "majority")."""
    is_floor = table["model"].str.startswith("majority")
    floor = table[is_floor].groupby("task")["accuracy"].max()
    table = table[~is_floor]
    tasks, models, splits = (list(dict.fromkeys(table[name])) for name in ("task", "model", "split"))
    ways = list(dict.fromkeys(table[["model", "split"]].itertuples(index=False, name=None)))
    figure, panels = _panels(len(tasks), height=0.62 + 0.17 * len(ways), extra=0.35)
    for axes, task in zip(panels, tasks, strict=True):
        rows_of_task = table[table["task"] == task]
        for row in rows_of_task.itertuples():
            colour = COLOURS[models.index(row.model) % 7]
            axes.errorbar(
                row.accuracy, ways.index((row.model, row.split)), color=colour, capsize=2, elinewidth=1,
                xerr=[[max(row.accuracy - row.ci_low, 0)], [max(row.ci_high - row.accuracy, 0)]],
                marker=MARKERS[models.index(row.model) % 7],
                markerfacecolor=colour if row.split == splits[0] else "white",
            )  # fmt: skip
        for column, label, linestyle, colour in REFERENCES:
            if column in table and rows_of_task[column].notna().any():
                axes.axvline(rows_of_task[column].max(), color=colour, linestyle=linestyle, linewidth=1, label=label)
        least = rows_of_task["majority"].max() if "majority" in table else floor.get(task, np.nan)
        axes.set_title(f"{task}" + (f"   (majority class: {least:.3f})" if least == least else ""))
        axes.set_yticks(range(len(ways)), [f"{model}, {split}" for model, split in ways])
        axes.set_ylim(len(ways) - 0.5, -0.5)
        axes.xaxis.set_major_locator(plt.MaxNLocator(5))
        axes.margins(x=0.1)
        axes.grid(axis="x")
    figure.supxlabel("accuracy on test images, with 95% interval", fontsize=8)
    if lines := panels[0].get_legend_handles_labels()[0]:
        figure.legend(handles=lines, loc="outside upper center", ncols=2)
    return figure


@style()
def per_class_scatter(table: pd.DataFrame, named: int = 8) -> Figure:
    """F1 of every class against its training images (logarithmic), a panel for each task, with the median of classes
    of similar size; named are the classes of at least ten training images that lie furthest from that median.

    ``table`` has the columns task, class, f1, n_train (``evaluation.per_class_table`` with training counts)."""
    tasks = list(dict.fromkeys(table["task"]))
    figure, panels = _panels(len(tasks), height=3.2 if len(tasks) == 1 else 2.4, extra=0.2)
    for axes, task in zip(panels, tasks, strict=True):
        part = table[(table["task"] == task) & (table["n_train"] > 0)].sort_values("n_train")
        axes.scatter(part["n_train"], part["f1"], s=14, color=BLUE, alpha=0.65, linewidths=0, label="a class")
        width = max(5, len(part) // 8)
        middle = part["f1"].rolling(width, center=True, min_periods=1).median()
        line = middle.groupby(part["n_train"]).median()
        axes.plot(line.index, line, color=VERMILION, label="median of classes of similar size")
        known_well = part["n_train"] >= min(10, part["n_train"].max())
        far = (part["f1"] - middle).abs()[known_well].nlargest(named if len(tasks) == 1 else named // 2).index
        for name, x, y in part.loc[far, ["class", "n_train", "f1"]].itertuples(index=False, name=None):
            axes.annotate(shorten(name, 18), (x, y), (3, 3), textcoords="offset points", fontsize=6.5)
        axes.set(xscale="log", ylim=(-0.03, 1.06), title=f"{task}: {len(part)} classes", xlabel="training images")
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.grid()
    for axes in panels[::2]:
        axes.set_ylabel("F1 on test images")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return figure


def _panels(n: int, height: float, extra: float) -> tuple[Figure, list[Axes]]:
    """n panels of a height in inches, in two columns if there are several, and ``extra`` inches for the whole."""
    columns = min(2, n)
    rows = -(-n // columns)
    size = (TEXT_WIDTH, rows * height + extra)
    figure, grid = plt.subplots(rows, columns, figsize=size, sharey=True, squeeze=False, layout="constrained")
    for axes in grid.flat[n:]:
        axes.set_visible(False)
    return figure, list(grid.flat[:n])

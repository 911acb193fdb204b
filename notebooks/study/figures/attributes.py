"""Figures of many-label predictions: attributes one by one, top-k recall, highest-ranked images, variants."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from fashionlib.metrics.attributes import average_precisions
from fashionlib.evaluation.predict import Predictions
from fashionlib.data.images import ImageData
from .images import draw_image, foot_note, image_grid, mark_image, text_beside
from .names import name_points
from .style import BLACK, BLUE, COLOURS, GREY, MARKERS, TEXT_WIDTH, VERMILION, shorten, style

TOTALS = {"pooled": "pooled over groups", "all": "all ranked together"}
HATCHES = ("", "/////", ".....", "xxxxx")  # beside the colour, for a print in black and white
NO_GROUP = "no group"


@style()
def attribute_scatter(table: pd.DataFrame, named: int = 10) -> Figure:
    """Average precision of every attribute against its prevalence, both logarithmic, a colour and mark for each group;
    on the diagonal lies what a constant answer reaches. Of the attributes with at least ten test images the
    ``named / 2`` of largest and as many of smallest lift are named.

    ``table`` is that of ``attribute_metrics.attribute_table``; attributes without a test image are counted in the
    title, not drawn. Raises ``ValueError`` if none has one.
    """
    part = table[table["average_precision"].notna()].fillna({"group": ""})  # an empty name is lost in a CSV file
    if part.empty:
        raise ValueError(f"attribute_scatter: none of the {len(table)} attributes has a test image")
    groups = list(dict.fromkeys(part["group"]))
    figure, axes = plt.subplots(figsize=(TEXT_WIDTH, 4.2), layout="constrained")
    for k, group in enumerate(groups):
        inside = part[part["group"] == group]
        name = "an attribute" if groups == [""] else f"{shorten(group or NO_GROUP, 20)} ({len(inside)})"
        colour = COLOURS[k % 7]
        axes.scatter(
            inside["prevalence"], inside["average_precision"], s=16, label=name, marker=MARKERS[k % 7], alpha=0.75,
            facecolors=colour if k < 7 else "none", edgecolors="none" if k < 7 else colour, linewidths=0.8,
            zorder=3 - len(inside) / len(part),  # a large group does not hide a small one
        )  # fmt: skip
    low, high = part["prevalence"].min() / 1.4, part["prevalence"].max() * 1.4
    bottom = min(low, part["average_precision"].min() / 1.4)
    top = max(high, part["average_precision"].max() * 1.6)  # with room for names
    axes.plot(
        [low, high], [low, high], color=GREY, linestyle="--", linewidth=0.8, label="what a constant answer reaches"
    )
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(bottom, top))
    for axis, ratio in ((axes.xaxis, high / low), (axes.yaxis, top / bottom)):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if ratio < 300 else (1,)))
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.set_minor_formatter(NullFormatter())
    axes.set(xlabel="prevalence: share of test images with the attribute", ylabel="average precision")
    left_out = len(table) - len(part)
    axes.set_title(f"{len(part)} attributes" + (f", {left_out} more without a test image" if left_out else ""))
    axes.grid()
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    often = part[part["n_test"] >= min(10, part["n_test"].max())].sort_values("lift", kind="stable")
    shown = pd.concat([often.head(named // 2), often.iloc[named // 2 :].tail(named - named // 2)])
    names = [shorten(_bare(name, group), 22) for name, group in zip(shown["attribute"], shown["group"], strict=True)]
    columns = ["prevalence", "average_precision"]
    name_points(axes, names, shown[columns].to_numpy(), part[columns].to_numpy())
    return figure


@style()
def recall_bars(table: pd.DataFrame, published: pd.DataFrame | None = None) -> Figure:
    """Top-k recall as bars, a panel for each k: the groups above, and set apart below them the two readings over all
    groups, "pooled" and "all".

    ``table`` is that of ``attribute_metrics.top_k_recall`` (scope, k, recall, labels), with a column ``model`` where
    several are compared. ``published`` (method, scope, k, recall) is drawn as a mark on the row of its scope. Raises
    ``ValueError`` for a published scope and k that the table does not have.
    """
    table = table.fillna({"scope": ""})  # an empty name is lost in a CSV file
    ks, scopes = (list(dict.fromkeys(table[name])) for name in ("k", "scope"))
    models = list(dict.fromkeys(table["model"])) if "model" in table else [None]
    groups, totals = [s for s in scopes if s not in TOTALS], [s for s in TOTALS if s in scopes]
    gap = 0.4 if groups and totals else 0.0
    rows = {scope: k + gap * (scope in TOTALS) for k, scope in enumerate(groups + totals)}
    methods = [] if published is None else list(dict.fromkeys(published["method"]))
    if published is not None:
        _check_published(published, table)
    named = len(methods) + len(models) * ("model" in table)  # in the legend, three to a line
    height = 0.75 + (len(rows) + gap) * (0.11 + 0.12 * len(models)) + 0.16 * -(-named // 3)
    figure, panels = plt.subplots(
        1, len(ks), figsize=(TEXT_WIDTH, height), sharex=True, sharey=True, squeeze=False, layout="constrained"
    )
    for axes, k in zip(panels[0], ks, strict=True):
        for number, model in enumerate(models):
            part = table[(table["k"] == k) & (True if model is None else table["model"] == model)]
            _recalls(axes, part, rows, model, number, 0.8 / len(models), (number - (len(models) - 1) / 2))
        for number, method in enumerate(methods):
            part = published[(published["k"] == k) & (published["method"] == method)]
            axes.plot(
                part["recall"], [rows[scope] for scope in part["scope"]], label=method, linestyle="none",
                marker=MARKERS[3:][number % 4], color=BLACK, markerfacecolor="white", markersize=4.5, zorder=4,
            )  # fmt: skip
        if gap:
            axes.axhline(len(groups) - 0.5 + gap / 2, color=GREY, linewidth=0.6)
        axes.set_title(f"top-{k} recall")
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x")
    labels = table.groupby("scope")["labels"].max()
    names = [f"{TOTALS.get(scope, shorten(scope or NO_GROUP, 24))} ({labels[scope]:,})" for scope in rows]
    axes = panels[0, 0]
    axes.set_yticks(list(rows.values()), names)
    axes.set_ylim(max(rows.values()) + 0.5, -0.5)
    most = max([table["recall"].max(), *(published["recall"] if methods else [])])
    axes.set_xlim(0, min(1, most * 1.1) if most > 0 else 1)
    axes.xaxis.set_major_locator(plt.MaxNLocator(5, steps=[1, 2, 5, 10]))
    figure.supxlabel("recall: share of the true labels (their number in brackets) among the k best of an image", size=8)
    marks, names = axes.get_legend_handles_labels()
    if marks:
        order = np.argsort([name in methods for name in names], kind="stable")  # the bars first
        figure.legend([marks[k] for k in order], [names[k] for k in order], loc="outside upper center", ncols=3)
    return figure


@style()
def attribute_montage(
    data: ImageData, predictions: Predictions, task: str, classes: Sequence[str], n: int = 8
) -> Figure:
    """For each of some classes of a many-label task the n images of ``predictions.rows`` with the highest probability,
    the highest first: a tick where the class is among the image's labels, a cross where it is not, a question mark
    where nobody knows. Beside a row: the class, its average precision and how many of the images have it. Raises
    ``ValueError`` for a class that the task does not have."""
    known = predictions.tasks[task].labels[task]
    if missing := [name for name in classes if name not in known]:
        raise ValueError(f"attribute_montage: {missing[0]!r} is not among the {len(known)} classes of {task!r}")
    columns = [known.index(name) for name in classes]
    probabilities, truth = predictions.activations[task][:, columns], predictions.targets[task][:, columns]
    precisions = average_precisions(probabilities, truth)
    label = 1.25
    width = min((TEXT_WIDTH - label) / n * 0.94, 0.7)
    height = width * data.size[1] / data.size[0]
    figure, place = image_grid(len(classes) * n, n, width / 0.94, height, 0, left=label, foot=0.3)
    groups = predictions.tasks[task].groups or ("",) * len(known)
    for row, column in enumerate(columns):
        best = np.argsort(-probabilities[:, row], kind="stable")[:n]
        for k, pixels in enumerate(data.fetch(predictions.rows[best]).numpy()):
            axes = draw_image(figure, place(row * n + k, width), pixels)
            mark_image(axes, {1: True, 0: False}.get(int(truth[best[k], row])))
            if k == 0:
                count = f"{(truth[:, row] == 1).sum():,} images"
                says = "no image has it" if np.isnan(precisions[row]) else f"AP {precisions[row]:.3f}, {count}"
                text_beside(axes, 0.5, 4, shorten(_bare(known[column], groups[column]), 18), ha="right", size=8)
                text_beside(axes, 0.5, -6, says, ha="right", color=GREY)
    key = "✓ among the labels of the image   × not among them   ? not known"
    ap = f"average precision over {len(predictions.rows):,} images, and how many of them have the label"
    foot_note(figure, f"Highest probability first. {key}\nAP: {ap}.")
    return figure


@style()
def variant_bars(
    table: pd.DataFrame,
    metrics: Sequence[str],
    by: str = "variant",
    lower_is_better: Sequence[str] = ("hamming_loss", "loss"),
) -> Figure:
    """Variants of a training compared, a panel for each metric: a dot for every row of ``table`` (a seed), a mark at
    the mean, and the mean as a number, the best in bold (the smallest for the metrics in ``lower_is_better``). Each
    panel has its own scale, which need not start at zero."""
    variants = list(dict.fromkeys(table[by]))
    rows = -(-len(metrics) // 3)
    columns = -(-len(metrics) // rows)
    names = [fill(str(name), 44 if columns == 1 else 26) for name in variants]  # whole: they may differ at the end
    lines = max(name.count("\n") + 1 for name in names)
    size = (TEXT_WIDTH, rows * (0.75 + (0.09 + 0.11 * lines) * len(variants)) + 0.4)
    figure, grid = plt.subplots(rows, columns, figsize=size, sharey=True, squeeze=False, layout="constrained")
    seeds = table.groupby(by, sort=False).size()
    count = f"{seeds.min()}" if seeds.min() == seeds.max() else f"{seeds.min()} to {seeds.max()}"
    for axes, metric in zip(grid.flat, metrics, strict=False):
        means = table.groupby(by, sort=False)[metric].mean().reindex(variants)
        place = table[by].map(variants.index)
        axes.scatter(table[metric], place, s=12, color=BLUE, alpha=0.6, linewidths=0, label="a seed", zorder=2)
        axes.scatter(
            means, range(len(variants)), s=34, marker="D", facecolors="none", edgecolors=VERMILION, linewidths=1.1,
            label=f"mean of {count}", zorder=3,
        )  # fmt: skip
        largest = means.abs().max()
        decimals = max(0, 2 - int(np.floor(np.log10(largest)))) if largest > 0 else 3  # three digits of the largest
        best = means.min() if metric in lower_is_better else means.max()
        for row, mean in enumerate(means):
            _number(axes, row, mean, decimals, weight="bold" if mean == best else "normal")
        axes.set_title(metric.replace("_", " "))
        axes.set_xlabel("lower is better" if metric in lower_is_better else "higher is better", size=7, color=GREY)
        axes.set_yticks(range(len(variants)), names)
        axes.set_ylim(len(variants) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_locator(plt.MaxNLocator(6 if columns == 1 else 3, steps=[1, 2, 5, 10]))
        axes.margins(x=0.1)
        axes.grid()
    for axes in grid.flat[len(metrics) :]:
        axes.set_visible(False)
    figure.supxlabel("each panel has its own scale, which need not start at zero", size=7, color=GREY)
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


def _bare(name: str, group: str) -> str:
    """An attribute's name without the ``group:`` before it."""
    return name.removeprefix(f"{group}:")


def _recalls(
    axes: Axes, part: pd.DataFrame, rows: dict[str, float], model: str | None, number: int, height: float, shift: float
) -> None:
    """One model's bars, each with its recall as a number at the right."""
    places = [rows[scope] + shift * height for scope in part["scope"]]
    axes.barh(
        places, part["recall"].fillna(0), height=height * 0.92, color=COLOURS[number % 7], label=model,
        hatch=HATCHES[number % 4], edgecolor="white", linewidth=0,
    )  # fmt: skip
    for place, recall in zip(places, part["recall"], strict=True):
        _number(axes, place, recall)


def _number(axes: Axes, row: float, value: float, decimals: int = 3, weight: str = "normal") -> None:
    """A number right of the axes, where no mark can lie on it."""
    text = "–" if np.isnan(value) else f"{value:.{decimals}f}"
    axes.text(
        1.02, row, text, transform=axes.get_yaxis_transform(), fontsize=6.5, va="center_baseline", weight=weight
    )  # fmt: skip


def _check_published(published: pd.DataFrame, table: pd.DataFrame) -> None:
    known = set(table[["scope", "k"]].itertuples(index=False, name=None))
    for scope, k in published[["scope", "k"]].itertuples(index=False, name=None):
        if (scope, k) not in known:
            raise ValueError(f"recall_bars: published scope {scope!r} with k={k} is not in the table")

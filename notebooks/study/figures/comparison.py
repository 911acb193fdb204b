"""Figures that compare configurations: what each reaches, how far apart they are, how training went, what is published.

A configuration's colour and mark go by its place among those given: the same order gives the same look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from .style import BLACK, BLUE, COLOURS, GREY, LIGHT, MARKERS, TEXT_WIDTH, VERMILION, shorten, style

OWN_SCALE = "each panel has its own scale, which need not start at zero"
NAMES = {
    "macro_f1": "macro-F1",
    "micro_f1": "micro-F1",
    "map": "mean average precision",
    "map_at_r": "mAP@R",
    "mrr": "mean reciprocal rank",
    "top3_accuracy": "top-3 accuracy",
    "top5_accuracy": "top-5 accuracy",
}
OURS = {"marker": "D", "color": VERMILION, "linestyle": "none", "markersize": 5.5}
PUBLISHED = {"marker": "o", "color": BLUE, "linestyle": "none", "markersize": 4.5}


@style()
def comparison_points(table: pd.DataFrame, main: Mapping[str, str]) -> Figure:
    """What every configuration reaches, a panel for each task with its metric in ``main``: the mean over seeds as a
    mark and a number, its 95% interval over test images as a line, and the standard deviation over seeds to both sides
    as a band. A task that a configuration does not have is a dash.

    ``table`` is that of ``comparison.comparison_table``. Raises ``ValueError`` if it lacks a task's metric.
    """
    configurations = list(dict.fromkeys(table["configuration"]))
    figure, panels = _panels(configurations, main)
    for axes, (task, metric) in zip(panels, main.items(), strict=True):
        part = _of(table, task, metric)
        for k, name in enumerate(configurations):
            if name not in part.index:
                _number(axes, k, "–")
                continue
            row = part.loc[name]
            if row["std"] > 0:
                axes.barh(k, 2 * row["std"], left=row["mean"] - row["std"], height=0.56, color=LIGHT, zorder=1)
            axes.hlines(k, row["ci_low"], row["ci_high"], color=COLOURS[k % 7], linewidth=1.2, zorder=2)
            axes.plot(row["mean"], k, color=COLOURS[k % 7], marker=MARKERS[k % 7], zorder=3)
            _number(axes, k, f"{row['mean']:.3f}")
        axes.set_title(f"{task}\n{_words(metric)}")
        axes.margins(x=0.1)
    seeds = table["n_seeds"]
    count = f"{seeds.min()}" if seeds.min() == seeds.max() else f"{seeds.min()} to {seeds.max()}"
    figure.supxlabel(OWN_SCALE, size=7, color=GREY)
    marks = [
        Line2D([], [], color=BLACK, marker="o", linewidth=1.2, label="mean, with 95% interval over test images"),
        Patch(color=LIGHT, label=f"± standard deviation over seeds ({count})"),
    ]
    figure.legend(handles=marks if (table["std"] > 0).any() else marks[:1], loc="outside upper center", ncols=2)
    return figure


@style()
def difference_forest(table: pd.DataFrame, main: Mapping[str, str]) -> Figure:
    """By how much every configuration is above the one it is compared against, in percentage points, with the 95%
    interval of the paired difference, a panel for each task with its metric in ``main``. A mark is filled where the
    interval leaves zero out.

    ``table`` is that of ``comparison.difference_table``. Raises ``ValueError`` if it lacks a task's metric.
    """
    configurations = list(dict.fromkeys(table["configuration"]))
    figure, panels = _panels(configurations, main)
    for axes, (task, metric) in zip(panels, main.items(), strict=True):
        part = _of(table, task, metric)
        axes.axvline(0, color=GREY, linewidth=0.8)
        for k, name in enumerate(configurations):
            if name not in part.index:
                _number(axes, k, "–")
                continue
            middle, low, high = 100 * part.loc[name, ["difference", "ci_low", "ci_high"]].astype(float)
            colour = BLUE if low > 0 else VERMILION if high < 0 else GREY
            axes.hlines(k, low, high, color=colour, linewidth=1.2, zorder=2)
            look = {"marker": ">" if low > 0 else "<" if high < 0 else "o", "markersize": 5, "zorder": 3}
            axes.plot(middle, k, color=colour, markerfacecolor="white" if low <= 0 <= high else colour, **look)
            _number(axes, k, f"{middle:+.1f}".replace("-", "−"))
        axes.set_title(f"{task}\n{_words(metric)}")
        axes.set_xlabel(fill(f"against {part['against'].iloc[0]}", 28), size=7)
        axes.margins(x=0.12)
    figure.supxlabel(
        "difference in percentage points, with 95% interval; each panel has its own scale", size=7, color=GREY
    )
    marks = [
        Line2D([], [], color=BLUE, marker=">", markersize=5, label="above"),
        Line2D([], [], color=GREY, marker="o", markersize=5, markerfacecolor="white", label="not told apart"),
        Line2D([], [], color=VERMILION, marker="<", markersize=5, label="below"),
    ]
    figure.legend(handles=marks, loc="outside upper center", ncols=3)
    return figure


@style()
def stage_curves(histories: Mapping[str, Sequence[pd.DataFrame]], metrics: Mapping[str, str]) -> Figure:
    """Validation metrics in the course of training, a panel for each of ``metrics`` (title -> column of a history, like
    ``category/accuracy``): for each configuration the mean over its seeds, up to the epoch that all of them reached,
    and if there are several, each of them as a thin line. Vertical lines part the stages of the configuration that has
    the most of them, as its first seed went through them.

    ``histories`` holds by configuration the history of ``fit`` of each seed (epoch, stage, metrics); a column may be
    missing or empty where a configuration does not have the task. Raises ``ValueError`` for a column that all lack.
    """
    size = (TEXT_WIDTH, 1.4 * len(metrics) + 0.8)
    figure, grid = plt.subplots(len(metrics), 1, figsize=size, sharex=True, squeeze=False, layout="constrained")
    panels, lines = list(grid[:, 0]), {}
    for axes, (title, column) in zip(panels, metrics.items(), strict=True):
        for k, (name, runs) in enumerate(histories.items()):
            seeds = [run.set_index("epoch")[column].dropna() for run in runs if column in run]
            seeds = [seed for seed in seeds if len(seed)]
            if not seeds:
                continue
            for seed in seeds if len(seeds) > 1 else ():
                axes.plot(seed.index, seed, color=COLOURS[k % 7], linewidth=0.5, alpha=0.55)
            mean = pd.concat(seeds, axis=1).dropna().mean(axis=1)
            every = min(3, 1 + len(mean) // 6)  # curves that lie on each other show their marks in turn
            look = {"color": COLOURS[k % 7], "marker": MARKERS[k % 7], "markevery": (k % every, every)}
            lines[name] = axes.plot(mean.index, mean, linewidth=1, markersize=3.5, zorder=3, **look)[0]
        if not axes.lines:
            raise ValueError(f"stage_curves: no history has a value in column {column!r}")
        axes.set_title(title)
        axes.grid(axis="y")
    panels[-1].xaxis.get_major_locator().set_params(integer=True)
    panels[-1].set_xlabel("epoch")
    notes = ["thick: mean over seeds, thin: each seed"] if any(len(runs) > 1 for runs in histories.values()) else []
    staged = max(histories, key=lambda name: len(_stages(histories[name][0])))
    if len(stages := _stages(histories[staged][0])) > 1:
        notes.append(f"dotted: between the stages of “{staged}”")
        _part_stages(panels, stages)
    figure.supxlabel("; ".join([*notes, "each panel has its own scale"]), size=7, color=GREY)
    known = [name for name in histories if name in lines]
    figure.legend([lines[name] for name in known], known, loc="outside upper center", ncols=3)
    return figure


@style()
def published_points(table: pd.DataFrame) -> Figure:
    """Published figures beside ours, a panel for each task and metric, the best on top.

    ``table`` has the columns task, method, metric, value, ours (bool) and comparable: False, for other test images or
    another definition of the metric, is drawn hollow; a text that says on what the figure rests is written beside it.
    """
    parts = {panel: part for panel, part in table.groupby(["task", "metric"], sort=False)}
    rows = [len(part) for part in parts.values()]
    size = (TEXT_WIDTH, sum(rows) * 0.19 + len(rows) * 0.5 + 0.5)
    figure, grid = plt.subplots(
        len(parts), 1, figsize=size, squeeze=False, height_ratios=[n + 0.6 for n in rows], layout="constrained"
    )
    for axes, ((task, metric), part) in zip(grid[:, 0], parts.items(), strict=True):
        part = part.sort_values("value", ascending=False, kind="stable")
        for k, row in enumerate(part.itertuples()):
            _number(axes, k, f"{row.value:.3f}")
            look = OURS if row.ours else PUBLISHED
            if isinstance(row.comparable, str):
                note = {"xytext": (26, 0), "textcoords": "offset points", "va": "center_baseline", "fontsize": 6}
                axes.annotate(
                    shorten(row.comparable, 44), (1.02, k), xycoords=axes.get_yaxis_transform(), color=GREY, **note
                )
            elif not row.comparable:
                look = {**look, "markerfacecolor": "white"}
            axes.plot(row.value, k, **look)
        axes.set_yticks(range(len(part)), [shorten(name, 44) for name in part["method"]])
        for label, ours in zip(axes.get_yticklabels(), part["ours"], strict=True):
            label.set_weight("bold" if ours else "normal")
        axes.set_ylim(len(part) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.set_title(f"{task}: {_words(metric)}")
        axes.margins(x=0.06)
        axes.grid()
    figure.supxlabel(OWN_SCALE, size=7, color=GREY)
    marks = [Line2D([], [], label="ours", **OURS), Line2D([], [], label="published", **PUBLISHED)]
    if (table["comparable"] == False).any():  # noqa: E712, as text may stand beside truth values
        marks.append(Line2D([], [], label="not comparable", **{**PUBLISHED, "markerfacecolor": "white"}))
    figure.legend(handles=marks, loc="outside upper center", ncols=3)
    return figure


def _panels(rows: Sequence[str], tasks: Mapping[str, str]) -> tuple[Figure, list[Axes]]:
    """A panel for each task, three beside each other, with the same named rows in all of them."""
    lines = -(-len(tasks) // 3)
    columns = -(-len(tasks) // lines)
    names = [fill(name, 22) for name in rows]
    height = sum(0.15 + 0.11 * (name.count("\n") + 1) for name in names)
    size = (TEXT_WIDTH, lines * (height + 0.7) + 0.45)
    figure, grid = plt.subplots(lines, columns, figsize=size, sharey=True, squeeze=False, layout="constrained")
    for axes in grid.flat[len(tasks) :]:
        axes.set_visible(False)
    for axes in grid.flat[: len(tasks)]:
        axes.set_yticks(range(len(rows)), names)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_locator(plt.MaxNLocator(5 if columns > 1 else 7, steps=[1, 2, 5, 10]))
        axes.grid()
    return figure, list(grid.flat[: len(tasks)])


def _of(table: pd.DataFrame, task: str, metric: str) -> pd.DataFrame:
    """The rows of a task's metric by configuration."""
    part = table[(table["task"] == task) & (table["metric"] == metric)]
    if part.empty:
        there = ", ".join(table.loc[table["task"] == task, "metric"].unique())
        raise ValueError(f"the table has no {metric!r} of {task!r}; it has {there or 'none of its metrics'}")
    return part.set_index("configuration")


def _stages(history: pd.DataFrame) -> list[tuple[str, float, float]]:
    """The name of each stage, and where it begins and ends on an axis of epochs."""
    new = history["stage"] != history["stage"].shift()
    begins = history["epoch"][new] - 0.5
    return list(zip(history["stage"][new], begins, [*begins[1:], history["epoch"].max() + 0.5], strict=True))


def _part_stages(panels: Sequence[Axes], stages: list[tuple[str, float, float]]) -> None:
    """Lines between stages in all panels, and their names above the first."""
    left, right = panels[0].get_xlim()
    left, right = min(left, stages[0][1]), max(right, stages[-1][2])
    panels[0].set_xlim(left, right)
    for axes in panels:
        for _, begin, _ in stages[1:]:
            axes.axvline(begin, color=GREY, linewidth=0.7, linestyle=":")
    letters = 100 / (right - left)  # of a panel's width to an epoch
    names = [fill(name, max(4, int(letters * (end - begin)))) for name, begin, end in stages]
    for name, (_, begin, end) in zip(names, stages, strict=True):
        axes_and_data = panels[0].get_xaxis_transform()
        panels[0].text(
            (begin + end) / 2, 1.02, name, transform=axes_and_data, fontsize=6.5, color=GREY, ha="center", va="bottom"
        )
    panels[0].set_title(panels[0].get_title(loc="left"), pad=4 + 8 * max(name.count("\n") + 1 for name in names))


def _number(axes: Axes, row: int, text: str) -> None:
    """A number right of the axes, where no mark can lie on it."""
    axes.text(1.02, row, text, transform=axes.get_yaxis_transform(), fontsize=6.5, va="center_baseline")


def _words(metric: str) -> str:
    """A metric's name as it is written in text."""
    if metric.startswith("recall_at_"):
        return f"Recall@{metric.removeprefix('recall_at_')}"
    return NAMES.get(metric, metric.replace("_", " "))

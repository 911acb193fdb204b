"""Figures that compare configurations: what each reaches, how far apart they are, what is published."""

from collections.abc import Mapping
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .panels import legend_above, number_beside, row_panels, small_note
from .style import BLACK, BLUE, GREY, SMALL, TEXT_WIDTH, VERMILION, look_of, styled, words

OWN_SCALE = "each panel has its own scale, which need not start at zero"
LOOKS = {"higher": (BLUE, ">"), "not inferior": (BLUE, "s"), "lower": (VERMILION, "<"), "inferior": (VERMILION, "s")}
VERDICTS = {name: {"color": colour, "marker": mark, "markersize": 5} for name, (colour, mark) in LOOKS.items()}
NEITHER = {"color": GREY, "marker": "o", "markersize": 5, "markerfacecolor": "white"}
OURS = {"color": VERMILION, "marker": "D", "linestyle": "none", "markersize": 5.5}
MARGIN = {"color": BLACK, "linestyle": ":", "linewidth": 1.2}
PUBLISHED = {"color": BLUE, "marker": "o", "linestyle": "none", "markersize": 4.5}


@styled
def seed_dots(
    table: pd.DataFrame, value: str, row: str, panel: str, references: Mapping[str, str] | None = None
) -> Figure:
    """What each ``row`` reaches, a panel for each ``panel``: the mean of ``value`` as a mark and a number. Rows of the
    table that share both are seeds, each a dot. A line is the interval from ``ci_low`` to ``ci_high``, if the table has
    them, and a dash a missing value; a column ``n_seeds`` says whether it is a mean. A column ``metric`` is added to a
    panel's title. ``references`` (name -> column) are vertical lines, in the rows that have a value."""
    rows, titles = list(dict.fromkeys(table[row])), list(dict.fromkeys(table[panel]))
    figure, axes_of = row_panels(rows, len(titles))
    look, lines = look_of(rows), {}
    there = {name for name in ("ci_low", "metric") if name in table and table[name].notna().any()}
    several = table.groupby([row, panel])[value].count().max() > 1
    for axes, title in zip(axes_of, titles, strict=True):
        part = table[table[panel] == title]
        means = part.groupby(row)[value].mean().reindex(rows)
        largest = means.abs().max()
        decimals = max(0, 2 - int(np.floor(np.log10(largest)))) if largest > 0 else 3  # three digits of the largest
        for k, (name, mean) in enumerate(means.items()):
            seeds, colour = part[part[row] == name], look["palette"][name]
            number_beside(axes, k, "–" if np.isnan(mean) else f"{mean:.{decimals}f}")
            if "ci_low" in there:
                axes.hlines(k, seeds["ci_low"].max(), seeds["ci_high"].max(), color=colour, linewidth=1.2)
            if several:
                axes.plot(seeds[value], [k + 0.22] * len(seeds), ".", color=colour, alpha=0.6)
            axes.plot(mean, k, color=colour, marker=look["markers"][name], markersize=4.5, zorder=3)
        for (label, column), kind in zip((references or {}).items(), (":", "--", "-."), strict=False):
            if column in part and part[column].notna().any():
                ends, at = np.arange(len(rows)) + [[-0.4], [0.4]], part.groupby(row)[column].max().reindex(rows)
                lines[label] = axes.vlines(at, *ends, color=BLACK, linestyle=kind, linewidth=1, label=label)
        heading = words(title) if panel in ("metric", "task") else title
        axes.set_title(f"{heading}\n{_metric(part)}" if "metric" in there and panel != "metric" else heading)
    what = "one seed" if "n_seeds" in table and table["n_seeds"].max() == 1 else "mean"
    label = f"{what}, with 95% interval" if "ci_low" in there else what if several else "measured"
    marks = [Line2D([], [], color=BLACK, marker="o", label=label)]
    if several:
        marks.append(Line2D([], [], color=BLACK, marker=".", linestyle="none", alpha=0.6, label="a seed"))
    legend_above(figure, [*marks, *lines.values()])
    small_note(figure, OWN_SCALE if value in ("mean", "value") else f"{words(value)}; {OWN_SCALE}")
    return figure


@styled
def contrast_forest(table: pd.DataFrame) -> Figure:
    """Differences in percentage points with their 95% intervals, a panel for each task; a mark says the verdict. A
    dotted line is a row's margin: right of it is not inferior. ``table`` has the columns contrast, task, metric,
    difference, ci_low, ci_high, verdict, and where known margin; one metric for each task."""
    rows, tasks = list(dict.fromkeys(table["contrast"])), list(dict.fromkeys(table["task"]))
    figure, axes_of = row_panels(rows, len(tasks))
    for axes, task in zip(axes_of, tasks, strict=True):
        part = table[table["task"] == task].set_index("contrast")
        axes.set_title(f"{words(task)}\n{_metric(part)}")
        axes.axvline(0, color=GREY, linewidth=0.8)
        points = 100 * part[["difference", "ci_low", "ci_high"]].reindex(rows)
        for k, (name, middle, low, high) in enumerate(points.itertuples()):
            look = VERDICTS.get(part["verdict"].get(name), NEITHER)
            axes.hlines(k, low, high, color=look["color"], linewidth=1.2, zorder=2)
            axes.plot(middle, k, zorder=3, **look)
            number_beside(axes, k, "–" if np.isnan(middle) else f"{middle:+.1f}".replace("-", "−"))
            if "margin" in part:
                axes.vlines(-100 * part["margin"].get(name, np.nan), k - 0.4, k + 0.4, **MARGIN)
    marks = {verdict: VERDICTS.get(verdict, NEITHER) for verdict in table["verdict"].unique()}
    handles = [Line2D([], [], label=verdict, **look) for verdict, look in marks.items()]
    if "margin" in table:
        handles.append(Line2D([], [], label="margin", **MARGIN))
    legend_above(figure, handles)
    small_note(figure, "difference in percentage points, with 95% interval; each panel has its own scale")
    return figure


@styled
def published_points(table: pd.DataFrame) -> Figure:
    """Published figures beside ours, a panel for each task and metric, the best on top. ``table`` has the columns task,
    method, metric, value, ours (bool) and comparable, a text written beside the figure: on what it rests, or none."""
    text = table["comparable"].map(lambda known: fill(known, 36) if isinstance(known, str) else "")
    table = table.assign(text=text, name=[fill(str(name), 30) for name in table["method"]])
    parts = dict(list(table.groupby(["task", "metric"], sort=False)))
    heights = [0.55 + 0.32 * len(part) for part in parts.values()]
    size = {"figsize": (TEXT_WIDTH, sum(heights) + 0.5), "height_ratios": heights}
    figure, grid = plt.subplots(len(parts), 1, squeeze=False, layout="constrained", **size)
    for axes, ((task, metric), part) in zip(grid[:, 0], parts.items(), strict=True):
        part = part.sort_values("value", ascending=False, kind="stable")
        for k, row in enumerate(part.itertuples()):
            number_beside(axes, k, f"{row.value:.3f}")
            look = {"color": GREY, "fontsize": SMALL, "va": "center_baseline", "textcoords": "offset points"}
            axes.annotate(row.text, (1.02, k), (26, 0), axes.get_yaxis_transform(), **look)
            axes.plot(row.value, k, **(OURS if row.ours else PUBLISHED))
        axes.set_yticks(range(len(part)), part["name"])
        axes.set(ylim=(len(part) - 0.5, -0.5), title=f"{task}: {words(metric)}")
        axes.tick_params(axis="y", length=0)
        axes.margins(x=0.06)
        axes.grid()
    marks = {"ours": OURS, "others": PUBLISHED}
    legend_above(figure, [Line2D([], [], label=label, **look) for label, look in marks.items()])
    small_note(figure, OWN_SCALE)
    return figure


def _metric(part: pd.DataFrame) -> str:
    """The one metric of a panel, in words."""
    if part["metric"].nunique() != 1:
        raise ValueError(f"a panel shows one metric; choose among {', '.join(part['metric'].unique())} before")
    return words(part["metric"].iloc[0])

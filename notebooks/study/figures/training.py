"""Figures of what changes along something: epochs, images seen, the cost of training, the resolution."""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from .panels import legend_above, log_scale, name_points, panels, small_note
from .style import GREY, look_of, styled, words

SUMMARY = {"training loss, summed": "loss", "validation score": "score"}


@styled
def curves(
    table: pd.DataFrame, x: str, y: str, hue: str, panel: str | None = None, name: str | None = None, log: bool = False
) -> Figure:
    """Columns y over x, a line for each ``hue`` and, if given, panels for each ``panel``, whose scales are their own.
    Rows of one panel, hue and x are seeds: the line is their mean, a band reaches from the lowest to the highest; or
    the band is from ``ci_low`` to ``ci_high``, where the table has them.
    With ``name``, a column, the points are joined in the order of the table and named by it: a trade-off of two
    metrics over a loss weight. ``log`` makes x logarithmic."""
    order = list(dict.fromkeys(table[hue]))  # before a line that has no value is gone from it
    table = table.dropna(subset=[x, y])
    parts = {words(y): table} if panel is None else dict(list(table.groupby(panel, sort=False)))
    figure, axes_of = panels(len(parts), 1.9 if len(parts) > 1 else 2.6, extra=0.3 + 0.15 * -(-len(order) // 3))
    look = {"hue": hue, "style": hue, "hue_order": order, "style_order": order, "dashes": False, **look_of(order)}
    look |= {"sort": False, "estimator": None} if name else {"errorbar": ("pi", 100), "err_kws": {"linewidth": 0}}
    for axes, (title, part) in zip(axes_of, parts.items(), strict=True):
        sns.lineplot(part, x=x, y=y, linewidth=1.1, markersize=4, markeredgewidth=0, ax=axes, **look)
        longest = part.groupby(hue)[x].nunique().max()
        for number, line in enumerate(axes.lines):  # marks that stand apart, those of curves on each other in turn
            every = max(1, longest // 8)
            line.set_markevery((number % every, every))
        for key, rows in part.sort_values(x).groupby(hue) if "ci_low" in part else ():
            band = {"color": look["palette"][key], "alpha": 0.18, "linewidth": 0}
            axes.fill_between(rows[x], rows["ci_low"], rows["ci_high"], **band)
        axes.set(xlabel=words(x), ylabel="" if panel else words(y))
        axes.set_title("" if panel is None else words(title) if panel == "metric" else title)
        axes.xaxis.set_major_formatter("{x:,g}")
        if log:
            log_scale(axes, "x")
    legend_above(figure)
    for axes, part in zip(axes_of, parts.values(), strict=True) if name else ():
        name_points(axes, part[name], part[[x, y]], part[[x, y]])
    return figure


@styled
def training_curves(
    histories: pd.DataFrame | Mapping[str, Sequence[pd.DataFrame]], metrics: Mapping[str, str] = SUMMARY
) -> Figure:
    """The course of training. The history of one run (of ``fit``), by epoch: a panel for the losses of all tasks and
    one for each kind of validation metric, with a line for every label. Several, by name, each with the history of
    every seed, by images seen in training, as an epoch is not as long in all of them: panels for ``metrics`` (title ->
    column, or "loss" for the sum over tasks). Dotted lines part the stages of the run that has the most of them.

    Raises ``ValueError`` for a metric that no history has."""
    if isinstance(histories, pd.DataFrame):
        x, table, staged, notes = "epoch", _of_one(histories), histories, []
    else:
        x, table = "images_seen", _of_several(histories, metrics)
        longest = max(histories, key=lambda name: histories[name][0]["stage"].nunique())
        staged, several = histories[longest][0], max(map(len, histories.values())) > 1
        notes = ["Line: mean over seeds; band: from the lowest to the highest"] if several else []
    figure = curves(table, x, "value", "line", panel="panel")
    for axes in figure.axes:
        axes.xaxis.get_major_locator().set_params(integer=x == "epoch")
        if axes.get_title(loc="left").startswith("training loss"):
            log_scale(axes, "y")
    ends = staged.groupby("stage", sort=False)[x].max()
    for axes, end in product(figure.axes, ends[:-1]):
        axes.axvline(end, color=GREY, linewidth=0.7, linestyle=":")
    if len(ends) > 1:
        of = "" if x == "epoch" else f" of “{longest}”"
        notes.append(f"Dotted: between the stages{of} ({', '.join(ends.index)})")
    small_note(figure, ". ".join([*notes, "Each panel has its own scale."]))
    return figure


def _of_one(history: pd.DataFrame) -> pd.DataFrame:
    """epoch, panel, line, value: each task's loss, each loss weight that changes, each label's metrics."""
    fixed = [name for name in history.filter(regex="^weight/") if history[name].nunique() < 2]
    rows = history.drop(columns=fixed).filter(regex=r"^epoch$|/(?!top\d)").melt("epoch")
    name = rows["variable"].str.replace(r"^(loss|weight)/(.*)", r"\2/\1", regex=True).str.rsplit("/", n=1)
    panel = name.str[-1].map({"loss": "training loss", "weight": "loss weight"})
    return rows.assign(line=name.str[0].map(words), panel=panel.fillna("validation " + name.str[-1].map(words)))


def _of_several(runs: Mapping[str, Sequence[pd.DataFrame]], metrics: Mapping[str, str]) -> pd.DataFrame:
    """images_seen, panel, line, value of every seed; no further than all seeds of a run went."""
    parts = []
    for name, seeds in runs.items():
        common = min(run["images_seen"].max() for run in seeds)
        for run in (run[run["images_seen"] <= common] for run in seeds):
            known = run.assign(loss=run.filter(regex="^loss/").sum(axis=1))
            values = {title: known.get(column, np.nan) for title, column in metrics.items()}
            parts.append(pd.DataFrame({"images_seen": run["images_seen"], "line": name, **values}))
    table = pd.concat(parts)
    if missing := [column for title, column in metrics.items() if table[title].isna().all()]:
        raise ValueError(f"training_curves: no history has a value in column {missing[0]!r}")
    return table.melt(["images_seen", "line"], var_name="panel")

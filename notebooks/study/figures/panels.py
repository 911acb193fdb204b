"""Panels of a figure and what stands around them: named rows, numbers, notes, a legend, names beside points."""

from collections.abc import Iterable, Sequence
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
from adjustText import adjust_text
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from .style import GREY, SMALL, TEXT_WIDTH, inches_of, shorten


def panels(n: int, height: float, columns: int = 3, extra: float = 0.5, **options) -> tuple[Figure, list[Axes]]:
    """n panels of a height in inches, at most ``columns`` beside each other, in a figure with ``extra`` inches more."""
    rows = -(-n // columns)
    columns, size = -(-n // rows), (TEXT_WIDTH, rows * height + extra)
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained", **options)
    for axes in grid.flat[n:]:
        axes.set_visible(False)
    for axes in grid.flat[:n]:
        axes.grid()
    for axes in grid.flat[n - columns : n]:  # with nothing below it
        axes.tick_params(labelbottom=True)
    return figure, list(grid.flat[:n])


def row_panels(rows: Sequence[str], n: int, height: float = 0.0) -> tuple[Figure, list[Axes]]:
    """n panels with the same named rows in all of them, the first on top; long names go over several lines. They are
    as high as the names need, or ``height`` inches."""
    names = [fill(name, 22 if n > 1 else 44) for name in map(str, rows)]
    figure, axes_of = panels(n, height or 0.6 + sum(0.26 + 0.11 * name.count("\n") for name in names), sharey=True)
    for axes in axes_of:
        axes.set_yticks(range(len(rows)), names)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_locator(plt.MaxNLocator(4 if n > 1 else 7, steps=[1, 2, 5, 10]))
        axes.margins(x=0.12)
    return figure, axes_of


def number_beside(axes: Axes, row: float, text: str) -> None:
    """A number right of the axes, where no mark can lie on it."""
    look = {"fontsize": SMALL + 0.5, "va": "center_baseline"}
    axes.text(1.02, row, text, transform=axes.get_yaxis_transform(), **look)


def small_note(figure: Figure, text: str) -> None:
    """Lines of small grey text below all panels."""
    figure.supxlabel(fill(text, 115), size=SMALL + 0.5, color=GREY)


def legend_above(figure: Figure, handles: Sequence = ()) -> None:
    """The handles, or what the first axes name, above all panels; the legends inside of them are taken away."""
    handles = handles or figure.axes[0].get_legend_handles_labels()[0]
    for axes in figure.axes:
        if axes.get_legend():
            axes.get_legend().remove()
    widest = max(inches_of(handle.get_label(), 7) for handle in handles) + 0.5
    columns = min(4, max(1, int(figure.get_figwidth() / widest)))
    figure.legend(handles=handles, loc="outside upper center", ncols=columns)


def log_scale(axes: Axes, which: str) -> None:
    """Make the x or y axis logarithmic, with plain numbers at 1, 2 and 5: more where it is short, fewer where long."""
    axes.set(**{f"{which}scale": "log"})
    axis = getattr(axes, f"{which}axis")
    low, high = axis.get_view_interval()
    subs = (1, 2, 3, 4, 6, 8) if high < 4 * low else (1, 2, 5) if high < 300 * low else (1,)
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(StrMethodFormatter("{x:,.9g}"))
    axis.set_minor_formatter(NullFormatter())


def name_points(axes: Axes, names: Iterable[str], places: np.ndarray, points: np.ndarray) -> None:
    """Write names beside their places (M, 2), in data coordinates, clear of each other and of the points (N, 2); one
    that stands away from its place gets a line to it. To be called when all else is drawn and the scales are set."""
    axes.figure.draw_without_rendering()  # the layout gives the axes their place,
    axes.figure.set_layout_engine("none")  # which they keep: it would be sought again at every draw
    halo = [withStroke(linewidth=1.5, foreground="white")]
    look = {"fontsize": SMALL + 0.5, "in_layout": False, "path_effects": halo, "zorder": 5}
    named = zip(names, np.asarray(places), strict=True)
    texts = [axes.text(*place, shorten(name, 1.3), **look) for name, place in named if str(name).strip()]
    state = np.random.get_state()
    np.random.seed(0)  # adjust_text draws from the global generator; the same figure has the same bytes
    look = {"arrowprops": {"arrowstyle": "-", "color": GREY, "linewidth": 0.5, "in_layout": False}}
    look |= {"expand": (1.2, 1.6), "force_text": (0.5, 1.0), "force_static": (0.3, 0.6), "max_move": 30}
    adjust_text(texts, *np.asarray(points).T, ax=axes, iter_lim=150, **look)  # a time limit would not be repeatable
    np.random.set_state(state)

"""Names beside some points of a figure, placed so that they can be read."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox

from .style import GREY

DISTANCES = (3, 9, 16, 25, 36, 50, 70, 95)  # points between a name and its place
ANGLES = np.deg2rad([0, 180, 30, 150, -30, -150, 60, 120, -60, -120, 90, -90])
INCH = 72


def name_points(axes: Axes, names: Sequence[str], places: np.ndarray, points: np.ndarray) -> None:
    """Write names beside their places (M, 2), in data coordinates, one after another: each where it lies inside the
    axes, on no other name, on few of the points (N, 2), and near; one that stands farther away gets a line to its
    place. To be called when all else is drawn and the scales are set."""
    axes.figure.draw_without_rendering()  # the layout gives the axes their place
    ink = axes.transData.transform(points)  # what a name should not cover
    frame, taken = axes.get_window_extent(), []
    pixels = axes.figure.dpi / INCH  # of a point
    halo = [withStroke(linewidth=1.5, foreground="white")]
    for name, place in zip(names, places, strict=True):
        text = axes.annotate(
            name, place, (0, 0), textcoords="offset points", size=6.5, va="bottom", in_layout=False, path_effects=halo
        )
        size, dot = text.get_window_extent().size, axes.transData.transform(place)
        choices = []
        for away, angle in product(DISTANCES, ANGLES):
            centre = dot + np.array([np.cos(angle), np.sin(angle)]) * (size / 2 + away * pixels)
            box = Bbox([centre - size / 2, centre + size / 2])
            line = np.linspace(np.clip(dot, box.min, box.max), dot, 30)
            bad = not (frame.contains(*box.min) and frame.contains(*box.max))
            bad += sum(box.padded(1.5).overlaps(other) for other in taken)
            crossed = sum(_inside(line, other).any() for other in taken)
            met = (abs(ink - line[:, None]).max(2) < 3).any(0).sum()  # points that the line goes over
            cost = 300 * bad + 60 * crossed + 2 * _inside(ink, box.padded(2)).sum() + met + away / 6
            choices.append((cost, len(choices), box, line if away > DISTANCES[0] else line[:0]))
        _, _, box, line = min(choices)
        text.xyann = tuple((box.min - dot) / pixels)
        if len(line):
            look = {"arrowstyle": "-", "color": GREY, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 0}
            axes.annotate("", place, (line[0] - dot) / pixels, textcoords="offset points", arrowprops=look)
        taken.append(box)
        ink = np.concatenate([ink, line])


def _inside(points: np.ndarray, box: Bbox) -> np.ndarray:
    return ((points > box.min) & (points < box.max)).all(1)

"""Outlines: how a silhouette is written down, and how it becomes polygons.

Unit: one percent of the picture's height. A garment lives in x from -37.5 to 37.5 (0 is its middle), y from 0 (top)
to 100. A path is a list of points: `(x, y)` lies on the outline, `(x, y, 1)` is the control point of a quadratic
curve, and two control points in a row have an outline point half-way between them (as in TrueType fonts).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

Path = Sequence[tuple]


def _steps(n: int) -> list[tuple[float, float, float]]:
    """Weights of a quadratic curve's three points at n places along it."""
    return [((1 - i / n) ** 2, 2 * (1 - i / n) * (i / n), (i / n) ** 2) for i in range(1, n + 1)]


_FEW, _MANY = _steps(3), _steps(8)


@dataclass(frozen=True)
class Garment:
    """What is drawn. `seed` moves the details (proportions, folds, shade of the colour) that have no name."""

    kind: str  # a key of drawing.SILHOUETTES
    colour: str = "Blue"  # a key of fabrics.COLOURS
    accent: str = "White"  # second colour: pattern, trim, soles
    pattern: str = "solid"  # one of fabrics.PATTERNS
    sleeve: str = "short"  # sleeveless, short, long
    neckline: str = "crew"  # crew, v, scoop, polo, collar, hood, stand, lapel
    length: str = "regular"  # short, regular, long
    fit: str = "straight"  # straight, fitted, small (children's proportions)
    sporty: bool = False  # contrast stripes
    tint: float = 0.0  # of the colour: -1 dark and muted to 1 bright and strong
    seed: int = 0


@dataclass(frozen=True)
class Part:
    """One layer of a garment, painted in list order.

    `paint` is "cloth" (colour and pattern), "plain" (colour alone), "accent",
    or an (r, g, b) in 0..1; `tone` multiplies
    it. `depth` is how padded the layer looks; 0 draws it flat, which suits seams, prints and buttons.
    """

    shapes: Sequence[Path] = ()  # closed outlines
    paint: str | tuple[float, float, float] = "cloth"
    tone: float = 1.0
    depth: float = 1.0
    strokes: Sequence[tuple[Path, float]] = field(default=())  # (open line, width)
    alpha: float = 1.0


def mirror(half: Path) -> list[tuple]:
    """The closed path whose right half, listed from the top middle to the bottom middle, is `half`."""
    return [*half, *flipped([p for p in reversed(half) if p[0] != 0])]


def flipped(path: Path) -> list[tuple]:
    """`path` seen in a mirror standing at x = 0."""
    return [(-p[0], *p[1:]) for p in path]


def both(path: Path) -> list[list[tuple]]:
    """A path and its mirror image: two sleeves, two pockets."""
    return [list(path), flipped(path)]


def ellipse(x: float, y: float, rx: float, ry: float) -> list[tuple]:
    """Closed path, eight control points: within 1% of a true ellipse."""
    k = math.sqrt(2) - 1
    corners = [(1, k), (k, 1), (-k, 1), (-1, k), (-1, -k), (-k, -1), (k, -1), (1, -k)]
    return [(x + rx * a, y + ry * b, 1) for a, b in corners]


def box(left: float, top: float, right: float, bottom: float, round: float = 0.0) -> list[tuple]:
    """Rectangle with rounded corners of radius `round`."""
    if not round:
        return [(left, top), (right, top), (right, bottom), (left, bottom)]
    r = round
    return [
        (left + r, top), (right - r, top), (right, top, 1), (right, top + r),
        (right, bottom - r), (right, bottom, 1), (right - r, bottom), (left + r, bottom),
        (left, bottom, 1), (left, bottom - r), (left, top + r), (left, top, 1),
    ]  # fmt: skip


def flatten(path: Path, closed: bool = True) -> list[tuple[float, float]]:
    """Points of the polygon (or open line) that follows the path's curves."""
    full: list[tuple] = []
    for i, point in enumerate(path):
        before = path[i - 1] if i or closed else (0, 0)
        if len(point) == 3 and len(before) == 3:
            full.append(((point[0] + before[0]) / 2, (point[1] + before[1]) / 2))
        full.append(point)
    if closed:
        start = next(i for i, point in enumerate(full) if len(point) == 2)
        full = [*full[start:], *full[: start + 1]]
    points = [full[0][:2]]
    for i in range(1, len(full)):
        point = full[i]
        if len(point) == 3:
            continue
        if len(full[i - 1]) == 3:
            (ax, ay), (bx, by, _), (cx, cy) = full[i - 2], full[i - 1], point
            steps = _FEW if abs(cx - ax) + abs(cy - ay) < 4 else _MANY
            points += [(a * ax + b * bx + c * cx, a * ay + b * by + c * cy) for a, b, c in steps]
        else:
            points.append(point)
    return points

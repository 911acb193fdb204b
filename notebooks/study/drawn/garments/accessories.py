"""Silhouettes of bags and small things. Each function returns (layers, folds), as in `tops`."""

from __future__ import annotations

import numpy as np

from .shapes import Garment, Part, both, box, ellipse, mirror

DARK, METAL, GOLD = (0.1, 0.1, 0.11), (0.74, 0.73, 0.71), (0.83, 0.68, 0.36)


def handbag(g: Garment, rng: np.random.Generator) -> tuple[list[Part], list]:
    """Handbag with a flap and clasp, or an open tote where `length` is long."""
    a, b = rng.uniform(20, 24), rng.uniform(25, 29)
    top, end, reach = rng.uniform(42, 46), rng.uniform(80, 84), rng.uniform(14, 22)
    handle = [
        (-a * 0.55, top + 3),
        (-a * 0.5, top - reach * 1.4, 1),
        (0, top - reach * 1.45),
        (a * 0.5, top - reach * 1.4, 1),
        (a * 0.55, top + 3),
    ]
    body = mirror(
        [(0, top), (a - 2, top), (a, top, 1), (a + 0.6, top + 3), (b, end - 5), (b, end, 1), (b - 5, end), (0, end)]
    )
    parts = [Part(strokes=[(handle, 2.4)], paint="plain", tone=0.85, depth=0.8), Part([body], depth=1.5)]
    rings = [ellipse(s * a * 0.55, top + 3.5, 1.6, 1.9) for s in (-1, 1)]
    if g.length == "long":
        rim = mirror([(0, top), (a, top), (a + 0.6, top + 4), (0, top + 4)])
        parts += [Part([rim], "plain", tone=0.86, depth=0.5), Part(rings, GOLD, depth=0.4),
                  Part(strokes=[([(-b + 3, end - 4), (b - 3, end - 4)], 0.4)], paint="accent", depth=0,
                      alpha=0.6)]  # fmt: skip
    else:
        low = top + (end - top) * rng.uniform(0.42, 0.6)
        flap = mirror([(0, top - 0.6), (a + 0.3, top - 0.4), (a + 1.6, low - 6), (a * 0.8, low, 1), (0, low + 1)])
        parts += [Part([flap], "plain" if g.pattern != "solid" else "cloth", tone=1.03, depth=1.1),
            Part(rings, GOLD, depth=0.4),
                  Part([box(-3, low - 3.4, 3, low + 3, 1)], GOLD, depth=0.6),
                  Part([box(-1.4, low - 1.4, 1.4, low + 1.2, 0.5)], GOLD, tone=0.6, depth=0)]  # fmt: skip
    return parts, [
        ([(x + s, top + 10), (x + 1.5 * s, end - 5)], 0.55)
        for x, s in zip((-15, 0, 15), rng.uniform(-5, 5, 3), strict=True)
    ]


def backpack(g: Garment, rng: np.random.Generator) -> tuple[list[Part], list]:
    """Backpack with two zips and a front pocket."""
    w = rng.uniform(20, 23)
    body = mirror([(0, 16), (w * 0.95, 16, 1), (w, 38), (w + 2.5, 62, 1), (w + 0.5, 82), (w - 1, 87, 1), (0, 87)])
    strap = [(w - 3, 26), (w + 7, 36, 1), (w + 6, 56), (w + 5, 70, 1), (w, 78)]
    loop = [(-5, 18), (-5, 8, 1), (5, 8, 1), (5, 18)]
    pocket = mirror([(0, 52), (w - 4, 52, 1), (w - 3.5, 60), (w - 2.6, 80), (w - 4, 84, 1), (0, 84)])
    zips = [
        ([(-w + 3.5, 44), (-w + 3, 26, 1), (0, 25), (w - 3, 26, 1), (w - 3.5, 44)], 0.8),
        ([(-w + 7.5, 60), (0, 56.5, 1), (w - 7.5, 60)], 0.8),
    ]
    parts = [Part(strokes=[(one, 4.2) for one in both(strap)], paint="plain", tone=0.75, depth=0.7),
        Part(strokes=[(loop, 2.0)], paint="accent", tone=0.8, depth=0.6),
             Part([body], depth=1.6), Part([pocket], "accent" if g.sporty else "cloth", tone=0.97, depth=1.2),
             Part(strokes=zips, paint=DARK, depth=0.3),
             Part([box(w - 4.3, 43, w - 2.7, 48, 0.6), box(-9, 58, -7.4, 63, 0.6)], METAL, depth=0.3),
             Part([box(-3.5, 38, 3.5, 43, 1)], "accent", tone=0.9, depth=0.3)]  # fmt: skip
    return parts, [([(x, 28), (x * 1.15, 52)], 0.8) for x in rng.uniform(9, 14, 2) * (-1, 1)] + [
        ([(-12, 77), (0, 79.5, 1), (12, 77)], 0.9)
    ]


def cap(g: Garment, rng: np.random.Generator) -> tuple[list[Part], list]:
    """Baseball cap, brim to the right."""
    h = rng.uniform(26, 31)
    dome = [(-25, 62), (-27, 62 - h * 1.1, 1), (-4, 62 - h * 1.25, 1), (14, 62 - h * 1.15, 1), (20, 60), (0, 64, 1)]
    brim = [(-2, 62), (12, 56, 1), (20, 58), (31, 60, 1), (35, 66), (36, 70, 1), (32, 69), (14, 63, 1), (-2, 66)]
    seams = [([(-5, 62 - h * 1.08), (6, 45, 1), (4, 62)], 0.5), ([(-5, 62 - h * 1.08), (-18, 48, 1), (-17, 62)], 0.5)]
    parts = [Part([dome], depth=1.7), Part(strokes=seams, paint=DARK, depth=0, alpha=0.4),
             Part([ellipse(-4.5, 62 - h * 1.06, 2, 1.1)], "accent", tone=0.9, depth=0.5),
             Part([brim], "accent" if g.sporty else "plain", tone=0.93, depth=1.1),
             Part(strokes=[([(4, 62), (16, 59, 1), (32, 66.5)], 0.35)], paint=DARK, depth=0, alpha=0.4)]  # fmt: skip
    if g.pattern == "graphic" or g.sporty:
        parts.insert(2, Part([[(7, 46), (12, 44), (15, 52), (10, 56), (5, 54)]], "accent", depth=0.3))
    return parts, [([(-14, 40), (-19, 50, 1), (-18, 60)], 1.2), ([(0, 40), (4, 50, 1), (3, 60)], 1.2)]


def watch(g: Garment, rng: np.random.Generator) -> tuple[list[Part], list]:
    """Wrist watch from the front: round or, where `fit` is fitted, small; links of metal or a leather strap."""
    r = {"fitted": 11.0, "small": 11.5}.get(g.fit, 15.0) * rng.uniform(0.94, 1.06)
    case, links = (GOLD if rng.random() < 0.35 else METAL), rng.random() < 0.4
    s = r * 0.62
    strap = mirror(
        [
            (0, 8),
            (s * 0.72, 8),
            (s * 0.8, 9, 1),
            (s, 50 - r * 0.8),
            (s, 50 + r * 0.8),
            (s * 0.8, 92),
            (s * 0.6, 94.5, 1),
            (0, 94.5),
        ]
    )
    bars = [([(-s, y), (s, y)], 0.5) for y in (*np.arange(12, 50 - r, 3.6), *np.arange(51 + r, 93, 3.6))]
    stitches = [([(x, 11), (x * 1.28, 50 - r)], 0.4) for x in (-s * 0.56, s * 0.56)] + [
        ([(x * 1.28, 50 + r), (x, 91)], 0.4) for x in (-s * 0.56, s * 0.56)
    ]
    ticks = []
    for i in range(12):
        dx, dy = np.sin(i * np.pi / 6), np.cos(i * np.pi / 6)
        near = 0.62 if i % 3 == 0 else 0.7
        ticks.append(
            ([(r * near * dx, 50 - r * near * dy), (r * 0.76 * dx, 50 - r * 0.76 * dy)], 0.9 if i % 3 == 0 else 0.5)
        )
    a, b = rng.uniform(0, 2 * np.pi, 2)
    hands = [
        ([(0, 50), (r * 0.42 * np.sin(a), 50 - r * 0.42 * np.cos(a))], 1.3),
        ([(0, 50), (r * 0.6 * np.sin(b), 50 - r * 0.6 * np.cos(b))], 0.8),
    ]
    dial = DARK if g.accent in ("Black", "Navy Blue", "Grey") else (0.95, 0.95, 0.93)
    ink = (0.93, 0.93, 0.9) if dial == DARK else DARK
    parts = [Part([strap], case if links and g.colour in ("White", "Grey", "Beige") else "plain", depth=1.3),
             Part(strokes=bars if links else stitches, paint=DARK if links else "accent", depth=0, alpha=0.45),
             Part([box(r * 0.9, 47.6, r * 1.16, 52.4, 0.8)], case, depth=0.5),
             Part([ellipse(0, 50, r, r)], case, depth=1.0),
             Part([ellipse(0, 50, r * 0.82, r * 0.82)], dial, depth=-0.4), Part(strokes=ticks, paint=ink, depth=0),
             Part(strokes=hands, paint=ink, depth=0.2)]  # fmt: skip
    return parts, []


def sunglasses(g: Garment, rng: np.random.Generator) -> tuple[list[Part], list]:
    """Sunglasses: round, angular or aviator lenses, tinted, with a reflection."""
    form, w, h = int(rng.integers(3)), rng.uniform(12.5, 14.5), rng.uniform(9, 12)
    x = w + 2.6
    if form == 0:
        lens = ellipse(x, 50, w * 0.9, w * 0.86)
    elif form == 1:
        lens = [
            (x - w, 50 - h),
            (x + w, 50 - h - 1),
            (x + w + 0.6, 50, 1),
            (x + w - 4, 50 + h - 1),
            (x, 50 + h + 2, 1),
            (x - w + 3, 50 + h - 1),
            (x - w - 0.5, 50, 1),
        ]
    else:
        lens = [
            (x - w, 50 - h),
            (x, 50 - h - 1.5, 1),
            (x + w, 50 - h + 1),
            (x + w + 2, 50 + h * 0.6, 1),
            (x + w * 0.3, 50 + h + 2),
            (x - w, 50 + h + 1, 1),
            (x - w, 50 - 2),
        ]
    middle = [sum(p[0] for p in lens) / len(lens), sum(p[1] for p in lens) / len(lens)]
    glass = [(middle[0] + (p[0] - middle[0]) * 0.84, middle[1] + (p[1] - middle[1]) * 0.82, *p[2:]) for p in lens]
    bridge = [(-4.5, 46), (0, 42.5, 1), (4.5, 46)]
    temple = [
        (x + w - 1, 50 - h + 2),
        (x + w + 4, 44 - h * 0.4, 1),
        (x + w + 3.4, 40 - h * 0.4),
        (x + w - 2, 34, 1),
        (x + w - 9, 33),
    ]
    gleam = [
        (middle[0] - 5, middle[1] - h * 0.7),
        (middle[0] - 0.5, middle[1] - h * 0.75),
        (middle[0] - 6, middle[1] + h * 0.5),
        (middle[0] - 8.5, middle[1] + h * 0.2),
    ]
    tint = {"Brown": (0.35, 0.22, 0.14), "Beige": (0.35, 0.22, 0.14), "Blue": (0.16, 0.25, 0.38)}.get(
        g.accent, (0.13, 0.14, 0.16)
    )
    parts = [Part(strokes=[(one, 1.5) for one in both(temple)], paint="plain", tone=0.72, depth=0.5),
        Part(strokes=[(bridge, 2.4)], depth=0.8), Part(both(lens), depth=1.1),
             Part(both(glass), tint, depth=-0.5, alpha=0.94), Part([gleam, [(a - 2 * x, b) for a, b in gleam]],
                 (1.0, 1.0, 1.0), depth=0, alpha=0.22)]  # fmt: skip
    return parts, []


def tie(g: Garment, rng: np.random.Generator) -> tuple[list[Part], list]:
    """Neck tie, knotted."""
    w = rng.uniform(6.5, 9.0)
    knot = [(-5.5, 8), (5.5, 8), (6, 10, 1), (3.4, 19), (0, 20.5, 1), (-3.4, 19), (-6, 10, 1)]
    blade = [(-3.2, 18.5), (3.2, 18.5), (4.2, 40, 1), (w, 82), (0, 95), (-w, 82), (-4.2, 40, 1)]
    tail = [(1, 20), (5, 45, 1), (w + 2.2, 76), (w * 0.5, 84), (0, 60)]
    loop = [(-5, 9), (-12, 4, 1), (0, 2.8, 1), (12, 4, 1), (5, 9)]
    parts = [
        Part(strokes=[(loop, 2.6)], tone=0.7, depth=0.5),
        Part([tail], tone=0.72, depth=0.5),
        Part([blade], depth=1.2),
        Part([knot], tone=0.97, depth=1.2),
    ]
    return parts, [([(0.5, 19), (0.8, 28, 1), (-0.4, 36)], 1.1)]


SILHOUETTES = {
    "handbag": handbag,
    "backpack": backpack,
    "cap": cap,
    "watch": watch,
    "sunglasses": sunglasses,
    "tie": tie,
}

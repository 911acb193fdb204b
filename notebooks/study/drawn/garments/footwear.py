"""Silhouettes of footwear. Each function returns (layers, folds), as in `tops`."""

from __future__ import annotations

import numpy as np

from .shapes import Garment, Part, both, box, ellipse

DARK, METAL, SKIN = (0.1, 0.1, 0.11), (0.74, 0.73, 0.71), (0.78, 0.64, 0.48)


def _stretch(path, sx: float, sy: float) -> list[tuple]:
    """A path scaled about (0, 60), where shoes stand."""
    return [(x * sx, 60 + (y - 60) * sy, *f) for x, y, *f in path]


def shoe(g: Garment, rng: np.random.Generator) -> tuple[list[Part], list]:
    """Side view, toe to the right: sneaker; running shoe where `sporty`; laced leather shoe where `fit` is fitted."""
    sx, sy = (0.82 if g.fit == "small" else rng.uniform(0.94, 1.03)), rng.uniform(0.95, 1.08)
    formal = g.fit == "fitted"
    high = 8 if g.length == "long" else -3.5
    upper = [(-30, 69), (-33, 58, 1), (-31, 45 - high), (-24, 42 - high, 1), (-16, 45 - high),
        (-10, 47 - high * 0.4, 1), (-2, 51), (12, 57.5, 1), (24, 60),
             (34.5, 62, 1), (33.5, 70), (0, 71)]  # fmt: skip
    tongue = [(-19, 49 - high), (-18, 40 - high, 1), (-12, 40 - high), (-3, 48, 1), (4, 54), (-6, 56)]
    lace_area = [(-14.5, 46 - high), (-3, 51, 1), (9, 56.5), (5, 62), (-6, 58, 1), (-18, 53 - high)]
    collar = [(-31, 46.5 - high), (-24, 43.2 - high, 1), (-15.5, 46.4 - high)]
    lift = [high * (1 - i / 4) for i in range(4)]
    laces = [
        ([(-13 + 5.2 * i, 47.4 - lift[i] + 2.6 * i), (-15.5 + 5.2 * i, 53 - lift[i] + 2.3 * i)], 1.3) for i in range(4)
    ]
    if formal:
        sole = [
            (-31, 68),
            (-10, 70, 1),
            (0, 69),
            (20, 70.5, 1),
            (34, 69),
            (35, 72, 1),
            (30, 72.6),
            (6, 72.6),
            (-8, 72, 1),
            (-12, 76.5),
            (-31, 76.5),
        ]
        cap = [(18, 58.3), (21, 64, 1), (19, 70.5)]
        broguing = [ellipse(21 + 3 * (i % 2), 61 + 2 * i, 0.5, 0.5) for i in range(4)]
        parts = [Part([tongue], tone=0.8, depth=0.5), Part([upper], depth=1.5), Part([lace_area], tone=0.92, depth=0.5),
                 Part(strokes=[(cap, 0.6), ([(-20, 44), (-14, 60, 1), (-16, 70)], 0.6)], paint=DARK, depth=0,
                     alpha=0.55),
                 Part(broguing, DARK, depth=0, alpha=0.5), Part(strokes=[(a, 0.8) for a, _ in laces], paint=DARK,
                     depth=0.3),
                 Part([sole], (0.2, 0.15, 0.12), depth=0.6)]  # fmt: skip
    else:
        sole = [
            (-33, 67),
            (-15, 70, 1),
            (0, 70),
            (20, 71, 1),
            (35, 66),
            (37, 73, 1),
            (31, 76.5),
            (-29, 76.5),
            (-35, 76, 1),
        ]
        toe = [(22, 59), (34, 60, 1), (34, 69), (20, 70.5), (17, 64, 1)]
        heel = [(-31, 52), (-24, 55, 1), (-21, 69.5), (-31, 68.5)]
        parts = [Part([tongue], "plain", tone=0.82, depth=0.5), Part([upper], depth=1.4)]
        if g.sporty:
            swoosh = [(-24, 64), (-6, 70, 1), (16, 58.5), (-4, 64, 1), (-18, 58)]
            parts += [Part([swoosh], "accent", depth=0.3), Part([toe, heel], "plain", tone=0.82, depth=0.6)]
        else:
            parts += [Part([toe], "accent", depth=0.6), Part([heel], "plain", tone=0.86, depth=0.5)]
        parts += [Part([lace_area], "plain", tone=0.88, depth=0.5), Part(strokes=laces, paint=(0.95, 0.95, 0.94),
            depth=0.4),
                  Part(strokes=[(collar, 1.6)], paint="plain", tone=0.7, depth=0.3),
                  Part([sole], (0.94, 0.94, 0.92), depth=0.7)]  # fmt: skip
        if g.sporty:
            wave = [(-34, 73), (-15, 69, 1), (0, 73), (17, 76.5, 1), (36, 70)]
            parts.append(Part(strokes=[(wave, 1.8)], paint="accent", depth=0.2))
        else:
            parts.append(Part(strokes=[([(-34, 72.6), (0, 74.4, 1), (35.5, 71.6)], 0.8)], paint="accent", depth=0))
    parts = [Part([_stretch(p, sx, sy) for p in part.shapes], part.paint, part.tone, part.depth,
                  [(_stretch(p, sx, sy), w) for p, w in part.strokes], part.alpha) for part in parts]  # fmt: skip
    return parts, [
        (_stretch([(10, 58), (13, 63, 1), (10, 68)], sx, sy), 1.2),
        (_stretch([(6, 57), (8, 63, 1), (5, 68)], sx, sy), 0.9),
    ]


def heel(g: Garment, rng: np.random.Generator) -> tuple[list[Part], list]:
    """Court shoe with a high heel, side view."""
    h = rng.uniform(0, 7)
    inside = [(-27, 35 - h), (-18, 46 - h, 1), (-8, 56, 1), (6, 63), (2, 67), (-20, 55)]
    upper = [(-30, 34 - h), (-26, 35 - h), (-20, 48 - h, 1), (-10, 60, 1), (6, 62), (14, 58, 1), (20, 63), (31, 68, 1),
        (34, 74), (18, 76.5, 1), (6, 75),
             (-8, 70, 1), (-17, 58 - h * 0.6), (-22, 54 - h, 1), (-29, 54 - h), (-32, 44 - h, 1)]  # fmt: skip
    stiletto = [(-29.5, 50 - h), (-18, 56 - h, 1), (-21, 60), (-25.5, 66, 1), (-26, 77), (-29, 77), (-29, 62, 1)]
    sole = [
        (-18, 58 - h * 0.6),
        (-8, 71, 1),
        (6, 75.5),
        (18, 77, 1),
        (34, 74),
        (33, 77),
        (18, 78.6, 1),
        (4, 77.4),
        (-10, 72, 1),
    ]
    parts = [
        Part([inside], SKIN, tone=0.95, depth=0.3),
        Part([stiletto], tone=0.85, depth=0.8),
        Part([sole], (0.55, 0.2, 0.16), depth=0.3),
        Part([upper], depth=1.5),
    ]
    if g.length == "long":
        strap = [(-29, 38 - h), (-20, 31 - h, 1), (-12, 34 - h), (-10, 40 - h, 1), (-19, 45 - h)]
        parts.append(Part(strokes=[(strap, 1.6)], depth=0.6))
    if g.pattern == "solid" and rng.random() < 0.4:
        parts.append(
            Part(
                [ellipse(11, 64, 2.2, 1.7), ellipse(15.5, 65, 2.2, 1.7), ellipse(13.2, 64.6, 1, 1)], "accent", depth=0.5
            )
        )
    return parts, [([(-26, 44 - h), (-16, 58 - h * 0.5, 1), (4, 70)], 1.2)]


def sandal(g: Garment, rng: np.random.Generator) -> tuple[list[Part], list]:
    """Side view: a thick sole, two broad bands and a strap behind the heel, buckled above the instep."""
    k = rng.uniform(-1.5, 1.5)
    sole = [(-33, 69), (-20, 72, 1), (-4, 71), (14, 69, 1), (33, 70), (37, 73, 1), (32, 77), (-31, 77), (-36, 74, 1)]
    bed = [
        (-33, 67),
        (-20, 70, 1),
        (-4, 69),
        (14, 67, 1),
        (33, 68.5),
        (36, 71, 1),
        (14, 71, 1),
        (-4, 73),
        (-20, 75, 1),
        (-34, 72),
    ]
    toe = [(7, 69.5), (8, 60 + k), (12, 54 + k, 1), (20, 56 + k), (29, 59, 1), (31, 69.5)]
    instep = [(-14, 70.5), (-13, 57 + k, 1), (-9, 47 + k), (-3, 43 + k, 1), (3, 48 + k), (3, 60, 1), (0, 70.5)]
    back = [(-27, 69), (-30, 56, 1), (-29, 46), (-20, 42.5, 1), (-7, 48 + k)]
    far = [(7, 58 + k), (5, 50 + k, 1), (1, 48 + k)]
    parts = [Part([bed], SKIN, depth=0.4), Part(strokes=[(back, 3.6), (far, 2.6)], tone=0.92, depth=0.8),
        Part([sole], (0.33, 0.24, 0.18), depth=0.9),
             Part([toe], depth=1.1), Part([instep], depth=1.1),
             Part([box(-11, 46 + k, -6, 52 + k, 1)], METAL, depth=0.4),
             Part([box(-9.8, 47.4 + k, -7.2, 50.6 + k, 0.6)], tone=0.8, depth=0)]  # fmt: skip
    seams = [([(9.4, 68), (10, 61 + k), (13, 56 + k, 1), (19.6, 57.8 + k), (27, 60.4, 1), (29, 68)], 0.4),
             ([(-12.4, 69), (-11.4, 58 + k, 1), (-7.6, 53 + k)], 0.4),
             ([(1.4, 52 + k), (1.6, 60, 1), (-1.2, 69)], 0.4)]  # fmt: skip
    return [*parts, Part(strokes=seams, paint="accent", depth=0, alpha=0.6)], []


def flipflops(g: Garment, rng: np.random.Generator) -> tuple[list[Part], list]:
    """A pair from above."""
    w = rng.uniform(0.94, 1.06) * (0.85 if g.fit == "small" else 1)
    foot = [
        (16, 14),
        (27, 14, 1),
        (26.5, 32),
        (25, 50, 1),
        (25.5, 66),
        (25, 85, 1),
        (15.5, 85),
        (7, 85, 1),
        (7.5, 66),
        (8.5, 50, 1),
        (5.5, 34),
        (4, 15, 1),
    ]
    foot = [(x * w, y) for x, y, *_ in foot]
    foot = [(x, y, *([1] if i in (1, 3, 5, 7, 9, 11) else [])) for i, (x, y) in enumerate(foot)]
    edge = [(x * 1.05 - 0.4, (y - 50) * 1.025 + 51.2, *f) for x, y, *f in foot]
    strap = [(14.5 * w, 28), (16.5 * w, 27), (22 * w, 36, 1), (26 * w, 55), (22.5 * w, 55), (20 * w, 42, 1),
        (15.5 * w, 34), (11 * w, 42, 1), (9.5 * w, 55),
             (6.5 * w, 54), (7 * w, 38, 1)]  # fmt: skip
    plug = ellipse(15.4 * w, 28.5, 1.7, 1.9)
    return [
        Part(both(edge), "accent", tone=0.7, depth=0.7),
        Part(both(foot), depth=0.6),
        Part(both(strap), "accent", depth=1.5),
        Part(both(plug), "accent", tone=0.85, depth=0.6),
    ], []


SILHOUETTES = {"shoe": shoe, "heel": heel, "sandal": sandal, "flipflops": flipflops}

"""Sweatshirts, hoodies, jackets and blazers. Each function returns (layers, folds), as in `tops`."""

from __future__ import annotations

import numpy as np

from .shapes import Garment, Part, both, box, ellipse, mirror
from .tops import DARK, METAL, band, body, frame, inside, motif, sleeves, torso_folds


def sweatshirt(g: Garment, rng: np.random.Generator) -> tuple[list[Part], list]:
    """Sweatshirt; with neckline "hood", a hoodie with a pocket and strings."""
    m = frame(g, rng)
    arms, folds = sleeves(g, m, 1.25)
    t, n, hip, hem = m["top"], m["neck"], m["hip"], m["hem"]
    rib = mirror([(0, hem - 4.5), (hip + 0.4, hem - 5), (hip - 1.2, hem + 1), (hip * 0.5, hem + 2, 1), (0, hem + 2)])
    pieces = [*arms, Part([body(g, m)]), Part([rib], "plain", tone=0.9, depth=0.5)]
    if g.pattern == "graphic":
        pieces += motif(g, m, rng)
    if g.neckline != "hood":
        return [*inside(m, 5), *pieces, band(g, m)], folds + torso_folds(m, rng, 1.3)
    hood = mirror([(0, t - 14), (n + 4, t - 14, 1), (n + 5.5, t - 4, 1), (n + 4.5, t + 4), (3, t + 9, 1), (0, t + 9)])
    opening = mirror([(0, t - 9.5), (n, t - 9.5, 1), (n + 1, t + 0.5, 1), (0, t + 7)])
    pouch = mirror([(0, hem - 21), (7.5, hem - 21), (11.5, hem - 10), (11.5, hem - 5), (0, hem - 4.6)])
    cord = [(2.4, t + 6), (3.2, t + 12, 1), (2.8, t + 20)]
    parts = [*pieces, Part([pouch], "plain" if g.pattern == "graphic" else "cloth", tone=0.98, depth=0.7),
        Part([hood], "plain", tone=0.98),
             Part([opening], "plain", tone=0.55, depth=-0.5), Part(strokes=[(one, 0.9) for one in both(cord)],
                 paint="accent", depth=0.3)]  # fmt: skip
    return parts, folds + torso_folds(m, rng, 1.3)


def jacket(g: Garment, rng: np.random.Generator) -> tuple[list[Part], list]:
    """Blazer (neckline "lapel", two buttons) or zipped jacket (any other neckline)."""
    m = frame(g, rng)
    arms, folds = sleeves(g, m, 1.2)
    t, n, hip, hem = m["top"], m["neck"], m["hip"], m["hem"]
    pocket = [(6, hem - 19), (12.5, hem - 21), (13, hem - 18), (6.4, hem - 16)]
    if g.neckline == "lapel":
        shirt = [(-n, t), (n, t), (n, t + 12), (0, t + 36), (-n, t + 12)]
        tie = [(-1.6, t + 4), (1.6, t + 4), (1, t + 7), (2.4, t + 24), (0, t + 33), (-2.4, t + 24), (-1, t + 7)]
        lapel = [(n - 0.6, t - 2.6), (n + 2.6, t + 1.5), (n + 5, t + 12), (n + 2.2, t + 12.6), (n + 3.4, t + 15.5),
                 (5, t + 26, 1), (0.2, t + 35), (2.6, t + 20, 1)]  # fmt: skip
        front = [(0, t + 34), (0.8, hem - 10, 1), (-1.6, hem + 1)]
        parts = [*arms, Part([shirt], (0.93, 0.94, 0.96), depth=0.3), Part([body(g, m)])]
        if g.fit != "fitted":
            parts.insert(-1, Part([tie], "accent", depth=0.4))
        parts += [Part(both(lapel), tone=1.04, depth=0.9), Part(strokes=[(front, 0.6)], paint=DARK, depth=0,
            alpha=0.55),
                  Part(both(pocket), tone=0.96, depth=0.5),
                  Part([ellipse(1.7, t + 38, 1, 1), ellipse(1.6, t + 47, 1, 1)], (0.2, 0.17, 0.15),
                      depth=0.3)]  # fmt: skip
        return parts, folds + torso_folds(m, rng, 0.9)
    stand = mirror([(0, t - 3), (n - 0.5, t - 4.5), (n + 1.2, t + 1), (1, t + 8), (0, t + 8)])
    back = mirror([(0, t - 6), (n - 1, t - 5), (n, t + 2), (0, t + 6)])
    rib = mirror(
        [(0, hem - 4), (hip + 0.3, hem - 4.6), (hip - 0.8, hem + 1), (hip * 0.5, hem + 1.6, 1), (0, hem + 1.6)]
    )
    yoke = [(-m["shoulder"] + 1.5, t + 15), (0, t + 18, 1), (m["shoulder"] - 1.5, t + 15)]
    slit = [(7, hem - 26), (12, hem - 14)]
    parts = [Part([back], "plain", tone=0.6, depth=0.3), *arms, Part([body(g, m)], depth=1.25),
        Part([rib], "plain", tone=0.88, depth=0.5),
             Part([stand], "accent" if g.sporty else "plain", tone=0.97),
             Part(strokes=[(yoke, 0.4)], paint=DARK, depth=0, alpha=0.45),
             Part(strokes=[(one, 0.8) for one in both(slit)], paint=DARK, depth=0, alpha=0.5),
             Part([box(-1, t - 2, 1, hem + 1)], METAL, tone=0.8, depth=0.5),
             Part([box(-0.25, t - 2, 0.25, hem + 1)], DARK, depth=0),
             Part([box(-0.9, t + 6, 0.9, t + 10, 0.5)], METAL, depth=0.4)]  # fmt: skip
    return parts, folds + torso_folds(m, rng, 1.5)


SILHOUETTES = {"sweatshirt": sweatshirt, "jacket": jacket}

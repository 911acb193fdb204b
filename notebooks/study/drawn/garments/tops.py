"""Silhouettes worn above the waist. Each function returns (layers, folds): `Part`s, and (line, width) pairs.

"hood", "polo" and other neckline names are those of `Garment`.
"""

from __future__ import annotations

import math

import numpy as np

from .shapes import Garment, Part, both, box, ellipse, flipped, mirror

DARK, THREAD, METAL = (0.1, 0.1, 0.11), (0.82, 0.62, 0.32), (0.72, 0.71, 0.68)
REACH = {"sleeveless": 0.0, "short": 19.0, "long": 50.0}


def frame(g: Garment, rng: np.random.Generator) -> dict[str, float]:
    """Measurements of an upper garment: half-widths and heights."""
    wide = rng.uniform(0.94, 1.06) * {"straight": 1.0, "fitted": 0.89, "small": 1.08}[g.fit]
    top = {"hood": 21.0, "collar": 16.0, "polo": 16.0, "stand": 16.0}.get(g.neckline, 13.0)
    hem = {"short": 70.0, "regular": 80.0, "long": 93.0}[g.length] + rng.uniform(-2, 2)
    if g.fit == "small":
        hem -= 11
    neck = {"scoop": 8.0, "v": 7.0, "crew": 6.6}.get(g.neckline, 6.4)
    shoulder = (12.5 if g.sleeve == "sleeveless" else 16.0) * wide
    return {"top": top, "hem": hem, "neck": neck, "shoulder": shoulder, "chest": 16.0 * wide,
            "waist": (15.6 if g.fit != "fitted" else 11.9) * wide, "hip": 16.2 * wide, "armpit": top + 20}  # fmt: skip


def neckline(g: Garment, m: dict[str, float]) -> list[tuple]:
    """Front neckline from the middle to the right shoulder."""
    n, t = m["neck"], m["top"]
    if g.neckline == "v":
        return [(0, t + 17), (n * 0.75, t + 8, 1), (n, t)]
    if g.neckline == "lapel":
        return [(0, t + 34), (n * 0.9, t + 10, 1), (n, t)]
    drop = {"scoop": 12.0, "crew": 6.0}.get(g.neckline, 5.0)
    return [(0, t + drop), (n * 0.95, t + drop, 1), (n, t)]


def body(g: Garment, m: dict[str, float]) -> list[tuple]:
    """The outline of a top without its sleeves."""
    s, c, t = m["shoulder"], m["chest"], m["top"]
    middle = (m["armpit"] + m["hem"]) / 2
    return mirror([
        *neckline(g, m), (s, t + 4), (s - 2.2, t + 12, 1), (c, m["armpit"]), (m["waist"] - 0.6, middle - 4, 1),
        (m["waist"], middle, 1), (m["hip"], m["hem"] - 1), (m["hip"] * 0.5, m["hem"] + 1.2, 1), (0, m["hem"] + 1.2),
    ])  # fmt: skip


def sleeves(g: Garment, m: dict[str, float], loose: float = 1.0) -> tuple[list[Part], list]:
    """Both sleeves and their folds; none where a garment has none."""
    reach = REACH[g.sleeve] * (0.85 if g.fit == "small" else 1.0)
    if not reach:
        return [], []
    angle = math.radians(34 if reach < 30 else 15)
    s, t = m["shoulder"], m["top"] + 4
    dx, dy = math.sin(angle), math.cos(angle)
    half = (4.7 if reach < 30 else 3.6) * loose
    cx, cy = s + 1.5 + reach * dx, t + reach * dy  # middle of the cuff
    outer, inner = (cx + half * dy, cy - half * dx), (cx - half * dy, cy + half * dx)
    arm = [(s - 6, t - 1), (s, t), (s + 5.5 * loose, t + 3.5, 1),
        (s + 6.2 * loose, t + 11, 1) if reach > 30 else (s + 7, t + 5, 1),
           outer, (cx + 0.7 * dx, cy + 0.7 * dy, 1), inner, (m["chest"] + 2, m["armpit"] + 8, 1),
           (m["chest"] - 1, m["armpit"] + 2),
           (s - 8, m["armpit"])]  # fmt: skip
    band = 1.6 if reach < 30 else 3.2
    cuff = [outer, inner, (inner[0] - band * dx, inner[1] - band * dy), (outer[0] - band * dx, outer[1] - band * dy)]
    parts = [Part(both(arm)), Part(both(cuff), paint="plain", tone=0.9, depth=0.35)]
    folds = []
    if reach > 30:
        for at, bend in ((0.35, 3.0), (0.47, -2.0), (0.6, 2.5)):
            x, y = s + 1.5 + reach * at * dx, t + reach * at * dy
            folds += [(one, 0.65) for one in both([(x - 4, y + bend), (x, y + 0.5, 1), (x + 3.5, y - bend)])]
    return parts, folds


def torso_folds(m: dict[str, float], rng: np.random.Generator, strength: float = 1.0) -> list:
    """Creases that run from the armpits, wrinkle at the waist and hang towards the hem."""
    lines = []
    a, hem, long = m["armpit"], m["hem"], m["hem"] - m["armpit"]
    for side in (-1, 1):
        end, drop = rng.uniform(2, 8), rng.uniform(0.25, 0.45) * long
        lines.append(
            (
                [(side * (m["chest"] - 1.5), a + 1), (side * 9, a + 0.3 * drop, 1), (side * end, a + drop)],
                0.75 * strength,
            )
        )
        for _ in range(2):
            x, drift = rng.uniform(2, 12) * side, rng.uniform(-2.5, 2.5)
            start = hem - rng.uniform(0.35, 0.75) * long
            lines.append(
                (
                    [(x, start), (x + drift, (start + hem) / 2, 1), (x + drift * 0.6, hem - 2)],
                    rng.uniform(0.7, 1.1) * strength,
                )
            )
        y = a + rng.uniform(0.45, 0.7) * long
        lines.append(
            ([(side * m["waist"], y), (side * 10, y + 0.5, 1), (side * 5, y + rng.uniform(2, 6))], 0.6 * strength)
        )
    return lines


def inside(m: dict[str, float], deep: float) -> list[Part]:
    """The back of the collar, seen through the neck, with its label."""
    n, t = m["neck"], m["top"]
    back = [(-n, t), (0, t - 2.2, 1), (n, t), (n * 0.9, t + deep, 1), (0, t + deep + 1), (-n * 0.9, t + deep, 1)]
    return [
        Part([back], paint="plain", tone=0.62, depth=0.3),
        Part([box(-1.6, t + 0.6, 1.6, t + 2.6)], (0.93, 0.92, 0.88), depth=0),
    ]


def band(g: Garment, m: dict[str, float]) -> Part:
    """The band along the neckline."""
    line = neckline(g, m)
    paint = "accent" if g.sporty else "plain"
    return Part(strokes=[([*flipped(line[::-1]), *line[1:]], 1.7)], paint=paint, tone=0.88, depth=0.3)


def _buttons(x: float, first: float, last: float, count: int) -> list[Part]:
    spots = [ellipse(x, first + (last - first) * i / max(count - 1, 1), 0.75, 0.75) for i in range(count)]
    return [Part(spots, (0.93, 0.92, 0.9), tone=0.95, depth=0.25)]


def _collar(m: dict[str, float], paint: str = "cloth") -> list[Part]:
    n, t = m["neck"], m["top"]
    flap = [
        (0.3, t + 5.5),
        (n * 0.55, t + 1, 1),
        (n - 0.4, t - 3.4),
        (n + 1.2, t - 2, 1),
        (n + 2.6, t + 2.2),
        (5.4, t + 10.5),
    ]
    stand = [(-n, t + 1), (-n + 0.6, t - 3.5), (0, t - 5.5, 1), (n - 0.6, t - 3.5), (n, t + 1), (0, t + 6)]
    return [Part([stand], paint="plain", tone=0.66, depth=0.3), Part(both(flap), paint=paint, tone=1.02, depth=0.8)]


def motif(g: Garment, m: dict[str, float], rng: np.random.Generator) -> list[Part]:
    """A motif on the chest: sun, star, heart, mountains, letters or a ring."""
    y, r = m["top"] + 27, 7.0 * rng.uniform(0.85, 1.15)
    which = int(rng.integers(6))
    star = [(r * (1.1 if i % 2 == 0 else 0.48) * math.sin(i * math.pi / 5),
        y - r * (1.1 if i % 2 == 0 else 0.48) * math.cos(i * math.pi / 5))
            for i in range(10)]  # fmt: skip
    if which == 0:
        shapes = [ellipse(0, y, r, r)]
        cut = Part(
            [box(-r - 1, y + r * (0.1 + 0.3 * i), r + 1, y + r * (0.2 + 0.3 * i)) for i in range(3)], "plain", depth=0
        )
        return [Part(shapes, "accent", depth=0), cut]
    if which == 1:
        return [Part([star], "accent", depth=0)]
    if which == 2:
        half = [(0, y - r * 0.45), (r * 0.35, y - r * 1.25, 1), (r * 1.25, y - r * 0.9, 1), (r * 1.1, y, 1), (0, y + r)]
        return [Part([mirror(half)], "accent", depth=0)]
    if which == 3:
        hills = [
            [(-r * 1.4, y + r), (-r * 0.5, y - r * 0.6), (r * 0.4, y + r)],
            [(-r * 0.4, y + r), (r * 0.5, y - r), (r * 1.4, y + r)],
        ]
        return [
            Part([ellipse(-r * 0.9, y - r * 0.8, r * 0.3, r * 0.3)], (0.95, 0.72, 0.3), depth=0),
            Part(hills, "accent", depth=0),
        ]
    if which == 4:
        widths = rng.uniform(0.6, 1.25, 3) * r
        bars = [box(-w, y - 5 + 4 * i, w, y - 2.4 + 4 * i, 0.6) for i, w in enumerate(widths)]
        return [Part(bars, "accent", depth=0)]
    return [
        Part(strokes=[([(p[0], p[1]) for p in _ring(0, y, r)], 2.4)], paint="accent", depth=0),
        Part([ellipse(0, y, r * 0.4, r * 0.4)], "accent", depth=0),
    ]


def _ring(x: float, y: float, r: float) -> list[tuple]:
    return [(x + r * math.cos(a), y + r * math.sin(a)) for a in np.linspace(0, 2 * math.pi, 25)]


def tshirt(g: Garment, rng: np.random.Generator) -> tuple[list[Part], list]:
    """T-shirts, vests, tops and kurtas: one piece pulled over the head."""
    m = frame(g, rng)
    arms, folds = sleeves(g, m)
    deep = {"v": 15.0, "scoop": 10.0}.get(g.neckline, 5.0)
    parts = [*inside(m, deep), *arms, Part([body(g, m)])]
    if g.neckline in ("polo", "collar", "stand"):
        end = m["top"] + (21 if g.neckline == "polo" else 32)
        parts += [
            Part([box(-1.7, m["top"] + 5, 1.7, end)], "plain", tone=0.97, depth=0.4),
            *_buttons(0, m["top"] + 9, end - 3, 3),
        ]
        if g.neckline == "stand":
            parts.append(band(g, m))
        else:
            parts += _collar(m, "plain" if g.pattern != "solid" else "cloth")
    else:
        parts.append(band(g, m))
    if g.sporty:
        stripe = [
            (m["chest"] - 0.4, m["armpit"] + 4),
            (m["waist"] - 1, (m["armpit"] + m["hem"]) / 2, 1),
            (m["hip"] - 1.4, m["hem"] - 2),
        ]
        parts.append(Part(strokes=[(one, 2.0) for one in both(stripe)], paint="accent", depth=0.2))
    if g.pattern == "graphic":
        parts += motif(g, m, rng)
    hem = [(-m["hip"] + 0.5, m["hem"] - 2.6), (0, m["hem"] - 0.8, 1), (m["hip"] - 0.5, m["hem"] - 2.6)]
    parts.append(Part(strokes=[(hem, 0.35)], paint="plain", tone=0.7, depth=0, alpha=0.6))
    return parts, folds + torso_folds(m, rng)


def shirt(g: Garment, rng: np.random.Generator) -> tuple[list[Part], list]:
    """Button-down shirt."""
    m = frame(g, rng)
    arms, folds = sleeves(g, m)
    t = m["top"]
    placket = Part([box(-1.8, t + 5, 1.8, m["hem"] + 0.6)], tone=0.97, depth=0.45)
    pocket = Part([[(5, t + 20), (12, t + 20), (12, t + 28), (8.5, t + 30), (5, t + 28)]], depth=0.45)
    parts = [*arms, Part([body(g, m)]), placket, *_buttons(0, t + 11, m["hem"] - 6, 6), *_collar(m)]
    if g.fit == "straight":
        parts.insert(-2, pocket)
    return parts, folds + torso_folds(m, rng)


SILHOUETTES = {"tshirt": tshirt, "shirt": shirt}

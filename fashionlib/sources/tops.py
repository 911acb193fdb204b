"""Silhouettes worn above the waist. Each function returns (layers, folds): `Part`s, and (line, width) pairs.

"hood", "polo" and other neckline names are those of `Garment`.
"""

from __future__ import annotations

import math

import numpy as np

from .shapes import Garment, Part, both, box, ellipse, flipped, mirror

DARK, THREAD, METAL = (0.1, 0.1, 0.11), (0.82, 0.62, 0.32), (0.72, 0.71, 0.68)
REACH = {"sleeveless": 0.0, "short": 19.0, "long": 50.0}


def _frame(g: Garment, rng: np.random.Generator) -> dict[str, float]:
    """Measurements of an upper garment: half-widths and heights."""
    wide = rng.uniform(0.94, 1.06) * {"straight": 1.0, "fitted": 0.93, "small": 1.06}[g.fit]
    top = {"hood": 21.0, "collar": 16.0, "polo": 16.0, "stand": 16.0}.get(g.neckline, 13.0)
    hem = {"short": 70.0, "regular": 80.0, "long": 93.0}[g.length] + rng.uniform(-2, 2)
    if g.fit == "small":
        hem -= 7
    neck = {"scoop": 8.0, "v": 7.0, "crew": 6.6}.get(g.neckline, 6.4)
    shoulder = (12.5 if g.sleeve == "sleeveless" else 16.0) * wide
    return {"top": top, "hem": hem, "neck": neck, "shoulder": shoulder, "chest": 16.0 * wide,
            "waist": (15.6 if g.fit != "fitted" else 12.6) * wide, "hip": 16.2 * wide, "armpit": top + 20}  # fmt: skip


def _neckline(g: Garment, m: dict[str, float]) -> list[tuple]:
    """Front neckline from the middle to the right shoulder."""
    n, t = m["neck"], m["top"]
    if g.neckline == "v":
        return [(0, t + 17), (n * 0.75, t + 8, 1), (n, t)]
    if g.neckline == "lapel":
        return [(0, t + 34), (n * 0.9, t + 10, 1), (n, t)]
    drop = {"scoop": 12.0, "crew": 6.0}.get(g.neckline, 5.0)
    return [(0, t + drop), (n * 0.95, t + drop, 1), (n, t)]


def _body(g: Garment, m: dict[str, float]) -> list[tuple]:
    s, c, t = m["shoulder"], m["chest"], m["top"]
    middle = (m["armpit"] + m["hem"]) / 2
    return mirror([
        *_neckline(g, m), (s, t + 4), (s - 2.2, t + 12, 1), (c, m["armpit"]), (m["waist"] - 0.6, middle - 4, 1),
        (m["waist"], middle, 1), (m["hip"], m["hem"] - 1), (m["hip"] * 0.5, m["hem"] + 1.2, 1), (0, m["hem"] + 1.2),
    ])  # fmt: skip


def _sleeves(g: Garment, m: dict[str, float], loose: float = 1.0) -> tuple[list[Part], list]:
    reach = REACH[g.sleeve] * (0.85 if g.fit == "small" else 1.0)
    if not reach:
        return [], []
    angle = math.radians(34 if reach < 30 else 15)
    s, t = m["shoulder"], m["top"] + 4
    dx, dy = math.sin(angle), math.cos(angle)
    half = (4.7 if reach < 30 else 3.6) * loose
    cx, cy = s + 1.5 + reach * dx, t + reach * dy  # middle of the cuff
    outer, inner = (cx + half * dy, cy - half * dx), (cx - half * dy, cy + half * dx)
    arm = [(s - 6, t - 1), (s, t), (s + 5.5 * loose, t + 3.5, 1), (s + 6.2 * loose, t + 11, 1) if reach > 30 else (s + 7, t + 5, 1),
           outer, (cx + 0.7 * dx, cy + 0.7 * dy, 1), inner, (m["chest"] + 2, m["armpit"] + 8, 1), (m["chest"] - 1, m["armpit"] + 2),
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


def _torso_folds(m: dict[str, float], rng: np.random.Generator, strength: float = 1.0) -> list:
    """Creases that run from the armpits, wrinkle at the waist and hang towards the hem."""
    lines = []
    a, hem, long = m["armpit"], m["hem"], m["hem"] - m["armpit"]
    for side in (-1, 1):
        end, drop = rng.uniform(2, 8), rng.uniform(0.25, 0.45) * long
        lines.append(([(side * (m["chest"] - 1.5), a + 1), (side * 9, a + 0.3 * drop, 1), (side * end, a + drop)], 0.75 * strength))
        for _ in range(2):
            x, drift = rng.uniform(2, 12) * side, rng.uniform(-2.5, 2.5)
            start = hem - rng.uniform(0.35, 0.75) * long
            lines.append(([(x, start), (x + drift, (start + hem) / 2, 1), (x + drift * 0.6, hem - 2)], rng.uniform(0.7, 1.1) * strength))
        y = a + rng.uniform(0.45, 0.7) * long
        lines.append(([(side * m["waist"], y), (side * 10, y + 0.5, 1), (side * 5, y + rng.uniform(2, 6))], 0.6 * strength))
    return lines


def _inside(m: dict[str, float], deep: float) -> list[Part]:
    """The back of the collar, seen through the neck, with its label."""
    n, t = m["neck"], m["top"]
    back = [(-n, t), (0, t - 2.2, 1), (n, t), (n * 0.9, t + deep, 1), (0, t + deep + 1), (-n * 0.9, t + deep, 1)]
    return [Part([back], paint="plain", tone=0.62, depth=0.3), Part([box(-1.6, t + 0.6, 1.6, t + 2.6)], (0.93, 0.92, 0.88), depth=0)]


def _band(g: Garment, m: dict[str, float]) -> Part:
    line = _neckline(g, m)
    paint = "accent" if g.sporty else "plain"
    return Part(strokes=[([*flipped(line[::-1]), *line[1:]], 1.7)], paint=paint, tone=0.88, depth=0.3)


def _buttons(x: float, first: float, last: float, count: int) -> list[Part]:
    spots = [ellipse(x, first + (last - first) * i / max(count - 1, 1), 0.75, 0.75) for i in range(count)]
    return [Part(spots, (0.93, 0.92, 0.9), tone=0.95, depth=0.25)]


def _collar(m: dict[str, float], paint: str = "cloth") -> list[Part]:
    n, t = m["neck"], m["top"]
    flap = [(0.3, t + 5.5), (n * 0.55, t + 1, 1), (n - 0.4, t - 3.4), (n + 1.2, t - 2, 1), (n + 2.6, t + 2.2), (5.4, t + 10.5)]
    stand = [(-n, t + 1), (-n + 0.6, t - 3.5), (0, t - 5.5, 1), (n - 0.6, t - 3.5), (n, t + 1), (0, t + 6)]
    return [Part([stand], paint="plain", tone=0.66, depth=0.3), Part(both(flap), paint=paint, tone=1.02, depth=0.8)]


def _print(g: Garment, m: dict[str, float], rng: np.random.Generator) -> list[Part]:
    """A motif on the chest: sun, star, heart, mountains, letters or a ring."""
    y, r = m["top"] + 27, 7.0 * rng.uniform(0.85, 1.15)
    which = int(rng.integers(6))
    star = [(r * (1.1 if i % 2 == 0 else 0.48) * math.sin(i * math.pi / 5), y - r * (1.1 if i % 2 == 0 else 0.48) * math.cos(i * math.pi / 5))
            for i in range(10)]  # fmt: skip
    if which == 0:
        shapes = [ellipse(0, y, r, r)]
        cut = Part([box(-r - 1, y + r * (0.1 + 0.3 * i), r + 1, y + r * (0.2 + 0.3 * i)) for i in range(3)], "plain", depth=0)
        return [Part(shapes, "accent", depth=0), cut]
    if which == 1:
        return [Part([star], "accent", depth=0)]
    if which == 2:
        half = [(0, y - r * 0.45), (r * 0.35, y - r * 1.25, 1), (r * 1.25, y - r * 0.9, 1), (r * 1.1, y, 1), (0, y + r)]
        return [Part([mirror(half)], "accent", depth=0)]
    if which == 3:
        hills = [[(-r * 1.4, y + r), (-r * 0.5, y - r * 0.6), (r * 0.4, y + r)], [(-r * 0.4, y + r), (r * 0.5, y - r), (r * 1.4, y + r)]]
        return [Part([ellipse(-r * 0.9, y - r * 0.8, r * 0.3, r * 0.3)], (0.95, 0.72, 0.3), depth=0), Part(hills, "accent", depth=0)]
    if which == 4:
        widths = rng.uniform(0.6, 1.25, 3) * r
        bars = [box(-w, y - 5 + 4 * i, w, y - 2.4 + 4 * i, 0.6) for i, w in enumerate(widths)]
        return [Part(bars, "accent", depth=0)]
    return [Part(strokes=[([(p[0], p[1]) for p in _ring(0, y, r)], 2.4)], paint="accent", depth=0), Part([ellipse(0, y, r * 0.4, r * 0.4)], "accent", depth=0)]


def _ring(x: float, y: float, r: float) -> list[tuple]:
    return [(x + r * math.cos(a), y + r * math.sin(a)) for a in np.linspace(0, 2 * math.pi, 25)]


def tshirt(g: Garment, rng: np.random.Generator) -> tuple[list[Part], list]:
    """T-shirts, vests, tops and kurtas: one piece pulled over the head."""
    m = _frame(g, rng)
    sleeves, folds = _sleeves(g, m)
    deep = {"v": 15.0, "scoop": 10.0}.get(g.neckline, 5.0)
    parts = [*_inside(m, deep), *sleeves, Part([_body(g, m)])]
    if g.neckline in ("polo", "collar", "stand"):
        end = m["top"] + (21 if g.neckline == "polo" else 32)
        parts += [Part([box(-1.7, m["top"] + 5, 1.7, end)], "plain", tone=0.97, depth=0.4), *_buttons(0, m["top"] + 9, end - 3, 3)]
        if g.neckline == "stand":
            parts.append(_band(g, m))
        else:
            parts += _collar(m, "plain" if g.pattern != "solid" else "cloth")
    else:
        parts.append(_band(g, m))
    if g.sporty:
        stripe = [(m["chest"] - 0.4, m["armpit"] + 4), (m["waist"] - 1, (m["armpit"] + m["hem"]) / 2, 1), (m["hip"] - 1.4, m["hem"] - 2)]
        parts.append(Part(strokes=[(one, 2.0) for one in both(stripe)], paint="accent", depth=0.2))
    if g.pattern == "graphic":
        parts += _print(g, m, rng)
    hem = [(-m["hip"] + 0.5, m["hem"] - 2.6), (0, m["hem"] - 0.8, 1), (m["hip"] - 0.5, m["hem"] - 2.6)]
    parts.append(Part(strokes=[(hem, 0.35)], paint="plain", tone=0.7, depth=0, alpha=0.6))
    return parts, folds + _torso_folds(m, rng)


def shirt(g: Garment, rng: np.random.Generator) -> tuple[list[Part], list]:
    """Button-down shirt."""
    m = _frame(g, rng)
    sleeves, folds = _sleeves(g, m)
    t = m["top"]
    placket = Part([box(-1.8, t + 5, 1.8, m["hem"] + 0.6)], tone=0.97, depth=0.45)
    pocket = Part([[(5, t + 20), (12, t + 20), (12, t + 28), (8.5, t + 30), (5, t + 28)]], depth=0.45)
    parts = [*sleeves, Part([_body(g, m)]), placket, *_buttons(0, t + 11, m["hem"] - 6, 6), *_collar(m)]
    if g.fit == "straight":
        parts.insert(-2, pocket)
    return parts, folds + _torso_folds(m, rng)


def sweatshirt(g: Garment, rng: np.random.Generator) -> tuple[list[Part], list]:
    """Sweatshirt; with neckline "hood", a hoodie with a pocket and strings."""
    m = _frame(g, rng)
    sleeves, folds = _sleeves(g, m, 1.25)
    t, n, hip, hem = m["top"], m["neck"], m["hip"], m["hem"]
    rib = mirror([(0, hem - 4.5), (hip + 0.4, hem - 5), (hip - 1.2, hem + 1), (hip * 0.5, hem + 2, 1), (0, hem + 2)])
    body = [*sleeves, Part([_body(g, m)]), Part([rib], "plain", tone=0.9, depth=0.5)]
    if g.pattern == "graphic":
        body += _print(g, m, rng)
    if g.neckline != "hood":
        return [*_inside(m, 5), *body, _band(g, m)], folds + _torso_folds(m, rng, 1.3)
    hood = mirror([(0, t - 14), (n + 4, t - 14, 1), (n + 5.5, t - 4, 1), (n + 4.5, t + 4), (3, t + 9, 1), (0, t + 9)])
    opening = mirror([(0, t - 9.5), (n, t - 9.5, 1), (n + 1, t + 0.5, 1), (0, t + 7)])
    pouch = mirror([(0, hem - 21), (7.5, hem - 21), (11.5, hem - 10), (11.5, hem - 5), (0, hem - 4.6)])
    cord = [(2.4, t + 6), (3.2, t + 12, 1), (2.8, t + 20)]
    parts = [*body, Part([pouch], "plain" if g.pattern == "graphic" else "cloth", tone=0.98, depth=0.7), Part([hood], "plain", tone=0.98),
             Part([opening], "plain", tone=0.55, depth=-0.5), Part(strokes=[(one, 0.9) for one in both(cord)], paint="accent", depth=0.3)]  # fmt: skip
    return parts, folds + _torso_folds(m, rng, 1.3)


def jacket(g: Garment, rng: np.random.Generator) -> tuple[list[Part], list]:
    """Blazer (neckline "lapel", two buttons) or zipped jacket (any other neckline)."""
    m = _frame(g, rng)
    sleeves, folds = _sleeves(g, m, 1.2)
    t, n, hip, hem = m["top"], m["neck"], m["hip"], m["hem"]
    pocket = [(6, hem - 19), (12.5, hem - 21), (13, hem - 18), (6.4, hem - 16)]
    if g.neckline == "lapel":
        shirt = [(-n, t), (n, t), (n, t + 12), (0, t + 36), (-n, t + 12)]
        tie = [(-1.6, t + 4), (1.6, t + 4), (1, t + 7), (2.4, t + 24), (0, t + 33), (-2.4, t + 24), (-1, t + 7)]
        lapel = [(n - 0.6, t - 2.6), (n + 2.6, t + 1.5), (n + 5, t + 12), (n + 2.2, t + 12.6), (n + 3.4, t + 15.5),
                 (5, t + 26, 1), (0.2, t + 35), (2.6, t + 20, 1)]  # fmt: skip
        front = [(0, t + 34), (0.8, hem - 10, 1), (-1.6, hem + 1)]
        parts = [*sleeves, Part([shirt], (0.93, 0.94, 0.96), depth=0.3), Part([_body(g, m)])]
        if g.fit != "fitted":
            parts.insert(-1, Part([tie], "accent", depth=0.4))
        parts += [Part(both(lapel), tone=1.04, depth=0.9), Part(strokes=[(front, 0.6)], paint=DARK, depth=0, alpha=0.55),
                  Part(both(pocket), tone=0.96, depth=0.5),
                  Part([ellipse(1.7, t + 38, 1, 1), ellipse(1.6, t + 47, 1, 1)], (0.2, 0.17, 0.15), depth=0.3)]  # fmt: skip
        return parts, folds + _torso_folds(m, rng, 0.9)
    stand = mirror([(0, t - 3), (n - 0.5, t - 4.5), (n + 1.2, t + 1), (1, t + 8), (0, t + 8)])
    back = mirror([(0, t - 6), (n - 1, t - 5), (n, t + 2), (0, t + 6)])
    rib = mirror([(0, hem - 4), (hip + 0.3, hem - 4.6), (hip - 0.8, hem + 1), (hip * 0.5, hem + 1.6, 1), (0, hem + 1.6)])
    yoke = [(-m["shoulder"] + 1.5, t + 15), (0, t + 18, 1), (m["shoulder"] - 1.5, t + 15)]
    slit = [(7, hem - 26), (12, hem - 14)]
    parts = [Part([back], "plain", tone=0.6, depth=0.3), *sleeves, Part([_body(g, m)], depth=1.25), Part([rib], "plain", tone=0.88, depth=0.5),
             Part([stand], "accent" if g.sporty else "plain", tone=0.97), Part(strokes=[(yoke, 0.4)], paint=DARK, depth=0, alpha=0.45),
             Part(strokes=[(one, 0.8) for one in both(slit)], paint=DARK, depth=0, alpha=0.5),
             Part([box(-1, t - 2, 1, hem + 1)], METAL, tone=0.8, depth=0.5), Part([box(-0.25, t - 2, 0.25, hem + 1)], DARK, depth=0),
             Part([box(-0.9, t + 6, 0.9, t + 10, 0.5)], METAL, depth=0.4)]  # fmt: skip
    return parts, folds + _torso_folds(m, rng, 1.5)


SILHOUETTES = {"tshirt": tshirt, "shirt": shirt, "sweatshirt": sweatshirt, "jacket": jacket}

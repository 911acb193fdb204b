"""Silhouettes from the waist down, and dresses. Each function returns (layers, folds), as in `tops`."""

from __future__ import annotations

import numpy as np

from .shapes import Garment, Part, both, box, ellipse, mirror
from .tops import DARK, METAL, THREAD, band, frame, inside, neckline, sleeves

LEG = {"short": 44.0, "regular": 92.0, "long": 96.0}


def _legs(g: Garment, rng: np.random.Generator, loose: float, ankle: float) -> tuple[dict[str, float], list[tuple]]:
    """Measurements and the outline of both legs; `loose` widens the thigh, `ankle` is the half-width of a hem."""
    wide = rng.uniform(0.95, 1.05) * {"straight": 1.0, "fitted": 0.88, "small": 1.12}[g.fit]
    top, end = (24.0 if g.length == "short" else 6.0), 0.0
    end = top + LEG[g.length] - (17 if g.fit == "small" else 4) + rng.uniform(-1.5, 1.5)
    waist, hip = 11.0 * wide, 15.2 * wide * loose
    crotch = top + 29
    foot = hip * (0.56 if g.length == "short" else 0.62)  # middle of a trouser leg's hem
    m = {"top": top, "end": end, "waist": waist, "hip": hip, "crotch": crotch, "foot": foot, "ankle": ankle}
    outline = mirror([
        (0, top + 0.8), (waist, top), (hip * 0.98, top + 10, 1), (hip, top + 24),
        (hip * 0.98, top + 50, 1) if end > 70 else (hip, end - 8, 1),
        (foot + ankle, end), (foot, end + 0.9, 1), (foot - ankle, end + 0.4),
        (2.2, crotch + 12, 1), (0, crotch),
    ])  # fmt: skip
    return m, outline


def _fly(m: dict[str, float], colour, depth: float = 0.0) -> Part:
    t = m["top"] + 5
    line = [(2.6, t), (2.8, t + 10, 1), (0.2, t + 14)]
    return Part(strokes=[(line, 0.5), ([(0, t), (0, m["crotch"])], 0.45)], paint=colour, depth=depth, alpha=0.6)


def trousers(g: Garment, rng: np.random.Generator) -> tuple[list[Part], list]:
    """Pressed trousers; jeans where the pattern is denim; track pants where `sporty`; shorts where short."""
    jeans, short = g.pattern == "denim", g.length == "short"
    ankle = (7.0 if g.fit != "fitted" else 6.2) * 1.1 if short else {"fitted": 4.0, "small": 5.6}.get(g.fit, 5.2)
    ankle = 3.8 if g.sporty and not short else ankle
    m, outline = _legs(g, rng, 1.08 if short else 1.0, ankle)
    t, w, hip, end, foot = m["top"], m["waist"], m["hip"], m["end"], m["foot"]
    band = mirror([(0, t + 0.6), (w + 0.2, t - 0.4), (w + 1.0, t + 4.4), (0, t + 5)])
    back = mirror([(0, t - 1.8), (w - 0.6, t - 0.8), (w, t + 1), (0, t + 2)])
    parts = [
        Part([back], "plain", tone=0.58, depth=0.2),
        Part([outline]),
        Part([band], "plain" if g.sporty else "cloth", tone=0.94, depth=0.5),
    ]
    pocket = (
        [(w * 0.5, t + 5), (w * 0.62, t + 11, 1), (hip * 0.97, t + 13)]
        if jeans
        else [(w * 0.66, t + 5), (hip * 0.93, t + 16)]
    )
    seam = THREAD if jeans else DARK
    parts.append(Part(strokes=[(one, 0.5) for one in both(pocket)], paint=seam, depth=0, alpha=0.75 if jeans else 0.5))
    if g.sporty:
        side = [
            (w + 0.2, t + 5),
            (hip * 0.96, t + 12, 1),
            (hip - 1.0, t + 24),
            ((hip + foot + m["ankle"]) / 2 - 1.2, (t + 24 + end) / 2),
            (foot + m["ankle"] - 1.1, end - 1),
        ]
        cord = [(1, t + 3), (2.2, t + 8, 1), (1.6, t + 13)]
        parts += [
            Part(strokes=[(one, 1.6) for one in both(side)], paint="accent", depth=0.2),
            Part(strokes=[(one, 0.7) for one in both(cord)], paint="accent", depth=0.2),
        ]
        if not short:
            parts.append(
                Part(
                    both(box(foot - m["ankle"] - 0.2, end - 3, foot + m["ankle"] + 0.2, end + 1.4, 0.8)),
                    "plain",
                    tone=0.85,
                    depth=0.5,
                )
            )
    else:
        loops = [box(x - 0.5, t - 0.6, x + 0.5, t + 5.4) for x in (-w * 0.62, w * 0.62)]
        parts += [
            Part(loops, tone=0.9, depth=0.3),
            _fly(m, seam),
            Part([ellipse(0.2, t + 2.7, 0.9, 0.9)], METAL if jeans else DARK, depth=0.3),
        ]
        hems = [([(s * (foot - m["ankle"]), end - 2), (s * (foot + m["ankle"]), end - 2.3)], 0.4) for s in (-1, 1)]
        parts.append(Part(strokes=hems, paint=seam, depth=0, alpha=0.55))
    folds = []
    for s in (-1, 1):
        y = m["crotch"] - rng.uniform(0, 2)
        folds.append(([(s * 0.5, y), (s * 5, y + 1, 1), (s * (hip - 3), y - 4)], 0.7))
        folds.append(([(s * 1.5, y + 5), (s * 6, y + 5, 1), (s * (hip - 4), y + 2)], 0.6))
        if not short:
            knee = (m["crotch"] + end) / 2 + rng.uniform(-4, 4)
            folds.append(([(s * (foot - 4), knee), (s * foot, knee + 1.5, 1), (s * (foot + 5), knee - 1)], 0.6))
            if not jeans and not g.sporty:  # pressed crease
                folds.append(([(s * hip * 0.55, t + 12), (s * foot, end)], 0.6))
            else:
                folds.append(([(s * (foot - 3), end - 6), (s * foot, end - 4.5, 1), (s * (foot + 3), end - 7)], 0.6))
    return parts, folds


def _hanging(top: float, end: float, waist: float, hem: float, rng: np.random.Generator, count: int = 6) -> list:
    """Folds of a skirt: they spread from the waist to the hem."""
    lines = []
    for i in range(count):
        at = (i + 0.5 + rng.uniform(-0.3, 0.3)) / count * 2 - 1
        start = top + (end - top) * rng.uniform(0.0, 0.3)
        lines.append(
            (
                [(at * waist * 0.95, start), (at * waist * 1.05, (start + end) / 2, 1), (at * hem * 0.95, end)],
                rng.uniform(0.8, 1.5),
            )
        )
    return lines


def skirt(g: Garment, rng: np.random.Generator) -> tuple[list[Part], list]:
    """Flared skirt, or a straight one where `fit` is fitted."""
    top = 26.0 if g.length == "short" else 16.0
    end = top + {"short": 40.0, "regular": 56.0, "long": 74.0}[g.length] + rng.uniform(-2, 2)
    w = 10.5 * rng.uniform(0.95, 1.08)
    flare = rng.uniform(13.5, 15.0) if g.fit == "fitted" else rng.uniform(21, 28)
    hip = 14.5 if g.fit == "fitted" else 14.0
    half = [
        (0, top + 0.8),
        (w, top),
        (hip, top + 10, 1),
        (flare * 0.8 + 2, (top + end) / 2, 1),
        (flare, end - 2),
        (flare * 0.5, end + 2.5, 1),
        (0, end + 2.5),
    ]
    back = mirror([(0, top - 1.8), (w - 0.6, top - 0.8), (w, top + 1), (0, top + 2)])
    band = mirror([(0, top + 0.6), (w + 0.2, top - 0.4), (w + 0.9, top + 4.2), (0, top + 5)])
    hem = [(-flare + 0.6, end - 4.2), (0, end + 2.8, 1), (flare - 0.6, end - 4.2)]
    parts = [Part([back], "plain", tone=0.58, depth=0.2), Part([mirror(half)], depth=1.1),
        Part([band], "plain", tone=0.9, depth=0.5),
             Part(strokes=[(hem, 0.4)], paint="plain", tone=0.7, depth=0, alpha=0.6)]  # fmt: skip
    if g.fit == "fitted":
        parts.append(Part([box(3.2, top + 0.6, 4.4, top + 4, 0.4)], METAL, depth=0.3))
        return parts, _hanging(top + 6, end, w, flare, rng, 3)
    return parts, _hanging(top + 4, end, w, flare, rng, 7)


def dress(g: Garment, rng: np.random.Generator) -> tuple[list[Part], list]:
    """Bodice and skirt in one, with a seam or a sash at the waist."""
    m = frame(g, rng)
    m["top"] = t = 9.0
    m["armpit"], m["chest"] = t + 18, m["chest"] * 0.84
    m["shoulder"] *= 0.84
    waist, w = t + 33.0, 9.6 * (1.12 if g.fit == "small" else 1.0)
    end = waist + {"short": 32.0, "regular": 41.0, "long": 51.0}[g.length] + rng.uniform(-2, 1)
    m["hip"], m["hem"] = w, waist
    flare = rng.uniform(12.5, 14.5) if g.fit == "fitted" else rng.uniform(19, 26)
    s, c = m["shoulder"], m["chest"]
    half = [*neckline(g, m), (s, t + 3.6), (s - 2, t + 11, 1), (c, m["armpit"]), (w, waist - 8, 1), (w, waist),
        (13.5, waist + 12, 1),
            (flare * 0.8 + 2, (waist + end) / 2, 1), (flare, end - 2), (flare * 0.5, end + 2.2, 1),
            (0, end + 2.2)]  # fmt: skip
    arms, folds = sleeves(g, m, 0.85)
    sash = mirror([(0, waist - 1.6), (w + 0.3, waist - 2), (w + 0.4, waist + 2), (0, waist + 2.2)])
    deep = {"v": 15.0, "scoop": 10.0}.get(g.neckline, 5.0)
    parts = [*inside(m, deep), *arms, Part([mirror(half)], depth=1.1), band(g, m),
             Part([sash], "accent" if rng.random() < 0.4 else "plain", tone=0.9, depth=0.6)]  # fmt: skip
    gather = [([(x, waist - 1), (x * 0.9, waist - 10)], 0.6) for x in rng.uniform(-7, 7, 3)]
    return parts, folds + gather + _hanging(waist + 2, end, w, flare, rng, 3 if g.fit == "fitted" else 7)


SILHOUETTES = {"trousers": trousers, "skirt": skirt, "dress": dress}

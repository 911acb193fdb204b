"""Named colours and woven or printed patterns, computed per pixel in garment coordinates."""

from __future__ import annotations

import colorsys

import numpy as np

from .shapes import Garment

COLOURS: dict[str, tuple[float, float, float]] = {
    "Black": (0.115, 0.115, 0.125),
    "White": (0.955, 0.955, 0.945),
    "Blue": (0.21, 0.43, 0.74),
    "Navy Blue": (0.11, 0.16, 0.33),
    "Grey": (0.55, 0.56, 0.57),
    "Red": (0.77, 0.13, 0.16),
    "Green": (0.24, 0.50, 0.30),
    "Brown": (0.42, 0.27, 0.17),
    "Pink": (0.93, 0.56, 0.67),
    "Purple": (0.45, 0.26, 0.56),
    "Yellow": (0.95, 0.78, 0.24),
    "Beige": (0.84, 0.76, 0.63),
    "Orange": (0.92, 0.49, 0.17),
}
PATTERNS = ("solid", "striped", "checked", "dotted", "floral", "graphic", "denim")


def shade(name: str, rng: np.random.Generator, tint: float = 0.0) -> np.ndarray:
    """A named colour as one dyer mixed it: (3, 1, 1), hue within 2%, value within 7%; `tint` as in `Garment`."""
    hue, saturation, value = colorsys.rgb_to_hsv(*COLOURS[name])
    dh, dv = rng.uniform(-1, 1, 2)
    value, saturation = value * (1 + 0.07 * dv + 0.1 * tint), saturation * (1 + 0.15 * tint)
    mixed = colorsys.hsv_to_rgb((hue + 0.018 * dh) % 1, min(saturation, 1), min(value, 1))
    return np.array(mixed, np.float32)[:, None, None]


def _wave(x: np.ndarray, period: float, share: float, pixel: float) -> np.ndarray:
    """Bands of width share * period, edges as soft as one pixel is wide (all in garment units)."""
    distance = np.abs(x / period - np.rint(x / period)) * period  # to the middle of the nearest band
    return np.clip((share * period / 2 - distance) / pixel + 0.5, 0, 1)


def _spots(u: np.ndarray, v: np.ndarray, period: float, pixel: float) -> np.ndarray:
    row = np.rint(v / period)
    x = u / period + 0.5 * (row % 2)
    distance = np.hypot(x - np.rint(x), v / period - row) * period
    return np.clip((0.27 * period - distance) / pixel + 0.5, 0, 1)


def _blossoms(u: np.ndarray, v: np.ndarray, period: float, pixel: float, rng: np.random.Generator):
    """Five-petal flowers in jittered cells: coverage of the petals, coverage of their hearts."""
    table = rng.random((3, 61), dtype=np.float32)
    column, row = np.floor(u / period), np.floor(v / period)
    cell = (column * 7 + row * 13).astype(np.int64) % 61
    x = u / period - column - 0.42 - 0.16 * table[0][cell]
    y = v / period - row - 0.42 - 0.16 * table[1][cell]
    distance = np.hypot(x, y)
    reach = (0.25 + 0.1 * table[2][cell]) * (0.78 + 0.22 * np.cos(5 * np.arctan2(y, x) + 6 * table[2][cell]))
    soft = period / pixel
    return np.clip((reach - distance) * soft + 0.5, 0, 1), np.clip((0.09 - distance) * soft + 0.5, 0, 1)


def cloth(
    garment: Garment,
    base: np.ndarray,
    accent: np.ndarray,
    u: np.ndarray,
    v: np.ndarray,
    pixel: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """The garment's fabric before light falls on it.

    base, accent: its colours (3, 1, 1). u, v: (H, W) garment coordinates of each pixel; pixel: a pixel's width in the
    same units. Returns float32 (3, H, W) in 0..1, or (3, 1, 1) for a plain fabric.
    """
    size, turn = rng.uniform(0.85, 1.2), rng.random()
    u, v = u + 40, v + 10 * turn
    if garment.pattern == "striped":
        if garment.kind in ("tshirt", "sweatshirt") or (turn < 0.6 and garment.kind != "trousers"):
            amount = _wave(v, 8.0 * size, 0.42 + 0.2 * (turn - 0.5), pixel)
        else:
            amount = _wave(u, 5.4 * size, 0.3, pixel)
    elif garment.pattern == "checked":
        across, down = _wave(u, 8.4 * size, 0.45, pixel), _wave(v, 8.4 * size, 0.45, pixel)
        lines = np.maximum(_wave(u + 4.2 * size, 8.4 * size, 0.1, pixel), _wave(v + 4.2 * size, 8.4 * size, 0.1, pixel))
        amount = np.maximum(0.44 * across + 0.44 * down, 0.7 * lines)
    elif garment.pattern == "dotted":
        amount = _spots(u, v, 6.2 * size, pixel)
    elif garment.pattern == "floral":
        petals, hearts = _blossoms(u, v, 9.5 * size, pixel, rng)
        colour = base + (accent - base) * petals
        return colour + (np.float32([0.95, 0.8, 0.35])[:, None, None] - colour) * hearts
    elif garment.pattern == "denim":
        weave = 0.5 + 0.5 * np.cos(2.6 * (u + v))  # twill runs diagonally
        worn = np.exp(-(((np.abs(u - 40) - 8) / 4.5) ** 2) - ((v - 10 * turn - 42) / 20) ** 2)
        amount = 0.05 * weave + (0.12 + 0.3 * turn) * worn
        accent = np.float32([0.86, 0.9, 0.95])[:, None, None]
    else:
        return base
    return base + (accent - base) * amount.astype(np.float32)

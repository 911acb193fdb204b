"""How the camera sees a garment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class View:
    """How the camera sees the garment. The default is the plain front view."""

    rotation: float = 0.0  # degrees, clockwise
    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)  # percent of the picture's height
    squeeze: float = 1.0  # narrower than seen from the front: a turned mannequin
    flip: bool = False
    crop: float = 1.0  # above 1: a close-up around `focus`
    focus: tuple[float, float] = (0.0, 45.0)
    brightness: float = 1.0
    warmth: float = 0.0  # -1 bluish to 1 yellowish light
    light: float = -35.0  # degrees from straight above, negative from the left
    seed: int = 0  # grain


def random_view(rng: np.random.Generator, number: int = 0) -> View:
    """A view of an item: number 0 is the near-frontal catalogue photo, later ones stray further."""
    far = min(number, 1)
    rotation, dx, dy, warmth = rng.normal(0, 1, 4)
    scale, squeeze, bright, light, zoom, fx, fy = rng.random(7)
    return View(
        rotation=float(rotation * (1.5 + 4.5 * far)),
        scale=float(0.93 + 0.1 * scale - 0.08 * far * squeeze),
        shift=(float(dx * (0.6 + 1.2 * far)), float(dy * (0.6 + 1.2 * far))),
        squeeze=float(1 - 0.16 * far * squeeze),
        flip=bool(far and rng.random() < 0.5),
        crop=float(1.25 + 0.5 * zoom) if number > 1 and rng.random() < 0.4 else 1.0,
        focus=(float(12 * fx - 6), float(32 + 26 * fy)),
        brightness=float(0.93 + 0.11 * bright),
        warmth=float(np.clip(warmth / 2, -1, 1)),
        light=float(-70 + 140 * light),
        seed=int(rng.integers(2**31)),
    )

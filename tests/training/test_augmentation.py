"""Augmentation against a plain loop over pixels."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import binom

from fashionlib.training.augmentation import ShiftFlipErase

SHIFT, FLIP, ERASE = 3, 0.5, 0.6


def pictures(n=12, height=20, width=15):
    return np.random.default_rng(0).integers(0, 250, (n, height, width, 3)).astype(np.uint8)


def draws(n):
    return np.random.default_rng(3).random((n, 7), np.float32)


def plain(image, u):
    """What ShiftFlipErase does to one image, pixel by pixel."""
    height, width, _ = image.shape
    dy, dx = math.floor(u[0] * (2 * SHIFT + 1)) - SHIFT, math.floor(u[1] * (2 * SHIFT + 1)) - SHIFT
    area, aspect = (0.02 + 0.18 * u[4]) * height * width, 2 ** (2 * u[5] - 1)
    h, w = min(math.sqrt(area * aspect), height), min(math.sqrt(area / aspect), width)
    top, left = u[6] * (height - h), (u[6] * 4096) % 1 * (width - w)
    result = np.empty_like(image)
    for y in range(height):
        for x in range(width):
            from_y, from_x = y + dy, x + dx
            if u[2] < FLIP:
                from_x = width - 1 - from_x
            inside = 0 <= from_y < height and 0 <= from_x < width
            result[y, x] = image[from_y, from_x] if inside else 255
            if u[3] < ERASE and top < y + 0.5 < top + h and left < x + 0.5 < left + w:
                result[y, x] = 127
    return result


def test_shift_flip_and_erase_equal_a_loop_over_pixels():
    images, uniform = pictures(), draws(12)
    augmented = ShiftFlipErase(SHIFT, FLIP, ERASE)(torch.from_numpy(images), torch.from_numpy(uniform))
    expected = np.stack([plain(image, u.astype(float)) for image, u in zip(images, uniform, strict=True)])
    assert augmented.dtype == torch.uint8
    np.testing.assert_array_equal(augmented.numpy(), expected)


def test_switched_off_it_changes_nothing():
    images = torch.from_numpy(pictures())
    uniform = torch.from_numpy(draws(12))
    assert torch.equal(ShiftFlipErase(0, 0.0, 0.0)(images, uniform), images)


def test_erased_area_and_probabilities():
    n, height, width = 2000, 64, 48
    images = torch.zeros(n, height, width, 3, dtype=torch.uint8)
    images[:, :, : width // 2] = 1  # the left half is brighter: a mirrored image shows it on the right
    uniform = torch.from_numpy(draws(n))
    augmented = ShiftFlipErase(0, 0.5, 0.25)(images, uniform).numpy()[..., 0]
    share = (augmented == 127).mean((1, 2))
    erased = share > 0
    edge = 2 * (height + width) / (height * width) / 4  # a side is off by half a pixel at most
    assert share[erased].min() >= 0.02 - edge and share[erased].max() <= 0.2 + edge
    assert share[erased].mean() == pytest.approx(0.11, abs=0.01)  # uniform between 2 and 20%
    low, high = binom.interval(0.9999, n, 0.25)
    assert low <= erased.sum() <= high
    flipped = (augmented[:, :, -1] == 1).any(1)
    low, high = binom.interval(0.9999, n, 0.5)
    assert low <= flipped.sum() <= high


def test_erased_rectangles_reach_every_place():
    uniform = torch.from_numpy(draws(500))
    black = torch.zeros(500, 40, 30, 3, dtype=torch.uint8)
    erased = ShiftFlipErase(0, 0.0, 1.0)(black, uniform).numpy()[..., 0].astype(bool)
    assert erased.any(0).mean() > 0.97  # but for a few pixels in the corners
    assert erased[:, 5:-5, 5:-5].any(0).all()
    y, x = np.array([np.argwhere(mask).mean(0) for mask in erased]).T
    assert abs(np.corrcoef(x, y)[0, 1]) < 0.15  # one number places both axes; they must not go together

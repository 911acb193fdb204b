"""Augmentation against a plain loop over pixels."""

import math

import numpy as np
import torch

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

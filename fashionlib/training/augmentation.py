"""Augmentation: a few whole-batch operations on uint8 tensors, on the device, without any Python per image, so that it
costs about a hundredth of a training step."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

WHITE = 255


@dataclass(frozen=True)
class ShiftFlipErase:
    """White-padded shift, horizontal flip, random erasing (Zhong et al., 2020).

    Parameters
    ----------
    shift: at most that many pixels in each direction.
    flip: probability of a mirror image.
    erase: probability that a rectangle of 2-20% of the area, of aspect 1:2 to 2:1, is replaced by grey."""

    shift: int = 4
    flip: float = 0.5
    erase: float = 0.25
    draws = 7  # random numbers that an image takes

    def __call__(self, images: Tensor, uniform: Tensor) -> Tensor:
        """images (B, H, W, 3) uint8, uniform (B, 7) in [0, 1): augmented images of the same shape."""
        batch, height, width, _ = images.shape
        uniform = uniform.to(images.device)
        dy, dx = ((uniform[:, k] * (2 * self.shift + 1)).long() - self.shift for k in (0, 1))
        y = torch.arange(height, device=images.device)[None] + dy[:, None]  # (B, H)
        x = torch.arange(width, device=images.device)[None] + dx[:, None]
        x = torch.where((uniform[:, 2] < self.flip)[:, None], width - 1 - x, x)
        rows = torch.arange(batch, device=images.device)[:, None, None]
        result = images[rows, y.clamp(0, height - 1)[:, :, None], x.clamp(0, width - 1)[:, None, :]]
        result[((y < 0) | (y >= height))[:, :, None] | ((x < 0) | (x >= width))[:, None, :]] = WHITE
        result[self._rectangles(uniform[:, 3:7], height, width)] = WHITE // 2
        return result

    def _rectangles(self, uniform: Tensor, height: int, width: int) -> Tensor:
        area = (0.02 + 0.18 * uniform[:, 1]) * height * width
        aspect = torch.exp((uniform[:, 2] * 2 - 1) * np.log(2.0))
        h = (area * aspect).sqrt().clamp(max=height)
        w = (area / aspect).sqrt().clamp(max=width)
        # one number places the rectangle on both axes: its leading and its trailing digits
        top, left = uniform[:, 3] * (height - h), torch.frac(uniform[:, 3] * 4096) * (width - w)
        y = torch.arange(height, device=uniform.device)[None] + 0.5
        x = torch.arange(width, device=uniform.device)[None] + 0.5
        inside_y = (y > top[:, None]) & (y < (top + h)[:, None])
        inside_x = (x > left[:, None]) & (x < (left + w)[:, None])
        return (uniform[:, 0] < self.erase)[:, None, None] & inside_y[:, :, None] & inside_x[:, None, :]

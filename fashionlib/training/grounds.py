"""Other backgrounds than white: what a network must have seen before it reads photos that people take of clothes."""

import math
from io import BytesIO

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from scipy import ndimage
from torch import Tensor

WHITE = 240  # of a background, at least, in each channel
CROSS = np.pad(ndimage.generate_binary_structure(2, 1)[None], ((1, 1), (0, 0), (0, 0)))  # neighbours in one image
CB, CR = (77, 127), (133, 173)  # chroma of skin (Chai and Ngan, 1999)


def cut_out(images: np.ndarray) -> np.ndarray:
    """bool (B, H, W): what is not the background of uint8 (B, H, W, 3), that is, not white and joined to the border."""
    white = (images >= WHITE).all(-1)
    parts, n = ndimage.label(white, CROSS)
    ground = np.zeros(n + 1, bool)
    ground[parts[:, [0, -1]]] = ground[parts[:, :, [0, -1]]] = True
    return ~(white & ground[parts])


def on_grounds(images: Tensor, share: float) -> Tensor:
    """uint8 (B, H, W, 3), each with the probability ``share`` cut out and laid on a synthetic background, elsewhere, in
    another size and light, and less sharp. Six of ten garments that are worn leave the skin of the model behind; what
    has no background, or covers next to nothing of it, stays as it is."""
    mask = torch.from_numpy(cut_out(images.cpu().numpy()))
    area = mask.float().mean((1, 2))
    chosen = ((torch.rand(len(images)) < share) & (area > 0.03) & (area < 0.95)).to(images.device)
    if not chosen.any():
        return images
    pixels = images[chosen].permute(0, 3, 1, 2)
    with images.device:
        laid = _lay(pixels / 255, without_skin(pixels, mask.to(images.device)[chosen]))
    laid = laid.permute(0, 2, 3, 1).cpu().numpy()
    for k, (draw, quality) in enumerate(torch.rand(len(laid), 2).tolist()):
        if draw < 0.5:
            Image.fromarray(laid[k]).save(file := BytesIO(), "JPEG", quality=int(40 + 55 * quality))
            laid[k] = np.asarray(Image.open(file))
    images = images.clone()
    images[chosen] = torch.from_numpy(laid).to(images.device)
    return images


def without_skin(pixels: Tensor, mask: Tensor) -> Tensor:
    """Masks bool (n, H, W) of garments (n, 3, H, W) uint8, in six of ten without what has the colour of skin. Where
    that is more than half, it is the garment's own, and stays."""
    r, g, b = pixels.float().unbind(1)
    cb, cr = 128 - 0.1687 * r - 0.3313 * g + 0.5 * b, 128 + 0.5 * r - 0.4187 * g - 0.0813 * b
    skin = mask & (cb >= CB[0]) & (cb <= CB[1]) & (cr >= CR[0]) & (cr <= CR[1])
    worn = (2 * skin.sum((1, 2)) < mask.sum((1, 2))) & (torch.rand(len(mask)) < 0.6)
    return mask & ~(skin & worn[:, None, None])


def _lay(pixels: Tensor, mask: Tensor) -> Tensor:
    """Garments (n, 3, H, W) from 0 to 1 and their masks (n, H, W): uint8 (n, 3, H, W)."""
    n, _, height, width = pixels.shape
    across, down = torch.linspace(-1, 1, width), torch.linspace(-1, 1, height)[:, None]
    shown = torch.where(_uniform(n, 0, 1) < 0.2, _uniform(n, 0.5, 1), 1.0)  # less: a photo of another shape, padded

    sides = (mask.any(1), across), (mask.any(2), down[:, 0])
    left, top = (torch.where(there, at, 2.0).amin(1) for there, at in sides)
    right, bottom = (torch.where(there, at, -2.0).amax(1) for there, at in sides)
    extent = torch.maximum(right - left, bottom - top).view(n, 1, 1, 1) / 2 / shown / _uniform(n, 0.7, 1.4)
    centre = torch.stack([left + right, top + bottom], 1) / 2 + 0.25 * extent.view(n, 1) * (2 * torch.rand(n, 2) - 1)
    turn = torch.where(_uniform(n, 0, 1) < 0.85, 0.2 * _normal(n), _uniform(n, -math.pi, math.pi))
    alpha = (2 * F.avg_pool2d(mask[:, None].float(), 3, 1, 1) - 1).clamp(0)  # without the pale edge of the cut
    garment, alpha = _look(torch.cat([pixels, alpha], 1), centre, extent, turn, (height, width)).split([3, 1], 1)
    garment = (garment + 1e-4) ** torch.exp(0.3 * _normal(n)) * torch.exp(0.2 * _normal(n) + 0.05 * _normal(n, 3))

    field = _uniform(n, 0, 0.25) * _normal(n, 1, 9, 9) + _uniform(n, 0, 0.06) * _normal(n, 3, 9, 9)
    field = field + _uniform(n, 0.05, 0.95) + _uniform(n, 0, 0.14) * _normal(n, 3)
    view = 0.6 * torch.rand(n, 2) - 0.3, torch.exp(_uniform(n, -2, 1)), _uniform(n, -math.pi, math.pi), (height, width)
    soft, hard = (_look(field, *view, mode=mode, padding_mode="reflection") for mode in ("bicubic", "nearest"))
    ground = torch.where(_uniform(n, 0, 1) < 0.6, soft, hard) + _uniform(n, 0, 0.06) * _normal(n, 1, height, width)
    shadow = _uniform(n, 0, 0.6) * F.avg_pool2d(alpha.roll((2, 1), (2, 3)), 7, 1, 3)

    light = 1 + _uniform(n, -0.3, 0.3) * down + _uniform(n, -0.3, 0.3) * across
    laid = torch.lerp(ground.clamp(0, 1) * (1 - shadow), garment, alpha) * light
    laid = torch.lerp(laid, F.avg_pool2d(laid, 3, 1, 1, count_include_pad=False), _uniform(n, -1, 1).clamp(0))
    laid = laid + _uniform(n, 0, 0.03) * _normal(n, 3, height, width)
    return (255 * laid.masked_fill(down.abs() > shown, 1).clamp(0, 1)).to(torch.uint8)


def _look(images: Tensor, centre: Tensor, extent: Tensor, turn: Tensor, size: tuple[int, int], **how) -> Tensor:
    """What a frame of ``size`` (height, width) shows that is centred, as large and turned as said, all in units of half
    of the images (n, C, h, w): where they are not square, what is turned is sheared, too."""
    cos, sin = turn.flatten().cos(), turn.flatten().sin()
    turned = torch.stack([cos, -sin, sin, cos], 1).view(-1, 2, 2) * extent.view(-1, 1, 1)
    grid = F.affine_grid(torch.cat([turned, centre[:, :, None]], 2), [*images.shape[:2], *size], align_corners=False)
    return F.grid_sample(images, grid, align_corners=False, **how)


def _uniform(n: int, low: float, high: float) -> Tensor:
    return torch.empty(n, 1, 1, 1).uniform_(low, high)


def _normal(n: int, channels: int = 1, height: int = 1, width: int = 1) -> Tensor:
    return torch.randn(n, channels, height, width)

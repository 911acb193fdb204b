"""Garments on drawn grounds: the mask against a search by hand, what is left as it is, and colours by PIL."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from fashionlib.training.fit import fit
from fashionlib.training.grounds import cut_out, on_grounds, without_skin
from tiny import SETTINGS, SIZE, tiny_data, tiny_model

GREEN = (20, 120, 60)


def reached(image):
    """White pixels that a walk from the border reaches, pixel by pixel."""
    height, width = image.shape[:2]
    white = (image >= 240).all(-1)
    waiting = [(y, x) for y in range(height) for x in range(width) if y in (0, height - 1) or x in (0, width - 1)]
    found = np.zeros((height, width), bool)
    while waiting:
        y, x = waiting.pop()
        if 0 <= y < height and 0 <= x < width and white[y, x] and not found[y, x]:
            found[y, x] = True
            waiting += [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
    return found


def test_the_mask_is_what_a_walk_over_the_white_from_the_border_does_not_reach():
    random = np.random.default_rng(0)
    images = np.where(random.random((6, 13, 11, 1)) < 0.6, 255, random.integers(0, 256, (6, 13, 11, 3)))
    images = images.astype(np.uint8)
    for image, mask in zip(images, cut_out(images), strict=True):
        np.testing.assert_array_equal(mask, ~reached(image))


def garment(n=8):
    """A green square with a white print on white."""
    images = torch.full((n, 40, 30, 3), 255, dtype=torch.uint8)
    images[:, 8:32, 6:24] = torch.tensor(GREEN, dtype=torch.uint8)
    images[:, 18:22, 12:18] = 255
    return images


def test_a_garment_keeps_its_colour_and_its_print_and_loses_its_white_ground():
    torch.manual_seed(0)
    laid = on_grounds(garment(64), 1.0).numpy()
    assert laid.shape == (64, 40, 30, 3) and laid.dtype == np.uint8
    hue = np.stack([np.asarray(Image.fromarray(image).convert("HSV"))[..., 0] for image in laid]).astype(int)
    near = np.abs(hue - np.asarray(Image.new("RGB", (1, 1), GREEN).convert("HSV"))[0, 0, 0]) < 25
    assert near.mean() > 0.2  # the square is 36% of the image, nearer or further away now
    white = (laid >= 240).all(-1).mean((1, 2))
    assert np.median(white) < 0.05 < 0.6 < (garment(1).numpy() >= 240).all(-1).mean()


def test_so_many_are_laid_and_the_others_stay_as_they_are():
    torch.manual_seed(1)
    images = garment(400)
    changed = (on_grounds(images, 0.25) != images).flatten(1).any(1)
    assert 0.15 < changed.float().mean() < 0.35
    assert images.equal(garment(400))  # what came in is left alone


@pytest.mark.parametrize("fill", [255, 90], ids=["nothing on white", "no white ground"])
def test_what_cannot_be_cut_out_stays(fill):
    images = torch.full((4, 20, 16, 3), fill, dtype=torch.uint8)
    assert on_grounds(images, 1.0).equal(images)


def test_skin_leaves_six_of_ten_worn_garments_and_none_that_has_its_colour_itself():
    pixels = torch.tensor(GREEN, dtype=torch.uint8).view(1, 3, 1, 1).repeat(500, 1, 10, 10)
    pixels[:, :, :2] = torch.tensor((224, 172, 140), dtype=torch.uint8).view(3, 1, 1)
    pixels[250:, :, :8] = torch.tensor((224, 172, 140), dtype=torch.uint8).view(3, 1, 1)
    torch.manual_seed(0)
    left = without_skin(pixels, torch.ones(500, 10, 10, dtype=torch.bool))
    assert left[:, 8:].all() and left[250:].all()
    gone = ~left[:250, :2]
    assert gone.all((1, 2)).equal(gone.any(2).any(1)) and 0.5 < gone.all((1, 2)).float().mean() < 0.7


def test_training_with_grounds_is_the_same_twice_and_another_than_without(tmp_path):
    data = tiny_data()
    data.pixels[:] = np.asarray(Image.fromarray(garment(1)[0].numpy()).resize(SIZE))

    def history(name, grounds):
        return fit(tiny_model(data), data, replace(SETTINGS, epochs=1, grounds=grounds), tmp_path / name).history

    first, second, without = history("a", 0.7), history("b", 0.7), history("c", 0.0)
    losses = [column for column in first if column.startswith("loss/")]
    assert first[losses].equals(second[losses]) and not first[losses].equals(without[losses])

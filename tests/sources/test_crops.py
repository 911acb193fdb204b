"""Images cut to a box."""

import numpy as np
import pytest
from PIL import Image

from fashionlib.data.decoding import BadImage
from fashionlib.data.images import cache_images
from fashionlib.sources.crops import CroppedImages
from releases import picture


def test_a_box_is_clipped_to_the_picture_and_an_empty_one_is_named(photo_folder, encode, tmp_path):
    boxes = {"a.png": (-5, 10, 99, 99), "b.png": (20, 5, 20, 9), "c.png": (9, 5, 3, 9), "d.png": (30, 5, 40, 9),
             "e.png": (0, 0, 24, 40)}  # fmt: skip
    content = {name: encode(picture(1), "PNG") for name in boxes} | {"e.png": b"cut off"}
    catalogue = photo_folder(content)
    images = CroppedImages(catalogue.images, list(boxes), np.array(list(boxes.values())))
    assert np.array_equal(images.read("a.png"), picture(1)[10:40, 0:24])
    for name in ("b.png", "c.png", "d.png"):
        box = ", ".join(map(str, boxes[name]))
        with pytest.raises(BadImage, match=rf"{name}: the box \({box}\) is empty in a picture of 24 x 40"):
            images.read(name)
    with pytest.raises(BadImage, match="e.png: not a JPEG"):
        images.read("e.png")
    catalogue.images = images
    data = cache_images(catalogue, (24, 32), tmp_path / "cache")
    assert data.catalogue.rejected["image"].tolist() == ["b.png", "c.png", "d.png", "e.png"]


def test_a_rotated_photograph_is_turned_before_it_is_cut(photo_folder, encode):
    turned = Image.Exif()
    turned[0x0112] = 6  # the camera lay on its side
    catalogue = photo_folder({"a.png": encode(np.rot90(picture(1)), "PNG", exif=turned)})
    images = CroppedImages(catalogue.images, ["a.png"], np.array([[3, 5, 20, 30]]))
    assert np.array_equal(images.read("a.png"), picture(1)[5:30, 3:20])

"""Where DeepFashion's images are looked for, and those that are not there."""

import numpy as np
import pandas as pd
import pytest

from fashionlib.data.catalogue import CatalogueError
from fashionlib.data.decoding import BadImage
from fashionlib.sources import open_catalogue
from fashionlib.sources.deepfashion_attributes import open_attributes
from releases import COARSE, IMAGES, changed, picture


@pytest.mark.parametrize(
    ("at", "images"),
    [("", IMAGES), ("Img/", IMAGES), ("IMG/", IMAGES), ("", [image.replace("img/", "Img/", 1) for image in IMAGES])],
)
def test_images_lie_in_img_or_a_folder_around_it_or_were_unpacked_into_img_itself(tree, at, images):
    catalogue = open_attributes(tree(COARSE, images, at), crop=False)
    assert len(catalogue) == 6 and catalogue.read(5).startswith(b"\x89PNG")


def test_without_the_release_or_a_part_of_it_the_error_says_what_is_missing(tree, tmp_path):
    for name, file in (
        ("deepfashion-attributes", "Anno_coarse/list_category_img.txt"),
        ("deepfashion-inshop", "Eval/list_eval_partition.txt"),
    ):
        with pytest.raises(CatalogueError, match=rf"{name}: no {file}.*{tmp_path / name}.*authors on request.*mmlab"):
            open_catalogue(name, tmp_path)
    root = tree(COARSE)
    (root / "Anno_coarse" / "list_bbox.txt").unlink()
    assert len(open_attributes(root, crop=False)) == 6
    with pytest.raises(CatalogueError, match="there is no list_bbox.txt; unpack"):
        open_attributes(root)


def test_rows_without_an_image_are_listed_with_their_line(tree):
    catalogue = open_attributes(tree(COARSE, [IMAGES[k] for k in (0, 1, 3)]))
    assert catalogue.table["image"].tolist() == [IMAGES[0], IMAGES[1], IMAGES[3]]
    assert catalogue.rejected["image"].tolist() == [IMAGES[2], IMAGES[4], IMAGES[5]]
    assert catalogue.rejected["row"].tolist() == [5, 7, 8]
    assert catalogue.rejected["source"].str.endswith("Eval/list_eval_partition.txt").all()
    assert catalogue.rejected["reason"].str.startswith("no such file in").all()
    assert np.array_equal(catalogue.read(2), picture(2)[2:33, 3:20])  # the third row kept its own box


def test_without_any_image_the_error_says_where_they_belong(tree):
    root = tree(COARSE, [])
    places = f"{root / 'img'} or {root / 'Img' / 'img'}"
    message = f"none of the 6 images that .*partition.txt lists.*{places}.*on request"
    for others in ([], ["img/Other/1.jpg"]):
        tree({}, others)
        with pytest.raises(CatalogueError, match=message):
            open_attributes(root)


@pytest.mark.parametrize(
    "near",
    ["img/sheer_Blouse/img_00000001.jpg", "img/Sheer_Blouse/img_00000001.JPG", "img/Sheer_blouse/IMG_00000001.jpg"],
)
def test_a_path_in_other_letter_case_is_told_with_the_nearest_one(tree, near):
    message = f"txt line 3: {IMAGES[0]} is not in .*; the nearest path is {near}, which differs in letter case"
    with pytest.raises(CatalogueError, match=message):
        open_attributes(tree(COARSE, [near, *IMAGES[1:]]))


def test_a_path_that_leaves_the_folder_is_not_read(tree, encode):
    outside = "img/../../secret.png"
    root = tree({name: text.replace(IMAGES[5], outside) for name, text in COARSE.items()})
    (root / "secret.png").write_bytes(encode(picture(0), "PNG"))
    catalogue = open_attributes(root, crop=False)
    assert catalogue.rejected["image"].tolist() == [outside]
    with pytest.raises(BadImage, match="leaves the data folder"):
        catalogue.images.read(outside)


def test_the_fingerprint_covers_images_and_boxes_and_not_the_cache_of_the_annotation(tree):
    root = tree(COARSE, at="")
    before, whole = open_attributes(root), open_attributes(root, crop=False).images.fingerprint
    assert (root / "Anno_coarse" / ".fashionlib").is_dir()
    after = open_attributes(root)
    assert after.image_fingerprint == before.image_fingerprint
    pd.testing.assert_frame_equal(after.table, before.table)
    prints = {whole, before.images.fingerprint}
    tree(changed(COARSE, "Anno_coarse/list_bbox.txt", "003 002", "004 002"), [])
    prints.add(open_attributes(root).images.fingerprint)
    tree({}, ["img/new.png"], "")
    prints.add(open_attributes(root).images.fingerprint)
    assert len(prints) == 4

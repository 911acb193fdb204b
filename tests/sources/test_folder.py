"""A folder of the user's own photos: what is read, what is rejected, and what the errors say."""

import os
import sys

import pytest

from fashionlib.data.catalogue import CatalogueError
from fashionlib.data.images import cache_images
from fashionlib.sources import open_catalogue


def folder(root, encode, files):
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(encode([[[len(file)] * 3] * 24] * 32))
    return root


def test_a_folder_of_classes(tmp_path, encode):
    photos = [f"{kind}/{i}.jpg" for kind in ("dress", "shirt") for i in range(20)]
    others = {"dress/notes.txt": "not .jpg", "loose.jpg": "no folder", "skirt/x.gif": "not .jpg"}
    root = folder(
        tmp_path / "pics", encode, [*photos, "dress/long/x.JPEG", *others, ".cache/a.jpg", "dress/.hidden.jpg"]
    )
    (root / "shirt" / "link.jpg").symlink_to(tmp_path / "elsewhere.jpg")
    catalogue = open_catalogue(root)
    assert sorted(catalogue.table["image"]) == sorted([*photos, "dress/long/x.JPEG"])
    assert (catalogue.table["category"] == catalogue.table["image"].str.split("/").str[0]).all()
    counts = catalogue.table.groupby("category")["split"].value_counts().unstack()
    assert counts[["test", "val"]].isin([3, 4]).all(axis=None) and catalogue.facts["split"] == "random"
    listed = dict(zip(catalogue.rejected["image"], catalogue.rejected["reason"], strict=True))
    assert set(listed) == {*others, "shirt/link.jpg"}
    assert (
        all(reason in listed[file] for file, reason in others.items())
        and "leaves the folder" in listed["shirt/link.jpg"]
    )
    assert len(cache_images(catalogue, (24, 32), tmp_path / "cache").catalogue) == 41
    assert len(open_catalogue("pics/", tmp_path)) == 41  # below the root


@pytest.mark.parametrize("train, val, test", [("train", "val", "test"), ("Training", "validation", "TESTING"),
    ("TRAIN", "Dev", "Test"), ("train", "valid", "testing")])  # fmt: skip
def test_a_folder_of_splits(tmp_path, encode, train, val, test):
    files = [f"{train}/dress/1.jpg", f"{train}/shirt/1.jpg", f"{val}/dress/2.jpg", f"{test}/shirt/3.jpg"]
    catalogue = open_catalogue(folder(tmp_path / "pics", encode, [*files, f"{test}/4.jpg"]))
    rows = catalogue.table[["image", "category", "split"]].values.tolist()
    splits = {train: "train", val: "val", test: "test"}
    expected = [[file, file.split("/")[1], splits[file.split("/")[0]]] for file in files]
    assert sorted(rows) == sorted(expected) and catalogue.facts == {"split": "given"}
    assert catalogue.rejected["image"].tolist() == [f"{test}/4.jpg"]


def test_a_class_may_be_called_training_among_others(tmp_path, encode):
    files = [f"{kind}/{i}.jpg" for kind in ("Training", "Running") for i in range(10)]
    catalogue = open_catalogue(folder(tmp_path / "shoes", encode, files))
    assert set(catalogue.table["category"]) == {"Training", "Running"} and catalogue.facts["split"] == "random"


@pytest.mark.parametrize("files, message", [
    (["train/dress/1.jpg", "dress/2.jpg"], "all folders at the top must be splits .*, or none; 'dress' is none"),
    (["Training/a/1.jpg", "validation/a/2.jpg", "rest/a/3.jpg"], "or none; 'rest' is none"),
    (["1.jpg", "2.jpg"], "no photo .*named for its class, as dress/1.jpg is; 2 like 1.jpg: lies in no folder"),
    (["dress/1.jpg", "dress/2.jpg"], "2 rows are too few .*sort them into train/, val/ and test/"),
])  # fmt: skip
def test_folders_that_do_not_fit(tmp_path, encode, files, message):
    with pytest.raises(CatalogueError, match=f"pics: .*{message}"):
        open_catalogue(folder(tmp_path / "pics", encode, files))


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_links_and_folders_that_cannot_be_searched_are_rejected(tmp_path, encode):
    root = folder(tmp_path / "pics", encode, [f"dress/{i}.jpg" for i in range(8)])
    other = folder(tmp_path / "other", encode, ["1.jpg"])
    (root / "shirt").symlink_to(other)
    (root / "dress" / "gone.jpg").symlink_to(root / "nothing.jpg")
    (root / "dress" / "same.jpg").symlink_to(root / "dress" / "1.jpg")
    catalogue = open_catalogue(root)
    listed = dict(zip(catalogue.rejected["image"], catalogue.rejected["reason"], strict=True))
    assert set(listed) == {"shirt", "dress/gone.jpg", "dress/same.jpg"} and len(catalogue) == 8
    assert listed["dress/same.jpg"] == "the same file as 'dress/1.jpg', through a link"  # else it is on two sides
    assert "a link to a folder is not followed" in listed["shirt"] and "no file" in listed["dress/gone.jpg"]


@pytest.mark.skipif(sys.platform != "linux", reason="such names are refused elsewhere")
def test_a_photo_or_class_whose_name_is_not_utf8_is_rejected(tmp_path, encode):
    strange = [os.fsdecode(b"dress/caf\xe9.jpg"), os.fsdecode(b"robe d'\xe9t\xe9/1.jpg")]
    good = [*(f"dress/{i}.jpg" for i in range(12)), "dress/\u00e9t\u00e9.jpg"]
    root = folder(tmp_path / "pics", encode, good + strange)
    catalogue = open_catalogue(root)
    assert sorted(catalogue.rejected["image"]) == ["dress/caf\\xe9.jpg", "robe d'\\xe9t\\xe9/1.jpg"]
    assert catalogue.rejected["reason"].str.contains("not UTF-8, or holds control").all()
    assert len(catalogue) == 13 and set(catalogue.table["category"]) == {"dress"}
    assert len(cache_images(catalogue, (24, 32), tmp_path / "cache").catalogue) == 13
    assert catalogue.rejected.to_csv().encode()

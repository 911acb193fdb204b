"""Near-duplicates against a loop over all pairs, and what the grouped split does with them."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fashionlib.data.catalogue import Catalogue, CatalogueError
from fashionlib.data.images import ImageData
from fashionlib.shop import duplicates
from fashionlib.shop.duplicates import (
    choose_split,
    differences,
    duplicate_groups,
    duplicate_pairs,
    join_groups,
    near_duplicates,
    perceptual_hashes,
    thumbnails,
)
from fashionlib.tasks import SingleLabel
from study.tables import leakage


class NoImages:
    fingerprint = "none"


def image_data(pixels: np.ndarray, position=None, **columns) -> ImageData:
    n = len(pixels) if position is None else len(position)
    table = pd.DataFrame({"image": [f"{i}.jpg" for i in range(n)], "kind": "shirt", "split": "train"} | columns)
    position = np.arange(n) if position is None else np.array(position)
    return ImageData(Catalogue(table, [SingleLabel("kind")], NoImages(), "drawn"), pixels, position)


def pictures(n: int, seed: int = 0) -> np.ndarray:
    """Smooth random pictures (n, 64, 48, 3), no two alike."""
    coarse = np.random.default_rng(seed).integers(0, 256, (n, 8, 6, 3))
    return coarse.repeat(8, axis=1).repeat(8, axis=2).astype(np.uint8)


def as_set(pairs: np.ndarray) -> set[tuple[int, int]]:
    return {tuple(pair) for pair in pairs.tolist()}


@pytest.mark.parametrize("distance", [0, 2, 4])
@pytest.mark.parametrize("block", [1, 7 * 60, 2**24])
def test_near_duplicates_against_all_pairs_one_by_one(distance, block):
    rng = np.random.default_rng(1)
    hashes = rng.integers(0, 2**64, 60, dtype=np.uint64)
    for copy in range(30, 60):  # copies of earlier ones with up to five bits turned, the highest among them
        hashes[copy] = hashes[copy - 30]
        for bit in [63, 0, *rng.integers(0, 64, 3)][: rng.integers(0, 6)]:
            hashes[copy] ^= np.uint64(1) << np.uint64(bit)
    expected = {
        (i, j)
        for i in range(60)
        for j in range(i + 1, 60)
        if bin(int(hashes[i]) ^ int(hashes[j])).count("1") <= distance
    }
    found = near_duplicates(hashes, distance, block)
    assert len(found) > 0 and found.tolist() == sorted(map(list, expected))


def test_near_duplicates_of_nothing():
    assert near_duplicates(np.array([], np.uint64)).shape == (0, 2)
    assert near_duplicates(np.array([5], np.uint64)).shape == (0, 2)


def test_the_hash_survives_a_little_light_and_tells_pictures_apart():
    base = pictures(20)
    lighter = np.clip(base.astype(int) + 3, 0, 255).astype(np.uint8)
    hashes = perceptual_hashes(image_data(np.concatenate([base, lighter])))
    assert hashes.dtype == np.uint64
    distances = np.bitwise_count(hashes[:, None] ^ hashes[None])
    twins = distances[np.arange(20), np.arange(20, 40)]
    others = distances[:20, :20][~np.eye(20, dtype=bool)]
    assert twins.max() <= 4 < others.min()


def test_hashes_follow_the_catalogue_s_rows_not_the_cache_s():
    pixels = pictures(5)
    for made_of in (perceptual_hashes, thumbnails):
        whole = made_of(image_data(pixels))
        assert made_of(image_data(pixels, position=[4, 1, 2])).tolist() == whole[[4, 1, 2]].tolist()


def test_differences_against_the_mean_colours_of_cells():
    pixels = np.random.default_rng(2).integers(0, 256, (9, 64, 48, 3), np.uint8)
    cells = pixels.reshape(9, 8, 8, 8, 6, 3).mean((2, 4)).round()  # eight rows of 8 pixels, eight columns of 6
    pairs = np.array([(i, j) for i in range(9) for j in range(i + 1, 9)])
    expected = [np.abs(cells[i] - cells[j]).max() for i, j in pairs]
    thumbs = thumbnails(image_data(pixels))
    assert thumbs.dtype == np.uint8 and thumbs.shape == (9, 192)
    for block in (5, 2**16):
        assert differences(thumbs, pairs, block) == pytest.approx(expected, abs=1)
    assert differences(thumbs, np.empty((0, 2), np.int64)).shape == (0,)


def test_a_copy_is_found_and_the_same_shape_in_another_colour_is_not(encode):
    base = pictures(6)
    grey = np.full((64, 48, 3), 255, np.uint8)
    grey[16:48, 12:36] = 100
    red = grey.copy()
    red[16:48, 12:36] = (190, 61, 61)  # as bright as the grey: to the hash, which sees no colour, they are the same
    again = np.asarray(Image.open(io.BytesIO(encode(base[2], "JPEG", quality=90, subsampling=0))))
    assert (again != base[2]).any()
    data = image_data(np.concatenate([base, again[None], grey[None], red[None]]))
    assert (7, 8) in as_set(near_duplicates(perceptual_hashes(data), 4))
    assert as_set(duplicate_pairs(data)) == {(2, 6)}


def test_copies_are_joined_by_as_many_pairs_as_there_are(monkeypatch):
    """And in the groups that all pairs of alike images make."""
    rng = np.random.default_rng(3)
    kind = rng.integers(0, 6, 300)
    thumbs = rng.integers(0, 200, (6, 192))[kind] + rng.integers(0, 3, (300, 192))
    hashes = np.array([0, 0, 1, 2**40, 2**40 + 1, 2**64 - 1], np.uint64)[kind]  # the first two differ in colour alone
    monkeypatch.setattr(duplicates, "perceptual_hashes", lambda data: hashes)
    monkeypatch.setattr(duplicates, "thumbnails", lambda data: thumbs.astype(np.uint8))
    pairs = duplicate_pairs(image_data(np.zeros((300, 2, 2, 3), np.uint8)))
    assert len(pairs) == 294 and (pairs[:, 0] < pairs[:, 1]).all() and (np.diff(pairs[:, 0]) >= 0).all()
    assert len(set(zip(join_groups(300, pairs), kind, strict=True))) == 6


def test_groups_join_items_and_near_duplicates_through_others():
    data = image_data(pictures(7), item=["a", "a", None, "b", "b", None, None])
    groups = duplicate_groups(data, np.array([[1, 2], [2, 4]]))
    assert len(set(groups[:5])) == 1 and len({groups[0], groups[5], groups[6]}) == 3
    without_items = duplicate_groups(image_data(pictures(4)), np.array([[0, 3]]))
    assert without_items[0] == without_items[3] and len(set(without_items)) == 3
    items = ["a", None, "b", "a", "c", None, "a", "b", float("nan")]
    alone = duplicate_groups(image_data(pictures(9), item=items), np.empty((0, 2), np.int64))
    assert pd.factorize(alone)[0].tolist() == [0, 1, 2, 0, 3, 4, 0, 2, 5]


def test_near_duplicates_of_some_images_are_not_taken_for_those_of_as_many_others(tmp_path):
    pixels = pictures(6)
    pixels[1] = pixels[0]
    for position, pairs in (([0, 1, 2], {(0, 1)}), ([3, 4, 5], set())):
        part = image_data(pixels, position=position)
        part.folder = tmp_path
        assert as_set(duplicate_pairs(part)) == pairs


def test_the_grouped_split_leaks_nothing_that_the_random_one_leaks(garments):
    rng = np.random.default_rng(4)
    rows = len(garments.catalogue)
    pairs = np.sort(rng.permutation(rows)[:40].reshape(-1, 2), axis=1)  # as if these were near-duplicates
    assert leakage(garments, pairs).set_index("kind").loc["either", "test_images"] > 0
    grouped = choose_split(garments, "grouped", "articleType", seed=1, pairs=pairs)
    assert leakage(grouped, pairs)["test_images"].tolist() == [0, 0, 0]
    table = grouped.catalogue.table
    assert table.groupby("item")["split"].nunique().max() == 1
    assert (table["split"].to_numpy()[pairs[:, 0]] == table["split"].to_numpy()[pairs[:, 1]]).all()
    assert grouped.catalogue.facts["split"] == "grouped" and grouped.catalogue.facts["split_seed"] == 1
    assert table["split"].value_counts(normalize=True)["test"] == pytest.approx(0.15, abs=0.06)


def test_the_split_is_chosen_by_name(garments):
    assert choose_split(garments, "source", "articleType") is garments
    grouped = choose_split(garments, "grouped", "articleType")
    assert leakage(grouped, duplicate_pairs(garments))["test_images"].tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="'source' or 'grouped', not 'groupd'"):
        choose_split(garments, "groupd", "articleType")
    with pytest.raises(CatalogueError, match="column 'articleTyp' is missing"):
        choose_split(garments, "grouped", "articleTyp")


def test_leakage_counts_test_images_once_against_training_only():
    split = ["train", "test", "test", "val", "test", "train", "test"]
    data = image_data(pictures(7), item=["a", "a", "b", "b", None, None, "c"], split=split)
    # image 1 shares its item with training; 1 and 4 have near-duplicates there, 4 through 3; 2 and 6 only each other
    table = leakage(data, np.array([[0, 1], [1, 5], [3, 4], [3, 5], [2, 6]])).set_index("kind")
    assert table["test_images"].to_dict() == {"same item": 1, "near-duplicate image": 2, "either": 2}
    assert table.loc["either", "share_of_test"] == 2 / 4


@pytest.mark.parametrize("n", [50, 500])
def test_the_memory_for_near_duplicates_is_bounded_however_many_images(n, monkeypatch):
    compared, count = [], np.bitwise_count
    monkeypatch.setattr(np, "bitwise_count", lambda bits: compared.append(bits.size) or count(bits))
    hashes = np.arange(n, dtype=np.uint64)
    near_duplicates(hashes, 1, block=1000)
    assert max(compared) <= 1000 and sum(compared) >= n * (n - 1) / 2

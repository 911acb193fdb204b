"""Near-duplicates against a loop over all pairs, and what the grouped split does with them."""

import numpy as np
import pandas as pd
import pytest

from fashionlib.data.catalogue import Catalogue
from fashionlib.data.duplicates import (
    alike,
    choose_split,
    duplicate_groups,
    duplicate_pairs,
    leakage,
    near_duplicates,
    perceptual_hashes,
    same_split,
    split_by_groups,
)
from fashionlib.data.images import ImageData, cache_images
from fashionlib.tasks import SingleLabel


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
    whole = perceptual_hashes(image_data(pixels))
    assert perceptual_hashes(image_data(pixels, position=[4, 1, 2])).tolist() == whole[[4, 1, 2]].tolist()


def test_alike_against_the_mean_difference_of_each_pair():
    rng = np.random.default_rng(2)
    base = rng.integers(10, 240, (1, 8, 6, 3))
    noise = rng.integers(-1, 2, (12, 8, 6, 3)) * np.arange(12).reshape(12, 1, 1, 1)
    data = image_data((base + noise).clip(0, 255).astype(np.uint8))
    pairs = np.array([(i, j) for i in range(12) for j in range(i + 1, 12)])
    expected = {
        (i, j)
        for i, j in pairs.tolist()
        if abs(data.pixels[i].astype(float) - data.pixels[j].astype(float)).mean() <= 3.0
    }
    assert 0 < len(expected) < len(pairs)
    assert as_set(alike(data, pairs, 3.0, block=5)) == expected
    assert alike(data, np.empty((0, 2), np.int64)).shape == (0, 2)


def test_a_copy_is_found_and_the_same_shape_in_another_colour_is_not():
    base = pictures(6)
    grey = np.full((64, 48, 3), 255, np.uint8)
    grey[16:48, 12:36] = 100
    red = grey.copy()
    red[16:48, 12:36] = (190, 61, 61)  # as bright as the grey: to the hash, which sees no colour, they are the same
    data = image_data(np.concatenate([base, base[2:3], grey[None], red[None]]))
    assert (7, 8) in as_set(near_duplicates(perceptual_hashes(data), 4))
    assert as_set(duplicate_pairs(data)) == {(2, 6)}


def test_groups_join_items_and_near_duplicates_through_others():
    data = image_data(pictures(7), item=["a", "a", None, "b", "b", None, None])
    groups = duplicate_groups(data, np.array([[1, 2], [2, 4]]))
    assert len(set(groups[:5])) == 1 and len({groups[0], groups[5], groups[6]}) == 3
    without_items = duplicate_groups(image_data(pictures(4)), np.array([[0, 3]]))
    assert without_items[0] == without_items[3] and len(set(without_items)) == 3


def test_the_grouped_split_leaks_nothing_that_the_random_one_leaks(garments):
    rng = np.random.default_rng(4)
    rows = len(garments.catalogue)
    pairs = np.sort(rng.permutation(rows)[:40].reshape(-1, 2), axis=1)  # as if these were near-duplicates
    assert leakage(garments, pairs).set_index("kind").loc["either", "test_images"] > 0
    grouped = split_by_groups(garments, "articleType", pairs, seed=1)
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


def test_images_of_another_size_get_the_same_split(garments, tmp_path):
    large = choose_split(garments, "grouped", "articleType")
    small = same_split(cache_images(garments.catalogue, (12, 16), tmp_path), large)
    assert small.size == (12, 16) and small.catalogue.table["split"].equals(large.catalogue.table["split"])
    assert small.catalogue.facts == large.catalogue.facts
    with pytest.raises(ValueError, match="not the images of"):
        same_split(image_data(pictures(3)), large)


def test_leakage_counts_test_images_once_against_training_only():
    split = ["train", "test", "test", "val", "test", "train", "test"]
    data = image_data(pictures(7), item=["a", "a", "b", "b", None, None, "c"], split=split)
    pairs = np.array([[0, 1], [1, 5], [2, 3], [4, 5], [2, 6]])
    table = leakage(data, pairs).set_index("kind")
    # image 1 shares its item with training; 1 and 4 have near-duplicates there; 2 only in validation, 6 only in test
    assert table["test_images"].to_dict() == {"same item": 1, "near-duplicate image": 2, "either": 2}
    assert table.loc["either", "share_of_test"] == 2 / 4


@pytest.mark.parametrize("n", [50, 500])
def test_the_memory_for_near_duplicates_is_bounded_however_many_images(n, monkeypatch):
    compared, count = [], np.bitwise_count
    monkeypatch.setattr(np, "bitwise_count", lambda bits: compared.append(bits.size) or count(bits))
    hashes = np.arange(n, dtype=np.uint64)
    near_duplicates(hashes, 1, block=1000)
    assert max(compared) <= 1000 and sum(compared) >= n * (n - 1) / 2

"""Near-duplicate images, and the split that keeps them on one side."""

from __future__ import annotations

import numpy as np
import pandas as pd
from PIL import Image

from .images import ImageData
from .progress import progress
from .splits import chain, grouped_split, join_groups


def perceptual_hashes(data: ImageData) -> np.ndarray:
    """The 64-bit DCT hash of every image (N,), uint64 (``imagehash.phash``; Zauner, 2010)."""
    import imagehash

    def one(row: int) -> np.uint64:
        bits = imagehash.phash(Image.fromarray(data.pixels[data.position[row]])).hash
        return np.packbits(bits.ravel()).view(">u8")[0]

    rows = range(len(data.catalogue))
    return np.array([one(r) for r in progress(rows, what="hash", unit="img")], dtype=np.uint64)


def near_duplicates(hashes: np.ndarray, distance: int = 2, block: int = 2048) -> np.ndarray:
    """All pairs (M, 2), i < j, of 64-bit hashes that differ in at most ``distance`` bits; memory is bounded by the
    block."""
    found = [np.empty((0, 2), np.int64)]
    for start in range(0, len(hashes), block):
        rest = hashes[start:]
        near = np.bitwise_count(hashes[start : start + block, None] ^ rest[None, :]) <= distance
        i, j = np.nonzero(near)
        pairs = np.stack([i, j], axis=1)[j > i]
        found.append(pairs + start)
    return np.concatenate(found)


def duplicate_groups(data: ImageData, hashes: np.ndarray, distance: int = 2) -> np.ndarray:
    """A group number (N,) for every image: images of one item, and near-duplicates, directly or through others."""
    pairs = [near_duplicates(hashes, distance)]
    if "item" in data.catalogue.table:
        pairs.append(chain(data.catalogue.table["item"]))
    return join_groups(len(data.catalogue), *pairs)


def split_by_groups(data: ImageData, stratum: str, distance: int = 2, seed: int = 42) -> ImageData:
    """The same data under the ``grouped`` split: no item and no near-duplicate (perceptual hashes at most ``distance``
    bits apart) on both sides; groups are stratified by the column ``stratum``."""
    groups = duplicate_groups(data, perceptual_hashes(data), distance)
    split = grouped_split(groups, data.catalogue.table[stratum], seed)
    return data.with_split(split, split="grouped", split_seed=seed, hash_distance=distance)


def leakage(data: ImageData, hashes: np.ndarray, distances=(0, 2, 4)) -> pd.DataFrame:
    """What a split leaks: how many test images have, in training, an image of the same item or a near-duplicate."""
    table = data.catalogue.table
    train, test = (table["split"] == part for part in ("train", "test"))
    rows = []
    if "item" in table:
        twin = table["item"].isin(set(table.loc[train, "item"].dropna())) & test
        rows.append({"kind": "same item", "distance": float("nan"), "test_images": int(twin.sum())})
    for distance in distances:
        pairs = near_duplicates(hashes, distance)
        pairs = np.concatenate([pairs, pairs[:, ::-1]])
        twins = np.unique(pairs[test.to_numpy()[pairs[:, 0]] & train.to_numpy()[pairs[:, 1]], 0])
        rows.append({"kind": "near-duplicate image", "distance": distance, "test_images": len(twins)})
    return pd.DataFrame(rows).assign(share_of_test=lambda t: t["test_images"] / test.sum())

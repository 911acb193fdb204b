"""Near-duplicate images, and the split that keeps them on one side."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
from PIL import Image

from ..machine.files import write_atomically
from .images import ImageData
from ..machine.progress import progress
from .splits import chain, grouped_split, join_groups

MAX_DISTANCE = 4  # of 64 bits, for a candidate
BLOCK = 2**24  # pairs of hashes compared at once: 128 MB, and a quarter as much for what differs
MAX_DIFFERENCE = 3.0  # mean absolute difference of 255 grey levels, for a near-duplicate


def perceptual_hashes(data: ImageData) -> np.ndarray:
    """The 64-bit DCT hash of every image (N,), uint64 (``imagehash.phash``; Zauner, 2010)."""
    import imagehash

    def one(row: int) -> np.uint64:
        bits = imagehash.phash(Image.fromarray(data.pixels[data.position[row]])).hash
        return np.packbits(bits.ravel()).view(">u8")[0]

    rows = range(len(data.catalogue))
    return np.array([one(r) for r in progress(rows, what="hash", unit="img")], dtype=np.uint64)


def near_duplicates(hashes: np.ndarray, distance: int = 2, block: int = BLOCK) -> np.ndarray:
    """All pairs (M, 2), i < j, of 64-bit hashes (N,) that differ in at most ``distance`` bits, in their order. At most
    ``block`` pairs are compared at once (but one hash with all others at least), which bounds the memory."""
    found = [np.empty((0, 2), np.int64)]
    height = max(block // max(len(hashes), 1), 1)
    for start in range(0, len(hashes), height):
        rest = hashes[start:]
        near = np.bitwise_count(hashes[start : start + height, None] ^ rest[None, :]) <= distance
        i, j = np.nonzero(near)
        pairs = np.stack([i, j], axis=1)[j > i]
        found.append(pairs + start)
    return np.concatenate(found)


def alike(data: ImageData, pairs: np.ndarray, difference: float = MAX_DIFFERENCE, block: int = 1024) -> np.ndarray:
    """The pairs (M, 2) whose pixels differ by at most ``difference`` of 255 grey levels in the mean."""
    kept = [np.empty((0, 2), np.int64)]
    for start in range(0, len(pairs), block):
        part = pairs[start : start + block]
        one, two = (data.pixels[data.position[part[:, side]]].astype(np.int16) for side in (0, 1))
        kept.append(part[np.abs(one - two).mean((1, 2, 3)) <= difference])
    return np.concatenate(kept)


def duplicate_pairs(data: ImageData, distance: int = MAX_DISTANCE, difference: float = MAX_DIFFERENCE) -> np.ndarray:
    """Pairs (M, 2) of near-duplicate images: found by perceptual hash, confirmed on the pixels.

    The hash alone will not do for product photographs: it sees the silhouette and neither colour nor detail, and at
    2 of 64 bits it already joins thousands of different shoes. The result is kept beside the pixel cache.
    """
    part = f"_of_{len(data.position)}" if len(data.position) < len(data.pixels) else ""  # some may come back
    kept = data.folder / f"near_duplicates_{distance}_{difference}{part}.npy" if data.folder else None
    if kept and kept.exists():
        return np.load(kept)
    pairs = alike(data, near_duplicates(perceptual_hashes(data), distance), difference)
    if kept and os.access(kept.parent, os.W_OK):
        write_atomically(kept, lambda file: np.save(file, pairs))
    return pairs


def duplicate_groups(data: ImageData, pairs: np.ndarray) -> np.ndarray:
    """A group number (N,) for every image: images of one item, and near-duplicates, directly or through others."""
    items = chain(data.catalogue.table["item"]) if "item" in data.catalogue.table else np.empty((0, 2), np.int64)
    return join_groups(len(data.catalogue), pairs, items)


def split_by_groups(data: ImageData, stratum: str, pairs: np.ndarray, seed: int = 42) -> ImageData:
    """The same data under the ``grouped`` split: no item and none of the near-duplicate ``pairs`` on both sides; the
    groups are stratified by the column ``stratum``."""
    split = grouped_split(duplicate_groups(data, pairs), data.catalogue.table[stratum], seed)
    return data.with_split(split, split="grouped", split_seed=seed)


def choose_split(data: ImageData, split: str, stratum: str) -> ImageData:
    """The data under its own split (``"source"``), or with near-duplicates kept on one side (``"grouped"``; see
    ``split_by_groups``). Raises ``ValueError`` for other names."""
    if split not in ("source", "grouped"):
        raise ValueError(f"the split is 'source' or 'grouped', not {split!r}")
    return split_by_groups(data, stratum, duplicate_pairs(data)) if split == "grouped" else data


def same_split(data: ImageData, like: ImageData) -> ImageData:
    """The data under the split of the same images at another size: near-duplicates are found on pixels, so that every
    size would divide them a little differently. Raises ``ValueError`` if the images are not the same."""
    images, others = data.catalogue.table["image"], like.catalogue.table["image"]
    if not images.equals(others):
        raise ValueError(f"{data.catalogue.name}: these are not the images of {like.catalogue.name}; open both alike")
    return data.with_split(like.catalogue.table["split"], **like.catalogue.facts)


def leakage(data: ImageData, pairs: np.ndarray) -> pd.DataFrame:
    """What a split leaks: how many test images have, in training, another image of their item, a near-duplicate, or
    either."""
    table = data.catalogue.table
    train, test = ((table["split"] == part).to_numpy() for part in ("train", "test"))
    item = np.zeros(len(table), bool)
    if "item" in table:
        item = table["item"].isin(set(table.loc[train, "item"].dropna())).to_numpy() & test
    both = np.concatenate([pairs, pairs[:, ::-1]])
    twin = np.zeros(len(table), bool)
    twin[both[test[both[:, 0]] & train[both[:, 1]], 0]] = True
    kinds = {"same item": item, "near-duplicate image": twin, "either": item | twin}
    rows = [{"kind": kind, "test_images": int(found.sum())} for kind, found in kinds.items()]
    return pd.DataFrame(rows).assign(share_of_test=lambda t: t["test_images"] / test.sum())

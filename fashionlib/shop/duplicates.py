"""Near-duplicate images, and the split that keeps them on one side."""

import os
from hashlib import sha256

import numpy as np
from PIL import Image

from ..cells import group_numbers
from ..data.images import ImageData
from ..data.splits import grouped_split
from ..machine.files import write_atomically
from ..machine.progress import progress

MAX_DISTANCE = 4  # of 64 bits, for a candidate
MAX_DIFFERENCE = 5  # of 255 levels of any colour, in the cell where two thumbnails differ most


def perceptual_hashes(data: ImageData) -> np.ndarray:
    """The 64-bit DCT hash of every image (N,), uint64 (``imagehash.phash``; Zauner, 2010)."""
    import imagehash

    bits = [imagehash.phash(image).hash.ravel() for image in _images(data, "hash")]
    return np.packbits(bits, axis=1).view(">u8").astype(np.uint64).ravel()


def thumbnails(data: ImageData) -> np.ndarray:
    """The mean colours of the 8 x 8 cells of every image (N, 192), uint8."""
    cells = (image.resize((8, 8), Image.Resampling.BOX) for image in _images(data, "shrink"))
    return np.stack([np.asarray(image).ravel() for image in cells])


def _images(data: ImageData, what: str):
    return (Image.fromarray(data.pixels[place]) for place in progress(data.position, what=what, unit="img"))


def near_duplicates(hashes: np.ndarray, distance: int = MAX_DISTANCE, block: int = 2**24, least=0) -> np.ndarray:
    """All pairs (M, 2), i < j, of 64-bit hashes (N,) that differ in ``least`` to ``distance`` bits, in order. At most
    ``block`` pairs are compared at once (but one hash with all others at least), which bounds the memory."""
    found, height = [np.empty((0, 2), np.int64)], max(block // max(len(hashes), 1), 1)
    for start in range(0, len(hashes), height):
        bits = np.bitwise_count(hashes[start : start + height, None] ^ hashes[None, start:])
        pairs = np.argwhere((bits >= least) & (bits <= distance))
        found.append(pairs[pairs[:, 1] > pairs[:, 0]] + start)
    return np.concatenate(found)


def differences(thumbs: np.ndarray, pairs: np.ndarray, block: int = 2**16) -> np.ndarray:
    """How far the ``thumbnails`` (N, 192) of each pair (M, 2) differ in the cell and colour where most: (M,), 0-255."""
    blocks = (thumbs[pairs[start : start + block]].astype(np.int16) for start in range(0, len(pairs), block))
    return np.concatenate([np.empty(0, np.int16), *(np.abs(both[:, 0] - both[:, 1]).max(1) for both in blocks)])


def duplicate_pairs(data: ImageData, distance: int = MAX_DISTANCE, difference: int = MAX_DIFFERENCE) -> np.ndarray:
    """Pairs (M, 2), i < j, of near-duplicate images: found by perceptual hash, confirmed on their thumbnails.

    Of images with one hash, each is compared and paired with the first that is like it alone, which stands for them
    among other hashes: ten thousand copies of a picture are as many pairs, which join them in one group. So a chain may
    be missed (10 of 1,070 pairs of the products end in two groups). The result is kept beside the pixel cache.

    The hash sees the silhouette, neither colour nor detail, and the mean difference of pixels sees white ground: of
    the product photographs (60 x 80) within 3 levels of it, some .4 of the pairs are one picture. The largest
    difference of a cell tells more: of 120 pairs looked at (near_duplicates_reviewed.csv), 20 of 20 were one picture
    at 0, 22 of 23 at 1-2, 15 of 23 at 3-4, 3 of 6 at 5, 9 of 48 at 6-11; that is .96 of the 1,070 pairs up to 5."""
    key = sha256(data.position.tobytes()).hexdigest()[:12]  # several data may share a folder
    kept = data.folder / f"duplicates_{distance}_{difference}_of_{key}.npy" if data.folder else None
    if kept and kept.exists():
        return np.load(kept)
    hashes, thumbs = perceptual_hashes(data), thumbnails(data)
    left, firsts, found = np.arange(len(hashes)), [], []
    while len(left):
        _, first, kind = np.unique(hashes[left], return_index=True, return_inverse=True)
        pairs = np.stack([left[first][kind], left], axis=1)
        near = differences(thumbs, pairs) <= difference
        firsts.append(left[first])
        found.append(pairs[near & (pairs[:, 0] < pairs[:, 1])])
        left = left[~near]
    firsts = np.sort(np.concatenate(firsts))
    pairs = firsts[near_duplicates(hashes[firsts], distance, least=1)]  # those of one hash have been compared
    pairs = np.concatenate([*found, pairs[differences(thumbs, pairs) <= difference]])
    pairs = pairs[np.lexsort(pairs.T[::-1])]
    if kept and os.access(kept.parent, os.W_OK):
        write_atomically(kept, lambda file: np.save(file, pairs))
    return pairs


def duplicate_groups(data: ImageData, pairs: np.ndarray) -> np.ndarray:
    """A group number (N,) for every image: images of one item, and near-duplicates, directly or through others."""
    table = data.catalogue.table
    numbers = group_numbers(table["item"] if "item" in table else [None] * len(table))
    first = np.unique(numbers, return_index=True)[1][numbers]  # of each row's item, or the row itself
    return join_groups(len(table), pairs, np.stack([first, np.arange(len(table))], axis=1))


def choose_split(data: ImageData, split: str, stratum: str, seed=42, pairs: np.ndarray | None = None) -> ImageData:
    """The data under its own split (``"source"``), or ``"grouped"``: no item and none of the near-duplicate ``pairs``
    (``duplicate_pairs`` if not given) on two sides, stratified by the column ``stratum``. ``ValueError`` for others."""
    if split not in ("source", "grouped"):
        raise ValueError(f"the split is 'source' or 'grouped', not {split!r}")
    if split == "source":
        return data
    groups = duplicate_groups(data, duplicate_pairs(data) if pairs is None else pairs)
    return data.with_split(grouped_split(groups, data.catalogue.column(stratum), seed), split=split, split_seed=seed)


def join_groups(n: int, *pairs: np.ndarray) -> np.ndarray:
    """Connected components (n,) of the graph on rows 0..n-1 whose edges are arrays of pairs (M, 2)."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    edges = np.concatenate([np.asarray(p).reshape(-1, 2) for p in pairs])
    return connected_components(coo_matrix((np.ones(len(edges), bool), edges.T), shape=(n, n)), directed=False)[1]

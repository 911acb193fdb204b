"""Train/validation/test splits, 70/15/15."""

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..cells import group_numbers

SHARE = 0.15  # of the rows for validation, and again for the test
RARE = 7  # from that many examples on, 70/15/15 leaves at least one for each part


def random_split(strata: Sequence[str], seed: int = 42) -> np.ndarray:
    """One of ``train``, ``val``, ``test`` for every row, stratified: each stratum is split 70/15/15.

    Of a stratum with fewer than 7 rows the first (in a shuffled order) is for training, and its others are pooled with
    those of the other rare strata. Where there are too few rows for that, they are split without regard to strata.
    Raises ``ValueError`` with fewer than 7 rows in all."""
    from sklearn.model_selection import train_test_split

    strata = pd.Series(strata).astype(object).fillna("").astype(str).reset_index(drop=True)
    n = len(strata)
    if n < RARE:
        raise ValueError(f"{n} rows are too few for a 70/15/15 split: at least {RARE} are needed")
    order = np.random.default_rng(seed).permutation(n)
    rare = strata.map(strata.value_counts()) < RARE
    first = ~strata.iloc[order].duplicated().sort_index()  # the first row of each stratum in shuffled order
    few = (rare & ~first).sum() < 3  # they must not cost the others their stratification
    pool = np.flatnonzero(~rare if few else ~(rare & first))
    held = int(np.ceil(SHARE * n))
    if len(pool) <= 2 * held:  # nearly every row is a class of its own: not all can be in training
        pool = np.arange(n)
    pooled = strata.mask(rare, "")[pool]
    if (pooled.value_counts() < 3).any() or len(pool) < 2 * held + pooled.nunique() or held < pooled.nunique():
        pooled = pd.Series("", index=pool)  # too small to stratify
    rest, test = train_test_split(pool, test_size=held, stratify=pooled, random_state=seed)
    left = pooled[rest]
    left = left if left.value_counts().min() > 1 else None  # of a stratum of three the test may have taken two
    train, val = train_test_split(rest, test_size=held, stratify=left, random_state=seed)
    split = np.full(n, "train", dtype=object)
    split[val], split[test] = "val", "test"
    return split


def grouped_split(groups: Sequence, strata: Sequence[str], seed: int = 42) -> np.ndarray:
    """Like ``random_split``, but rows that share a group stay on one side; a row without a group is one by itself.

    Each group is in the stratum of its first row. Those of more than 1% of the rows (and more than 20), and all where
    fewer than 7 are smaller, are dealt out apart, the largest first, each to the part that is furthest below its share.
    Warns if a part ends more than 5% of the rows from its share. Raises ``ValueError`` with fewer than 3 groups."""
    groups = pd.Series(group_numbers(groups))
    sizes = groups.value_counts().sort_index()
    if len(sizes) < 3:
        raise ValueError(f"{len(sizes)} groups are too few for a 70/15/15 split: at least 3 are needed")
    large = (sizes > max(20, 0.01 * len(groups))).to_numpy()
    large = large | ((~large).sum() < RARE)
    part = pd.Series(index=sizes.index, dtype=object)
    if not large.all():
        part[~large] = random_split(pd.Series(strata).to_numpy()[~groups.duplicated()][~large], seed)
    shares = pd.Series({"train": 1 - 2 * SHARE, "val": SHARE, "test": SHARE})
    lacking = shares * sizes[large].sum()
    waiting = sizes[large].sample(frac=1, random_state=seed).sort_values(ascending=False, kind="stable")
    for left, (group, size) in zip(range(len(waiting), 0, -1), waiting.items(), strict=True):
        empty = lacking.index.difference(part, sort=False)
        part[group] = lacking[empty if len(empty) >= left else lacking.index].idxmax()  # no part may end empty
        lacking[part[group]] -= size
    split = groups.map(part)
    reached = split.value_counts(normalize=True)[shares.index]
    if (reached - shares).abs().max() > 0.05:
        texts = ", ".join(f"{name} {share:.1%}" for name, share in reached.items())
        warnings.warn(f"few or large groups: not 70/15/15 of the rows, but {texts}", stacklevel=2)
    return split.to_numpy(dtype=object)

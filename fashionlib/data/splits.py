"""Train/validation/test splits, 70/15/15."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

SHARE = 0.15  # of the rows for validation, and again for the test
RARE = 7  # from that many examples on, 70/15/15 leaves at least one for each part


def random_split(strata: Sequence[str], seed: int = 42) -> np.ndarray:
    """One of ``train``, ``val``, ``test`` for every row, stratified: each stratum is split 70/15/15.

    A stratum with fewer than 7 rows cannot be: its first row (in a shuffled order) is for training, so that every
    class is seen there, and its other rows are pooled with those of the other rare strata and split together (a pool
    of one or two rows is for training). Without enough rows to give every stratum a place in validation and test,
    rows are split without regard to strata. Raises ``ValueError`` with fewer than 7 rows in all.
    """
    strata = pd.Series(strata).fillna("").astype(str).reset_index(drop=True)
    n = len(strata)
    if n < RARE:
        raise ValueError(f"{n} rows are too few for a 70/15/15 split: at least {RARE} are needed")
    order = np.random.default_rng(seed).permutation(n)
    rare = strata.map(strata.value_counts()) < RARE
    first = ~strata.iloc[order].duplicated().sort_index()  # the first row of each stratum in shuffled order
    forced = (rare & first).to_numpy()
    if (rare & ~first).sum() < 3:  # they must not cost the others their stratification
        forced = rare.to_numpy()
    pool = np.flatnonzero(~forced)
    held = int(np.ceil(SHARE * n))
    if len(pool) <= 2 * held:  # nearly every row is a class of its own: not all can be in training
        pool = np.arange(n)
    pooled = strata.mask(rare, "")[pool]
    if (pooled.value_counts() < 3).any() or len(pool) < 2 * held + pooled.nunique() or held < pooled.nunique():
        pooled = pd.Series("", index=pool)  # too small to stratify
    rest, test = train_test_split(pool, test_size=held, stratify=pooled, random_state=seed)
    train, val = train_test_split(rest, test_size=held, stratify=pooled[rest], random_state=seed)
    split = np.full(n, "train", dtype=object)
    split[val], split[test] = "val", "test"
    return split


def grouped_split(groups: Sequence, strata: Sequence[str], seed: int = 42) -> np.ndarray:
    """Like ``random_split``, but rows that share a group stay on one side.

    The groups are split, each in the stratum of its first row; a group of more than 1% of the rows goes to training,
    so that no single group decides a test figure.
    """
    groups = pd.Series(pd.factorize(pd.Series(groups).to_numpy())[0])
    if (groups < 0).any():
        raise ValueError(f"{int((groups < 0).sum())} rows have no group")
    strata = pd.Series(strata).reset_index(drop=True)
    sizes = groups.value_counts()
    large = sizes.index[sizes > max(20, 0.01 * len(groups))]
    firsts = (~groups.duplicated()) & ~groups.isin(large)
    units = pd.Series(random_split(strata[firsts], seed), index=groups[firsts])
    return groups.map(units).fillna("train").to_numpy(dtype=object)


def join_groups(n: int, *pairs: np.ndarray) -> np.ndarray:
    """Connected components (n,) of the graph on rows 0..n-1 whose edges are arrays of pairs (M, 2)."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    edges = np.concatenate([np.asarray(p).reshape(-1, 2) for p in pairs])
    graph = coo_matrix((np.ones(len(edges), bool), (edges[:, 0], edges[:, 1])), shape=(n, n))
    return connected_components(graph, directed=False)[1]


def chain(groups: Sequence) -> np.ndarray:
    """Pairs (M, 2) that link the rows of equal value; missing values link nothing."""
    codes = pd.factorize(pd.Series(groups).to_numpy())[0]
    order = np.argsort(codes, kind="stable")
    order = order[codes[order] >= 0]
    same = codes[order][1:] == codes[order][:-1]
    return np.stack([order[:-1][same], order[1:][same]], axis=1)

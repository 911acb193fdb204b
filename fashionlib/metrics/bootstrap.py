"""Bootstrap intervals (Efron, 1979). Whatever is measured with one seed on the same groups is measured on the same
resamples: differences are paired."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ..cells import group_numbers


def resamples(groups: np.ndarray, repeats: int, seed: int = 0) -> Iterator[np.ndarray]:
    """How often each row (N,) is drawn, one resample at a time. Rows of one group are drawn together (cluster
    bootstrap; Davison and Hinkley, 1997, section 3.8): images of one item are hard or easy together."""
    number = group_numbers(groups)
    rng, n = np.random.default_rng(seed), number.max(initial=-1) + 1
    for _ in range(repeats):
        yield np.bincount(rng.integers(0, n, n), minlength=n)[number]


def resampled_means(values: np.ndarray, groups: np.ndarray | None = None, repeats=1000, seed=0) -> np.ndarray:
    """Means (R,) of values (N,), (R, M) of (N, M), in resamples of ``groups`` (N,) or rows; NaN without a row."""
    groups = np.arange(len(values)) if groups is None else groups
    return np.stack([drawn @ values / (drawn.sum() or np.nan) for drawn in resamples(groups, repeats, seed)])


def resampled_maps(
    probabilities: np.ndarray, truth: np.ndarray, groups: np.ndarray, repeats: int = 1000, seed: int = 0
) -> np.ndarray:
    """The mean average precision in each resample (R,), probabilities and truth (N, C) as in ``metrics.attributes``. A
    class without a positive is left out of a resample's mean, NaN if no class has one. Each class is sorted once."""
    from scipy.sparse import csr_array

    drawn = np.stack([d.astype(np.float32) for d in resamples(groups, repeats, seed)], axis=1)  # (N, R), exact to 2^24

    def summed(rows: np.ndarray, stops: np.ndarray) -> np.ndarray:  # over consecutive parts of some rows
        return csr_array((np.ones(len(rows), np.float32), rows, np.append(0, stops)), (len(stops), len(drawn))) @ drawn

    sums, counts = np.zeros(repeats), np.zeros(repeats)
    for column in np.flatnonzero((truth == 1).any(0)):
        known = np.flatnonzero(truth[:, column] >= 0)
        order = known[np.argsort(-probabilities[known, column], kind="stable")]
        score, positives = probabilities[order, column], np.flatnonzero(truth[order, column] == 1)
        ends = np.flatnonzero(np.append(score[1:] != score[:-1], True)) + 1  # behind the last image of each score
        step, number = np.unique(np.searchsorted(ends, positives, side="right"), return_counts=True)
        hits = summed(order[positives], number.cumsum())  # at each score that has a positive
        seen = summed(order[: ends[step[-1]]], ends[step]).cumsum(0)
        total = hits.sum(0)
        sums += (hits * hits.cumsum(0) / np.maximum(seen, 1)).sum(0) / np.maximum(total, 1)
        counts += total > 0
    return sums / np.where(counts > 0, counts, np.nan)


def without_bias(draws: np.ndarray, value: float) -> np.ndarray:
    """Resampled values (R,) less the bootstrap's estimate of their bias, so that ``value`` is their mean (Efron and
    Tibshirani, 1993, chapter 10). The average precision of a rare class is higher in a resample, where a positive that
    is drawn twice has itself for company at the top."""
    return draws - pd.Series(draws).mean() + value


def percentile_interval(draws: np.ndarray) -> tuple[float, float]:
    """The middle 95% of resampled values (R,), of which those that are NaN do not count."""
    return tuple(pd.Series(draws).quantile([0.025, 0.975]))

"""Ranking a gallery for each query, and what is said of such a ranking: plain functions on arrays.

Two things are easily got wrong here, and decided so:

- A query without a match in the gallery cannot be right. It is left out, and counted in ``n_excluded``.
- Ties count against us: a match stands behind every other image that is as similar. An embedding that maps everything
  to one point then scores what it deserves, nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

KS = (1, 10, 20, 30)
BLOCK = 2**24  # similarities held at once: 64 MB
TIE = np.float32(1e-6)  # cosines that differ by less are equal: some ten roundings of float32


@dataclass(frozen=True)
class Ranking:
    """How well a gallery was ranked for n queries; every array has a row for each query that has a match.

    Parameters
    ----------
    queries: (n,), which of the given queries these are.
    items: (n,), a number for the item of each; queries of one item are resampled together.
    matches: (n,), the images of the same item in the gallery, R.
    first_match_rank: (n,), place of the nearest match in the whole gallery; 1 is best.
    average_precision: (n,), average precision at R (Musgrave, Belongie, Lim, 2020): the mean over the first R places
        of the precision up to there where a match stands, and of 0 where none does.
    nearest: (n, k), positions of the nearest gallery images, the nearest first.
    hits: (n, k), which of them are matches.
    n_excluded: queries that were left out, for their item is not known or has no other image in the gallery.
    ks: the K of ``recall_at_K``.
    """

    queries: np.ndarray
    items: np.ndarray
    matches: np.ndarray
    first_match_rank: np.ndarray
    average_precision: np.ndarray
    nearest: np.ndarray
    hits: np.ndarray
    n_excluded: int
    ks: tuple[int, ...] = KS

    @property
    def reciprocal_rank(self) -> np.ndarray:
        """(n,), 1 / first_match_rank."""
        return 1.0 / self.first_match_rank

    def values(self) -> dict[str, np.ndarray]:
        """Every metric as one value per query (n,); ``scores`` are their means."""
        recalls = {f"recall_at_{k}": (self.first_match_rank <= k).astype(float) for k in self.ks}
        return {**recalls, "map_at_r": self.average_precision, "mrr": self.reciprocal_rank}

    def scores(self) -> dict[str, float]:
        """recall_at_K (share of queries with a match among the K nearest images of the whole gallery), map_at_r, mrr
        (mean reciprocal rank), n_queries and n_excluded."""
        means = {name: float(values.mean()) for name, values in self.values().items()}
        return {**means, "n_queries": len(self.queries), "n_excluded": self.n_excluded}

    def intervals(self, repeats: int = 1000, seed: int = 0) -> dict[str, tuple[float, float]]:
        """The 95% bootstrap interval over items of every metric."""
        values = self.values()
        found = mean_intervals(np.stack(list(values.values()), 1), self.items, repeats, seed)
        return dict(zip(values, found, strict=True))


def rank(
    queries: np.ndarray,
    gallery: np.ndarray,
    query_items: Sequence,
    gallery_items: Sequence,
    ks: Sequence[int] = KS,
    block: int = BLOCK,
) -> Ranking:
    """Rank the gallery (G, D) by cosine similarity for each of the queries (Q, D).

    Items are text or numbers; None, NaN and, in an array of numbers, negative ones say that the item is not known. At
    most ``block`` similarities are in memory at once (but one query's at least), so that it stays bounded whatever the
    gallery.

    Raises ``ValueError`` for an empty gallery, values that are not finite, shapes that do not fit, and if no query has
    a match.
    """
    query_numbers, gallery_numbers = _numbers(query_items, gallery_items)
    queries, gallery = _unit("queries", queries, query_numbers), _unit("gallery", gallery, gallery_numbers)
    return _rank(queries, gallery, query_numbers, gallery_numbers, ks, block, alone=False)


def leave_one_out(embeddings: np.ndarray, items: Sequence, ks: Sequence[int] = KS, block: int = BLOCK) -> Ranking:
    """Like ``rank``, each image (N, D) against all others: its own row, not what resembles it, is taken out."""
    (numbers,) = _numbers(items)
    embeddings = _unit("embeddings", embeddings, numbers)
    return _rank(embeddings, embeddings, numbers, numbers, ks, block, alone=True)


def _rank(queries, gallery, query_numbers, gallery_numbers, ks, block, alone) -> Ranking:
    if queries.shape[1] != gallery.shape[1]:
        raise ValueError(f"queries have {queries.shape[1]} dimensions, the gallery has {gallery.shape[1]}")
    ks = tuple(ks)
    if not ks or min(ks) < 1:
        raise ValueError(f"ks is {ks}; it needs numbers from 1 on")
    order = np.argsort(gallery_numbers, kind="stable")
    starts, stops = (np.searchsorted(gallery_numbers[order], query_numbers, side) for side in ("left", "right"))
    matches = np.where(query_numbers < 0, 0, stops - starts - alone)
    kept = np.flatnonzero(matches > 0)
    if len(kept) == 0:
        raise ValueError(f"none of {len(queries):,} queries has a match in the gallery; are the items of one kind?")
    k = min(max(ks), len(gallery) - alone)
    first, precision = np.empty(len(kept), np.int64), np.empty(len(kept))
    nearest, hits = np.empty((len(kept), k), np.int64), np.empty((len(kept), k), bool)
    height = min(max(block // len(gallery), 1), len(kept))
    memory = torch.empty(height, len(gallery))
    exact = torch.float32 if len(gallery) < 2**24 else torch.float64  # float32 counts to there, much faster
    for begin in range(0, len(kept), height):
        done = slice(begin, begin + height)
        rows = kept[done]
        similarity = torch.mm(queries[torch.from_numpy(rows)], gallery.T, out=memory[: len(rows)])
        if alone:
            similarity[np.arange(len(rows)), rows] = -torch.inf
        best = torch.from_numpy(_lower_matches(similarity.numpy(), order, starts[rows], stops[rows]))
        nearest[done] = similarity.topk(k).indices.numpy()
        hits[done] = gallery_numbers[nearest[done]] == query_numbers[rows, None]
        precision[done] = average_precision_at_r(hits[done], matches[rows])
        for row in np.flatnonzero(matches[rows] > k):  # an item of many images needs a longer list
            longer = similarity[row].topk(matches[rows[row]]).indices.numpy()
            hit = gallery_numbers[longer] == query_numbers[rows[row]]
            precision[begin + row] = average_precision_at_r(hit[None], matches[rows[row], None])[0]
        ahead = similarity.gt_(best[:, None])  # 0 and 1, written over the similarities
        first[done] = 1 + ahead.sum(1, dtype=exact).numpy()
    excluded = len(queries) - len(kept)
    return Ranking(kept, query_numbers[kept], matches[kept], first, precision, nearest, hits, excluded, ks)


def _lower_matches(similarity: np.ndarray, order: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """Take ``TIE`` from the similarity (B, G) of every match, so that it comes last among equals, and return that of
    each row's best match (B,). The matches of row b are the columns ``order[starts[b]:stops[b]]``."""
    counts = stops - starts
    ends = counts.cumsum()
    rows = np.repeat(np.arange(len(counts)), counts)
    columns = order[np.arange(ends[-1]) + np.repeat(starts - (ends - counts), counts)]
    lowered = similarity[rows, columns] - TIE
    similarity[rows, columns] = lowered
    return np.maximum.reduceat(lowered, ends - counts)


def average_precision_at_r(hits: np.ndarray, matches: np.ndarray) -> np.ndarray:
    """(B,) from which of the nearest images are matches (B, k) and how many there are in the gallery (B,); rows with
    more matches than k come out too low."""
    places = np.arange(1, hits.shape[1] + 1)
    counted = hits & (places <= matches[:, None])
    return (counted.cumsum(1) / places * counted).sum(1) / matches


def score_table(rankings: Mapping[str, Ranking], repeats: int = 1000, seed: int = 0) -> pd.DataFrame:
    """One row per ranking, by name, and metric: embedding, metric, value, ci_low, ci_high, n_queries, n_excluded."""
    rows = []
    for name, ranking in rankings.items():
        scores = ranking.scores()
        for metric, (low, high) in ranking.intervals(repeats, seed).items():
            row = {"embedding": name, "metric": metric, "value": scores[metric], "ci_low": low, "ci_high": high}
            rows.append({**row, "n_queries": scores["n_queries"], "n_excluded": scores["n_excluded"]})
    return pd.DataFrame(rows)


def ranking_differences(first: Ranking, second: Ranking, repeats: int = 1000, seed: int = 0) -> pd.DataFrame:
    """One row per metric: that of the first minus that of the second on the same queries, with the 95% interval of a
    paired bootstrap over items. Raises ``ValueError`` if the queries, their matches or ``ks`` differ."""
    same = [np.array_equal(getattr(first, name), getattr(second, name)) for name in ("queries", "matches", "ks")]
    if not all(same):
        raise ValueError("a paired comparison needs rankings of the same gallery for the same queries and ks")
    one, two = first.values(), second.values()
    better = np.stack([one[metric] - two[metric] for metric in one], 1)
    intervals = mean_intervals(better, first.items, repeats, seed)
    rows = [
        {"metric": metric, "difference": mean, "ci_low": low, "ci_high": high}
        for metric, mean, (low, high) in zip(one, better.mean(0), intervals, strict=True)
    ]
    return pd.DataFrame(rows)


def mean_intervals(
    values: np.ndarray, groups: np.ndarray, repeats: int = 1000, seed: int = 0
) -> list[tuple[float, float]]:
    """The 95% percentile interval of the mean of each column of values (N, M), resampling groups (N,) of rows (cluster
    bootstrap; Davison and Hinkley, 1997, section 3.8): queries of one item are hard or easy together."""
    number = np.unique(groups, return_inverse=True)[1]
    size = np.bincount(number)
    sums = np.stack([np.bincount(number, column) for column in values.T], 1)
    rng = np.random.default_rng(seed)
    means = np.empty((repeats, sums.shape[1]))
    for row in means:  # one resample at a time: all of them are as large as repeats x groups
        drawn = np.bincount(rng.integers(0, len(size), len(size)), minlength=len(size))
        row[:] = drawn @ sums / (drawn @ size)
    return [(float(low), float(high)) for low, high in np.percentile(means, [2.5, 97.5], axis=0).T]


def _numbers(*items: Sequence) -> list[np.ndarray]:
    """Each sequence of items as int64 (N,); an item has the same number everywhere, and one not known has -1."""
    # of a list of text with NaN in it, numpy would make the text "nan"
    parts = [
        pd.Series(part) if isinstance(part, np.ndarray) else pd.Series(list(part), dtype=object).infer_objects()
        for part in items
    ]
    together = pd.concat(parts, ignore_index=True)
    numbers = pd.factorize(together)[0].astype(np.int64)
    if pd.api.types.is_numeric_dtype(together):
        numbers[(together < 0).to_numpy()] = -1
    return np.split(numbers, np.cumsum([len(part) for part in parts])[:-1])


def _unit(name: str, embeddings: np.ndarray, numbers: np.ndarray) -> torch.Tensor:
    """Embeddings (N, D) as unit-length float32, checked."""
    embeddings = np.asarray(embeddings)
    if embeddings.ndim != 2 or len(embeddings) != len(numbers):
        raise ValueError(f"{name}: {len(numbers):,} items need embeddings ({len(numbers)}, D), not {embeddings.shape}")
    if len(embeddings) == 0:
        raise ValueError(f"{name}: there is nothing to rank, not a single embedding")
    bad = ~np.isfinite(embeddings).all(1)
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(f"{name}: {bad.sum():,} embeddings are not finite, the first in row {row}; look for NaN there")
    return F.normalize(torch.from_numpy(np.ascontiguousarray(embeddings, np.float32)), dim=1)

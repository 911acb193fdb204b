"""Ranking a gallery for each query, and what is said of such a ranking: plain functions on arrays.

A query without a match in the gallery is left out, and counted in ``n_excluded``. Ties count against us: a match stands
behind every other image that is as similar, so that an embedding that maps everything to one point scores nothing."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from ..cells import as_text

KS = (1, 10, 20, 30)
BLOCK = 2**24  # similarities held at once: 64 MB
TIE = np.float32(1e-6)  # cosines that differ by less are equal: some ten roundings of float32


@dataclass(frozen=True)
class Ranking:
    """How well a gallery was ranked for n queries; every array has a row for each query that has a match.

    ``average_precision`` is at R (Musgrave, Belongie, Lim, 2020): the mean over the first R places of the precision up
    to there where a match stands, and of 0 where none does."""

    queries: np.ndarray  # (n,), which of the given queries these are
    items: np.ndarray  # (n,), a number for the item of each; queries of one item are resampled together
    matches: np.ndarray  # (n,), R: how many images of the same item are in the gallery
    first_match_rank: np.ndarray  # (n,), place of the nearest match in the whole gallery; 1 is best
    average_precision: np.ndarray  # (n,)
    nearest: np.ndarray  # (n, k), positions of the nearest gallery images, the nearest first
    hits: np.ndarray  # (n, k), which of them are matches
    n_excluded: int  # queries left out, for their item is not known or has no other image in the gallery
    ks: tuple[int, ...] = KS  # the K of recall_at_K

    def values(self) -> dict[str, np.ndarray]:
        """Every metric as one value per query (n,): recall_at_K (whether a match is among the K nearest images of the
        whole gallery), map_at_r, and mrr (1 / first_match_rank)."""
        recalls = {f"recall_at_{k}": (self.first_match_rank <= k).astype(float) for k in self.ks}
        return {**recalls, "map_at_r": self.average_precision, "mrr": 1.0 / self.first_match_rank}

    def scores(self) -> dict[str, float]:
        """The mean of every metric, n_queries and n_excluded."""
        means = {name: float(values.mean()) for name, values in self.values().items()}
        return {**means, "n_queries": len(self.queries), "n_excluded": self.n_excluded}


def rank(
    queries: np.ndarray, gallery: np.ndarray, query_items: Sequence, gallery_items: Sequence, ks=KS, alone=False
) -> Ranking:
    """Rank the gallery (G, D) by cosine similarity for each of the queries (Q, D).

    What items are the same, and which are missing: ``cells.as_text``; a negative number says likewise that the item is
    not known. ``alone`` says that both are the same images, and takes each out of its own ranking. At most ``BLOCK``
    similarities are in memory at once (but one query's at least). Raises ``ValueError`` for an empty gallery, values
    that are not finite, shapes that do not fit, and if no query has a match."""
    query_numbers, gallery_numbers = _numbers(query_items, gallery_items)
    queries, gallery = _unit("queries", queries, query_numbers), _unit("gallery", gallery, gallery_numbers)
    if queries.shape[1] != gallery.shape[1] or alone and len(queries) != len(gallery):
        shapes = f"queries {tuple(queries.shape)}, gallery {tuple(gallery.shape)}"
        raise ValueError(f"{shapes}: they must have as many columns; with alone, be the same images")
    if not (ks := tuple(np.atleast_1d(ks).tolist())) or not all(isinstance(k, int) and k > 0 for k in ks):
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
    height = min(max(BLOCK // len(gallery), 1), len(kept))
    memory = torch.empty(height, len(gallery))
    exact = torch.float32 if len(gallery) < 2**24 else torch.float64  # float32 counts to there, much faster
    for begin in range(0, len(kept), height):
        done = slice(begin, begin + height)
        rows = kept[done]
        similarity = torch.mm(queries[rows], gallery.T, out=memory[: len(rows)])
        if alone:
            similarity[np.arange(len(rows)), rows] = -torch.inf
        best = torch.from_numpy(_lower_matches(similarity.numpy(), order, starts[rows], stops[rows]))
        listed = similarity.topk(max(k, matches[rows].max())).indices.numpy()
        right = gallery_numbers[listed] == query_numbers[rows, None]
        precision[done] = average_precision_at_r(right, matches[rows])
        nearest[done], hits[done] = listed[:, :k], right[:, :k]
        first[done] = 1 + similarity.gt_(best[:, None]).sum(1, dtype=exact).numpy()  # 0 and 1 written over them
    excluded = len(queries) - len(kept)
    return Ranking(kept, query_numbers[kept], matches[kept], first, precision, nearest, hits, excluded, ks)


def _lower_matches(similarity: np.ndarray, order: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """Take ``TIE`` from the similarity (B, G) of every match, so that it comes last among equals, and return that of
    each row's best match (B,). The matches of row b are the columns ``order[starts[b]:stops[b]]``."""
    counts = stops - starts
    ends = counts.cumsum()
    rows = np.repeat(np.arange(len(counts)), counts)
    columns = order[np.arange(ends[-1]) + np.repeat(stops - ends, counts)]
    similarity[rows, columns] -= TIE
    return np.maximum.reduceat(similarity[rows, columns], ends - counts)


def average_precision_at_r(hits: np.ndarray, matches: np.ndarray) -> np.ndarray:
    """(B,) from which of the nearest images are matches (B, k) and how many there are in the gallery (B,); rows with
    more matches than k come out too low."""
    places = np.arange(1, hits.shape[1] + 1)
    counted = hits & (places <= matches[:, None])
    return (counted.cumsum(1) / places * counted).sum(1) / matches


def _numbers(*items: Sequence) -> list[np.ndarray]:
    """Each sequence of items as int64 (N,); an item has the same number everywhere, and one not known has -1."""
    texts = [as_text(part) for part in items]
    numbers, names = pd.factorize(pd.concat(texts, ignore_index=True))
    negative = [number for number, name in enumerate(names) if re.fullmatch(r"-\d+(\.\d+)?", name)]
    return np.split(np.where(np.isin(numbers, negative), -1, numbers), np.cumsum([len(part) for part in texts])[:-1])


def _unit(name: str, embeddings: np.ndarray, numbers: np.ndarray) -> torch.Tensor:
    """Embeddings (N, D) as unit-length float32, checked."""
    embeddings = np.asarray(embeddings.detach().double().cpu() if torch.is_tensor(embeddings) else embeddings, float)
    if embeddings.ndim != 2 or len(embeddings) != len(numbers) or len(numbers) == 0:
        raise ValueError(f"{name}: N items and embeddings (N, D) are needed, not {len(numbers)}, {embeddings.shape}")
    bad = ~np.isfinite(embeddings).all(1)
    if bad.any():
        raise ValueError(f"{name}: {bad.sum():,} embeddings are not finite, the first in row {bad.argmax()}")
    largest = np.abs(embeddings).max(1, keepdims=True)  # a direction does not depend on its length
    return F.normalize(torch.from_numpy((embeddings / np.where(largest > 0, largest, 1)).astype(np.float32)), dim=1)

"""What an index costs as it grows: time to fill and to ask, space on disk, and what it misses of the exact answer."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fashionlib.shop.index import open_index

COSTS = (
    "insert_seconds",
    "query_ms",
    "filtered_query_ms",
    "exact_query_ms",
    "exact_filtered_query_ms",
    "disk_mb",
)


def measure(
    vectors: np.ndarray,
    table: pd.DataFrame,
    sizes: Sequence[int],
    queries: np.ndarray,
    where: Mapping,
    k: int = 10,
    folder: str | Path | None = None,
) -> pd.DataFrame:
    """A row for each size: an index in a folder of the first so many vectors (N, D) and rows of their attributes.

    - ``items``; ``insert_seconds`` to insert them all, and have them on disk.
    - ``query_ms``, ``filtered_query_ms``: median over the queries (Q, D), asked one by one, without and with ``where``;
      ``exact_query_ms``, ``exact_filtered_query_ms``: the same of exact search in memory.
    - ``recall``, ``filtered_recall``: share of the k nearest by exact search that the index finds, of its cosine or
      better, so that ties do not count against it. NaN where nothing passes the filter.
    - ``disk_mb``: megabytes (10**6 bytes).

    The files are made in a temporary folder (in ``folder``, if given) and removed. Raises ``ValueError`` for a size
    that there are not enough vectors for.
    """
    if bad := [size for size in sizes if not 1 <= size <= len(vectors)]:
        raise ValueError(f"size {bad[0]:,} of {len(vectors):,} vectors; give sizes from 1 to their number")
    return pd.DataFrame([_one(vectors[:size], table.iloc[:size], queries, where, k, folder) for size in sizes])


def extrapolate(
    measured: pd.DataFrame, to: Sequence[int] = (1_000_000, 10_000_000), costs: Sequence[str] = COSTS
) -> pd.DataFrame:
    """Every cost of ``measure`` in a row of its own for each size, and what it would be at the sizes ``to``.

    Columns cost, items, value, fixed, per_million and ``measured``, False for a row that is extrapolated. Two parts,
    neither below zero, are fitted to each cost by least squares on the relative errors: one that is there with any
    number of items, and one that grows with them (``per_million`` items), as it does where everything is compared. It
    knows nothing of what happens on the way, such as memory that no longer suffices.

    Raises ``ValueError`` for fewer than two sizes.
    """
    from scipy.optimize import nnls

    if measured["items"].nunique() < 2:
        raise ValueError("a growth needs at least two sizes measured")
    parts = []
    for cost in costs:
        items, values = measured["items"].to_numpy(float), measured[cost].to_numpy(float)
        fixed, each = nnls(np.stack([1 / values, items / values], axis=1), np.ones(len(values)))[0]
        there = pd.DataFrame({"items": measured["items"], "value": values, "measured": True})
        beyond = fixed + each * np.array(to, float)
        rows = pd.concat([there, pd.DataFrame({"items": list(to), "value": beyond, "measured": False})])
        parts.append(rows.assign(cost=cost, fixed=fixed, per_million=each * 1e6))
    return pd.concat(parts, ignore_index=True)[["cost", "items", "value", "fixed", "per_million", "measured"]]


def _one(vectors, table, queries, where, k, folder) -> dict[str, float]:
    ids = [str(row) for row in range(len(vectors))]
    options = {"dimension": vectors.shape[1], "model_id": "speed", "attributes": list(table)}
    exact = open_index(None, **options)
    exact.insert(ids, vectors, table)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        path = Path(place) / "speed.db"
        index = open_index(path, **options)
        started = time.perf_counter()
        index.insert(ids, vectors, table)
        index.close()
        seconds = time.perf_counter() - started
        megabytes = sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e6
        with open_index(path, **options) as index:
            query_ms, found = _ask(index, queries, k, None)
            filtered_ms, filtered = _ask(index, queries, k, where)
    exact_ms, best = _ask(exact, queries, k, None)
    exact_filtered_ms, filtered_best = _ask(exact, queries, k, where)
    return {
        "items": len(vectors),
        "insert_seconds": seconds,
        "query_ms": query_ms,
        "filtered_query_ms": filtered_ms,
        "exact_query_ms": exact_ms,
        "exact_filtered_query_ms": exact_filtered_ms,
        "recall": recall(found, best),
        "filtered_recall": recall(filtered, filtered_best),
        "disk_mb": megabytes,
    }


def _ask(index, queries: np.ndarray, k: int, where: Mapping | None) -> tuple[float, list[pd.DataFrame]]:
    """Median milliseconds of one query, and the answers; the first query is asked once before."""
    index.search(queries[:1], k, where)
    times, answers = [], []
    for query in queries:
        started = time.perf_counter()
        answers.append(index.search(query[None], k, where))
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times), answers


def recall(found: Sequence[pd.DataFrame], exact: Sequence[pd.DataFrame]) -> float:
    """Share of the exact answers' items that were found: the same, or another as similar as the last of them."""
    hits = total = 0
    for answer, best in zip(found, exact, strict=True):
        if len(best):
            as_good = answer["id"].isin(best["id"]) | (answer["similarity"] >= best["similarity"].min() - 1e-6)
            hits += as_good.sum()
            total += len(best)
    return float(hits / total) if total else float("nan")

"""What an index costs as it grows: time to fill and to ask, space on disk, and what it misses of the exact answer."""

import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fashionlib.shop.index import Index, open_index


def measure(
    vectors: np.ndarray, table: pd.DataFrame, sizes: Sequence[int], queries: np.ndarray, where: Mapping, k: int = 10
) -> pd.DataFrame:
    """A row for each size and engine, ``exact`` (in memory) and ``lancedb`` (in a temporary folder), filled with the
    first so many vectors (N, D) and rows of their attributes: ``engine``, ``items``, ``insert_seconds`` of them all;
    ``query_ms``, ``filtered_query_ms``: median over the queries (Q, D), asked one by one, without and with ``where``;
    ``recall``, ``filtered_recall``: share of the k nearest by exact search that the engine finds, or as near ones, NaN
    where nothing passes the filter; ``disk_mb``: megabytes (10**6 bytes), NaN in memory. Raises ``ValueError`` for a
    size that there are not enough vectors for."""
    if bad := [size for size in sizes if not 1 <= size <= len(vectors)]:
        raise ValueError(f"size {bad[0]:,} of {len(vectors):,} vectors; give sizes from 1 to their number")
    rows = []
    for size in sizes:
        layout = {"dimension": vectors.shape[1], "model_id": "speed", "attributes": list(table)}
        best: list[list[pd.DataFrame]] = []
        with tempfile.TemporaryDirectory() as folder:
            for engine, place in (("exact", None), ("lancedb", folder)):
                with open_index(place, **layout) as index:
                    started = time.perf_counter()
                    index.insert([str(row) for row in range(size)], vectors[:size], table.iloc[:size])
                    row = {"engine": engine, "items": size, "insert_seconds": time.perf_counter() - started}
                    asked = [_ask(index, queries, k, having) for having in (None, where)]
                best = best or [answers for _, answers in asked]
                row |= {"query_ms": asked[0][0], "filtered_query_ms": asked[1][0]}
                shares = [recall(answers, exact) for (_, answers), exact in zip(asked, best, strict=True)]
                row |= {"recall": shares[0], "filtered_recall": shares[1]}
                files = [file for file in Path(place).rglob("*") if file.is_file()] if place else []
                rows.append(row | {"disk_mb": sum(f.stat().st_size for f in files) / 1e6 if place else float("nan")})
    return pd.DataFrame(rows)


def recall(found: Sequence[pd.DataFrame], exact: Sequence[pd.DataFrame]) -> float:
    """Share of the exact answers' items that were found: the same, or another as similar as the last of them."""
    hits = [
        answer["id"].isin(best["id"]) | (answer["similarity"] >= best["similarity"].min() - 1e-6)
        for answer, best in zip(found, exact, strict=True)
    ]
    total = sum(map(len, exact))
    return float(sum(hit.sum() for hit in hits) / total) if total else float("nan")


def _ask(index: Index, queries: np.ndarray, k: int, where: Mapping | None) -> tuple[float, list[pd.DataFrame]]:
    """Median milliseconds of one query, and the answers; the first query is asked once before."""
    index.search(queries[:1], k, where)
    times, answers = [], []
    for query in queries:
        started = time.perf_counter()
        answers.append(index.search(query[None], k, where))
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times), answers

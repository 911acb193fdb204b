"""The measurement measures what it says."""

import numpy as np
import pandas as pd
import pytest

from study.speed.index import measure, recall


def test_every_size_is_measured_and_what_compares_all_misses_nothing():
    pytest.importorskip("lancedb")
    rng = np.random.default_rng(0)
    vectors, table = rng.normal(size=(90, 8)), pd.DataFrame({"colour": ["Red", "Blue", "Green"] * 30})
    measured = measure(vectors, table, (30, 90), vectors[:4], {"colour": "Red"}, k=5)
    costs = ["insert_seconds", "query_ms", "filtered_query_ms"]
    assert list(measured) == ["engine", "items", *costs, "recall", "filtered_recall", "disk_mb"]
    assert measured[["engine", "items"]].to_numpy().tolist() == [
        ["exact", 30], ["lancedb", 30], ["exact", 90], ["lancedb", 90],
    ]  # fmt: skip
    assert (measured[costs] > 0).all(axis=None)
    assert (measured[["recall", "filtered_recall"]] == 1).all(axis=None)
    kept = measured[measured["engine"] == "lancedb"]
    assert (kept["disk_mb"] > kept["items"] * 8 * 4 / 1e6).all()  # at least the vectors
    with pytest.raises(ValueError, match="size 91 of 90 vectors"):
        measure(vectors, table, (4, 91), vectors[:1], {})


def answer(*hits: tuple[str, float]) -> pd.DataFrame:
    return pd.DataFrame(list(hits), columns=["id", "similarity"])


def test_recall_counts_what_is_missed_and_forgives_ties():
    exact = [answer(("a", 0.9), ("b", 0.8), ("c", 0.7)), answer(("d", 0.5))]
    assert recall(exact, exact) == 1
    assert recall([answer(("a", 0.9), ("c", 0.7), ("x", 0.6)), answer()], exact) == 2 / 4
    assert recall([answer(("a", 0.9), ("b", 0.8), ("x", 0.7)), answer(("d", 0.5))], exact) == 1
    assert np.isnan(recall([answer()], [answer()]))

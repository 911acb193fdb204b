"""The measurement measures what it says, and the extrapolation finds the growth that was put in."""

import numpy as np
import pandas as pd
import pytest

from study.speed.index import COSTS, extrapolate, measure, recall


def test_every_size_is_measured_and_what_compares_all_misses_nothing():
    pytest.importorskip("lancedb")
    rng = np.random.default_rng(0)
    vectors, table = rng.normal(size=(90, 8)), pd.DataFrame({"colour": ["Red", "Blue", "Green"] * 30})
    measured = measure(vectors, table, (30, 90), vectors[:4], {"colour": "Red"}, k=5)
    columns = ["engine", "items", *COSTS[:3], "recall", "filtered_recall", "disk_mb"]
    assert list(measured) == columns
    assert measured[["engine", "items"]].to_numpy().tolist() == [
        ["exact", 30], ["lancedb", 30], ["exact", 90], ["lancedb", 90],
    ]  # fmt: skip
    assert (measured[list(COSTS[:3])] > 0).all(axis=None)
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


def test_the_extrapolation_finds_the_fixed_part_and_the_growth_that_were_put_in():
    items = np.array([1000, 4000, 16000])
    measured = pd.DataFrame(
        {"engine": "lancedb", "items": items, "query_ms": 3.0, "insert_seconds": 0.5 + 2e-4 * items}
    )
    measured = measured.assign(filtered_query_ms=[3.0, 2.0, 1.0], disk_mb=np.nan)
    table = extrapolate(measured, to=(64000, 10**6)).set_index("cost")
    assert table["engine"].eq("lancedb").all() and set(table.index) == {*COSTS[:3]}
    insert = table.loc["insert_seconds"]
    assert (
        insert["items"].tolist() == [*items, 64000, 10**6] and insert["measured"].tolist() == [True] * 3 + [False] * 2
    )
    assert insert["value"].tolist() == pytest.approx([0.5 + 2e-4 * n for n in insert["items"]])
    assert insert[["fixed", "per_million"]].iloc[0].tolist() == pytest.approx([0.5, 200])
    assert table.loc["query_ms", "per_million"].tolist() == pytest.approx([0] * 5, abs=1e-6)
    falling = table.loc["filtered_query_ms"]  # is not extrapolated below zero
    assert (falling["value"] >= 1).all() and (falling["per_million"] == 0).all()
    with pytest.raises(ValueError, match="at least two sizes"):
        extrapolate(measured[:1])

"""The measurement measures what it says, and the extrapolation finds the growth that was put in."""

import numpy as np
import pandas as pd
import pytest

from study.speed import index as speed


def test_every_size_is_measured_and_the_recall_of_an_index_that_compares_all_is_one(tmp_path):
    pytest.importorskip("pymilvus")
    pytest.importorskip("milvus_lite")
    rng = np.random.default_rng(0)
    vectors, table = rng.normal(size=(90, 8)), pd.DataFrame({"colour": ["Red", "Blue", "Green"] * 30})
    measured = speed.measure(vectors, table, (30, 90), vectors[:4], {"colour": "Red"}, k=5, folder=tmp_path)
    assert list(measured) == ["items", *speed.COSTS[:5], "recall", "filtered_recall", "disk_mb"]
    assert measured["items"].tolist() == [30, 90]
    assert (measured[list(speed.COSTS)] > 0).all(axis=None)
    assert (measured[["recall", "filtered_recall"]] == 1).all(axis=None)
    assert (measured["disk_mb"] > measured["items"] * 8 * 4 / 1e6).all()  # at least the vectors
    assert not list(tmp_path.iterdir())


def test_a_size_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="size 9 of 8 vectors"):
        speed.measure(np.ones((8, 2)), pd.DataFrame(index=range(8)), (4, 9), np.ones((1, 2)), {})


def answer(*hits: tuple[str, float]) -> pd.DataFrame:
    return pd.DataFrame(list(hits), columns=["id", "similarity"])


def test_recall_counts_what_is_missed_and_forgives_ties():
    exact = [answer(("a", 0.9), ("b", 0.8), ("c", 0.7)), answer(("d", 0.5))]
    assert speed.recall(exact, exact) == 1
    assert speed.recall([answer(("a", 0.9), ("c", 0.7), ("x", 0.6)), answer()], exact) == 2 / 4
    assert speed.recall([answer(("a", 0.9), ("b", 0.8), ("x", 0.7)), answer(("d", 0.5))], exact) == 1
    assert np.isnan(speed.recall([answer()], [answer()]))


def test_the_extrapolation_finds_the_fixed_part_and_the_growth_that_were_put_in():
    items = np.array([1000, 4000, 16000])
    measured = pd.DataFrame({"items": items, "query_ms": 3 + 0 * items, "insert_seconds": 0.5 + 2e-4 * items})
    table = speed.extrapolate(measured, to=(64000, 10**6), costs=("query_ms", "insert_seconds"))
    assert list(table) == ["cost", "items", "value", "fixed", "per_million", "measured"]
    assert table["cost"].tolist() == ["query_ms"] * 5 + ["insert_seconds"] * 5
    assert table["items"].tolist() == [1000, 4000, 16000, 64000, 10**6] * 2
    assert table["measured"].tolist() == [True, True, True, False, False] * 2
    assert table["fixed"].tolist() == pytest.approx([3] * 5 + [0.5] * 5)
    assert table["per_million"].tolist() == pytest.approx([0] * 5 + [200] * 5, abs=1e-6)
    insert = table[table["cost"] == "insert_seconds"]["value"]
    assert insert.tolist() == pytest.approx([0.5 + 2e-4 * n for n in (1000, 4000, 16000, 64000, 10**6)])
    with pytest.raises(ValueError, match="at least two sizes"):
        speed.extrapolate(measured[:1])


def test_a_cost_that_seems_to_fall_is_not_extrapolated_below_zero():
    measured = pd.DataFrame({"items": [1000, 2000], "query_ms": [3.0, 2.0]})
    beyond = speed.extrapolate(measured, costs=("query_ms",)).query("not measured")
    assert (beyond["value"] > 2).all() and (beyond["per_million"] == 0).all()

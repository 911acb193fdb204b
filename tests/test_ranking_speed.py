"""The measurement measures what it says; how fast is for the table."""

import numpy as np
import pytest

from study.speed import ranking as speed
from fashionlib.metrics.ranking import rank


def test_every_way_is_measured_and_compared_with_the_bare_product():
    table = speed.ranking_speed(queries=60, gallery=50, dimension=8, items=20, repeats=1, ways=tuple(speed.WAYS))
    assert list(table) == ["what", "seconds", "peak_mb", "ratio_to_bare"]
    assert table["what"].tolist() == ["bare", "rank", "accuracy_calculator", "accuracy_calculator_whole"]
    assert (table["seconds"] > 0).all() and (table["peak_mb"].fillna(0) >= 0).all()  # NaN without /proc
    assert table["ratio_to_bare"].tolist() == pytest.approx((table["seconds"] / table["seconds"][0]).tolist())


def test_a_way_that_is_not_there_and_a_table_without_the_bare_one_are_refused():
    with pytest.raises(ValueError, match="no way faiss; there are bare, rank"):
        speed.ranking_speed(10, 10, 4, 5, ways=("bare", "faiss"))
    with pytest.raises(ValueError, match="'bare'"):
        speed.ranking_speed(10, 10, 4, 5, ways=("rank",))


def test_the_inputs_are_unit_length_scattered_around_items_and_the_same_every_time():
    queries, gallery, query_items, gallery_items = speed.made_up(90, 80, 64, 30)
    assert queries.shape == (90, 64) and gallery.shape == (80, 64) and queries.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(queries, axis=1), 1, atol=1e-6)
    assert set(query_items) == set(gallery_items) == set(range(30))
    assert np.bincount(gallery_items).max() > 2 * 80 / 30
    scores = rank(queries, gallery, query_items, gallery_items).scores()
    assert 0.1 < scores["recall_at_1"] < 1
    np.testing.assert_array_equal(speed.made_up(90, 80, 64, 30)[1], gallery)


def test_memory_counts_what_a_way_takes_beyond_its_inputs(monkeypatch):
    def hungry(queries, *_):
        assert len(queries) and np.ones(2**25).sum()  # 256 MB

    monkeypatch.setitem(speed.WAYS, "bare", hungry)
    _, megabytes = speed._measure("bare", (10, 10, 4, 5), threads=1)
    assert np.isnan(megabytes) or 250 < megabytes

"""Rankings against a table made by hand, a plain loop and pytorch-metric-learning."""

import numpy as np
import pandas as pd
import pytest
import torch

from fashionlib.metrics import ranking as module
from fashionlib.metrics.ranking import rank

THEIRS = ("precision_at_1", "mean_average_precision_at_r", "mean_reciprocal_rank")


def at(*degrees: float) -> np.ndarray:
    """Unit vectors at these angles: the nearest is the one at the nearest angle."""
    angles = np.deg2rad(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], 1)


def scattered(rng, n: int, dimension: int, items: int) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings that have something, not all, to do with their items."""
    numbers = rng.integers(0, items, n)
    centres = np.random.default_rng(items).normal(size=(items, dimension))
    return (centres[numbers] + rng.normal(size=(n, dimension))).astype(np.float32), numbers


def rank_alone(embeddings, items, **options):
    return rank(embeddings, embeddings, items, items, alone=True, **options)


def one_by_one(queries, gallery, query_items, gallery_items, alone=False):
    """The definitions, query by query, in double precision: for each query with a match the place of each match."""
    queries, gallery = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (queries.astype(float), gallery))
    places = {}
    for q in range(len(queries)):
        others = np.array([g for g in range(len(gallery)) if not (alone and g == q)])
        cosine = gallery[others] @ queries[q]
        match = gallery_items[others] == query_items[q]
        best_first = np.sort(cosine[match])[::-1]
        if len(best_first):
            places[q] = [i + (cosine[~match] > c - 1e-6).sum() for i, c in enumerate(best_first, start=1)]
    return places


def mean_of(places, value) -> float:
    return float(np.mean([value(ranks) for ranks in places.values()]))


def map_at_r(ranks) -> float:
    return sum(i / place for i, place in enumerate(ranks, start=1) if place <= len(ranks)) / len(ranks)


def assert_as_one_by_one(ranking, places):
    assert ranking.queries.tolist() == list(places)
    assert ranking.first_match_rank.tolist() == [ranks[0] for ranks in places.values()]
    assert ranking.matches.tolist() == [len(ranks) for ranks in places.values()]
    np.testing.assert_allclose(ranking.average_precision, [map_at_r(ranks) for ranks in places.values()])


# --- by hand --------------------------------------------------------------------------------------


@pytest.fixture
def by_hand():
    gallery, gallery_items = at(0, 10, 20, 30, 40, 50), np.array(list("abacba"))
    queries = at(1, 11, 42, 70, 9)
    return rank(queries, gallery, np.array(["a", "b", "c", "x", None]), gallery_items, ks=(1, 2, 4))


def test_a_table_made_by_hand(by_hand):
    # 1: a (0), b (10), a (20), c (30), b (40), a (50)     R = 3, matches at 1, 3, 6
    # 11: b (10), a (20), a (0), c (30), b (40), a (50)    R = 2, matches at 1, 5
    # 42: b (40), a (50), c (30), ...                      R = 1, match at 3
    # x is not in the gallery, and the item of the last is not known
    assert by_hand.queries.tolist() == [0, 1, 2] and by_hand.n_excluded == 2
    assert by_hand.nearest.tolist() == [[0, 1, 2, 3], [1, 2, 0, 3], [4, 5, 3, 2]]
    assert by_hand.hits.astype(int).tolist() == [[1, 0, 1, 0], [1, 0, 0, 0], [0, 0, 1, 0]]
    assert by_hand.first_match_rank.tolist() == [1, 1, 3] and by_hand.matches.tolist() == [3, 2, 1]
    np.testing.assert_allclose(by_hand.average_precision, [(1 / 1 + 2 / 3) / 3, 1 / 2, 0])
    np.testing.assert_allclose(by_hand.values()["mrr"], [1, 1, 1 / 3])
    assert by_hand.scores() == pytest.approx(
        {
            "recall_at_1": 2 / 3,
            "recall_at_2": 2 / 3,
            "recall_at_4": 1,
            "map_at_r": (5 / 9 + 1 / 2) / 3,
            "mrr": (1 + 1 + 1 / 3) / 3,
            "n_queries": 3,
            "n_excluded": 2,
        }
    )


# --- against others -------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("dimension", "items"), [(6, 40), (2, 4), (1, 10)])
def test_any_ranking_is_that_of_a_plain_loop(seed, dimension, items):
    rng = np.random.default_rng(seed)
    queries, query_items = scattered(rng, 37, dimension, items)
    gallery, gallery_items = scattered(rng, 101, dimension, items)
    gallery_items[gallery_items == query_items[0]] = items  # so that nothing matches the first query
    places = one_by_one(queries, gallery, query_items, gallery_items)
    ranking = rank(queries, gallery, query_items, gallery_items)
    assert_as_one_by_one(ranking, places)
    scores = ranking.scores()
    assert (scores["n_queries"], scores["n_excluded"]) == (len(places), 37 - len(places)) and 0 not in places
    for k in (1, 10, 20, 30):
        assert scores[f"recall_at_{k}"] == pytest.approx(mean_of(places, lambda ranks, k=k: ranks[0] <= k))


@pytest.mark.parametrize("seed", range(3))
def test_leaving_one_out_is_that_of_a_plain_loop(seed):
    embeddings, items = scattered(np.random.default_rng(seed), 83, 5, 30)
    ranking = rank_alone(embeddings, items)
    assert_as_one_by_one(ranking, one_by_one(embeddings, embeddings, items, items, alone=True))
    assert ranking.n_excluded == (np.bincount(items)[items] == 1).sum() > 0
    assert not (ranking.nearest == ranking.queries[:, None]).any()


def theirs(queries, query_items, gallery=None, gallery_items=None):
    from pytorch_metric_learning.distances import CosineSimilarity
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
    from pytorch_metric_learning.utils.inference import CustomKNN

    calculator = AccuracyCalculator(THEIRS, device=torch.device("cpu"), knn_func=CustomKNN(CosineSimilarity()))
    return calculator.get_accuracy(queries, query_items, gallery, gallery_items)


@pytest.mark.parametrize("items", [3, 15, 90])
def test_pytorch_metric_learning_says_the_same(items):
    rng = np.random.default_rng(items)
    queries, query_items = scattered(rng, 120, 8, items)
    gallery, gallery_items = scattered(rng, 150, 8, items)
    queries[0], query_items[0] = 1, items + 7  # the only one of its item
    for ours, other in [
        (rank(queries, gallery, query_items, gallery_items), theirs(queries, query_items, gallery, gallery_items)),
        (rank_alone(queries, query_items), theirs(queries, query_items)),
    ]:
        scores = ours.scores()
        assert scores["n_excluded"] > 0
        assert scores["recall_at_1"] == pytest.approx(other["precision_at_1"])
        assert scores["map_at_r"] == pytest.approx(other["mean_average_precision_at_r"])
        assert scores["mrr"] == pytest.approx(other["mean_reciprocal_rank"], rel=1e-6)


# --- ties -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dimension", [1, 37, 512])
def test_an_embedding_that_tells_nothing_apart_finds_nothing(dimension):
    point = np.random.default_rng(dimension).normal(size=(1, dimension))
    queries, gallery = np.repeat(point, 50, 0), np.repeat(point, 1003, 0)
    gallery_items = np.arange(1003) % 50
    ranking = rank(queries, gallery, np.arange(50), gallery_items)
    matches = np.bincount(gallery_items)
    assert ranking.first_match_rank.tolist() == (1003 - matches + 1).tolist()
    assert ranking.scores()["recall_at_30"] == ranking.scores()["map_at_r"] == 0
    alone = rank_alone(gallery, gallery_items)
    assert alone.first_match_rank.tolist() == (1002 - (matches - 1) + 1)[gallery_items].tolist()
    assert alone.scores()["map_at_r"] == 0


def test_another_item_that_looks_the_same_stands_first():
    gallery = at(0, 0, 90)
    ranking = rank(at(0), gallery, ["a"], ["a", "b", "b"])
    assert ranking.first_match_rank.tolist() == [2] and ranking.nearest.tolist() == [[1, 0, 2]]
    assert rank(at(0), gallery, ["b"], ["b", "b", "a"]).first_match_rank.tolist() == [1]  # matches do not compete


def test_leaving_one_out_removes_an_image_not_its_twins():
    ranking = rank_alone(at(0, 0, 50), ["a", "a", "b"], ks=(1, 9))
    assert ranking.queries.tolist() == [0, 1] and ranking.first_match_rank.tolist() == [1, 1]
    assert ranking.nearest.tolist() == [[1, 2], [0, 2]]


# --- sizes ----------------------------------------------------------------------------------------


def test_items_of_more_images_than_are_listed():
    rng = np.random.default_rng(8)
    queries, query_items = scattered(rng, 20, 4, 3)
    gallery, gallery_items = scattered(rng, 140, 4, 3)
    places = one_by_one(queries, gallery, query_items, gallery_items)
    ranking = rank(queries, gallery, query_items, gallery_items, ks=(1, 5))
    assert ranking.nearest.shape == (20, 5) and ranking.matches.min() > 5
    assert_as_one_by_one(ranking, places)
    only = rank(queries, gallery, np.zeros(20, int), np.zeros(140, int), ks=(1,))
    assert (only.first_match_rank == 1).all() and (only.average_precision == 1).all()


@pytest.mark.parametrize("block", [1, 100, 101, 102, 505, 10**9])
def test_blocks_change_nothing(block, monkeypatch):
    rng = np.random.default_rng(9)
    queries, query_items = scattered(rng, 53, 6, 40)
    gallery, gallery_items = scattered(rng, 101, 6, 40)
    whole = rank(queries, gallery, query_items, gallery_items)
    made, product = [], torch.mm
    monkeypatch.setattr(module, "BLOCK", block)
    monkeypatch.setattr(torch, "mm", lambda *given, out: made.append(out.numel()) or product(*given, out=out))
    parts = rank(queries, gallery, query_items, gallery_items)
    assert sum(made) == len(whole.queries) * 101 and max(made) <= max(block, 101)
    for name in ("queries", "matches", "first_match_rank", "nearest", "hits"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))
    np.testing.assert_allclose(parts.average_precision, whole.average_precision)


# --- items ----------------------------------------------------------------------------------------


def test_items_are_text_or_numbers_and_those_not_known_match_nothing():
    queries, gallery = at(0, 30, 60, 90), at(1, 31, 61, 91)
    text = [np.array(["p", None, "q", "r"], object), np.array(["p", None, "s", np.nan], object)]
    numbers = [np.array([1, -1, 2, 3]), np.array([1, -1, 4, -2])]
    floats = [np.array([1, np.nan, 2, 3]), np.array([1, np.nan, 4, np.nan])]
    series = [pd.Series(part, index=[7, 3, 9, 1]) for part in text]
    tensors = [torch.tensor([1, -1, 2, 3]), list(torch.tensor([1, -1, 4, -2]))]
    for query_items, gallery_items in (text, numbers, floats, series, tensors):
        ranking = rank(queries, gallery, query_items, gallery_items)
        assert ranking.queries.tolist() == [0] and ranking.n_excluded == 3 and ranking.matches.tolist() == [1]


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gallery": np.zeros((0, 2)), "gallery_items": []}, "gallery: N items .* not 0"),
        ({"queries": np.zeros((0, 2)), "query_items": []}, "queries: N items .* not 0"),
        ({"queries": np.array([[0, 1], [np.nan, 1]])}, "queries: 1 embeddings are not finite, the first in row 1"),
        ({"gallery": np.array([[0, 1], [0, 1], [np.inf, 1]])}, "gallery.*row 2"),
        ({"gallery": np.ones((3, 5))}, r"queries \(2, 2\), gallery \(3, 5\): they must have as many columns"),
        ({"alone": True}, r"queries \(2, 2\), gallery \(3, 2\): .* alone, be the same images"),
        ({"query_items": ["a"]}, "queries: .* not 1,"),
        ({"gallery": np.ones(3)}, "gallery: .* not 3, .3,"),
        ({"query_items": ["x", "y"]}, "none of 2 queries"),
        ({"query_items": [1, 2]}, "none of 2 queries"),
        ({"ks": ()}, "ks"),
        ({"ks": (0, 1)}, "ks"),
    ],
)
def test_what_makes_no_sense_is_refused(change, message):
    given = {"queries": at(0, 1), "gallery": at(0, 1, 2), "query_items": ["a", "b"], "gallery_items": ["a", "b", "c"]}
    rank(**given)
    with pytest.raises(ValueError, match=message):
        rank(**given | change)

"""Splits: shares, strata and groups, counted with pandas; groups against a union-find written here."""

import hashlib

import numpy as np
import pandas as pd
import pytest

from fashionlib.cells import group_numbers
from fashionlib.data.splits import grouped_split, random_split
from fashionlib.shop.duplicates import join_groups

PARTS = {"train": 0.70, "val": 0.15, "test": 0.15}


def strata(**counts) -> np.ndarray:
    """Names by their counts, shuffled."""
    names = np.repeat(list(counts), list(counts.values()))
    return np.random.default_rng(5).permutation(names)


@pytest.mark.parametrize("seed", [0, 42])
def test_every_stratum_is_split_70_15_15(seed):
    kinds = strata(shirt=1000, shoe=333, bag=107, watch=20)
    counts = pd.crosstab(kinds, random_split(kinds, seed))
    for part, share in PARTS.items():
        expected = counts.sum(axis=1) * share
        assert (counts[part] - expected).abs().max() <= 1.5, part
        assert counts[part].sum() == pytest.approx(share * len(kinds), abs=2)
    assert (counts.loc["watch"] >= 1).all()


def test_the_test_share_is_rounded_up_as_in_the_published_splits():
    split = pd.Series(random_split(strata(shirt=100, shoe=101)))
    assert split.value_counts().to_dict() == {"train": 139, "val": 31, "test": 31}  # 0.15 * 201 = 30.15


def test_the_random_split_is_that_of_the_published_results():
    kinds = [*strata(shirt=300, shoe=90, bag=8, **{f"rare{i}": 1 + i % 6 for i in range(9)}), None, None]
    letters = "".join(part[1] for part in random_split(kinds, seed=42))
    assert hashlib.sha256(letters.encode()).hexdigest()[:16] == "dc5e377da859f568"


def test_every_rare_type_is_seen_in_training_and_some_rows_are_tested():
    rare = {f"rare{i}": 1 + i % 6 for i in range(30)}  # 1 to 6 rows each
    kinds = strata(shirt=300, **rare)
    for seed in range(5):
        split = random_split(kinds, seed)
        counts = pd.crosstab(kinds, split)
        assert (counts["train"] >= 1).all()
        others = counts.drop("shirt").sum()
        assert others["test"] >= 5 and others["val"] >= 5
        assert counts.loc["shirt", "test"] == pytest.approx(0.15 * 300, abs=6)


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_one_rare_type_does_not_cost_the_others_their_strata(rows):
    kinds = strata(shirt=200, shoe=40, oddity=rows)
    for seed in range(5):
        counts = pd.crosstab(kinds, random_split(kinds, seed))
        assert counts.loc["shoe", "test"] in (6, 7) and counts.loc["shoe", "val"] in (6, 7)
        assert counts.loc["oddity", "train"] == rows


def test_missing_strata_are_split_too():
    kinds = pd.Series(strata(shirt=100, shoe=100)).mask(np.arange(200) % 4 == 0)
    counts = pd.crosstab(kinds.fillna("none"), random_split(kinds))
    assert counts.loc["none", "test"] in (7, 8) and counts.to_numpy().sum() == 200
    prices = pd.Series(np.arange(200) % 3).mask(np.arange(200) % 4 == 0)
    wanted = random_split(prices.astype("Int64").astype(object)).tolist()
    assert random_split(prices.astype("Int64")).tolist() == wanted
    assert random_split(prices.astype("Int64").astype("category")).tolist() == wanted


@pytest.mark.parametrize("n", [7, 8, 15, 40])
def test_small_tables_with_many_types_still_have_three_parts(n):
    split = random_split([f"type{i % (n // 2)}" for i in range(n)])
    counts = pd.Series(split).value_counts()
    assert set(counts.index) == set(PARTS) and counts["train"] >= n // 2
    assert counts["val"] == counts["test"] == int(np.ceil(0.15 * n))


@pytest.mark.parametrize("seed", range(12))
def test_rare_types_that_go_to_the_test_cost_nobody_the_split(seed):
    kinds = [*strata(a=15, b=15, c=15, r=4), *(f"single{k}" for k in range(84))]
    counts = pd.Series(random_split(kinds, seed)).value_counts()
    assert counts["val"] == counts["test"] == 20 and counts["train"] == len(kinds) - 40


@pytest.fixture(scope="module")
def grouped():
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(900), rng.integers(1, 6, 900))
    kinds = np.array(["shirt", "shoe", "bag"])[groups % 10 // 4]
    order = rng.permutation(len(groups))
    return groups[order], kinds[order]


@pytest.mark.parametrize("seed", [0, 42])
def test_no_group_is_on_two_sides(grouped, seed):
    groups, kinds = grouped
    split = grouped_split(groups, kinds, seed)
    assert pd.Series(split).groupby(groups).nunique().max() == 1
    shares = pd.Series(split).value_counts(normalize=True)
    for part, share in PARTS.items():
        assert shares[part] == pytest.approx(share, abs=0.03)
    units = pd.DataFrame({"kind": kinds, "split": split}).groupby(groups).first()
    counts = pd.crosstab(units["kind"], units["split"], normalize="index")
    assert (counts["test"] - 0.15).abs().max() < 0.02
    assert (split == grouped_split(groups, kinds, seed)).all()
    assert (split != grouped_split(groups, kinds, seed + 1)).any()


def test_one_large_group_goes_to_training(grouped):
    groups, kinds = (
        np.concatenate([part, extra]) for part, extra in zip(grouped, ([-7] * 60, ["bag"] * 60), strict=True)
    )
    for seed in range(6):
        split = grouped_split(groups, kinds, seed)
        assert (split[groups == -7] == "train").all()
    just_small_enough = np.concatenate([np.full(20, 10_000), np.arange(300)])
    sides = {grouped_split(just_small_enough, ["x"] * 320, seed)[0] for seed in range(40)}
    assert sides == {"train", "val", "test"}


@pytest.mark.parametrize("sizes", [[36] * 30 + [2] * 10, [24] * 20, [400, 30, 30, *[1] * 200], [90, 80, 70] * 9])
def test_large_groups_are_spread_as_well_as_they_can_be(sizes, recwarn):
    groups = np.repeat(np.arange(len(sizes)), sizes)
    split = pd.Series(grouped_split(groups, groups % 3, seed=3))
    assert split.groupby(groups).nunique().max() == 1
    off = (split.value_counts() - pd.Series(PARTS) * len(groups)).abs().max()
    assert off <= max(sizes) / 2 + 1 or sizes[0] == 400
    assert bool(recwarn) == (off > 0.05 * len(groups))


@pytest.mark.parametrize(("sizes", "counts"), [([9, 1, 1], [9, 1, 1]), ([5] * 4, [10, 5, 5]), ([1] * 3, [1, 1, 1])])
def test_no_part_is_empty_and_a_warning_says_what_was_reached(sizes, counts):
    groups = np.repeat(np.arange(len(sizes)), sizes)
    with pytest.warns(UserWarning, match=rf"not 70/15/15 of the rows, but train {counts[0] / sum(sizes):.1%}, val"):
        split = grouped_split(groups, groups)
    assert [(split == part).sum() for part in PARTS] == counts


def test_groups_may_be_names_and_a_row_without_one_is_a_group():
    names = [f"item{i // 2}" for i in range(60)]
    split = grouped_split(names, ["x"] * 60)
    assert (split[::2] == split[1::2]).all()
    assert group_numbers(["b", None, "a", float("nan"), "b"]).tolist() == [0, 1, 2, 3, 0]
    unknown = grouped_split([None] * 80 + [*range(20)], ["x"] * 100)
    assert [(unknown == part).sum() for part in PARTS] == [70, 15, 15]


def union_find(n: int, pairs) -> list[int]:
    parent = list(range(n))

    def root(i):
        while parent[i] != i:
            i = parent[i]
        return i

    for i, j in pairs:
        parent[root(i)] = root(j)
    return [root(i) for i in range(n)]


def same_partition(one, two) -> bool:
    return len(set(zip(one, two, strict=True))) == len(set(one)) == len(set(two))


def test_many_copies_of_an_edge_do_not_cancel_it():
    pairs = np.array([[0, 1]] * 256 + [[2, 3]] * 2)
    assert same_partition(join_groups(5, pairs).tolist(), [0, 0, 1, 1, 2])


def test_join_groups_against_union_find():
    rng = np.random.default_rng(0)
    for edges in (0, 20, 60, 200):
        one, two = rng.integers(0, 100, (edges, 2)), rng.integers(0, 100, (edges // 2, 2))
        joined = join_groups(100, one, two)
        assert same_partition(joined.tolist(), union_find(100, [*one.tolist(), *two.tolist()]))

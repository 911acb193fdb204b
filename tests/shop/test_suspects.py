"""Suspects, planted errors and hidden labels, against plain loops and by hand."""

import numpy as np
import pandas as pd
import pytest

from fashionlib.shop.suspects import find_suspects, found_planted, hide_labels, plant_errors
from shop.judged import NAN, judged, some
from tiny import tiny_data, tiny_table


def test_suspects_are_ranked_by_margin():
    table = find_suspects(some(), "kind")
    expected = {
        "row": [5, 1, 2, 0],
        "image": ["5.png", "1.png", "2.png", "0.png"],
        "label": ["kind"] * 4,
        "given": ["shoe", "hat", "hat", "bag"],
        "suggested": ["hat", "bag", "shoe", "hat"],
        "p_given": [0.1, 0.3, 0.5, 0.7],
        "p_suggested": [0.9, 0.6, 0.45, 0.2],
        "score": [-0.8, -0.3, 0.05, 0.5],
        "rank": [1, 2, 3, 4],
    }
    pd.testing.assert_frame_equal(table, pd.DataFrame(expected), check_dtype=False, atol=1e-6)
    alone = judged(["a", "b"], "ab", [[1.0, NAN], [0.4, 0.6]])  # a network of one class has no opinion
    assert find_suspects(alone, "kind")["row"].tolist() == [1]
    assert list(find_suspects(judged([None], "ab", [[0.5, 0.5]]), "kind")) == list(table)  # nothing was judged


def test_suspects_are_ranked_as_a_plain_loop_ranks_them():
    rng = np.random.default_rng(0)
    values, given = rng.dirichlet(np.ones(4), 60), rng.choice(list("abcd"), 60)
    found = judged(given, "abcd", values)
    margins, confidences = [], []
    for row, name in zip(values.astype(np.float32), given, strict=True):
        own = row["abcd".index(name)]
        margins.append(own - max(p for other, p in zip("abcd", row, strict=True) if other != name))
        confidences.append(own)
    assert find_suspects(found, "kind")["row"].tolist() == np.argsort(margins).tolist()
    assert find_suspects(found, "kind", by="self-confidence")["row"].tolist() == np.argsort(confidences).tolist()
    with pytest.raises(ValueError, match="'colour' was not predicted; there are kind"):
        find_suspects(found, "colour")
    with pytest.raises(ValueError, match="by is 'entropy'; there are margin, self-confidence"):
        find_suspects(found, "kind", by="entropy")


def test_planted_errors_are_wrong_and_nothing_else_changes():
    data = tiny_data(tiny_table(60, 20, 20))
    before = data.catalogue.table.copy()
    changed, planted = plant_errors(data, "article", share=0.2, seed=3)
    after = changed.catalogue.table
    pd.testing.assert_frame_equal(data.catalogue.table, before)
    pd.testing.assert_frame_equal(after.drop(columns="article"), before.drop(columns="article"))
    differs = (before["article"] != after["article"]) & before["article"].notna()
    assert planted["row"].tolist() == np.flatnonzero(differs).tolist()
    assert planted["true"].tolist() == before.loc[differs, "article"].tolist()
    assert planted["planted"].tolist() == after.loc[differs, "article"].tolist()
    assert planted["image"].tolist() == after.loc[differs, "image"].tolist()
    counts = {"any": 10, "sibling": 10}
    assert planted["kind"].value_counts().to_dict() == counts
    assert changed.catalogue.facts["planted"] == {"label": "article", "share": 0.2, "seed": 3, "rows": counts}
    assert changed.pixels is data.pixels and changed.fingerprint() != data.fingerprint()
    pd.testing.assert_frame_equal(plant_errors(data, "article", share=0.2, seed=3)[1], planted)
    assert not plant_errors(data, "article", share=0.2, seed=4)[1].equals(planted)


@pytest.mark.parametrize(
    "options, kinds",
    [
        ({"kinds": ("sibling",)}, {"Shirt": {"Tunic"}, "Tunic": {"Shirt"}}),  # an only child has none
        (
            {"kinds": ("sibling",), "parent": "master"},
            {"Shirt": {"Tunic", "Jeans"}, "Tunic": {"Shirt", "Jeans"}, "Jeans": {"Shirt", "Tunic"}},
        ),
        ({"kinds": ("any",), "share": 0.9}, {a: {*"Shirt Tunic Jeans Clog".split()} - {a} for a in
                                             ("Shirt", "Tunic", "Jeans", "Clog")}),
        (
            {"kinds": ("confused",), "confused": {"Shirt": "Clog", "Jeans": "Shirt"}},
            {"Shirt": {"Clog"}, "Jeans": {"Shirt"}},
        ),
    ],
)  # fmt: skip
def test_a_kind_says_which_class_is_planted(options, kinds):
    _, planted = plant_errors(tiny_data(tiny_table(60, 20, 20)), "article", **{"share": 0.3, **options})
    assert planted.groupby("true")["planted"].agg(set).to_dict() == kinds


@pytest.mark.parametrize(
    "label, options, message",
    [
        ("article", {"share": 0.9, "kinds": ("sibling",)}, "only 24 rows can get a wrong 'article' of kind 'sibling'"),
        ("gender", {}, "no Hierarchy task has a level above 'gender'; name its parent column"),
        ("gender", {"kinds": ("swap",)}, "there are any, sibling, confused"),
        ("article", {"kinds": ("confused",)}, "only 0 rows can get a wrong 'article' of kind 'confused'"),
        ("one", {"kinds": ("any",)}, "label 'one' has 1 class"),
        ("colour", {}, "column 'colour' is missing"),
    ],
)
def test_what_cannot_be_planted_is_said(label, options, message):
    with pytest.raises(ValueError, match=message):
        plant_errors(tiny_data(tiny_table().assign(one="Men")), label, **options)


def test_hidden_labels_are_missing_and_known():
    data = tiny_data()
    before = data.catalogue.table["gender"].copy()
    changed, hidden = hide_labels(data, "gender", share=0.25, seed=1)
    after = changed.catalogue.table["gender"]
    assert list(hidden) == ["row", "image", "label", "true"] and hidden["row"].is_monotonic_increasing
    assert len(hidden) == 12 and after.isna().sum() == 13  # one was missing before
    assert hidden["true"].tolist() == before[hidden["row"]].tolist() and hidden["true"].notna().all()
    assert after[hidden["row"]].isna().all() and data.catalogue.table["gender"].equals(before)
    assert changed.catalogue.facts["hidden"] == {"label": "gender", "share": 0.25, "seed": 1, "rows": 12}


@pytest.fixture
def ranking():
    """Ten suspects, rows 10 to 19 by rank; planted are 10, 13 (any), 11, 15 (sibling) and 30, which is not ranked."""
    suspects = pd.DataFrame({"row": range(10, 20), "suggested": list("abcdefghij"), "rank": range(1, 11)})
    planted = pd.DataFrame({"row": [10, 13, 11, 15, 30], "true": ["a", "x", "b", "f", "z"]})
    return suspects, planted.assign(kind=["any", "any", "sibling", "sibling", "sibling"])


def test_planted_errors_among_the_first_suspects(ranking):
    suspects, planted = ranking
    found = found_planted(suspects.sample(frac=1, random_state=0), planted, times=(0.5, 1, 2, 9))
    assert found["kind"].tolist() == ["any"] * 4 + ["sibling"] * 4 + ["all"] * 3
    one = found[found["kind"] == "any"].set_index("examined")  # without 11 and 15: row 13 is third of eight
    assert one["found"].to_dict() == {1: 1, 2: 1, 4: 2, 8: 2}
    assert one["precision"].tolist() == [1, 0.5, 0.5, 0.25] and one["recall"].tolist() == [0.5, 0.5, 1, 1]
    assert one["corrected"].tolist() == [1, 1, 0.5, 0.5]
    assert one["chance"].tolist() == [0.25] * 4 and one["planted"].tolist() == [2] * 4
    other = found[found["kind"] == "sibling"].set_index("examined")  # without 10 and 13: ranks 1 and 4 of eight
    assert other["found"].to_dict() == {2: 1, 3: 1, 6: 2, 8: 2}
    assert other["recall"].tolist() == pytest.approx([1 / 3, 1 / 3, 2 / 3, 2 / 3])
    assert other["average_precision"].iloc[0] == pytest.approx((1 / 1 + 2 / 4) / 3)
    both = found[found["kind"] == "all"].set_index("examined")
    assert both["found"].to_dict() == {2: 2, 5: 3, 10: 4} and both["chance"].iloc[0] == 0.4
    with pytest.raises(ValueError, match="no suspects"):
        found_planted(suspects.head(0), planted)
    none = found_planted(suspects, planted[planted["row"] == 30].assign(kind="any"))
    assert none["found"].eq(0).all() and none["average_precision"].eq(0).all() and none["corrected"].isna().all()

"""Out-of-fold judgements, fills and contradictions, against plain predictions and by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from fashionlib.data.catalogue import Catalogue
from fashionlib.evaluation.predict import predict
from fashionlib.models import MultitaskModel
from fashionlib.shop.cleaning import (
    duplicate_table,
    fill_missing,
    fold_numbers,
    impossible_paths,
    out_of_fold,
)
from fashionlib.shop.suspects import find_suspects
from fashionlib.tasks import Hierarchy, SingleLabel
from fashionlib.training.fit import fit
from shop.judged import NAN, judged, some
from tiny import SETTINGS, NoFiles, tiny_data, tiny_model, tiny_table

ONE_EPOCH = replace(SETTINGS, epochs=1, batch_size=16)


def test_groups_share_a_fold_and_strata_are_spread():
    rng = np.random.default_rng(0)
    groups = rng.permutation(np.repeat(np.arange(100), 3))
    strata = np.array(["common", "common", "common", "half", None], dtype=object)[groups % 5]
    folds = fold_numbers(groups, strata, 4, seed=1)
    assert all(len(set(folds[groups == group])) == 1 for group in range(100))
    for stratum, n in {"common": 180, "half": 60}.items():
        counts = np.bincount(folds[strata == stratum], minlength=4)
        assert counts.sum() == n and counts.max() - counts.min() <= 6  # two groups
    np.testing.assert_array_equal(fold_numbers(groups, strata, 4, seed=1), folds)


def test_a_rare_class_lies_in_as_many_folds_as_it_has_groups(recwarn):
    folds = fold_numbers(range(33), ["common"] * 30 + ["twice"] * 2 + ["once"], 3)
    assert len(set(folds[30:32])) == 2
    assert set(fold_numbers(range(6), list("abcdef"), 3)) == {0, 1, 2}  # no class can be spread
    assert not recwarn.list


@pytest.mark.parametrize("folds", [1, 4])
def test_folds_that_cannot_be_are_refused(folds):
    with pytest.raises(ValueError, match=rf"folds is {folds}.*groups \(3\)"):
        fold_numbers([0, 0, 1, 2], list("aabb"), folds)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A taxonomy and a single label judged in two folds; all clogs are of one item, all robots of another."""
    table = tiny_table()
    table.loc[table["article"] == "Clog", "item"] = "clogs"
    data, run_dir = tiny_data(table), tmp_path_factory.mktemp("folds")
    options = {"stratum": "gender", "folds": 2, "groups": table["item"]}
    return data, out_of_fold(data, make_model, ONE_EPOCH, run_dir, **options), run_dir, options


def make_model(part):
    return MultitaskModel("resnet_tiny", part.catalogue.select("taxonomy", "gender"), size=part.size)


def test_every_row_is_judged_by_the_network_that_did_not_see_it(study, tmp_path):
    data, found, _, _ = study
    table = data.catalogue.table
    assert list(found.probabilities) == ["master", "sub", "article", "gender"]
    assert (pd.Series(found.fold).groupby(table["item"]).nunique() == 1).all()
    held = found.fold == 1
    part = data.with_split(np.where(held, "test", "train"))
    torch.manual_seed(0)
    run = fit(make_model(part), part, ONE_EPOCH, tmp_path)
    predictions = predict(run.model, part, np.flatnonzero(held), mirror=True)
    for label, said in found.probabilities.items():
        names, expected = predictions.classes(label), predictions.labels()[label][0].probabilities
        assert set(names) == set(table.loc[~held, label].dropna())
        assert list(said) == sorted(table[label].dropna().unique()) and said.dtypes.eq(np.float32).all()
        np.testing.assert_allclose(said.loc[held, list(names)], expected, atol=1e-6)
        assert said.loc[held].drop(columns=list(names)).isna().all(axis=None)


def test_a_class_of_one_fold_is_no_suspect_and_counted(study):
    data, found, _, _ = study
    table = data.catalogue.table
    clogs = np.flatnonzero(table["article"] == "Clog")
    own = found.fold == found.fold[clogs[0]]
    assert (found.fold[clogs] == found.fold[clogs[0]]).all()
    assert (found.probabilities["article"]["Clog"].isna() == own).all()
    summary = found.summary().set_index("label")
    assert summary.loc["article", ["labelled", "missing", "no_opinion", "judged"]].tolist() == [47, 1, 12, 35]
    assert summary.loc["gender", ["labelled", "missing", "no_opinion", "judged"]].tolist() == [47, 1, 1, 46]
    suspects = find_suspects(found, "article")
    assert set(suspects["row"]) == set(np.flatnonzero(table["article"].notna())) - set(clogs)
    assert "Clog" not in set(suspects.loc[suspects["row"].isin(np.flatnonzero(own)), "suggested"])


def test_the_summary_counts():
    (row,) = some().summary().to_dict("records")
    expected = {"label": "kind", "classes": 3, "labelled": 5, "missing": 1, "no_opinion": 1, "judged": 4, "agree": 0.5}
    assert row == expected
    assert np.isnan(judged([None], "a", [[1.0]]).summary()["agree"].item())


def test_nothing_is_trained_twice(study, capsys, monkeypatch):
    data, found, run_dir, options = study
    monkeypatch.setattr("fashionlib.training.fit.train_epoch", lambda *_: pytest.fail("trained again"))
    again = out_of_fold(data, make_model, ONE_EPOCH, run_dir, **options)
    for label in found.probabilities:
        pd.testing.assert_frame_equal(again.probabilities[label], found.probabilities[label])
    assert "fold 2 of 2" in capsys.readouterr().out
    assert sorted(path.name for path in run_dir.iterdir() if path.is_dir()) == ["fold_0", "fold_1"]


def test_what_a_head_never_learned_is_unknown_and_what_it_does_not_have_too(tmp_path):
    table = tiny_table(12, 0, 0).assign(item=[f"p{k}" for k in range(12)])
    table["gender"] = ["Men"] * 5 + ["Women"] * 5 + ["Robots", "Unisex"]
    data = tiny_data(table, tasks=(SingleLabel("gender", classes=("Men", "Robots", "Women", "Nobody")),))
    options = {"stratum": "gender", "folds": 2, "groups": table["item"]}
    settings = replace(ONE_EPOCH, batch_size=4)
    found = out_of_fold(data, lambda part: tiny_model(part, "gender"), settings, tmp_path, **options)
    said = found.probabilities["gender"]
    assert list(said) == ["Men", "Robots", "Unisex", "Women"] and said["Unisex"].isna().all()
    assert (said["Robots"].isna() == (found.fold == found.fold[10])).all()
    assert found.summary()["no_opinion"].tolist() == [2]


def test_near_duplicates_and_items_are_the_groups_if_none_are_given(monkeypatch, tmp_path):
    asked = {}

    def stop(groups, *_):
        asked.update(groups=groups)
        raise StopIteration

    monkeypatch.setattr("fashionlib.shop.cleaning.duplicate_pairs", lambda _: np.array([[0, 47]]))
    monkeypatch.setattr("fashionlib.shop.cleaning.fold_numbers", stop)
    with pytest.raises(StopIteration):
        out_of_fold(tiny_data(), make_model, SETTINGS, tmp_path, "gender")
    assert len({*asked["groups"][[0, 1, 46, 47]]}) == 1 and len(set(asked["groups"])) == 23


def test_missing_labels_are_filled_the_surest_first():
    values = [[0.2, 0.8], [0.9, 0.1], [NAN, 0.6], [0.55, 0.45], [0.5, 0.5]]
    found = judged([None, None, None, None, "a"], "ab", values)
    filled = fill_missing(found, "kind", minimum=0.58)
    assert filled[["row", "image", "label", "suggested"]].to_numpy().tolist() == [
        [1, "1.png", "kind", "a"], [0, "0.png", "kind", "b"], [2, "2.png", "kind", "b"]
    ]  # fmt: skip
    np.testing.assert_allclose(filled["confidence"], [0.9, 0.8, 0.6], atol=1e-6)
    assert len(fill_missing(found, "kind")) == 4
    complete = fill_missing(judged(["a", "b"], "ab", [[0.5, 0.5]] * 2), "kind")
    assert list(complete) == list(filled) and complete.empty


def test_near_duplicates_are_grouped_and_their_conflicts_named():
    table = tiny_table(12, 0, 0)
    table[["gender", "article"]] = None
    table.loc[[0, 3], "gender"] = ["Men", "Women"]  # joined through row 7, which has no gender
    table.loc[[1, 2], "gender"] = ["Men", "Men"]
    table.loc[[4, 5], "gender"], table.loc[[4, 5], "article"] = ["Men", "Women"], ["Shirt", "Tunic"]
    pairs = np.array([[1, 2], [0, 7], [3, 7], [4, 5], [2, 6]])
    found = duplicate_table(tiny_data(table), pairs, ["gender", "article"])
    assert list(found) == ["group", "row", "image", "gender", "article", "conflicts"]
    assert found.groupby("group")["row"].agg(list).tolist() == [[4, 5], [0, 3, 7], [1, 2, 6]]
    assert found.groupby("group")["conflicts"].unique().str.join("|").tolist() == ["gender; article", "gender", ""]
    assert found["image"].tolist()[:2] == ["004.png", "005.png"]
    table.loc[[1, 2], "colour"] = ["", "red"]  # a column of no task, whose empty cell says nothing
    assert set(duplicate_table(tiny_data(table), pairs, ["colour"])["conflicts"]) == {""}
    assert set(duplicate_table(tiny_data(table), pairs, [])["conflicts"]) == {""}


def test_all_single_labels_are_compared_if_none_are_named():
    columns = set(duplicate_table(tiny_data(), np.array([[0, 1]])))
    assert columns == {"group", "row", "image", "conflicts", "gender", "master", "sub", "article"}
    assert duplicate_table(tiny_data(), np.empty((0, 2), int)).empty


@pytest.mark.parametrize("name", ["group", "row", "conflicts"])
def test_a_label_named_like_a_column_of_the_duplicates_is_refused(name):
    data = tiny_data(tiny_table().assign(**{name: "a"}))
    with pytest.raises(ValueError, match=f"label '{name}'.*leave it out"):
        duplicate_table(data, np.array([[0, 1]]), ["gender", name])


@pytest.fixture
def paths() -> Catalogue:
    """Shirts are tops ten times and once shoes; clogs are shoes; tunics are undecided; kilts are rare; a shoe is under
    Apparel once in twelve."""
    rows = [("Apparel", "Top", "Shirt")] * 10 + [("Shoes", "Shoe", "Shirt")]
    rows += [("Shoes", "Shoe", "Clog")] * 10 + [("Apparel", "Shoe", "Clog")]
    rows += [("Apparel", "Top", "Tunic")] * 3 + [("Apparel", "Dress", "Tunic")] * 3
    rows += [("Apparel", "Skirt", "Kilt"), ("Apparel", "Top", "Kilt"), ("Apparel", None, "Shirt")]
    table = pd.DataFrame(rows, columns=["master", "sub", "article"], dtype=object)
    table.insert(0, "image", [f"{k}.png" for k in range(len(table))])
    tasks = [Hierarchy("taxonomy", ("master", "sub", "article"))]
    return Catalogue(table.assign(split="train"), tasks, NoFiles(), "tiny")


def test_impossible_paths_are_those_against_the_majority(paths):
    expected = {
        "row": [21, 10],
        "image": ["21.png", "10.png"],
        "level": ["sub", "article"],
        "class": ["Shoe", "Shirt"],
        "given": ["Apparel", "Shoe"],
        "expected": ["Shoes", "Top"],
        "share": [11 / 12, 10 / 11],
        "images": [12, 11],
        "path": ["Apparel > Shoe > Clog", "Shoes > Shoe > Shirt"],
    }
    pd.testing.assert_frame_equal(impossible_paths(paths), pd.DataFrame(expected), check_dtype=False)
    assert impossible_paths(paths, share=0.92).empty
    looser = impossible_paths(paths, share=0.5, minimum=2)
    assert set(looser["class"]) == {"Shoe", "Shirt", "Tunic", "Kilt"} and len(looser) == 6


def test_impossible_paths_need_levels(paths):
    single = Catalogue(paths.table, [SingleLabel("article")], NoFiles(), "tiny")
    assert impossible_paths(single, ["sub", "article"])["row"].tolist() == [10]
    cells = paths.table.assign(sub=paths.table["sub"].where(paths.table.index != 10, ""), year=2020)
    raw = Catalogue(cells, [SingleLabel("article")], NoFiles(), "tiny")  # of no task: as it was read
    assert impossible_paths(raw, ["sub", "article"]).empty and impossible_paths(raw, ["year", "article"]).empty
    with pytest.raises(ValueError, match="no Hierarchy task; name two levels"):
        impossible_paths(single)
    with pytest.raises(ValueError, match="levels is article"):
        impossible_paths(single, ["article"])

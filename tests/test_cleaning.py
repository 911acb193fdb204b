"""Out-of-fold judgements, suspects, planted errors, fills and contradictions, against plain loops and by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import average_precision_score
from tiny import SETTINGS, NoFiles, same_weights, tiny_data, tiny_model, tiny_table

from fashionlib.data.catalogue import Catalogue
from fashionlib.shop.cleaning import (
    OutOfFold,
    duplicate_table,
    fill_missing,
    fill_scores,
    find_suspects,
    fold_numbers,
    found_planted,
    hide_labels,
    impossible_paths,
    out_of_fold,
    plant_errors,
)
from fashionlib.evaluation.comparison import comparison_table, difference_table
from fashionlib.evaluation.predict import predict
from fashionlib.models import MultitaskModel
from fashionlib.tasks import Hierarchy, SingleLabel
from fashionlib.training.fit import fit
from study.transfer import compare_starts

NAN = float("nan")
ONE_EPOCH = replace(SETTINGS, epochs=1, batch_size=16)


def judged(given, classes, probabilities, label="kind") -> OutOfFold:
    """Probabilities made by hand."""
    table = pd.DataFrame({"image": [f"{k}.png" for k in range(len(given))], label: given, "split": "train"})
    catalogue = Catalogue(table.astype(object), [SingleLabel(label)], NoFiles(), "tiny")
    found = {label: np.array(probabilities, np.float32)}
    return OutOfFold(catalogue, np.zeros(len(given), int), {label: tuple(classes)}, found)


@pytest.fixture
def found() -> OutOfFold:
    """Row 3 has no label; the network of row 4 knows no shoe, which is what the row is given, that of row 5 no bag."""
    given = ["bag", "hat", "hat", None, "shoe", "shoe"]
    values = [[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.05, 0.5, 0.45], [0.1, 0.1, 0.8], [0.5, 0.5, NAN], [NAN, 0.9, 0.1]]
    return judged(given, ("bag", "hat", "shoe"), values)


# --- folds ----------------------------------------------------------------------------------------


def test_groups_share_a_fold_and_strata_are_spread():
    rng = np.random.default_rng(0)
    groups = rng.permutation(np.repeat(np.arange(100), 3))
    strata = np.array(["common", "common", "common", "half", "none"], dtype=object)[groups % 5]
    strata[strata == "none"] = None
    folds = fold_numbers(groups, strata, 4, seed=1)
    assert all(len(set(folds[groups == group])) == 1 for group in range(100))
    for stratum, n in {"common": 180, "half": 60}.items():
        counts = np.bincount(folds[strata == stratum], minlength=4)
        assert counts.sum() == n and counts.max() - counts.min() <= 6  # two groups
    np.testing.assert_array_equal(fold_numbers(groups, strata, 4, seed=1), folds)


def test_a_rare_class_lies_in_as_many_folds_as_it_has_groups(recwarn):
    strata = ["common"] * 30 + ["twice"] * 2 + ["once"]
    folds = fold_numbers(range(33), strata, 3)
    assert len(set(folds[30:32])) == 2
    assert set(fold_numbers(range(6), list("abcdef"), 3)) == {0, 1, 2}  # no class can be spread
    assert not recwarn.list


@pytest.mark.parametrize("folds", [1, 4])
def test_folds_that_cannot_be_are_refused(folds):
    with pytest.raises(ValueError, match=rf"folds is {folds}.*groups \(3\)"):
        fold_numbers([0, 0, 1, 2], list("aabb"), folds)


# --- out of fold ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A taxonomy and a single label judged in two folds; all clogs are of one item, all robots of another."""
    table = tiny_table()
    table.loc[table["article"] == "Clog", "item"] = "clogs"
    data = tiny_data(table)
    run_dir = tmp_path_factory.mktemp("folds")
    options = {"stratum": "gender", "folds": 2, "groups": data.catalogue.table["item"], "mirror": False}
    found = out_of_fold(data, make_model, ONE_EPOCH, run_dir, **options)
    return data, found, run_dir, options


def make_model(part):
    return MultitaskModel("resnet_tiny", part.catalogue.select("taxonomy", "gender"), size=part.size)


def test_every_row_is_judged_by_the_network_that_did_not_see_it(study, tmp_path):
    data, found, _, _ = study
    table = data.catalogue.table
    assert list(found.probabilities) == ["master", "sub", "article", "gender"]
    assert table.groupby("item")["image"].count().sum() == len(found.fold) == len(table)
    assert (pd.Series(found.fold).groupby(table["item"]).nunique() == 1).all()
    held = found.fold == 1
    part = data.with_split(np.where(held, "test", "train"))
    torch.manual_seed(0)
    run = fit(make_model(part), part, ONE_EPOCH, tmp_path)
    expected = predict(run.model, part, np.flatnonzero(held)).labels()
    for label in found.probabilities:
        names = {**part.catalogue.task("taxonomy").labels, **part.catalogue.task("gender").labels}[label]
        assert set(names) == set(table.loc[~held, label].dropna())
        for name in found.classes[label]:
            column = found.probabilities[label][held, found.classes[label].index(name)]
            if name in names:
                np.testing.assert_allclose(column, expected[label][0].probabilities[:, names.index(name)], atol=1e-6)
            else:
                assert np.isnan(column).all()


def test_a_class_of_one_fold_is_no_suspect_and_counted(study):
    data, found, _, _ = study
    table = data.catalogue.table
    clogs = np.flatnonzero(table["article"] == "Clog")
    assert len(set(found.fold[clogs])) == 1
    column = found.probabilities["article"][:, found.classes["article"].index("Clog")]
    own = found.fold == found.fold[clogs[0]]
    assert np.isnan(column[own]).all() and not np.isnan(column[~own]).any()
    summary = found.summary().set_index("label")
    assert summary.loc["article", ["labelled", "missing", "no_opinion", "judged"]].tolist() == [47, 1, 12, 35]
    assert summary.loc["gender", ["labelled", "missing", "no_opinion", "judged"]].tolist() == [47, 1, 1, 46]
    suspects = find_suspects(found, "article")
    assert set(suspects["row"]) == set(np.flatnonzero(table["article"].notna())) - set(clogs)
    assert "Clog" not in set(suspects.loc[suspects["row"].isin(np.flatnonzero(own)), "suggested"])


def test_nothing_is_trained_twice(study, capsys, monkeypatch):
    data, found, run_dir, options = study
    monkeypatch.setattr("fashionlib.training.fit.train_epoch", lambda *_: pytest.fail("trained again"))
    again = out_of_fold(data, make_model, ONE_EPOCH, run_dir, **options)
    for label in found.probabilities:
        np.testing.assert_array_equal(again.probabilities[label], found.probabilities[label])
    assert "fold 2 of 2" in capsys.readouterr().out
    assert sorted(path.name for path in run_dir.iterdir() if path.is_dir()) == ["fold_0", "fold_1"]


def test_a_class_that_is_named_but_has_no_training_image_is_unknown(tmp_path):
    """Classes that are given stay in the head, trained or not."""
    table = tiny_table(12, 0, 0).assign(item=[f"p{k}" for k in range(12)])
    table["gender"] = ["Men"] * 5 + ["Women"] * 6 + ["Robots"]
    data = tiny_data(table, tasks=(SingleLabel("gender", classes=("Men", "Robots", "Women", "Nobody")),))
    options = {"stratum": "gender", "folds": 2, "groups": table["item"]}
    settings = replace(ONE_EPOCH, batch_size=4)
    found = out_of_fold(data, lambda part: tiny_model(part, "gender"), settings, tmp_path, **options)
    assert found.classes == {"gender": ("Men", "Robots", "Women")}
    robots = np.isnan(found.probabilities["gender"][:, 1])
    np.testing.assert_array_equal(robots, found.fold == found.fold[11])
    assert found.summary()["no_opinion"].tolist() == [1]


def test_near_duplicates_and_items_are_the_groups_if_none_are_given(monkeypatch, tmp_path):
    data = tiny_data()
    asked = {}

    def stop(groups, strata, folds, seed):
        asked.update(groups=groups)
        raise StopIteration

    monkeypatch.setattr("fashionlib.shop.cleaning.duplicate_pairs", lambda _: np.array([[0, 47]]))
    monkeypatch.setattr("fashionlib.shop.cleaning.fold_numbers", stop)
    with pytest.raises(StopIteration):
        out_of_fold(data, make_model, SETTINGS, tmp_path, "gender")
    assert asked["groups"][0] == asked["groups"][1] == asked["groups"][46] == asked["groups"][47]
    assert len(set(asked["groups"])) == 23


# --- suspects -------------------------------------------------------------------------------------


def test_suspects_are_ranked_by_margin(found):
    table = find_suspects(found, "kind")
    assert table["row"].tolist() == [5, 1, 2, 0]
    assert table["rank"].tolist() == [1, 2, 3, 4]
    assert table["given"].tolist() == ["shoe", "hat", "hat", "bag"]
    assert table["suggested"].tolist() == ["hat", "bag", "shoe", "hat"]
    assert table["image"].tolist() == ["5.png", "1.png", "2.png", "0.png"]
    assert set(table["label"]) == {"kind"}
    np.testing.assert_allclose(table["p_given"], [0.1, 0.3, 0.5, 0.7])
    np.testing.assert_allclose(table["p_suggested"], [0.9, 0.6, 0.45, 0.2])
    np.testing.assert_allclose(table["score"], [-0.8, -0.3, 0.05, 0.5], atol=1e-6)


def test_suspects_are_ranked_as_a_plain_loop_ranks_them():
    rng = np.random.default_rng(0)
    values = rng.dirichlet(np.ones(4), 60)
    given = rng.choice(list("abcd"), 60)
    found = judged(given, "abcd", values)
    margins, confidences = [], []
    for row, name in zip(values.astype(np.float32), given, strict=True):
        own = row["abcd".index(name)]
        margins.append(own - max(p for other, p in zip("abcd", row, strict=True) if other != name))
        confidences.append(own)
    assert find_suspects(found, "kind")["row"].tolist() == np.argsort(margins).tolist()
    assert find_suspects(found, "kind", by="self-confidence")["row"].tolist() == np.argsort(confidences).tolist()


def test_suspects_of_something_else_are_refused(found):
    with pytest.raises(ValueError, match="'colour' was not predicted out of fold; there are kind"):
        find_suspects(found, "colour")
    with pytest.raises(ValueError, match="by is 'entropy'; there are margin, self-confidence"):
        find_suspects(found, "kind", by="entropy")


def test_what_a_network_of_one_class_says_is_no_opinion():
    found = judged(["a", "b"], "ab", [[1.0, NAN], [0.4, 0.6]])
    assert find_suspects(found, "kind")["row"].tolist() == [1]


def test_the_summary_counts(found):
    (row,) = found.summary().to_dict("records")
    expected = {"label": "kind", "classes": 3, "labelled": 5, "missing": 1, "no_opinion": 1, "judged": 4, "agree": 0.5}
    assert row == expected


# --- planted errors -------------------------------------------------------------------------------


def test_planted_errors_are_wrong_and_nothing_else_changes():
    data = tiny_data(tiny_table(60, 20, 20))
    before = data.catalogue.table.copy()
    changed, planted = plant_errors(data, "article", share=0.2, seed=3)
    after = changed.catalogue.table
    pd.testing.assert_frame_equal(data.catalogue.table, before)
    differs = (before["article"] != after["article"]) & before["article"].notna()
    assert planted["row"].tolist() == np.flatnonzero(differs).tolist()
    assert planted["true"].tolist() == before.loc[differs, "article"].tolist()
    assert planted["planted"].tolist() == after.loc[differs, "article"].tolist()
    assert planted["image"].tolist() == after.loc[differs, "image"].tolist()
    pd.testing.assert_frame_equal(after.drop(columns="article"), before.drop(columns="article"))
    assert planted["kind"].value_counts().to_dict() == {"any": 10, "sibling": 10}
    assert changed.catalogue.facts["planted"] == {
        "label": "article", "share": 0.2, "seed": 3, "rows": {"any": 10, "sibling": 10}
    }  # fmt: skip
    assert changed.pixels is data.pixels
    assert changed.catalogue.fingerprint != data.catalogue.fingerprint
    again = plant_errors(data, "article", share=0.2, seed=3)[1]
    pd.testing.assert_frame_equal(again, planted)
    assert not plant_errors(data, "article", share=0.2, seed=4)[1].equals(planted)


def test_a_sibling_has_the_same_parent_and_an_only_child_has_none():
    data = tiny_data(tiny_table(60, 20, 20))
    _, planted = plant_errors(data, "article", share=0.3, kinds=("sibling",))
    assert {tuple(pair) for pair in planted[["true", "planted"]].to_numpy()} == {("Shirt", "Tunic"), ("Tunic", "Shirt")}
    _, planted = plant_errors(data, "article", share=0.3, kinds=("sibling",), parent="master")
    pairs = {tuple(pair) for pair in planted[["true", "planted"]].to_numpy()}
    names = ("Shirt", "Tunic", "Jeans")
    assert pairs == {(one, other) for one in names for other in names if one != other}
    _, planted = plant_errors(data, "article", share=0.5, kinds=("any",))
    assert set(planted["true"]) == set(planted["planted"]) == {"Shirt", "Tunic", "Jeans", "Clog"}


def test_what_cannot_be_planted_is_said():
    data = tiny_data()
    with pytest.raises(ValueError, match="only 24 rows can get a wrong 'article' of kind 'sibling'"):
        plant_errors(data, "article", share=0.9, kinds=("sibling",))
    with pytest.raises(ValueError, match="no Hierarchy task has a level above 'gender'; name its parent column"):
        plant_errors(data, "gender")
    with pytest.raises(ValueError, match="there are any, sibling"):
        plant_errors(data, "gender", kinds=("swap",))
    single = tiny_data(tiny_table().assign(gender="Men"))
    with pytest.raises(ValueError, match="label 'gender' has 1 class"):
        plant_errors(single, "gender", kinds=("any",))


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


def test_nothing_found_is_no_error(ranking):
    suspects, planted = ranking
    found = found_planted(suspects, planted[planted["row"] == 30].assign(kind="any"))
    assert found["found"].eq(0).all() and found["average_precision"].eq(0).all() and found["corrected"].isna().all()


def test_average_precision_is_that_of_scikit_learn():
    rng = np.random.default_rng(2)
    suspects = pd.DataFrame({"row": rng.permutation(200), "suggested": "a", "rank": np.arange(1, 201)})
    planted = pd.DataFrame({"row": rng.choice(200, 20, replace=False), "true": "a"})
    planted["kind"] = ["any", "sibling"] * 10
    found = found_planted(suspects, planted, times=(1,)).set_index("kind")
    for kind in ("any", "sibling", "all"):
        mine = planted if kind == "all" else planted[planted["kind"] == kind]
        kept = suspects[~suspects["row"].isin(set(planted["row"]) - set(mine["row"]))]
        expected = average_precision_score(kept["row"].isin(mine["row"]), -kept["rank"])
        assert found.loc[kind, "average_precision"] == pytest.approx(expected)


def test_a_network_that_knows_the_truth_finds_all_that_was_planted():
    """The whole way: plant, rank, count."""
    data = tiny_data(tiny_table(60, 20, 20), tasks=(SingleLabel("article"),))
    changed, planted = plant_errors(data, "article", share=0.1, parent="sub")
    truth = data.catalogue.table["article"]
    classes = tuple(sorted(truth.dropna().unique()))
    values = np.array([[0.7 if name == true else 0.1 for name in classes] for true in truth], np.float32)
    found = OutOfFold(changed.catalogue, np.zeros(len(truth), int), {"article": classes}, {"article": values})
    scores = found_planted(find_suspects(found, "article"), planted, times=(1,)).set_index("kind")
    assert scores["precision"].eq(1).all() and scores["recall"].eq(1).all() and scores["corrected"].eq(1).all()
    assert scores["average_precision"].eq(1).all()


# --- missing labels -------------------------------------------------------------------------------


def test_missing_labels_are_filled_the_surest_first():
    values = [[0.2, 0.8], [0.9, 0.1], [NAN, 0.6], [0.55, 0.45], [0.5, 0.5]]
    found = judged([None, None, None, None, "a"], "ab", values)
    filled = fill_missing(found, "kind", minimum=0.58)
    assert filled["row"].tolist() == [1, 0, 2]
    assert filled["suggested"].tolist() == ["a", "b", "b"] and filled["image"].tolist() == ["1.png", "0.png", "2.png"]
    np.testing.assert_allclose(filled["confidence"], [0.9, 0.8, 0.6], atol=1e-6)
    assert len(fill_missing(found, "kind")) == 4
    complete = judged(["a", "b"], "ab", [[0.5, 0.5]] * 2)
    assert list(fill_missing(complete, "kind").columns) == list(filled.columns) and fill_missing(complete, "kind").empty


def test_hidden_labels_are_missing_and_known():
    data = tiny_data()
    before = data.catalogue.table["gender"].copy()
    changed, hidden = hide_labels(data, "gender", share=0.25, seed=1)
    after = changed.catalogue.table["gender"]
    assert len(hidden) == 12 and after.isna().sum() == 13  # one was missing before
    assert hidden["true"].tolist() == before[hidden["row"]].tolist() and hidden["true"].notna().all()
    assert after[hidden["row"]].isna().all() and data.catalogue.table["gender"].equals(before)
    assert changed.catalogue.facts["hidden"] == {"label": "gender", "share": 0.25, "seed": 1, "rows": 12}


def test_fills_are_scored_on_hidden_labels_alone():
    confidence, right = [0.95, 0.9, 0.8, 0.6, 0.5, 0.4], [True, True, False, True, False, False]
    filled = pd.DataFrame({"row": range(7), "suggested": "a", "confidence": [*confidence, 0.99]})  # 6 was not hidden
    hidden = pd.DataFrame({"row": [5, 4, 3, 2, 1, 0], "true": ["a" if yes else "b" for yes in reversed(right)]})
    scores = fill_scores(filled, hidden, minimums=(0.0, 0.6, 0.9, 0.99)).set_index("minimum")
    assert scores["filled"].tolist() == [6, 4, 2, 0] and scores["hidden"].eq(6).all()
    assert scores["coverage"].tolist() == pytest.approx([1, 4 / 6, 2 / 6, 0])
    assert scores["accuracy"].tolist()[:3] == pytest.approx([0.5, 0.75, 1]) and np.isnan(scores["accuracy"].iloc[3])
    assert (scores["ci_low"].iloc[:3] <= scores["accuracy"].iloc[:3]).all()


# --- contradictions -------------------------------------------------------------------------------


def test_near_duplicates_are_grouped_and_their_conflicts_named():
    table = tiny_table(12, 0, 0)
    table[["gender", "article"]] = None
    table.loc[[0, 3], "gender"] = ["Men", "Women"]  # joined through row 7, which has no gender
    table.loc[[1, 2], "gender"] = ["Men", "Men"]
    table.loc[[4, 5], "gender"], table.loc[[4, 5], "article"] = ["Men", "Women"], ["Shirt", "Tunic"]
    pairs = np.array([[1, 2], [0, 7], [3, 7], [4, 5], [2, 6]])
    found = duplicate_table(tiny_data(table), pairs, ["gender", "article"])
    groups = {number: part["row"].tolist() for number, part in found.groupby("group")}
    assert groups == {0: [4, 5], 1: [0, 3, 7], 2: [1, 2, 6]}
    assert found.groupby("group")["conflicts"].unique().str.join("|").tolist() == ["gender; article", "gender", ""]
    assert list(found.columns) == ["group", "row", "image", "gender", "article", "conflicts"]
    assert found["image"].tolist()[:2] == ["004.png", "005.png"]


def test_all_single_labels_are_compared_if_none_are_named():
    columns = list(duplicate_table(tiny_data(), np.array([[0, 1]])).columns)
    labels = {"gender", "master", "sub", "article"}
    assert set(columns) == {"group", "row", "image", "conflicts"} | labels and len(columns) == 8
    assert duplicate_table(tiny_data(), np.empty((0, 2), int)).empty


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
    found = impossible_paths(paths)
    assert found["row"].tolist() == [21, 10]
    first, second = found.to_dict("records")
    said = ["level", "class", "given", "expected"]
    assert [first[name] for name in said] == ["sub", "Shoe", "Apparel", "Shoes"]
    assert first["share"] == pytest.approx(11 / 12) and first["images"] == 12
    assert (second["level"], second["class"], second["given"], second["expected"]) == (
        "article",
        "Shirt",
        "Shoe",
        "Top",
    )
    assert second["share"] == pytest.approx(10 / 11) and second["path"] == "Shoes > Shoe > Shirt"
    assert first["image"] == "21.png"
    assert impossible_paths(paths, share=0.92).empty
    looser = impossible_paths(paths, share=0.5, minimum=2)
    assert set(looser["class"]) == {"Shoe", "Shirt", "Tunic", "Kilt"} and len(looser) == 6


def test_impossible_paths_need_levels(paths):
    single = Catalogue(paths.table, [SingleLabel("article")], NoFiles(), "tiny")
    assert impossible_paths(single, ["sub", "article"])["row"].tolist() == [10]
    with pytest.raises(ValueError, match="no Hierarchy task; name the levels"):
        impossible_paths(single)
    with pytest.raises(ValueError, match="levels is article"):
        impossible_paths(single, ["article"])


def test_errors_planted_in_a_taxonomy_contradict_it(garments):
    before = impossible_paths(garments.catalogue, share=0.6)
    changed, planted = plant_errors(garments, "articleType", share=0.03, kinds=("any",), seed=1)
    found = impossible_paths(changed.catalogue, share=0.6)
    assert before.empty and len(found) and set(found["row"]) <= set(planted["row"])


# --- transfer -------------------------------------------------------------------------------------


def test_starts_are_compared_at_equal_settings(tmp_path):
    data = tiny_data(tiny_table(16, 0, 9))
    source = fit(tiny_model(data, "taxonomy", seed=5), data, ONE_EPOCH, tmp_path / "source")
    weights = source.run_dir / "model.pth"
    made = []

    def model(start):
        made.append(MultitaskModel("resnet_tiny", data.catalogue.select("gender"), weights=start, size=data.size))
        return made[-1]

    before = []
    original = fit

    def spy(model, *args):
        before.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        return original(model, *args)

    starts = {"from scratch": None, "fine-tuned": weights}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("study.transfer.fit", spy)
        outcomes = compare_starts(data, model, starts, ONE_EPOCH, tmp_path / "runs", seeds=(0, 1))
    names = ["fine-tuned_0", "fine-tuned_1", "from_scratch_0", "from_scratch_1"]
    assert sorted(path.name for path in (tmp_path / "runs").iterdir() if path.is_dir()) == names
    for seed in (0, 1):  # the same head, another backbone
        scratch, tuned = before[seed], before[2 + seed]
        assert torch.equal(scratch["heads.gender.weight"], tuned["heads.gender.weight"])
        assert torch.equal(tuned["body.conv1.weight"], source.model.state_dict()["body.conv1.weight"].cpu())
        assert not torch.equal(scratch["body.conv1.weight"], tuned["body.conv1.weight"])
    assert not same_weights(made[0], made[1])
    table = difference_table(outcomes, {"gender": "from scratch"}).set_index("metric")
    means = comparison_table(outcomes).set_index(["configuration", "metric"])["mean"]
    expected = means["fine-tuned", "accuracy"] - means["from scratch", "accuracy"]
    assert table.loc["accuracy", "difference"] == pytest.approx(expected) and table["n_seeds"].eq(2).all()

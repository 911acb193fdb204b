"""Catalogue: what it checks, what it knows, and what its messages name."""

import re
from pathlib import Path

import pandas as pd
import pytest

from fashionlib.data.catalogue import Catalogue, CatalogueError
from fashionlib.tasks import Hierarchy, MultiLabel, SingleLabel
from fashionlib.tasks.labels import MISSING, UNSEEN


class NoImages:
    fingerprint = "none"

    def read(self, location):
        return location.encode()


def table(**changes) -> pd.DataFrame:
    columns = {
        "image": ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg", "f.jpg"],
        "colour": ["red", "blue", "red", None, "green", "red"],
        "size": ["S", "S", "L", "L", "S", None],
        "words": ["old;soft", "soft", "", None, "new", "soft"],
        "split": ["train", "train", "train", "train", "test", "val"],
    }
    return pd.DataFrame(columns | changes)


def catalogue(tasks=None, **changes) -> Catalogue:
    tasks = [SingleLabel("colour"), SingleLabel("size"), MultiLabel("words")] if tasks is None else tasks
    return Catalogue(table(**changes), tasks, NoImages(), "shop")


def all_of(*words):
    """A pattern for a message that names all these words."""
    return "".join(f"(?=.*{re.escape(word)})" for word in words)


def test_a_label_that_training_never_saw_and_a_missing_one_are_told_apart():
    shop = catalogue()
    assert shop.tasks["colour"].encode(shop.table).tolist() == [1, 0, 1, MISSING, UNSEEN, 1]
    row = shop.summary().set_index("label").loc["colour"]
    assert (row["classes"], row["labelled"], row["missing"], row["unseen"]) == (2, 5, 1, 1)
    assert row["largest_share"] == pytest.approx(3 / 5)


def test_unseen_levels_of_a_hierarchy_are_marked_one_by_one():
    kinds = {"colour": ["warm", "warm", "cold", "cold", "warm", "odd"], "size": ["S", "M", "S", None, "XL", "S"]}
    shop = catalogue([Hierarchy("kind", ("colour", "size"))], **kinds)
    task = shop.tasks["kind"]
    assert task.paths == (("cold", "S"), ("warm", "M"), ("warm", "S"))
    assert task.encode(shop.table)[3:].tolist() == [[0, MISSING], [1, UNSEEN], [UNSEEN, 1]]


@pytest.mark.parametrize("column", ["image", "split", "size"])
def test_a_missing_column_is_named_with_those_that_are_there(column):
    with pytest.raises(CatalogueError, match=all_of("shop", f"column '{column}' is missing", "colour")):
        Catalogue(table().drop(columns=column), [SingleLabel("size")], NoImages(), "shop")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"split": ["train", "train", "tset", "train", "test", "val"]},
            ("row 2", "c.jpg", "'tset'", "not one of train, val"),
        ),
        ({"split": ["train", "train", "val", None, "test", "val"]}, ("row 3", "d.jpg", "not one of train, val")),
        ({"split": ["test"] * 6}, ("training split is empty",)),
        (
            {"image": ["a.jpg", "b.jpg", "c.jpg", "b.jpg", "e.jpg", "f.jpg"]},
            ("row 3", "b.jpg", "repeats the image of another row"),
        ),
        ({"image": ["a.jpg", "b.jpg", "c.jpg", "d.jpg", None, "f.jpg"]}, ("row 4", "names no image")),
        ({"image": [Path("a.jpg"), "b.jpg", "c.jpg", "d.jpg", "e.jpg", "f.jpg"]}, ("row 0", "no image as text")),
    ],
)
def test_a_row_that_does_not_fit_is_named(changes, words):
    with pytest.raises(CatalogueError, match=all_of("shop", *words)):
        catalogue(**changes)


def test_a_column_that_is_there_twice_is_named():
    for name in ("image", "split", "colour"):
        twice = pd.concat([table(), table()[[name]]], axis=1)
        with pytest.raises(CatalogueError, match=f"shop: column '{name}' is twice in"):
            Catalogue(twice, [SingleLabel("colour")], NoImages(), "shop")


def test_two_tasks_of_one_name_are_refused():
    with pytest.raises(CatalogueError, match=all_of("same name", "colour")):
        catalogue([SingleLabel("colour"), SingleLabel("colour")])


@pytest.mark.parametrize(
    ("tasks", "name"),
    [
        ([SingleLabel("image")], "image"),
        ([Hierarchy("kind", ("colour", "split"))], "split"),
        ([SingleLabel("size"), SingleLabel("size_confidence")], "size_confidence"),
        ([MultiLabel("size_confidence"), Hierarchy("kind", ("colour", "size"))], "size_confidence"),
    ],
)
def test_a_label_whose_name_means_something_else_is_refused(tasks, name):
    with pytest.raises(CatalogueError, match=all_of("shop", f"no label may be called '{name}'", "rename")):
        catalogue(tasks, size_confidence=["S"] * 6)
    assert catalogue([SingleLabel("size_confidence")], size_confidence=["S"] * 6).tasks


def test_a_misspelt_column_is_named_with_those_that_are_there():
    shop = catalogue()
    for ask in (lambda: shop.column("colr"), lambda: shop.with_labels("colr", [0], ["red"])):
        with pytest.raises(CatalogueError, match=all_of("shop", "column 'colr' is missing", "colour")):
            ask()
    assert shop.with_labels("colour", [0, 4], ["blue", "pink"]).table["colour"].tolist()[::4] == ["blue", "pink"]
    assert shop.column("colour").tolist()[::4] == ["red", "green"]
    named = pd.Series(["blue", "pink"], index=[4, 0])  # its order counts, not its index
    assert shop.with_labels("colour", [0, 4], named).table["colour"].tolist()[::4] == ["blue", "pink"]
    assert shop.without([0, 4], named, "here").rejected["reason"].tolist() == ["blue", "pink"]


def test_an_empty_split_is_named_only_when_it_is_asked_for():
    shop = catalogue(split=["train"] * 5 + ["val"])
    assert shop.rows("val").tolist() == [5]
    with pytest.raises(CatalogueError, match=all_of("split 'test' is empty", "train", "val")):
        shop.rows("test")


def test_missing_values_of_pandas_own_are_missing():
    whole = catalogue()
    other = Catalogue(table().convert_dtypes(), [*whole.tasks.values()], NoImages(), "shop")
    assert other.table["words"].tolist() == whole.table["words"].tolist()
    assert other.fingerprint() == whole.fingerprint()


def test_selecting_an_unknown_task_or_one_with_nothing_to_learn():
    shop = catalogue(size=[None] * 4 + ["S", "M"])
    assert [task.name for task in shop.select("words", "colour")] == ["words", "colour"]
    with pytest.raises(CatalogueError, match=all_of("no task 'price'", "colour, size, words")):
        shop.select("colour", "price")
    with pytest.raises(CatalogueError, match=all_of("no task ['colour']", "colour, size, words")):
        shop.select(["colour"])
    with pytest.raises(CatalogueError, match=all_of("training has no class to learn in column 'size'")):
        shop.select("size")


def test_another_split_learns_other_classes_and_leaves_the_first_alone():
    shop = catalogue()
    other = shop.with_split(["test", "val", "train", "train", "train", "train"], seed=3)
    assert other.tasks["colour"].classes == ("green", "red") and other.facts == {"seed": 3}
    assert shop.tasks["colour"].classes == ("blue", "red") and shop.facts == {}
    assert other.image_fingerprint == shop.image_fingerprint and other.fingerprint() != shop.fingerprint()


def test_the_fingerprint_follows_every_cell():
    before = catalogue().fingerprint()
    assert catalogue().fingerprint() == before
    changed = [
        catalogue(colour=["red", "blue", "red", None, "green", "blue"]),
        catalogue(words=["old;soft", "soft", None, None, "new", "soft"]),
        catalogue(image=["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg", "g.jpg"]),
    ]
    assert len({before, *(other.fingerprint() for other in changed)}) == 4  # nobody looked is not none apply


def test_rows_taken_out_are_listed_and_the_others_keep_their_labels():
    shop = catalogue().without([1], ["too dark"], "eye").without([0, 2], ["torn", "wet"], "hand")
    assert shop.table["image"].tolist() == ["c.jpg", "e.jpg", "f.jpg"]
    assert shop.table["colour"].tolist() == ["red", "green", "red"]
    assert shop.rejected.to_dict("list") == {
        "source": ["eye", "hand", "hand"],
        "row": [1, 0, 2],
        "image": ["b.jpg", "a.jpg", "d.jpg"],
        "reason": ["too dark", "torn", "wet"],
    }
    assert "; 3 rejected" in repr(shop) and "rejected" not in repr(catalogue())  # what is lost is said


def test_where_nothing_is_left_to_train_on_the_first_reason_is_given():
    with pytest.raises(CatalogueError, match=all_of("training split is empty; first of 4 rejected: torn")):
        catalogue().without(range(4), ["torn", "wet", "wet", "wet"], "eye")


def test_a_task_with_changed_fields_learns_its_classes_again():
    shop = catalogue(words=["old;soft", "soft", "soft", "old", "new", "soft"])
    assert shop.tasks["words"].classes == ("old", "soft")
    assert shop.task("words", minimum=3).classes == ("soft",)
    assert shop.task("words", minimum=3).encode(shop.table)[:, 0].tolist() == [1, 1, 1, 0, 0, 1]
    assert shop.task("words").classes == ("old", "soft") == shop.tasks["words"].classes
    given = catalogue([SingleLabel("colour", classes=("red", "none", "blue"))])
    assert given.task("colour", balance=0.5).classes == ("red", "none", "blue")
    with pytest.raises(CatalogueError, match=all_of("shop", "no class to learn in column 'words'", "'minimum': 4")):
        shop.task("words", minimum=4)
    with pytest.raises(ValueError, match="minimum"):
        shop.task("colour", minimum=2)


def test_names_that_are_not_utf8_have_fingerprints_of_their_own():
    names = ["caf\udce9.jpg", "caf\udce8.jpg"]
    shops = [catalogue(image=pd.Series([*"abcde", name], dtype=object)) for name in names]
    assert len({shop.image_fingerprint for shop in shops}) == len({shop.fingerprint() for shop in shops}) == 2

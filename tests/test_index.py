"""Exact search against a plain loop, and every way of giving an index what it cannot take."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from fashionlib.shop import index as search
from fashionlib.shop.index import open_index

ATTRIBUTES = ("gender", "colour")


def items(n: int = 120, dimension: int = 8, seed: int = 0) -> tuple[list[str], np.ndarray, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {"gender": rng.choice(["Men", "Women"], n), "colour": rng.choice(["Red", "Blue", "Grün", None], n)}
    )
    return [f"item {row:03d}" for row in range(n)], rng.normal(size=(n, dimension)), table


@pytest.fixture
def filled():
    index = open_index(None, dimension=8, model_id="m", attributes=ATTRIBUTES)
    index.insert(*items())
    return index


def by_hand(queries, k, keep=lambda row: True) -> list[tuple]:
    """(query, rank, id, cosine) by a plain loop over all items."""
    ids, vectors, table = items()
    found = []
    for number, query in enumerate(queries):
        cosines = [query @ v / np.sqrt((query @ query) * (v @ v)) for v in vectors]
        best = [row for row in np.argsort(cosines)[::-1] if keep(table.loc[row])][:k]
        found += [(number, rank, ids[row], cosines[row]) for rank, row in enumerate(best, 1)]
    return found


def assert_found(answer: pd.DataFrame, expected: list[tuple]) -> None:
    head = answer[["query", "rank", "id"]]
    assert list(head.itertuples(index=False, name=None)) == [row[:3] for row in expected]
    np.testing.assert_allclose(answer["similarity"], [row[3] for row in expected], atol=1e-5)


@pytest.mark.parametrize("block", [search.BLOCK, 300])
def test_search_finds_what_a_plain_loop_finds(filled, monkeypatch, block):
    monkeypatch.setattr(search.most_similar, "__defaults__", (block,))
    queries = np.random.default_rng(1).normal(size=(7, 8))
    answer = filled.search(3 * queries, k=5)
    assert_found(answer, by_hand(queries, 5))
    assert list(answer) == ["query", "rank", "id", "similarity", "gender", "colour"]
    ids, _, table = items()
    expected = table.set_axis(ids).loc[answer["id"]].reset_index(drop=True)
    pd.testing.assert_frame_equal(answer[["gender", "colour"]], expected.astype("str"))


@pytest.mark.parametrize(
    "where, keep",
    [
        ({"gender": "Women"}, lambda row: row["gender"] == "Women"),
        ({"gender": "Men", "colour": ["Red", "Grün"]}, lambda row: tuple(row) in [("Men", "Red"), ("Men", "Grün")]),
        ({"colour": ("Red", "Blue", "Grün")}, lambda row: not pd.isna(row["colour"])),
        ({}, lambda row: True),
    ],
)
def test_only_what_has_the_attributes_is_found(filled, where, keep):
    queries = np.random.default_rng(2).normal(size=(3, 8))
    assert_found(filled.search(queries, 100, where), by_hand(queries, 100, keep))


@pytest.mark.parametrize("where", [{"colour": "Beige"}, {"colour": ""}, {"colour": []}, {"colour": "nan"}])
def test_an_unknown_value_finds_nothing_in_the_right_columns(filled, where):
    answer = filled.search(np.ones((2, 8)), where=where)
    assert len(answer) == 0 and list(answer) == list(filled.search(np.ones((2, 8))))
    assert answer.dtypes.equals(filled.search(np.ones((2, 8))).dtypes)


def test_an_empty_index_finds_nothing():
    index = open_index(None, dimension=3, model_id="m")
    assert len(index) == 0
    answer = index.search(np.ones((2, 3)))
    assert list(answer) == ["query", "rank", "id", "similarity"] and len(answer) == 0
    assert len(index.near_duplicates()) == 0


def test_update_changes_what_is_given_and_nothing_else(filled):
    filled.update(["item 003"], embeddings=np.eye(8)[:1])
    filled.update(["item 004", "item 005"], attributes=pd.DataFrame({"colour": ["Beige", None], "other": 1}))
    answer = filled.search(np.eye(8)[:1], k=120).set_index("id")
    assert answer.index[0] == "item 003" and answer["similarity"].iloc[0] == pytest.approx(1)
    _, vectors, table = items()
    assert answer.loc["item 003", "gender"] == table["gender"][3]
    assert answer.loc["item 004", "colour"] == "Beige" and pd.isna(answer.loc["item 005", "colour"])
    assert answer.loc["item 004", "gender"] == table["gender"][4]
    assert answer.loc["item 004", "similarity"] == pytest.approx(vectors[4, 0] / np.linalg.norm(vectors[4]), abs=1e-6)


def test_what_was_deleted_is_not_found_and_can_be_inserted_again(filled):
    ids, vectors, table = items()
    assert filled.delete([*ids[10:20], "never there"]) == 10
    assert len(filled) == 110 and not set(ids[10:20]) & set(filled.search(vectors[:20], 110)["id"])
    assert filled.delete(ids[10:20]) == 0
    assert filled.search(vectors[30:31], 1)["id"].tolist() == [ids[30]]
    filled.insert(ids[15:16], vectors[15:16], table[15:16])
    filled.update(ids[15:16], attributes=pd.DataFrame({"gender": ["Unisex"]}))
    found = filled.search(vectors[15:16], 1).iloc[0]
    assert (found["id"], found["gender"]) == (ids[15], "Unisex")


@pytest.mark.parametrize("block", [search.BLOCK, 50])
def test_near_duplicates_are_each_pair_once_the_most_similar_first(monkeypatch, block):
    monkeypatch.setattr(search.pair_table, "__defaults__", (block,))
    vectors = np.random.default_rng(3).normal(size=(40, 6))
    vectors[7], vectors[8] = 2 * vectors[30], vectors[31] + 0.05
    index = open_index(None, dimension=6, model_id="m")
    ids = [f"{row:02d}" for row in range(40)][::-1]
    index.insert(ids, vectors)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = {
        (ids[j], ids[i]): unit[i] @ unit[j] for i in range(40) for j in range(i + 1, 40) if unit[i] @ unit[j] >= 0.7
    }
    pairs = index.near_duplicates(0.7)
    assert dict(zip(zip(pairs["first"], pairs["second"], strict=True), pairs["similarity"], strict=True)) == (
        pytest.approx(expected, abs=1e-5)
    )
    assert len(pairs) == len(expected) > 2 and pairs["similarity"].is_monotonic_decreasing
    assert index.near_duplicates(1.0)[["first", "second"]].values.tolist() == [["09", "32"]]


@pytest.mark.parametrize(
    "ids, vectors, table, message",
    [
        (["item 003", "new"], np.ones((2, 8)), {}, "'item 003' is in the index already.*update"),
        (["a", "b", "a"], np.ones((3, 8)), {}, "'a' is more than once"),
        (["a", 7], np.ones((2, 8)), {}, r"row 1: 7 is not an id.*str\(id\)"),
        (["a", ""], np.ones((2, 8)), {}, "row 1: '' is not an id"),
        ("abc", np.ones((3, 8)), {}, "ids is the text 'abc'"),
        (["ü" * 9000], np.ones((1, 8)), {}, "more than 16,384 bytes"),
        (["a"], np.ones((1, 9)), {}, "9 values each, those of this index have 8"),
        (["a"], np.ones(8), {}, r"shape \(8,\).*2-D"),
        (["a"], np.ones((2, 8)), {}, "2 embeddings for 1 ids"),
        (
            ["a", "b"],
            np.array([[1.0] * 8, [np.nan] * 8]),
            {},
            "1 embeddings are not finite or zero, the first in row 1",
        ),
        (["a"], np.zeros((1, 8)), {}, "not finite or zero, the first in row 0"),
        (["a"], np.ones((1, 8)), {"colour": None}, "no column colour; the index has gender, colour"),
        (["a"], np.ones((1, 8)), {"colour": ["x", "y"], "gender": ["x", "y"]}, "2 rows of attributes for 1 ids"),
        (["a", "b"], np.ones((2, 8)), {"colour": ["Red", 5]}, "attribute 'colour', row 1: 5 is not text"),
        (["a"], np.ones((1, 8)), {"colour": ["x" * 20000]}, "attribute 'colour': 'xxx.*more than 16,384 bytes"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_added(filled, ids, vectors, table, message):
    columns = {"gender": ["Men"] * len(ids), "colour": ["Red"] * len(ids), **table}
    frame = pd.DataFrame({name: values for name, values in columns.items() if values is not None})
    with pytest.raises(ValueError, match=message):
        filled.insert(ids, vectors, frame)
    assert len(filled) == 120


def test_an_update_that_does_not_fit_is_refused(filled):
    with pytest.raises(ValueError, match="'x', 'y' are not in the index.*insert"):
        filled.update(["item 001", "x", "y"], np.ones((3, 8)))
    with pytest.raises(ValueError, match="nothing to update: give embeddings, or attributes among gender, colour"):
        filled.update(["item 001"], attributes=pd.DataFrame({"other": ["x"]}))
    with pytest.raises(ValueError, match=r"4 ids \('a', 'b', 'c', ...\) are not in the index"):
        filled.update(list("abcd"), np.ones((4, 8)))


def test_a_question_that_does_not_fit_is_refused(filled):
    with pytest.raises(ValueError, match="no attribute color; the index has gender, colour"):
        filled.search(np.ones((1, 8)), where={"color": "Red"})
    with pytest.raises(ValueError, match="where, colour: None is not text"):
        filled.search(np.ones((1, 8)), where={"colour": ["Red", None]})
    with pytest.raises(ValueError, match=r"shape \(8,\).*2-D.*embedding\[None\]"):
        filled.search(np.ones(8))
    with pytest.raises(ValueError, match="k is 0"):
        filled.search(np.ones((1, 8)), k=0)
    with pytest.raises(ValueError, match="similarity is 98"):
        filled.near_duplicates(98)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"dimension": 0}, "dimension is 0"),
        ({"attributes": ["colour", "id"]}, "attribute 'id': name it otherwise"),
        ({"attributes": ["colour", "colour"]}, "comes twice among colour, colour"),
    ],
)
def test_an_index_that_cannot_be_made_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        open_index(None, **{"dimension": 4, "model_id": "m", **options})


def test_the_exact_index_needs_neither_pymilvus_nor_torch():
    code = (
        "import sys; sys.modules['pymilvus'] = None; from fashionlib.shop.index import open_index; import numpy\n"
        "index = open_index(None, dimension=2, model_id='m'); index.insert(['a'], numpy.ones((1, 2)))\n"
        "assert len(index.search(numpy.ones((1, 2)))) == 1 and 'torch' not in sys.modules\n"
        "try: open_index('catalogue.db', dimension=2, model_id='m')\n"
        "except ImportError as error: print(error)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert "pip install 'fashionlib[search]'" in run.stdout and "open_index(None" in run.stdout

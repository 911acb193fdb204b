"""What a cell means: by hand for what programs write, and properties for any text and number."""

import unicodedata
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fashionlib.cells import as_text, parts, plain, respelled
from fashionlib.data.catalogue import Catalogue, CatalogueError
from fashionlib.metrics.ranking import rank
from fashionlib.tasks import MultiLabel, SingleLabel
from tiny import NoFiles

BIG = 2**60 + 1  # float64 does not hold it
CELLS = st.one_of(st.none(), st.text(max_size=12), st.integers(), st.floats(), st.booleans())


@pytest.mark.parametrize("values, expected", [
    ([3, 3.0, None], ["3", "3", None]),
    ([36.5, 37.0, np.nan], ["36.5", "37", None]),
    (["37", "37.0", "36.5", "37.50"], ["37", "37", "36.5", "37.50"]),
    (["3.0", " 4 ", "", "007", "A7"], ["3", "4", None, "007", "A7"]),
    (["?", " ? ", "NA", "None", "nan"], [None, None, "NA", "None", "nan"]),
    ([None, float("nan"), pd.NaT, pd.NA], [None] * 4),
    ([True, None, False], ["True", None, "False"]),
    ([BIG, None, str(BIG), np.int64(BIG)], [str(BIG), None, str(BIG), str(BIG)]),
    ([Decimal("12345.00"), Decimal("0.5"), 1e22], ["12345", "0.5", "10000000000000000000000"]),
    ([torch.tensor(3), torch.tensor([4.0])], ["3", "4"]),
    (pd.array([BIG, None], "Int64"), [str(BIG), None]),
    (pa.array([BIG, None]), [str(BIG), None]),
    (pa.chunked_array([["a"], ["b ", None]]), ["a", "b", None]),
    (torch.tensor([1, -2]), ["1", "-2"]),
    (np.array([0.1, 2, 1000001, np.nan], np.float32), ["0.1", "2", "1000001", None]),
    (pd.Categorical(["a", None]), ["a", None]),
    (pd.array([0.1, None], "float[pyarrow]"), ["0.1", None]),
    (pa.array([0.1, None], pa.float32()), ["0.1", None]),
    (pa.array(np.array([0.1], np.float16)), ["0.1"]),
    (np.array([0.1], ">f4"), ["0.1"]),
    (pd.array([0.1, None], "Float32"), ["0.1", None]),
    ((), []),
])  # fmt: skip
def test_what_a_cell_means(values, expected):
    assert as_text(values).tolist() == expected


@pytest.mark.parametrize("one, other", [
    ("décolleté", unicodedata.normalize("NFD", "décolleté")), ("dress", "dress\u200b"), ("dress", "\ufeffdress"),
    ("long dress", "long\u00a0dress"), ("long dress", " long \t dress\n"), ("dress", "dr\u200dess"),
    ("dress", "d\u00adress"), ("12", "12.0"), ("size:37", "size:37.0"), ("dress", "\u202adress\u202c"),
    ("caf\u00e9", "cafe\u200b\u0301"),
])  # fmt: skip
def test_what_looks_the_same_is_the_same(one, other):
    assert plain(other) == one and as_text([one, other]).nunique() == 1
    assert respelled(pd.Series([one, other, one]), as_text([one, other, one])) == 1


@pytest.mark.parametrize("one, other", [
    ("می‌خواهم", "میخواهم"), ("\U0001f469\u200d\U0001f467", "\U0001f469\U0001f467"),  # joiners that are seen
    ("dress", "Dress"), ("1.50", "1.5"), ("007", "7"), ("Ａ", "A"), ("x²", "x2"), ("V-neck", "V neck"),
])  # fmt: skip
def test_what_differs_stays_apart(one, other):
    assert plain(one) != plain(other)


@pytest.mark.parametrize(
    "values", [[[1, 2]], [{"a": 1}], [b"x"], [torch.ones(2)], np.eye(2), torch.eye(2), torch.tensor(1)]
)
def test_what_is_no_column_of_values_is_refused(values):
    with pytest.raises(ValueError, match="a cell holds|one column"):
        as_text(values)


def test_parts_of_a_cell():
    assert parts(" floral ; long\u00a0;; ?  fit : x ;floral") == ["floral", "long", "?fit : x"]
    assert parts("a; b") == ["a", "b"] and parts(" ; ") == [] and parts("?;a") == ["?", "a"]


@given(st.lists(CELLS))
def test_text_means_what_it_says(cells):
    text = as_text(cells)
    assert as_text(text).tolist() == text.tolist()
    assert all(cell is None or cell == cell.strip() != "" for cell in text)
    assert as_text(pd.Series(cells, dtype=object)).tolist() == as_text(iter(cells)).tolist() == text.tolist()


def test_a_catalogue_reads_its_labels_so_and_counts_what_was_respelled():
    table = pd.DataFrame({"image": [f"{k}.jpg" for k in range(5)], "split": "train"})
    table["kind"] = ["dress", "dress\u200b", 12, 12.0, None]
    table["words"] = ["long dress;a", "long\u00a0dress", "", "?", "a; ?"]
    made = Catalogue(table, [SingleLabel("kind"), MultiLabel("words")], NoFiles(), "my")
    assert made.table["kind"].tolist() == ["dress", "dress", "12", "12", None]
    assert made.table["words"].tolist() == ["long dress;a", "long dress", "", None, "a;?"]
    assert made.tasks["words"].classes == ("a", "long dress")
    assert made.tasks["words"].encode(made.table).tolist() == [[1, 1], [0, 1], [0, 0], [-1, -1], [1, -1]]
    assert made.only("kind", "words").summary()["respelled"].tolist() == [2, 1]
    with pytest.raises(CatalogueError, match="my: column 'kind': a cell holds"):
        Catalogue(table.assign(kind=[["a"]] * 5), [SingleLabel("kind")], NoFiles(), "my")


def test_items_are_the_same_whatever_hands_them_over():
    points = np.eye(4).repeat(2, axis=0)
    numbers = [BIG, BIG, BIG + 1, BIG + 1, 3, 3, -1, -1]
    right = rank(points, points, numbers, numbers, ks=(1,), alone=True)
    assert right.n_excluded == 2 and right.scores()["recall_at_1"] == 1
    others = [np.array(numbers), torch.tensor(numbers), [torch.tensor(n) for n in numbers], pd.array(numbers, "Int64")]
    others += [pa.array(numbers), [*map(str, numbers)], [None if n < 0 else n for n in numbers]]
    for items in others:
        found = rank(points, points, items, numbers, ks=(1,), alone=True)
        assert found.scores() == right.scores() and found.matches.tolist() == right.matches.tolist()

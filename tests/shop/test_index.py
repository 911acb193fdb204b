"""Every kind of index against exact search, exact search against a plain loop, and what an index refuses."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from fashionlib.shop import index as exact_module
from fashionlib.shop import index_lance, index_milvus
from fashionlib.shop.index import nearest, open_index

NASTY = ['say "x"', "it's", "back\\slash", "end\\", "Grün 红 👗", "a\nb\tc\rd", "' OR 1=1 --", '" or id != "']
NASTY += ["%41", "100%_", "{x}", "nan", "", "\x00", None]
LAYOUT = {"dimension": 8, "model_id": "model one", "attributes": ["in", "Größe cm"]}


def items(n: int = 150, seed: int = 0) -> tuple[list[str], np.ndarray, pd.DataFrame]:
    """Clustered vectors; ids and attributes that a careless filter would stumble over."""
    rng = np.random.default_rng(seed)
    vectors = np.repeat(rng.normal(size=(n // 5, 8)), 5, axis=0) + 0.1 * rng.normal(size=(n, 8))
    table = pd.DataFrame({"in": [NASTY[row % 15] for row in range(n)], "Größe cm": rng.choice(["S", "L"], n)})
    return [f"photos/{NASTY[row % 14]} {row}.jpg" for row in range(n)], vectors, table


@pytest.fixture(params=["folder", "folder in partitions", "milvus"])
def where(request, tmp_path, monkeypatch):
    if request.param == "milvus":
        pymilvus = pytest.importorskip("pymilvus")
        pytest.importorskip("milvus_lite", reason="it stands in for a Milvus server")
        monkeypatch.setattr(index_milvus, "VALUES", 37 * 8)  # several requests
        client = pymilvus.MilvusClient
        monkeypatch.setattr(pymilvus, "MilvusClient", lambda *_, **__: client(str(tmp_path / "milvus.db")))
        return "http://localhost:19530"
    pytest.importorskip("lancedb")
    if request.param == "folder in partitions":
        monkeypatch.setattr(index_lance, "PARTITIONED_FROM", 64)
        monkeypatch.setattr(index_lance, "PARTITION", 16)
    return tmp_path / "index it's"


@pytest.fixture
def index():
    index = open_index(**LAYOUT)
    index.insert(*items())
    return index


def assert_same(one: pd.DataFrame, two: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(one, two, atol=1e-5, rtol=0)


def test_every_kind_answers_as_exact_search_does(where):
    ids, vectors, table = items()
    queries = np.random.default_rng(5).normal(size=(70, 8))
    exact, kept = open_index(**LAYOUT), open_index(where, **LAYOUT)
    for index in (exact, kept):
        assert len(index) == len(index.search(queries)) == 0
        index.insert(ids[:100], vectors[:100], table[:100])
        index.insert(ids[100:], vectors[100:], table[100:])
        index.insert([], np.empty((0, 8)), table[:0])
        index.update(ids[3:60], embeddings=-vectors[3:60])
        index.update(ids[50:120], attributes=table[["in"]][::-1][50:120].assign(other=1))
        index.update(ids[60:70], vectors[100:110] + 0.5, table[20:30])
        assert index.delete([*ids[90:110], "never there"]) == 20 and index.delete(ids[90:91]) == 0
        index.insert(ids[100:105], vectors[:5] + 0.3, table[:5])
    kept.close()
    kept = open_index(where, **{**LAYOUT, "attributes": ["Größe cm", "in"]})  # in any order
    with kept:
        assert len(kept) == len(exact) == 135
        for k, having in (
            (10, None),
            (140, {}),
            *((10, {"in": value}) for value in NASTY[: 2 if index_lance.PARTITION == 16 else -1]),
            (150, {"in": ["it's", "end\\", "", 'say "x"', "not there"], "Größe cm": "L"}),
            *((10, {"in": values}) for values in ("not there", [], "None", "<NA>")),
        ):
            asked = queries if having is None else queries[:5]
            expected = exact.search(asked, k, having)
            assert_same(kept.search(asked, k, having)[list(expected)], expected)
            assert bool(len(expected)) == (having is None or having.get("in") not in ("not there", [], "None", "<NA>"))
        assert kept.search(queries[:1], 1).dtypes.equals(kept.search(queries[:1], 1, {"in": []}).dtypes)


def test_an_index_of_another_model_dimension_or_attributes_is_refused(where):
    with open_index(where, **LAYOUT) as kept:
        kept.insert(*items(20))
        for other in ({"model_id": "model two"}, {"dimension": 16}, {"attributes": ["in"]}):
            with pytest.raises(
                ValueError, match="is of {'model_id': 'model one', 'dimension': 8,.* you ask for .* anew"
            ):
                open_index(where, **{**LAYOUT, **other})
        with open_index(where, **{**LAYOUT, "dimension": 3}, collection="other") as other:
            assert (len(other), len(kept)) == (0, 20)


@pytest.mark.parametrize(
    "having, keep",
    [
        (None, lambda row: True),
        ({"Größe cm": "S"}, lambda row: row["Größe cm"] == "S"),
        ({"Größe cm": ("L", "S"), "in": ["it's", ""]}, lambda row: row["in"] in ("it's", "")),
    ],
)
@pytest.mark.parametrize("block", [exact_module.BLOCK, 300])
def test_exact_search_finds_what_a_plain_loop_finds(index, monkeypatch, block, having, keep):
    monkeypatch.setattr(exact_module, "BLOCK", block)
    ids, vectors, table = items()
    queries = np.random.default_rng(1).normal(size=(7, 8))
    expected = []
    for number, query in enumerate(queries):
        cosines = [query @ v / np.sqrt((query @ query) * (v @ v)) for v in vectors]
        best = [row for row in np.argsort(cosines)[::-1] if keep(table.loc[row])][:12]
        expected += [(number, rank, ids[row], cosines[row], *table.loc[row]) for rank, row in enumerate(best, 1)]
    columns = ["query", "rank", "id", "similarity", *table]
    expected = pd.DataFrame(expected, columns=columns).astype({"similarity": "float32", "id": "str", "in": "str"})
    assert_same(index.search(3 * queries, 12, having), expected.astype({"Größe cm": "str"}))


@pytest.mark.parametrize("scale", [1e-100, 1e-24, 1e-22, 1e20, 1e100])
def test_embeddings_may_have_any_length_and_attributes_be_a_dictionary(scale):
    ids, vectors, table = items()
    index, scaled = open_index(**LAYOUT), open_index(**LAYOUT)
    index.insert(ids, vectors, table)
    scaled.insert(ids, scale * vectors, {name: list(table[name]) for name in table})
    assert_same(index.search(vectors[:9]), scaled.search(scale * vectors[:9]))


def test_ties_go_by_row():
    vectors = np.eye(3, dtype=np.float32)[[0, 1, 1, 0, 1, 2, 1]]
    query, row, similarity = nearest(np.eye(3, dtype=np.float32)[[1, 2]], vectors, 3)
    assert query.tolist() == [0, 0, 0, 1, 1, 1] and row.tolist() == [1, 2, 4, 5, 0, 1]
    assert similarity.tolist() == [1, 1, 1, 1, 0, 0]


@pytest.mark.parametrize(
    "ids, vectors, columns, message",
    [
        (["photos/it's 1.jpg", "new"], np.ones((2, 8)), {}, r"\"photos/it's 1.jpg\" \(1\) are in the index already"),
        (["a", "b", "a"], np.ones((3, 8)), {}, "'a'.* more than once"),
        (["a", 7], np.ones((2, 8)), {}, r"ids, row 1: 7 is not text.*astype\(str\)"),
        (["a", "caf\udce9"], np.ones((2, 8)), {}, "ids, row 1: .* is not text in UTF-8"),
        (["a", ""], np.ones((2, 8)), {}, "row 1: '' is not an id"),
        ("abc", np.ones((3, 8)), {}, "ids is the text 'abc'"),
        (["a"], np.ones((1, 9)), {}, r"shape \(1, 9\), not \(1, 8\)"),
        (["a"], np.ones(8), {}, r"shape \(8,\).*embedding\[None\]"),
        (["a"], np.ones((2, 8)), {}, r"shape \(2, 8\), not \(1, 8\)"),
        (["a", "b"], [[1.0] * 8, [np.nan] * 8], {}, "1 embeddings are not finite or zero, the first in row 1"),
        (["a"], np.zeros((1, 8)), {}, "not finite or zero, the first in row 0"),
        (["a"], np.ones((1, 8)), {"in": None}, "no column in;"),
        (["a"], np.ones((1, 8)), {"in": ["x", "y"], "Größe cm": ["x", "y"]}, "2 rows of attributes for 1 ids"),
        (["a", "b"], np.ones((2, 8)), {"in": ["Red", 5]}, "attribute 'in', row 1: 5 is not text"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_added(index, ids, vectors, columns, message):
    columns = {"in": ["x"] * len(ids), "Größe cm": ["S"] * len(ids), **columns}
    table = pd.DataFrame({name: values for name, values in columns.items() if values is not None})
    with pytest.raises(ValueError, match=message):
        index.insert(ids, vectors, table)
    assert len(index) == 150


@pytest.mark.parametrize(
    "ask, message",
    [
        (lambda index: index.update(["x"], np.ones((1, 8))), "'x' .1. are not in the index.*insert"),
        (lambda index: index.update(list("abcd"), np.ones((4, 8))), r"'a', 'b', 'c', ... \(4\) are not in"),
        (
            lambda index: index.update(["x"], attributes=pd.DataFrame({"y": ["x"]})),
            "nothing to update: .* in, Größe cm",
        ),
        (
            lambda index: index.update(["a"], np.ones((1, 8)), pd.DataFrame({"In": ["Red"]})),
            "nothing to update: .* in, Größe cm",
        ),
        (
            lambda index: index.search(np.ones((1, 8)), where={"color": "Red"}),
            "no attribute color; the index has in, G",
        ),
        (
            lambda index: index.search(np.ones((1, 8)), where={"in": ["Red", None]}),
            "where, in, row 1: None is not text",
        ),
        (lambda index: index.search(np.ones(8)), r"shape \(8,\).*embedding\[None\]"),
        (lambda index: index.search(np.ones((1, 8)), k=0), "k is 0"),
        (lambda index: index.search(np.ones((1, 8)), where=["colour"]), "dictionary"),
    ],
)
def test_a_question_that_does_not_fit_is_refused(index, ask, message):
    with pytest.raises(ValueError, match=message):
        ask(index)


@pytest.mark.parametrize(
    "where, options, message",
    [
        (None, {"dimension": 0}, "dimension is 0"),
        (None, {"attributes": ["colour", "id"]}, "attribute 'id': name it once, and other than query"),
        (None, {"attributes": ["colour", "colour"]}, "attribute 'colour': name it once"),
        ("localhost:19530", {}, "a Milvus server is http://localhost:19530"),
        ("root:secret@host:19530", {}, "^host:19530: .* http://host:19530$"),
        ("ftp://shop/index", {}, "no folder and no object store"),
        ("index", {"token": "root:secret"}, "a token is for a Milvus server"),
    ],
)
def test_what_cannot_be_opened_is_refused(where, options, message):
    with pytest.raises(ValueError, match=message):
        open_index(where, **{**LAYOUT, **options})


def test_what_is_not_installed_is_named_and_the_exact_index_does_without():
    code = (
        "import sys; sys.modules['pymilvus'] = sys.modules['lancedb'] = None; import numpy\n"
        "from fashionlib.shop.index import open_index\n"
        "index = open_index(None, dimension=2, model_id='m'); index.insert(['a'], numpy.ones((1, 2)))\n"
        "assert len(index.search(numpy.ones((1, 2)))) == 1\n"
        "for where in ('index', 'http://host:19530'):\n"
        "    try: open_index(where, dimension=2, model_id='m')\n"
        "    except ImportError as error: print(error)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    for line, name in zip(run.stdout.splitlines(), ("lancedb", "pymilvus"), strict=True):
        assert f"needs {name}: pip install 'fashionlib[search]'; open_index(None" in line

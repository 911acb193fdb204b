"""The Milvus index against the exact one on the same items, and everything that keeps it from being opened."""

import logging
import subprocess
import sys
import time
import warnings

import numpy as np
import pandas as pd
import pytest

from fashionlib.shop.index import open_index

pytest.importorskip("pymilvus")
pytest.importorskip("milvus_lite")

NASTY = ['say "x"', "it's", "back\\slash", "end\\", "Grün 红", "a\nb\tc\rd", '" or id != "', "%41", "{x}", "", None]
LAYOUT = {"dimension": 8, "model_id": "model one", "attributes": ["in", "Größe cm"]}  # neither a name for a field


def items(n: int = 200, seed: int = 0) -> tuple[list[str], np.ndarray, pd.DataFrame]:
    """Clustered vectors; ids and attributes that a careless filter would stumble over."""
    rng = np.random.default_rng(seed)
    vectors = np.repeat(rng.normal(size=(n // 5, 8)), 5, axis=0) + 0.1 * rng.normal(size=(n, 8))
    table = pd.DataFrame({"in": [NASTY[row % len(NASTY)] for row in range(n)], "Größe cm": rng.choice(["S", "L"], n)})
    return [f"photos/{NASTY[row % 9]} {row}.jpg" for row in range(n)], vectors, table


def same(one: pd.DataFrame, two: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(one, two, atol=1e-5, rtol=0)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    exact, kept = open_index(**LAYOUT), open_index(tmp_path_factory.mktemp("index") / "catalogue.db", **LAYOUT)
    for index in (exact, kept):
        index.insert(*items())
    yield exact, kept
    kept.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "catalogue.db"


@pytest.mark.parametrize(
    "where",
    [
        None,
        *({"in": value} for value in NASTY if value is not None),
        {"in": ["it's", "end\\", 'say "x"'], "Größe cm": "L"},
        {"in": "not there"},
        {"in": []},
    ],
)
def test_a_search_finds_what_exact_search_finds(both, where):
    exact, kept = both
    queries = items(seed=1)[1][:6]
    expected = exact.search(queries, 10, where)
    same(kept.search(queries, 10, where), expected)
    assert (len(expected) == 0) == (where in ({"in": "not there"}, {"in": []}))


def test_many_queries_more_than_there_are_items_and_near_duplicates(both):
    exact, kept = both
    assert len(kept) == 200
    queries = np.random.default_rng(4).normal(size=(70, 8))
    same(kept.search(queries, 250), exact.search(queries, 250))
    pairs = exact.near_duplicates(0.99)
    assert len(pairs) > 50
    same(kept.near_duplicates(0.99), pairs)


def test_update_delete_and_reopen_as_in_memory(path, monkeypatch):
    monkeypatch.setattr("fashionlib.shop.milvus_index.BATCH_ROWS", 37)  # several requests
    ids, vectors, table = items()
    exact, kept = open_index(**LAYOUT), open_index(path, **LAYOUT)
    queries = np.random.default_rng(5).normal(size=(5, 8))
    for index in (exact, kept):
        index.insert(ids[:120], vectors[:120], table[:120])
        index.search(queries, 3)  # what follows meets items that are in columns already
        index.insert(ids[120:], vectors[120:], table[120:])
        index.update(ids[3:60], embeddings=-vectors[3:60])
        index.update(ids[50:130], attributes=table[["in"]][::-1][50:130])
        index.update(ids[60:70], vectors[100:110] + 0.5, table[20:30])
        assert index.delete([*ids[100:150], "never there"]) == 50
        assert index.delete(ids[100:101]) == 0
        index.insert(ids[140:145], vectors[:5] + 0.3, table[:5])
    same(kept.search(queries, 200), exact.search(queries, 200))
    kept.close()
    with open_index(path, **LAYOUT) as kept:
        assert len(kept) == len(exact) == 155
        same(kept.search(queries, 200), exact.search(queries, 200))
        same(kept.search(queries, 20, {"Größe cm": "S"}), exact.search(queries, 20, {"Größe cm": "S"}))


def test_what_does_not_fit_is_refused_as_in_memory(both):
    _, kept = both
    ids, vectors, table = items()
    with pytest.raises(ValueError, match=r"2.jpg' is in the index already"):
        kept.insert(["new", ids[2]], vectors[:2], table[:2])
    with pytest.raises(ValueError, match="'new' is not in the index"):
        kept.update(["new"], vectors[:1])
    with pytest.raises(ValueError, match="no attribute colour; the index has in, Größe cm"):
        kept.search(vectors[:1], where={"colour": "Red"})
    with pytest.raises(ValueError, match="at most 16,384"):
        kept.search(vectors[:1], k=20_000)
    assert len(kept) == 200


def test_a_request_that_fails_says_how_far_it_came(path, monkeypatch):
    from pymilvus import MilvusClient, MilvusException

    monkeypatch.setattr("fashionlib.shop.milvus_index.BATCH_ROWS", 50)
    insert, stored = MilvusClient.insert, []

    def full(client, collection, rows, **partition):
        if len(stored) == 130:
            raise MilvusException(message="no space left on device")
        rows = rows[: 130 - len(stored)]
        stored.extend(rows)
        return insert(client, collection, rows, **partition)

    with open_index(path, **LAYOUT) as kept:
        monkeypatch.setattr(MilvusClient, "insert", full)
        with pytest.raises(OSError, match=r"catalogue.db: insert from item 100 of 200 on failed \(no space left"):
            kept.insert(*items())
        assert len(kept) == 130  # of the request that failed some are stored, and it is told what to do
        monkeypatch.undo()
        ids, vectors, table = items()
        assert kept.delete(ids[100:]) == 30
        kept.insert(ids[100:], vectors[100:], table[100:])
        assert len(kept) == 200


def test_a_filter_on_the_first_attribute_looks_into_its_partitions_alone(path, monkeypatch):
    from pymilvus import MilvusClient

    search, named = MilvusClient.search, []

    def spy(*arguments, **options):
        named.append(options.get("partition_names"))
        return search(*arguments, **options)

    monkeypatch.setattr(MilvusClient, "search", spy)
    ids, vectors, table = items()
    exact, kept = open_index(**LAYOUT), open_index(path, **LAYOUT)
    for index in (exact, kept):
        index.insert(ids, vectors, table)

    def asked(where):
        named.clear()
        same(kept.search(vectors[:4], 15, where), exact.search(vectors[:4], 15, where))
        return list(named)

    ((first,),) = asked({"in": "it's"})
    assert asked({"Größe cm": "S"}) == [None]
    ((*several,),) = asked({"in": ["it's", "%41", "{x}"], "Größe cm": "S"})
    assert first in several and 1 < len(several) <= 3
    moved = np.flatnonzero(table["in"] == "it's")[:3]
    for index in (exact, kept):
        index.update([ids[row] for row in moved], attributes=pd.DataFrame({"in": ["%41"] * 3}))
    assert asked({"in": "it's"}) == [[first], None]  # what has moved was found, and asked for everywhere
    asked({"in": "%41"})
    kept.close()
    layout = {**LAYOUT, "attributes": LAYOUT["attributes"][::-1]}
    with open_index(path, **layout) as kept:
        named.clear()
        kept.search(vectors[:1], 5, {"in": "{x}"})
        assert len(named[0]) == 1


def test_an_index_whose_making_was_cut_short_works(path, monkeypatch):
    from pymilvus import MilvusClient, MilvusException

    create, made = MilvusClient.create_partition, []

    def cut(client, collection, partition):
        if len(made) == 3:
            raise MilvusException(message="stopped")
        made.append(partition)
        return create(client, collection, partition)

    with monkeypatch.context() as patch, pytest.raises(ValueError, match="cannot be opened as an index"):
        patch.setattr(MilvusClient, "create_partition", cut)
        open_index(path, **LAYOUT)
    ids, vectors, table = items()
    exact = open_index(**LAYOUT)
    with open_index(path, **LAYOUT) as kept:
        for index in (exact, kept):
            index.insert(ids, vectors, table)
        same(kept.search(vectors[:4], 15, {"in": "it's"}), exact.search(vectors[:4], 15, {"in": "it's"}))


@pytest.mark.parametrize(
    "other, message",
    [
        ({"model_id": "model two"}, "of the model 'model one', yours is 'model two'; build it anew"),
        ({"dimension": 16}, "of 8 values, yours have 16; build it anew"),
        ({"attributes": ["in"]}, "attributes in, Größe cm; you name in. Name those"),
    ],
)
def test_an_index_of_another_model_dimension_or_attributes_is_refused(both, other, message):
    with pytest.raises(ValueError, match=message):
        open_index(both[1].where, **{**LAYOUT, **other})


def test_attributes_may_be_named_in_another_order_and_two_indexes_share_a_folder(both):
    _, kept = both
    with open_index(kept.where, **{**LAYOUT, "attributes": ["Größe cm", "in"]}) as second:
        answer = second.search(items()[1][:2], 5, {"in": "it's"})
        same(answer[list(kept.search(np.ones((1, 8))))], kept.search(items()[1][:2], 5, {"in": "it's"}))
    with pytest.raises(ValueError, match="is closed; open it again"):
        len(second)
    assert len(kept) == 200


def test_a_file_and_folders_that_are_no_index_are_refused_and_left_alone(tmp_path):
    (tmp_path / "old.db").write_bytes(b"SQLite format 3")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    with pytest.raises(ValueError, match="old.db is a file; an index is a folder"):
        open_index(tmp_path / "old.db", **LAYOUT)
    with pytest.raises(ValueError, match="photos is a folder of something else"):
        open_index(tmp_path / "photos", **LAYOUT)
    assert [file.name for file in (tmp_path / "photos").iterdir()] == ["a.jpg"]


@pytest.mark.parametrize("what", ["schema.json", "*.parquet"])
def test_a_damaged_index_is_refused_and_does_not_stay_locked(path, what):
    with open_index(path, **LAYOUT) as kept:
        kept.insert(*items(20))
    file, *_ = path.rglob(what)
    sound = file.read_bytes()
    file.write_bytes(sound[: len(sound) // 2])
    with pytest.raises(ValueError, match="catalogue.db cannot be opened as an index.*damaged.*build the index anew"):
        open_index(path, **LAYOUT)
    file.write_bytes(sound)
    with open_index(path, **LAYOUT) as kept:
        assert len(kept) == 20


def test_a_collection_of_something_else_is_refused(path):
    from pymilvus import MilvusClient

    with open_index(path, **LAYOUT) as kept:
        client = MilvusClient(kept._engine.address, dedicated=True)
        client.create_collection("songs", dimension=8)
        client.close()
        with pytest.raises(ValueError, match="the collection 'songs' is not of fashionlib; name another"):
            open_index(path, **LAYOUT, collection="songs")


def test_a_server_gives_the_same_answers_and_keeps_collections_apart(tmp_path):
    from milvus_lite.adapter.grpc.server import start_server_in_thread

    server, data, port = start_server_in_thread(str(tmp_path / "server"))
    try:
        exact = open_index(**LAYOUT)
        address = f"http://127.0.0.1:{port}"
        with open_index(address, **LAYOUT, token="root:secret") as kept, open_index(address, **LAYOUT) as reader:
            for index in (exact, kept):
                index.insert(*items())
            queries = items(seed=1)[1][:6]
            same(reader.search(queries, 10), exact.search(queries, 10))
            where = {"in": ["it's", "end\\"], "Größe cm": "L"}
            same(reader.search(queries, 10, where), exact.search(queries, 10, where))
            with open_index(address, **{**LAYOUT, "dimension": 3}, collection="other") as other:
                assert len(other) == 0 and len(reader) == 200
    finally:
        server.stop(grace=0).wait()
        data.close()


def test_an_address_that_does_not_answer_is_a_connection_error_soon():
    started = time.monotonic()
    with pytest.raises(ConnectionError, match=r"no Milvus at http://127.0.0.1:9 .*give a path such as catalogue.db"):
        open_index("http://someone:secret@127.0.0.1:9", **LAYOUT)
    assert time.monotonic() - started < 60


CHILD = f"""
import sys
sys.path.insert(0, {__file__.rsplit("/", 1)[0]!r})
from test_milvus_index import LAYOUT, items
from fashionlib.shop.index import open_index
try:
    index = open_index(sys.argv[1], **LAYOUT)
except OSError as error:
    sys.exit(str(error))
index.insert(*items(50))
print("written", flush=True)
sys.stdin.read()
"""


def child(path) -> list[str]:
    return [sys.executable, "-W", "error", "-c", CHILD, str(path)]


def test_a_second_process_is_refused_and_a_killed_one_locks_nothing(path):
    with subprocess.Popen(child(path), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        try:
            assert first.stdout.readline() == "written\n"
            with pytest.raises(OSError, match="catalogue.db is open in another process; close it there"):
                open_index(path, **LAYOUT)
            assert first.poll() is None
        finally:
            first.kill()
    with open_index(path, **LAYOUT) as kept:
        assert len(kept) == 50
        exact = open_index(**LAYOUT)
        exact.insert(*items(50))
        same(kept.search(np.ones((1, 8)), 50), exact.search(np.ones((1, 8)), 50))
        refused = subprocess.run(child(path), input="", capture_output=True, text=True, timeout=300)
        assert refused.returncode == 1 and refused.stderr.strip().count("\n") == 0
        assert "is open in another process" in refused.stderr
        assert len(kept) == 50


def test_a_process_that_ends_without_closing_ends_quietly_and_loses_nothing(path):
    run = subprocess.run(child(path), input="", capture_output=True, text=True, timeout=300)
    assert (run.returncode, run.stderr) == (0, "")
    with open_index(path, **LAYOUT) as kept:
        assert len(kept) == 50


def test_it_is_quiet(path, capfd, caplog):
    with warnings.catch_warnings(), caplog.at_level(logging.INFO):
        warnings.simplefilter("error")
        with open_index(path, **LAYOUT) as kept:
            kept.insert(*items(20))
            kept.near_duplicates()
    assert capfd.readouterr() == ("", "") and not caplog.records


@pytest.mark.parametrize("gone, needed", [("pymilvus", "pymilvus"), ("milvus_lite.adapter.grpc.server", "milvus-lite")])
def test_what_is_not_installed_is_named(path, monkeypatch, gone, needed):
    monkeypatch.setitem(sys.modules, gone, None)
    with pytest.raises(ImportError, match=rf"needs {needed}.*pip install 'fashionlib\[search\]'"):
        open_index(path, **LAYOUT)

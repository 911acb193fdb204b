"""An index in a folder: processes that are killed, read while another writes, damage, growth."""

import subprocess
import sys
import time
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest

from fashionlib.shop import index_lance
from fashionlib.shop.index import open_index

pytestmark = pytest.mark.skipif(find_spec("lancedb") is None, reason="needs lancedb")

LAYOUT = {"dimension": 16, "model_id": "m", "attributes": ["colour"]}
BATCH = 500


def items(number: int, n: int = BATCH) -> tuple[list[str], np.ndarray, pd.DataFrame]:
    vectors = np.random.default_rng(number).normal(size=(n, 16))
    colours = ["red", "blue", None, "green", "pink"]
    return (
        [f"{number}/{row}" for row in range(n)],
        vectors,
        pd.DataFrame({"colour": [colours[r % 5] for r in range(n)]}),
    )


def child(code: str, path) -> subprocess.Popen:
    head = f"import sys; sys.path.insert(0, {__file__.rsplit('/', 1)[0]!r})\nfrom test_index_lance import *\n"
    head += f"index = open_index({str(path)!r}, **LAYOUT)\n"
    return subprocess.Popen([sys.executable, "-c", head + code], stdout=subprocess.PIPE, text=True)


def test_a_process_killed_in_the_middle_of_an_insert_leaves_the_last_committed_state(tmp_path):
    code = "for number in range(10_000): index.insert(*items(number)); print(number, flush=True)"
    with child(code, tmp_path / "index") as writer:
        for _ in range(3):
            assert writer.stdout.readline()
        time.sleep(0.01)
        writer.kill()
        committed = 3 + len(writer.stdout.readlines())
    with open_index(tmp_path / "index", **LAYOUT) as index:
        assert len(index) in (committed * BATCH, (committed + 1) * BATCH)  # it may not have said so any more
        exact = open_index(**LAYOUT)
        for number in range(len(index) // BATCH):
            exact.insert(*items(number))
        index.insert(*items(-1 % 2**32))
        exact.insert(*items(-1 % 2**32))
        for having in (None, {"colour": ["red", "pink"]}):
            found, expected = (one.search(items(0)[1][:5], 20, having) for one in (index, exact))
            pd.testing.assert_frame_equal(found, expected, atol=1e-5, rtol=0)
        assert len(index.search(items(0)[1][:2], 10**9)) == 2 * len(index)  # all, and no memory for a billion


def test_several_processes_read_while_one_writes(tmp_path):
    index = open_index(tmp_path / "index", **LAYOUT)
    index.insert(*items(0))
    code = (
        "print('ready', flush=True)\nseen = [len(index)]\nwhile seen[-1] < 5 * BATCH:\n"
        "    found = index.search(items(0)[1][:4], 3, {'colour': 'red'})\n"
        "    assert found.loc[found['rank'] == 1, 'id'].iloc[0] == '0/0' and len(found) == 12\n"
        "    seen.append(len(index))\n"
        "assert seen == sorted(seen) and not any(n % BATCH for n in seen), seen"
    )
    readers = [child(code, tmp_path / "index") for _ in range(2)]
    assert [reader.stdout.readline() for reader in readers] == ["ready\n"] * 2
    for number in range(1, 5):
        index.insert(*items(number))
        index.update([f"{number}/1"], items(number)[1][:1])
    assert [reader.wait(timeout=120) for reader in readers] == [0, 0]


def test_beyond_what_a_search_looks_into_it_is_approximate_but_exact_with_a_filter(tmp_path, monkeypatch):
    for name, value in {"PARTITIONED_FROM": 1000, "PARTITION": 100, "PROBES": 1}.items():
        monkeypatch.setattr(index_lance, name, value)
    exact, index = open_index(**LAYOUT), open_index(tmp_path / "index", **LAYOUT)
    for one in (exact, index):
        one.insert(*items(0, 2000))
    queries = items(1, 50)[1]
    found, best = (set(map(tuple, one.search(queries, 10)[["query", "id"]].to_numpy())) for one in (index, exact))
    assert 0.2 < len(found & best) / len(best) < 1 and len(found) == len(best)
    found, best = (one.search(queries, 10, {"colour": "red"}) for one in (index, exact))
    pd.testing.assert_frame_equal(found, best, atol=1e-5, rtol=0)


def test_small_writes_are_joined_and_indexed(tmp_path, monkeypatch):
    monkeypatch.setattr(index_lance, "FRAGMENTS", 5)
    index = open_index(tmp_path / "index", **LAYOUT)
    ids, vectors, table = items(0, 16)
    for row in range(16):
        index.insert(ids[row : row + 1], vectors[row : row + 1], table[row : row + 1])
    kinds = {kept.columns[0]: kept.index_type for kept in index._table.list_indices()}
    assert kinds == {"id": "BTree", "attribute_0": "Bitmap"}
    assert len(index) == 16 and index._table.stats()["fragment_stats"]["num_fragments"] <= 6
    assert max(kept.num_unindexed_rows for kept in index._table.list_indices()) <= 4


def test_another_process_that_inserts_the_same_is_noticed(tmp_path, monkeypatch):
    one, other = (open_index(tmp_path / "index", **LAYOUT) for _ in range(2))
    one.insert(*items(0, 10))
    monkeypatch.setattr(other, "_among", lambda ids: set())  # it looked before
    with pytest.raises(ValueError, match="10 of 12 ids were inserted by another process"):
        other.insert(*items(0, 12))
    assert len(one) == len(other) == 12


def test_what_is_no_index_is_refused_and_left_alone(tmp_path):
    (tmp_path / "old.db").write_bytes(b"SQLite format 3")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    for name in ("old.db", "photos"):
        with pytest.raises(ValueError, match=f"{name} is a file or a folder of something else"):
            open_index(tmp_path / name, **LAYOUT)
    assert [file.name for file in (tmp_path / "photos").iterdir()] == ["a.jpg"]
    import lancedb

    lancedb.connect(tmp_path / "songs").create_table("catalogue", [{"id": "a"}])
    with pytest.raises(ValueError, match="collection 'catalogue', is of something else"):
        open_index(tmp_path / "songs", **LAYOUT)


def test_a_damaged_index_is_refused(tmp_path):
    with open_index(tmp_path / "index", **LAYOUT) as index:
        index.insert(*items(0, 20))
    newest = min((tmp_path / "index").rglob("*.manifest"))
    sound = newest.read_bytes()
    newest.write_bytes(sound[: len(sound) // 2])
    with pytest.raises(ValueError, match="index: no index can be opened .*build it anew"):
        open_index(tmp_path / "index", **LAYOUT)
    newest.write_bytes(sound)
    assert len(open_index(tmp_path / "index", **LAYOUT)) == 20


def test_what_was_inserted_is_in_though_another_process_writes_while_it_is_tended(tmp_path, monkeypatch):
    with open_index(tmp_path / "index", **LAYOUT) as index:

        def conflict(*given, **named):
            raise RuntimeError("lance error: Retryable commit conflict for version 3")

        def full(*given, **named):
            raise RuntimeError("lance error: no space left on device")

        with monkeypatch.context() as other:
            other.setattr(index._table, "create_index", conflict)
            index.insert(*items(0))
            other.setattr(index._table, "create_index", full)
            with pytest.raises(RuntimeError, match="no space"):
                index.update(*items(0))
        assert len(index) == BATCH
        index.insert(*items(1))  # which tends what was left
        assert {field for found in index._table.list_indices() for field in found.columns} >= {"id"}

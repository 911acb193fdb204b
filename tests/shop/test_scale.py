"""Bulk tagging by several processes: the same file as from one, also when a process dies in the middle."""

import errno
import logging
import os
import signal
import socket
import sys
from pathlib import Path

import pandas as pd
import pytest

from fashionlib.__main__ import main
from fashionlib.shop import scale
from fashionlib.shop.bulk import BulkError, BulkOptions, tag_folder
from fashionlib.training.checkpoints import save_model
from shop.bulk_jobs import SHARD_SIZE, make_photos, read


@pytest.fixture(scope="module")
def ray():
    return pytest.importorskip("ray", reason="needs Ray: pip install 'fashionlib[scale]'")


@pytest.fixture(scope="module")
def runtime(ray):
    """Two workers' worth of Ray, for all tests of this file; RAY_ADDRESS may name one that is there."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = os.environ.get("RAY_ADDRESS")
    options = {} if address else {"num_cpus": 2, "include_dashboard": False}
    for patience in (2, 1, 0):
        try:
            ray.init(address or "local", log_to_driver=False, logging_level=logging.ERROR, **options)
            break
        except Exception:  # it waits half a minute for itself, which a busy machine may need longer than
            ray.shutdown()
            if not patience:
                raise
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def study(trained, tmp_path_factory):
    """A model, photos, and what the local engine makes of them."""
    root = tmp_path_factory.mktemp("study")
    model = save_model(trained[0], root / "model.pth")
    photos = make_photos(root / "photos")
    options = BulkOptions(shard_size=SHARD_SIZE)
    tag_folder(model, photos, root / "tags.parquet", root / "e.parquet", options=options)
    return model, photos, read(root / "tags.parquet"), read(root / "e.parquet")


@pytest.fixture
def workers(monkeypatch):
    """Lets the workers know the tests' tiny model, compute as it does here, and do ``prepare()`` when they start."""
    worker, tests = scale._worker(), str(Path(__file__).parents[1])

    def use(prepare=lambda: None):
        class Worker(worker):
            def __init__(self, *arguments):
                super().__init__(*arguments)
                sys.path.append(tests)
                from shop import bulk_jobs

                bulk_jobs.in_float32(bulk_jobs.pytest.MonkeyPatch())
                prepare()

        monkeypatch.setattr(scale, "_worker", lambda: Worker)

    use()
    return use


def tag_with_ray(model, photos, out, workers=2):
    return tag_folder(model, photos, out, options=BulkOptions(shard_size=SHARD_SIZE, engine="ray", workers=workers))


def test_two_workers_write_what_one_process_does_though_one_is_killed(runtime, study, workers, tmp_path, capfd):
    model, photos, tags, embeddings = study
    marker, out = tmp_path / "killed", tmp_path / "out"
    out.mkdir()

    def die():
        try:
            with open(marker, "x") as file:
                file.write(str(os.getpid()))
        except FileExistsError:  # one has died already
            return
        os.kill(os.getpid(), signal.SIGKILL)

    def prepare():
        from shop import bulk_jobs

        bulk_jobs.stop_in_shard(1, die)

    workers(prepare)
    files = [model, photos, "--out", out / "tags.parquet", "--embeddings", out / "e.parquet"]
    options = ["--engine", "ray", "--workers", 2, "--shard-size", SHARD_SIZE]
    assert main(["tag", *map(str, [*files, *options])]) == 0
    assert not Path(f"/proc/{marker.read_text()}").exists()
    pd.testing.assert_frame_equal(read(out / "tags.parquet"), tags)  # nothing is lost, nothing doubled
    pd.testing.assert_frame_equal(read(out / "e.parquet"), embeddings)
    assert sorted(os.listdir(out)) == ["e.parquet", "tags.parquet"]
    said = [line for line in capfd.readouterr().out.strip().splitlines() if "(raylet)" not in line]  # of the killed one
    assert said[0].startswith("26 images, 2 unreadable") and len(said) == 3


def test_an_error_in_a_worker_ends_the_job_which_goes_on_locally(runtime, study, workers, tmp_path):
    model, photos, tags, _ = study

    def full():
        raise OSError(errno.ENOSPC, "cannot write (No space left on device)", "the file")

    def prepare():
        from shop import bulk_jobs

        bulk_jobs.stop_in_shard(1, full)

    workers(prepare)
    out = tmp_path / "tags.parquet"
    with pytest.raises(OSError, match="No space left.*'the file'") as caught:
        tag_with_ray(model, photos, out, workers=1)
    assert caught.value.errno == errno.ENOSPC and "shards are done and kept" in caught.value.__notes__[-1]
    report = tag_folder(model, photos, out, options=BulkOptions(shard_size=SHARD_SIZE))
    assert report.reused >= 1  # the worker may have gone on before it was told to stop
    pd.testing.assert_frame_equal(read(out), tags)


def test_a_shard_that_kills_every_worker_is_given_up(runtime, study, tmp_path, monkeypatch):
    model, photos, *_ = study

    class Dies:
        def __init__(self, threads):
            pass

        def tag(self, job, shard):
            os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(scale, "_worker", lambda: Dies)
    monkeypatch.setattr(scale, "ATTEMPTS", 2)
    with pytest.raises(BulkError, match="2 workers died at the same shard, from 00.png to .*; if memory is short"):
        tag_with_ray(model, photos, tmp_path / "tags.parquet", workers=1)


def test_more_workers_than_cores(runtime, study, workers, tmp_path):
    with pytest.raises(BulkError, match="cores for 99 workers; take fewer workers"):
        tag_with_ray(*study[:2], tmp_path / "tags.parquet", workers=99)


class Nodes:
    """Stands for Ray on machines with these resources."""

    def __init__(self, *nodes):
        self._nodes = nodes

    def nodes(self):
        return [{"Alive": True, "Resources": node} for node in self._nodes] + [{"Alive": False, "Resources": {}}]


@pytest.mark.parametrize(
    ("nodes", "workers", "share"),
    [
        ([{"CPU": 8}], 1, (8, 0)),
        ([{"CPU": 8}], 3, (2, 0)),
        ([{"CPU": 8}, {"CPU": 8}], 1, (8, 0)),  # a worker cannot be on two machines
        ([{"CPU": 8}, {"CPU": 8}], 3, (4, 0)),  # of five cores each, the third would find no place
        ([{"CPU": 1}, {"CPU": 8}], 2, (4, 0)),
        ([{"CPU": 16, "GPU": 2}], 2, (8, 1)),
        ([{"CPU": 16, "GPU": 2}], 3, (5, 0.5)),  # of two thirds each, the third would find no place
        ([{"CPU": 16, "GPU": 1}], 2, (8, 0.5)),
        ([{"CPU": 8}, {"CPU": 8, "GPU": 4}], 4, (2, 1)),  # cores without a GPU are no place
        ([{"CPU": 4, "GPU": 1}, {"CPU": 4}], 2, (2, 0.5)),
        ([{"CPU": 64, "GPU": 1}, {"CPU": 8, "GPU": 3}], 4, (2, 1)),
    ],
)
def test_workers_share_cores_and_gpus_so_that_all_find_a_place(nodes, workers, share):
    assert scale._share(Nodes(*nodes), workers) == share


def test_without_ray_the_error_says_what_to_install(study, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    arguments = ["tag", study[0], study[1], "--out", tmp_path / "tags.parquet", "--engine", "ray"]
    assert main([*map(str, arguments)]) == 1
    assert "the engine 'ray' needs Ray: pip install 'fashionlib[scale]'" in capsys.readouterr().err
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("answers", [False, True])
def test_an_address_at_which_there_is_no_ray(ray, study, tmp_path, monkeypatch, capsys, answers):
    """Nothing at all, or something that takes calls and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        if not answers:
            server.close()
        monkeypatch.setattr(ray, "is_initialized", lambda: False)
        monkeypatch.setattr(scale, "PATIENCE", 5)
        monkeypatch.setenv("RAY_ADDRESS", address)
        arguments = ["tag", study[0], study[1], "--out", tmp_path / "tags.parquet", "--engine", "ray"]
        assert main([*map(str, arguments)]) == 1
    assert f"Ray does not start at {address}" in capsys.readouterr().err

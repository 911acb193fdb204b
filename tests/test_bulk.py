"""Bulk tagging: a stopped job goes on and ends as one that was not, and what does not fit is not mixed in."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import bulk_jobs
import numpy as np
import pandas as pd
import pytest
from bulk_jobs import SHARD_SIZE, make_photos, plain, read
from filelock import FileLock
from tiny import tiny_data, tiny_model

from fashionlib.shop import bulk
from fashionlib.__main__ import main
from fashionlib.shop.bulk import BulkError, tag_folder
from fashionlib.training.checkpoints import save_model
from fashionlib.data.decoding import MAY_PASS
from fashionlib.shop.shards import Job, cut
from fashionlib.shop.tagging import Tagger


@pytest.fixture(scope="module")
def model(trained, tmp_path_factory) -> Path:
    return save_model(trained[0], tmp_path_factory.mktemp("model") / "model.pth")


@pytest.fixture(scope="module")
def unstopped(model, tmp_path_factory):
    """The folder of photos, and that of the results of a job that nobody stopped."""
    root = tmp_path_factory.mktemp("unstopped")
    photos = make_photos(root / "photos")
    report = tag_folder(model, photos, root / "out" / "tags.parquet", root / "out" / "e.parquet", shard_size=SHARD_SIZE)
    return photos, root / "out", report


@pytest.fixture
def photos(unstopped, tmp_path) -> Path:
    """A copy of them, with the same times of change."""
    return Path(shutil.copytree(unstopped[0], tmp_path / "photos"))


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "tags.parquet"


@pytest.fixture
def tagged(monkeypatch) -> list[str]:
    """The names of the photos that are tagged from now on."""
    names, stream = [], Tagger.stream

    def watched(self, photos, *arguments, **options):
        names.extend(name for name, _ in photos)
        return stream(self, photos, *arguments, **options)

    monkeypatch.setattr(Tagger, "stream", watched)
    return names


def interrupt(model, photos, out, monkeypatch, shard=3, **options):
    """A job that Ctrl-C ends in a shard, counted from 0: as many are done then."""

    def ctrl_c():
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Tagger, "stream", Tagger.stream)  # to be restored
        bulk_jobs.stop_in_shard(shard, ctrl_c)
        with pytest.raises(KeyboardInterrupt):
            tag_folder(model, photos, out, shard_size=SHARD_SIZE, **options)


def parts(out: Path) -> dict[str, int]:
    """The parts in the folder of a job, with their times of change."""
    return {path.name: path.stat().st_mtime_ns for path in out.with_name(f"{out.name}.job").glob("*.parquet")}


def manifest(out: Path) -> dict:
    return json.loads((out.with_name(f"{out.name}.job") / "manifest.json").read_text())


def child(how, shard, *arguments) -> subprocess.Popen:
    command = [sys.executable, bulk_jobs.__file__, how, str(shard), *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


# --- what comes out -------------------------------------------------------------------------------


def test_the_rows_and_their_types_are_those_of_a_tagger(model, photos, tmp_path):
    out, embeddings = tmp_path / "tags.parquet", tmp_path / "embeddings.parquet"
    options = dict(top=2, threshold=0.4, batch_size=1)  # alone in its batch, a photo has the same last digits
    report = tag_folder(model, photos, out, embeddings, shard_size=SHARD_SIZE, **options)
    tagger = Tagger.load(model)
    expected = tagger.tag(photos, **options)
    pd.testing.assert_frame_equal(read(out), plain(expected))
    pd.testing.assert_frame_equal(read(embeddings), plain(tagger.embed(photos, batch_size=1)))
    assert expected["image"].nunique() == report.images == report.tagged == 26
    assert "Été à Paris/robe nº 1.png" in set(expected["image"])
    assert report.unreadable == 2 and report.shards > 3 and report.reused == 0
    assert [reason.split(":")[0] for reason in report.reasons] == ["06 empty.jpg", "17 text.png"]
    assert sorted(os.listdir(tmp_path)) == ["embeddings.parquet", "photos", "tags.parquet"]


def test_a_folder_of_unreadable_photos_alone_has_the_same_types(model, unstopped, tmp_path):
    (tmp_path / "bad").mkdir()
    for i in range(12):
        (tmp_path / "bad" / f"{i:02d}.jpg").write_bytes(b"")
    report = tag_folder(model, tmp_path / "bad", tmp_path / "tags.parquet")
    tags = pd.read_parquet(tmp_path / "tags.parquet")
    assert tags.dtypes.equals(pd.read_parquet(unstopped[1] / "tags.parquet").dtypes)
    assert len(tags) == tags["error"].notna().sum() == report.unreadable == 12
    assert len(report.reasons) == 10 and str(report).endswith("and 2 more: the rows with an error")


def test_a_second_call_does_nothing_and_a_changed_photo_makes_it_anew(model, photos, out, tagged, capsys):
    first = tag_folder(model, photos, out, shard_size=SHARD_SIZE)
    made = out.stat().st_mtime_ns
    tagged.clear()
    again = tag_folder(model, photos, out, shard_size=SHARD_SIZE)
    assert not tagged and out.stat().st_mtime_ns == made and os.listdir(out.parent).count("tags.parquet.job") == 0
    assert (again.images, again.unreadable, again.reasons) == (first.images, first.unreadable, first.reasons)
    assert (again.tagged, again.reused) == (0, first.shards)
    assert "tags.parquet is finished already" in capsys.readouterr().out
    os.utime(photos / "03.png", ns=(0, 0))
    assert tag_folder(model, photos, out, shard_size=SHARD_SIZE).tagged == 26
    assert tag_folder(model, photos, out, top=1, shard_size=SHARD_SIZE).tagged == 26
    assert set(read(out)["top"].dropna().str.len()) == {1}


def test_what_was_in_the_way_is_replaced_at_the_end(model, photos, out, monkeypatch):
    out.write_text("something else")
    interrupt(model, photos, out, monkeypatch)
    assert out.read_text() == "something else"
    tag_folder(model, photos, out)
    assert len(read(out)["image"].unique()) == 26


# --- stopped jobs ---------------------------------------------------------------------------------


def test_a_killed_job_goes_on_and_ends_as_one_that_was_not(model, unstopped, photos, out, tagged, monkeypatch, capsys):
    _, finished, report = unstopped
    embeddings = out.with_name("e.parquet")
    files = [model, photos, "--out", out, "--embeddings", embeddings, "--shard-size", SHARD_SIZE]
    killed = child("kill", 2, *files)
    _, error = killed.communicate(timeout=300)
    assert killed.returncode == -signal.SIGKILL, error
    assert not out.exists() and not embeddings.exists()
    done = parts(out)
    listed = manifest(out)["shards"]
    assert len(done) == 2 * 2 and {name.split(".")[0] for name in done} == {shard["part"] for shard in listed[:2]}

    seen, join = {}, bulk.join
    monkeypatch.setattr(bulk, "join", lambda *arguments: [seen.update(parts(out)), join(*arguments)][1])
    assert main(["tag", *map(str, files)]) == 0
    kept = listed[0]["photos"] + listed[1]["photos"]
    said = capsys.readouterr().out
    assert f"tag: 2 of {report.shards} shards ({kept} photos) are there already; going on" in said
    assert "26 images, 2 unreadable" in said and "06 empty.jpg: the file is empty" in said
    assert len(seen) == 2 * report.shards and seen.items() >= done.items()  # those of before were not touched
    assert len(tagged) == len(set(tagged)) == 26 - kept
    assert out.read_bytes() == (finished / "tags.parquet").read_bytes()
    assert embeddings.read_bytes() == (finished / "e.parquet").read_bytes()
    assert not out.with_name("tags.parquet.job").exists()


def test_ctrl_c_says_how_to_go_on_and_keeps_what_is_done(model, unstopped, photos, out):
    job = child("wait", 2, model, photos, "--out", out, "--shard-size", SHARD_SIZE)
    try:
        assert job.stdout.readline() == "waiting\n", job.stderr.read()
        job.send_signal(signal.SIGINT)
        _, said = job.communicate(timeout=300)
    finally:
        job.kill()
    assert job.returncode == 130
    assert f"2 of {unstopped[2].shards} shards are done and kept in {out}.job; the same call goes on" in said
    assert "Traceback" not in said and said.endswith("interrupted\n")
    assert len(parts(out)) == 2
    assert tag_folder(model, photos, out, shard_size=SHARD_SIZE).reused == 2
    pd.testing.assert_frame_equal(read(out), read(unstopped[1] / "tags.parquet"))


@pytest.mark.parametrize("full_at", ["part", "result"])
def test_a_full_disk_names_the_file_and_keeps_what_is_done(model, photos, out, monkeypatch, capsys, full_at):
    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc to know which file is written")
    sync, count = os.fsync, iter(range(1000))

    def full(descriptor):
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        is_part = path.parent.name == "tags.parquet.job" and ".parquet." in path.name
        if (full_at == "part" and is_part and next(count) == 2) or (full_at == "result" and path.parent == out.parent):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    arguments = ["tag", str(model), str(photos), "--out", str(out), "--shard-size", str(SHARD_SIZE)]
    monkeypatch.setattr("fashionlib.machine.files.os.fsync", full)
    assert main(arguments) == 1
    said = capsys.readouterr().err
    shards = len(manifest(out)["shards"])
    done = 2 if full_at == "part" else shards
    assert "No space left" in said and f"{done} of {shards} shards are done and kept in {out}.job" in said
    assert ".job/" in said if full_at == "part" else f"'{out}'" in said
    assert len(parts(out)) == done and not out.exists() and not list(out.parent.rglob("*.part"))
    monkeypatch.undo()
    assert main(arguments) == 0 and f"{done} of {shards} shards" in capsys.readouterr().out


def test_a_damaged_part_is_named(model, photos, out, monkeypatch):
    interrupt(model, photos, out, monkeypatch, shard=1)
    (part,) = out.with_name("tags.parquet.job").glob("*.parquet")
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(BulkError, match=rf"{part.name} is damaged .*; delete it and call again.*shards are done"):
        tag_folder(model, photos, out, shard_size=SHARD_SIZE)
    part.unlink()
    assert tag_folder(model, photos, out, shard_size=SHARD_SIZE).images == 26


# --- what changed in between ----------------------------------------------------------------------


def test_a_photo_that_changed_costs_its_own_shard(model, photos, out, tagged, monkeypatch, capsys):
    interrupt(model, photos, out, monkeypatch, shard=4)
    changed = manifest(out)["shards"][1]
    undone = manifest(out)["shards"][4:]
    tagged.clear()
    os.utime(photos / changed["last"], ns=(0, 0))
    report = tag_folder(model, photos, out, shard_size=SHARD_SIZE)
    assert report.reused == 3 and report.images == 26
    assert len(tagged) == report.tagged == changed["photos"] + sum(shard["photos"] for shard in undone)
    assert tagged[0] == changed["first"] and tagged[changed["photos"] - 1] == changed["last"]
    said = capsys.readouterr().out
    assert "1 parts in" in said and "of photos that have changed; they are not used" in said


def test_a_new_photo_changes_the_shards_around_it_and_no_others(tmp_path):
    job = Job("model.pth", "0123", tmp_path / "job", {"top": 3}, 8)
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(400):
        (folder / f"{i:04d}.jpg").write_bytes(b"x")
        os.utime(folder / f"{i:04d}.jpg", ns=(0, 0))
    before = cut(job, folder, 10)
    names = [name for shard in before for name, _ in shard.photos]
    assert names == sorted(os.listdir(folder)) and 20 < len(before) < 80
    assert max(len(shard.photos) for shard in before) <= 20
    for new in ("0000b.jpg", "0177b.jpg", "0399b.jpg"):
        (folder / new).write_bytes(b"x")
        after = cut(job, folder, 10)
        assert sum(len(shard.photos) for shard in after) == 401
        gone = {shard.part for shard in before} - {shard.part for shard in after}
        assert len(gone) <= 3, "the names after it cut as before"
        (folder / new).unlink()
    assert [shard.part for shard in cut(job, folder, 10)] == [shard.part for shard in before]


def test_parts_of_another_model_or_other_options_are_not_mixed_in(
    model, unstopped, photos, out, tagged, monkeypatch, tmp_path, capsys
):
    interrupt(model, photos, out, monkeypatch)
    other = save_model(tiny_model(tiny_data(), seed=1), tmp_path / "other.pth")
    said = []
    for options in (dict(model_path=other), dict(model_path=model, top=1)):
        tagged.clear()
        interrupt(options.pop("model_path"), photos, out, monkeypatch, shard=1, **options)
        assert manifest(out)["shards"][0]["first"] in tagged
        said.append(capsys.readouterr())
    assert all("of another model or other options; they are not used" in s.out for s in said)
    assert not any("there already" in s.out for s in said)
    report = tag_folder(model, photos, out, shard_size=SHARD_SIZE)  # the first ones were not lost
    assert report.reused == 3
    pd.testing.assert_frame_equal(read(out), read(unstopped[1] / "tags.parquet"))


def test_a_model_that_is_replaced_under_way_is_refused(model, photos, out, tmp_path, monkeypatch):
    path = Path(shutil.copy(model, tmp_path / "model.pth"))
    load = Tagger.load.__func__

    def replaced(cls, *arguments):
        save_model(tiny_model(tiny_data(), seed=1), path)
        return load(cls, *arguments)

    monkeypatch.setattr(Tagger, "load", classmethod(replaced))
    with pytest.raises(BulkError, match="model.pth was replaced while it was in use; call again"):
        tag_folder(path, photos, out)
    assert not out.with_name("tags.parquet.job").exists()  # nothing in it was worth keeping


def test_two_jobs_on_one_file(model, photos, out, capsys):
    folder = out.with_name("tags.parquet.job")
    folder.mkdir()
    with FileLock(folder / "lock"):
        assert main(["tag", str(model), str(photos), "--out", str(out)]) == 1
        assert f"{out}: another process is tagging into this file; wait" in capsys.readouterr().err
        assert folder.exists()
    assert main(["tag", str(model), str(photos), "--out", str(out)]) == 0


# --- errors that pass -----------------------------------------------------------------------------


@pytest.fixture
def hiccup(monkeypatch):
    """From now on reading the photos of these names ends with an error; without names it does not."""
    read = Path.read_bytes

    def make(*names, error=None):
        def broken(path):
            if path.name in names:
                raise error
            return read(path)

        monkeypatch.setattr(Path, "read_bytes", broken)

    return make


@pytest.mark.parametrize("error", [OSError(errno.EIO, os.strerror(errno.EIO)), MemoryError()])
def test_a_photo_that_could_not_be_read_for_a_while_is_tried_again(
    model, unstopped, photos, out, tagged, hiccup, capsys, error
):
    _, finished, usual = unstopped
    hiccup("03.png", "21.png", error=error)
    embeddings = out.with_name("e.parquet")
    options = dict(out=out, embeddings=embeddings, shard_size=SHARD_SIZE)
    first = tag_folder(model, photos, **options)
    assert (first.images, first.unreadable, first.may_pass) == (26, 4, 2)
    assert "2 of them may be readable at another time: the same call tries them again" in str(first)
    errors = read(out).dropna(subset="error").set_index("image")["error"]
    assert errors[["03.png", "21.png"]].str.endswith(MAY_PASS).all()
    assert not errors[["06 empty.jpg", "17 text.png"]].str.endswith(MAY_PASS).any()
    shards = [shard["photos"] for shard in manifest(out)["shards"]]

    hiccup("21.png", error=error)
    tagged.clear()
    second = tag_folder(model, photos, **options)
    assert (second.unreadable, second.may_pass, second.reused) == (3, 1, usual.shards - 2)
    assert "2 shards hold photos that could not be read before; they are tried again" in capsys.readouterr().out
    assert {"03.png", "21.png"} <= set(tagged) and len(tagged) == second.tagged <= 2 * max(shards)

    hiccup()
    third = tag_folder(model, photos, **options)
    assert (third.unreadable, third.may_pass, third.reused) == (2, 0, usual.shards - 1)
    assert out.read_bytes() == (finished / "tags.parquet").read_bytes()
    assert embeddings.read_bytes() == (finished / "e.parquet").read_bytes()
    assert not out.with_name("tags.parquet.job").exists()
    tagged.clear()
    assert tag_folder(model, photos, **options).tagged == 0 and not tagged


# --- wrong arguments ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (dict(photos="nowhere"), "there is no folder nowhere"),
        (dict(model_path="nothing.pth"), "model: there is no file nothing.pth"),
        (dict(model_path=__file__), "not a checkpoint"),
        (dict(engine="dask"), "'dask' is not one of local, ray"),
        (dict(workers=2), "take engine 'ray' for several workers"),
        (dict(workers=0, engine="ray"), "at least 1, not 0"),
        (dict(shard_size=0), "at least 1"),
        (dict(top=0), "top must be at least 1"),
        (dict(threshold=1.5), "threshold is a probability"),
        (dict(batch_size=0), "batch_size must be at least 1"),
        (dict(embeddings="tags.parquet"), "cannot both go to tags.parquet"),
        (dict(out="."), "is a folder"),
    ],
)
def test_a_wrong_argument_is_named_and_leaves_nothing_behind(model, photos, tmp_path, monkeypatch, changed, named):
    monkeypatch.chdir(tmp_path)
    arguments = dict(model_path=model, photos=photos, out="tags.parquet") | changed
    with pytest.raises((ValueError, FileNotFoundError), match=named):
        tag_folder(**arguments)
    assert os.listdir(tmp_path) == ["photos"]


def test_a_folder_without_photos(model, tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    assert main(["tag", str(model), str(tmp_path / "photos"), "--out", str(tmp_path / "tags.parquet")]) == 1
    assert capsys.readouterr().err.startswith("fashionlib tag: photos: no photo in the folder")


def test_embeddings_of_a_model_without_labels(photos, tmp_path):
    data = tiny_data()
    path = save_model(tiny_model(data, "item"), tmp_path / "model.pth")
    with pytest.raises(ValueError, match="no task with labels"):
        tag_folder(path, photos, tmp_path / "tags.parquet")
    tag_folder(path, photos, tmp_path / "tags.parquet", tmp_path / "e.parquet")
    vectors = read(tmp_path / "e.parquet")
    assert len(vectors) == 26 and len(read(tmp_path / "tags.parquet")) == 2
    lengths = [np.linalg.norm(vector) for vector in vectors["embedding"].dropna()]
    np.testing.assert_allclose(lengths, 1, rtol=1e-3)

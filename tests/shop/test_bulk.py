"""Bulk tagging: a stopped job goes on and ends as one that was not, and what does not fit is not mixed in."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from filelock import FileLock

from fashionlib.__main__ import main
from fashionlib.data.decoding import MAY_PASS, BadImage
from fashionlib.machine.hardware import Arithmetic
from fashionlib.models import MultitaskModel
from fashionlib.shop import bulk
from fashionlib.shop import photos as photos_module
from fashionlib.shop.bulk import BulkError, BulkOptions, read_embeddings, tag_folder
from fashionlib.shop.shards import Job, cut
from fashionlib.shop.tagging import Tagger, model_id
from fashionlib.training.checkpoints import save_model
from shop import bulk_jobs
from shop.bulk_jobs import SHARD_SIZE, make_photos, plain, read
from tiny import tiny_data, tiny_model

SMALL = BulkOptions(shard_size=SHARD_SIZE)


@pytest.fixture(scope="module")
def model(trained, tmp_path_factory) -> Path:
    return save_model(trained[0], tmp_path_factory.mktemp("model") / "model.pth")


@pytest.fixture(scope="module")
def unstopped(model, tmp_path_factory):
    """The folder of photos, and that of the results of a job that nobody stopped."""
    root = tmp_path_factory.mktemp("unstopped")
    photos = make_photos(root / "photos")
    report = tag_folder(model, photos, root / "out" / "tags.parquet", root / "out" / "e.parquet", options=SMALL)
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


def interrupt(model, photos, out, monkeypatch, shard=3, options=SMALL):
    """A job that Ctrl-C ends in a shard, counted from 0: as many are done then."""

    def ctrl_c():
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Tagger, "stream", Tagger.stream)  # to be restored
        bulk_jobs.stop_in_shard(shard, ctrl_c)
        with pytest.raises(KeyboardInterrupt):
            tag_folder(model, photos, out, options=options)


def parts(out: Path) -> dict[str, int]:
    """The parts in the folder of a job, with their times of change."""
    return {path.name: path.stat().st_mtime_ns for path in out.with_name(f"{out.name}.job").glob("*.parquet")}


def shards(model, photos, embeddings=False):
    """Which photos are tagged together, and the name of their part."""
    return cut(Job(str(model), model_id(model), photos, embeddings, SMALL), photos)


def child(how, shard, *arguments) -> subprocess.Popen:
    command = [sys.executable, bulk_jobs.__file__, how, str(shard), *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


# --- what comes out -------------------------------------------------------------------------------


def test_the_rows_and_their_types_are_those_of_a_tagger(model, photos, tmp_path):
    out, embeddings = tmp_path / "tags.parquet", tmp_path / "embeddings.parquet"
    given = dict(top=2, threshold=0.4, batch_size=1)  # alone in its batch, a photo has the same last digits
    report = tag_folder(model, photos, out, embeddings, options=BulkOptions(**given, shard_size=SHARD_SIZE))
    tagger = Tagger.load(model)
    expected = tagger.tag(photos, **given)
    pd.testing.assert_frame_equal(read(out), plain(expected))
    embedded = tagger.embed(photos, batch_size=1)
    pd.testing.assert_frame_equal(read(embeddings), plain(embedded))
    readable = embedded.dropna(subset="embedding")
    with pytest.raises(ValueError, match="tags.parquet is no parquet file with the embeddings"):
        read_embeddings(out)
    names, vectors = read_embeddings(embeddings)
    assert names == readable["image"].tolist() and len(names) < 26
    np.testing.assert_array_equal(vectors, np.stack(readable["embedding"]))
    assert expected["image"].nunique() == report.images == report.tagged == 26
    assert "Été à Paris/robe nº 1.png" in set(expected["image"])
    assert report.unreadable == 2 and report.shards > 3 and report.reused == 0
    assert [reason.split(":")[0] for reason in report.reasons] == ["06 empty.jpg", "17 text.png"]
    assert sorted(os.listdir(tmp_path)) == ["embeddings.parquet", "photos", "tags.parquet"]


def test_csv_and_json_lines_say_the_same_as_parquet(model, unstopped, photos, tmp_path):
    tags, vectors = (read(unstopped[1] / name) for name in ("tags.parquet", "e.parquet"))
    tag_folder(model, photos, tmp_path / "tags.csv", tmp_path / "e.jsonl", options=SMALL)
    found = pd.read_csv(tmp_path / "tags.csv", keep_default_na=False)
    assert list(found.columns) == list(tags.columns)
    for name in ("image", "task", "label", "error"):
        assert found[name].tolist() == tags[name].fillna("").tolist()
    good = tags["error"].isna()
    for name in ("top", "top_confidence"):
        assert [json.loads(text) for text in found.loc[good, name]] == [
            [round(value, 6) if isinstance(value, float) else value for value in row] for row in tags.loc[good, name]
        ]
    np.testing.assert_array_equal(found.loc[good, "confidence"].astype("float32"), tags.loc[good, "confidence"])
    assert found.loc[good, "confidence"].str.len().max() < 14  # 0.98, not 0.9800000190734863
    rows = [json.loads(line) for line in (tmp_path / "e.jsonl").read_text().splitlines()]
    assert [row["image"] for row in rows] == vectors["image"].tolist()
    for row, vector in zip(rows, vectors["embedding"], strict=True):
        assert row["embedding"] is vector is None or np.array_equal(np.float32(row["embedding"]), np.float32(vector))


def test_a_folder_of_unreadable_photos_alone_has_the_same_types(model, unstopped, tmp_path):
    (tmp_path / "bad").mkdir()
    for i in range(12):
        (tmp_path / "bad" / f"{i:02d}.jpg").write_bytes(b"")
    report = tag_folder(model, tmp_path / "bad", tmp_path / "tags.parquet")
    tags = pd.read_parquet(tmp_path / "tags.parquet")
    assert tags.dtypes.equals(pd.read_parquet(unstopped[1] / "tags.parquet").dtypes)
    assert len(tags) == tags["error"].notna().sum() == report.unreadable == 12
    assert len(report.reasons) == 10 and str(report).endswith("and 2 more: the rows with an error")


@pytest.mark.parametrize("name", ["tags.parquet", "tags.csv", "tags.jsonl"])
def test_a_second_call_does_nothing_and_a_changed_photo_makes_it_anew(model, photos, tmp_path, tagged, capsys, name):
    out = tmp_path / name
    first = tag_folder(model, photos, out, options=SMALL)
    made = out.stat().st_mtime_ns
    tagged.clear()
    again = tag_folder(model, photos, out, options=SMALL)
    assert not tagged and out.stat().st_mtime_ns == made and not (tmp_path / f"{name}.job").exists()
    assert (again.images, again.unreadable, again.reasons) == (first.images, first.unreadable, first.reasons)
    assert (again.tagged, again.reused) == (0, first.shards)
    assert f"{name} is finished already" in capsys.readouterr().out
    os.utime(photos / "03.png", ns=(0, 0))
    assert tag_folder(model, photos, out, options=SMALL).tagged == 26
    for options in (BulkOptions(top=1), BulkOptions(top=1, threshold=0.4)):
        assert tag_folder(model, photos, out, options=options).tagged == 26
    assert out.stat().st_mtime_ns > made


def test_embeddings_of_a_model_without_labels(photos, tmp_path):
    path = save_model(tiny_model(tiny_data(), "item"), tmp_path / "model.pth")
    with pytest.raises(ValueError, match="the model has no labels, but item; use embed, or --embeddings"):
        tag_folder(path, photos, tmp_path / "tags.parquet")
    tag_folder(path, photos, tmp_path / "tags.parquet", tmp_path / "e.parquet")
    vectors = read(tmp_path / "e.parquet")
    assert len(vectors) == 26 and len(read(tmp_path / "tags.parquet")) == 2
    lengths = [np.linalg.norm(vector) for vector in vectors["embedding"].dropna()]
    np.testing.assert_allclose(lengths, 1, rtol=1e-3)


# --- files that are in the way --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mine.parquet", "mine.csv", "mine.jsonl"])
def test_a_file_of_the_users_is_not_replaced_unless_they_say_so(model, photos, tmp_path, tagged, capsys, name):
    out = tmp_path / name
    out.write_text("image,price\n00.png,10\n")
    for given in (["--out", out], ["--out", tmp_path / "t.parquet", "--embeddings", out]):
        assert main([*map(str, ["tag", model, photos, *given])]) == 1
        assert "--overwrite" in capsys.readouterr().err and not tagged and out.read_text().startswith("image,price")
    assert sorted(os.listdir(tmp_path)) == [name, "photos"]
    assert main([*map(str, ["tag", model, photos, "--out", out, "--overwrite"])]) == 0
    assert out.read_bytes()[:11] != b"image,price"


@pytest.mark.parametrize("name", ["tags.parquet", "tags.csv"])
def test_a_result_that_the_user_has_changed_is_theirs(model, photos, tmp_path, name):
    out = tmp_path / name
    tag_folder(model, photos, out)
    table = pd.read_parquet(out) if name == "tags.parquet" else pd.read_csv(out)
    (table[1:].to_parquet if name == "tags.parquet" else table[1:].to_csv)(out, index=False)
    with pytest.raises(BulkError, match="was changed since"):
        tag_folder(model, photos, out, options=BulkOptions(top=1))


def test_a_parquet_result_that_another_program_has_changed_is_no_longer_the_jobs(model, photos, out):
    tag_folder(model, photos, out)
    pq.write_table(pq.read_table(out).slice(0, 3), out)  # with the metadata of its schema
    with pytest.raises(BulkError, match="was changed since"):
        tag_folder(model, photos, out)


@pytest.mark.parametrize("name", ["tags.parquet", "tags.csv"])
def test_a_result_that_was_moved_away_is_made_again(model, photos, tmp_path, name):
    out = tmp_path / name
    tag_folder(model, photos, out)
    out.rename(tmp_path / "archive")
    tag_folder(model, photos, out)
    assert out.read_bytes() == (tmp_path / "archive").read_bytes()


@pytest.mark.parametrize("old", [False, True])
def test_a_job_that_is_killed_when_its_result_gets_its_name_can_go_on(model, photos, tmp_path, monkeypatch, old):
    out, change = tmp_path / "tags.csv", BulkOptions(top=1)
    if old:
        tag_folder(model, photos, out, options=change)
    replace = os.replace

    def killed(source, target):
        if Path(target) == out:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        tag_folder(model, photos, out)
    monkeypatch.undo()
    bulk_jobs.in_float32(monkeypatch)
    assert tag_folder(model, photos, out).tagged == 0 and tag_folder(model, photos, out).shards == 1


def test_a_finished_job_leaves_the_parts_of_a_stopped_one(model, photos, out, monkeypatch):
    tag_folder(model, photos, out, options=SMALL)
    other = BulkOptions(top=1, shard_size=SHARD_SIZE)
    interrupt(model, photos, out, monkeypatch, options=other)
    tag_folder(model, photos, out, options=SMALL)  # is finished already
    assert tag_folder(model, photos, out, options=other).reused == 3


def test_tags_do_not_replace_embeddings(model, unstopped, photos, tmp_path):
    shutil.copy(unstopped[1] / "e.parquet", tmp_path)
    with pytest.raises(BulkError, match=r"e\.parquet is there already and is no result of an earlier job with tags"):
        tag_folder(model, photos, tmp_path / "e.parquet", options=SMALL)


def test_a_file_that_comes_while_the_job_runs_stays(model, photos, out, monkeypatch):
    join = bulk.check_outputs

    def come_late(outputs, overwrite):
        monkeypatch.setattr(bulk, "check_outputs", lambda *given: [out.write_text("mine"), join(*given)])

    monkeypatch.setattr(bulk, "check_outputs", come_late)
    with pytest.raises(BulkError, match="is there already") as caught:
        tag_folder(model, photos, out)
    assert out.read_text() == "mine" and len(parts(out)) == 1 and "the same call goes on" in caught.value.__notes__[0]


# --- stopped jobs ---------------------------------------------------------------------------------


def test_a_killed_job_goes_on_and_ends_as_one_that_was_not(model, unstopped, photos, out, tagged, monkeypatch, capsys):
    _, finished, report = unstopped
    embeddings = out.with_name("e.parquet")
    files = [model, photos, "--out", out, "--embeddings", embeddings, "--shard-size", SHARD_SIZE]
    killed = child("kill", 2, *files)
    _, error = killed.communicate(timeout=300)
    assert killed.returncode == -signal.SIGKILL, error
    assert not out.exists() and not embeddings.exists()
    done, first = parts(out), shards(model, photos, True)[:2]
    assert len(done) == 2 * 2 and {name.split(".")[0] for name in done} == {shard.part for shard in first}

    seen, join = {}, bulk.join
    monkeypatch.setattr(bulk, "join", lambda *arguments: [seen.update(parts(out)), join(*arguments)][1])
    assert main(["tag", *map(str, files)]) == 0
    kept = sum(len(shard.photos) for shard in first)
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
    assert tag_folder(model, photos, out, options=SMALL).reused == 2
    pd.testing.assert_frame_equal(read(out), read(unstopped[1] / "tags.parquet"))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to know which file is written")
@pytest.mark.parametrize("full_at", ["part", "result"])
def test_a_full_disk_names_the_file_and_keeps_what_is_done(model, photos, out, monkeypatch, capsys, full_at):
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
    said, total = capsys.readouterr().err, len(shards(model, photos))
    done = 2 if full_at == "part" else total
    assert "No space left" in said and f"{done} of {total} shards are done and kept in {out}.job" in said
    assert ".job/" in said if full_at == "part" else f"'{out}'" in said
    assert len(parts(out)) == done and not out.exists() and not list(out.parent.rglob("*.part"))
    monkeypatch.undo()
    bulk_jobs.in_float32(monkeypatch)
    assert main(arguments) == 0 and f"{done} of {total} shards" in capsys.readouterr().out


@pytest.mark.parametrize("damage", [lambda data: data[:-20], lambda data: data[:40] + b"\xff" * 400 + data[440:]])
def test_a_damaged_part_is_named(model, photos, out, monkeypatch, damage):
    interrupt(model, photos, out, monkeypatch, shard=1)
    (part,) = out.with_name("tags.parquet.job").glob("*.parquet")
    part.write_bytes(damage(part.read_bytes()))
    with pytest.raises(BulkError, match=rf"{part.name} is damaged .*; delete it and call again"):
        tag_folder(model, photos, out, options=SMALL)
    part.unlink()
    assert tag_folder(model, photos, out, options=SMALL).images == 26


# --- what changed in between ----------------------------------------------------------------------


def test_a_photo_that_changed_costs_its_own_shard(model, photos, out, tagged, monkeypatch, capsys):
    interrupt(model, photos, out, monkeypatch, shard=4)
    all_shards = shards(model, photos)
    changed = [name for name, _ in all_shards[1].photos]
    tagged.clear()
    os.utime(photos / changed[-1], ns=(0, 0))
    report = tag_folder(model, photos, out, options=SMALL)
    assert report.reused == 3 and report.images == 26
    assert len(tagged) == report.tagged == len(changed) + sum(len(shard.photos) for shard in all_shards[4:])
    assert tagged[: len(changed)] == changed
    assert "1 parts in" in (said := capsys.readouterr().out) and "they are not used" in said


def test_a_new_photo_changes_the_shards_around_it_and_no_others(tmp_path):
    job = Job("model.pth", "0123", tmp_path / "job", False, BulkOptions(shard_size=10))
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(400):
        (folder / f"{i:04d}.jpg").write_bytes(b"x")
        os.utime(folder / f"{i:04d}.jpg", ns=(0, 0))
    before = cut(job, folder)
    names = [name for shard in before for name, _ in shard.photos]
    assert names == sorted(os.listdir(folder)) and 20 < len(before) < 80
    assert max(len(shard.photos) for shard in before) <= 20
    for new in ("0000b.jpg", "0177b.jpg", "0399b.jpg"):
        (folder / new).write_bytes(b"x")
        after = cut(job, folder)
        assert sum(len(shard.photos) for shard in after) == 401
        gone = {shard.part for shard in before} - {shard.part for shard in after}
        assert len(gone) <= 3, "the names after it cut as before"
        (folder / new).unlink()
    assert [shard.part for shard in cut(job, folder)] == [shard.part for shard in before]


def test_parts_of_another_model_or_other_options_are_not_mixed_in(
    model, unstopped, photos, out, tagged, monkeypatch, tmp_path, capsys
):
    interrupt(model, photos, out, monkeypatch)
    other, first = save_model(tiny_model(tiny_data(), seed=1), tmp_path / "other.pth"), shards(model, photos)[0]
    for path, options in ((other, SMALL), (model, BulkOptions(top=1, shard_size=SHARD_SIZE))):
        tagged.clear()
        interrupt(path, photos, out, monkeypatch, shard=1, options=options)
        assert first.photos[0][0] in tagged
        assert "they are not used" in (said := capsys.readouterr().out) and "there already" not in said
    report = tag_folder(model, photos, out, options=SMALL)  # the first ones were not lost
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


def test_all_shards_of_a_job_are_computed_in_one_arithmetic(model, tmp_path, monkeypatch):
    found = iter([Arithmetic("fp32", "channels_last"), Arithmetic("fp32", "contiguous")])
    choose = lambda model: model.arithmetic or model.compute_in(next(found))  # noqa: E731
    monkeypatch.setattr(MultitaskModel, "settle", choose)
    job = Job(str(model), model_id(model), tmp_path, False, SMALL)
    assert job.tagger().model.arithmetic == job.tagger().model.arithmetic == Arithmetic("fp32", "channels_last")


def test_two_jobs_on_one_file(model, photos, out, capsys):
    folder = out.with_name("tags.parquet.job")
    folder.mkdir()
    with FileLock(folder / "lock"):
        assert main(["tag", str(model), str(photos), "--out", str(out)]) == 1
        assert f"{out}: another process is tagging into this file; wait" in capsys.readouterr().err
        assert folder.exists()
    assert main(["tag", str(model), str(photos), "--out", str(out)]) == 0


def test_a_photo_that_could_not_be_read_for_a_while_is_tried_again(
    model, unstopped, photos, out, tagged, monkeypatch, capsys
):
    _, finished, usual = unstopped
    read_image, broken = photos_module.read_image, {"03.png", "21.png"}

    def hiccup(path, name):
        if name in broken:
            raise BadImage(f"{name}: cannot be read (Input/output error){MAY_PASS}")
        return read_image(path, name)

    monkeypatch.setattr(photos_module, "read_image", hiccup)
    embeddings = out.with_name("e.parquet")
    first = tag_folder(model, photos, out, embeddings, options=SMALL)
    assert (first.images, first.unreadable, first.may_pass) == (26, 4, 2)
    assert "the same call tries them again" in str(first)
    errors = read(out).dropna(subset="error").set_index("image")["error"]
    assert errors.str.endswith(MAY_PASS).to_dict() == {name: name in broken for name in errors.index}
    most = max(len(shard.photos) for shard in shards(model, photos))

    broken.remove("03.png")
    tagged.clear()
    second = tag_folder(model, photos, out, embeddings, options=SMALL)
    assert (second.unreadable, second.may_pass, second.reused) == (3, 1, usual.shards - 2)
    assert "2 shards hold photos that could not be read before; they are tried again" in capsys.readouterr().out
    assert {"03.png", "21.png"} <= set(tagged) and len(tagged) == second.tagged <= 2 * most

    broken.clear()
    third = tag_folder(model, photos, out, embeddings, options=SMALL)
    assert (third.unreadable, third.may_pass, third.reused) == (2, 0, usual.shards - 1)
    assert out.read_bytes() == (finished / "tags.parquet").read_bytes()
    assert embeddings.read_bytes() == (finished / "e.parquet").read_bytes()
    assert not out.with_name("tags.parquet.job").exists()
    tagged.clear()
    assert tag_folder(model, photos, out, embeddings, options=SMALL).tagged == 0 and not tagged


# --- wrong arguments ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (dict(photos="nowhere"), "there is no folder nowhere"),
        (dict(model="nothing.pth"), "model: there is no file nothing.pth"),
        (dict(model=__file__), "not a checkpoint"),
        (dict(embeddings="tags.parquet"), "cannot both go to tags.parquet"),
        (dict(out="photos.parquet"), "is a folder"),
        (dict(out="tags.xlsx"), r"tags\.xlsx: .* \.parquet, \.csv, \.jsonl"),
        (dict(out="photos/00.png"), "the ending decides"),
        (dict(out="tags"), "the ending decides"),
        (dict(embeddings="e.npy"), "the ending decides"),
    ],
)
def test_a_wrong_argument_is_named_and_leaves_nothing_behind(model, photos, tmp_path, monkeypatch, changed, named):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos.parquet").mkdir()
    with pytest.raises((ValueError, FileNotFoundError), match=named):
        tag_folder(**(dict(model=model, photos=photos, out="tags.parquet") | changed))
    assert sorted(os.listdir(tmp_path)) == ["photos", "photos.parquet"]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (dict(engine="dask"), "engine\n"),
        (dict(workers=2), "several workers need engine 'ray'"),
        (dict(workers=0, engine="ray"), "workers\n"),
        (dict(shard_size=0), "shard_size\n"),
        (dict(batch_size=0), "batch_size\n"),
        (dict(top=0), "top\n"),
        (dict(threshold=1.5), "threshold\n"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, named):
    with pytest.raises(ValueError, match=named):
        BulkOptions(**options)


# --- the command line -----------------------------------------------------------------------------


def test_options_of_the_command_line_arrive(model, photos, tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(bulk, "tag_folder", lambda *arguments: given.append(arguments))
    assert main(["tag", "m.pth", "p", "--out", "t.csv", "--top", "5", "--threshold", "0.2", "--batch-size", "7"]) == 0
    assert main(["tag", "m.pth", "p", "--out", "t.csv", "--overwrite", "--engine", "ray", "--workers", "3"]) == 0
    paths = Path("m.pth"), Path("p"), Path("t.csv"), None
    assert given[0] == (*paths, False, BulkOptions(top=5, threshold=0.2, batch_size=7))
    assert given[1] == (*paths, True, BulkOptions(engine="ray", workers=3))


def test_a_folder_without_photos(model, tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    assert main(["tag", str(model), str(tmp_path / "photos"), "--out", str(tmp_path / "tags.parquet")]) == 1
    assert capsys.readouterr().err.startswith("fashionlib tag: photos: no photo in the folder")


def test_a_copy_without_the_shop_says_so(tmp_path):
    source = Path(bulk.__file__).parents[1]
    shutil.copytree(source, tmp_path / "mine", ignore=shutil.ignore_patterns("shop", "__pycache__"))
    command = [sys.executable, "-m", "mine", "tag", "m.pth", "p", "--out", "t.csv"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1 and "this copy of the library is without mine.shop" in done.stderr

"""results.py, read back with other means: csv, hashlib, Pillow, git."""

import csv
import errno
import hashlib
import json
import os
import shutil
import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from fashionlib.data.catalogue import Catalogue
from fashionlib.data.images import ImageData
from study.latex import escape, latex_table
from study.figures.training import image_montage
from study.provenance import git_state
from study.results import Results
from fashionlib.training.settings import Settings
from fashionlib.tasks import SingleLabel

FRAME = pd.DataFrame({"usage": ["NA", None, "a,b"], "share": [1 / 3, np.nan, 2.0], "item": [1, 22, 333]})


@pytest.fixture
def results(tmp_path):
    return Results(tmp_path, "demo", "07")


def catalogue(labels=("a", "b", "a"), parts=("train", "train", "test"), **facts):
    table = pd.DataFrame({"image": ["0", "1", "2"], "colour": labels, "split": parts})
    images = SimpleNamespace(fingerprint="three images")
    return Catalogue(table, [SingleLabel("colour")], images, "tiny", facts=facts)


def manifest(tmp_path):
    return json.loads((tmp_path / "demo" / "manifest.json").read_text())


def small_figure():
    figure, axes = plt.subplots(figsize=(3, 2))
    axes.plot([1, 2])
    axes.set_title("Öl")
    return figure


def test_a_table_as_the_csv_module_reads_it(results, tmp_path):
    assert results.table(FRAME, "usage") is FRAME
    path = tmp_path / "demo" / "tables" / "07_usage.csv"
    assert b"\r" not in path.read_bytes()
    with open(path, newline="") as file:
        assert list(csv.reader(file)) == [
            ["usage", "share", "item"],
            ["NA", "0.333333", "1"],
            ["", "", "22"],
            ["a,b", "2", "333"],
        ]


def test_numbers_keep_six_digits_and_whole_numbers_all(results, tmp_path):
    results.table(pd.DataFrame({"x": [12345678.0, 1.23456789e-7, -0.5, float("inf")]}), "numbers")
    lines = (tmp_path / "demo" / "tables" / "07_numbers.csv").read_text().splitlines()
    assert lines == ["x", "12345678", "1.23457e-07", "-0.5", "inf"]


def test_a_class_called_NA_survives_and_an_empty_field_is_missing(results):
    results.table(FRAME, "usage")
    read = results.read_table("07_usage")
    assert read["usage"].tolist()[::2] == ["NA", "a,b"] and pd.isna(read.at[1, "usage"])
    assert read["share"].dtype == float and pd.isna(read.at[1, "share"])


def test_a_named_index_becomes_a_column(results, tmp_path):
    results.table(FRAME.groupby("usage")[["item"]].sum(), "items")
    assert (tmp_path / "demo" / "tables" / "07_items.csv").read_text().splitlines()[0] == "usage,item"


def test_latex_escapes_what_latex_would_read():
    assert escape("R&D_50% {x} #1 $ ^ ~ \\") == (
        r"R\&D\_50\% \{x\} \#1 \$ \textasciicircum{} \textasciitilde{} \textbackslash{}"
    )
    frame = pd.DataFrame({"a_b": ["[x", None], "f1": [0.5, 1.0], "n": [-3, 4], "loss": [12.345678, 7.0]})
    lines = latex_table(frame, "Share, 50%", "tab:x").splitlines()
    assert r"\begin{tabular}{lrrr}" in lines and r"\caption{Share, 50\%}\label{tab:x}" in lines
    assert r"a\_b & f1 & n & loss \\" in lines
    assert r"{[}x & 0.5000 & $-$3 & 12.35 \\" in lines and r"-- & 1.0000 & 4 & 7.00 \\" in lines


def test_a_long_table_is_a_longtable_with_every_row():
    tex = latex_table(pd.DataFrame({"n": range(141)}), "Classes")
    assert tex.count(r" \\") == 141 + 2 and r"\begin{longtable}{r}" in tex  # head and caption


def test_a_figure_is_png_and_pdf_and_the_same_bytes_every_time(results, tmp_path):
    figure = small_figure()
    results.figure(figure, "line")
    folder = tmp_path / "demo" / "figures"
    first = {suffix: (folder / f"07_line{suffix}").read_bytes() for suffix in (".png", ".pdf")}
    with Image.open(folder / "07_line.png") as image:
        assert image.size == (450, 300)
    assert b"CreationDate" not in first[".pdf"]
    assert b"/FontFile2" in first[".pdf"] and b"/Type3" not in first[".pdf"]  # TrueType, not bitmap glyphs
    assert plt.fignum_exists(figure.number)
    results.figure(small_figure(), "line")
    assert first == {suffix: (folder / f"07_line{suffix}").read_bytes() for suffix in first}


def test_the_pdf_of_a_montage_is_small_even_for_noise(results, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 80, 60, 3), dtype=np.uint8)
    figure = image_montage(noise)
    before = figure.axes[0].images[0].get_interpolation()
    results.figure(figure, "montage")
    assert (tmp_path / "demo" / "figures" / "07_montage.pdf").stat().st_size < 400_000
    assert figure.axes[0].images[0].get_interpolation() == before


def test_the_manifest_says_where_each_file_comes_from(results, tmp_path):
    data = catalogue(split_seed=42)
    run = SimpleNamespace(
        run_dir=Path("runs/07_joint"), seconds=12.34, history=pd.DataFrame({"epoch": [1, 2]}), found=False
    )
    results.table(FRAME, "before")
    results.record(settings=Settings(epochs=3), seeds=(0, np.int64(1)), data=data, runs=[run])
    results.table(FRAME, "usage")
    results.finish()
    found = manifest(tmp_path)
    assert found["artefacts"]["tables/07_before.csv"]["settings"] is None
    entry = found["artefacts"]["tables/07_usage.csv"]
    content = (tmp_path / "demo" / "tables" / "07_usage.csv").read_bytes()
    assert entry["sha256"] == hashlib.sha256(content).hexdigest() and entry["notebook"] == "07"
    assert entry["settings"]["epochs"] == 3 and entry["seeds"] == [0, 1]
    assert entry["data"]["fingerprint"] == data.fingerprint and entry["data"]["name"] == "tiny"
    assert entry["data"]["images"] == {"train": 2, "test": 1}
    notebook = found["notebooks"]["07"]
    assert notebook["runs"] == {"07_joint": {"seconds": 12.3, "epochs": 2, "found": False}}
    assert notebook["versions"]["numpy"] == np.__version__ and notebook["versions"]["pillow"]
    assert notebook["seconds"] >= 0 and "cores" in notebook["machine"] and set(notebook["git"]) == {"commit", "dirty"}


def test_several_data_and_settings_are_recorded_by_name(results, tmp_path):
    random, grouped = catalogue(split="random"), catalogue(split="grouped")
    results.record(data=[random, grouped], settings={"joint": Settings(), "staged": Settings(epochs=5)})
    results.table(FRAME, "usage")
    results.finish()
    entry = manifest(tmp_path)["artefacts"]["tables/07_usage.tex"]
    assert [data["split"] for data in entry["data"]] == ["random", "grouped"]
    assert entry["settings"]["staged"]["epochs"] == 5


def test_the_fingerprint_of_image_data_covers_its_pixels_size(results, tmp_path):
    small, large = (ImageData(catalogue(), np.zeros((3, 2 * w, w, 3), np.uint8), np.arange(3)) for w in (3, 6))
    recorded = []
    for data in (small, large):
        results.record(data=data)
        results.table(FRAME, "usage")
        results.finish()
        recorded.append(manifest(tmp_path)["artefacts"]["tables/07_usage.csv"]["data"])
    assert [r["fingerprint"] for r in recorded] == [small.fingerprint(), large.fingerprint()]
    assert [r["size"] for r in recorded] == [[3, 6], [6, 12]]


def test_the_trainings_of_all_notebooks_that_ended(results, tmp_path):
    def run(name, seconds, epochs):
        return SimpleNamespace(
            run_dir=Path(name), seconds=seconds, history=pd.DataFrame({"epoch": range(epochs)}), found=1
        )

    assert len(results.trainings()) == 0
    results.record(runs=[run("07_a", 12.34, 2), run("07_b", 5, 1)])
    assert len(results.trainings()) == 0  # not ended yet
    results.finish()
    other = Results(tmp_path, "demo", "02")
    other.record(runs={"main": run("02_c", 60, 4)})
    other.finish()
    trainings = other.trainings()
    assert (trainings["threads"] == torch.get_num_threads()).all() and trainings["cpu"].notna().all()
    assert trainings[["notebook", "run", "epochs", "seconds"]].values.tolist() == [
        ["02", "02_c", 4, 60.0],
        ["07", "07_a", 2, 12.3],
        ["07", "07_b", 1, 5.0],
    ]


def test_notebooks_share_a_manifest_and_each_replaces_only_its_own(results, tmp_path):
    other = Results(tmp_path, "demo", "01")
    other.table(FRAME, "labels")
    other.finish()
    results.table(FRAME, "old")
    results.figure(small_figure(), "kept")
    results.finish()
    again = Results(tmp_path, "demo", "07")
    again.figure(small_figure(), "kept")
    again.finish()
    found = manifest(tmp_path)
    files = {p.relative_to(tmp_path / "demo").as_posix() for p in (tmp_path / "demo").glob("[tf]*/*")}
    kept = {"tables/01_labels.csv", "tables/01_labels.tex", "figures/07_kept.png", "figures/07_kept.pdf"}
    assert set(found["artefacts"]) == kept == files
    assert set(found["notebooks"]) == {"01", "07"}


def test_eight_notebooks_that_finish_at_once_are_all_entered(tmp_path):
    def one(number):
        part = Results(tmp_path, "demo", f"{number:02d}")
        part.table(FRAME, "usage")
        part.finish()

    threads = [threading.Thread(target=one, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(manifest(tmp_path)["notebooks"]) == {f"{k:02d}" for k in range(8)}
    assert len(manifest(tmp_path)["artefacts"]) == 16


def test_other_data_under_the_same_name_is_refused(results, tmp_path):
    first = Results(tmp_path, "demo", "01")
    first.record(data=catalogue(split_seed=42))
    first.table(FRAME, "labels")
    first.finish()
    changed = catalogue(labels=("a", "b", "b"), split_seed=42)
    with pytest.raises(ValueError, match=r"(?s)'tiny' has changed.*notebook 01.*notebook 07.*--fresh"):
        results.record(data=changed)
    results.record(data=catalogue(parts=("test", "train", "train"), split_seed=43))  # another split is no clash
    Results(tmp_path, "demo", "01").record(data=changed)  # a notebook may replace what is its own


def test_a_full_disk_leaves_the_old_table(results, tmp_path, monkeypatch):
    results.table(FRAME, "usage")
    path = tmp_path / "demo" / "tables" / "07_usage.csv"
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="unharmed.*07_usage.csv") as caught:
        results.table(FRAME.head(1), "usage")
    assert caught.value.errno == errno.ENOSPC
    with pytest.raises(OSError, match="07_line.png"):
        results.figure(small_figure(), "line")
    assert path.read_bytes() == before
    assert sorted(p.name for p in path.parent.iterdir()) == ["07_usage.csv", "07_usage.tex"]


def test_a_folder_that_cannot_be_written_is_named_at_once(tmp_path, monkeypatch):
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "tables").write_text("in the way")
    with pytest.raises(OSError, match="results cannot be written here.*tables"):
        Results(tmp_path, "demo", "07")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # chmod does not stop root
    with pytest.raises(PermissionError, match="read-only.*other"):
        Results(tmp_path, "other", "07")


def test_a_damaged_manifest_is_named(results, tmp_path):
    (tmp_path / "demo" / "manifest.json").write_text('{"notebooks": ')
    with pytest.raises(ValueError, match=r"manifest\.json is damaged.*--fresh"):
        results.record(data=catalogue())


def test_a_missing_table_says_which_notebook_to_run(results):
    with pytest.raises(
        FileNotFoundError, match=r"03_accuracy\.csv: run notebook 03 first \(\./run_all\.sh demo --only 03"
    ):
        results.read_table("03_accuracy")


def test_names_that_would_leave_the_folder_are_refused(results, tmp_path):
    for bad in ("../x", "a/b", "", ".hidden"):
        with pytest.raises(ValueError, match="use letters"):
            results.table(FRAME, bad)
    assert results.run_dir("joint") == tmp_path / "demo" / "runs" / "07_joint"


def test_of_several_processes_only_the_main_one_writes(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda path, mode: False)  # a folder that this process need not write
        results = Results(tmp_path, "demo", "07")
    results.record(settings=Settings(), data=catalogue())
    assert results.table(FRAME, "usage") is FRAME
    results.figure(small_figure(), "line")
    assert results.once("speed", {"machine": 1}, lambda: FRAME) is FRAME
    results.finish()
    with pytest.raises(ValueError, match="use letters"):
        results.table(FRAME, "../usage")
    assert list(tmp_path.iterdir()) == []

    monkeypatch.setenv("RANK", "0")
    main = Results(tmp_path, "demo", "07")
    main.table(FRAME, "usage")
    main.once("speed", {"machine": 1}, lambda: pd.DataFrame({"what": ["fit"], "seconds": [2.5]}))
    main.finish()
    assert set(manifest(tmp_path)["artefacts"]) == {"tables/07_usage.csv", "tables/07_usage.tex"}
    assert len(results.read_table("07_usage")) == 3
    found = results.once("speed", {"machine": 1}, lambda: pytest.fail("it was measured before"))
    assert found.to_dict("list") == {"what": ["fit"], "seconds": [2.5]}


def test_without_git_the_commit_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state() == {"commit": None, "dirty": None}


@pytest.mark.skipif(shutil.which("git") is None, reason="no git here")
def test_a_tree_is_dirty_unless_only_results_differ(tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
        done = subprocess.run(
            ["git", "-C", tmp_path, *identity, *arguments], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    git("init", "-q")
    package = tmp_path / "package"
    (tmp_path / "results").mkdir()
    package.mkdir()
    (package / "code.py").write_text("1")
    (tmp_path / "results" / "table.csv").write_text("1")
    git("add", ".")
    git("commit", "-qm", "x")
    (tmp_path / "results" / "table.csv").write_text("2")
    assert git_state(package) == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    (package / "code.py").write_text("2")
    assert git_state(package)["dirty"] is True

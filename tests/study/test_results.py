"""results/, read back with other means: csv, hashlib, Pillow, git, LaTeX's own rules."""

import csv
import errno
import hashlib
import json
import os
import re
import shutil
import subprocess
import threading
from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fashionlib.data.images import cache_images
from fashionlib.sources import open_catalogue
from study.latex import latex_table
from study.provenance import data_facts, git_state, run_facts
from study.results import Results
from tiny import SETTINGS, tiny_data, tiny_table

FRAME = pd.DataFrame({"usage": ["NA", None, "a,b"], "share": [1 / 3, np.nan, 2.0], "item": [1, 22, 333]})
DATA = tiny_data()


@pytest.fixture
def results(tmp_path):
    return Results(tmp_path, "demo", "07")


def manifest(tmp_path):
    return json.loads((tmp_path / "demo" / "manifest.json").read_text())


def small_figure():
    figure, axes = plt.subplots(figsize=(3, 2))
    axes.plot([1, 2])
    axes.set_title("Öl")
    return figure


@pytest.fixture
def run(tmp_path):
    """Makes the facts, by name, of a finished training that left its settings.json."""

    def make(name, seconds=12.34, epochs=2):
        (tmp_path / name).mkdir()
        noted = {"arithmetic": {"precision": "bf16"}, "machine": {"cpu": "some", "threads": 2}}
        (tmp_path / name / "settings.json").write_text(json.dumps(noted))
        history = pd.DataFrame({"epoch": range(epochs)})
        trained = SimpleNamespace(run_dir=tmp_path / name, seconds=seconds, history=history, found=False)
        return {name: run_facts(trained)}

    return make


# --- tables and figures ---------------------------------------------------------------------------


def test_a_table_as_the_csv_module_reads_it_and_as_we_do(results, tmp_path):
    assert results.table(FRAME, "usage") is FRAME
    path = tmp_path / "demo" / "tables" / "07_usage.csv"
    assert b"\r" not in path.read_bytes()
    with open(path, newline="") as file:
        rows = [["usage", "share", "item"], ["NA", "0.333333", "1"], ["", "", "22"], ["a,b", "2", "333"]]
        assert list(csv.reader(file)) == rows
    read = results.read_table("07_usage")  # a class called NA survives
    assert read["usage"].isna().tolist() == [False, True, False] and read["share"].isna().sum() == 1


def test_numbers_keep_six_digits_and_whole_numbers_all_and_a_named_index_is_a_column(results, tmp_path):
    numbers = pd.Series([12345678.0, 1.23456789e-7, -0.5, float("inf")], pd.Index(list("abcd"), name="class"), name="x")
    results.table(numbers.to_frame(), "numbers")
    lines = (tmp_path / "demo" / "tables" / "07_numbers.csv").read_text().splitlines()
    assert lines == ["class,x", "a,12345678", "b,1.23457e-07", "c,-0.5", "d,inf"]


def test_latex_prints_text_as_it_is():
    frame = pd.DataFrame({"a_b": ["[x", None], "f1": [0.5, 1.0], "n": [-3, 4], "loss": [12.345678, 7.0]})
    frame.loc[2] = ["R&D_50% {x} #1 $ ^ ~ \\ |<>\nb]", np.nan, 5, np.inf]
    tex = latex_table(frame, "Share, 50%", "tab:x")
    special = r"R\&D\_50\% \{x\} \#1 \$ \textasciicircum{} \textasciitilde{} \textbackslash{} "
    special += r"\textbar{}\textless{}\textgreater{} b{]}"
    rows = [
        r"a\_b & f1 & n & loss",
        r"{[}x & 0.5000 & $-$3 & 12.35",
        r"-- & 1.0000 & 4 & 7.00",
        f"{special} & -- & 5 & inf",
    ]
    assert re.findall(r"^(.*?) \\\\$", tex, re.MULTILINE) == rows
    assert r"\begin{tabular}{lrrr}" in tex and r"\caption{Share, 50\%}" in tex and r"\label{tab:x}" in tex
    assert tex.count("\\begin{table}") == tex.count("\\end{table}") == 1


def test_a_long_table_is_a_longtable_with_every_row():
    tex = latex_table(pd.DataFrame({"n": range(141)}), "Classes")
    assert all(f"\n{number} \\\\\n" in tex for number in range(141)) and r"\begin{longtable}{r}" in tex


def test_a_figure_is_png_and_pdf_and_the_same_bytes_every_time(results, tmp_path):
    results.figure(figure := small_figure(), "line")
    files = {suffix: tmp_path / "demo" / "figures" / f"07_line{suffix}" for suffix in (".png", ".pdf")}
    first = {suffix: file.read_bytes() for suffix, file in files.items()}
    with Image.open(files[".png"]) as image:
        assert image.size == (450, 300)
    assert b"/FontFile2" in first[".pdf"] and b"/Type3" not in first[".pdf"]  # TrueType, not bitmap glyphs
    assert plt.fignum_exists(figure.number)
    results.figure(small_figure(), "line")
    assert first == {suffix: file.read_bytes() for suffix, file in files.items()}


def test_the_pdf_of_thumbnails_is_small_even_for_noise(results, tmp_path):
    figure, all_axes = plt.subplots(8, 8)
    for axes, noise in zip(all_axes.flat, np.random.default_rng(0).integers(0, 256, (64, 80, 60, 3)), strict=True):
        axes.imshow(noise)
    results.figure(figure, "montage")
    assert (tmp_path / "demo" / "figures" / "07_montage.pdf").stat().st_size < 1_200_000


# --- the manifest ---------------------------------------------------------------------------------


def test_the_manifest_says_where_each_file_comes_from_and_shared_facts_once(results, run, tmp_path):
    results.table(FRAME, "before")
    results.record(settings={"main": SETTINGS}, seeds=(0, np.int64(1)), data=DATA, runs=run("07_joint"))
    results.table(FRAME, "usage")
    results.figure(small_figure(), "line")
    results.finish()
    found = manifest(tmp_path)
    entry = found["artefacts"]["tables/07_usage.csv"]
    content = (tmp_path / "demo" / "tables" / "07_usage.csv").read_bytes()
    assert entry["sha256"] == hashlib.sha256(content).hexdigest() and entry["notebook"] == "07"
    made = found["records"][entry["facts"]]
    assert made["settings"]["main"]["epochs"] == SETTINGS.epochs and made["seeds"] == [0, 1]
    (data,) = (found["records"][key] for key in entry["data"])
    assert (data["name"], data["fingerprint"], data["size"]) == ("tiny", DATA.fingerprint(), [24, 32])
    assert data["images"] == {"train": 32, "val": 8, "test": 8}
    assert found["records"][found["artefacts"]["tables/07_before.csv"]["facts"]]["settings"] is None
    assert found["artefacts"]["figures/07_line.png"]["facts"] == entry["facts"] and len(found["records"]) == 5
    notebook = found["notebooks"]["07"]
    run_of_it = {"seconds": 12.3, "epochs": 2, "found": False, "precision": "bf16"}
    assert notebook["runs"]["07_joint"].items() >= run_of_it.items()
    where = found["records"][notebook["environment"]]
    assert where["versions"]["numpy"] == np.__version__ and "cores" in where["machine"] and notebook["seconds"] >= 0
    again = Results(tmp_path, "demo", "08").made_by("07_usage")
    assert again["seeds"] == [0, 1] and again["data"] == [data]
    with pytest.raises(KeyError, match="run notebook 03 to its end"):
        results.made_by("03_usage")


def test_the_trainings_of_all_notebooks_that_ended(results, run, tmp_path):
    results.record(runs=run("07_a") | run("07_b", 5, 1))
    assert len(results.trainings()) == 0  # not ended yet
    results.finish()
    other = Results(tmp_path, "demo", "02")
    other.record(runs=run("02_c", 60, 4))
    other.finish()
    trainings = other.trainings()
    assert (trainings[["cpu", "threads", "precision"]] == ["some", 2, "bf16"]).all(axis=None)
    rows = [["02", "02_c", 4, 60.0], ["07", "07_a", 2, 12.3], ["07", "07_b", 1, 5.0]]
    assert trainings[["notebook", "run", "epochs", "seconds"]].values.tolist() == rows


def test_notebooks_share_a_manifest_and_each_replaces_only_its_own(results, tmp_path):
    other = Results(tmp_path, "demo", "01")
    other.record(seeds=[1])
    other.table(FRAME, "labels")
    other.finish()
    results.record(seeds=[2])
    results.table(FRAME, "old")
    results.figure(small_figure(), "kept")
    results.finish()
    again = Results(tmp_path, "demo", "07")
    again.figure(small_figure(), "kept")
    again.finish()
    found = manifest(tmp_path)
    files = {p.relative_to(tmp_path / "demo").as_posix() for p in (tmp_path / "demo").glob("[tf]*/*")}
    assert set(found["artefacts"]) == files
    assert files == {"tables/01_labels.csv", "tables/01_labels.tex", "figures/07_kept.png", "figures/07_kept.pdf"}
    assert sorted(str(facts.get("seeds")) for facts in found["records"].values()) == ["None", "None", "[1]"]


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
    first.record(data=DATA)
    first.table(FRAME, "labels")
    first.finish()
    changed = tiny_data(tiny_table().assign(gender="Men"))
    with pytest.raises(ValueError, match=r"(?s)'tiny' has changed.*tables/01_.*notebook 07 now.*--fresh"):
        results.record(data=changed)
    results.record(data=changed.with_split(changed.catalogue.table["split"], split="grouped"))  # opened otherwise
    Results(tmp_path, "demo", "01").record(data=changed)  # a notebook may replace what is its own


def test_a_measurement_is_made_once_for_a_key(results):
    made = []

    def measure():
        made.append(len(made) + 1)
        return pd.DataFrame({"what": ["fit"], "speed": [1.5 * len(made)]})

    first = results.once("speed", {"cores": 2}, measure)
    pd.testing.assert_frame_equal(results.once("speed", {"cores": np.int64(2)}, measure), first)
    assert results.once("speed", {"cores": 4}, measure)["speed"].item() == 3.0 and made == [1, 2]


# --- what goes wrong ------------------------------------------------------------------------------


def test_a_full_disk_leaves_the_old_table(results, tmp_path, monkeypatch):
    results.table(FRAME, "usage")
    path = tmp_path / "demo" / "tables" / "07_usage.csv"
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="07_usage.csv"):
        results.table(FRAME.head(1), "usage")
    assert path.read_bytes() == before
    assert sorted(p.name for p in path.parent.iterdir()) == ["07_usage.csv", "07_usage.tex"]


def test_what_cannot_be_written_or_read_is_named(results, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "tables").write_text("in the way")
    with pytest.raises(OSError, match="results cannot be written here.*tables"):
        Results(tmp_path, "other", "07")
    with pytest.raises(FileNotFoundError, match=r"03_accuracy\.csv.*\./run_all\.sh demo --only 03"):
        results.read_table("03_accuracy")
    for bad in ("../x", "a/b", "", ".hidden"):
        with pytest.raises(ValueError, match="text of letters"):
            results.table(FRAME, bad)
    (tmp_path / "demo" / "manifest.json").write_text('{"notebooks": ')
    with pytest.raises(ValueError, match=r"manifest\.json is damaged.*--fresh"):
        results.record(data=DATA)


def test_of_several_processes_only_the_main_one_writes(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    results = Results(tmp_path, "demo", "07")
    results.record(settings=SETTINGS, data=DATA)
    results.table(FRAME, "usage")
    results.figure(small_figure(), "line")
    results.once("speed", {"machine": 1}, lambda: FRAME)
    results.finish()
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("RANK", "0")
    main = Results(tmp_path, "demo", "07")
    main.table(FRAME, "usage")
    main.once("speed", {"machine": 1}, lambda: FRAME)
    assert len(results.read_table("07_usage")) == 3
    assert len(results.once("speed", {"machine": 1}, lambda: pytest.fail("it was measured before"))) == 3


@pytest.mark.skipif(shutil.which("git") is None, reason="no git here")
def test_a_tree_is_dirty_unless_only_results_differ(tmp_path, monkeypatch):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
        command = ["git", "-C", tmp_path, *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    for name in ("package/code.py", "results/table.csv"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("1")
    git("add", ".")
    git("commit", "-qm", "x")
    (tmp_path / "results" / "table.csv").write_text("2")
    assert git_state(tmp_path / "package") == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    (tmp_path / "package" / "code.py").write_text("2")
    assert git_state(tmp_path / "package")["dirty"] is True
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(tmp_path) == {"commit": None, "dirty": None}


def test_a_copy_of_a_folder_of_photos_is_the_same_data_and_a_changed_photo_is_not(tmp_path):
    """Times of change differ from copy to copy: with them no other machine would find what was trained here."""
    known = []
    for copy, colour in (("one", "red"), ("two", "red"), ("three", "blue")):
        for kind in ("dress", "skirt"):
            (tmp_path / copy / "photos" / kind).mkdir(parents=True)
            for k in range(4):
                file = tmp_path / copy / "photos" / kind / f"{k}.png"
                Image.new("RGB", (8, 8), "white" if k else colour).save(file)
                os.utime(file, (k, len(known)))
        data = cache_images(open_catalogue(tmp_path / copy / "photos"), (8, 8), tmp_path / copy / "cache")
        known.append((data_facts(data), data.fingerprint()))
    (one, first), (two, second), (three, _) = known
    assert one == two and first == second == one["fingerprint"]
    assert three["fingerprint"] != one["fingerprint"]

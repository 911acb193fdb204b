"""The page of tagged photos: nothing in it is code but its own, the least sure come first, nothing is overwritten."""

import base64
import io
import os
import re
from html import unescape

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fashionlib.__main__ import main
from fashionlib.models import MultitaskModel
from fashionlib.shop.bulk import read_tags, tag_folder
from fashionlib.shop.report import write_report
from fashionlib.shop.shards import BulkError
from fashionlib.tasks import SingleLabel
from fashionlib.training.checkpoints import save_model

EVIL = ("<script>alert(1)</script>", "007", 'None" onmouseover="alert(2)')


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """A model whose classes are code, numbers or nothing, and a folder of two photos and a file that is none."""
    root = tmp_path_factory.mktemp("report")
    photos = root / "photos <b>"
    photos.mkdir()
    for name, colour in (("red.png", (200, 30, 40)), ("<img src=x onerror=alert(3)>.png", (30, 40, 200))):
        Image.fromarray(np.full((40, 30, 3), colour, np.uint8)).save(photos / name)
    (photos / "broken.jpg").write_bytes(b"no picture")
    tasks = [SingleLabel("kind", classes=EVIL)]
    model = save_model(MultitaskModel("resnet_tiny", tasks, size=(24, 32)), root / "model.pth")
    return model, photos


def cards(page: str) -> list[str]:
    return re.findall(r'<article data-name="([^"]*)"', page)


def test_the_command_writes_a_page_beside_the_tags(job, tmp_path, capsys):
    model, photos = job
    out, page = tmp_path / "tags.csv", tmp_path / "report.html"
    assert main(["tag", str(model), str(photos), "--out", str(out), "--report", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    confidence = read_tags(out).set_index("image")["confidence"].fillna(-1)
    assert [unescape(name) for name in cards(text)] == confidence.sort_values(kind="stable").index.tolist()
    assert "broken.jpg" == cards(text)[0] and "not a" in text.lower()
    shown = re.findall(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)", text)
    colours = sorted(tuple(np.asarray(Image.open(io.BytesIO(base64.b64decode(one)))).mean((0, 1))) for one in shown)
    assert np.allclose(colours, [(30, 40, 200), (200, 30, 40)], atol=4)
    assert not re.search(r"""(src|href)=["'](?!data:)""", text)  # no other file, no network
    assert main(["tag", str(model), str(photos), "--out", str(out), "--report", str(page)]) == 0  # its own it replaces


def test_a_name_that_the_screen_cannot_show_does_not_end_the_job(job, tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "写真.jpg").write_bytes(b"no picture")
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding="latin-1"))
    out, page = tmp_path / "tags.csv", tmp_path / "report.html"
    assert main(["tag", str(job[0]), str(tmp_path / "photos"), "--out", str(out), "--report", str(page)]) == 0
    assert cards(page.read_text(encoding="utf-8")) == ["写真.jpg"] and read_tags(out)["error"].notna().all()


def test_names_and_classes_are_text(job, tmp_path):
    model, photos = job
    tag_folder(model, photos, tmp_path / "tags.parquet")
    tags = read_tags(tmp_path / "tags.parquet")
    tags.loc[tags["task"].notna(), "label"] = EVIL[0]
    write_report(tags, photos, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert text.count("<script") == 1 and "&lt;script&gt;alert(1)" in text
    assert "<img src=x" not in text and "<b>" not in text and "photos &lt;b&gt;" in text


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_all_formats_are_read_as_the_same_rows(job, tmp_path, ending):
    model, photos = job
    for name in ("tags.parquet", f"tags{ending}"):
        tag_folder(model, photos, tmp_path / name)
    one, two = read_tags(tmp_path / "tags.parquet"), read_tags(f"{tmp_path}/tags{ending}")
    assert one["label"].dropna().tolist() == two.loc[two["task"].notna(), "label"].tolist()
    for column in ("image", "task", "error"):
        assert one[column].fillna("-").tolist() == two[column].fillna("-").tolist()
    np.testing.assert_allclose(one["confidence"].astype(float), two["confidence"].astype(float), atol=1e-6)


def test_photos_of_odd_names_have_thumbnails_too(job, tmp_path, encode):
    photos = tmp_path / os.fsdecode(b"ph\xe9")
    photos.mkdir()
    for name in ("new\nline.png", os.fsdecode(b"caf\xe9.png")):
        (photos / name).write_bytes(encode(np.full((40, 30, 3), 90), "PNG"))
    tag_folder(job[0], photos, tmp_path / "tags.csv")
    page = tmp_path / "a new folder" / "report.html"
    write_report(read_tags(tmp_path / "tags.csv"), photos, page)
    assert page.read_text(encoding="utf-8").count("data:image/jpeg;base64") == 2


def test_of_many_photos_the_least_sure_are_shown(job, tmp_path):
    names = [f"{number}.png" for number in range(6)]
    tags = pd.DataFrame({"image": names, "task": "kind", "label": "a", "error": None})
    tags["confidence"] = [0.9, 0.2, 0.8, 0.1, 0.3, 0.7]
    write_report(tags, job[1], tmp_path / "report.html", most=3)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert cards(text) == ["3.png", "1.png", "4.png"] and "3 of 6 photos" in text


def test_a_name_from_elsewhere_shows_no_picture(job, tmp_path, encode):
    (tmp_path / "secret.png").write_bytes(encode(np.full((40, 30, 3), 90), "PNG"))
    names = ["red.png", os.path.relpath(tmp_path / "secret.png", job[1]), str(tmp_path / "secret.png")]
    tags = pd.DataFrame({"image": names, "task": "kind", "label": "a", "confidence": 0.5, "error": None})
    write_report(tags, job[1], tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64") == 1 and page.count("no such photo in") == 2


def test_another_file_is_not_overwritten(job, tmp_path):
    model, photos = job
    kept = tmp_path / "thesis.html"
    kept.write_text("years of work")
    tags = pd.DataFrame({"image": ["red.png"], "task": "kind", "label": "a", "confidence": 0.5, "error": None})
    with pytest.raises(BulkError, match="thesis.html is there already"):
        write_report(tags, photos, kept)
    assert kept.read_text() == "years of work"
    asked = [
        "tag",
        str(model),
        str(photos),
        "--out",
        str(tmp_path / "tags.csv"),
        "--report",
        f"{tmp_path}/../{tmp_path.name}/tags.csv",
    ]
    assert main([*asked, "--overwrite"]) == 1 and not (tmp_path / "tags.csv").exists()  # a page over its own tags
    asked = ["tag", str(model), str(photos), "--out", str(tmp_path / "tags.csv"), "--report"]
    for taken in (kept, tmp_path, model):  # before any photo is tagged
        assert main([*asked, str(taken), *["--overwrite"] * (taken != kept)]) == 1
        assert not (tmp_path / "tags.csv").exists()
    write_report(tags, photos, kept, overwrite=True)
    assert cards(kept.read_text()) == ["red.png"]

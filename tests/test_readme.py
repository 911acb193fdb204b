"""The code that README shows does what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image

from fashionlib.training.checkpoints import save_model
from fashionlib.data.images import cache_images
from fashionlib.models import MultitaskModel
from fashionlib.sources import open_catalogue
from fashionlib.training.fit import fit

README = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def small(code: str) -> str:
    """The same code with fewer and smaller images, and one epoch."""
    for pattern, value in {
        r"epochs=\d+": "epochs=1",
        r"size=\(\d+, \d+\)": "size=(24, 32)",
        "items=600": "items=30",
    }.items():
        code = re.sub(pattern, value, code)
    return code


def test_a_catalogue_of_your_own_photos(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    drawn = open_catalogue("synthetic", items=24, views=3)
    rows = []
    for number, row in enumerate(drawn.table.itertuples()):
        parts = dict(part.split(":") for part in row.attributes.split(";") if part)
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(drawn.read(number)).save(tmp_path / "photos" / f"{number}.jpg")
        rows.append((f"{number}.jpg", row.category, parts.get("pattern"), parts.get("sleeve"), row.item))
    rows.append(("lost.jpg", "Shirts", None, None, "s1"))
    table = pd.DataFrame(rows, columns=["image", "type", "pattern", "sleeve", "sku"])
    table.to_csv("my.csv", index=False)
    (code,) = [block for block in BLOCKS if "my.csv" in block]
    exec(small(code), {})
    shown = capsys.readouterr().out
    assert "lost.jpg" in shown and "'recall_at_1'" in shown and "'map'" in shown
    assert (tmp_path / "runs/mine/model.pth").exists()


def test_the_first_example(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (code,) = [block for block in BLOCKS if 'open_catalogue("synthetic"' in block]
    exec(small(code), {})
    assert re.search(r"epoch\s+score", capsys.readouterr().out)


def test_stages_on_two_catalogues(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, second = (open_catalogue("synthetic", items=30, views=3, seed=seed, size=(24, 32)) for seed in (0, 1))
    second.name = "shop"
    data, shop = (cache_images(catalogue, (24, 32), tmp_path) for catalogue in (first, second))
    data = data.only("category", "attributes")
    tasks = [*data.catalogue.select("category", "attributes"), *shop.catalogue.select("item")]
    names = {"data": data, "shop": shop, "model": MultitaskModel("resnet18", tasks, size=(24, 32)), "fit": fit}
    (code,) = [block for block in BLOCKS if "Stage(" in block]
    exec(re.sub(r"Settings\((?=optim)", "Settings(batch_size=16, per_item=2, ", small(code)), names)
    assert names["run"].history["stage"].tolist() == ["labels", "embedding", "everything"]
    assert (tmp_path / "runs/staged/model.pth").exists()


def test_photos_are_tagged_and_searched(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("pymilvus", reason="the extra search is not installed")
    drawn = open_catalogue("synthetic", items=16, views=2, size=(24, 32))
    (tmp_path / "photos").mkdir()
    for number in range(len(drawn)):
        Image.fromarray(drawn.read(number)).save(tmp_path / "photos" / f"{number}.jpg")
    (tmp_path / "photos" / "bad.jpg").write_text("no photo")
    Image.fromarray(drawn.read(0)).save("new.jpg")
    torch.manual_seed(0)
    tasks = drawn.select("category", "item")
    save_model(MultitaskModel("resnet18", tasks, size=(24, 32)), tmp_path / "model.pth")
    (code,) = [block for block in BLOCKS if "open_index" in block]
    code = code.replace("runs/mine/model.pth", "model.pth").replace('["Shirts", "Tops"]', repr(list(tasks[0].classes)))
    exec(code, names := {})
    assert len(names["found"]) == len(drawn), "the bad photo is not among them"
    assert re.search(r"query +rank +id +similarity +category\n0 +0 +1 +0\.jpg", capsys.readouterr().out)


@pytest.mark.parametrize("block", BLOCKS)
def test_examples_are_short(block):
    assert len(block.strip().splitlines()) <= 16

"""The code that README shows does what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from fashionlib.sources import open_catalogue

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


@pytest.mark.parametrize("block", BLOCKS)
def test_examples_are_short(block):
    assert len(block.strip().splitlines()) <= 16

"""What README links to exists, and the code that it shows runs."""

import re
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

import tiny  # noqa: F401 - registers resnet_tiny
from study.drawn import open_drawn

REPOSITORY = Path(__file__).resolve().parent.parent
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def small(code: str) -> str:
    """The same code with fewer and smaller images, one epoch and a small network from scratch."""
    changes = {r"epochs=\d+": "epochs=1", r"batch_size=\d+": "batch_size=16", r"size=\(\d+, \d+\)": "size=(24, 32)"}
    changes |= {r'MultitaskModel\("\w+"': 'MultitaskModel("resnet_tiny"', r', weights="pretrained"': ""}
    changes |= {'"results/products/': f'"{REPOSITORY}/results/products/'}
    for pattern, value in changes.items():
        code = re.sub(pattern, value, code)
    return code


def test_every_path_linked_in_it_exists():
    links = re.findall(r"\]\(<?([^)\s>]+)", README) + re.findall(r'(?:src|href)="([^"]+)"', README)
    paths = [link.split("#")[0] for link in links if not re.match(r"[a-z]+:|#", link)]
    assert paths and [path for path in paths if not (REPOSITORY / path).exists()] == []


def test_every_command_names_files_and_modules_that_there_are():
    shown = "\n".join(re.findall(r"```bash\n(.*?)```", README, re.DOTALL))
    named = re.findall(r"(?:^|\s)((?:notebooks|fashionlib|results)/[\w./-]+\.\w+)", shown)
    modules = [name.replace(".", "/") for name in re.findall(r"-m ((?:fashionlib|study)[\w.]*)", shown)]
    places = [REPOSITORY / name for name in named]
    assert [place for place in places if not place.exists()] == []
    for module in modules:
        roots = [REPOSITORY / module, REPOSITORY / "notebooks" / module]
        assert any(root.with_suffix(".py").exists() or (root / "__main__.py").exists() for root in roots), module


@pytest.fixture
def own_photos(tmp_path, monkeypatch):
    """The folder of somebody with photos, and a ``my.csv`` of them that lists one too many."""
    monkeypatch.chdir(tmp_path)
    drawn = open_drawn(items=24, views=3, size=(24, 32))
    (tmp_path / "photos").mkdir()
    rows = []
    for number, row in enumerate(drawn.table.itertuples()):
        Image.fromarray(drawn.read(number)).save(tmp_path / "photos" / f"{number}.jpg")
        words = ("plain", "short") if number % 2 else ("striped", None)
        rows.append((f"{number}.jpg", row.category, *words, row.item))
    rows.append(("lost.jpg", "Shirts", None, None, "s1"))
    Image.fromarray(drawn.read(0)).save("new.jpg")
    pd.DataFrame(rows, columns=["image", "type", "pattern", "sleeve", "sku"]).to_csv("my.csv", index=False)
    return tmp_path


def test_its_examples_run_one_after_the_other(own_photos, capsys):
    """They may build on each other: names and files of one are there for the next."""
    names = {}
    for block in BLOCKS:
        exec(small(block), names)
    assert capsys.readouterr().out
    assert list(own_photos.glob("runs/*/model.pth"))

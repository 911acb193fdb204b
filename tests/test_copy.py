"""The folder ``fashionlib`` works where it is copied, on the core dependencies alone, whole or without ``shop``."""

import importlib
import inspect
import json
import os
import pkgutil
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import copied_study
import fashionlib

PACKAGE = Path(fashionlib.__file__).parent
MODULES = [found.name for found in pkgutil.walk_packages(fashionlib.__path__, "fashionlib.")]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Python in the copied project, which is told nothing of this repository."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


def copied(folder: Path, *deleted: str) -> Path:
    """A project with a copy of the library in it, without what is ``deleted``, in which the docstring's example ran."""
    shutil.copytree(PACKAGE, folder / "vision" / "fashionlib", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "vision" / "__init__.py").write_text("")
    for name in deleted:
        path = folder / "vision" / "fashionlib" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    ran = run(folder, copied_study.__file__, str(folder))
    assert ran.returncode == 0, ran.stderr
    return folder


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    return copied(tmp_path_factory.mktemp("copied") / "study")


def test_a_copy_trains_evaluates_and_tags_with_the_core_dependencies_alone(study):
    facts = json.loads((study / "facts.json").read_text())
    assert Path(facts["where"]) == study / "vision" / "fashionlib" / "__init__.py"
    assert 0 <= facts["metrics"]["category"]["accuracy"] <= 1 and 0 <= facts["metrics"]["attributes"]["map"] <= 1
    assert facts["loaded"] == [], "imported though nothing needed it"
    assert (study / "runs" / "mine" / "model.pth").exists()


def test_without_shop_and_the_readers_of_datasets_it_trains_and_evaluates(tmp_path):
    kept = {"__init__.py", "table.py", "folder.py"}
    readers = [f"sources/{path.name}" for path in (PACKAGE / "sources").glob("*.py") if path.name not in kept]
    assert len(readers) > 5
    facts = json.loads((copied(tmp_path / "study", "shop", *readers) / "facts.json").read_text())
    assert 0 <= facts["metrics"]["category"]["accuracy"] <= 1 and facts["loaded"] == []


def test_a_copy_tags_good_photos_and_lists_a_bad_one(study):
    tags = pd.read_json(study / "tags.json")
    good = tags[tags["error"].isna()]
    assert sorted(set(good["image"])) == ["72.jpg", "73.jpg", "74.jpg", "75.jpg"]
    assert set(good.loc[good["task"] == "category", "label"]) <= set(copied_study.KINDS)
    assert good["confidence"].between(0, 1).all()
    bad = tags[tags["error"].notna()]
    assert bad["image"].tolist() == ["broken.jpg"] and "broken.jpg" in bad["error"].item()


def test_a_copy_has_its_command_line(study):
    cited = run(study, "-m", "vision.fashionlib", "cite")
    assert cited.returncode == 0 and "@software{fashionlib," in cited.stdout


def test_its_face_loads_nothing_heavy_and_knows_its_names():
    program = "import sys, fashionlib; print(sorted({'torch', 'pandas', 'timm', 'matplotlib'} & set(sys.modules)))"
    assert run(PACKAGE.parent, "-c", program).stdout.strip() == "[]"
    assert all(callable(getattr(fashionlib, name)) for name in fashionlib.WHERE)
    with pytest.raises(AttributeError, match="no attribute 'fitt'; there are .*fit"):
        _ = fashionlib.fitt


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_is_documented(name):
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} has no docstring"
    for label, thing in public_names(module):
        text = inspect.getdoc(thing) or ""
        made = label.split(".")[0] + "("  # what a dataclass without a docstring is given
        assert text and not text.startswith(made), f"{name}: {label} has no docstring"


def public_names(module):
    """Classes and functions that a module defines, and the methods of its classes."""
    for label, thing in vars(module).items():
        if label.startswith("_") or getattr(thing, "__module__", None) != module.__name__:
            continue
        if inspect.isfunction(thing) or inspect.isclass(thing):
            yield label, thing
        if inspect.isclass(thing):
            methods = [attribute for attribute in vars(thing) if not attribute.startswith("_")]
            yield from ((f"{label}.{m}", getattr(thing, m)) for m in methods if callable(getattr(thing, m, None)))

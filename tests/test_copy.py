"""The folder ``fashionlib`` works where it is copied, on the core dependencies alone; and it explains itself."""

import importlib
import inspect
import json
import os
import pkgutil
import pydoc
import re
import shutil
import subprocess
import sys
from pathlib import Path

import copied_study
import pandas as pd
import pytest

import fashionlib

PACKAGE = Path(fashionlib.__file__).parent
MODULES = [found.name for found in pkgutil.walk_packages(fashionlib.__path__, "fashionlib.")]


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """A project with a copy of the library in it, in which the docstring's example has run."""
    folder = tmp_path_factory.mktemp("copied") / "study"
    shutil.copytree(PACKAGE, folder / "vision" / "fashionlib", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "vision" / "__init__.py").write_text("")
    ran = run(folder, copied_study.__file__, str(folder))
    assert ran.returncode == 0, ran.stderr
    print(ran.stdout)
    return folder


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Python in the copied project, which is told nothing of this repository."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


def test_a_copy_trains_evaluates_and_tags_with_the_core_dependencies_alone(study):
    facts = json.loads((study / "facts.json").read_text())
    assert Path(facts["where"]) == study / "vision" / "fashionlib" / "__init__.py"
    assert facts["epochs"] == 5
    assert 0 <= facts["metrics"]["category"]["accuracy"] <= 1 and 0 <= facts["metrics"]["attributes"]["map"] <= 1
    assert facts["loaded"] == [], "imported though nothing needed it"
    assert (study / "runs" / "mine" / "model.pth").exists()


def test_a_copy_tags_good_photos_and_lists_a_bad_one(study):
    tags = pd.read_json(study / "tags.json")
    assert list(tags) == ["image", "task", "label", "confidence", "top", "top_confidence", "error"]
    good = tags[tags["error"].isna()]
    assert sorted(set(good["image"])) == ["72.jpg", "73.jpg", "74.jpg", "75.jpg"]
    assert set(good.loc[good["task"] == "category", "label"]) <= set(copied_study.KINDS)
    assert good["confidence"].between(0, 1).all()
    bad = tags[tags["error"].notna()]
    assert bad["image"].tolist() == ["broken.jpg"] and "broken.jpg" in bad["error"].item()


def test_a_copy_has_its_command_line(study):
    cited = run(study, "-m", "vision.fashionlib", "cite")
    assert cited.returncode == 0 and "@software{fashionlib," in cited.stdout


# --- what it says of itself -----------------------------------------------------------------------


def test_help_names_every_module_that_there_is_and_no_other():
    text = pydoc.plain(pydoc.render_doc(fashionlib))
    assert "complete study" in text and "fit(model, data, Settings(epochs=5)" in text
    listed = fashionlib.__doc__.split("best read:")[1]
    read, behind = listed.split("Behind them:")
    named = re.findall(r"^    (\w+)  ", read, re.MULTILINE)
    named += re.findall(r"\w+", re.sub(r"^    \w+  ", "", behind, flags=re.MULTILINE))
    there = {name.split(".")[1] for name in MODULES} - {"__main__"}
    assert len(named) == len(set(named)), "a module is named twice"
    assert set(named) == there, f"in fashionlib/__init__.py: missing {there - set(named)}, gone {set(named) - there}"


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

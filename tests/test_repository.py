"""The repository keeps its promises: versions, notebooks without outputs, no place of one machine."""

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from study.runner import parameters

REPOSITORY = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("[0-9]*.ipynb"))


def repository_files() -> list[Path]:
    """Tracked files and those that git would track; without git, all files but the usual untracked ones."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(listing, cwd=REPOSITORY, capture_output=True, check=True, text=True).stdout
        paths = [REPOSITORY / name for name in listed.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        paths = [p for p in REPOSITORY.rglob("*") if not {".git", ".venv", "data", "__pycache__"} & set(p.parts)]
    return [path for path in paths if path.is_file()]


def test_the_extra_all_names_every_other_extra():
    (everything,) = map(Requirement, PROJECT["optional-dependencies"]["all"])
    assert everything.name == PROJECT["name"]
    assert everything.extras == set(PROJECT["optional-dependencies"]) - {"all"}


def test_constraints_pin_every_direct_dependency_within_its_range():
    lines = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line)] == []
    pins = {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}
    assert len(pins) == len(lines) and not {"pip", "setuptools", "fashionlib"} & set(pins)
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    for requirement in (Requirement(line) for group in groups for line in group):
        if requirement.name != PROJECT["name"]:
            version = pins.get(canonicalize_name(requirement.name))
            assert version, f"constraints.txt does not pin {requirement.name}"
            assert requirement.specifier.contains(version, prereleases=True), f"{requirement}, but pinned at {version}"


def test_environment_installs_what_is_pinned_and_gives_a_reason_on_every_line():
    text = (REPOSITORY / "environment.yml").read_text(encoding="utf-8")
    assert [line for line in filter(str.strip, text.splitlines()) if not re.search(r"  # \S.{15,}", line)] == []
    *packages, pip = yaml.safe_load(text)["dependencies"]
    assert [re.split("[<>=]", name)[0] for name in packages] == ["python", "pip"]
    assert pip == {"pip": ["-c constraints.txt", "-e .[all]"]}


def test_notebooks_carry_parameters_and_no_outputs():
    assert NOTEBOOKS
    for path in NOTEBOOKS:
        assert parameters(path)
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        dirty = [k for k, cell in enumerate(cells) if cell.get("outputs") or cell.get("execution_count") is not None]
        assert not dirty, f"{path.name}: cells {dirty} carry outputs or counts; clear them"


def test_no_file_names_a_place_that_only_one_machine_has():
    # taken apart here, so that this file does not find itself
    registries = ["pypi.org" + "/simple", "index" + "-url", "extra" + "-index"]
    for path in repository_files():
        content, name = path.read_bytes(), path.relative_to(REPOSITORY).as_posix()
        words = registries if name == ".ci/run" else ["../" + "shared", *registries]
        assert not (found := [word for word in words if word.encode() in content]), f"{name} contains {found}"


def test_scripts_can_be_executed():
    assert all(os.access(REPOSITORY / name, os.X_OK) for name in ("run_all.sh", ".ci/run"))

"""The repository keeps its promises: versions, run_all.sh, profiles, notebooks, links."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("[0-9]*.ipynb"))
PROFILES = sorted((REPOSITORY / "notebooks" / "profiles").glob("*.yaml"))


def load_check_profile():
    path = REPOSITORY / "notebooks" / "check_profile.py"
    spec = importlib.util.spec_from_file_location("check_profile", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


check_profile = load_check_profile()


def repository_files() -> list[Path]:
    """Tracked files and those that git would track; without git, all files but the usual untracked ones."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        skipped = {".git", ".venv", "data", "__pycache__"}
        paths = [path for path in REPOSITORY.rglob("*") if not skipped & set(path.parts)]
    else:
        paths = [REPOSITORY / name for name in listed.split("\0") if name]
    return [path for path in paths if path.is_file()]


# --- versions -------------------------------------------------------------------------------------


def direct_dependencies() -> list[Requirement]:
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    found = [Requirement(line) for group in groups for line in group]
    return [requirement for requirement in found if requirement.name != PROJECT["name"]]


def test_the_extra_all_names_every_other_extra():
    (everything,) = map(Requirement, PROJECT["optional-dependencies"]["all"])
    assert everything.name == PROJECT["name"]
    assert everything.extras == set(PROJECT["optional-dependencies"]) - {"all"}


def test_constraints_pin_every_direct_dependency_within_its_range():
    lines = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = {}
    for line in lines:
        if line.startswith("#"):
            continue
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line), f"constraints.txt: not a plain pin: {line}"
        name, version = line.split("==")
        assert canonicalize_name(name) not in pins, f"constraints.txt pins {name} twice"
        pins[canonicalize_name(name)] = version
    assert not {"pip", "setuptools", "fashionlib"} & set(pins)
    for requirement in direct_dependencies():
        version = pins.get(canonicalize_name(requirement.name))
        assert version, f"constraints.txt does not pin {requirement.name}"
        assert requirement.specifier.contains(version, prereleases=True), f"{requirement}, but pinned at {version}"


def test_environment_gives_a_reason_on_every_line():
    text = (REPOSITORY / "environment.yml").read_text(encoding="utf-8")
    for line in filter(str.strip, text.splitlines()):
        assert re.search(r"  # \S.{15,}", line), f"environment.yml: no reason on: {line}"
    *packages, pip = yaml.safe_load(text)["dependencies"]
    assert [re.split("[<>=]", name)[0] for name in packages] == ["python", "pip"]
    assert pip == {"pip": ["-c constraints.txt", "-e .[all]"]}


# --- run_all.sh -----------------------------------------------------------------------------------


def run_all(*arguments, folder=REPOSITORY, **environment):
    command = [shutil.which("bash"), str(folder / "run_all.sh"), *arguments]
    inherited = {name: value for name, value in os.environ.items() if name != "FASHION_DATA"}
    return subprocess.run(
        command,
        env=inherited | environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        cwd=folder,
    )


def test_help_lists_every_profile_and_option():
    shown = run_all("--help")
    assert shown.returncode == 0, shown.stderr
    for option in ("--only", "--fresh", "--data", "--test"):
        assert option in shown.stdout
    assert PROFILES, "notebooks/profiles is empty"
    for profile in PROFILES:
        assert re.search(rf"^  {profile.stem} +\S", shown.stdout, re.MULTILINE), f"--help says nothing of {profile}"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["no-such-profile"], "no-such-profile"),
        (["--no-such-option"], "--no-such-option"),
        (["--only", "99"], "99"),
        (["--only"], "--only"),
        (["--data", "/no/such/folder"], "/no/such/folder"),
        (["demo", "products"], "products"),
    ],
)
def test_a_wrong_argument_is_named(arguments, named):
    refused = run_all(*arguments)
    assert refused.returncode != 0
    assert named in refused.stderr
    assert "==" not in refused.stdout, "it began before it had read its arguments"


def test_an_unknown_profile_is_told_what_there_is():
    message = run_all("no-such-profile").stderr
    assert all(profile.stem in message for profile in PROFILES)


def write_notebook(path: Path, parameters: str, *cells: str, tags=("parameters",)):
    def code(source, tags=()):
        metadata = {"tags": list(tags)}
        return {
            "cell_type": "code",
            "metadata": metadata,
            "source": source,
            "outputs": [],
            "execution_count": None,
        }

    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    book = {"nbformat": 4, "nbformat_minor": 4, "metadata": kernel}
    book["cells"] = [code(parameters, tags), *map(code, cells)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(book), encoding="utf-8")


GIVEN = 'profile = "demo"\ndata_root = "data"\nresults_root = "../results"\n'


@pytest.fixture
def house(tmp_path):
    """A small copy of the repository beside a folder ``bin``, whose python3.11 makes environments without a
    network: their python notes what pip is asked and is otherwise the interpreter of these tests."""
    folder = tmp_path / "a house"
    (folder / "notebooks" / "profiles").mkdir(parents=True)
    for name in ("run_all.sh", "pyproject.toml", "constraints.txt", "notebooks/check_profile.py"):
        shutil.copy(REPOSITORY / name, folder / name)
    (folder / "notebooks" / "profiles" / "demo.yaml").write_text("# two small notebooks\nepochs: 3\n")
    where = (
        "import os\ndata, here = os.environ.get('FASHION_DATA'), os.path.basename(os.getcwd())\n"
        "print('asked for', epochs, profile, data, here)"
    )
    write_notebook(folder / "notebooks" / "01_first.ipynb", GIVEN + "epochs = 1\n", where)
    write_notebook(folder / "notebooks" / "02_second.ipynb", GIVEN, "assert profile == 'demo'", "1 / 1")
    python = f"""#!/bin/bash
case "$1 $2" in
  "-m venv") mkdir -p "${{@: -1}}/bin" && cp "$0" "${{@: -1}}/bin/python" ;;
  "-m pip") echo "$*" >>pip.log ;;
  *) exec "{sys.executable}" "$@" ;;
esac
"""
    (tmp_path / "bin").mkdir()
    for name in ("python3.11", "python"):
        (tmp_path / "bin" / name).write_text(python)
        (tmp_path / "bin" / name).chmod(0o755)
    return folder


@pytest.fixture
def outside(house):
    """Environment variables of somebody with no active environment."""
    return {
        "PATH": f"{house.parent / 'bin'}:/usr/bin:/bin",
        "VIRTUAL_ENV": "",
        "CONDA_PREFIX": "",
        "PYTHONPATH": "",
    }


@pytest.mark.notebook
def test_a_fresh_machine_gets_an_environment_once_and_the_notebooks_run(house, outside):
    first = run_all(folder=house, **outside)
    assert first.returncode == 0, first.stderr
    assert "making .venv" in first.stdout
    assert "asked for 3 demo None notebooks" in first.stdout
    assert "-c constraints.txt -e .[all]" in (house / "pip.log").read_text()
    finished = house / "results" / "demo" / "notebooks"
    assert sorted(path.name for path in finished.iterdir()) == ["01_first.ipynb", "02_second.ipynb"]

    (house / "pip.log").unlink()
    run = house / "results" / "demo" / "runs" / "01_model"
    run.mkdir(parents=True)
    (house / "my data").mkdir()
    again = run_all("demo", "--only", "02", "--fresh", "--data", "my data", folder=house, **outside)
    assert again.returncode == 0, again.stderr
    assert ".venv" not in again.stdout and not (house / "pip.log").exists(), "it installed a second time"
    assert run.exists(), "--fresh --only 02 forgot a run of another notebook"
    assert "01_first" not in again.stdout
    saved = run_all("demo", "--only", "01", "--data", "my data", folder=house, **outside).stdout
    assert f"asked for 3 demo {house / 'my data'} notebooks" in saved


@pytest.mark.notebook
def test_a_failed_notebook_is_named_and_kept_apart(house, outside):
    write_notebook(house / "notebooks" / "02_second.ipynb", GIVEN, "print('so far')", "raise ValueError('too dark')")
    finished = house / "results" / "demo" / "notebooks"
    finished.mkdir(parents=True)
    (finished / "02_second.ipynb").write_text("the last good one")
    failed = run_all("--only", "02", folder=house, **outside)
    assert failed.returncode != 0
    assert "02_second.ipynb failed" in failed.stderr and "too dark" in failed.stderr
    assert (finished / "02_second.ipynb").read_text() == "the last good one"
    assert "too dark" in (finished / "02_second.failed.ipynb").read_text()


def test_an_unfinished_environment_is_completed(house, outside):
    # a name that no notebook knows stops it after the installation
    (house / "notebooks" / "profiles" / "demo.yaml").write_text("no_such_name: 1\n")
    assert "making .venv" in run_all(folder=house, **outside).stdout
    (house / "pip.log").unlink()
    with (house / "constraints.txt").open("a") as constraints:
        constraints.write("another==1.0\n")
    assert "completing .venv" in run_all(folder=house, **outside).stdout
    assert (house / "pip.log").exists()
    for marker in (house / ".venv").glob(".*"):
        marker.unlink()
    assert "completing .venv" in run_all(folder=house, **outside).stdout
    assert ".venv" not in run_all(folder=house, **outside).stdout


def test_an_old_python_is_refused_with_its_version(house, outside):
    for python in (house.parent / "bin").iterdir():
        python.unlink()
    for name in ("python3.13", "python3.12", "python3.11", "python3", "python"):
        old = house.parent / "bin" / name
        old.write_text('#!/bin/bash\n[[ $2 == *print* ]] || exit 1\necho "; $3 is 3.9"\n')
        old.chmod(0o755)
    refused = run_all(folder=house, **outside)
    assert refused.returncode != 0
    assert "3.11" in refused.stderr and "python3 is 3.9" in refused.stderr
    assert not (house / ".venv").exists()


@pytest.fixture
def checkout(tmp_path):
    """``.ci/run`` beside a run_all.sh that only says how it was called, on a machine without a browser."""
    for folder in ("clone/.ci", "bin"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(REPOSITORY / ".ci" / "run", tmp_path / "clone" / ".ci" / "run")
    for name, script in {"clone/run_all.sh": 'echo "run_all.sh $*"', "bin/id": "echo 0"}.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{script}\n")
        (tmp_path / name).chmod(0o755)
    for name in ("bash", "env", "dirname", "timeout", "touch", "chmod"):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name))
    return tmp_path


@pytest.mark.parametrize(
    ("apt", "installed"),
    [
        (None, False),
        ("exit 100", False),
        ('[[ $1 == update ]] || { touch "$BIN/chromium"; chmod +x "$BIN/chromium"; }', True),
    ],
)
def test_ci_installs_a_browser_or_says_loudly_that_it_cannot(checkout, apt, installed):
    if apt:
        (checkout / "bin" / "apt-get").write_text(f"#!/bin/bash\n{apt}\n")
        (checkout / "bin" / "apt-get").chmod(0o755)
    environment = {"PATH": str(checkout / "bin"), "BIN": str(checkout / "bin")}
    ran = subprocess.run(
        [checkout / "clone" / ".ci" / "run", "-x"], env=environment, capture_output=True, text=True, cwd=checkout
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == "run_all.sh --test -x"
    assert ("BROWSER TESTS ARE SKIPPED" in ran.stderr) == (not installed)


# --- profiles and notebooks -----------------------------------------------------------------------


def test_every_profile_sets_only_names_that_a_notebook_knows():
    assert {"smoke", "demo", "products", "deepfashion"} <= {profile.stem for profile in PROFILES}
    for profile in PROFILES:
        check_profile.check(profile)


def test_an_unknown_name_in_a_profile_is_named_with_its_profile_and_the_nearest(house):
    bad = house / "notebooks" / "profiles" / "demo.yaml"
    bad.write_text("epoch: 3\n")
    with pytest.raises(check_profile.ProfileError, match="profile demo.*'epoch'.*nearest is 'epochs'"):
        check_profile.check(bad, house / "notebooks")
    script = house / "notebooks" / "check_profile.py"
    refused = subprocess.run([sys.executable, script, bad], capture_output=True, text=True)
    assert refused.returncode == 1
    assert "profile demo" in refused.stderr and "'epoch'" in refused.stderr


def test_a_value_of_another_kind_is_refused(house):
    write_notebook(house / "notebooks" / "01_first.ipynb", GIVEN + "rate: float = 0.1\nseeds = [1]\nweights = None\n")
    profile = house / "notebooks" / "profiles" / "demo.yaml"
    profile.write_text("rate: 1e-3\n")  # YAML reads this as text
    with pytest.raises(check_profile.ProfileError, match="rate = '1e-3' is of type str"):
        check_profile.check(profile, house / "notebooks")
    profile.write_text("rate: 1\nseeds: [1, 2]\nweights: imagenet\n")
    check_profile.check(profile, house / "notebooks")


def test_a_profile_may_be_for_some_notebooks_only(house, outside):
    profile = house / "notebooks" / "profiles" / "demo.yaml"
    profile.write_text('notebooks: ["02"]\n')
    done = run_all(folder=house, **outside)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (house / "results/demo/notebooks").iterdir()] == ["02_second.ipynb"]
    refused = run_all("--only", "01", folder=house, **outside)
    assert refused.returncode != 0 and "profile demo is for the notebooks 02 only" in refused.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('notebooks: ["09"]', "notebooks names '09'; there are 01, 02"),
        ("notebooks: [2]", "a list of numbers in quotes"),
    ],
)
def test_a_profile_that_lists_notebooks_wrongly_is_told_so(house, text, message):
    profile = house / "notebooks" / "profiles" / "demo.yaml"
    profile.write_text(text)
    with pytest.raises(check_profile.ProfileError, match=message):
        check_profile.check(profile, house / "notebooks")


@pytest.mark.parametrize(
    ("parameters", "tags", "message"),
    [
        (GIVEN, (), "0 cells"),
        (GIVEN + "epochs = 2 * 3", ("parameters",), "epochs is not a literal"),
        (GIVEN + "import os", ("parameters",), "import os"),
        (GIVEN + "epochs = ", ("parameters",), "not Python"),
        ('profile = "demo"', ("parameters",), "data_root"),
    ],
)
def test_a_notebook_with_a_wrong_parameters_cell_is_named(tmp_path, parameters, tags, message):
    write_notebook(tmp_path / "03_wrong.ipynb", parameters, tags=tags)
    with pytest.raises(check_profile.ProfileError, match="03_wrong.*" + message):
        check_profile.known_parameters(tmp_path)


def test_two_parameters_cells_are_refused(tmp_path):
    path = tmp_path / "03_wrong.ipynb"
    write_notebook(path, GIVEN)
    book = json.loads(path.read_text())
    path.write_text(json.dumps(book | {"cells": book["cells"] * 2}))
    with pytest.raises(check_profile.ProfileError, match="2 cells"):
        check_profile.parameters(path)


def test_notebooks_carry_no_outputs_and_one_parameters_cell():
    assert NOTEBOOKS, "notebooks/ is empty"
    assert set(check_profile.known_parameters()) == {path.name for path in NOTEBOOKS}
    for path in NOTEBOOKS:
        for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
            assert not cell.get("outputs"), f"{path.name}: cell {number} carries outputs; clear them"
            assert cell.get("execution_count") is None, f"{path.name}: cell {number} carries a count; clear it"


# --- links and addresses --------------------------------------------------------------------------


def test_every_path_linked_in_the_readme_exists():
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(<?([^)\s>]+)", text) + re.findall(r'(?:src|href)="([^"]+)"', text)
    paths = [link.split("#")[0] for link in links if not re.match(r"[a-z]+:|#", link)]
    missing = [path for path in paths if not (REPOSITORY / path).exists()]
    assert not missing, f"README.md links to what is not there: {missing}"


def test_no_file_names_a_place_that_only_one_machine_has():
    # taken apart here, so that this file does not find itself
    registries = ["pypi.org" + "/simple", "index" + "-url", "extra" + "-index"]
    beside = "../" + "shared"
    for path in repository_files():
        content = path.read_bytes()
        name = path.relative_to(REPOSITORY).as_posix()
        words = registries if name == ".ci/run" else [beside, *registries]
        found = [word for word in words if word.encode() in content]
        assert not found, f"{name} contains {found}"


def test_scripts_can_be_executed():
    for name in ("run_all.sh", ".ci/run"):
        assert os.access(REPOSITORY / name, os.X_OK), f"{name} is not executable"

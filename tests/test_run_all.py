"""run_all.sh and .ci/run, in a small copy of the repository on a machine that has no network."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PROFILES = sorted((REPOSITORY / "notebooks" / "profiles").glob("*.yaml"))
GIVEN = 'profile = "demo"\nresults_root = "../results"\n'


def command(folder, *arguments, **environment):
    inherited = {name: value for name, value in os.environ.items() if name != "FASHION_DATA"}
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    program = [shutil.which("bash"), str(folder / "run_all.sh"), *arguments]
    return subprocess.Popen(program, env=inherited | environment, cwd=folder, **pipes)


def run_all(*arguments, folder=REPOSITORY, **environment):
    started = command(folder, *arguments, **environment)
    out, err = started.communicate(timeout=600)
    return subprocess.CompletedProcess(arguments, started.returncode, out, err)


def write_notebook(path: Path, parameters: str, *cells: str):
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    made = [
        {"cell_type": "code", "metadata": {}, "source": s, "outputs": [], "execution_count": None}
        for s in (parameters, *cells)
    ]
    made[0]["metadata"] = {"tags": ["parameters"]}
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": kernel, "cells": made}))


@pytest.fixture
def house(tmp_path):
    """A small copy of the repository beside a folder ``bin``, whose python3.11 makes environments without a network:
    their python notes what pip is asked and is otherwise the interpreter of these tests."""
    folder = tmp_path / "a house"
    for name in ("notebooks/profiles", "notebooks/study", "../bin"):
        (folder / name).mkdir(parents=True)
    study = [f"notebooks/study/{name}.py" for name in ("__init__", "runner")]
    for name in ("run_all.sh", "pyproject.toml", "constraints.txt", *study):
        shutil.copy(REPOSITORY / name, folder / name)
    (folder / "fashionlib").symlink_to(REPOSITORY / "fashionlib")
    (folder / "notebooks" / "profiles" / "demo.yaml").write_text("# two small notebooks\nepochs: 3\n")
    where = "import os\ndata, here = os.environ.get('FASHION_DATA'), os.path.basename(os.getcwd())\n"
    where += "print('asked for', epochs, profile, data, here)"
    write_notebook(folder / "notebooks" / "01_first.ipynb", GIVEN + "epochs = 1\n", where)
    write_notebook(folder / "notebooks" / "02_second.ipynb", GIVEN, "assert profile == 'demo'", "1 / 1")
    python = f"""#!/bin/bash
case "$1 $2" in
  "-m venv") mkdir -p "${{@: -1}}/bin" && cp "$0" "${{@: -1}}/bin/python" ;;
  "-m pip") echo "$*" >>pip.log ;;
  "-m uv") [[ ! -f no_uv ]] && echo "$*" >>pip.log ;;
  *) exec "{sys.executable}" "$@" ;;
esac
"""
    for name in ("python3.11", "python"):
        executable(tmp_path / "bin" / name, python)
    return folder


def executable(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def outside(house):
    """Environment variables of somebody with no active environment."""
    path = f"{house.parent / 'bin'}:/usr/bin:/bin"
    return {"PATH": path, "VIRTUAL_ENV": "", "CONDA_PREFIX": "", "PYTHONPATH": ""}


def test_help_lists_every_profile_and_option():
    shown = run_all("--help")
    assert shown.returncode == 0, shown.stderr
    named = ["--only", "--fresh", "--data", "--test", *(f"\n  {profile.stem} " for profile in PROFILES)]
    assert PROFILES and [name for name in named if name not in shown.stdout] == []


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["no-such-profile"], ["no-such-profile", *(profile.stem for profile in PROFILES)]),
        (["--no-such-option"], ["--no-such-option"]),
        (["--only", "99"], ["99"]),
        (["--only"], ["--only"]),
        (["--data", "/no/such/folder"], ["/no/such/folder"]),
        (["demo", "products"], ["products"]),
    ],
)
def test_a_wrong_argument_is_named(arguments, named):
    refused = run_all(*arguments)
    assert refused.returncode != 0 and all(word in refused.stderr for word in named)
    assert "==" not in refused.stdout, "it began before it had read its arguments"


@pytest.mark.notebook
def test_a_fresh_machine_gets_an_environment_once_and_the_notebooks_run(house, outside):
    first = run_all(folder=house, **outside)
    assert first.returncode == 0, first.stderr
    assert "making .venv" in first.stdout and "asked for 3 demo None notebooks" in first.stdout
    assert "01 0." in first.stdout.splitlines()[-1] and " min" in first.stdout.splitlines()[-1]
    asked = (house / "pip.log").read_text().splitlines()
    assert "pip install" in asked[-2] and asked[-2].endswith(" uv")
    assert "uv pip install" in asked[-1] and asked[-1].endswith("-c constraints.txt -e .[all]")
    finished = house / "results" / "demo" / "notebooks"
    assert sorted(path.name for path in finished.iterdir()) == ["01_first.ipynb", "02_second.ipynb"]
    assert "epochs" not in (finished / "02_second.ipynb").read_text(), "a setting of another notebook"

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


@pytest.mark.notebook
def test_a_second_run_of_a_profile_is_refused_and_the_first_goes_on(house, outside):
    cells = "import os, time\nopen('../began', 'w').close()", "while not os.path.exists('../go'): time.sleep(0.05)"
    write_notebook(house / "notebooks" / "02_second.ipynb", GIVEN, *cells)
    first = command(house, "--only", "02", **outside)
    try:
        while not (house / "began").exists():
            assert first.poll() is None, first.communicate()
            time.sleep(0.1)
        second = run_all("--only", "01", "--fresh", folder=house, **outside)
        assert second.returncode != 0 and "another run_all.sh" in second.stderr and "01_first" not in second.stdout
    finally:
        (house / "go").touch()
        out, err = first.communicate(timeout=600)
    assert first.returncode == 0, err
    assert (house / "results" / "demo" / "notebooks" / "02_second.ipynb").exists()


def test_a_profile_may_be_for_some_notebooks_only_and_must_fit_them(house, outside):
    profile = house / "notebooks" / "profiles" / "demo.yaml"
    profile.write_text('notebooks: ["02"]\n')
    refused = run_all("--only", "01", folder=house, **outside)
    assert refused.returncode != 0 and "profile demo is for the notebooks 02 only" in refused.stderr
    profile.write_text("no_such_name: 1\n")
    refused = run_all(folder=house, **outside)
    assert refused.returncode != 0 and "no_such_name" in refused.stderr and "01_first" not in refused.stdout


def test_an_unfinished_environment_is_completed(house, outside):
    # a name that no notebook knows stops it after the installation
    (house / "notebooks" / "profiles" / "demo.yaml").write_text("no_such_name: 1\n")
    assert "making .venv" in run_all(folder=house, **outside).stdout
    with (house / "constraints.txt").open("a") as constraints:
        constraints.write("another==1.0\n")
    assert "completing .venv" in run_all(folder=house, **outside).stdout
    assert len((house / "pip.log").read_text().splitlines()) >= 2
    for marker in (house / ".venv").glob(".*"):
        marker.unlink()
    (house / "no_uv").touch()
    assert "completing .venv" in run_all(folder=house, **outside).stdout
    by_pip = (house / "pip.log").read_text().splitlines()[-1]
    assert by_pip.startswith("-m pip install") and by_pip.endswith("-c constraints.txt -e .[all]")
    assert ".venv" not in run_all(folder=house, **outside).stdout


def test_an_old_python_is_refused_with_its_version(house, outside):
    for name in ("python3.13", "python3.12", "python3.11", "python3", "python"):
        executable(house.parent / "bin" / name, '#!/bin/bash\n[[ $2 == *print* ]] || exit 1\necho "; $3 is 3.9"\n')
    refused = run_all(folder=house, **outside)
    assert refused.returncode != 0 and not (house / ".venv").exists()
    assert "3.11" in refused.stderr and "python3 is 3.9" in refused.stderr


@pytest.mark.parametrize(
    ("apt", "installed"),
    [
        (None, False),
        ("exit 100", False),
        ('[[ $1 == update ]] || { touch "$BIN/chromium"; chmod +x "$BIN/chromium"; }', True),
    ],
)
def test_ci_installs_a_browser_or_says_loudly_that_it_cannot(tmp_path, apt, installed):
    """``.ci/run`` beside a run_all.sh that only says how it was called, on a machine without a browser."""
    for folder in ("clone/.ci", "bin"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(REPOSITORY / ".ci" / "run", tmp_path / "clone" / ".ci" / "run")
    executable(tmp_path / "clone" / "run_all.sh", '#!/bin/bash\necho "run_all.sh $*"\n')
    executable(tmp_path / "bin" / "id", "#!/bin/bash\necho 0\n")
    if apt:
        executable(tmp_path / "bin" / "apt-get", f"#!/bin/bash\n{apt}\n")
    for name in ("bash", "env", "dirname", "timeout", "touch", "chmod"):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name))
    environment = {"PATH": str(tmp_path / "bin"), "BIN": str(tmp_path / "bin")}
    script = [tmp_path / "clone" / ".ci" / "run", "-x"]
    ran = subprocess.run(script, env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == "run_all.sh --test -x"
    assert ("BROWSER TESTS ARE SKIPPED" in ran.stderr) == (not installed)

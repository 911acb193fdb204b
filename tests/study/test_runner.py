"""Notebooks and profiles written by hand: what fits together, and a notebook as a program beside papermill."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from study.runner import ProfileError, check, chosen, main, parameters, read_value

REPOSITORY = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("[0-9]*.ipynb"))
PROFILES = sorted((REPOSITORY / "notebooks" / "profiles").glob("*.yaml"))
PARAMETERS = 'profile = "interactive"\nresults_root = "../results"\nepochs = 8\nrate = 0.1\nseeds = [0]\nw = None\n'


@pytest.fixture
def book(tmp_path):
    """Writes a notebook: ``book("print(1)")`` has a cell with parameters and this one."""

    def write(*sources, parameters=PARAMETERS, tags=("parameters",), name="06_small.ipynb"):
        kinds = [source if isinstance(source, tuple) else ("code", source) for source in (parameters, *sources)]
        cells = [
            {"cell_type": kind, "metadata": {"tags": list(tags)} if not k else {}, "source": source}
            | ({"outputs": [], "execution_count": None} if kind == "code" else {})
            for k, (kind, source) in enumerate(kinds)
        ]
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        path = tmp_path / "notebooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": kernel, "cells": cells}))
        return path

    return write


@pytest.fixture
def profile(tmp_path):
    def write(text, name="small.yaml"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def program(*arguments, **environment):
    """The command line in a process of its own."""
    kept = {name: value for name, value in os.environ.items() if name not in ("MPLBACKEND", "RANK", "WORLD_SIZE")}
    kept["PYTHONPATH"] = f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'notebooks'}"
    command = [sys.executable, "-m", "study.runner", *map(str, arguments)]
    return subprocess.run(command, env=kept | environment, capture_output=True, text=True, cwd=REPOSITORY)


# --- parameters and profiles ----------------------------------------------------------------------


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_every_profile_fits_the_notebooks(path):
    assert set(check(path)) <= {notebook.name[:2] for notebook in NOTEBOOKS}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch: 3", "profile small.*'epoch'; the closest is 'epochs'"),
        ("rate: 1e-3", "rate = '1e-3' is of type str, but 06_small.ipynb has 0.1"),  # YAML reads this as text
        ("epochs: 3.5", "epochs = 3.5 is of type float"),
        ("seeds: 3", "seeds = 3 is of type int"),
        ('notebooks: ["09"]', "lists 09; there are 06, 07"),
        ("notebooks: [6]", "a list of numbers in quotes"),
        ("epochs: [3", "cannot be read"),
        ("- 3", "name: value"),
        (None, "No such file"),
        ('notebooks: ["07"]\nrate: 1\nseeds: [1, 2]\nw: pretrained\nother: true\n', None),
        ("# nothing", None),
    ],
)
def test_a_profile_that_does_not_fit_is_told_why(book, profile, tmp_path, text, message):
    folder = book().parent
    book(parameters='profile = "x"\nresults_root = "y"\nother = False', name="07_other.ipynb")
    path = tmp_path / "gone.yaml" if text is None else profile(text)
    if message is None:
        assert check(path, folder) == (["07"] if "07" in text else [])
    else:
        with pytest.raises(ProfileError, match=message):
            check(path, folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tags": ()}, "0 cells tagged"),
        ({"parameters": PARAMETERS + "twice = 2 * epochs"}, "06_small.*'name = literal'"),
        ({"parameters": PARAMETERS + "import os"}, "import os"),
        ({"parameters": PARAMETERS + "more = "}, "06_small.*'name = literal'"),
        ({"parameters": 'profile = "demo"'}, "no parameter results_root"),
    ],
)
def test_a_wrong_parameters_cell_is_named(book, changes, message):
    with pytest.raises(ProfileError, match=message):
        parameters(book(**changes))


@pytest.mark.parametrize("text", ["", "print(1)", "[]", "{}", '{"cells": [1]}', "\xff\xfe", None])
def test_what_is_no_notebook_is_named(tmp_path, text, capsys):
    path = tmp_path / "plain.py"
    if text is not None:
        path.write_text(text, encoding="latin-1")
    assert main(["run", str(path)]) == 1
    assert f"{path} {'cannot be read' if text is None else 'is not a notebook'}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("default", "texts"),
    [
        ("a", {"2024": "2024", "true": "true", "[0]": "[0]", "a: b": "a: b", "null": None, "None": None}),
        (8, {"3": 3, "-3": -3, "1_000": 1000, "abc": "abc"}),
        (0.1, {"1e-3": 0.001, "3": 3, "null": None}),
        ([0], {"[0, 1]": [0, 1], "[36, 4.8, a b]": [36, 4.8, "a b"], "[]": []}),
        ({}, {"{items: 60}": {"items": 60}}),
        (None, {"pretrained": "pretrained", "true": True, "None": None, "[1, 2]": [1, 2]}),
        (True, {"false": False, "True": True}),
    ],
)
def test_a_value_is_read_for_the_kind_of_its_parameter(default, texts):
    assert {text: read_value(text, default) for text in texts} == texts


def test_the_notebook_gives_way_to_the_profile_and_that_to_the_command(book, profile):
    path, small = book(), profile('notebooks: ["06"]\nepochs: 3\nrate: 0.5\nof_another: 1\n')
    assert chosen(path, None, {}) == {}
    assert chosen(path, small, {}) == {"profile": "small", "epochs": 3, "rate": 0.5}
    given = {"epochs": "2", "profile": "2024", "seeds": "[0, 1]"}
    assert chosen(path, small, given) == {"profile": "2024", "epochs": 2, "rate": 0.5, "seeds": [0, 1]}
    for wrong, message in ({"epoch": "3"}, "closest is 'epochs'"), ({"seeds": "0"}, "06_small.ipynb has"):
        with pytest.raises(ProfileError, match=message):
            chosen(path, small, wrong)


def test_the_check_prints_the_notebooks_that_a_profile_lists(profile):
    told = program("check", REPOSITORY / "notebooks" / "profiles" / "deepfashion.yaml")
    assert told.returncode == 0 and {"02", "04"} <= set(told.stdout.split()), told.stderr
    refused = program("check", profile("epoch: 3"))
    assert refused.returncode == 1 and "epoch" in refused.stderr and "Traceback" not in refused.stderr


# --- a notebook as a program ----------------------------------------------------------------------


def test_a_notebook_from_end_to_end(book, profile):
    path = book(
        ("markdown", "raise = 1"),
        "import os, pickle, sys, beside\nfrom matplotlib import pyplot as plt",
        "class Point:\n    x = 3\n\npickle.loads(pickle.dumps(Point())).x",
        "print(epochs, profile, os.path.basename(os.getcwd()), plt.get_backend().lower(), __name__)",
        "open_before = plt.get_fignums()\nplt.figure();",
        "print(open_before, plt.get_fignums())\nos.environ['FASHION_DATA']",
        "def ratio(a, b):\n    return a / b  # divides",
        "print('not so good', file=sys.stderr)\nratio(1, 0)",
        "print('never')",
    )
    (path.parent / "beside.py").write_text("value = 5")
    ran = program("run", path, "-f", profile("epochs: 3"), "-p", "epochs", "4", FASHION_DATA="my data")
    assert ran.returncode == 1
    data = repr(str(REPOSITORY / "my data"))
    assert ran.stdout.splitlines() == ["3", "4 small notebooks agg __main__", "[] []", data]
    assert "not so good\n" in ran.stderr and "ZeroDivisionError: division by zero" in ran.stderr
    assert "ratio(1, 0)" in ran.stderr and "return a / b  # divides" in ran.stderr and "runner.py" not in ran.stderr


def test_other_processes_print_nothing_but_errors_and_a_cell_may_end_the_program(book):
    path = book("print(epochs)", "epochs", "display(epochs)", "import sys\nopen('ran', 'w').close()\nsys.exit(3)")
    other = program("run", path, RANK="1", WORLD_SIZE="2")
    assert other.returncode == 3 and other.stdout == "" and (path.parent / "ran").exists()
    first = program("run", path, RANK="0", WORLD_SIZE="2")
    assert first.returncode == 3 and first.stdout.split() == ["8", "8", "8"]


@pytest.mark.notebook
def test_a_notebook_says_the_same_as_with_papermill(book, tmp_path):
    papermill = pytest.importorskip("papermill")
    path = book(
        "import os\nimport numpy as np\nimport pandas as pd\nrng = np.random.default_rng(seeds[0])",
        "print(profile, epochs, os.path.basename(os.getcwd()), __name__)\nseeds, rate, w",
        "table = pd.DataFrame({'x': rng.normal(size=3), 'y': ['a', None, 'c']})\ntable.to_csv('table.csv')\ntable",
        "table.mean(numeric_only=True);",
        "print('twice', end=' ')\ndisplay(rng.random())\n'the end'",
    )
    ours = program("run", path, "-p", "epochs", "3", "-p", "seeds", "[4, 5]", "-p", "rate", "null")
    assert ours.returncode == 0, ours.stderr
    csv, values = (path.parent / "table.csv").read_text(), {"epochs": 3, "seeds": [4, 5], "rate": None}
    executed = papermill.execute_notebook(
        path, tmp_path / "executed.ipynb", values, kernel_name="python3", cwd=path.parent, progress_bar=False
    )
    outputs = [output for cell in executed.cells for output in cell.get("outputs", [])]
    theirs = [o["text"] if o["output_type"] == "stream" else o["data"]["text/plain"] for o in outputs]
    assert ours.stdout.split() == " ".join(theirs).split() and (path.parent / "table.csv").read_text() == csv

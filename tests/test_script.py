"""Notebooks as programs: small ones written by hand, and one beside what papermill makes of it."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest

from fashionlib.__main__ import main
from study.runner import NotebookError, parameter_names, read_cells, read_value, run_notebook

matplotlib.use("Agg")
REPOSITORY = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("[0-9]*.ipynb"))
PARAMETERS = 'profile = "interactive"\nepochs = 8\nrate: float = 0.1\nseeds = [0]\n'


@pytest.fixture(autouse=True)
def surroundings(monkeypatch):
    """What the command sets in the environment ends with the test."""
    for name in ("FASHION_DATA", "RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MPLBACKEND", "Agg")


@pytest.fixture
def book(tmp_path):
    """Writes a notebook: ``book("print(1)")`` has a cell with parameters and this one."""
    folder = tmp_path / "notebooks"
    folder.mkdir()

    def write(*sources, parameters=PARAMETERS, tagged=(0,), name="06_small.ipynb"):
        kinds = [source if isinstance(source, tuple) else ("code", source) for source in sources]
        if parameters is not None:
            kinds.insert(0, ("code", parameters))
        cells = [
            {"cell_type": kind, "metadata": {"tags": ["parameters"]} if k in tagged else {}, "source": source}
            | ({"outputs": [], "execution_count": None} if kind == "code" else {})
            for k, (kind, source) in enumerate(kinds)
        ]
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        path = folder / name
        path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": kernel, "cells": cells}))
        return path

    return write


def profile(tmp_path, text, name="small.yaml"):
    path = tmp_path / name
    path.write_text(text)
    return path


# --- parameters -----------------------------------------------------------------------------------


def test_the_notebook_gives_way_to_the_profile_and_that_to_the_command(book, tmp_path, capsys):
    path = book("print(profile, epochs, rate, seeds)")
    yaml = profile(tmp_path, 'notebooks: ["06"]\nepochs: 3\nrate: 0.5\n')
    for arguments, printed in (
        ([], "interactive 8 0.1 [0]"),
        (["-f", yaml], "small 3 0.5 [0]"),
        (["-f", yaml, "-p", "epochs", "2", "-p", "seeds", "[0, 1]"], "small 2 0.5 [0, 1]"),
        (["-p", "epochs", "2", "-p", "epochs", "1"], "interactive 1 0.1 [0]"),
        (["-f", yaml, "-p", "profile", "mine"], "mine 3 0.5 [0]"),
        (["-f", profile(tmp_path, "profile: own", "other.yaml")], "own 8 0.1 [0]"),
        (["-f", profile(tmp_path, "# nothing", "empty.yaml")], "empty 8 0.1 [0]"),
    ):
        assert main(["run", *map(str, [path, *arguments])]) == 0
        assert capsys.readouterr() == (printed + "\n", "")


def test_values_are_set_after_the_whole_cell_of_parameters(book):
    names = run_notebook(book("later = epochs", parameters="epochs = 8\ntwice = 2 * epochs"), {"epochs": 3})
    assert (names["twice"], names["later"]) == (16, 3)  # as papermill, whose values are a cell of their own


@pytest.mark.parametrize(
    "text", "3 -3 0.1 1e-3 nan 1_000 True False None products ../data resnet18 36x48 0,1".split() + ["", "a: b", "# c"]
)
def test_plain_values_are_those_of_papermill(text):
    cli = pytest.importorskip("papermill.cli")
    assert repr(read_value(text)) == repr(cli._resolve_type(text))


def test_values_that_yaml_adds():
    texts = ["true", "false", "null", "[0, 1, 2]", "[36, 4.8, a b]", "[]", "{items: 60, views: 3}", "[[1], [true]]"]
    values = [True, False, None, [0, 1, 2], [36, 4.8, "a b"], [], {"items": 60, "views": 3}, [[1], [True]]]
    assert list(map(read_value, texts)) == values
    with pytest.raises(NotebookError, match=r"\[0, 1 is not YAML"):
        read_value("[0, 1")


def test_an_unknown_parameter_is_refused_with_the_closest(book, capsys):
    path = book("print('ran')")
    assert main(["run", str(path), "-p", "epoch", "3"]) == 1
    out, err = capsys.readouterr()
    assert out == "" and "06_small.ipynb has no parameter 'epoch'; the closest is 'epochs'" in err
    assert "profile, epochs, rate, seeds" in err and "Traceback" not in err


def test_a_profile_may_set_what_other_notebooks_know_and_no_more(book, tmp_path, capsys):
    path = book("batch_size = 7", "batch_size", parameters="epochs = 8")
    book(parameters="batch_size = 1", name="07_other.ipynb")
    (path.parent / "08_damaged.ipynb").write_text("{")
    assert main(["run", str(path), "-f", str(profile(tmp_path, "batch_size: 64"))]) == 0
    assert capsys.readouterr() == ("7\n", "")
    assert main(["run", str(path), "-f", str(profile(tmp_path, "batch_size: 64\nepoch: 3"))]) == 0
    out, err = capsys.readouterr()
    assert out == "7\n" and "no notebook" in err and "the parameter epoch of the profile" in err


@pytest.mark.parametrize(
    ("text", "message"), [("epochs: [3", "is not YAML"), ("- 3", "name: value"), (None, "No such file")]
)
def test_a_profile_that_cannot_be_read_is_named(book, tmp_path, capsys, text, message):
    path = tmp_path / "gone.yaml" if text is None else profile(tmp_path, text)
    assert main(["run", str(book("print('ran')")), "-f", str(path)]) == 1
    out, err = capsys.readouterr()
    assert out == "" and message in err and str(path) in err and "Traceback" not in err


def test_without_pyyaml_a_profile_says_what_to_install_and_plain_values_need_none(book, tmp_path, capsys, monkeypatch):
    path = book("print(epochs)")
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert main(["run", str(path), "-f", str(profile(tmp_path, "epochs: 3"))]) == 1
    assert "pip install fashionlib[notebooks]" in capsys.readouterr().err
    assert main(["run", str(path), "-p", "epochs", "3"]) == 0
    assert capsys.readouterr().out == "3\n"


# --- what is run ----------------------------------------------------------------------------------


def test_only_code_cells_run_in_order_in_one_namespace(book):
    path = book(
        ("markdown", "raise = 1"), "seen = [__name__]\n", "", ["seen.append(\n", "    epochs)"], ("raw", "%"), "f = 1"
    )
    assert run_notebook(path, {})["seen"] == ["__main__", 8]
    assert [cell.name for cell in read_cells(path)] == [f"06_small.ipynb, cell {k}" for k in (1, 2, 3, 4)]


def test_it_runs_in_its_own_folder_and_leaves_all_as_it_was(book, monkeypatch, tmp_path):
    path = book("import os, beside\nfolder = os.getcwd(), beside.value", "1 / 0")
    (path.parent / "beside.py").write_text("value = 5")
    monkeypatch.chdir(tmp_path)
    before = sys.modules["__main__"], sys.path.copy()
    with pytest.raises(ZeroDivisionError):
        run_notebook("notebooks/06_small.ipynb", {})
    assert (sys.modules["__main__"], sys.path) == before and Path.cwd() == tmp_path
    path = book("import os, beside\nfolder = os.getcwd(), beside.value")
    assert run_notebook("notebooks/06_small.ipynb", {})["folder"] == (str(path.parent), 5)


def test_classes_of_a_cell_can_be_pickled_and_inspected(book):
    path = book(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass Point:\n    x: int",
        "import inspect, pickle, typing\nagain = pickle.loads(pickle.dumps(Point(3)))",
        "def half(x: int):\n    return x / 2\nsource, hints = inspect.getsource(half), typing.get_type_hints(half)",
    )
    names = run_notebook(path, {})
    assert names["again"].x == 3 and names["hints"] == {"x": int}  # each cell has its own future statements
    assert names["source"] == "def half(x: int):\n    return x / 2\n"


@pytest.mark.parametrize("line", ["%matplotlib inline", "!ls", "%%time\nepochs", "  %time epochs", "files = !ls"])
def test_magics_are_refused_before_anything_is_run(book, capsys, line):
    assert main(["run", str(book("print('ran')", f"rate\n{line}" if "%%" not in line else line))]) == 1
    out, err = capsys.readouterr()
    assert out == "" and "06_small.ipynb, cell 3: a program has no magics" in err
    assert line.split("\n")[0].strip() in err


def test_a_percent_sign_in_python_is_no_magic(book, capsys):
    run_notebook(book('print("""\n%time\n!ls\n""", (17\n  % epochs))'), {})
    assert capsys.readouterr().out == "\n%time\n!ls\n 1\n"


@pytest.mark.parametrize(
    ("cells", "tagged", "message"),
    [((), (), "none has it"), (("a = 1", "b = 1"), (0, 2), "small.ipynb, cell 1; 06_small.ipynb, cell 3")],
)
def test_exactly_one_cell_is_tagged(book, cells, tagged, message):
    with pytest.raises(NotebookError, match=f"exactly one code cell takes the tag 'parameters' .*{message}"):
        run_notebook(book(*cells, tagged=tagged), {})


@pytest.mark.parametrize("text", ["", "print(1)", "[]", "{}", '{"worksheets": []}', '{"cells": [1]}', "\xff\xfe"])
def test_what_is_no_notebook_is_named(tmp_path, capsys, text):
    path = tmp_path / "plain.py"
    path.write_text(text, encoding="latin-1")
    assert main(["run", str(path)]) == 1
    err = capsys.readouterr().err
    assert f"{path} is not a notebook" in err and "Traceback" not in err


def test_a_notebook_that_is_not_there_is_named(tmp_path, capsys):
    for path in (tmp_path / "gone.ipynb", tmp_path):
        assert main(["run", str(path)]) == 1
        assert f"{path} cannot be read" in capsys.readouterr().err


def test_the_notebooks_of_this_repository_can_be_run_so():
    path = REPOSITORY / "notebooks" / "check_profile.py"
    spec = importlib.util.spec_from_file_location("check_profile", path)
    spec.loader.exec_module(check_profile := importlib.util.module_from_spec(spec))
    assert NOTEBOOKS
    for notebook in NOTEBOOKS:
        assert all(cell.compile() for cell in read_cells(notebook))
        assert parameter_names(notebook) == list(check_profile.parameters(notebook))


# --- what is shown --------------------------------------------------------------------------------


def test_the_last_expression_of_a_cell_is_shown(book, capsys):
    run_notebook(
        book("1\n2", "'text'", "3;", "4;  # quiet", "None", "x = 5", "(6)", "'größer', 7;", "display(8, 9)"), {}
    )
    assert capsys.readouterr().out.split("\n") == ["2", "'text'", "6", "8", "9", ""]


def test_tables_are_not_folded_and_a_style_shows_its_table(book, capsys):
    wide = "pd.DataFrame({f'a long name of column {k}': [k, k] for k in range(12)})"
    run_notebook(book("import pandas as pd", wide, f"{wide}.style.hide(axis='index')"), {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6 and lines[:3] == lines[3:] and "column 11" in lines[0]
    assert lines[1].split() == ["0", *map(str, range(12))]


def test_figures_are_not_printed_and_closed_after_their_cell(book, capsys):
    drawn = "import matplotlib.pyplot as plt\nopen_before = plt.get_fignums()\nplt.figure()"
    assert run_notebook(book(drawn, drawn), {})["open_before"] == []
    assert capsys.readouterr().out == ""


def test_a_failing_cell_is_named_with_its_source(book, capsys):
    path = book("def ratio(a, b):\n    return a / b  # divides", ("markdown", "Now:"), "print('so far')\nratio(1, 0)")
    assert main(["run", str(path)]) == 1
    out, err = capsys.readouterr()
    assert out == "so far\n"
    lines = [line.strip() for line in err.splitlines()]
    for line in (
        'File "06_small.ipynb, cell 3", line 2, in <module>',
        "ratio(1, 0)",
        'File "06_small.ipynb, cell 2", line 2, in ratio',
        "return a / b  # divides",
    ):
        assert line in lines
    assert lines[0].startswith("Traceback") and lines[-1] == "ZeroDivisionError: division by zero"
    assert "script.py" not in err


def test_a_cell_that_is_not_python_is_named_before_any_is_run(book, capsys):
    for source in ("epochs = = 3", "await epochs"):
        assert main(["run", str(book("print('ran')", source))]) == 1
        out, err = capsys.readouterr()
        assert out == "" and 'File "06_small.ipynb, cell 3", line 1' in err and source in err and "SyntaxError" in err
        assert "script.py" not in err


def test_a_cell_may_end_the_program(book, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["run", str(book("import sys\nsys.exit(3)", "print('ran')"))])
    assert ended.value.code == 3 and capsys.readouterr().out == ""
    assert main(["run", str(book("raise KeyboardInterrupt"))]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_other_processes_print_nothing_but_errors(book, capsys, monkeypatch, tmp_path):
    path = book("print(epochs)", "epochs", "display(epochs)", "open('ran', 'w').close()\n1 / 0")
    yaml = profile(tmp_path, "epochs: 3\nepoch: 3")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert main(["run", str(path), "-f", str(yaml)]) == 1
    out, err = capsys.readouterr()
    assert out == "" and "ZeroDivisionError" in err and "no notebook" not in err
    assert (path.parent / "ran").exists()
    monkeypatch.setenv("RANK", "0")
    assert main(["run", str(path), "-f", str(yaml)]) == 1
    assert capsys.readouterr().out == "3\n3\n3\n"


# --- from end to end ------------------------------------------------------------------------------


def test_the_command_from_end_to_end(book, tmp_path):
    book(
        "import os, sys\nfrom matplotlib import pyplot as plt",
        "print(epochs, profile, os.path.basename(os.getcwd()), plt.get_backend().lower())",
        "os.environ['FASHION_DATA']",
        "print('not so good', file=sys.stderr)\nraise ValueError('too dark')",
    )
    profile(tmp_path, "epochs: 3\nrate: 0.5\n")
    command = "run notebooks/06_small.ipynb -f small.yaml -p epochs 4 -p rate -1".split()
    inherited = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    environment = {"PYTHONPATH": str(REPOSITORY), "FASHION_DATA": "my data"}
    ran = subprocess.run(
        [sys.executable, "-m", "fashionlib", *command],
        cwd=tmp_path,
        env=inherited | environment,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 1
    assert ran.stdout.splitlines() == ["4 small notebooks agg", repr(str(tmp_path / "my data"))]
    lines = ran.stderr.splitlines()
    assert lines[0] == "not so good" and lines[-1] == "ValueError: too dark"
    assert '  File "06_small.ipynb, cell 5", line 2, in <module>' in lines


@pytest.mark.notebook
def test_a_notebook_says_the_same_as_with_papermill(book, tmp_path, capsys):
    papermill = pytest.importorskip("papermill")
    path = book(
        "import os\nimport numpy as np\nimport pandas as pd\nrng = np.random.default_rng(seeds[0])",
        ("markdown", "# A heading"),
        "print(profile, epochs, os.path.basename(os.getcwd()), __name__)\nseeds, rate, options",
        "table = pd.DataFrame({'x': rng.normal(size=3), 'y': ['a', None, 'c']})\ntable.to_csv('table.csv')\ntable",
        "table['x'].describe()",
        "table.mean(numeric_only=True);",
        "def f(x):\n    return {'x': x, 'text': 'größer'}\n\nf(epochs)",
        "print('twice', end=' ')\ndisplay(rng.random())\n'the end'",
        parameters=PARAMETERS + "options = {}\n",
    )
    values = {"epochs": 3, "seeds": [4, 5], "options": {"items": 60}, "rate": None}
    run_notebook(path, values)
    ours, csv = capsys.readouterr().out, (path.parent / "table.csv").read_text()
    executed = papermill.execute_notebook(
        path, tmp_path / "executed.ipynb", values, kernel_name="python3", cwd=path.parent, progress_bar=False
    )
    theirs = ""
    for output in [output for cell in executed.cells for output in cell.get("outputs", [])]:
        theirs += output["text"] if output["output_type"] == "stream" else output["data"]["text/plain"] + "\n"
    assert ours == theirs and (path.parent / "table.csv").read_text() == csv

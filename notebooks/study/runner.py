"""Notebooks and their parameters: check profiles, and run a notebook as a plain program (for torchrun).

PYTHONPATH=notebooks python -m study.runner check notebooks/profiles/demo.yaml
... run notebooks/06_staged_multitask.ipynb -f notebooks/profiles/products.yaml -p profile trial -p seeds '[0]'"""

import argparse
import ast
import difflib
import io
import json
import os
import re
import sys
from collections.abc import Mapping
from contextlib import ExitStack, redirect_stdout
from pathlib import Path

import yaml

FOLDER = Path(__file__).resolve().parent.parent
GIVEN = ("profile", "results_root")  # what every notebook has
LIST = "notebooks"  # in a profile: the numbers of the notebooks that it is for; without, it is for all


class ProfileError(ValueError):
    """Notebooks, a profile and given values do not fit together; the message says where and what to do."""


def read_cells(notebook: Path) -> list[tuple[str, bool]]:
    """The code cells of a notebook that have any code: source, and whether it is the one tagged ``parameters``."""
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        code = [cell for cell in cells if cell["cell_type"] == "code"]
        found = [("".join(c["source"]), "parameters" in c.get("metadata", {}).get("tags", ())) for c in code]
    except OSError as error:
        raise ProfileError(f"{notebook} cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ProfileError(f"{notebook} is not a notebook of format 4 ({type(error).__name__}: {error})") from None
    if (tagged := sum(is_tagged for _, is_tagged in found)) != 1:
        raise ProfileError(f"{notebook.name}: {tagged} cells tagged 'parameters'; it takes exactly one")
    return [cell for cell in found if cell[0].strip() or cell[1]]


def parameters(notebook: Path) -> dict[str, object]:
    """Names and default values of a notebook's parameters. Raises ``ProfileError`` where their cell holds anything but
    assignments of literals to names, or lacks what every notebook has."""
    (source,) = [source for source, tagged in read_cells(notebook) if tagged]
    found = {}
    try:
        for statement in ast.parse(source).body:
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    found[name] = ast.literal_eval(value)
                case _:
                    raise ValueError(ast.unparse(statement))
    except (SyntaxError, ValueError) as error:
        text = f"{notebook.name}: parameters are lines 'name = literal'"
        raise ProfileError(f"{text}, which this is not: {error}") from None
    if missing := [name for name in GIVEN if name not in found]:
        raise ProfileError(f"{notebook.name}: no parameter {', '.join(missing)}, which every notebook has")
    return found


def read_profile(path: Path) -> tuple[dict[str, object], list[str]]:
    """The values that a profile sets, and the numbers of the notebooks that it is for (none: all)."""
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ProfileError(f"profile {path} cannot be read: {error}") from None
    if not isinstance(settings, dict):
        raise ProfileError(f"profile {path} does not consist of 'name: value' lines")
    numbers = settings.pop(LIST, [])
    if not isinstance(numbers, list) or not all(isinstance(number, str) for number in numbers):
        raise ProfileError(f'profile {path}: {LIST} is a list of numbers in quotes, such as ["02"], not {numbers!r}')
    return settings, numbers


def check(profile: Path, folder: Path = FOLDER) -> list[str]:
    """The numbers of the notebooks that a profile lists. Raises ``ProfileError`` where it sets a name that none of its
    notebooks knows, gives a parameter another type than its default has, or lists a notebook that is not there."""
    settings, numbers = read_profile(profile)
    notebooks = {path.name.split("_")[0]: path for path in sorted(folder.glob("[0-9]*.ipynb"))}
    if strange := [number for number in numbers if number not in notebooks]:
        raise ProfileError(f"profile {profile.stem} lists {', '.join(strange)}; there are {', '.join(notebooks)}")
    defaults = {path.name: parameters(path) for path in notebooks.values()}
    for name, value in settings.items():
        having = {notebook: known[name] for notebook, known in defaults.items() if name in known}
        if not having:
            names = sorted({name for known in defaults.values() for name in known})
            raise ProfileError(f"profile {profile.stem}: no notebook has a parameter {_unknown(name, names)}")
        for notebook, default in having.items():
            _check_kind(name, value, default, f"profile {profile.stem}", notebook)
    return numbers


def _unknown(name: str, names) -> str:
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0)
    return f"{str(name)!r}" + "".join(f"; the closest is {n!r}" for n in near)


def _check_kind(name: str, value: object, default: object, where: str, notebook: str) -> None:
    """YAML reads 1e-3 as text, and 1.0e-3 as a number."""
    same = type(value) is type(default) or (isinstance(default, float) and type(value) is int)
    if not (same or value is None or default is None or (isinstance(default, tuple) and isinstance(value, list))):
        kind = type(value).__name__
        raise ProfileError(f"{where}: {name} = {value!r} is of type {kind}, but {notebook} has {default!r}")


def read_value(text: str, default: object) -> object:
    """A value from the command line for a parameter of this default: text stays text (``2024`` as a profile's name);
    else a number, true, false, null, ``[0, 1]`` or ``{items: 60}``. ``null`` is None for all."""
    if text in ("null", "None"):
        return None
    if isinstance(default, str):
        return text
    try:
        is_power = re.fullmatch(r"[-+]?\d+\.?\d*[eE][-+]?\d+", text)  # 1e-3, which is text to YAML
        return float(text) if is_power else yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ProfileError(f"{text} is not YAML: {error}") from None


def chosen(notebook: Path, profile: Path | None, given: Mapping[str, str]) -> dict[str, object]:
    """What replaces the values of a notebook's parameters: those of the profile, and before them the given texts. A
    profile serves many notebooks: of its names those that this one has are taken, and ``profile`` is its file's stem.
    Raises ``ProfileError`` for a given name that the notebook does not have, and for a value of another kind."""
    known, values = parameters(notebook), {}
    if profile is not None:
        settings = {"profile": profile.stem, **read_profile(profile)[0]}
        values = {name: value for name, value in settings.items() if name in known}
        if notebook.absolute().parent == FOLDER:
            check(profile)
    for name, text in given.items():
        if name not in known:
            raise ProfileError(f"{notebook.name} has no parameter {_unknown(name, known)}")
        values[name] = read_value(text, known[name])
        _check_kind(name, values[name], known[name], "the command", notebook.name)
    return values


def run(cells: list[tuple[str, bool]], folder: Path, values: Mapping[str, object]) -> dict[str, object]:
    """Run the code cells of a notebook in order in this process, as Jupyter would, in its folder, with some of its
    parameters replaced; returns its names and their values.

    What a cell shows is printed as text, figures are closed after their cell; of several processes only the main one
    prints. Raises what a cell raises, after its traceback was printed to stderr."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    from fashionlib.machine.processes import is_main_process  # loads torch, which no profile needs

    quiet = {"HistoryManager": {"enabled": False}, "InteractiveShell": {"colors": "nocolor"}}
    shell = InteractiveShell.instance(config=Config(quiet))
    shell.displayhook.write_output_prompt = lambda: None
    shell._showtraceback = lambda kind, error, lines: print(*lines, sep="\n", file=sys.stderr)
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    with ExitStack() as stack:
        if not is_main_process():
            stack.enter_context(redirect_stdout(io.StringIO()))
        for source, tagged in cells:
            shell.run_cell(source, store_history=True).raise_error()
            if tagged:
                shell.push(dict(values))
            if plots := sys.modules.get("matplotlib.pyplot"):
                plots.close("all")
            sys.stdout.flush()  # a log keeps its order, whatever is written to stderr
    return shell.user_ns


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m study.runner", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("check", help="does a profile fit the notebooks? prints the numbers that it lists")
    command.add_argument("profile", type=Path)
    command = commands.add_parser("run", help="run a notebook as a plain program")
    command.add_argument("notebook", type=Path)
    command.add_argument("-f", dest="profile", type=Path, metavar="PROFILE.yaml", help="parameters of many notebooks")
    pair = {"nargs": 2, "action": "append", "default": [], "metavar": ("NAME", "VALUE")}
    command.add_argument("-p", dest="given", **pair, help="one parameter; may be repeated")
    command.add_argument("--show", action="store_true", help="run nothing, print what would be replaced, as YAML")
    options = parser.parse_args(arguments)
    os.environ.setdefault("MPLBACKEND", "Agg")  # nobody looks at a window
    os.environ.setdefault("COLUMNS", "160")  # for tables
    if data := os.environ.get("FASHION_DATA"):
        os.environ["FASHION_DATA"] = os.path.abspath(data)  # the notebook runs in its own folder
    try:
        if options.command == "check":
            print(" ".join(check(options.profile)))
            return 0
        values = chosen(options.notebook, options.profile, dict(options.given))
        if options.show:
            print(yaml.safe_dump(values, sort_keys=False), end="")
        else:
            run(read_cells(options.notebook), options.notebook.absolute().parent, values)
    except Exception as error:  # of a notebook, its traceback was printed
        why = error if isinstance(error, ProfileError) else f"{options.notebook.name} failed: {type(error).__name__}"
        print(f"study.runner: {why}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

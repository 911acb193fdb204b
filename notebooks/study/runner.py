"""A notebook as a plain program: ``python -m fashionlib run``. It takes neither Jupyter nor papermill."""

from __future__ import annotations

import ast
import difflib
import io
import json
import linecache
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import CodeType, ModuleType, TracebackType
from typing import NamedTuple

from fashionlib.machine.processes import is_main_process

TAG = "parameters"  # of the one cell whose values may be replaced
LIST = "notebooks"  # in a profile: the numbers of the notebooks that it is for, not a parameter
MAGIC = re.compile(r"\s*([\w, ]+=\s*)?[%!]")
WORDS = {"True": True, "true": True, "False": False, "false": False, "None": None, "null": None}


class NotebookError(ValueError):
    """A notebook cannot be run as it is, or not with these parameters; the message says where and what to do."""


class Cell(NamedTuple):
    """The source of a code cell, and its name in a traceback, ``06_staged_multitask.ipynb, cell 7``: the number is
    that which JupyterLab shows beside the cell once all of them have been run."""

    name: str
    source: str
    tagged: bool

    def compile(self) -> tuple[CodeType, CodeType | None]:
        """What runs, and the last expression, whose value is shown unless a semicolon follows it."""
        lines = io.StringIO(self.source, newline=None).readlines()
        linecache.cache[self.name] = (len(self.source), None, lines, self.name)  # no time: it is on no disk
        try:
            body, last = ast.parse(self.source, self.name).body, None
            if body and isinstance(body[-1], ast.Expr):
                rest = lines[body[-1].end_lineno - 1].encode()[body[-1].end_col_offset :]
                if not rest.lstrip().startswith(b";"):
                    last = compile(ast.Expression(body.pop().value), self.name, "eval", dont_inherit=True)
            return compile(ast.Module(body, []), self.name, "exec", dont_inherit=True), last
        except SyntaxError as error:
            wrong = lines[min(error.lineno or 1, len(lines)) - 1]
            for line in (lines[0], wrong):
                if MAGIC.match(line):
                    text = f"{self.name}: a program has no magics or shell commands, such as {line.strip()!r}"
                    raise NotebookError(f"{text}; write it in Python") from None
            error.text = error.text or wrong  # the compiler of a tree does not know its source
            raise


def run_notebook(path: str | Path, parameters: Mapping[str, object], profile: str | Path | None = None) -> dict:
    """Run the code cells of a notebook in order, as one program, and return its names and their values.

    What its cell tagged ``parameters`` sets gives way to the ``profile`` (a YAML file), and that to ``parameters``, as
    in papermill. A profile serves many notebooks: of its names those that this one has are taken, and ``profile``
    itself is the file's stem unless it is given. While the notebook runs, the current folder is its own and
    ``__name__`` is ``"__main__"``. The last expression of a cell is printed; figures are closed after each cell. Of
    several processes only the main one prints.

    Raises ``NotebookError`` or ``SyntaxError`` before the first cell is run, and then what a cell raises.
    """
    path = Path(path)
    cells = read_cells(path)
    codes = [cell.compile() for cell in cells]
    values = chosen_parameters(path, parameters, read_profile(profile) if profile else {})
    with _as_a_program(path.absolute().parent) as names:
        names["display"] = show
        for cell, (body, last) in zip(cells, codes, strict=True):
            exec(body, names)
            if last is not None:
                show(eval(last, names))
            if cell.tagged:
                names |= values
            if plots := sys.modules.get("matplotlib.pyplot"):
                plots.close("all")
            sys.stdout.flush()  # a log keeps its order, whatever is written to stderr
    return names


def read_cells(path: Path) -> list[Cell]:
    """The code cells of a notebook; empty ones are left out, as Jupyter does. One of them is tagged."""
    try:
        found = [
            ("".join(cell["source"]), TAG in cell.get("metadata", {}).get("tags", []))
            for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
            if cell["cell_type"] == "code"
        ]
    except OSError as error:
        raise NotebookError(f"{path} cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotebookError(f"{path} is not a notebook of format 4 ({type(error).__name__}: {error})") from None
    filled = [(source, tagged) for source, tagged in found if source.strip() or tagged]
    cells = [Cell(f"{path.name}, cell {k}", *cell) for k, cell in enumerate(filled, start=1)]
    tagged = [cell.name for cell in cells if cell.tagged]
    if len(tagged) != 1:
        there = "; ".join(tagged) or "none has it"
        raise NotebookError(f"{path.name}: exactly one code cell takes the tag '{TAG}' ({there})")
    return cells


def parameter_names(path: Path) -> list[str]:
    """The names that the tagged cell of a notebook gives a value to."""
    (source,) = [cell.source for cell in read_cells(path) if cell.tagged]
    nodes = [node for statement in ast.parse(source).body for node in ast.walk(statement)]
    return [node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]


def read_profile(path: str | Path) -> dict[str, object]:
    """The parameters of a profile, and ``profile``, its stem, if it does not say otherwise."""
    path = Path(path)
    try:
        settings = _yaml(path.read_text(encoding="utf-8"), f"profile {path}") or {}
    except (OSError, UnicodeDecodeError) as error:
        raise NotebookError(f"profile {path} cannot be read: {error}") from None
    if not isinstance(settings, dict):
        raise NotebookError(f"profile {path} does not consist of 'name: value' lines")
    return {name: value for name, value in {"profile": path.stem, **settings}.items() if name != LIST}


def read_value(text: str) -> object:
    """A value from the command line, as papermill's ``-p`` reads it (a number, True, False, None, or else the text),
    and what YAML adds to that: true, false, null, ``[0, 1]`` and ``{items: 60}``."""
    if text in WORDS:
        return WORDS[text]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return _yaml(text, text) if text.startswith(("[", "{")) else text


def chosen_parameters(path: Path, given: Mapping[str, object], profile: Mapping[str, object]) -> dict[str, object]:
    """What replaces the values of a notebook's parameters. A given name that it does not have is an error. One of the
    profile belongs to another notebook; if there is none in the same folder, stderr says so, as papermill does."""
    known = parameter_names(path)
    for name in given:
        if name not in known:
            near = "".join(f"; the closest is '{n}'" for n in difflib.get_close_matches(name, known, n=1, cutoff=0))
            raise NotebookError(f"{path.name} has no parameter '{name}'{near}. It has: {', '.join(known) or 'none'}")
    foreign = [name for name in profile if name not in known and name != "profile"]
    if foreign and is_main_process():
        elsewhere = _names_of_all(path.parent)
        if unknown := [str(name) for name in foreign if name not in elsewhere]:
            where = f"no notebook in {path.absolute().parent} has the parameter"
            print(f"fashionlib run: {where} {', '.join(unknown)} of the profile", file=sys.stderr)
    return {name: value for name, value in profile.items() if name in known} | dict(given)


def show(*values: object) -> None:
    """Print values as a notebook shows them, in plain text: a table is not folded, None and figures are left out."""
    for value in values:
        if _is_a(value, "pandas.io.formats.style", "Styler"):
            value = value.data  # for as text, a Styler says nothing
        if value is None or _is_a(value, "matplotlib.figure", "Figure"):
            continue
        if pandas := sys.modules.get("pandas"):
            with pandas.option_context("display.expand_frame_repr", False, "display.max_columns", 20):
                print(repr(value))
        else:
            print(repr(value))


def cell_traceback(error: BaseException) -> TracebackType | None:
    """The traceback of an error from the cell on, for nobody looks for it in ``run_notebook``; None for a cell that is
    not Python, which no frame belongs to."""
    traceback = error.__traceback__
    while traceback is not None and ", cell " not in traceback.tb_frame.f_code.co_filename:
        traceback = traceback.tb_next
    return traceback if traceback is not None or isinstance(error, SyntaxError) else error.__traceback__


@contextmanager
def _as_a_program(folder: Path) -> Iterator[dict]:
    """The names of a new module ``__main__`` (pickle and dataclasses look there for what a cell defines) whose folder
    is the current one and the first to import from. Afterwards all is as before."""
    main, folder_before, path_before = sys.modules["__main__"], os.getcwd(), sys.path.copy()
    sys.modules["__main__"] = program = ModuleType("__main__")
    sys.path.insert(0, str(folder))
    os.chdir(folder)
    try:
        if is_main_process():
            yield vars(program)
        else:
            with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
                yield vars(program)
    finally:
        os.chdir(folder_before)
        sys.modules["__main__"], sys.path[:] = main, path_before


def _names_of_all(folder: Path) -> set[str]:
    names = set()
    for path in folder.glob("*.ipynb"):
        try:
            names.update(parameter_names(path))
        except (NotebookError, SyntaxError):
            continue  # it is not this notebook that is run
    return names


def _is_a(value: object, module: str, name: str) -> bool:
    """Is it of a class that may not even be imported?"""
    return module in sys.modules and isinstance(value, getattr(sys.modules[module], name))


def _yaml(text: str, what: str) -> object:
    try:
        import yaml
    except ImportError:
        needs = "needs PyYAML: run `pip install fashionlib[notebooks]`, or `pip install pyyaml`"
        raise NotebookError(f"reading {what} {needs}") from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise NotebookError(f"{what} is not YAML: {error}") from None

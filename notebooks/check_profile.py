"""Are all names that a profile sets parameters of some notebook? Papermill itself only warns.

python notebooks/check_profile.py notebooks/profiles/demo.yaml

prints the numbers of the notebooks that the profile lists, if it does.
"""

from __future__ import annotations

import ast
import difflib
import json
import sys
from pathlib import Path

import yaml

FOLDER = Path(__file__).resolve().parent
GIVEN = ("profile", "data_root", "results_root")  # run_all.sh sets these in every notebook
LIST = "notebooks"  # a profile may list the numbers of the notebooks it is for; without, it is for all


class ProfileError(ValueError):
    """A profile and the notebooks do not fit together; the message says where and what to do."""


def parameters(notebook: Path) -> dict[str, object]:
    """Names and default values of a notebook's one cell tagged ``parameters``.

    Raises ``ProfileError`` where there is no such cell, more than one, or one that holds anything but
    assignments of literals to names.
    """
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    except (ValueError, KeyError, TypeError) as error:
        raise ProfileError(f"{notebook.name}: not a notebook ({error!r})") from error
    tagged = [cell for cell in cells if "parameters" in cell.get("metadata", {}).get("tags", [])]
    if len(tagged) != 1:
        raise ProfileError(f"{notebook.name}: {len(tagged)} cells tagged 'parameters'; it takes exactly one")
    found = {}
    try:
        statements = ast.parse("".join(tagged[0]["source"])).body
    except SyntaxError as error:
        raise ProfileError(f"{notebook.name}: its parameters cell is not Python: {error}") from error
    for statement in statements:
        line = ast.unparse(statement)
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                pass
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                pass
            case _:
                raise ProfileError(f"{notebook.name}: parameters are lines 'name = literal', not {line}")
        try:
            found[name] = ast.literal_eval(value)
        except (ValueError, TypeError):
            raise ProfileError(f"{notebook.name}: parameter {name} is not a literal: {line}") from None
    return found


def known_parameters(folder: Path = FOLDER) -> dict[str, dict[str, object]]:
    """Parameters of every numbered notebook in ``folder``, by file name."""
    known = {path.name: parameters(path) for path in sorted(folder.glob("[0-9]*.ipynb"))}
    if not known:
        raise ProfileError(f"there are no notebooks in {folder}")
    for notebook, names in known.items():
        missing = [name for name in GIVEN if name not in names]
        if missing:
            raise ProfileError(f"{notebook}: no parameter {', '.join(missing)}, which run_all.sh sets")
    return known


def read_profile(path: Path) -> dict[str, object]:
    """The settings of a profile; an empty file is a profile that keeps every default."""
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ProfileError(f"profile {path.stem}: {path} cannot be read: {error}") from error
    if settings is None:
        return {}
    if not isinstance(settings, dict):
        raise ProfileError(f"profile {path.stem}: {path} does not consist of 'name: value' lines")
    return settings


def check(profile: Path, folder: Path = FOLDER) -> None:
    """Raise ``ProfileError`` where ``profile`` sets a name that no notebook in ``folder`` knows, or gives a
    parameter another type than its default has (YAML reads 1e-3 as text and 1.0e-3 as a number)."""
    known = known_parameters(folder)
    names = sorted({name for notebook in known.values() for name in notebook})
    settings = read_profile(profile)
    numbers = [notebook.split("_")[0] for notebook in known]
    for number in listed(settings):
        if number not in numbers:
            raise ProfileError(f"profile {profile.stem}: {LIST} names {number!r}; there are {', '.join(numbers)}")
    for name, value in settings.items():
        if name == LIST:
            continue
        if name not in names:
            near = difflib.get_close_matches(str(name), names, n=1, cutoff=0)[0]
            raise ProfileError(
                f"profile {profile.stem}: no notebook has a parameter '{name}'; the nearest is '{near}'"
            )
        for notebook, defaults in known.items():
            if name in defaults and not _same_kind(defaults[name], value):
                raise ProfileError(
                    f"profile {profile.stem}: {name} = {value!r} is of type {type(value).__name__}, "
                    f"but {notebook} has {defaults[name]!r}"
                )


def listed(settings: dict[str, object]) -> list[str]:
    """The numbers of the notebooks that a profile is for; empty means all."""
    numbers = settings.get(LIST, [])
    if not isinstance(numbers, list) or not all(isinstance(number, str) for number in numbers):
        raise ProfileError(f'{LIST} is {numbers!r}; it is a list of numbers in quotes, such as ["02", "04"]')
    return numbers


def _same_kind(default: object, value: object) -> bool:
    if default is None or value is None:
        return True
    if isinstance(default, float):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if isinstance(default, (list, tuple)):
        return isinstance(value, list)
    return type(default) is type(value)


def main(arguments: list[str]) -> int:
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        for argument in arguments:
            check(Path(argument))
            print(" ".join(listed(read_profile(Path(argument)))))
    except ProfileError as error:
        print(f"check_profile.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

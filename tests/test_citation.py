"""CITATION.cff is valid, and ``python -m fashionlib cite`` says the same."""

import copy
import datetime
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import jsonschema
import pytest
import yaml

import fashionlib

REPOSITORY = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SCHEMA = json.loads((Path(__file__).parent / "schemas" / "cff-1.2.0.json").read_text(encoding="utf-8"))
CITATION = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))


def problems(citation: dict) -> list[str]:
    """What the schema of the format, and we ourselves, object to."""
    checker = jsonschema.Draft7Validator(SCHEMA, format_checker=jsonschema.Draft7Validator.FORMAT_CHECKER)
    found = [f"schema: {'/'.join(map(str, error.path))}: {error.message}" for error in checker.iter_errors(citation)]
    for work in [citation, *citation.get("references", [])]:
        who = f"{work.get('title')}: authors"
        named = [a.get("name") or a.get("family-names") and a.get("given-names") for a in work.get("authors", [])]
        if not named or not all(name and name.strip() for name in named):
            found.append(f"{who}: empty, or one without a name")
    if not citation["version"] == PROJECT["version"] == fashionlib.__version__:
        found.append(f"version: {citation['version']} is not the package's")
    if citation["license"] != PROJECT["license"]:
        found.append(f"license: {citation['license']} is not pyproject.toml's")
    date = citation.get("date-released")
    if not date or datetime.date.fromisoformat(date) > datetime.date.today():
        found.append(f"date-released: {date} is missing or in the future")
    return found


def test_the_citation_file_is_valid():
    assert problems(CITATION) == []


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("authors", [], "schema: authors"),
        ("authors", [{"name": " "}], "authors: empty"),
        ("authors", [{"family-names": "Doe"}], "authors: empty"),
        ("references", [{"type": "thesis", "title": "T", "authors": [{"alias": "x"}]}], "T: authors"),
        ("references", [{"type": "song of praise", "title": "T", "authors": [{"name": "A"}]}], "schema: references/0"),
        ("version", "9.9.9", "version: 9.9.9"),
        ("license", "Apache-2.0", "license: Apache-2.0"),
        ("license", "My own", "schema: license"),
        ("date-released", None, "date-released: None"),
        ("date-released", "2999-01-01", "date-released: 2999"),
        ("title", "", "schema: title"),
        ("authros", ["A"], "'authros' was unexpected"),
    ],
)
def test_each_fault_of_a_citation_file_is_seen(field, value, named):
    wrong = copy.deepcopy(CITATION) | {field: value}
    assert any(named in problem for problem in problems(wrong)), problems(wrong)


def test_the_citation_file_names_this_software_and_what_it_builds_on():
    assert [author["name"] for author in CITATION["authors"]] == ["The fashionlib contributors"]
    works = {work["authors"][0]["family-names"]: work for work in CITATION["references"]}
    assert works["Zuroshvili"]["type"] == "thesis" and works["Zuroshvili"]["year"] == 2025
    assert works["Zuroshvili"]["institution"]["name"] == "Central European University"
    assert works["Liu"]["title"].startswith("DeepFashion") and works["Liu"]["year"] == 2016
    assert works["Aggarwal"]["type"] == "data" and "fashion-product-images-small" in works["Aggarwal"]["url"]


# --- BibTeX ---------------------------------------------------------------------------------------


def parse_bibtex(text: str) -> dict[str, dict[str, str]]:
    """Entries by key: their kind as ``kind``, and their fields as a style would print them, without inner braces."""
    entries = {}
    while match := re.match(r"\s*@(\w+)\s*\{\s*([\w:-]+)\s*,", text):
        kind, key = match.groups()
        fields, text = {"kind": kind}, text[match.end() :]
        while match := re.match(r"\s*([\w-]+)\s*=\s*\{", text):
            start, depth, end = match.end(), 1, match.end()
            while depth:
                depth += {"{": 1, "}": -1}.get(text[end], 0)
                end += 1
            assert match[1] not in fields, f"{key}: {match[1]} twice"
            fields[match[1]] = text[start : end - 1]
            text = re.sub(r"^\s*,", "", text[end:])
        closed = re.match(r"\s*\}", text)
        assert closed and key not in entries, f"{key} is not closed, or there twice: {text[:40]!r}"
        entries[key], text = fields, text[closed.end() :]
    assert not text.strip(), f"not BibTeX: {text[:60]!r}"
    return entries


def people(authors: list[dict]) -> str:
    """Authors as BibTeX takes them; braces keep an organisation's name in one piece."""
    named = [f"{{{a['name']}}}" if "name" in a else f"{a['family-names']}, {a['given-names']}" for a in authors]
    return " and ".join(named)


@pytest.fixture(scope="module")
def cited() -> dict[str, dict[str, str]]:
    ran = subprocess.run([sys.executable, "-m", "fashionlib", "cite"], capture_output=True, text=True, cwd=REPOSITORY)
    assert ran.returncode == 0, ran.stderr
    return parse_bibtex(ran.stdout)


def test_the_command_cites_software_thesis_and_datasets(cited):
    assert [entry["kind"] for entry in cited.values()] == ["software", "mastersthesis", "inproceedings", "misc"]
    for key, entry in cited.items():
        assert entry["title"].startswith("{") and entry["title"].endswith("}"), f"{key}: a style may lower the title"
        assert {"author", "title", "year"} <= set(entry) and all(entry.values())


def test_the_command_and_the_file_agree(cited):
    software = cited["fashionlib"]
    assert software["author"] == people(CITATION["authors"])
    assert software["title"] == f"{{{CITATION['title']}}}"
    assert (software["version"], software["license"]) == (CITATION["version"], CITATION["license"])
    assert software["year"] == CITATION["date-released"][:4]
    assert len(cited) == 1 + len(CITATION["references"])
    for reference in CITATION["references"]:
        (entry,) = (entry for entry in cited.values() if entry["title"] == f"{{{reference['title']}}}")
        assert entry["author"] == people(reference["authors"])
        assert entry["year"] == str(reference["year"])
        pages = f"{reference['start']}--{reference['end']}" if "start" in reference else None
        assert (entry.get("doi"), entry.get("url"), entry.get("note"), entry.get("pages")) == (
            *(reference.get(name) for name in ("doi", "url", "notes")),
            pages,
        )
        assert entry.get("booktitle") == reference.get("conference", {}).get("name")
        assert entry.get("school") == reference.get("institution", {}).get("name")


@pytest.mark.parametrize(
    "text", ["@misc{a, title = {x}", "@misc{a, title = {x}}}", "@misc{a, t = {x}, t = {y}}", "misc"]
)
def test_the_parser_here_is_strict(text):
    with pytest.raises(AssertionError):
        parse_bibtex(text)

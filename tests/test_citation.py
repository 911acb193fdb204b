"""CITATION.cff is valid, and ``python -m fashionlib cite`` says the same."""

import json
import re
import tomllib
from pathlib import Path

import jsonschema
import pytest
import yaml

import fashionlib
from fashionlib.__main__ import main

REPOSITORY = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SCHEMA = json.loads((Path(__file__).parent / "schemas" / "cff-1.2.0.json").read_text(encoding="utf-8"))
CITATION = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))


def people(authors: list[dict]) -> str:
    """Authors as BibTeX takes them; braces keep an organisation's name in one piece."""
    named = [f"{{{a['name']}}}" if "name" in a else f"{a['family-names']}, {a['given-names']}" for a in authors]
    return " and ".join(named)


@pytest.fixture
def cited(capsys) -> dict[str, dict[str, str]]:
    """The entries that the command prints, by their title."""
    assert main(["cite"]) == 0
    entries = re.findall(r"@(\w+)\{\w+,\n(.*?)^\}$", capsys.readouterr().out, re.DOTALL | re.MULTILINE)
    fields = [
        {"kind": kind, **dict(re.findall(r"^  (\w+) = \{(.*)\},$", text, re.MULTILINE))} for kind, text in entries
    ]
    return {entry["title"].strip("{}"): entry for entry in fields}


def test_the_citation_file_is_valid():
    jsonschema.Draft7Validator(SCHEMA, format_checker=jsonschema.Draft7Validator.FORMAT_CHECKER).validate(CITATION)
    assert CITATION["version"] == PROJECT["version"] == fashionlib.__version__
    assert CITATION["license"] == PROJECT["license"]


def test_the_command_and_the_file_agree(cited):
    software = cited[CITATION["title"]]
    assert (software["kind"], software["author"]) == ("software", people(CITATION["authors"]))
    assert (software["version"], software["license"]) == (CITATION["version"], CITATION["license"])
    assert software["year"] == CITATION["date-released"][:4]
    assert len(cited) == 1 + len(CITATION["references"])
    for reference in CITATION["references"]:
        entry = cited[reference["title"]]
        assert entry["author"] == people(reference["authors"]) and entry["year"] == str(reference["year"])
        pages = f"{reference['start']}--{reference['end']}" if "start" in reference else None
        expected = (reference.get("doi"), reference.get("url"), reference.get("thesis-type"), pages)
        assert (entry.get("doi"), entry.get("url"), entry.get("type"), entry.get("pages")) == expected
        assert entry.get("booktitle") == reference.get("conference", {}).get("name")
        assert entry.get("school") == reference.get("institution", {}).get("name")


def test_notebooks_cite_what_their_bibliography_has():
    """Every author and year in the text of the notebooks, each once in ``references.bib``."""
    notebooks = [json.loads(path.read_text()) for path in (REPOSITORY / "notebooks").glob("*.ipynb")]
    text = "\n".join("".join(c["source"]) for n in notebooks for c in n["cells"] if c["cell_type"] == "markdown")
    cited = set(
        re.findall(r"([A-Z][a-z]+)(?:\s+et\s+al\.| and [A-Z][a-z]+|, [A-Z][a-z]+, [A-Z][a-z]+)?,? \(?(\d{4})", text)
    )
    entries = re.findall(
        r"author = \{(\w+).*?year = \{(\d+)\}", (REPOSITORY / "notebooks/references.bib").read_text(), re.S
    )
    assert len(entries) == len(set(entries)) and len(cited) > 10
    assert cited == set(entries)

"""The committed results are whole, traceable, and consistent with each other - whatever they say."""

import hashlib
import json
import re
from pathlib import Path

import pandas as pd
import pytest

from fashionlib.shop.tagging import Tagger, tag_table
from fashionlib.sources import open_catalogue
from study import readme

ROOT = Path(__file__).resolve().parent.parent
PRODUCTS = ROOT / "results" / "products"
COMMITTED = ["products", "cpu"]
TABLES = [path for name in COMMITTED for path in sorted((ROOT / "results" / name / "tables").glob("*.csv"))]


def table(name: str) -> pd.DataFrame:
    return read(PRODUCTS / "tables" / f"{name}.csv")


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, keep_default_na=False, na_values=[""])


@pytest.fixture(params=COMMITTED)
def saved(request) -> Path:
    return ROOT / "results" / request.param


@pytest.fixture
def manifest(saved) -> dict:
    return json.loads((saved / "manifest.json").read_text(encoding="utf-8"))


def test_every_artefact_is_the_one_in_the_manifest(saved, manifest):
    kinds = ("tables", "figures", "models") if saved == PRODUCTS else ("tables", "figures")  # which are committed
    there = {str(path.relative_to(saved)) for kind in kinds for path in (saved / kind).glob("*")}
    artefacts = {path: of for path, of in manifest["artefacts"].items() if path.split("/")[0] in (*kinds, "outcomes")}
    outcomes = {path for path in artefacts if path.startswith("outcomes/")}  # more may wait for a later run
    assert set(artefacts) - outcomes == there
    for path, entry in artefacts.items():
        assert hashlib.sha256((saved / path).read_bytes()).hexdigest() == entry["sha256"], path
        assert entry["notebook"] in manifest["notebooks"]
        assert path.startswith(("models/", "outcomes/")) or path.split("/")[1].startswith(entry["notebook"])


def test_every_record_that_the_manifest_refers_to_is_there_and_no_other(manifest):
    records = manifest.get("records", {})
    for entry in manifest["artefacts"].values():
        assert {*entry["data"], entry["facts"]} <= set(records) if "facts" in entry else "settings" in entry
    used = json.dumps([manifest["artefacts"], manifest["notebooks"]])
    assert [key for key in records if key not in used] == []


def test_executed_notebooks_ended_well_and_show_no_private_path(saved, manifest):
    executed = sorted((saved / "notebooks").glob("*.ipynb"))
    assert [path.name[:2] for path in executed] == sorted(manifest["notebooks"])
    for path in executed:
        text = path.read_text(encoding="utf-8")
        outputs = [output for cell in json.loads(text)["cells"] for output in cell.get("outputs", [])]
        assert outputs and not any(output["output_type"] == "error" for output in outputs)
        assert not re.search(r"(?<![\w.])/(home|work|root|tmp)/", text), path.name


@pytest.mark.parametrize("path", TABLES, ids=lambda path: "-".join(path.parts[-3::2]))
def test_values_lie_in_their_intervals_and_shares_between_0_and_1(path):
    frame = read(path)
    for column in ("accuracy", "exact_match", "mean", "value", "difference"):
        if {column, "ci_low", "ci_high"} <= set(frame) and pd.api.types.is_numeric_dtype(frame[column]):
            part = frame.dropna(subset=[column, "ci_low", "ci_high"])
            slack = 1e-5 if column != "mean" else 0.01  # of several seeds the interval is that of their average
            assert part[column].astype(float).between(part["ci_low"] - slack, part["ci_high"] + slack).all()
    for column in {"accuracy", "macro_f1", "top3_accuracy", "map", "recall", "impossible_rate"} & set(frame):
        assert frame[column].dropna().astype(float).between(0, 1).all()


def test_the_per_class_table_agrees_with_the_accuracy():
    """Recall weighted by class size is accuracy: two tables, written by different code."""
    whole = table("07_without_siblings").set_index("task")["with_siblings_of_the_seed_taken"]
    for task, rows in table("07_per_class").groupby("task"):
        right = (rows["recall"].astype(float) * rows["n_test"]).sum() / rows["n_test"].sum()
        assert right == pytest.approx(whole[task], abs=1e-4)


def test_published_figures_are_those_of_the_references():
    references = pd.read_csv(ROOT / "notebooks" / "references.csv").query("metric == 'accuracy'")
    ours = references[references["dataset"] == "fashion-product-images-small"].set_index("task")
    seed = ours.loc[ours["comparable"] == "validation images, split not stated", "value"]
    best = ours[ours["comparable"].str.startswith("random 70/15/15")].groupby("task")["value"].max()
    shown = table("07_accuracy").query("model != 'majority'").dropna(subset=["seed_accuracy"])
    assert len(shown) and (shown["seed_accuracy"] == shown["task"].map(seed)).all()
    assert (shown["best_published"] == shown["task"].map(best)).all()


def test_the_shipped_model_says_of_photos_what_it_said():
    """On any machine and version of torch: the same labels, and confidences within 0.02."""
    path = PRODUCTS / "models" / "seven_labels.pth"
    if not path.exists():
        pytest.skip("no model has been shipped yet")
    assert path.stat().st_size < 14e6 and (path.parent / "README.md").exists()
    said = table("07_shipped").set_index("image")
    sample = open_catalogue("products", ROOT / "notebooks" / "sample")
    rows = sample.table.index[sample.table["image"].isin(said.index)]
    photos = [(sample.table.at[row, "image"], sample.read(row)) for row in rows]
    tags = tag_table(Tagger.load(path, "cpu").tag(photos)).set_index("image").loc[said.index]
    for label in [name for name in said if f"{name}_confidence" in said]:
        confidence = said[f"{label}_confidence"]
        assert (tags[f"{label}_confidence"] - confidence).abs().max() < 0.02, label
        sure = confidence > 0.6  # no other class can be within the tolerance
        assert (tags[label] == said[label])[sure].all(), label


def test_readme_shows_the_results():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.render(text) == text, "README.md is not up to date: PYTHONPATH=notebooks python -m study.readme"

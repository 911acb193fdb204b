"""Every notebook runs on the smoke profile, and leaves what the design promises."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
pytestmark = pytest.mark.notebook

EXPECTED = {
    "01": {
        "tables": {"summary", "rejected", "class_balance", "label_dictionary", "split", "leakage"},
        "figures": {"class_balance", "montage", "augmented"},
    },
    "07": {
        "tables": {"accuracy", "exact_match", "throughput", "per_class", "confusions", "calibration", "memory"},
        "figures": {"training_curves", "accuracy", "confusion_article_type", "calibration", "per_class", "predictions"},
    },
}
COLUMNS = {  # the tables that other notebooks and readers rely on
    "07_accuracy": "model split task n_test n_classes accuracy ci_low ci_high macro_f1 top3_accuracy "
    "seed_accuracy best_published",
    "07_exact_match": "model split n_test exact_match ci_low ci_high impossible_rate",
    "07_throughput": "what images_per_second ratio_to_bare",
}


@pytest.fixture(scope="module")
def smoke(tmp_path_factory) -> Path:
    """The results of all notebooks on the smoke profile."""
    import papermill

    root = tmp_path_factory.mktemp("results")
    patch = pytest.MonkeyPatch()
    patch.setenv("TQDM_DISABLE", "1")  # as run_all.sh does
    patch.delenv("MPLBACKEND", raising=False)
    profile = yaml.safe_load((ROOT / "notebooks/profiles/smoke.yaml").read_text())
    for notebook in NOTEBOOKS:
        papermill.execute_notebook(
            notebook,
            root / notebook.name,
            parameters={**profile, "profile": "smoke", "results_root": str(root)},
            kernel_name="python3",
            cwd=ROOT / "notebooks",
            progress_bar=False,
        )
    patch.undo()
    return root / "smoke"


def test_figures_are_shown_and_progress_leaves_no_dead_widgets(smoke):
    for notebook in NOTEBOOKS:
        cells = json.loads((smoke.parent / notebook.name).read_text())["cells"]
        kinds = [set(output.get("data", {})) for cell in cells for output in cell.get("outputs", [])]
        assert sum("image/png" in kind for kind in kinds) >= len(EXPECTED[notebook.name[:2]]["figures"])
        assert not any("application/vnd.jupyter.widget-view+json" in kind for kind in kinds)


def test_every_notebook_has_expectations():
    assert {path.name[:2] for path in NOTEBOOKS} == set(EXPECTED)


@pytest.mark.parametrize("number", EXPECTED)
def test_tables_and_figures_appear(smoke, number):
    for kind, suffixes in {"tables": (".csv", ".tex"), "figures": (".png", ".pdf")}.items():
        for name in EXPECTED[number][kind]:
            for suffix in suffixes:
                assert (smoke / kind / f"{number}_{name}{suffix}").stat().st_size > 0


def test_manifest_names_every_artefact_and_nothing_else(smoke):
    manifest = json.loads((smoke / "manifest.json").read_text())
    there = {str(p.relative_to(smoke)) for kind in ("tables", "figures") for p in (smoke / kind).iterdir()}
    assert set(manifest["artefacts"]) == there
    for path, entry in manifest["artefacts"].items():
        assert entry["sha256"] == hashlib.sha256((smoke / path).read_bytes()).hexdigest()
        assert path.split("/")[1].startswith(entry["notebook"])


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_are_those_of_the_design(smoke, name):
    assert list(pd.read_csv(smoke / "tables" / f"{name}.csv").columns) == COLUMNS[name].split()


def test_a_taxonomy_is_never_impossible(smoke):
    match = pd.read_csv(smoke / "tables/07_exact_match.csv").set_index(["model", "split"])
    assert (match.loc[["taxonomy", "taxonomy, short"], "impossible_rate"] == 0).all()


def test_the_figures_of_a_label_fit_together(smoke):
    table = pd.read_csv(smoke / "tables/07_accuracy.csv")
    assert (table["accuracy"].between(table["ci_low"], table["ci_high"])).all()
    assert (table["top3_accuracy"] >= table["accuracy"] - 1e-9).all()
    assert (table.groupby("split")["n_test"].nunique() == 1).all()


def test_one_batch_is_learned_by_heart(smoke):
    history = pd.read_csv(smoke / "runs/07_one_batch/history.csv")
    loss = history.filter(like="loss/").sum(axis=1)
    assert loss.iloc[-1] < 0.35 * loss.iloc[0]


def test_the_grouped_split_leaks_nothing(smoke):
    leaks = pd.read_csv(smoke / "tables/01_leakage.csv")
    assert (leaks.loc[leaks["split"] == "grouped", "test_images"] == 0).all()
    assert leaks.loc[(leaks["split"] == "random") & (leaks["kind"] == "same item"), "test_images"].item() > 0

"""What the committed results must be: whole, traceable, and as good as README says."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parent.parent
PRODUCTS = ROOT / "results/products"
REPORTED = {
    "01_data.ipynb",
    "02_category_baseline.ipynb",
    "03_attribute_baseline.ipynb",
    "04_retrieval.ipynb",
    "05_joint_multitask.ipynb",
    "06_staged_multitask.ipynb",
    "07_product_attributes.ipynb",
    "08_summary.ipynb",
    "09_catalogue_search.ipynb",
}
PROFILES = [ROOT / "results/demo", PRODUCTS]


@pytest.fixture(scope="module")
def accuracy() -> pd.DataFrame:
    return pd.read_csv(PRODUCTS / "tables/07_accuracy.csv")


@pytest.mark.parametrize("folder", PROFILES, ids=lambda folder: folder.name)
def test_every_artefact_is_the_one_in_the_manifest(folder):
    artefacts = json.loads((folder / "manifest.json").read_text())["artefacts"]
    there = {str(p.relative_to(folder)) for kind in ("tables", "figures") for p in (folder / kind).iterdir()}
    assert set(artefacts) == there
    changed = [p for p, e in artefacts.items() if hashlib.sha256((folder / p).read_bytes()).hexdigest() != e["sha256"]]
    assert changed == []


@pytest.mark.parametrize("folder", PROFILES, ids=lambda folder: folder.name)
def test_executed_notebooks_ended_well_and_show_no_private_path(folder):
    names = {path.name for path in (ROOT / "notebooks").glob("[0-9]*.ipynb")}
    names = {name for name in names if name[:2] in json.loads((folder / "manifest.json").read_text())["notebooks"]}
    assert {path.name for path in (folder / "notebooks").glob("*.ipynb")} == names >= REPORTED
    for name in names:
        text = (folder / "notebooks" / name).read_text(encoding="utf-8")
        cells = json.loads(text)["cells"]
        outputs = [output for cell in cells for output in cell.get("outputs", [])]
        assert outputs and not any(output["output_type"] == "error" for output in outputs)
        assert not re.search(r"(?<![\w.])/(home|work|root|tmp)/", text)


def test_the_triplet_embedding_is_clearly_above_what_needs_no_training_for_it():
    """On product lines that training never saw."""
    table = pd.read_csv(PRODUCTS / "tables/04_differences.csv").query("metric == 'recall_at_1'").set_index("against")
    assert set(table.index) == {"colour histogram", "untrained features", "category-trained features"}
    assert (table["ci_low"] > 0).all()
    found = pd.read_csv(PRODUCTS / "tables/04_retrieval.csv")
    assert (found["split"] == "grouped").all() and found["n_queries"].min() > 500
    speed = pd.read_csv(PRODUCTS / "tables/04_ranking_speed.csv")
    assert len(speed) >= 3 and speed["ratio_to_bare"].notna().all()
    crowd = pd.read_csv(PRODUCTS / "tables/04_crowd.csv").query("metric == 'recall_at_1'").set_index("embedding")
    assert crowd["value"].idxmax() == "triplet embedding" and (crowd["n_gallery"] > 5000).all()
    assert speed.set_index("what").loc["rank", "ratio_to_bare"] <= 1.3


def test_one_network_in_stages_is_no_worse_than_three():
    """On photographs of product lines that training never saw, three seeds each."""
    verdict = pd.read_csv(PRODUCTS / "tables/06_verdict.csv").query("configuration == 'staged'").set_index("task")
    assert set(verdict.index) == {"category", "attributes", "item"}
    assert set(verdict["verdict"]) <= {"above", "within"} and (verdict["ci_high"] > 0).all()
    comparison = pd.read_csv(PRODUCTS / "tables/06_comparison.csv")
    assert comparison["configuration"].nunique() == 7 and (comparison["n_seeds"] == 3).all()
    means = comparison.set_index(["configuration", "task", "metric"])["mean"]
    metric = {"category": "accuracy", "attributes": "map", "item": "recall_at_1"}
    for row in verdict.itertuples():  # written by other code than the comparison
        ahead = means["staged", row.Index, metric[row.Index]] - means[row.against, row.Index, metric[row.Index]]
        assert row.difference == pytest.approx(ahead, abs=1e-4)
    speed = pd.read_csv(PRODUCTS / "tables/06_inference.csv").set_index("what")["ratio"]
    assert speed["one network"] > 2
    levers = pd.read_csv(PRODUCTS / "tables/06_levers.csv").set_index("model")["score"]
    assert levers.drop(["staged", "staged, lower rate"]).idxmax() == "full rate at the end"


def test_longer_and_larger_networks_stand_beside_the_staged_one():
    """One seed each; README says in words which of them are ahead."""
    longer = pd.read_csv(PRODUCTS / "tables/06_as_long.csv").query("configuration == 'staged'").set_index("task")
    assert set(longer.index) == {"category", "attributes", "item"}
    assert longer["against"].str.endswith("as long").all()
    assert longer["verdict"].to_dict() == {"category": "below", "attributes": "below", "item": "within"}
    assert ((longer["ci_low"] <= longer["difference"]) & (longer["difference"] <= longer["ci_high"])).all()
    sizes = pd.read_csv(PRODUCTS / "tables/06_backbones.csv")
    assert list(sizes["configuration"].unique()) == ["staged, resnet18", "staged, resnet50"]
    small = sizes[sizes["configuration"] == "staged, resnet18"].set_index(["task", "metric"])["mean"]
    seeds = pd.read_csv(PRODUCTS / "tables/06_comparison.csv").query("configuration == 'staged'")
    for row in seeds.itertuples():  # one of its three seeds, so near their mean
        assert abs(small[row.task, row.metric] - row.mean) <= 1.5 * row.std + 1e-9


def test_the_joint_model_is_chosen_by_validation_and_tested_once():
    variants = pd.read_csv(PRODUCTS / "tables/05_variants.csv").set_index("variant")
    assert len(variants) == 4
    made = json.loads((PRODUCTS / "manifest.json").read_text())["artefacts"]["tables/05_test.csv"]
    assert made["settings"]["variant"] == variants["score"].idxmax()
    table = pd.read_csv(PRODUCTS / "tables/05_test.csv").set_index(["task", "metric"])
    for pair in (("category", "accuracy"), ("attributes", "map")):
        assert table.loc[pair, "without_a_picture"] < table.loc[pair, "ci_low"] < table.loc[pair, "mean"]


def test_the_summary_shows_what_the_other_notebooks_wrote():
    keys = ["configuration", "task", "metric"]
    summary, written = (pd.read_csv(PRODUCTS / f"tables/{name}_comparison.csv") for name in ("08", "06"))
    merged = summary.merge(written, on=keys, suffixes=("", "_written"), validate="one_to_one")
    assert len(merged) == len(written) == len(summary) and (merged["mean"] == merged["mean_written"]).all()
    full = pd.read_csv(PRODUCTS / "tables/08_full_size.csv").set_index("model")["value"]
    assert full["single category"] == pd.read_csv(PRODUCTS / "tables/02_accuracy.csv")["accuracy"].max()
    spent = pd.read_csv(PRODUCTS / "tables/08_training_time.csv")
    runs = json.loads((PRODUCTS / "manifest.json").read_text())["notebooks"]
    for row in spent.itertuples():
        taken = sum(run["seconds"] for run in runs[f"{row.notebook:02d}"]["runs"].values())
        assert row.minutes == pytest.approx(taken / 60, rel=1e-3)


def test_tagging_and_the_index_are_as_fast_as_asked():
    speed = pd.read_csv(PRODUCTS / "tables/09_tagging_speed.csv").set_index("what")["ratio_to_bare"]
    assert speed["tag_folder"] >= 0.9
    largest = pd.read_csv(PRODUCTS / "tables/09_index.csv").iloc[-1]
    assert largest["items"] >= 44_000 and largest["insert_seconds"] < 60 and largest["filtered_query_ms"] < 50
    assert largest[["recall", "filtered_recall"]].min() >= 0.99
    growth = pd.read_csv(PRODUCTS / "tables/09_index_growth.csv")
    assert set(growth.loc[~growth["measured"], "items"]) == {10**6, 10**7}


def test_a_network_that_knows_the_products_learns_another_shop_better():
    difference = pd.read_csv(PRODUCTS / "tables/09_transfer_difference.csv").set_index("metric").loc["accuracy"]
    assert difference["ci_low"] > 0 and difference["n_seeds"] == 3


def test_the_most_suspicious_labels_were_looked_at_one_by_one():
    suspects = pd.read_csv(PRODUCTS / "tables/09_suspects.csv")
    assert len(suspects) == 40 and set(suspects["verdict"]) <= {"wrong", "not what is seen", "unclear", "right"}
    planted = pd.read_csv(PRODUCTS / "tables/09_planted.csv").query("kind == 'all' and examined == planted").iloc[0]
    assert planted["precision"] > 10 * planted["chance"]


def test_the_main_model_beats_the_project_seed_on_every_label(accuracy):
    main = accuracy[(accuracy["model"] == "taxonomy") & (accuracy["split"] == "random")].set_index("task")
    assert len(main) == 7 and (main["n_test"] == 6611).all()
    ahead = main["accuracy"] - main["seed_accuracy"]
    assert (ahead > 0).all(), ahead


def test_the_single_task_category_is_above_the_project_seed():
    table = pd.read_csv(PRODUCTS / "tables/02_accuracy.csv").set_index("model")
    ours, floor = table.loc["single task"], table.loc["majority class"]
    assert ours["split"] == "random" and ours["n_test"] == 6611 and ours["n_classes"] == 141
    assert 0.8481 <= ours["accuracy"] < ours["top3_accuracy"] < ours["top5_accuracy"]
    assert floor["accuracy"] < 0.2 and ours["ci_low"] <= ours["accuracy"] <= ours["ci_high"]
    classes = pd.read_csv(PRODUCTS / "tables/02_per_class.csv", keep_default_na=False)
    assert (classes["recall"] * classes["n_test"]).sum() / 6611 == pytest.approx(ours["accuracy"], abs=1e-4)


def test_attributes_are_well_above_the_prior():
    table = pd.read_csv(PRODUCTS / "tables/03_scores.csv").set_index("model")
    ours, prior = table.loc["single task"], table.loc["prior"]
    assert ours["split"] == "grouped" and ours["map"] > 5 * prior["map"]
    assert ours["ci_low"] < ours["map"] < ours["ci_high"]
    each = pd.read_csv(PRODUCTS / "tables/03_per_attribute.csv", keep_default_na=False)
    known = each[each["n_test"] > 0]
    assert known["average_precision"].astype(float).mean() == pytest.approx(ours["map"], abs=1e-4)
    annotation = pd.read_csv(PRODUCTS / "tables/03_annotation_speed.csv")
    assert (annotation["rows"] == 289_222).all() and (annotation["peak_mb"] < 2000).all()


def test_published_figures_are_those_of_the_references(accuracy):
    references = pd.read_csv(ROOT / "notebooks/references.csv")
    ours = references[references["dataset"] == "fashion-product-images-small"].query("metric == 'accuracy'")
    for row in accuracy[(accuracy["model"] == "taxonomy") & (accuracy["split"] == "random")].itertuples():
        values = ours.loc[ours["task"] == row.task, ["comparable", "value"]]
        assert row.seed_accuracy == values.loc[values["comparable"] == "split not stated", "value"].item()
        assert row.best_published == values.loc[values["comparable"].str.startswith("random 70/15/15"), "value"].max()


def test_a_taxonomy_never_gives_an_impossible_answer():
    match = pd.read_csv(PRODUCTS / "tables/07_exact_match.csv")
    assert (match.loc[match["model"].str.startswith("taxonomy"), "impossible_rate"] == 0).all()
    assert match.loc[match["model"].str.startswith("independent"), "impossible_rate"].item() > 0


def test_the_per_class_table_agrees_with_the_accuracy(accuracy):
    """Recall weighted by class size is accuracy: two tables, written by different code."""
    classes = pd.read_csv(PRODUCTS / "tables/07_per_class.csv", keep_default_na=False)
    for task, rows in classes.groupby("task"):
        main = accuracy[(accuracy["model"] == "taxonomy") & (accuracy["task"] == task)].iloc[0]
        assert (rows["recall"] * rows["n_test"]).sum() / main["n_test"] == pytest.approx(main["accuracy"], abs=1e-4)


def test_readme_shows_the_results():
    script = [sys.executable, str(ROOT / "notebooks/readme_tables.py"), "--check"]
    done = subprocess.run(script, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

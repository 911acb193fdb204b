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
    "02": {
        "tables": {"class_balance", "imbalance", "accuracy", "published", "confusions", "per_class"},
        "figures": {"class_balance", "imbalance", "training_curves", "confusion", "per_class", "predictions"},
    },
    "03": {
        "tables": {"groups", "losses", "scores", "topk_recall", "published", "per_attribute", "by_group"}
        | {"annotation_speed"},
        "figures": {"losses", "training_curves", "topk_recall", "per_attribute", "montage"},
    },
    "04": {
        "tables": {"query_and_gallery", "losses", "retrieval", "differences", "crowd", "published", "ranking_speed"},
        "figures": {"items", "training_curves", "recall", "found", "map"},
    },
    "05": {
        "tables": {"parameters", "variants", "test", "published"},
        "figures": {"variants", "training_curves", "predictions"},
    },
    "06": {
        "tables": {"budget", "stages", "levers", "comparison", "differences", "verdict"}
        | {"stages_worth", "as_long", "inference"},
        "figures": {"stages", "comparison", "differences", "predictions", "found"},
    },
    "07": {
        "tables": {"accuracy", "exact_match", "throughput", "per_class", "confusions", "calibration", "memory"},
        "figures": {"training_curves", "accuracy", "confusion_article_type", "calibration", "per_class", "predictions"},
    },
    "08": {
        "tables": {"comparison", "full_size", "published"},
        "figures": {"comparison", "differences"},
    },
    "09": {
        "tables": {"tags", "calibration", "index", "index_growth", "tagging_speed", "judged", "planted", "suspects"}
        | {"filled", "duplicates", "impossible", "transfer", "transfer_difference"},
        "figures": {"calibration", "similar", "filtered", "planted", "suspects"},
    },
}
COLUMNS = {  # the tables that other notebooks and readers rely on
    "04_ranking_speed": "what seconds peak_mb ratio_to_bare queries gallery",
    "07_accuracy": "model split task n_test n_classes accuracy ci_low ci_high macro_f1 top3_accuracy "
    "seed_accuracy best_published",
    "07_exact_match": "model split n_test exact_match ci_low ci_high impossible_rate",
    "07_throughput": "what images_per_second ratio_to_bare",
    "08_comparison": "configuration task metric mean std ci_low ci_high n_seeds train_minutes parameters",
}


def execute(notebooks: list[Path], root: Path, profile: str, **changes) -> Path:
    """The results of some notebooks with the parameters of the smoke profile and changes to them."""
    import papermill

    patch = pytest.MonkeyPatch()
    patch.setenv("TQDM_DISABLE", "1")  # as run_all.sh does
    patch.delenv("MPLBACKEND", raising=False)
    settings = yaml.safe_load((ROOT / "notebooks/profiles/smoke.yaml").read_text())
    for notebook in notebooks:
        papermill.execute_notebook(
            notebook,
            root / notebook.name,
            parameters={**settings, "profile": profile, "results_root": str(root), **changes},
            kernel_name="python3",
            cwd=ROOT / "notebooks",
            progress_bar=False,
        )
    patch.undo()
    return root / profile


@pytest.fixture(scope="module")
def smoke(tmp_path_factory) -> Path:
    """The results of all notebooks on the smoke profile."""
    return execute(NOTEBOOKS, tmp_path_factory.mktemp("results"), "smoke")


def test_figures_are_shown_and_progress_leaves_no_dead_widgets(smoke):
    for notebook in NOTEBOOKS:
        cells = json.loads((smoke.parent / notebook.name).read_text())["cells"]
        kinds = [set(output.get("data", {})) for cell in cells for output in cell.get("outputs", [])]
        assert sum("image/png" in kind for kind in kinds) >= len(EXPECTED[notebook.name[:2]]["figures"])
        assert not any("application/vnd.jupyter.widget-view+json" in kind for kind in kinds)


def test_every_notebook_has_expectations():
    assert {path.name[:2] for path in NOTEBOOKS} == set(EXPECTED)


def check_artefacts(folder: Path, number: str) -> None:
    for kind, suffixes in {"tables": (".csv", ".tex"), "figures": (".png", ".pdf")}.items():
        for name in EXPECTED[number][kind]:
            for suffix in suffixes:
                assert (folder / kind / f"{number}_{name}{suffix}").stat().st_size > 0


@pytest.mark.parametrize("number", EXPECTED)
def test_tables_and_figures_appear(smoke, number):
    check_artefacts(smoke, number)


def test_the_three_readings_of_top_k_recall_are_all_there(smoke):
    recall = pd.read_csv(smoke / "tables/03_topk_recall.csv", keep_default_na=False)
    ours = recall[recall["model"] == "single task"]
    for _, at_k in ours.groupby("k"):
        recalls, labels = (at_k.set_index("scope")[name].astype(float) for name in ("recall", "labels"))
        within = recalls.drop(["pooled", "all"])
        share = labels[within.index] / labels["pooled"]
        assert labels["pooled"] == labels["all"]
        assert recalls["pooled"] == pytest.approx((within * share).sum(), abs=1e-4)
        assert recalls["pooled"] >= recalls["all"]


def test_queries_and_gallery_of_a_test_share_no_image_with_training(smoke):
    counts = pd.read_csv(smoke / "tables/04_query_and_gallery.csv")
    assert (counts[["queries", "gallery", "items"]] > 0).all(axis=None)
    text = (smoke.parent / "04_retrieval.ipynb").read_text()
    assert "test items that training saw: 0" in text


def check_comparison(folder: Path, seeds: int) -> None:
    """The table of notebook 08 has every kind of training, task and seed."""
    of_task = {
        "category": ["single category", "joint labels", "joint all", "staged", "staged, lower rate"],
        "attributes": ["single attributes", "joint labels", "joint all", "staged", "staged, lower rate"],
        "item": ["single retrieval", "joint all", "staged", "staged, lower rate"],
    }
    table = pd.read_csv(folder / "tables/08_comparison.csv")
    for task, configurations in of_task.items():
        part = table[table["task"] == task]
        assert part["configuration"].drop_duplicates().tolist() == configurations
    assert (table["n_seeds"] == seeds).all() and table["std"].notna().all() == (seeds > 1)
    bounded = table[table["ci_low"].notna()]
    assert set(bounded["metric"]) >= {"accuracy", "map", "recall_at_1"}
    assert bounded["mean"].between(bounded["ci_low"] - 0.05, bounded["ci_high"] + 0.05).all()
    cost = table.drop_duplicates("configuration").set_index("configuration")[["parameters", "train_minutes"]]
    assert cost.loc["staged", "parameters"] < cost.filter(like="single", axis=0)["parameters"].sum() / 2
    assert (cost["train_minutes"] > 0).all()


def test_the_comparison_has_every_kind_of_training_task_and_seed(smoke):
    check_comparison(smoke, seeds=2)


def test_the_stages_are_in_the_history_and_the_labels_lose_nothing_in_the_second(smoke):
    history = pd.read_csv(smoke / "runs/06_staged_0/history.csv").set_index("stage")
    assert history.index.tolist() == ["labels", "embedding", "everything"]
    assert history["loss/item"].isna().tolist() == [True, False, False]
    assert history["loss/category"].isna().tolist() == [False, True, False]
    of_labels = [name for name in history if name.split("/")[0] in ("category", "attributes")]
    assert history.loc["embedding", of_labels].to_list() == history.loc["labels", of_labels].to_list()


def test_embeddings_are_left_with_their_items(smoke):
    for run in ("04_embedding", "06_staged_0"):
        frame = pd.read_parquet(smoke / f"runs/{run}/embeddings.parquet")
        assert list(frame) == ["image", "item", "role", "embedding"] and set(frame["role"]) == {"query", "gallery"}
        norms = frame["embedding"].map(lambda e: sum(x * x for x in e))
        assert norms.to_numpy() == pytest.approx(1, abs=1e-4) and frame["embedding"].map(len).nunique() == 1
        asked = frame[frame["role"] == "query"]
        assert set(asked["item"]) <= set(frame.loc[frame["role"] == "gallery", "item"]) and asked["image"].is_unique


def test_bad_photos_are_told_and_the_index_finds_what_exact_search_finds(smoke):
    text = (smoke.parent / "09_catalogue_search.ipynb").read_text()
    for reason in ("animated image with 2 frames", "text.jpg: not a JPEG, PNG or WebP", "half.jpg: damaged image"):
        assert reason in text
    index = pd.read_csv(smoke / "tables/09_index.csv")
    assert (index["recall"] >= 0.99).all() and index["items"].is_monotonic_increasing
    planted = pd.read_csv(smoke / "tables/09_planted.csv")
    assert planted["precision"].between(0, 1).all() and set(planted["kind"]) == {"any", "sibling", "all"}
    speed = pd.read_csv(smoke / "tables/09_tagging_speed.csv")
    assert speed["what"].tolist() == ["bare_forward", "tag", "tag_folder"] and (speed["images_per_second"] > 0).all()


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

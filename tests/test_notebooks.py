"""Every notebook runs on the smoke profile, and leaves what the design promises."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pandas as pd
import pytest
import yaml
from PIL import Image

from study.drawn import open_drawn

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
pytestmark = pytest.mark.notebook

TABLES = {
    "01": {"summary", "rejected", "class_balance", "label_dictionary", "split", "leakage"},
    "02": {"class_balance", "pretraining", "imbalance", "accuracy", "published", "confusions", "per_class"},
    "03": {"groups", "losses", "scores", "topk_recall", "published", "per_attribute", "by_group", "annotation_speed"},
    "04": {
        "query_and_gallery",
        "losses",
        "rates",
        "retrieval",
        "differences",
        "lines_only",
        "published",
        "ranking_speed",
    },
    "05": {"parameters", "variants", "conflict"},
    "06": {"stages", "comparison", "relative", "lengths", "length_differences", "rates", "rate_differences"}
    | {"replication", "replication_differences", "reweighed", "contrasts", "inference"}
    | {"controls", "control_differences"},
    "07": {"accuracy", "exact_match", "time_to_accuracy", "throughput", "per_class", "confusions", "calibration"}
    | {"without_siblings", "rare_classes", "shipped", "wild", "recipe", "resolution", "controls", "cost_of_honesty"},
    "08": {"comparison", "cost", "full_size", "published", "training_time"},
    "09": {
        "tags",
        "calibration",
        "people",
        "people_cost",
        "fine_tuned",
        "index",
        "tagging_speed",
        "judged",
        "planted",
        "rankings",
        "suspects",
        "filled",
        "duplicates",
    },
}
FIGURES = {
    "01": {"class_balance", "montage", "augmented"},
    "02": {"pretraining", "imbalance", "training_curves", "confusion", "per_class", "predictions"},
    "03": {"losses", "training_curves", "topk_recall", "per_attribute", "montage"},
    "04": {"items", "training_curves", "recall", "found", "map"},
    "05": {"variants", "trade_off", "conflict"},
    "06": {"stages", "comparison", "lengths", "replication", "contrasts", "predictions", "found"},
    "07": {
        "training_curves",
        "resolution",
        "accuracy",
        "confusion_article_type",
        "calibration",
        "per_class",
        "predictions",
    },
    "08": {"comparison", "contrasts", "cost"},
    "09": {"calibration", "people", "people_calibration", "fine_tuned", "similar", "filtered", "planted", "suspects"},
}
COLUMNS = {  # of the tables that other notebooks and readers rely on
    "04_ranking_speed": "what queries gallery seconds peak_mb ratio_to_bare",
    "06_comparison": "configuration task metric epochs mean std ci_low ci_high n_seeds images_seen train_minutes "
    "parameters",
    "06_contrasts": "contrast task metric difference ci_low ci_high p_holm margin verdict n_seeds",
    "07_accuracy": "model split task n_test n_classes accuracy ci_low ci_high macro_f1 top3_accuracy n_seeds "
    "seed_accuracy best_published",
    "07_exact_match": "model split n_test exact_match ci_low ci_high impossible_rate n_seeds",
    "07_throughput": "what images_per_second ratio_to_bare",
}


def execute(notebooks: list[Path], root: Path, profile: str, **changes) -> Path:
    """The results of some notebooks with the parameters of the smoke profile and changes to them; in one kernel, whose
    names are deleted after each: nine imports of torch and timm are a third of the time."""
    import papermill
    from jupyter_client import KernelManager

    environment = {**os.environ, "TQDM_DISABLE": "1"}  # as run_all.sh does
    environment.pop("MPLBACKEND", None)
    settings = yaml.safe_load((ROOT / "notebooks/profiles/smoke.yaml").read_text())
    kernel = KernelManager(client_class="jupyter_client.asynchronous.AsyncKernelClient")
    kernel.start_kernel(cwd=str(ROOT / "notebooks"), env=environment)
    client = kernel.blocking_client()
    client.start_channels()
    try:
        for notebook in notebooks:
            papermill.execute_notebook(
                notebook,
                root / notebook.name,
                parameters={**settings, "profile": profile, "results_root": str(root), **changes},
                kernel_name="python3",
                progress_bar=False,
                km=kernel,
            )
            client.execute_interactive("%reset_selective -f ^[^_]")
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)
    return root / profile


@pytest.fixture(scope="module")
def smoke(tmp_path_factory) -> Path:
    """The results of all notebooks on the smoke profile, with other drawings as the photos that people took."""
    people, drawn = tmp_path_factory.mktemp("people"), open_drawn(items=30, seed=1)
    for row, kind in drawn.table["articleType"].map({"Tshirts": "t-shirt", "Jeans": "pants"}).dropna().items():
        for split in ("train", "validation", "test"):
            (people / split / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(drawn.read(row)).save(people / split / kind / f"{row}.jpg")
    return execute(NOTEBOOKS, tmp_path_factory.mktemp("results"), "smoke", people=str(people))


def check_artefacts(folder: Path, number: str, without=frozenset()) -> None:
    for kind, names, suffixes in (("tables", TABLES, (".csv", ".tex")), ("figures", FIGURES, (".png", ".pdf"))):
        missing = [
            f"{number}_{name}{suffix}"
            for name in names[number] - without
            for suffix in suffixes
            if not (folder / kind / f"{number}_{name}{suffix}").is_file()
        ]
        assert not missing


@pytest.mark.parametrize("number", [notebook.name[:2] for notebook in NOTEBOOKS])
def test_tables_and_figures_appear(smoke, number):
    check_artefacts(smoke, number)


def test_figures_are_shown_and_progress_leaves_no_dead_widgets(smoke):
    for notebook in NOTEBOOKS:
        cells = json.loads((smoke.parent / notebook.name).read_text())["cells"]
        kinds = [set(output.get("data", {})) for cell in cells for output in cell.get("outputs", [])]
        assert sum("image/png" in kind for kind in kinds) >= len(FIGURES[notebook.name[:2]])
        assert not any("application/vnd.jupyter.widget-view+json" in kind for kind in kinds)


def test_speeds_are_positive_and_ratios_are_of_the_bare_way(smoke):
    ranking = pd.read_csv(smoke / "tables/04_ranking_speed.csv")
    assert (ranking["seconds"] > 0).all() and (ranking["peak_mb"] >= 0).all()
    ratios = ranking["seconds"] / ranking["seconds"][0]
    assert ranking["ratio_to_bare"].to_numpy() == pytest.approx(ratios.to_numpy(), rel=1e-3)
    reading = pd.read_csv(smoke / "tables/03_annotation_speed.csv")
    assert reading["what"].tolist() == ["first read", "second read"] and (reading["rows"] == 200).all()
    assert (reading[["seconds", "peak_mb"]] > 0).all(axis=None)


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_are_those_of_the_design(smoke, name):
    assert set(COLUMNS[name].split()) - set(pd.read_csv(smoke / "tables" / f"{name}.csv")) == set()


def test_manifest_names_every_artefact_and_nothing_else(smoke):
    manifest = json.loads((smoke / "manifest.json").read_text())
    kinds = ("tables", "figures", "models", "outcomes")
    there = {str(path.relative_to(smoke)) for kind in kinds for path in (smoke / kind).iterdir()}
    assert set(manifest["artefacts"]) == there
    for path, entry in manifest["artefacts"].items():
        assert entry["sha256"] == hashlib.sha256((smoke / path).read_bytes()).hexdigest()
        assert path.startswith(("models/", "outcomes/")) or path.split("/")[1].startswith(entry["notebook"])


def test_the_three_readings_of_top_k_recall_are_all_there(smoke):
    recall = pd.read_csv(smoke / "tables/03_topk_recall.csv", keep_default_na=False)
    for _, at_k in recall[recall["model"] == "single task"].groupby("k"):
        recalls, labels = (pd.to_numeric(at_k.set_index("scope")[name]) for name in ("recall", "labels"))
        within = recalls.drop(["pooled", "all"]).fillna(1)  # of k members or fewer all are found
        assert labels["pooled"] == labels["all"]
        assert recalls["pooled"] == pytest.approx((within * labels[within.index] / labels["pooled"]).sum(), abs=1e-4)
        assert recalls["pooled"] >= recalls["all"]


def test_the_shop_tags_with_the_model_that_07_ships(smoke):
    assert not list((smoke / "runs").glob("09_tagger*"))  # a training of its own, for want of that model


def test_embeddings_are_left_with_their_items(smoke):
    frame = pd.read_parquet(smoke / "runs/06_single_retrieval_3_0/embeddings.parquet")
    assert list(frame) == ["image", "item", "role", "embedding"] and set(frame["role"]) == {"gallery"}
    assert frame["embedding"].map(lambda e: sum(x * x for x in e)).to_numpy() == pytest.approx(1, abs=1e-4)
    assert frame["image"].is_unique and frame["item"].duplicated().any()  # every image asks all others


def check_comparison(folder: Path, seeds: int) -> None:
    """Every configuration is measured in its tasks, on every seed, and all saw as many images."""
    table = pd.read_csv(folder / "tables/06_comparison.csv")
    assert (table["n_seeds"] == seeds).all() and table["configuration"].nunique() == 6
    assert table.groupby("epochs")["images_seen"].nunique().eq(1).all()
    bounded = table[table["ci_low"].notna()]
    assert set(bounded["metric"]) >= {"accuracy", "map", "recall_at_1"}
    assert bounded["mean"].between(bounded["ci_low"] - 0.05, bounded["ci_high"] + 0.05).all()
    contrasts = pd.read_csv(folder / "tables/06_contrasts.csv")
    assert contrasts["p_holm"].between(0, 1).all() and contrasts["verdict"].notna().all()


def test_the_comparison_has_every_configuration_task_and_seed(smoke):
    check_comparison(smoke, seeds=1)


def test_the_baselines_are_the_networks_of_the_comparison(smoke):
    notebooks = json.loads((smoke / "manifest.json").read_text())["notebooks"]
    runs = {number: set(of["runs"]) for number, of in notebooks.items()}
    for number, task in (("02", "category"), ("03", "attributes"), ("04", "retrieval")):
        assert runs[number] & runs["06"] >= {f"06_single_{task}_3_0"}
    counted = pd.read_csv(smoke / "tables/08_training_time.csv", dtype={"notebook": str})
    assert counted["trainings"].sum() == len(set().union(*(of for number, of in runs.items() if number < "08")))


def test_bad_photos_are_told_and_the_index_finds_what_exact_search_finds(smoke):
    text = (smoke.parent / "09_catalogue_search.ipynb").read_text()
    for reason in ("animated image with 2 frames", "text.jpg: not a JPEG, PNG or WebP", "half.jpg: damaged image"):
        assert reason in text
    index = pd.read_csv(smoke / "tables/09_index.csv")
    assert (index["recall"] >= 0.99).all() and set(index["engine"]) == {"exact", "lancedb"}
    assert pd.read_csv(smoke / "tables/09_planted.csv")["precision"].between(0, 1).all()


def test_a_taxonomy_is_never_impossible_and_its_figures_fit_together(smoke):
    match = pd.read_csv(smoke / "tables/07_exact_match.csv").set_index(["model", "split"])
    assert (match.loc[["taxonomy", "taxonomy, short"], "impossible_rate"] == 0).all()
    table = pd.read_csv(smoke / "tables/07_accuracy.csv")
    assert (table["top3_accuracy"] >= table["accuracy"] - 1e-9).all()
    assert (table.groupby("split")["n_test"].nunique() == 1).all()


def test_the_grouped_split_leaks_nothing(smoke):
    leaks = pd.read_csv(smoke / "tables/01_leakage.csv")
    assert (leaks.loc[leaks["split"] == "grouped", "test_images"] == 0).all()
    assert leaks.loc[(leaks["split"] == "random") & (leaks["kind"] == "same item"), "test_images"].item() > 0

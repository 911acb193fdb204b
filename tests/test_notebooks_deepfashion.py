"""The notebooks of DeepFashion's profile run on its formats. A file of its own, so that another worker takes it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml
from test_notebooks import NOTEBOOKS, ROOT, check_artefacts, check_comparison, execute

pytestmark = pytest.mark.notebook
DEEPFASHION = ("01", "02", "03", "04", "05", "06", "08")


@pytest.fixture(scope="module")
def deepfashion(tmp_path_factory) -> Path:
    """The results of the notebooks that DeepFashion's profile lists, on drawn garments in DeepFashion's formats."""
    from fashionlib.sources import open_catalogue
    from study.drawn.deepfashion_files import write_coarse, write_inshop

    data = tmp_path_factory.mktemp("data")
    drawn = open_catalogue("synthetic", items=60, views=4)
    write_coarse(drawn, data)
    write_inshop(drawn, data)
    own = yaml.safe_load((ROOT / "notebooks/profiles/deepfashion.yaml").read_text())
    assert tuple(own["notebooks"]) == DEEPFASHION
    chosen = [notebook for notebook in NOTEBOOKS if notebook.name[:2] in DEEPFASHION]
    names = ("source", "source_options", "retrieval_source", "retrieval_options", "item_source")
    splits = ("category_split", "attribute_split", "retrieval_split", "joint_split")
    return execute(
        chosen,
        tmp_path_factory.mktemp("results"),
        "deepfashion",
        data_root=str(data),
        seeds=[0],
        batches={"batch_size": 16, "per_item": 2},  # thirteen items in training
        **{name: own[name] for name in (*names, *splits)},
    )


@pytest.mark.parametrize("number", DEEPFASHION)
def test_the_same_notebooks_run_on_deepfashions_formats(deepfashion, number):
    check_artefacts(deepfashion, number)


def test_the_official_parts_and_the_crop_are_stated(deepfashion):
    accuracy = pd.read_csv(deepfashion / "tables/02_accuracy.csv")
    assert accuracy["n_classes"].iloc[0] == 50 and accuracy["crop"].all()
    found = pd.read_csv(deepfashion / "tables/04_retrieval.csv")
    assert found["crop"].all() and (found["n_queries"] > 0).all()
    groups = pd.read_csv(deepfashion / "tables/03_groups.csv")["group"]
    assert set(groups) <= {"texture", "fabric", "shape", "part", "style"}
    published = pd.read_csv(deepfashion / "tables/02_published.csv")
    fashionnet = published[published["method"].str.startswith("FashionNet")].set_index("metric")["value"]
    assert fashionnet.to_dict() == {"top3_accuracy": 0.8258, "top5_accuracy": 0.9017}


def test_the_comparison_has_every_kind_of_training_and_task(deepfashion):
    check_comparison(deepfashion, seeds=1)

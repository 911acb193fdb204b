"""The notebooks of DeepFashion's profile run on its formats. A file of its own, so that another worker takes it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml

from deepfashion_writers import write_coarse, write_inshop
from study.drawn import open_drawn
from test_notebooks import NOTEBOOKS, ROOT, check_artefacts, check_comparison, execute

pytestmark = pytest.mark.notebook
PROFILE = yaml.safe_load((ROOT / "notebooks/profiles/deepfashion.yaml").read_text())
RUN = [
    "02",
    "03",
    "04",
    "06",
]  # those that read what only DeepFashion has: groups, boxes, query and gallery, two catalogues


@pytest.fixture(scope="module")
def deepfashion(tmp_path_factory) -> Path:
    """The results of the notebooks that DeepFashion's profile lists, on drawn garments in DeepFashion's formats."""
    data = tmp_path_factory.mktemp("data")
    drawn = open_drawn(items=60, views=4)
    write_coarse(drawn, data)
    write_inshop(drawn, data)
    return execute(
        [notebook for notebook in NOTEBOOKS if notebook.name[:2] in RUN],
        tmp_path_factory.mktemp("results"),
        "deepfashion",
        data_root=str(data),
        seeds=[0],
        batch_size=12,  # thirteen items in training
        **{name: PROFILE[name] for name in ("source", "source_options", "item_source", "split")},
    )


@pytest.mark.parametrize("number", RUN)
def test_the_same_notebooks_run_on_deepfashions_formats(deepfashion, number):
    check_artefacts(deepfashion, number)


def test_the_official_parts_and_the_published_figures_are_stated(deepfashion):
    assert pd.read_csv(deepfashion / "tables/02_accuracy.csv")["n_classes"].iloc[0] == 50
    assert set(pd.read_csv(deepfashion / "tables/03_groups.csv")["group"]) <= {
        *("texture", "fabric", "shape", "part", "style")
    }
    published = pd.read_csv(deepfashion / "tables/02_published.csv")
    fashionnet = published[published["method"].str.startswith("FashionNet")].set_index("metric")["value"]
    assert fashionnet.to_dict() == {"top3_accuracy": 0.8258, "top5_accuracy": 0.9017}


def test_the_comparison_has_every_configuration_and_task(deepfashion):
    check_comparison(deepfashion, seeds=1)

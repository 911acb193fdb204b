"""The notebooks of DeepFashion's profile run on its formats. A file of its own, so that another worker takes it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from deepfashion_writers import write_coarse, write_inshop
from study.drawn import open_drawn
from test_notebooks import NOTEBOOKS, ROOT, check_artefacts, check_comparison

pytestmark = pytest.mark.notebook
PROFILE = yaml.safe_load((ROOT / "notebooks/profiles/deepfashion.yaml").read_text())
NOT_RUN = {"replication", "replication_differences", "reweighed"}  # which its profile leaves out
RUN = ["02", "03", "04", "06"]  # those that read what only DeepFashion has: groups, boxes, queries, two catalogues
ONE_PROCESS = """
import json, sys
from pathlib import Path
import study.speed
from study.runner import FOLDER, parameters, read_cells, run
study.speed.in_new_process = lambda function, *arguments: function(*arguments)  # as in test_notebooks
for notebook in map(Path, sys.argv[2:]):
    known = parameters(notebook)
    run(read_cells(notebook), FOLDER, {k: v for k, v in json.loads(sys.argv[1]).items() if k in known})
"""


@pytest.fixture(scope="module")
def deepfashion(tmp_path_factory) -> Path:
    """The results of some notebooks that DeepFashion's profile lists, on drawn garments in DeepFashion's formats; as
    plain programs, one after the other in a process."""
    data, results = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("results")
    drawn = open_drawn(items=60, views=4)
    write_coarse(drawn, data)
    write_inshop(drawn, data)
    settings = yaml.safe_load((ROOT / "notebooks/profiles/smoke.yaml").read_text())
    own = ("source", "source_options", "item_source", "split", "replications", "weighed")
    settings |= {name: PROFILE[name] for name in own}
    settings |= {"profile": "deepfashion", "data_root": str(data), "results_root": str(results)}
    settings |= {"seeds": [0], "batch_size": 12}  # thirteen items in training
    notebooks = [str(notebook) for notebook in NOTEBOOKS if notebook.name[:2] in RUN]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "notebooks")])
    environment = {**os.environ, "PYTHONPATH": paths, "MPLBACKEND": "Agg", "TQDM_DISABLE": "1"}
    command = [sys.executable, "-c", ONE_PROCESS, json.dumps(settings), *notebooks]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return results / "deepfashion"


@pytest.mark.parametrize("number", RUN)
def test_the_same_notebooks_run_on_deepfashions_formats(deepfashion, number):
    check_artefacts(deepfashion, number, without=NOT_RUN)


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

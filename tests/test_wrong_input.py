"""Wrong input is refused with its name and what there is, and odd but right input is answered: kinds that users met."""

import io
import json
import os

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from fashionlib.cells import group_numbers
from fashionlib.data.catalogue import CatalogueError
from fashionlib.data.splits import grouped_split
from fashionlib.evaluation.outcomes import exact_match, outcomes
from fashionlib.evaluation.predict import predict
from fashionlib.evaluation.retrieval import embed
from fashionlib.metrics.bootstrap import resamples
from fashionlib.metrics.ranking import rank
from fashionlib.models import MultitaskModel
from fashionlib.shop.bulk import tag_folder
from fashionlib.shop.cleaning import duplicate_table, fold_numbers, impossible_paths
from fashionlib.shop.index import open_index
from fashionlib.shop.suspects import plant_errors
from fashionlib.shop.tagging import Tagger
from fashionlib.sources import open_catalogue
from fashionlib.tasks import SingleLabel
from fashionlib.training.checkpoints import load_model, save_model
from fashionlib.training.fit import fit
from fashionlib.training.settings import Settings
from study.results import Results
from study.tables import prior
from tiny import tiny_data, tiny_model, tiny_table

COLOUR = SingleLabel("colour", classes=("red", "blue"))


@pytest.fixture(scope="module")
def data():
    return tiny_data()


@pytest.fixture(scope="module")
def model(data):
    return tiny_model(data).eval()


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "photos").mkdir()
    for k in range(20):
        Image.fromarray(np.full((8, 6, 3), 10 * k, np.uint8)).save(tmp_path / "photos" / f"{k}.png")
    return tmp_path


# --- a name that is not there ---------------------------------------------------------------------


@pytest.mark.parametrize("call, there", [
    (lambda d, m: predict(m, d, "test", tasks=["gendr"]), "gender"),
    (lambda d, m: predict(m, d, "test").classes("gendr"), "article"),
    (lambda d, m: exact_match(predict(m, d, "test"), ["gender", "gendr"]), "article"),
    (lambda d, m: outcomes(predict(m, d, "test"), {"gendr": np.zeros(3)}), "words"),
    (lambda d, m: plant_errors(d, "gendr"), "gender"),
    (lambda d, m: duplicate_table(d, np.array([[0, 1]]), ["gendr"]), "gender"),
    (lambda d, m: impossible_paths(d.catalogue, ("master", "gendr")), "gender"),
    (lambda d, m: prior(d, ["gendr"]), "gender"),
    (lambda d, m: d.catalogue.with_labels("gendr", [0], ["Men"]), "gender"),
])  # fmt: skip
def test_a_misspelt_name_is_told_what_there_is(data, model, call, there):
    with pytest.raises(ValueError, match=f"gendr.*{there}"):
        call(data, model)


def test_exact_match_is_of_labels_with_one_class_an_image(data, model):
    with pytest.raises(ValueError, match="several classes of 'words'; of one class are gender, .*article"):
        exact_match(predict(model, data, "test"), ["gender", "words"])


def test_one_task_may_be_named_by_itself(data, model):
    assert list(predict(model, data, "test", tasks="gender").activations) == ["gender"]


# --- rows -----------------------------------------------------------------------------------------


def test_a_mask_of_rows_is_the_rows_it_marks(data, model):
    mask = (data.catalogue.table["gender"] == "Men").to_numpy()
    assert predict(model, data, mask).rows.tolist() == np.flatnonzero(mask).tolist()
    np.testing.assert_array_equal(embed(model, data, mask), embed(model, data, np.flatnonzero(mask)))


@pytest.mark.parametrize("rows", [3, None, [99], [-1], [0.5], np.zeros(3, bool), [[0, 1]], ["train"]])
def test_rows_that_are_none_are_refused(data, model, rows):
    with pytest.raises(CatalogueError, match="tiny: rows are numbers below 48, or a mask"):
        predict(model, data, rows)
    with pytest.raises(CatalogueError, match="tiny: rows are numbers below 48, or a mask"):
        data.catalogue.without(rows, ["reason"], "test")


def test_no_row_at_all_is_refused(data, model):
    for rows in ([], np.zeros(48, bool)):
        with pytest.raises(ValueError, match="tiny: no row is asked for"):
            predict(model, data, rows)


# --- groups that are not known --------------------------------------------------------------------


def test_photos_without_a_group_are_groups_of_one():
    groups = [None, float("nan"), "", "?", pd.NA, 37, 37.0, "37.0"]
    assert group_numbers(groups).tolist() == [0, 1, 2, 3, 4, 5, 5, 5]
    assert len(set(fold_numbers([""] * 30, ["a"] * 30, 3))) == 3
    shares = pd.Series(grouped_split(["?"] * 100, ["a"] * 100)).value_counts()
    assert shares.to_dict() == {"train": 70, "val": 15, "test": 15}
    drawn = np.stack(list(resamples(np.array([None] * 9 + ["a", "a"], object), 50)))
    assert (drawn[:, 9] == drawn[:, 10]).all() and not (drawn[:, 0] == drawn[:, 1]).all()


# --- embeddings -----------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1.0, 1e30, 1e-30, 1e200])
def test_a_ranking_does_not_depend_on_the_length_of_vectors(scale):
    points = np.random.default_rng(0).normal(size=(12, 5))
    items = np.arange(12) // 2
    right = rank(points, points, items, items, ks=1, alone=True).scores()
    assert rank(points * scale, points, items, items, ks=1, alone=True).scores() == pytest.approx(right)
    tensor = torch.tensor(points, requires_grad=True)
    assert rank(tensor, tensor, items, items, ks=1, alone=True).scores() == pytest.approx(right)


# --- models and weights ---------------------------------------------------------------------------


@pytest.mark.parametrize("options", [
    {"size": 30}, {"size": (10**5, 10**5)}, {"size": (0, 4)}, {"input_size": (30.0, 40.0)}, {"trunk": 64},
    {"trunk": (-4,)}, {"drop_path": 2.0}, {"tasks": [COLOUR, COLOUR]}, {"tasks": []},
    {"tasks": ["colour"]},
])  # fmt: skip
def test_a_model_that_makes_no_sense_is_refused(options):
    with pytest.raises(ValueError, match="size is|trunk a list|tasks of different names"):
        MultitaskModel(**{"backbone": "resnet_tiny", "tasks": [COLOUR], "size": (24, 32)} | options)


@pytest.mark.parametrize("change", [
    lambda v: v.double() * 1e300, lambda v: v.to(torch.int8), lambda v: v.to(torch.complex64), lambda v: v.to_sparse(),
])  # fmt: skip
def test_weights_that_would_become_others_are_refused(data, tmp_path, change):
    state = tiny_model(data, "gender").body.state_dict()
    torch.save({k: change(v) if v.is_floating_point() else v for k, v in state.items()}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"w\.pth"):
        tiny_model(data, "gender", weights=tmp_path / "w.pth")


@pytest.mark.parametrize("prefix", ["model.", "_orig_mod.module.", "module._orig_mod.", "backbone.module.", "encoder."])
@pytest.mark.parametrize("wrapper", ["state_dict", "model_state_dict", "net"])
def test_weights_as_trainers_wrap_them(data, tmp_path, prefix, wrapper):
    state = tiny_model(data, "gender", seed=5).body.state_dict()
    torch.save({wrapper: {prefix + k: v for k, v in state.items()}, "epoch": 3}, tmp_path / "w.pth")
    loaded = tiny_model(data, "gender", weights=tmp_path / "w.pth").body.state_dict()
    assert all(torch.equal(loaded[name], state[name]) for name in state)


@pytest.mark.parametrize("field, value", [("size", [10**5, 10**5]), ("paths", [["x"]]), ("temperature", 1e-320)])
def test_a_model_file_that_describes_what_cannot_be_is_refused(data, tmp_path, field, value):
    path = save_model(tiny_model(data, "taxonomy"), tmp_path / "m.pth")
    content = torch.load(path, weights_only=True)
    described = json.loads(content["model"])
    if field == "paths":
        described["tasks"][0]["paths"] = value
    elif field == "size":
        described["size"] = value
    else:
        content["temperatures"] = json.dumps({"taxonomy": value})
    content["model"] = json.dumps(described)
    torch.save(content, path)
    with pytest.raises(ValueError, match=r"m\.pth"):
        load_model(path)


# --- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize("train, size", [(32, 1), (1, 8)])
def test_a_batch_of_one_image_and_batch_norm(tmp_path, train, size):
    one = tiny_data(tiny_table(train=train, val=8, test=8))
    with pytest.raises(ValueError, match="batch_size .* images: a batch norm needs two"):
        fit(
            tiny_model(one, "item" if train > 1 else "gender"),
            one,
            Settings(epochs=1, batch_size=size),
            tmp_path / "run",
        )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("profile", [2024, False, None, "a b", "../up"])
def test_a_profile_is_text_that_can_be_a_folder(tmp_path, profile):
    with pytest.raises(ValueError, match="text of letters"):
        Results(tmp_path, profile, "01")


# --- tables and files -----------------------------------------------------------------------------


def test_one_impossible_path_costs_its_row_alone(photos):
    rows = [*(f"{k}.png,{'ab'[k % 2]}" for k in range(20)), f"{'x' * 300}.png,a", "a\0b.png,a".replace("\0", "\x01")]
    (photos / "t.csv").write_text("\n\nimage,type\n" + "\n".join(rows) + "\n")
    catalogue = open_catalogue(photos / "t.csv", images="photos", category="type")
    assert len(catalogue) == 20 and catalogue.rejected["row"].tolist() == [24, 25]


def test_names_of_files_and_columns_may_be_composed_otherwise(photos):
    os.rename(photos / "photos" / "0.png", photos / "photos" / "cafe\u0301.png")
    names = ["caf\u00e9.png", *(f"{k}.png" for k in range(1, 20))]
    frame = pd.DataFrame({"image": names, "cat\u00e9gorie\u200b": ["a", "b"] * 10})
    frame.to_csv(photos / "t.csv", index=False)
    catalogue = open_catalogue(photos / "t.csv", images="photos", category="cat\u00e9gorie")
    assert len(catalogue) == 20 and catalogue.tasks["category"].classes == ("a", "b")


def test_a_parquet_column_that_cannot_be_read_is_told_with_the_file(photos):
    table = pa.table({"image": [f"{k}.png" for k in range(20)], "day": pa.array([2**30] * 20, pa.date32())})
    pq.write_table(table, photos / "t.parquet")
    with pytest.raises(CatalogueError, match=r"t\.parquet"):
        open_catalogue(photos / "t.parquet", images="photos", category="day")


# --- photos and results of a shop -----------------------------------------------------------------


class Dribbling(io.RawIOBase):
    """A stream that gives some bytes at a time, as a socket or pipe does."""

    def __init__(self, data: bytes):
        self.file = io.BytesIO(data)

    def readable(self):
        return True

    def readinto(self, buffer):
        part = self.file.read(min(50, len(buffer)))
        buffer[: len(part)] = part
        return len(part)


def test_streams_are_read_to_their_end_and_others_are_told(model):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 30, 3), np.uint8)).save(made := io.BytesIO(), "PNG")
    tagger = Tagger(model, "tiny")
    tags = tagger.tag([("a", made.getvalue()), ("b", Dribbling(made.getvalue())), ("c", io.StringIO("text"))], top=1)
    seen = {name: part.drop(columns="image").reset_index(drop=True) for name, part in tags.groupby("image")}
    pd.testing.assert_frame_equal(seen["a"], seen["b"])
    assert "gives no bytes" in seen["c"]["error"].item()
    for wrong in ({"a": made.getvalue()}, pd.DataFrame({"image": ["a.jpg"]})):
        with pytest.raises(TypeError, match="is no folder, no photo and no list"):
            tagger.tag(wrong)


def test_what_the_user_has_put_beside_a_result_stays(photos, model):
    path = save_model(model, photos / "m.pth")
    (photos / "t.csv.job").mkdir()
    (photos / "t.csv.job" / "mine.txt").write_text("mine")
    tag_folder(path, photos / "photos", photos / "t.csv")
    assert os.listdir(photos / "t.csv.job") == ["mine.txt"]
    (photos / "u.csv.job.json").write_text("mine")
    with pytest.raises(ValueError, match=r"u\.csv is there already"):
        tag_folder(path, photos / "photos", photos / "u.csv")
    assert (photos / "u.csv.job.json").read_text() == "mine"


@pytest.mark.parametrize(
    "where", ["localhost:19530", "localhost:19530/", "[::1]:19530", "", "  ", "http://", "ftp://x"]
)
def test_a_place_that_is_none_is_refused(where, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="names no place|no folder and no object store"):
        open_index(where, dimension=4, model_id="m")
    assert os.listdir(tmp_path) == []


def test_a_single_value_to_search_for_need_not_be_text():
    with open_index(None, dimension=4, model_id="m", attributes=["size"]) as index:
        index.insert(["a", "b"], np.eye(4)[:2], pd.DataFrame({"size": ["37", "38"]}))
        with pytest.raises(ValueError, match="where, size"):
            index.search(np.eye(4)[:1], 1, {"size": 37})
        with pytest.raises(ValueError, match="k is '3'"):
            index.search(np.eye(4)[:1], "3")

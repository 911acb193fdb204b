"""DeepFashion's retrieval benchmark: a release written by hand."""

import numpy as np
import pandas as pd
import pytest

from fashionlib.data.catalogue import CatalogueError
from fashionlib.sources import open_catalogue
from fashionlib.sources.deepfashion_inshop import open_inshop
from releases import INSHOP, SHOP, changed, picture

IMAGES = [row[0] for row in SHOP]


def test_the_annotation_is_read_as_it_stands(tree):
    catalogue = open_catalogue("deepfashion-inshop", tree(INSHOP, IMAGES))
    table = catalogue.table
    assert table["image"].tolist() == IMAGES
    assert table["item"].tolist() == [row[1] for row in SHOP]
    assert table["gender"].tolist() == ["MEN"] * 16 + ["WOMEN"] * 2
    assert table["category"].tolist() == ["Denim"] * 16 + ["Graphic_Tees"] * 2
    assert table["split"].replace("val", "train").tolist() == [row[2] for row in SHOP]
    assert set(catalogue.tasks) == {"item", "category", "gender"}
    assert catalogue.facts == {"split": "official", "split_seed": 42, "crop": True, "queries_without_match": 1}
    assert np.array_equal(catalogue.read(15), picture(15)[1:30, 5:20])


def test_validation_is_made_of_whole_training_items_by_the_seed(tree):
    root = tree(INSHOP, IMAGES)
    chosen = set()
    for seed in range(30):
        table = open_inshop(root, crop=False, seed=seed).table
        val = set(table["item"][table["split"] == "val"])
        assert len(val) == 1  # 15% of 7
        assert not val & set(table["item"][table["split"] != "val"])
        chosen |= val
    assert len(chosen) > 4
    pd.testing.assert_frame_equal(table, open_inshop(root, crop=False, seed=29).table)


@pytest.mark.parametrize("folder", ["Anno", "."])
def test_the_partition_may_lie_elsewhere(tree, tmp_path, folder):
    moved = {f"{folder}/{name.split('/')[1]}": text for name, text in INSHOP.items()}
    tree(moved, IMAGES, "", tmp_path / "data" / "In-shop Clothes Retrieval Benchmark")
    assert len(open_inshop(tmp_path / "data")) == len(SHOP)


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("Eval/list_eval_partition.txt", "id_00000080 query", "id_00000001 query",
            "line 17: item id_00000001 is for query here and for train in line 3; it must be on one side"),
        ("Eval/list_eval_partition.txt", "query", "test", "line 17: 'test' is none of train, query, gallery"),
        ("Eval/list_eval_partition.txt", "18\n", "52712\n", "line 1: it says 52,712 rows, but 18 follow"),
        ("Eval/list_eval_partition.txt", "img/MEN/Denim/id_00000080/01_1", "img/Denim/id_00000080/01_1",
            "line 17: img/Denim/.* is not a path like img/MEN/Denim"),
        ("Anno/list_bbox_inshop.txt", "02_1_front.jpg ", "02_3_front.jpg ", ": no row for img/WOMEN/.*81/02_1_"),
        ("Anno/list_bbox_inshop.txt", "clothes_type ", "", "line 2: the header is"),
    ],
)  # fmt: skip
def test_annotation_that_is_not_as_documented_is_told_with_file_and_line(tree, name, old, new, message):
    with pytest.raises(CatalogueError, match=f"{name} ?{message}"):
        open_inshop(tree(changed(INSHOP, name, old, new), IMAGES))


def test_a_query_whose_match_has_no_image_is_counted(tree):
    catalogue = open_inshop(tree(INSHOP, [image for image in IMAGES if "80/01_2" not in image]))
    assert catalogue.facts["queries_without_match"] == 2 and len(catalogue.rejected) == 1

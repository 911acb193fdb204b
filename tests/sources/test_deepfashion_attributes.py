"""DeepFashion's attribute benchmark: a release written by hand."""

import numpy as np
import pandas as pd
import pytest

from fashionlib.data.catalogue import CatalogueError
from fashionlib.sources import open_catalogue
from fashionlib.sources.deepfashion_attributes import open_attributes
from releases import COARSE, FINE, IMAGES, changed, picture


def test_the_coarse_annotation_is_read_as_it_stands(tree):
    catalogue = open_catalogue("deepfashion-attributes", tree(COARSE))
    table = catalogue.table
    assert table["image"].tolist() == IMAGES
    assert table["split"].tolist() == ["train", "val", "test", "train", "train", "test"]
    assert table["category"].tolist() == ["Jeans", "Jeans", "Blazer", "Blazer", "Jeans", "Jeans"]
    assert table["category_type"].tolist() == [*["lower body"] * 2, *["upper body"] * 2, *["lower body"] * 2]
    expected = ["abstract chevron print", "", "abstract chevron print;?lace;maxi", "lace", None, "?maxi"]
    assert table["attributes"].astype(object).where(table["attributes"].notna(), None).tolist() == expected
    assert catalogue.facts == {"split": "official", "annotations": "coarse", "crop": True}
    assert len(catalogue.rejected) == 0 and catalogue.name == "deepfashion-attributes"


def test_classes_without_images_stay_and_no_number_shifts(tree):
    catalogue = open_attributes(tree(COARSE))
    category, attributes = catalogue.tasks["category"], catalogue.tasks["attributes"]
    assert category.classes == ("Blazer", "Cape", "Jeans", "Sundress")
    assert category.encode(catalogue.table).tolist() == [2, 2, 0, 0, 2, 2]  # the file's numbers, less one
    assert attributes.classes == ("abstract chevron print", "lace", "maxi")
    assert attributes.groups == ("texture", "fabric", "shape")
    assert attributes.encode(catalogue.table).tolist() == [
        [1, 0, 0], [0, 0, 0], [1, -1, 1], [0, 1, 0], [-1, -1, -1], [0, 0, -1]
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["deepfashion-attributes", "Category and Attribute Prediction Benchmark"])
def test_older_names_and_a_folder_around_the_release(tree, tmp_path, name):
    older = {path.replace("Anno_coarse", "Anno"): text.replace("\n", "\r\n") for path, text in COARSE.items()}
    tree(older, root=tmp_path / "data" / name)
    assert len(open_attributes(tmp_path / "data")) == 6


def test_files_in_another_order_are_matched_by_image(tree):
    expected = open_attributes(tree(COARSE))
    mixed = dict(COARSE)
    for name in ("category_img", "attr_img", "bbox"):
        lines = COARSE[f"Anno_coarse/list_{name}.txt"].splitlines(True)
        mixed[f"Anno_coarse/list_{name}.txt"] = "".join(lines[:2] + lines[:1:-1])
    catalogue = open_attributes(tree(mixed))
    pd.testing.assert_frame_equal(catalogue.table, expected.table)
    assert all(np.array_equal(catalogue.read(row), expected.read(row)) for row in range(6))


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("Eval/list_eval_partition.txt", " test\n", " tests\n", "line 5: 'tests' is none of train, val, test"),
        ("Eval/list_eval_partition.txt", "6\n", "7\n", "line 1: it says 7 rows, but 6 follow"),
        ("Eval/list_eval_partition.txt", " evaluation", " item_id evaluation", "line 2: the header is"),
        ("Eval/list_eval_partition.txt", IMAGES[3], IMAGES[0], "line 6: the image .* is already in line 3"),
        ("Anno_coarse/list_category_img.txt", "      1\n", "      5\n", "line 5: 5 is not from 1 to 4"),
        ("Anno_coarse/list_category_img.txt", "      1\n", "      0\n", "line 5: 0 is not from 1 to 4"),
        ("Anno_coarse/list_category_img.txt", "      1\n", "      one\n", "line 5: 'one' is not a whole number"),
        ("Anno_coarse/list_category_img.txt", "      1\n", "\n", "line 5: 1 fields instead of 2"),
        ("Anno_coarse/list_category_img.txt", IMAGES[3], "img/other.jpg", ": no row for .*Lace_Cape.*1.jpg.* line 6"),
        ("Anno_coarse/list_category_cloth.txt", "Cape           3", "Cape           4", "line 4: '4' is none of"),
        ("Anno_coarse/list_attr_cloth.txt", "lace   ", "lace;a   ", "line 4: the name 'lace;a'"),
        ("Anno_coarse/list_attr_cloth.txt", "3\nattr", "4\nattr", "line 1: it says 4 rows, but 3 follow"),
        ("Anno_coarse/list_attr_img.txt", "   -1  1 -1", "   -1  1 -1 1", "line 6: 4 values instead of 3"),
        ("Anno_coarse/list_attr_img.txt", IMAGES[3], IMAGES[0], "line 6: the image .* is already in line 3"),
        ("Anno_coarse/list_bbox.txt", "003 002", "003 2.5", "line 6: '2.5' is not a whole number"),
        ("Anno_coarse/list_bbox.txt", "x_1", "y_1", "line 2: the header is"),
    ],
)
def test_annotation_that_is_not_as_documented_is_told_with_file_and_line(tree, name, old, new, message):
    with pytest.raises(CatalogueError, match=f"{name} ?{message}"):
        open_attributes(tree(changed(COARSE, name, old, new)))


def test_annotation_of_another_kind_is_refused(tree):
    files = {name: text.replace("img/Lace", "Img/Lace") for name, text in COARSE.items()}
    message = "partition.txt line 6: the image 'Img/Lace_Cape/.*' does not begin with 'img/', letter for letter"
    with pytest.raises(CatalogueError, match=message):
        open_attributes(tree(files))
    with pytest.raises(ValueError, match="annotations is 'both'; there are 'coarse' and 'fine'"):
        open_attributes(tree(COARSE), annotations="both")


def test_the_fine_annotation_is_read_as_it_stands(tree):
    catalogue = open_catalogue("deepfashion-attributes", tree(FINE), annotations="fine")
    table, task = catalogue.table, catalogue.tasks["attributes"]
    assert table["image"].tolist() == [IMAGES[k] for k in (0, 1, 2, 4)]
    assert table["split"].tolist() == ["train", "train", "val", "test"]
    assert table["category"].tolist() == ["category 3", "category 41", "category 3", "category 50"]
    line = "long_sleeve;maxi_length;square_neckline;denim;loose"
    assert table["attributes"].tolist() == ["floral;conventional", "", line, line]
    assert np.array_equal(catalogue.read(1), picture(1)[2:31, 1:20])
    assert catalogue.tasks["category"].classes == tuple(f"category {k}" for k in range(1, 51))
    assert len(task.classes) == 26 and task.encode(table)[0].tolist() == [1, *[0] * 24, 1]
    members = pd.Series(task.classes).groupby(list(task.groups), sort=False).agg(list).to_dict()
    assert {group: len(names) for group, names in members.items()} == {
        "pattern": 7, "sleeve": 3, "length": 3, "neckline": 4, "fabric": 6, "fit": 3
    }  # fmt: skip
    assert members["neckline"] == ["crew_neckline", "v_neckline", "square_neckline", "no_neckline"]
    assert catalogue.facts["annotations"] == "fine" and catalogue.name == "deepfashion-attributes-fine"


def test_fine_categories_have_names_where_a_list_of_them_is_found(tree):
    names = "50\ncategory_name  category_type\n" + "".join(f"C{k}  {1 + k % 3}\n" for k in range(1, 51))
    for folder in ("Anno_coarse", "Anno_fine"):  # the second counts more
        root = tree({**FINE, f"{folder}/list_category_cloth.txt": names.replace("C", folder)})
        table = open_attributes(root, annotations="fine").table
        assert table["category"].tolist() == [f"{folder}{k}" for k in (3, 41, 3, 50)]
        assert table["category_type"].tolist() == ["upper body", "full body", "upper body", "full body"]


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("train_cate.txt", "41\n", "", "line 2: the file has 1 rows, but .*train.txt has 2"),
        ("train_attr.txt", "0 \n", "0 \n" + "0 " * 26, "line 3: the file has 3 rows, but .*train.txt has 2"),
        ("train_bbox.txt", "31\n", "31 7\n", "line 2: 5 fields instead of 4"),
        ("val_attr.txt", "0 0 0 0 0 0 0 1", "0 0 0 0 0 0 1", "line 1: 25 fields instead of 26"),
        ("val_attr.txt", "0 0 1 0", "0 0 2 0", "line 1: 2 is not from 0 to 1"),
        ("test_cate.txt", "50", "51", "line 1: 51 is not from 1 to 50"),
        ("test.txt", IMAGES[4], IMAGES[1], "line 1: the image .* is already in .*Anno_fine/train.txt line 2"),
        ("test.txt", IMAGES[4], "Lace/1.jpg", "line 1: the image 'Lace/1.jpg' does not begin with 'img/'"),
    ],
)
def test_fine_files_that_do_not_fit_together_are_told_with_file_and_line(tree, name, old, new, message):
    with pytest.raises(CatalogueError, match=f"Anno_fine/{name} {message}"):
        open_attributes(tree(changed(FINE, f"Anno_fine/{name}", old, new)), annotations="fine")

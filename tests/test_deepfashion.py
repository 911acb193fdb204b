"""DeepFashion: files written here by hand in the official formats, and the trees that the drawn catalogue writes."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fashionlib.data.catalogue import CatalogueError
from fashionlib.data.decoding import BadImage
from fashionlib.data.images import cache_images
from fashionlib.sources import open_catalogue
from fashionlib.sources.crops import CroppedImages
from fashionlib.sources.deepfashion import open_attributes, open_inshop
from study.drawn.deepfashion_files import CATEGORIES, write_coarse, write_fine, write_inshop

IMAGES = [f"img/{folder}/img_0000000{k}.jpg" for folder in ("Sheer_Blouse", "Lace_Cape") for k in (1, 2, 3)]
LIST = "list_{}.txt".format
COARSE = {
    "Anno_coarse/list_category_cloth.txt": """4
category_name  category_type
Blazer         1
Cape           3
Jeans          2
Sundress       3
""",
    "Anno_coarse/list_attr_cloth.txt": """3
attribute_name               attribute_type
abstract chevron print       1
lace                         2
maxi                         3
""",
    "Anno_coarse/list_category_img.txt": "6\nimage_name   category_label\n"
    + "".join(f"{image}      {n}\n" for image, n in zip(IMAGES, (3, 3, 1, 1, 3, 3), strict=True)),
    "Anno_coarse/list_attr_img.txt": "6\nimage_name   attribute_labels\n"
    + "".join(
        f"{image}   {values}\n"
        for image, values in zip(
            IMAGES, (" 1 -1 -1", "-1 -1 -1", " 1  0  1", "-1  1 -1", " 0  0  0", "-1 -1  0"), strict=True
        )
    ),
    "Anno_coarse/list_bbox.txt": "6\nimage_name   x_1  y_1  x_2  y_2\n"
    + "".join(f"{image}   00{k} 002 020 03{k}\n" for k, image in enumerate(IMAGES)),
    "Eval/list_eval_partition.txt": "6\nimage_name   evaluation_status\n"
    + "".join(
        f"{image}   {part}\n"
        for image, part in zip(IMAGES, ("train", "val", "test", "train", "train", "test"), strict=True)
    ),
}
FINE = {
    "Anno_fine/train.txt": f"{IMAGES[0]}\n{IMAGES[1]}\n",
    "Anno_fine/train_attr.txt": f"1 {'0 ' * 24}1 \n{'0 ' * 26}\n",
    "Anno_fine/train_cate.txt": "3\n41\n",
    "Anno_fine/train_bbox.txt": "1 2 20 30\n1 2 20 31\n",
    "Anno_fine/val.txt": f"{IMAGES[2]}\n",
    "Anno_fine/val_attr.txt": "0 0 0 0 0 0 0 1 0 0 1 0 0 0 0 1 0 1 0 0 0 0 0 0 1 0\n",
    "Anno_fine/val_cate.txt": "3\n",
    "Anno_fine/val_bbox.txt": "001 002 020 030\n",
    "Anno_fine/test.txt": f"{IMAGES[4]}\n",
    "Anno_fine/test_attr.txt": "0 0 0 0 0 0 0 1 0 0 1 0 0 0 0 1 0 1 0 0 0 0 0 0 1 0\n",
    "Anno_fine/test_cate.txt": "50\n",
    "Anno_fine/test_bbox.txt": "001 002 020 030\n",
}
SHOP = [  # path, item, part, box
    *(
        (f"img/MEN/Denim/id_0000000{k}/01_{v}_front.jpg", f"id_0000000{k}", "train")
        for k in range(1, 8)
        for v in (1, 2)
    ),
    ("img/MEN/Denim/id_00000080/01_1_front.jpg", "id_00000080", "query"),
    ("img/MEN/Denim/id_00000080/01_2_side.jpg", "id_00000080", "gallery"),
    ("img/WOMEN/Graphic_Tees/id_00000081/02_1_front.jpg", "id_00000081", "query"),
    ("img/WOMEN/Graphic_Tees/id_00000082/02_1_front.jpg", "id_00000082", "gallery"),
]
INSHOP = {
    "Eval/list_eval_partition.txt": f"{len(SHOP)}\nimage_name item_id evaluation_status\n"
    + "".join(f"{image:<70} {item} {part}\n" for image, item, part in SHOP),
    "Anno/list_bbox_inshop.txt": f"{len(SHOP)}\nimage_name clothes_type pose_type x_1 y_1 x_2 y_2\n"
    + "".join(f"{image:<70} 2 1 00{k % 10} 001 020 030\n" for k, (image, _, _) in enumerate(SHOP)),
}


def picture(k: int) -> np.ndarray:
    """24 x 40 pixels with a gradient, so that a crop at another place differs."""
    y, x = np.mgrid[:40, :24]
    return np.stack([x * 10, y * 6, np.full_like(x, k * 30)], axis=2).astype(np.uint8)


@pytest.fixture
def tree(tmp_path, encode):
    """Writes a release: ``tree(COARSE, images, folder)``, the images as PNG so that pixels stay as they are."""

    def make(files, images=IMAGES, at="Img/", root=tmp_path / "release"):
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        for k, image in enumerate(images):
            path = root / at / image
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode(picture(k), "PNG"))
        return root

    return make


def changed(files, name, old, new):
    assert old in files[name], "the test changes nothing"
    return {**files, name: files[name].replace(old, new)}


# --- coarse -------------------------------------------------------------------------------------------------


def test_the_coarse_annotation_is_read_as_it_stands(tree):
    catalogue = open_catalogue("deepfashion-attributes", tree(COARSE))
    table = catalogue.table
    assert table["image"].tolist() == IMAGES
    assert table["split"].tolist() == ["train", "val", "test", "train", "train", "test"]
    assert table["category"].tolist() == ["Jeans", "Jeans", "Blazer", "Blazer", "Jeans", "Jeans"]
    assert table["category_type"].tolist() == [*["lower body"] * 2, *["upper body"] * 2, *["lower body"] * 2]
    expected = ["abstract chevron print", "", "abstract chevron print;?lace;maxi", "lace", None, "?maxi"]
    assert table["attributes"].astype(object).where(table["attributes"].notna(), None).tolist() == expected
    assert len(catalogue.rejected) == 0
    assert catalogue.facts == {"split": "official", "annotations": "coarse", "crop": True}


def test_classes_without_images_stay_and_no_number_shifts(tree):
    tasks = open_attributes(tree(COARSE)).tasks
    assert tasks["category"].classes == ("Blazer", "Cape", "Jeans", "Sundress")
    assert tasks["attributes"].classes == ("abstract chevron print", "lace", "maxi")
    assert tasks["attributes"].groups == ("texture", "fabric", "shape")
    table = open_attributes(tree(COARSE)).table
    assert tasks["category"].encode(table).tolist() == [2, 2, 0, 0, 2, 2]  # the file's numbers, less one
    assert tasks["attributes"].encode(table).tolist() == [
        [1, 0, 0], [0, 0, 0], [1, -1, 1], [0, 1, 0], [-1, -1, -1], [0, 0, -1]
    ]  # fmt: skip


@pytest.mark.parametrize("at", ["", "Img/", "IMG/"])
def test_images_may_lie_in_img_or_in_a_folder_around_it(tree, at):
    catalogue = open_attributes(tree(COARSE, at=at), crop=False)
    assert len(catalogue) == 6 and catalogue.read(5).startswith(b"\x89PNG")


def test_images_may_have_been_unpacked_into_img_itself(tree):
    catalogue = open_attributes(tree(COARSE, [image.replace("img/", "Img/", 1) for image in IMAGES], ""), crop=False)
    assert len(catalogue) == 6 and catalogue.read(5).startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["deepfashion-attributes", "Category and Attribute Prediction Benchmark"])
def test_older_names_and_a_folder_around_the_release(tree, tmp_path, name):
    older = {path.replace("Anno_coarse", "Anno"): text.replace("\n", "\r\n") for path, text in COARSE.items()}
    tree(older, root=tmp_path / "data" / name)
    assert len(open_attributes(tmp_path / "data")) == 6


def test_files_in_another_order_are_matched_by_image(tree):
    expected = open_attributes(tree(COARSE))
    mixed = dict(COARSE)
    for name in ("category_img", "attr_img", "bbox"):
        head, rows = mixed[f"Anno_coarse/{LIST(name)}"].splitlines(True)[:2], COARSE[f"Anno_coarse/{LIST(name)}"]
        mixed[f"Anno_coarse/{LIST(name)}"] = "".join(head + rows.splitlines(True)[:1:-1])
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
        ("Anno_coarse/list_attr_img.txt", "   -1  1 -1", "   -1  2 -1", "line 6: value 2 of .* is '2'"),
        ("Anno_coarse/list_attr_img.txt", IMAGES[3], IMAGES[0], "line 6: the image .* is already in line 3"),
        ("Anno_coarse/list_bbox.txt", "003 002", "003 2.5", "line 6: '2.5' is not a whole number"),
        ("Anno_coarse/list_bbox.txt", "x_1", "y_1", "line 2: the header is"),
    ],
)
def test_annotation_that_is_not_as_documented_is_told_with_file_and_line(tree, name, old, new, message):
    with pytest.raises(CatalogueError, match=f"{name} ?{message}"):
        open_attributes(tree(changed(COARSE, name, old, new)))


def test_a_missing_file_is_named(tree):
    root = tree(COARSE)
    (root / "Anno_coarse" / "list_bbox.txt").unlink()
    assert len(open_attributes(root, crop=False)) == 6
    with pytest.raises(CatalogueError, match="there is no list_bbox.txt; unpack"):
        open_attributes(root)
    (root / "Eval" / "list_eval_partition.txt").unlink()
    with pytest.raises(CatalogueError, match="there is no Eval/list_eval_partition.txt"):
        open_attributes(root)


def test_without_the_release_the_error_says_who_has_it(tmp_path):
    for name, file in (
        ("deepfashion-attributes", "Anno_coarse/list_category_img.txt"),
        ("deepfashion-inshop", "Eval/list_eval_partition.txt"),
    ):
        with pytest.raises(CatalogueError, match=rf"{name}: no {file}.*{tmp_path / name}.*authors on request.*mmlab"):
            open_catalogue(name, tmp_path)
    with pytest.raises(ValueError, match="annotations is 'both'; there are 'coarse' and 'fine'"):
        open_attributes(tmp_path, annotations="both")


# --- images that are not there, paths in other case ---------------------------------------------------------


def test_rows_without_an_image_are_listed_with_their_line(tree):
    catalogue = open_attributes(tree(COARSE, [IMAGES[k] for k in (0, 1, 3)]))
    assert catalogue.table["image"].tolist() == [IMAGES[0], IMAGES[1], IMAGES[3]]
    assert catalogue.rejected["image"].tolist() == [IMAGES[2], IMAGES[4], IMAGES[5]]
    assert catalogue.rejected["row"].tolist() == [5, 7, 8]
    assert catalogue.rejected["source"].str.endswith("Eval/list_eval_partition.txt").all()
    assert catalogue.rejected["reason"][0].startswith("list_eval_partition.txt line 5: no such file in")
    assert np.array_equal(catalogue.read(2), picture(2)[2:33, 3:20])  # the third row kept its own box


def test_without_any_image_the_error_says_where_they_belong(tree):
    root = tree(COARSE, [])
    places = f"{root / 'img'} or {root / 'Img' / 'img'}"
    with pytest.raises(CatalogueError, match=f"none of the 6 images that .*partition.txt lists.*{places}.*on request"):
        open_attributes(root)
    tree({}, ["img/Other/1.jpg"])
    with pytest.raises(CatalogueError, match="none of the 6 images"):
        open_attributes(root)


@pytest.mark.parametrize(
    "near",
    ["img/sheer_Blouse/img_00000001.jpg", "img/Sheer_Blouse/img_00000001.JPG", "img/Sheer_blouse/IMG_00000001.jpg"],
)
def test_a_path_in_other_letter_case_is_told_with_the_nearest_one(tree, near):
    root = tree(COARSE, [near, *IMAGES[1:]])
    message = (
        f"partition.txt line 3: {IMAGES[0]} is not in .*; the nearest path is {near}, which differs in letter case"
    )
    with pytest.raises(CatalogueError, match=message):
        open_attributes(root)


def test_annotation_that_writes_img_otherwise_is_refused(tree):
    files = {name: text.replace("img/Lace", "Img/Lace") for name, text in COARSE.items()}
    message = "partition.txt line 6: the image 'Img/Lace_Cape/.*' does not begin with 'img/', letter for letter"
    with pytest.raises(CatalogueError, match=message):
        open_attributes(tree(files))


def test_a_path_that_leaves_the_folder_is_not_read(tree, encode):
    outside = "img/../../secret.png"
    files = {name: text.replace(IMAGES[5], outside) for name, text in COARSE.items()}
    root = tree(files)
    (root / "secret.png").write_bytes(encode(picture(0), "PNG"))
    catalogue = open_attributes(root, crop=False)
    assert catalogue.rejected["image"].tolist() == [outside]
    with pytest.raises(BadImage, match="leaves the data folder"):
        catalogue.images.read(outside)


# --- boxes --------------------------------------------------------------------------------------------------


def test_images_are_cut_to_their_box_as_pillow_cuts(tree):
    root = tree(COARSE)
    cut, whole = open_attributes(root), open_attributes(root, crop=False)
    assert whole.facts["crop"] is False
    for row in range(6):
        original = Image.open(io.BytesIO(whole.read(row)))
        assert np.array_equal(np.asarray(original), picture(row))
        expected = np.asarray(original.crop((row, 2, 20, min(30 + row, 40))))
        assert cut.read(row).dtype == np.uint8 and np.array_equal(cut.read(row), expected)


def test_a_box_is_clipped_to_the_picture_and_an_empty_one_is_named(photo_folder, encode, tmp_path):
    boxes = {"a.png": (-5, 10, 99, 99), "b.png": (20, 5, 20, 9), "c.png": (9, 5, 3, 9), "d.png": (30, 5, 40, 9),
             "e.png": (0, 0, 24, 40)}  # fmt: skip
    content = {name: encode(picture(1), "PNG") for name in boxes} | {"e.png": b"cut off"}
    catalogue = photo_folder(content)
    images = CroppedImages(catalogue.images, list(boxes), np.array(list(boxes.values())))
    assert np.array_equal(images.read("a.png"), picture(1)[10:40, 0:24])
    for name in ("b.png", "c.png", "d.png"):
        box = ", ".join(map(str, boxes[name]))
        with pytest.raises(BadImage, match=rf"{name}: the box \({box}\) is empty in a picture of 24 x 40"):
            images.read(name)
    with pytest.raises(BadImage, match="e.png: not a JPEG"):
        images.read("e.png")
    with pytest.raises(BadImage, match="gone.png: no box is known"):
        images.read("gone.png")
    catalogue.images = images
    data = cache_images(catalogue, (24, 32), tmp_path / "cache")
    assert data.catalogue.rejected["image"].tolist() == ["b.png", "c.png", "d.png", "e.png"]


def test_a_rotated_photograph_is_turned_before_it_is_cut(photo_folder, encode):
    turned = Image.Exif()
    turned[0x0112] = 6  # the camera lay on its side
    lying = np.rot90(picture(1))
    catalogue = photo_folder({"a.png": encode(lying, "PNG", exif=turned)})
    images = CroppedImages(catalogue.images, ["a.png"], np.array([[3, 5, 20, 30]]))
    assert np.array_equal(images.read("a.png"), picture(1)[5:30, 3:20])


def test_the_fingerprint_covers_images_and_boxes(tree):
    root = tree(COARSE)
    cut, whole = open_attributes(root).images, open_attributes(root, crop=False).images
    prints = [cut.fingerprint, whole.fingerprint]
    assert prints == [open_attributes(root).images.fingerprint, open_attributes(root, crop=False).images.fingerprint]
    for name, text in changed(COARSE, "Anno_coarse/list_bbox.txt", "003 002", "004 002").items():
        (root / name).write_text(text)
    prints.append(open_attributes(root).images.fingerprint)
    tree({}, ["img/new.png"])
    prints.append(open_attributes(root).images.fingerprint)
    assert len(set(prints)) == 4


def test_the_cache_lies_beside_the_annotation_and_counts_as_no_image(tree):
    root = tree(COARSE, at="")
    before = open_attributes(root)
    assert (root / "Anno_coarse" / ".fashionlib").is_dir()
    after = open_attributes(root)
    assert after.fingerprint == before.fingerprint
    pd.testing.assert_frame_equal(after.table, before.table)


# --- fine ---------------------------------------------------------------------------------------------------


def test_the_fine_annotation_is_read_as_it_stands(tree):
    catalogue = open_catalogue("deepfashion-attributes", tree(FINE), annotations="fine")
    assert catalogue.table["image"].tolist() == [IMAGES[k] for k in (0, 1, 2, 4)]
    assert catalogue.table["split"].tolist() == ["train", "train", "val", "test"]
    assert catalogue.table["category"].tolist() == ["category 3", "category 41", "category 3", "category 50"]
    line = "long_sleeve;maxi_length;square_neckline;denim;loose"
    assert catalogue.table["attributes"].tolist() == ["floral;conventional", "", line, line]
    assert np.array_equal(catalogue.read(1), picture(1)[2:31, 1:20])
    assert catalogue.tasks["category"].classes == tuple(f"category {k}" for k in range(1, 51))
    task = catalogue.tasks["attributes"]
    assert len(task.classes) == 26 and task.encode(catalogue.table)[0].tolist() == [1, *[0] * 24, 1]
    members = pd.Series(task.classes).groupby(list(task.groups), sort=False).agg(list).to_dict()
    assert {group: len(names) for group, names in members.items()} == {
        "pattern": 7, "sleeve": 3, "length": 3, "neckline": 4, "fabric": 6, "fit": 3
    }  # fmt: skip
    assert members["neckline"] == ["crew_neckline", "v_neckline", "square_neckline", "no_neckline"]
    assert catalogue.facts["annotations"] == "fine"


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
        ("val_attr.txt", "0 0 1 0", "0 0 -1 0", "line 1: -1 is not from 0 to 1"),
        ("test_cate.txt", "50", "51", "line 1: 51 is not from 1 to 50"),
        ("test.txt", IMAGES[4], IMAGES[1], "line 1: the image .* is already in .*Anno_fine/train.txt line 2"),
        ("test.txt", IMAGES[4], "Lace/1.jpg", "line 1: the image 'Lace/1.jpg' does not begin with 'img/'"),
        ("val_bbox.txt", "001", "x", "line 1: 'x' is not a whole number"),
    ],
)
def test_fine_files_that_do_not_fit_together_are_told_with_file_and_line(tree, name, old, new, message):
    with pytest.raises(CatalogueError, match=f"Anno_fine/{name} {message}"):
        open_attributes(tree(changed(FINE, f"Anno_fine/{name}", old, new)), annotations="fine")


# --- in-shop ------------------------------------------------------------------------------------------------

SHOP_IMAGES = [row[0] for row in SHOP]


def test_the_inshop_annotation_is_read_as_it_stands(tree):
    catalogue = open_catalogue("deepfashion-inshop", tree(INSHOP, SHOP_IMAGES))
    table = catalogue.table
    assert table["image"].tolist() == SHOP_IMAGES
    assert table["item"].tolist() == [row[1] for row in SHOP]
    assert table["gender"].tolist() == ["MEN"] * 16 + ["WOMEN"] * 2
    assert table["category"].tolist() == ["Denim"] * 16 + ["Graphic_Tees"] * 2
    official = table["split"].where(table["split"] != "val", "train")
    assert official.tolist() == [row[2] for row in SHOP]
    assert set(catalogue.tasks) == {"item", "category", "gender"}
    assert catalogue.facts == {
        "split": "official", "split_seed": 42, "crop": True, "queries_without_match": 1
    }  # fmt: skip
    assert np.array_equal(catalogue.read(15), picture(15)[1:30, 5:20])


def test_validation_is_made_of_whole_training_items_by_the_seed(tree):
    root = tree(INSHOP, SHOP_IMAGES)
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
    tree(moved, SHOP_IMAGES, "", tmp_path / "data" / "In-shop Clothes Retrieval Benchmark")
    assert len(open_inshop(tmp_path / "data")) == len(SHOP)


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("Eval/list_eval_partition.txt", "id_00000080 query", "id_00000001 query",
            "line 17: item id_00000001 is for query here and for train in line 3; it must be on one side"),
        ("Eval/list_eval_partition.txt", "query", "test", "line 17: 'test' is none of train, query, gallery"),
        ("Eval/list_eval_partition.txt", " item_id", "", "line 2: the header is"),
        ("Eval/list_eval_partition.txt", "18\n", "52712\n", "line 1: it says 52,712 rows, but 18 follow"),
        ("Eval/list_eval_partition.txt", "img/MEN/Denim/id_00000080/01_1", "img/Denim/id_00000080/01_1",
            "line 17: img/Denim/.* is not a path like img/MEN/Denim"),
        ("Anno/list_bbox_inshop.txt", "02_1_front.jpg ", "02_3_front.jpg ", ": no row for img/WOMEN/.*81/02_1_"),
        ("Anno/list_bbox_inshop.txt", "clothes_type ", "", "line 2: the header is"),
    ],
)  # fmt: skip
def test_inshop_annotation_that_is_not_as_documented_is_told(tree, name, old, new, message):
    with pytest.raises(CatalogueError, match=f"{name} ?{message}"):
        open_inshop(tree(changed(INSHOP, name, old, new), SHOP_IMAGES))


def test_a_query_whose_match_has_no_image_is_counted(tree):
    catalogue = open_inshop(tree(INSHOP, [image for image in SHOP_IMAGES if "80/01_2" not in image]))
    assert catalogue.facts["queries_without_match"] == 2 and len(catalogue.rejected) == 1


# --- trees that the drawn catalogue writes ------------------------------------------------------------------

CATEGORY = {"Tshirts": "Tee", "Shirts": "Button-Down", "Tops": "Top", "Jeans": "Jeans", "Kurtas": "Kaftan",
    "Dresses": "Dress", "Trousers": "Chinos", "Sweatshirts": "Hoodie", "Shorts": "Shorts", "Jackets": "Jacket",
    "Track Pants": "Sweatpants", "Skirts": "Skirt", "Blazers": "Blazer"}  # fmt: skip


@pytest.fixture(scope="module")
def drawn():
    catalogue = open_catalogue("synthetic", items=50, size=(24, 32))
    garments = catalogue.table.index[catalogue.table["articleType"].isin(list(CATEGORY))]
    return catalogue, catalogue.table.loc[garments], garments.tolist()


@pytest.fixture(scope="module")
def written(drawn, tmp_path_factory):
    root = tmp_path_factory.mktemp("deepfashion")
    return root, [write(drawn[0], root) for write in (write_coarse, write_fine, write_inshop)]


def words_of(table):
    return table["attributes"].map(lambda text: {word.split(":")[-1] for word in text.split(";")})


def close(catalogue, drawn, rows) -> None:
    """A cropped image is the drawing itself, JPEG apart; the whole one is larger and has noise around."""
    for row, original in zip(range(len(catalogue)), rows, strict=True):
        pixels = catalogue.read(row)
        assert pixels.shape == (32, 24, 3)
        assert np.abs(pixels.astype(int) - drawn.read(original)).mean() < 12


def test_the_coarse_tree_is_read_back(drawn, written):
    catalogue, table, rows = drawn
    root, (folder, _, _) = written
    read = open_catalogue("deepfashion-attributes", root)
    assert open_attributes(folder).fingerprint == read.fingerprint
    assert read.table["split"].tolist() == table["split"].tolist()
    assert read.table["category"].tolist() == table["articleType"].map(CATEGORY).tolist()
    said = read.table["attributes"].str.split(";").map(set)
    for here, there in (("striped", "striped"), ("floral", "floral print"), ("long-sleeve", "long sleeve")):
        known = ~said.map(lambda words, name=there: f"?{name}" in words)
        expected = words_of(table).map(lambda words, name=here: name in words).to_numpy()
        assert (said.map(lambda words, name=there: name in words) == expected)[known].all(), here
    assert said.map(lambda words: any(word.startswith("?") for word in words)).any()
    close(read, catalogue, rows)
    whole = Image.open(io.BytesIO(open_attributes(folder, crop=False).read(0)))
    assert whole.size == (36, 48)


def test_the_tree_has_the_real_categories_and_some_are_empty(written):
    read = open_attributes(written[0])
    assert read.tasks["category"].classes == CATEGORIES and len(CATEGORIES) == 50
    for number, name in (
        (1, "Anorak"),
        (3, "Blouse"),
        (20, "Turtleneck"),
        (21, "Capris"),
        (36, "Trunks"),
        (37, "Caftan"),
    ):
        assert CATEGORIES[number - 1] == name
    assert not {"Cape", "Nightdress", "Shirtdress", "Sundress"} & set(read.table["category"])
    numbers = read.tasks["category"].encode(read.table)
    assert (np.array(CATEGORIES)[numbers] == read.table["category"]).all()
    lines = (written[1][0] / "Anno_coarse" / "list_category_cloth.txt").read_text().splitlines()
    assert lines[:3] == ["50", "category_name  category_type", "Anorak         1"]
    assert any(" " in name for name in read.tasks["attributes"].classes)
    boxes = (written[1][0] / "Anno_coarse" / "list_bbox.txt").read_text().splitlines()[2:]
    assert all(len(field) == 3 for line in boxes for field in line.split()[1:])


def test_the_fine_tree_is_read_back(drawn, written):
    catalogue, table, rows = drawn
    read = open_catalogue("deepfashion-attributes", written[0], annotations="fine")
    order = [k for part in ("train", "val", "test") for k in np.flatnonzero(table["split"] == part)]
    assert read.table["category"].tolist() == table["articleType"].map(CATEGORY).iloc[order].tolist()
    said = read.table["attributes"].str.split(";").map(set)
    expected = words_of(table.iloc[order])
    for here, there in (("striped", "striped"), ("v-neck", "v_neckline"), ("sleeveless", "sleeveless")):
        assert [there in words for words in said] == [here in words for words in expected]
    close(read, catalogue, [rows[k] for k in order])


def test_the_inshop_tree_is_read_back(drawn, written):
    catalogue, table, rows = drawn
    read = open_catalogue("deepfashion-inshop", written[0])
    assert len(read) == len(table)  # every product has two views at least
    pairs = pd.DataFrame({"here": table["item"].to_numpy(), "there": read.table["item"].to_numpy()}).drop_duplicates()
    assert pairs["here"].is_unique and pairs["there"].is_unique
    women = table["gender"].isin(["Women", "Girls"]).map({True: "WOMEN", False: "MEN"})
    assert read.table["gender"].tolist() == women.tolist()
    denim = read.table["category"] == "Denim"
    assert denim.tolist() == (table["articleType"] == "Jeans").tolist()
    sides = read.table.groupby("item")["split"].agg(lambda parts: "".join(sorted(set(parts))))
    assert set(sides) == {"train", "val", "galleryquery"} and read.facts["queries_without_match"] == 0
    close(read, catalogue, rows)


def test_rows_that_deepfashion_could_not_have_are_left_out(tmp_path):
    catalogue = open_catalogue("synthetic", items=30, size=(24, 32), missing=0.3)
    table = catalogue.table
    possible = table["articleType"].isin(list(CATEGORY)) & table["gender"].notna() & table["usage"].notna()
    read = open_attributes(write_coarse(catalogue, tmp_path))
    assert 0 < len(read) == possible.sum() < len(table)

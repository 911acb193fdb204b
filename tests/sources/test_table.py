"""A table of the user's own: what is read, what is rejected, and what the errors say."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fashionlib.data.catalogue import CatalogueError
from fashionlib.data.images import cache_images
from fashionlib.sources import open_catalogue

PHOTOS = ("a.jpg", "b.jpg", "c.jpg", "sub/d.png", "e.jpg", "f.jpg", "g.jpg", "h.jpg")
HEADER = "photo,type,pattern,sleeve,sku,part"
ROWS = [
    "a.jpg,dress,striped,long,11,train",
    'b.jpg,dress,,short,11,train',
    'c.jpg," shirt ",solid,,12,train',
    "sub/d.png,shirt,,,,train",
    "e.jpg,shirt,striped,long,13,val",
    'f.jpg,,"solid;dotted",short,13,test',
    "g.jpg,dress,solid,long,14,query",
    "h.jpg,dress,solid,long,14,gallery",
]  # fmt: skip
SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}
OPTIONS = {"images": "photos", "image": "photo", "category": "type", "item": "sku", "split": "part"}


@pytest.fixture
def shop(tmp_path, encode):
    """Makes eight photos and a table beside their folder; returns the table's path."""

    def make(rows=ROWS, header=HEADER, name="my.csv", files=PHOTOS):
        for k, file in enumerate(files):
            path = tmp_path / "photos" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode([[[2 * k] * 3] * 24] * 32, "PNG" if file.endswith("png") else "JPEG"))
        (tmp_path / name).write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        return tmp_path / name

    return make


def test_the_columns_become_category_attributes_item_and_split(shop):
    catalogue = open_catalogue(str(shop()), **OPTIONS, attributes=["pattern", "sleeve"])
    table = catalogue.table
    assert catalogue.name == "my" and catalogue.facts == {"split": "given"} and len(catalogue.rejected) == 0
    assert table["image"].tolist() == list(PHOTOS) == table["photo"].tolist()
    assert table["category"].tolist() == ["dress", "dress", "shirt", "shirt", "shirt", None, "dress", "dress"]
    assert table["item"].tolist() == ["11", "11", "12", None, "13", "13", "14", "14"]
    assert table["split"].tolist() == ["train"] * 4 + ["val", "test", "query", "gallery"]
    kinds = [type(task).__name__ for task in catalogue.tasks.values()]
    assert dict(zip(catalogue.tasks, kinds, strict=True)) == {
        "category": "SingleLabel", "attributes": "MultiLabel", "item": "Similarity"}  # fmt: skip
    assert catalogue.tasks["category"].classes == ("dress", "shirt")


def test_an_empty_cell_masks_the_classes_of_its_column_and_no_other(shop):
    catalogue = open_catalogue(shop(), **OPTIONS, attributes=["pattern", "sleeve"])
    assert catalogue.table["attributes"].tolist() == [
        "pattern:striped;sleeve:long",
        "?pattern:dotted;?pattern:solid;?pattern:striped;sleeve:short",
        "pattern:solid;?sleeve:long;?sleeve:short",
        None,
        "pattern:striped;sleeve:long",
        "pattern:solid;pattern:dotted;sleeve:short",
        *["pattern:solid;sleeve:long"] * 2,
    ]
    task = catalogue.tasks["attributes"]  # of the training rows: no row there is dotted
    assert task.classes == ("pattern:solid", "pattern:striped", "sleeve:long", "sleeve:short")
    assert task.groups == ("pattern", "pattern", "sleeve", "sleeve")
    assert task.encode(catalogue.table).tolist() == [
        [0, 1, 1, 0], [-1, -1, 0, 1], [1, 0, -1, -1], [-1, -1, -1, -1], [0, 1, 1, 0], [1, 0, 0, 1],
        [1, 0, 1, 0], [1, 0, 1, 0]]  # fmt: skip


def test_one_column_of_attributes_stays_as_it_is(shop):
    cells = ["floral ; long;?lace", "", "long;;floral;long", ";", " lace", "a b", "x:y", "x:z"]
    rows = [f"{photo},{cell},train" for photo, cell in zip(PHOTOS, cells, strict=True)]
    path = shop(rows, "image,tags,split")
    catalogue = open_catalogue(path, images="photos", attributes="tags", split="split")
    expected = ["floral;long;?lace", None, "long;floral", "", "lace", "a b", "x:y", "x:z"]
    assert catalogue.table["attributes"].tolist() == expected
    assert catalogue.tasks["attributes"].classes == ("a b", "floral", "lace", "long", "x:y", "x:z")
    bars = shop([row.replace(";", "|") for row in rows], "image,tags,split", "bars.csv")
    options = {"images": "photos", "attributes": "tags", "split": "split"}
    assert open_catalogue(bars, **options, separator="|").table["attributes"].tolist() == expected
    frame = pd.DataFrame({"image": PHOTOS, "tags": [cell.replace(";", "\n") for cell in cells], "split": "train"})
    frame.to_parquet(lines := path.with_name("lines.parquet"))
    assert open_catalogue(lines, **options, separator="\n").table["attributes"].tolist() == expected
    with pytest.raises(CatalogueError, match="row 2: a name must not hold ';': 'floral ; long;[?]lace'"):
        open_catalogue(path, **options, separator="|")


def test_parquet_and_csv_say_the_same_and_numbers_become_text(shop, tmp_path):
    frame = pd.DataFrame(
        {
            "photo": PHOTOS,
            "type": [1, 2, 1, 2, 1, 2, 1, 2],
            "size": [36.0, np.nan, 38, 38, 36, 36, 36, 36],  # whole numbers, as pandas holds them beside a gap
            "width": [1.5, 2.0, 1.5, 2.0, 1.5, 2.0, 1.5, np.nan],
            "new": [True, False] * 4,
            "code": pd.Categorical(["007", "NA", " x ", "", "007", "007", "007", "007"]),
            "vector": [[1.0, 2.0]] * 8,  # not read, and in nobody's way
        }
    ).set_index("photo")
    shop()
    frame.to_parquet(tmp_path / "my.parquet")
    frame.drop(columns="vector").to_csv(tmp_path / "two.csv")
    labels = ("size", "width", "new", "code")
    for name in ("my.parquet", "two.csv"):
        catalogue = open_catalogue(tmp_path / name, images="photos", image="photo", category="type", labels=labels)
        table = catalogue.table
        assert table["category"].tolist() == ["1", "2"] * 4, name
        assert table["size"].tolist() == ["36", None, "38", "38", *["36"] * 4], name
        assert table["width"].tolist() == [*["1.5", "2"] * 3, "1.5", None], name
        assert table["new"].tolist() == ["True", "False"] * 4, name
        assert table["code"].tolist() == ["007", "NA", "x", None, *["007"] * 4], name
        assert list(catalogue.tasks) == ["category", *labels] and "vector" not in table
        assert len(catalogue.image_fingerprint) == 64


def test_rows_without_a_usable_photo_are_listed_and_the_others_go_on(shop, tmp_path):
    (tmp_path / "secret.jpg").write_bytes(b"x")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (tmp_path / "photos" / "same.jpg").symlink_to("c.jpg")
    bad = {
        10: (",dress,,,1,train", "names no image"),
        12: ("gone.jpg,dress,,,1,train", "no file 'gone.jpg'"),  # row 11 is blank
        13: ("../secret.jpg,dress,,,1,train", "'../secret.jpg' leaves the folder"),
        14: ("/etc/passwd,dress,,,1,train", "'/etc/passwd' leaves the folder"),
        15: ("link.jpg,dress,,,1,train", "'link.jpg' leaves the folder"),
        16: ("sub,dress,,,1,train", "no file 'sub'"),
        17: ("c.jpg,dress,,,1,train", "names 'c.jpg' again, which row 4 had before"),
        18: ("sub/../sub//d.png,dress,,,1,train", "again, which row 5 had before"),
        19: ("same.jpg,dress,,,1,train", "names 'same.jpg' again, which row 4 had before"),
        20: ("a.jpg,dress", "has 2 fields instead of 6"),
        21: ("a.jpg,dress,,,1,train,7", "has 7 fields instead of 6"),
    }
    lines = [row for row, _ in bad.values()]
    path = shop([*ROWS, lines[0], "", *lines[1:]])
    catalogue = open_catalogue(path, **OPTIONS)
    assert catalogue.table["image"].tolist() == list(PHOTOS)
    assert catalogue.rejected["row"].tolist() == list(bad)
    for (_, reason), text in zip(bad.values(), catalogue.rejected["reason"], strict=True):
        assert reason in text
    assert set(catalogue.rejected["source"]) == {str(path)}
    assert len(cache_images(catalogue, (24, 32), tmp_path / "cache").catalogue) == len(PHOTOS)
    rows = [row.replace(",query", ",") for row in ROWS]
    catalogue = open_catalogue(shop(rows), **OPTIONS)
    assert catalogue.rejected[["row", "image"]].values.tolist() == [[8, "g.jpg"]]
    assert catalogue.rejected["reason"].tolist() == ["no split in column 'part'"]


def test_a_row_without_a_split_does_not_take_its_photo_from_the_one_that_has_it(shop):
    path = shop(["0.png,a,", "0.png,a,train"], "image,kind,split", files=["0.png"])
    catalogue = open_catalogue(path, images="photos", labels="kind", split="split")
    assert catalogue.table["image"].tolist() == ["0.png"] and catalogue.rejected["row"].tolist() == [2]


def test_no_usable_row_is_an_error_that_counts_the_reasons_and_shows_the_first_of_each(shop):
    path = shop([",dress,,,1,train", "x.jpg,dress,,,1,train", "y.jpg,dress,,,1,train", "short"])
    message = "my.csv: none of its 4 rows can be used; 2 like row 3: no file 'x.jpg' in .*; 1 like row 2: names no"
    with pytest.raises(CatalogueError, match=f"{message} image; 1 like row 5: has 1 fields instead of 6$"):
        open_catalogue(path, **OPTIONS)
    with pytest.raises(CatalogueError, match="none of its 0 rows can be used$"):
        open_catalogue(shop([]), **OPTIONS)


def test_where_images_and_table_are_looked_for(shop, tmp_path, monkeypatch, encode):
    path = shop([f"photos/{row}" for row in ROWS])
    options = {name: value for name, value in OPTIONS.items() if name != "images"}
    assert len(open_catalogue(path, **options)) == 8  # without a folder, paths start at the table
    path = shop()
    assert len(open_catalogue("my.csv", tmp_path, **OPTIONS)) == 8  # both below the root
    monkeypatch.chdir(tmp_path)
    assert len(open_catalogue("my.csv", "elsewhere", **OPTIONS)) == 8
    with pytest.raises(CatalogueError, match=f"my.csv: no folder of images, .*/pics or {tmp_path}/pics"):
        open_catalogue(path, **(OPTIONS | {"images": "pics"}))


def items_and_split(n, size=3):
    """n photos in items of some size, as rows of a table."""
    files = [f"{i}.jpg" for i in range(n)]
    return [f"{file},{'dress' if i < n // 2 else 'shirt'},{i // size}" for i, file in enumerate(files)], files


def test_without_a_split_items_stay_on_one_side_and_classes_in_proportion(shop):
    rows, files = items_and_split(120)
    path = shop([*rows, "a.jpg,dress,", "b.jpg,shirt,"], "image,type,sku", files=[*files, "a.jpg", "b.jpg"])
    catalogue = open_catalogue(path, images="photos", category="type", item="sku")
    assert catalogue.facts == {"split": "grouped", "split_seed": 42}
    table = catalogue.table
    assert (table.groupby("item")["split"].nunique() == 1).all() and table["item"].isna().sum() == 2
    assert table["split"].value_counts(normalize=True).sub(pd.Series(SHARES)).abs().max() < 0.06

    catalogue = open_catalogue(path, images="photos", category="type", seed=3)
    assert catalogue.facts == {"split": "random", "split_seed": 3} and list(catalogue.tasks) == ["category"]
    table = catalogue.table
    assert (table.groupby("sku")["split"].nunique() > 1).any()
    assert table.groupby("type")["split"].value_counts().unstack()["test"].between(8, 10).all()
    assert (
        table["split"].tolist()
        == open_catalogue(path, images="photos", category="type", seed=3).table["split"].tolist()
    )
    assert (table["split"] != open_catalogue(path, images="photos", category="type", seed=4).table["split"]).any()


def test_too_few_rows_for_a_split(shop):
    rows, files = items_and_split(6, size=3)
    path = shop(rows, "image,type,sku", files=files)
    advice = "; or name a column with split="
    with pytest.raises(CatalogueError, match=f"my.csv: 6 rows are too few .*{advice}"):
        open_catalogue(path, images="photos", category="type")
    with pytest.raises(CatalogueError, match=rf"my.csv: 2 groups are too few .* \(items.*\){advice}"):
        open_catalogue(path, images="photos", item="sku")


@pytest.mark.parametrize("train, val, test", [("TRAIN", "validation", "Testing"), ("Training", "Valid", "test"),
    (" train ", "dev", "TEST")])  # fmt: skip
def test_splits_have_other_names(shop, train, val, test):
    words = {"train": train, "val": val, "test": test}
    rows = [row.rpartition(",") for row in ROWS]
    table = open_catalogue(shop([f"{row},{words.get(part, part)}" for row, _, part in rows]), **OPTIONS).table
    assert table["split"].tolist() == [part for _, _, part in rows]


def test_an_item_that_stands_for_unknown_ones_is_named(shop):
    with pytest.raises(CatalogueError, match="row 4 has a negative 'sku'; leave it empty"):
        open_catalogue(shop([row.replace(",12,", ",-1,") for row in ROWS]), **OPTIONS)


def test_an_unknown_split_is_an_error(shop):
    with pytest.raises(CatalogueError, match="row 6 has the split 'fold1', which is not among train, .*gallery$"):
        open_catalogue(shop([row.replace(",val", ",fold1") for row in ROWS]), **OPTIONS)


@pytest.mark.parametrize("header, change, message", [
    (HEADER, {"image": "image"}, "no column 'image', which image= names; it has photo, type, pattern"),
    (HEADER, {"attributes": ["pattern", "neck"]}, "no column 'neck', which attributes= names; it has photo"),
    (HEADER, {"labels": ("part", "colour")}, "no column 'colour', which labels= names"),
    (HEADER.replace("pattern", "category"), {}, "has a column 'category', .* makes of 'type'; .* category='category'"),
    (HEADER.replace("pattern", "image"), {}, "has a column 'image', .* makes of 'photo'"),
    (HEADER.replace("part", "split"), {"split": None}, "has a column 'split', .* itself; .* split='split'"),
    (HEADER.replace("pattern", "attributes"), {"attributes": ["sleeve"]}, "has a column 'attributes', which"),
    (HEADER.replace("pattern", "type"), {}, "two columns are called 'type'"),
    (HEADER.replace("part", "base colour"), {"split": None, "labels": ["base colour"]}, "colour' cannot name a task"),
    (HEADER.replace("sku", "item"), {"item": None, "split": None}, "has a column 'item', .* itself; .* item='item'"),
    (HEADER, {"category": None, "item": None}, "nothing to learn; name at least one of category="),
    (HEADER.replace(",", ";"), {}, "one column, 'photo;type;.*commas .not ';'. between columns"),
    (HEADER, {"category": True}, "category= names one column, and True is no name"),
    ("", {}, "empty; a CSV has commas"),
])  # fmt: skip
def test_columns_that_do_not_fit(shop, header, change, message):
    rows = [] if ";" in header or not header else ROWS
    with pytest.raises(CatalogueError, match=f"my.csv: .*{message}"):
        open_catalogue(shop(rows, header), **(OPTIONS | change))


def test_a_column_of_the_right_name_is_used_as_it_is(shop):
    path = shop(header="image,category,attributes,x,item,split")
    catalogue = open_catalogue(
        path, images="photos", category="category", attributes="attributes", item="item", split="split", labels="x"
    )
    assert list(catalogue.tasks) == ["category", "attributes", "x", "item"]
    assert list(catalogue.table) == ["image", "category", "attributes", "x", "item", "split"]
    undeclared = open_catalogue(path, images="photos", category="category", split="split")
    assert list(undeclared.tasks) == ["category"] and undeclared.table["item"].iloc[0] == "11"
    with pytest.raises(CatalogueError, match="the column 'item' says which product it is, not its category; rename"):
        open_catalogue(path, images="photos", category="item")


def test_files_that_are_no_table(shop, tmp_path):
    path = shop()
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"dress", "d\u00e9".encode("latin-1")))
    with pytest.raises(CatalogueError, match=r"my.csv line \d+: not UTF-8 text .*; save it as CSV UTF-8"):
        open_catalogue(path, **OPTIONS)
    path.write_bytes(b"\xef\xbb\xbf" + whole.replace(b"\n", b"\r\n"))  # as Excel writes it
    assert len(open_catalogue(path, **OPTIONS)) == 8
    path.write_bytes(whole.replace(b"b.jpg,dress", b'b.jpg,"dress'))
    with pytest.raises(CatalogueError, match="my.csv: no CSV at or before line 4"):
        open_catalogue(path, **OPTIONS)
    parquet = tmp_path / "my.parquet"
    parquet.write_bytes(whole)
    with pytest.raises(CatalogueError, match="my.parquet: not a whole parquet file"):
        open_catalogue(parquet, **OPTIONS)
    table = pa.table([["1.jpg"], ["a"], ["b"]], names=["photo", "type", "type"])
    pq.write_table(table, parquet)
    with pytest.raises(CatalogueError, match="my.parquet: two columns are called 'type'"):
        open_catalogue(parquet, images="photos", image="photo", category="type")
    with pytest.raises(CatalogueError, match="none.csv: no such table"):
        open_catalogue(tmp_path / "none.csv", **OPTIONS)
    with pytest.raises(ValueError, match="'prodcts': no dataset, folder or table .*there are products, .*deepfashion"):
        open_catalogue("prodcts", tmp_path)
    path.rename(tmp_path / "my.xlsx")
    with pytest.raises(ValueError, match=r"my.xlsx': no dataset, folder or table \(.csv, .parquet\)"):
        open_catalogue(tmp_path / "my.xlsx", **OPTIONS)


def test_only_the_files_of_the_table_count_for_its_fingerprint(shop, tmp_path, encode):
    path = shop()
    before = open_catalogue(path, **OPTIONS).image_fingerprint
    (tmp_path / "photos" / "other.jpg").write_bytes(b"not in the table")
    assert open_catalogue(path, **OPTIONS).image_fingerprint == before
    (tmp_path / "photos" / "a.jpg").write_bytes(encode([[[99] * 3] * 30] * 40))
    assert open_catalogue(path, **OPTIONS).image_fingerprint != before


def test_an_unknown_option_is_told_what_there_is(shop):
    with pytest.raises(TypeError, match="no option 'colour'; there are images, separator, seed, image, category"):
        open_catalogue(shop(), **OPTIONS, colour="type")


def test_whole_numbers_beside_a_gap_keep_all_their_digits(shop, tmp_path):
    shop()
    large = 2**60 + 1
    table = pd.DataFrame({"image": PHOTOS, "sku": pd.array([large, None, *range(6)], dtype="Int64")})
    table.to_parquet(tmp_path / "my.parquet")
    read = open_catalogue(tmp_path / "my.parquet", images="photos", labels="sku")
    assert read.table["sku"].tolist() == [str(large), None, *map(str, range(6))]


def test_a_question_mark_beside_others_leaves_the_rest_unknown(shop, tmp_path):
    shop()
    said = ["a;b", "b", "c;?", "?", "", ";", "?a;b", "c"]
    frame = pd.DataFrame({"image": PHOTOS, "one": said, "two": ["x", "?", *["y"] * 6]})
    frame.to_csv(tmp_path / "my.csv", index=False)
    whole = open_catalogue(tmp_path / "my.csv", images="photos", attributes="one").task("attributes", minimum=1)
    rows = open_catalogue(tmp_path / "my.csv", images="photos", attributes="one").table
    assert replace(whole, classes=("a", "b", "c")).encode(rows).tolist() == [
        [1, 1, 0], [0, 1, 0], [-1, -1, 1], [-1] * 3, [-1] * 3, [0] * 3, [-1, 1, 0], [0, 0, 1]
    ]  # fmt: skip
    several = open_catalogue(tmp_path / "my.csv", images="photos", attributes=["one", "two"])
    classes = ("one:a", "one:b", "one:c", "two:x", "two:y")
    assert replace(several.task("attributes"), classes=classes, groups=()).encode(several.table)[:4].tolist() == [
        [1, 1, 0, 1, 0], [0, 1, 0, -1, -1], [-1, -1, 1, 0, 1], [-1, -1, -1, 0, 1]
    ]  # fmt: skip


def test_two_stray_quotes_do_not_swallow_the_rows_between_them(shop):
    rows = [*ROWS[:2], 'c.jpg,"shirt,solid,,12,train', 'sub/d.png,shirt",,,,train', *ROWS[4:]]
    with pytest.raises(CatalogueError, match="row 4: column 'type' goes over several lines; a lone quote"):
        open_catalogue(shop(rows), **OPTIONS)
    titled = [f"{row},{title}" for row, title in zip(ROWS, ["", "", "", '"one', 'two"', "", "", ""], strict=True)]
    with pytest.warns(UserWarning, match="1 rows, first 5, span several lines: a lone quote"):  # of no named column
        assert len(open_catalogue(shop(titled, f"{HEADER},title"), **OPTIONS)) == len(ROWS) - 1


@pytest.mark.parametrize("name", ["?sleeve", "sleeve;cuff"])
def test_a_column_whose_name_would_be_read_as_something_else_names_no_attributes(shop, name):
    with pytest.raises(CatalogueError, match="cannot name attributes"):
        open_catalogue(shop(header=HEADER.replace("sleeve", name)), **OPTIONS, attributes=["pattern", name])

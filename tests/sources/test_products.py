"""Fashion Product Images: both layouts, from files written here by hand, and real."""

import re
import shutil

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fashionlib.cells import plain
from fashionlib.data.catalogue import CatalogueError
from fashionlib.data.decoding import BadImage
from fashionlib.data.images import cache_images
from fashionlib.sources import open_catalogue
from fashionlib.sources.products import COLUMNS, SEVEN, TAXONOMY, product_lines, read_styles

HEADER = "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,productDisplayName"
ROWS = [  # as Kaggle writes them: no quotes, commas in a name, NA and empty text
    "15970,Men,Apparel,Topwear,Shirts,Navy Blue,Fall,2011,Casual,Turtle Check Men Navy Blue Shirt",
    "39386,Men,Apparel,Bottomwear,Jeans,Blue,Summer,2012,Casual,Peter England Men Party Blue Jeans, Slim, 32",
    "59263,Women,Accessories,Watches,Watches,NA,,2016,Casual,Titan Women Silver Watch",
    "21379,Men,Apparel,Topwear,Shirts,Black,Fall,,NA,NA",
    "53759,Men,Apparel,Topwear,Shirts,Grey,Summer,2012,Casual,Puma Men Grey T-shirt 2",
    "1855,Men,Apparel,Topwear,Shirts,Grey,Summer,2011,Casual,Inkfruit Mens Chain Reaction T-shirt",
    "30805,Men,Apparel,Topwear,Shirts,Green,Summer,2012,Ethnic,Turtle Check Men Navy Blue Shirt",
    "26960,Women,Apparel,Topwear,Shirts,Purple,Summer,2012,Casual,Turtle Check Men Navy Blue Shirt",
]


def kaggle(root, encode, rows=ROWS, header=HEADER, without=()):
    (root / "images").mkdir(parents=True)
    (root / "styles.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    for k, row in enumerate(rows):
        name = row.split(",")[0]
        if name.isdigit() and name not in without:
            (root / "images" / f"{name}.jpg").write_bytes(encode([[[10 * k % 256] * 3] * 24] * 32))
    return root


def hub(root, encode, columns=COLUMNS, images=None):
    """Two shards of the hub's layout with the rows above; the year is a number there."""
    folder = root / "fashion-product-images-small" / "data"
    folder.mkdir(parents=True)
    fields = [dict(zip(COLUMNS, row.split(",", 9), strict=True)) for row in ROWS]
    for shard, part in enumerate((slice(0, 3), slice(3, None))):
        values = {name: [row[name] or None for row in fields[part]] for name in columns}
        values["id"] = [int(value) for value in values["id"]]
        if "year" in values:
            values["year"] = [float(value) if value else None for value in values["year"]]
        jpegs = images or [encode([[[10 * k] * 3] * 24] * 32) for k in range(len(ROWS))]
        values["image"] = [{"bytes": content, "path": None} for content in jpegs[part]]
        pq.write_table(pa.table(values), folder / f"train-0000{shard}-of-00002-abc{shard}.parquet")
    return root


@pytest.fixture(params=["kaggle", "hub"])
def layout(request, tmp_path, encode):
    return {"kaggle": kaggle, "hub": hub}[request.param](tmp_path / "data", encode)


def test_both_layouts_give_the_same_rows(layout):
    catalogue = open_catalogue("products", layout)
    table = catalogue.table.set_index("id")
    assert table.index.tolist() == [int(row.split(",")[0]) for row in ROWS]
    assert table.loc[15970, [*SEVEN, "year"]].tolist() == ROWS[0].split(",")[1:7] + ["Casual", "2011"]
    assert table.loc[39386, "productDisplayName"] == "Peter England Men Party Blue Jeans, Slim, 32"
    assert table.loc[39386, "words"] == "blue;england;jeans;men;party;peter;slim"
    assert len(catalogue.rejected) == 0
    for row in (0, 7):
        assert catalogue.read(row).startswith(b"\xff\xd8\xff")


def test_na_and_empty_text_are_missing_labels_and_never_a_class(layout):
    table = open_catalogue("products", layout).table.set_index("id")
    missing = {(i, c) for c in (*SEVEN, "year", "productDisplayName", "words") for i in table.index[table[c].isna()]}
    names = {(21379, c) for c in ("usage", "year", "productDisplayName", "words")}
    assert missing == {(59263, "baseColour"), (59263, "season"), *names}
    everything = {value for column in SEVEN for value in table[column].dropna()}
    assert not everything & {"NA", "", "nan", "None", "<NA>"}


def test_a_product_line_shares_name_type_and_gender_and_its_ids_are_neighbours():
    rows = [  # id, name, type, gender, the line
        (100, "Plain Shirt", "Shirts", "Men", "100"),
        (150, "Plain Shirt", "Shirts", "Men", "100"),
        (201, "Plain Shirt", "Shirts", "Men", None),  # 51 further, and alone
        (110, "Plain Shirt", "Shirts", "Women", "110"),
        (90, "Plain Shirt", "Tops", "Men", None),
        (120, "Plain Shirt", "Shirts", "Women", "110"),
        (101, "Other Shirt", "Shirts", "Men", None),
        *((number, None, "Shirts", "Men", None) for number in (300, 301)),  # without a name
        *((number, "Long Line", "Shirts", "Men", "1000") for number in range(1000, 1600, 50)),
    ]
    table = pd.DataFrame(rows, columns=["id", "productDisplayName", "articleType", "gender", "line"])
    table = table.sample(frac=1, random_state=0)
    lines = product_lines(table)
    assert lines.tolist() == table["line"].astype(object).where(table["line"].notna(), None).tolist()
    assert lines.index.equals(table.index)


def test_the_split_is_random_or_keeps_product_lines_on_one_side(tmp_path, encode):
    rows = [
        f"{i},Men,Apparel,Topwear,{'Shirts' if i % 40 < 20 else 'Tops'},Red,Fall,2011,Casual,Item {i // 4}"
        for i in range(80)
    ]
    root = kaggle(tmp_path / "data", encode, rows)
    random, grouped = (open_catalogue("products", root, **chosen) for chosen in ({}, {"split": "grouped"}))
    assert (random.facts, grouped.facts) == tuple({"split": s, "split_seed": 42} for s in ("random", "grouped"))
    sides = [table.groupby("item")["split"].nunique().max() for table in (random.table, grouped.table)]
    assert sides[0] > 1 == sides[1] and grouped.table["item"].nunique() == 20
    assert (random.table["split"] != open_catalogue("products", root, seed=1).table["split"]).any()
    with pytest.raises(ValueError, match="split is 'items'; there are 'random' and 'grouped'"):
        open_catalogue("products", root, split="items")


def test_attributes_and_brands_need_some_training_images(tmp_path, encode):
    rows = [f"{i},Men,Apparel,Topwear,Shirts,Red,Fall,2011,Casual,Puma Men Striped Shirt {i}" for i in range(40)]
    root = kaggle(tmp_path / "data", encode, rows)
    few, many = (open_catalogue("products", root, minimum=minimum).tasks for minimum in (28, 29))
    assert few["attributes"].classes == ("colour:Red", "texture:striped") and few["brands"].classes == ("puma",)
    assert few["attributes"].groups == ("colour", "texture") and many["attributes"].classes == ()


def test_bad_lines_and_rows_without_an_image_are_listed_with_their_line(tmp_path, encode):
    rows = [*ROWS[:2], "77,Men,Apparel", *ROWS[2:], ROWS[0], "x1" + ROWS[1][5:], "9" * 19 + ROWS[1][5:]]
    root = kaggle(tmp_path / "data", encode, rows, without={"26960"})
    catalogue = open_catalogue("products", root)
    assert len(catalogue) == 7
    listed = catalogue.rejected.set_index("image")
    numbers = {"77.jpg": 4, "15970.jpg": 11, "x1.jpg": 12, f"{'9' * 19}.jpg": 13, "26960.jpg": 10}
    assert listed["row"].to_dict() == numbers
    lines = (root / "styles.csv").read_text().splitlines()
    for image, line in listed["row"].items():
        assert lines[line - 1].startswith(image.removesuffix(".jpg") + ",")
    reasons = ["3 fields instead of 10", "15970 occurred before", "'x1' is not a number", "9' is not a number"]
    reasons.append("no file of that name")
    for reason, text in zip(reasons, listed["reason"], strict=True):
        assert reason in text
    assert (listed["source"] == str(root / "styles.csv")).all()


def test_a_hub_of_plain_bytes_and_ids_as_text_is_read_the_same(tmp_path, encode):
    root, wanted = hub(tmp_path / "other", encode), open_catalogue("products", hub(tmp_path / "data", encode))
    for file in root.glob("*/data/*.parquet"):
        table = pq.read_table(file).to_pandas()
        table = table.assign(id=table["id"].astype(str), image=[image["bytes"] for image in table["image"]])
        pq.write_table(pa.Table.from_pandas(table), file)
    found = open_catalogue("products", root)
    pd.testing.assert_frame_equal(found.table, wanted.table)
    assert [found.read(row) for row in range(8)] == [wanted.read(row) for row in range(8)]


def test_a_row_without_bytes_is_quarantined_and_the_others_go_on(tmp_path, encode):
    images = [encode([[[9] * 3] * 24] * 32)] * 8
    images[4], images[6] = None, b"\xff\xd8\xffcut"
    catalogue = open_catalogue("products", hub(tmp_path / "data", encode, images=images))
    with pytest.raises(BadImage, match="train-00001-of-00002-abc1.parquet#1: the row has no image"):
        catalogue.read(4)
    data = cache_images(catalogue, (24, 32), tmp_path / "cache")
    assert data.catalogue.rejected["row"].tolist() == [4, 6]
    assert [re.split(": ", reason)[0][-2:] for reason in data.catalogue.rejected["reason"]] == ["#1", "#3"]
    assert len(data.catalogue) == 6


@pytest.mark.parametrize("column", ["usage", "productDisplayName"])
def test_a_missing_column_is_named_with_its_file(tmp_path, encode, column):
    names = HEADER.split(",")
    where = names.index(column)
    rows = [",".join(row.split(",", 9)[:where] + row.split(",", 9)[where + 1 :]) for row in ROWS]
    root = kaggle(tmp_path / "kaggle", encode, rows, ",".join(name for name in names if name != column))
    with pytest.raises(CatalogueError, match=rf"styles\.csv: column '{column}' is missing.*gender"):
        open_catalogue("products", root)
    root = hub(tmp_path / "hub", encode, [name for name in COLUMNS if name != column])
    with pytest.raises(CatalogueError, match=rf"train-00000.*\.parquet: column '{column}' is missing.*gender"):
        open_catalogue("products", root)


def test_nothing_there_half_there_and_damaged_are_told_with_what_to_do(tmp_path, encode):
    with pytest.raises(CatalogueError, match="neither .* nor styles.csv.*fashionlib download products --data .*Kaggle"):
        open_catalogue("products", tmp_path)
    root = hub(tmp_path / "data", encode)
    first, second = sorted(root.glob("*/data/*.parquet"))
    second.write_bytes(second.read_bytes()[:-100])
    with pytest.raises(CatalogueError, match=rf"{second}: not a whole parquet file.*download products --data {root}`"):
        open_catalogue("products", root)
    second.unlink()
    with pytest.raises(CatalogueError, match=rf"2 files belong here, there is {first.name}; run .* --data {root}`"):
        open_catalogue("products", root)
    root = kaggle(tmp_path / "kaggle", encode)
    shutil.rmtree(root / "images")
    with pytest.raises(CatalogueError, match="none of its 8 rows has an image; 8 like row 2: no file of that name"):
        open_catalogue("products", root)


@pytest.fixture(scope="module")
def real(real_data):
    return open_catalogue("products", real_data)


@pytest.fixture(scope="module")
def raw(real_data):
    path = real_data / "kaggle-styles" / "styles.csv"
    if not path.exists():
        pytest.skip(f"no {path}")
    return path, *read_styles(path)


@pytest.mark.realdata
def test_the_real_catalogue(real):
    assert len(real) == 44_072 and len(real.rejected) == 0
    assert real.table["split"].value_counts().to_dict() == {"train": 30_850, "val": 6_611, "test": 6_611}
    lines = real.table.dropna(subset="item").sort_values("id").groupby("item")
    assert 4_500 < len(lines) < 4_700 and lines.size().min() == 2
    assert (lines[["productDisplayName", "articleType", "gender"]].nunique() == 1).all(axis=None)
    assert lines["id"].diff().max() <= 50
    counts = real.table.groupby("articleType")["split"].value_counts().unstack(fill_value=0)
    assert (counts["train"] >= 1).all()
    usual = counts[counts.sum(axis=1) >= 7]
    assert (usual["test"] - 0.15 * usual.sum(axis=1)).abs().max() < 2
    for level in TAXONOMY:
        assert (real.tasks["taxonomy"].encode(real.table) >= 0).all(), level


@pytest.mark.realdata
def test_kaggle_s_raw_table_is_read_whole(raw):
    path, table, rejected = raw
    assert len(table) == 44_446 and len(rejected) == 0
    commas = table["productDisplayName"].str.contains(",")
    lines = path.read_text(encoding="utf-8").splitlines()
    assert commas.sum() == sum(line.count(",") > 9 for line in lines) == 22
    for line, row in table[commas].iterrows():
        assert ",".join(row) == lines[line - 1]
    assert (table["baseColour"] == "NA").sum() == 15 and (table["usage"] == "NA").sum() == 316


@pytest.mark.realdata
def test_both_real_tables_say_the_same(real, raw):
    labels = [*SEVEN, "productDisplayName"]
    table = raw[1].assign(id=raw[1]["id"].astype("int64")).set_index("id").reindex(real.table["id"])[labels]
    one = real.table.set_index("id")[labels].fillna("")
    two = table.replace("NA", "").map(plain)
    different = (one != two).any(axis=1)
    assert not different.any(), two[different].head()

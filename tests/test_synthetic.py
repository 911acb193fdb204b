"""The synthetic catalogue: its pixels are reproducible, its labels fit them, and the files it writes are plain."""

import csv
import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fashionlib.data.decoding import BadImage
from fashionlib.sources import open_catalogue
from study.drawn.garments.articles import ARTICLES
from study.drawn.garments.drawing import SILHOUETTES, draw
from study.drawn.garments.fabrics import COLOURS, PATTERNS
from study.drawn.garments.shapes import Garment
from study.drawn.garments.views import View
from study.drawn.garments.wardrobe import MISTAKES, product
from study.drawn.catalogue import DrawnImages, open_synthetic
from study.drawn.products_files import write_products

HEADER = "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,productDisplayName".split(",")
LABELS = ["gender", "masterCategory", "subCategory", "articleType", "baseColour", "season", "usage"]


@pytest.fixture(scope="module")
def catalogue():
    return open_synthetic(items=60, views=3, seed=7)


def test_same_pixels_from_fresh_objects_in_any_order(catalogue):
    places = list(catalogue.table["image"].iloc[:40])
    forth = {place: DrawnImages(7).read(place) for place in places}
    images = DrawnImages(7)
    back = {place: images.read(place) for place in reversed(places)}
    for place in places:
        assert forth[place].dtype == np.uint8 and forth[place].shape == (80, 60, 3)
        assert forth[place].tobytes() == back[place].tobytes()
    assert len({image.tobytes() for image in forth.values()}) == len(places)
    assert not np.array_equal(DrawnImages(8).read(places[0]), forth[places[0]])


def test_same_catalogue_from_same_seed_and_items_do_not_depend_on_their_number(catalogue):
    again = open_catalogue("synthetic", items=60, views=3, seed=7)
    pd.testing.assert_frame_equal(catalogue.table, again.table)
    assert catalogue.fingerprint == again.fingerprint != open_synthetic(items=60, views=3, seed=8).fingerprint
    fewer = open_synthetic(items=30, views=3, seed=7).table.drop(columns="split")
    pd.testing.assert_frame_equal(fewer, catalogue.table.drop(columns="split").iloc[: len(fewer)])


def test_fingerprint_names_seed_and_size():
    prints = {DrawnImages(*a).fingerprint for a in ((1,), (2,), (1, (80, 60)), (1, (60, 80)))}
    assert len(prints) == 3


@pytest.mark.parametrize("place", ["synthetic/12", "elsewhere/000001_0", "synthetic/a_b", "synthetic/-1_0", ""])
def test_strange_location_is_refused(place):
    with pytest.raises(BadImage, match="not the location of a drawing"):
        DrawnImages().read(place)


def test_labels_are_valid_under_the_taxonomy(catalogue):
    place = {a.name: (a.master, a.sub) for a in ARTICLES}
    for row in catalogue.table.itertuples():
        assert place[row.articleType] == (row.masterCategory, row.subCategory)
        assert row.category == row.articleType and row.baseColour in COLOURS
        assert row.season in ("Summer", "Fall", "Winter", "Spring") and row.year.isdigit()
        assert row.baseColour in row.productDisplayName and row.gender in row.productDisplayName
        assert row.attributes and set(row.attributes.split(";")) <= set(catalogue.tasks["attributes"].classes) | set(
            row.attributes.split(";") if row.split != "train" else ()
        )
    assert len({a.name for a in ARTICLES}) >= 12 and len({a.sub for a in ARTICLES}) >= 6
    assert len({a.master for a in ARTICLES}) >= 3
    assert len(catalogue.tasks["taxonomy"].paths) <= len(ARTICLES)
    labels_of_an_item = catalogue.table.groupby("item")[[*LABELS, "attributes", "productDisplayName"]].nunique()
    assert (labels_of_an_item == 1).all(axis=None)
    assert catalogue.table.groupby("item").size().between(2, 3).all()


def test_attributes_say_how_a_garment_is_drawn_one_of_each_group():
    garment, labels = product(7, 0)  # a T-shirt, the first article type
    assert (garment.sleeve, garment.neckline, garment.pattern, garment.fit) == ("short", "v", "graphic", "small")
    assert labels["attributes"] == "fit:childrens-fit;neckline:v-neck;pattern:printed;sleeve:short-sleeve"
    table = open_synthetic(items=60, views=1).table
    groups = table["attributes"].map(lambda text: [name.split(":")[0] for name in text.split(";")])
    assert all(len(set(some)) == len(some) and "pattern" in some for some in groups)
    assert set(groups.explode()) == {"pattern", "sleeve", "neckline", "length", "fit"}
    worn = table["masterCategory"] == "Apparel"
    assert (groups.map(lambda some: "fit" in some) == worn).all()
    assert not groups[~worn].map(lambda some: bool({"sleeve", "neckline"} & set(some))).any()


def test_labels_follow_the_picture_but_not_always():
    pairs = [product(3, item) for item in range(25, 1225)]
    right = np.mean([garment.colour == labels["baseColour"] for garment, labels in pairs])
    share = MISTAKES["baseColour"]
    assert 1 - 2 * share < right < 1  # a mistake may hit the right colour by chance
    sleeves = {season: np.mean([g.sleeve == "long" for g,
        la in pairs if la["season"] == season and la["subCategory"] == "Topwear"])
               for season in ("Summer", "Winter")}  # fmt: skip
    assert sleeves["Winter"] > sleeves["Summer"] + 0.2
    pink = {
        gender: np.mean([g.colour == "Pink" for g, la in pairs if la["gender"] == gender])
        for gender in ("Men", "Women")
    }
    assert pink["Women"] > pink["Men"] + 0.05
    counts = pd.Series([labels["articleType"] for _, labels in pairs]).value_counts()
    assert counts.iloc[0] > 6 * counts.iloc[-1]  # a long tail


def test_missing_labels_are_none():
    table = open_synthetic(items=80, missing=0.2).table
    for name in LABELS:
        assert 0.1 < table[name].isna().mean() < 0.3
    assert table["item"].notna().all() and table["image"].notna().all()
    assert all(v is None for v in table["gender"][table["gender"].isna()])


def test_grouped_split_keeps_items_together(catalogue):
    grouped = open_synthetic(items=60, views=3, seed=7, split="grouped").table
    assert (grouped.groupby("item")["split"].nunique() == 1).all()
    assert (catalogue.table.groupby("item")["split"].nunique() > 1).any()
    for table in (grouped, catalogue.table):
        assert set(table["split"]) == {"train", "val", "test"}


@pytest.mark.parametrize("options", [{"items": 0}, {"views": 0}, {"missing": 1.0}, {"split": "official"}])
def test_options_that_make_no_sense(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        open_synthetic(**options)


def test_colours_give_different_pixels():
    """The mean colour of the middle of a T-shirt is nearest to the colour it was asked for."""
    means = {}
    for name in COLOURS:
        pictures = [draw(Garment("tshirt", colour=name, seed=s)) for s in range(3)]
        means[name] = np.mean([p[25:50, 22:38].reshape(-1, 3).mean(0) for p in pictures], axis=0) / 255
    for name, mean in means.items():
        nearest = min(COLOURS, key=lambda other: np.abs(np.array(COLOURS[other]) - mean).sum())
        assert nearest == name
    gaps = [np.abs(means[a] - means[b]).max() for a in means for b in means if a < b]
    assert min(gaps) > 0.05


@pytest.mark.parametrize("size", [(60, 80), (96, 96), (48, 120), (150, 200)])
def test_every_silhouette_is_drawn_in_every_size_and_fits(size):
    for kind in SILHOUETTES:
        picture = draw(Garment(kind, colour="Red", accent="Navy Blue"), size=size)
        assert picture.shape == (size[1], size[0], 3)
        red = (picture[..., 0].astype(int) - picture[..., 1]) > 70
        assert 0.01 < red.mean() < 0.7
        edge = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
        assert np.median(edge) > 215  # the backdrop is light


def test_shape_pattern_and_view_change_the_picture():
    plain = Garment("tshirt", colour="Green", seed=5)
    changes = [{"sleeve": "long"}, {"sleeve": "sleeveless"}, {"neckline": "v"}, {"neckline": "polo"}, {"fit": "fitted"}]
    changes += [{"pattern": p} for p in PATTERNS if p not in ("solid", "denim")]
    pictures = [draw(plain), *(draw(replace(plain, **c)) for c in changes)]
    views = [View(flip=True), View(rotation=8), View(crop=1.5), View(brightness=0.8), View(light=50)]
    pictures += [draw(plain, view) for view in views]
    for i, one in enumerate(pictures):
        for other in pictures[:i]:
            assert np.abs(one.astype(int) - other).mean() > 0.2


def _histogram(picture):
    counts, _ = np.histogramdd(picture[12:68, 8:52].reshape(-1, 3), bins=4, range=[(0, 256)] * 3)
    return counts.ravel() / counts.sum()


def test_views_of_an_item_differ_but_resemble_each_other(catalogue):
    table = catalogue.table
    pictures = [catalogue.read(i) for i in range(len(table))]
    histograms = np.stack([_histogram(p) for p in pictures])
    distance = np.abs(histograms[:, None] - histograms[None]).sum(-1)
    same = table["item"].to_numpy()[:, None] == table["item"].to_numpy()[None]
    np.fill_diagonal(same, False)
    other = table["item"].to_numpy()[:, None] != table["item"].to_numpy()[None]
    assert distance[same].mean() < 0.7 * distance[other].mean()
    for i in range(1, len(table)):
        if table["item"][i] == table["item"][i - 1]:
            assert np.abs(pictures[i].astype(int) - pictures[i - 1]).mean() > 2


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("products")
    source = open_synthetic(items=40, views=3, seed=7, missing=0.05)
    write_products(source, root / "hf")
    write_products(source, root / "kaggle", "kaggle")
    return source, root


def test_parquet_files_parse_with_plain_pyarrow(written):
    source, root = written
    files = sorted((root / "hf" / "fashion-product-images-small" / "data").iterdir())
    assert [f.name[:20] for f in files] == ["train-00000-of-00002", "train-00001-of-00002"]
    parts = [pq.read_table(f) for f in files]
    schema = parts[0].schema
    assert schema.names == [*HEADER, "image"]
    assert str(schema.field("id").type) == "int64" and str(schema.field("year").type) == "double"
    assert str(schema.field("image").type) == "struct<bytes: binary, path: string>"
    rows = [row for part in parts for row in part.to_pylist()]
    assert len(rows) == len(source) and len({row["id"] for row in rows}) == len(rows)
    modes, sizes = set(), set()
    for number, (row, truth) in enumerate(zip(rows, source.table.to_dict("records"), strict=True)):
        assert [row[c] for c in LABELS] == [truth[c] for c in LABELS]
        assert row["year"] == float(truth["year"]) and row["productDisplayName"].startswith(truth["productDisplayName"])
        image = Image.open(io.BytesIO(row["image"]["bytes"]))
        assert image.format == "JPEG" and row["image"]["path"] is None
        modes.add(image.mode)
        sizes.add(image.size)
        if image.mode == "RGB" and image.size == (60, 80):
            assert np.abs(np.asarray(image).astype(int) - source.read(number)).mean() < 6
    assert modes == {"RGB", "L"} and {(60, 80), (30, 40), (80, 80)} <= sizes


def test_kaggle_files_parse_by_hand(written):
    source, root = written
    with open(root / "kaggle" / "styles.csv", encoding="utf-8", newline="") as lines:
        header, *rows = csv.reader(lines, quoting=csv.QUOTE_NONE)
    assert header == HEADER and len(rows) == len(source)
    assert any(len(row) > len(HEADER) for row in rows)  # commas in names, as in the real file
    assert '"' not in (root / "kaggle" / "styles.csv").read_text()
    assert {f.name for f in (root / "kaggle" / "images").iterdir()} == {f"{row[0]}.jpg" for row in rows}
    for row, truth in zip(rows, source.table.to_dict("records"), strict=True):
        values = dict(zip(HEADER, [*row[:9], ",".join(row[9:])], strict=True))
        for name in LABELS:
            assert values[name] == truth[name] or (truth[name] is None and values[name] in ("", "NA"))
    with pytest.raises(ValueError, match="layout"):
        write_products(source, root, "zip")

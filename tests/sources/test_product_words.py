"""What the names of products say: the rule on names written by hand, and what it finds in the real table."""

import re

import pandas as pd
import pytest

from fashionlib.sources import open_catalogue
from fashionlib.sources.product_words import LEXICON, SPELLINGS, find_brands, name_labels, name_words, split_words
from fashionlib.sources.products import MINIMUM


def test_the_words_of_a_name():
    assert name_words("Levi's Men's 501 T-shirt, T-Shirt & Cap") == "cap;levi's;men's;t-shirt"
    assert name_words(None) is None
    for name, words in (
        ("Reid & Taylor Men's T-Shirt", "reid and taylor men's t shirt"),
        ("U.S. Polo Assn. Men, 2 (Pack)", "u.s. polo assn men 2 pack"),
        ("Q&Q s.Oliver Silver-Toned H&M", "q&q s.oliver silver toned h&m"),
        (" \u2014 ", ""),
    ):
        assert split_words(name) == words.split()


def test_brands():
    """Each line: how many names, the name, its brand."""
    rows = [
        (50, "Lee Men Blue Jeans", "lee"),
        (50, "Lee Cooper Women Casual Shoes", "lee cooper"),  # as often alone before the gender: a brand of its own
        (12, "Casio Men Black Watch", "casio"),
        (49, "Casio Edifice Men Black Watch", "casio"),  # not often enough to be one
        (3, "Casio Youth Series Digital Unisex Watch", "casio"),
        (20, "United Colors of Benetton Kid's Top", "united colors of benetton"),
        (2, "United Colors of Benetton Purple Top", "united colors of benetton"),  # known from the names above
        (8, "Giorgio Armani Women Perfume", "giorgio armani"),  # rare, but it ends before the gender
        (1, "Giorgio Armani Idole Perfume", ""),  # too rare to be known by
        (10, "Lotus Herbals Face Cream", "lotus herbals"),
        (6, "Colorbar Velvet Lipstick", "colorbar"),
        (6, "Colorbar Soft Lipstick", "colorbar"),
        (15, "Blue Denim Belt", ""),  # blue mostly stands elsewhere
        (1, "Men Shirt", ""),
        (1, "", ""),
    ]  # fmt: skip
    names = [split_words(name) for count, name, _ in rows for _ in range(count)]
    expected = [brand for count, _, brand in rows for _ in range(count)]
    assert [" ".join(brand) for brand in find_brands(names)] == expected


def test_the_attributes_of_a_name():
    rows = [
        ("Wrangler Men Striped Slim Fit Shirt", "Shirts", "Blue", "shape:slim;texture:striped;colour:Blue", "wrangler"),
        ("Lee Men's Checks Stripes V-Neck", "Tops", "Red", "shape:v neck;texture:checked;texture:striped;colour:Red",
            "lee"),
        ("Classic Polo Men Polo Jersey", "Tshirts", "Red", "shape:polo;colour:Red", "classic polo"),
        ("Classic Polo Men Jersey", "Tshirts", "Red", "colour:Red", "classic polo"),  # the brand's own word
        ("Fila Unisex Casual Hi Top", "Casual Shoes", "Blue", "shape:high;colour:Blue;?style:casual", "fila"),
        ("Fila Men Shoe", "Sports Shoes", "Blue", "colour:Blue;?style:sports", "fila"),  # said by the article type
        ("Biba Women Golden Kurta", "Kurtas", None, "?colour:Blue;?colour:Red", "biba"),
        ("Men Shoes", "Shirts", "Red", "colour:Red", ""),
        (None, "Shirts", "Red", ";".join(["colour:Red", *sorted({f"?{name}" for name in SPELLINGS.values()})]), None),
    ]  # fmt: skip
    columns = ["productDisplayName", "articleType", "baseColour", "attributes", "brands"]
    table = pd.DataFrame(rows, columns=columns, index=range(5, 14), dtype=object)
    found = name_labels(table)
    assert found["attributes"].tolist() == table["attributes"].tolist() and found.index.equals(table.index)
    assert found["brands"].tolist() == table["brands"].tolist()


def test_the_lexicon_is_written_as_the_names_are_read():
    spellings = [word for attributes in LEXICON.values() for word in re.split("[ =]", attributes)]
    assert len(spellings) == len(SPELLINGS)  # none belongs to two attributes
    assert all(split_words(spelling) == spelling.split() for spelling in SPELLINGS)


@pytest.fixture(scope="module")
def real(real_data):
    return open_catalogue("products", real_data)


@pytest.mark.realdata
def test_the_real_classes(real):
    """Counted again by plain search in the names."""
    task, brands = real.tasks["attributes"], real.tasks["brands"]
    assert {"texture", "fabric", "shape", "part", "style", "colour"} == set(task.groups)
    assert min(task.groups.count(group) for group in set(task.groups)) >= 8
    named = "united colors of benetton,peter england,lee,lee cooper,casio,u.s. polo assn,gini and jony,lotus herbals"
    assert set(named.split(",")) <= set(brands.classes)
    train = real.table[real.table["split"] == "train"]
    names = train["productDisplayName"].str.lower().str.replace("-", " ")
    for label, pattern in (
        ("texture:striped", r"(?<![a-z'&+.])(?:striped|stripes?|striper)(?![a-z'&+])"),
        ("fabric:leatherette", r"\bleatherette\b"),
        ("part:analogue", r"\banalog(?:ue)?\b"),
    ):
        counted = (task.encode(train)[:, task.classes.index(label)] == 1).sum()
        assert counted == names.str.contains(pattern).sum() >= MINIMUM, label
    for label, pattern in (("united colors of benetton", "united colors of benetton"), ("lee", "lee (?!cooper)")):
        counted = (brands.encode(train)[:, brands.classes.index(label)] == 1).sum()
        assert counted == names.str.match(pattern).sum(), label


@pytest.mark.realdata
def test_every_real_image_has_a_category_attributes_and_a_brand(real):
    table = real.table
    assert (table["category"] == table["articleType"]).all() and table["attributes"].notna().all()
    named = table["productDisplayName"].notna()
    assert (table["brands"].notna() == named).all() and (table["brands"].fillna("") != "").mean() > 0.95
    said = (real.tasks["attributes"].encode(table) == 1).sum(1)
    assert (said[named] >= 1).mean() > 0.99 and 0.25 < (said[named] >= 2).mean() < 0.5
    lines = table[table["item"].notna()].groupby("item")["brands"].nunique()
    assert (lines == 1).all()  # images of a line share their name

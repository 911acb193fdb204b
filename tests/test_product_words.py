"""Attributes mined from product names: the rule on names written by hand, and what it finds in the real table."""

import re

import pandas as pd
import pytest

from fashionlib.sources import open_catalogue
from fashionlib.sources.product_words import (
    GROUPS,
    find_brands,
    label_words,
    product_attributes,
    restating_words,
    split_words,
    stem,
    synonyms,
)
from fashionlib.sources.products import ATTRIBUTE_MINIMUM, SEVEN


@pytest.mark.parametrize("name, words", [
    ("Reid & Taylor Men's T-Shirt", "reid and taylor men's t shirt"),
    ("U.S. Polo Assn. Men, 2 (Pack)", "u.s. polo assn men 2 pack"),
    ("Q&Q s.Oliver Silver-Toned H&M", "q&q s.oliver silver toned h&m"),
    (" — ", ""),
])  # fmt: skip
def test_the_words_of_a_name(name, words):
    assert split_words(name) == words.split()


@pytest.mark.parametrize("words", [
    "women's women", "shirts shirt", "watches watch", "dresses dress", "accessories accessory", "ties tie",
    "boxes box", "dress dress", "jeans jean", "boys' boy", "sunglasses sunglass"])  # fmt: skip
def test_the_singular(words):
    many, one = words.split()
    assert stem(many) == one


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


def test_words_that_restate_a_label():
    rows = [
        ("black casual shoes classic", ("Casual Shoes", "Black")),
        ("black shoe", ("Casual Shoes", "Black")),
        ("black sandal", ("Sandals", "Navy Blue")),
        ("rose flip flops", ("Flip Flops", "Pink")),
        ("flip flop", ("Flip Flops", "Rose")),
        ("rose eye liner", ("Kajal and Eyeliner", "Rose")),
        ("rose night suit rose", ("Night suits", None)),
        ("flip top", ("Skirts", "Rose")),
    ]
    names = [name.split() for name, _ in rows]
    found = restating_words(names, [label_words(labels) for _, labels in rows])
    # black is right in 2 of 3 names, flip in 2 of 3, rose in 1 of 3; eye and liner only as one word
    assert found == {"black", "casual", "shoe", "sandal", "flip", "flop", "eye", "liner", "night", "suit"}


def test_synonyms_of_an_article_type():
    rows = [
        (18, "sari", "Sarees"),
        (1, "sari silk", "Sarees"),
        (1, "sari silk", "Stoles"),  # 19 of 20 are sarees
        (40, "", "Sarees"),
        (16, "silk", "Ties"),  # 16 of 18 are ties
        (14, "mini", "Skirts"),  # all are skirts, but 14 of 50 skirts
        (36, "", "Skirts"),
        (9, "tiny", "Hats"),  # all hats, and no more than 9
    ]
    names = [words.split() for count, words, _ in rows for _ in range(count)]
    assert synonyms(names, [kind for count, _, kind in rows for _ in range(count)]) == {"sari"}


def test_the_attributes_of_a_name():
    rows = [
        ("Wrangler Men Striped Slim Fit Shirt", "Men", "Shirts", "Blue", "brand:wrangler;fit:slim;pattern:striped"),
        ("Lee Men's Checks Stripes Shirts", "Men", "Shirts", "Blue", "brand:lee;pattern:checked;pattern:striped"),
        ("Peter England Women Classic T-shirt 3", "Women", "Tshirts", "Red", "brand:peter england;word:classic"),
        ("Peter England Women Pack of 2 Tees", "Women", "Tshirts", "Red", "brand:peter england"),
        ("Biba Kids Golden Printed Jersey", "Boys", "Tshirts", "Gold", "brand:biba;print:printed;word:jersey"),
        ("Fila Unisex Hi Top", "Unisex", "Shoes", "Red", "brand:fila;cut:high;word:top"),
        (None, "Men", "Shoes", "Red", None),
        ("Printed 70x Red", None, "Shoes", None, "print:printed;word:red"),
        ("Men Shoes", "Men", "Shoes", None, ""),
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["productDisplayName", "gender", "articleType", "baseColour", "expected"])
    table = table.astype(object).where(table.notna(), None).set_axis(range(5, 14))
    found = product_attributes(table, ["gender", "articleType", "baseColour"])
    assert found.tolist() == table["expected"].tolist() and found.index.equals(table.index)
    reordered = table.iloc[::-1]
    assert product_attributes(reordered, ["gender", "articleType", "baseColour"]).tolist() == found.tolist()[::-1]


def test_no_spelling_belongs_to_two_groups():
    spellings = [word for words in GROUPS.values() for word in words.split()]
    assert len(spellings) == len(set(spellings))
    assert all(":" in name and ";" not in name and name == name.lower() for name in GROUPS)


@pytest.fixture(scope="module")
def real(real_data):
    return open_catalogue("products", real_data)


@pytest.mark.realdata
def test_the_real_list(real):
    task = real.tasks["attributes"]
    assert {name: task.groups.count(name) for name in sorted(set(task.groups))} == {
        "brand": 146, "cut": 3, "dial": 3, "fabric": 8, "fit": 1, "neck": 2, "pattern": 4, "print": 3, "shape": 5,
        "word": 22}  # fmt: skip
    brands = "united colors of benetton,peter england,lee,lee cooper,casio,u.s. polo assn,gini and jony,lotus herbals"
    assert {f"brand:{name}" for name in brands.split(",")} <= set(task.classes)
    assert set(GROUPS) <= set(task.classes)  # no group that is too rare to be learned
    plain = {name.split(":")[1] for name in task.classes if name.startswith("word:")}
    values = {
        word for column in SEVEN for value in real.table[column].dropna().unique() for word in value.lower().split()
    }
    said = {w for w in plain if w in values or f"{w}s" in values}
    assert said == {
        "rose",
        "winter",
        "churidar",
        "chain",
    }  # mostly not of the image's own colour, season and article type
    assert not plain & set("men women boys girls kids tshirt shirt shoes sari deo dial tie of and pack ml with".split())


@pytest.mark.realdata
def test_the_real_counts(real):
    """Counted again by plain search in the names."""
    task = real.tasks["attributes"]
    train = real.table[real.table["split"] == "train"]
    counts = dict(zip(task.classes, (task.encode(train) == 1).sum(0), strict=True))
    assert min(counts.values()) >= ATTRIBUTE_MINIMUM
    names = train["productDisplayName"].str.lower()

    def having(pattern):
        return int(names.map(lambda name: bool(re.search(pattern, name))).sum())

    assert counts["pattern:striped"] == having(r"(?<![a-z0-9'&+.])(striped|stripes?)(?![a-z0-9'&+])")
    assert counts["dial:analogue"] == having(r"(?<![a-z0-9'&+.])analog(ue)?(?![a-z0-9'&+])")
    assert counts["fabric:leatherette"] == having(r"\bleatherette\b")
    assert counts["brand:united colors of benetton"] == having(r"^united colors of benetton\b")
    assert counts["brand:lee"] == having(r"^lee (?!cooper)")
    assert counts["brand:peter england"] == having(r"^peter england\b")
    brand = r"^(u\.s\. ?polo assn|classic polo\b|regent polo club)"
    assert counts["neck:polo"] == having(r"\bpolo\b") - having(brand) + having(brand + r".*\bpolo\b")


@pytest.mark.realdata
def test_every_real_image_has_attributes_and_category(real):
    table = real.table
    assert (table["category"] == table["articleType"]).all() and table["attributes"].notna().all()
    known = set(real.tasks["attributes"].classes)
    found = table["attributes"].map(lambda text: {name.split(":")[0] for name in text.split(";") if name in known})
    assert found.map(bool).mean() == pytest.approx(0.886, abs=0.005)
    assert found.map(lambda groups: bool(groups - {"brand"})).mean() == pytest.approx(0.34, abs=0.01)
    assert found.map(lambda groups: bool(groups - {"brand", "word"})).mean() == pytest.approx(0.30, abs=0.01)
    lines = table[table["item"].notna()].groupby("item")["attributes"].nunique()
    assert (lines == 1).all()  # images of a line share their name

"""DeepFashion's list files, written here by hand as the real ones are; the values are compared with a plain loop."""

import numpy as np
import pandas as pd
import pytest

from fashionlib.data.catalogue import CatalogueError
from fashionlib.sources import deepfashion_values
from study.speed.annotations import annotation_speed, write_attribute_file
from fashionlib.sources.deepfashion_lists import find_rows, image_index, read_list, read_names, read_rows
from fashionlib.sources.deepfashion_values import read_attributes, read_values

TYPES = {"1": "texture", "3": "shape"}
NAMES_HEADER = "attribute_name attribute_type"
NAMES = """4
attribute_name               attribute_type
a-line                       3
abstract chevron print       1
a very long name that leaves no room for padding 1
lace                         1
"""
BOXES = """2
image_name                                                             x_1  y_1  x_2  y_2
img/Sheer_Pleated-Front_Blouse/img_00000001.jpg                        072 079 232 273
img/Sheer_Pleated-Front_Blouse/img_00000002.jpg                        067 -03 232 262
"""
BOX_HEADER = "image_name x_1 y_1 x_2 y_2"
VALUES = """3
image_name                                                             attribute_labels
img/1-1_0/img_00000001.jpg                         1 -1  0 -1
img/A-Line_Dress/img_00000010.jpg                 -1 -1 -1 -1
img/A-Line_Dress/img_00000011.jpg                  0  0  0  0
"""


@pytest.fixture
def write(tmp_path):
    def make(text: str, name: str = "list.txt"):
        path = tmp_path / name
        path.write_bytes(text.encode())
        return path

    return make


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text + "\n  \n\n",
        lambda text: text.rstrip("\n"),
        lambda text: "\ufeff" + text.replace("attribute_name    ", "  attribute_name "),
        lambda text: text.replace("   ", "\t"),
        lambda text: text.replace("\n", "   \n"),
    ],
    ids=["as it is", "windows", "blank end", "no end", "header", "tabs", "padded end"],
)
def test_names_hold_spaces_and_columns_are_padded(write, change):
    names, meaning = read_names(write(change(NAMES)), NAMES_HEADER, TYPES)
    assert names == (
        "a-line",
        "abstract chevron print",
        "a very long name that leaves no room for padding",
        "lace",
    )
    assert meaning == ("shape", "texture", "texture", "texture")
    boxes = read_list(write(change(BOXES)), BOX_HEADER)
    assert boxes.integers(1).tolist() == [[72, 79, 232, 273], [67, -3, 232, 262]]
    assert boxes.images().tolist() == [f"img/Sheer_Pleated-Front_Blouse/img_0000000{k}.jpg" for k in (1, 2)]
    values = read_values(write(change(VALUES)), ["a", "b", "c", "d"])
    assert values["attributes"].tolist()[:2] == ["a;?c", ""] and values["attributes"].isna().tolist()[2]


def test_a_name_that_occurs_again_is_told_apart_and_no_number_shifts(write):
    names, _ = read_names(write("4\nn t\nlace 1\nlace 3\nlace (2)   1\nlace 1\n"), "n t", TYPES)
    assert names == ("lace", "lace (2)", "lace (2) (2)", "lace (3)")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("4\n", "5\n"), "line 1: it says 5 rows, but 4 follow"),
        (("4\n", "four\n"), "line 1: 'four' is not the number"),
        (("4\n", ""), "line 1: 'attribute_name attribute_type' is not the number"),
        (("attribute_name ", "category_name "), "line 2: the header is 'category_name .*instead of 'attribute_name"),
        (("lace                         1", "lace                         2"), "line 6: '2' is none of 1, 3"),
        (("lace                         1", "lace"), "line 6: 1 fields instead of 2: 'lace'"),
        (("lace  ", "lace;silk  "), "line 6: the name 'lace;silk' holds ';'"),
        (("lace  ", "?lace  "), r"line 6: the name '\?lace' "),
        (("a-line                       3\n", "a-line   3\n\n"), "line 4: 0 fields"),
    ],
)
def test_wrong_names_are_told_with_file_and_line(write, change, message):
    with pytest.raises(CatalogueError, match=rf"list\.txt {message}"):
        read_names(write(NAMES.replace(*change)), NAMES_HEADER, TYPES)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("079", "79.5"), "line 3: '79.5' is not a whole number"),
        (("262", "2_6"), "line 4: '2_6' is not a whole number"),
        (("262", "٣"), "line 4: '٣' is not a whole number"),
        (("262", "2-6"), "line 4: '2-6' is not a whole number"),
        (("262", "99999999999999999999"), "line 4: '9+' is not a whole number of at most nine"),
        (("262", "999999999"), "line 4: 999999999 is not from -1000000 to 1000000"),
        (("262", "262 7"), "line 4: 6 fields instead of 5"),
        (("273\n", "273\n\n"), "line 4: 0 fields instead of 5"),
        (("072 079", "072"), "line 3: 4 fields instead of 5"),
        (("img_00000002", "img_00000001"), "line 4: the image img/.*1.jpg is already in line 3"),
        (("img/Sheer_Pleated-Front_Blouse/img_00000002", "Img/b"), "line 4: the image 'Img/b.jpg' does not begin with"),
        (("y_2", ""), "line 2: the header is .* instead of 'image_name x_1 y_1 x_2 y_2'"),
    ],
)
def test_wrong_rows_are_told_with_file_and_line(write, change, message):
    with pytest.raises(CatalogueError, match=rf"list\.txt {message}"):
        rows = read_list(write(BOXES.replace(*change)), BOX_HEADER)
        rows.images()
        rows.integers(1)


def test_a_file_that_is_not_there_or_not_text_or_empty(write, tmp_path):
    with pytest.raises(CatalogueError, match=r"gone\.txt: cannot be read"):
        read_list(tmp_path / "gone.txt", BOX_HEADER)
    with pytest.raises(CatalogueError, match=r"list\.txt line 1: '' is not the number"):
        read_list(write(""), BOX_HEADER)
    with pytest.raises(CatalogueError, match=r"list\.txt line 1: there are no rows"):
        read_list(write("0\n" + BOX_HEADER), BOX_HEADER)
    with pytest.raises(CatalogueError, match=r"list\.txt: there are no rows"):
        read_rows(write("\n"), 4)
    path = write("")
    path.write_bytes(BOXES.encode().replace(b"Blouse/img_00000002", b"Blus\xe9/img_00000002"))
    with pytest.raises(CatalogueError, match=r"list\.txt line 4: not UTF-8"):
        read_list(path, BOX_HEADER)


def test_rows_of_two_files_are_matched_by_image(tmp_path):
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    images = ["img/a.jpg", "img/b.jpg", "img/c.jpg"]
    wanted = image_index(one, images)
    assert find_rows(wanted, one, image_index(two, images[::-1]), two).tolist() == [2, 1, 0]
    with pytest.raises(CatalogueError, match=rf"{two}: no row for img/b.jpg, which is in {one} line 4"):
        find_rows(wanted, one, image_index(two, ["img/a.jpg", "img/c.jpg"]), two)
    with pytest.raises(CatalogueError, match=rf"{two} line 5: the image img/d.jpg is not in {one}"):
        find_rows(wanted, one, image_index(two, ["img/a.jpg", "img/c.jpg", "img/d.jpg", "img/b.jpg"]), two)


def plain_values(path, names):
    """The same by reading one value after the other."""
    rows = []
    for line in path.read_text().splitlines()[2:]:
        if line.strip():
            image, *values = line.split()
            said = [{"1": n, "0": f"?{n}", "-1": ""}[v] for n, v in zip(names, values, strict=True)]
            rows.append((image, None if set(values) == {"0"} else ";".join(filter(None, said))))
    return rows


@pytest.mark.parametrize("block", [300, 1000, 1 << 20])
@pytest.mark.parametrize("form", ["{:2d}", "{}"])
@pytest.mark.parametrize("end", ["\n", " \n", "\r\n"])
def test_values_agree_with_a_plain_loop(tmp_path, block, form, end):
    rng = np.random.default_rng(1)
    names = [f"name {k}" for k in range(31)]
    lines = []
    for row, values in enumerate(rng.choice([-1, -1, -1, 0, 1], (50, 31)).tolist()):
        path = f"img/{'1-1 0_'[row % 3 :].replace(' ', '-')}{'x' * int(rng.integers(30))}/img_{row:08d}.jpg"
        lines.append(f"{path}{' ' * int(rng.integers(1, 9))}{' '.join(map(form.format, values))}")
    path = tmp_path / "list_attr_img.txt"
    path.write_bytes((end.join(["50", "image_name  attribute_labels", *lines, "", ""])).encode())
    table = read_values(path, names, block)
    assert list(map(tuple, table.astype(object).where(table.notna(), None).to_numpy())) == plain_values(path, names)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("-1 -1 1", r"line 23: 3 values instead of 4"),
        ("-1 -1 1 1 1", r"line 23: 5 values instead of 4"),
        ("", r"line 23: 0 values instead of 4"),
        ("-1 -1 1 2", r"line 23: value 4 of img/20.jpg is '2', not 1, -1 or 0"),
        ("-1 -2 1 1", r"line 23: value 2 of img/20.jpg is '-2'"),
        ("-1 +1 1 1", r"line 23: value 2 of img/20.jpg is '\+1'"),
        ("-0 -1 1 1", r"line 23: value 1 of img/20.jpg is '-0'"),
        ("-1 --1 1 1", r"line 23: value 2 of img/20.jpg is '--1'"),
        ("-1 - 1 1 1", r"line 23: value 2 of img/20.jpg is '-'"),
        ("-1 -1 11 1", r"line 23: value 3 of img/20.jpg is '11'"),
        ("-1 -1 1-1 1", r"line 23: value 3 of img/20.jpg is '1-1'"),
        ("-1 -1 1.0 1", r"line 23: value 3 of img/20.jpg is '1.0'"),
        ("-1 -1 é 1", r"line 23: value 3 of img/20.jpg is 'é'"),
        ("-1 -1 1 1\n", r"line 24: the line is blank"),
        ("-1 -1 1 1\nimg/more.jpg 1 1 1 1", r"line 1: it says 40 rows, but 41 follow"),
    ],
)
def test_wrong_values_are_told_with_file_and_line(write, bad, message):
    lines = [f"img/{row}.jpg  {bad if row == 20 else '-1  1  0 -1'}" for row in range(40)]
    path = write("\n".join(["40", "image_name attribute_labels", *lines]) + "\n")
    with pytest.raises(CatalogueError, match=rf"list\.txt {message}"):
        read_values(path, list("abcd"), block=100)


def test_other_files_are_not_taken_for_values(write, tmp_path):
    for text, message in (
        (BOXES, "line 2: the header is 'image_name .*x_1"),
        ("image_name attribute_labels\nimg/a.jpg 1 1", "line 1: 'image_name attribute_labels' is not the number"),
        ("2\nimage_name attribute_labels\nimg/a.jpg " + "1 " * 500, ": a line of more than 200 bytes"),
        ("2\nimage_name attribute_labels\nimg/a.jpg 1 1\n", "line 1: it says 2 rows, but 1 follow"),
    ):
        with pytest.raises(CatalogueError, match=rf"list\.txt ?{message}"):
            read_values(write(text), ["a", "b"], block=200)
    with pytest.raises(CatalogueError, match=r"gone\.txt: cannot be read"):
        read_values(tmp_path / "gone.txt", ["a"])


@pytest.fixture
def cached(write, tmp_path, monkeypatch):
    """Reads VALUES through the cache; ``.reads`` counts how often the text was read."""
    path, names = write(VALUES, "list_attr_img.txt"), write(NAMES, "list_attr_cloth.txt")

    def read(labels=("a", "b", "c", "d")):
        return read_attributes(path, labels, names)

    def counted(*arguments):
        read.reads += 1
        return read_values(*arguments)

    read.reads, read.path, read.names = 0, path, names
    read.cache = tmp_path / ".fashionlib" / "list_attr_img.parquet"
    monkeypatch.setattr(deepfashion_values, "read_values", counted)
    return read


def test_the_second_reading_is_from_the_cache_and_the_same(cached):
    first = cached()
    pd.testing.assert_frame_equal(cached(), first)
    assert cached.reads == 1
    assert first["attributes"].isna().tolist() == [False, False, True] and first.loc[1, "attributes"] == ""
    assert [file.name for file in cached.cache.parent.iterdir()] == ["list_attr_img.parquet"]


def test_the_cache_is_made_anew_when_a_file_changes_or_the_cache_is_damaged(cached, monkeypatch):
    first = cached()
    cached.path.write_text(VALUES.replace(" 1 -1  0 -1", "-1 -1  0  1"))  # the same size
    assert cached()["attributes"][0] == "?c;d" and cached.reads == 2
    cached.path.write_text(VALUES)
    cached.names.write_text(NAMES.replace("lace", "silk"))
    assert cached(("a", "b", "silk", "d"))["attributes"][0] == "a;?silk" and cached.reads == 3
    whole = cached.cache.read_bytes()
    middle = whole.index(b"A-Line")
    for damaged in (whole[:-30], b"", whole[:middle] + b"Z" + whole[middle + 1 :]):
        cached.cache.write_bytes(damaged)
        pd.testing.assert_frame_equal(cached(), first)
    assert cached.reads == 6
    monkeypatch.setattr(deepfashion_values, "EDITION", 0)
    cached()
    assert cached.reads == 7


def test_without_a_place_for_the_cache_the_file_is_read_each_time(cached):
    cached.cache.parent.write_text("a file is in the way")
    for reads in (1, 2):
        assert cached()["attributes"][0] == "a;?c"
        assert cached.reads == reads


def test_an_attribute_file_of_any_size_is_written_for_the_speed_table(tmp_path):
    path = tmp_path / "list_attr_img.txt"
    write_attribute_file(path, 2100, 40, seed=3)
    names = [f"n{k}" for k in range(40)]
    table = read_values(path, names)
    assert list(map(tuple, table.astype(object).to_numpy())) == plain_values(path, names)
    known = table["attributes"].str.replace(r"\?n\d+;?", "", regex=True).str.rstrip(";")
    assert 2 < known.str.split(";").map(lambda words: len([w for w in words if w])).mean() < 4
    assert table["attributes"].str.contains("?", regex=False).any()
    again = tmp_path / "again.txt"
    write_attribute_file(again, 2100, 40, seed=3)
    assert again.read_bytes() == path.read_bytes()


def test_the_speed_of_both_readings_is_measured_in_processes_of_their_own(tmp_path):
    speed = annotation_speed(60, 20, tmp_path)
    assert speed.columns.tolist() == ["what", "rows", "seconds", "peak_mb"]
    assert speed["what"].tolist() == ["first read", "second read"] and (speed["rows"] == 60).all()
    assert (speed["seconds"] > 0).all() and (speed["peak_mb"] > 20).all()
    assert not list(tmp_path.iterdir()), "the big file was left behind"


def test_a_full_disk_is_told_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda place: type("Usage", (), {"free": 5_000_000})())
    with pytest.raises(OSError, match=r"1\.2 GB are needed for a moment, 0\.0 are free"):
        annotation_speed(folder=tmp_path)
    assert not list(tmp_path.iterdir())

"""DeepFashion's list files, written here by hand as the real ones are."""

import pytest

from fashionlib.data.catalogue import CatalogueError
from fashionlib.sources.deepfashion_lists import read_list, read_names

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
    long = "a very long name that leaves no room for padding"
    assert names == ("a-line", "abstract chevron print", long, "lace")
    assert meaning == ("shape", "texture", "texture", "texture")
    boxes = read_list(write(change(BOXES)), BOX_HEADER)
    assert boxes.integers(1).tolist() == [[72, 79, 232, 273], [67, -3, 232, 262]]
    assert boxes.images().to_dict() == {
        line: f"img/Sheer_Pleated-Front_Blouse/img_0000000{line - 2}.jpg" for line in (3, 4)
    }


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
        (("262", "\u0663"), "line 4: '\u0663' is not a whole number"),
        (("262", "99999999999999999999"), "line 4: '9+' is not a whole number of 9 digits"),
        (("262", "999999999"), "line 4: 999999999 is not from -1000000 to 1000000"),
        (("262", "262 7"), "line 4: 6 fields instead of 5"),
        (("262", "262 7 8"), "line 4: 7 fields instead of 5"),
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
    with pytest.raises(CatalogueError, match=r"list\.txt: there are no rows"):
        read_list(write("0\n" + BOX_HEADER), BOX_HEADER)
    with pytest.raises(CatalogueError, match=r"list\.txt: there are no rows"):
        read_list(write("\n"), BOX_HEADER, counted=False)
    path = write("")
    path.write_bytes(BOXES.encode().replace(b"Blouse/img_00000002", b"Blus\xe9/img_00000002"))
    with pytest.raises(CatalogueError, match=r"list\.txt line 4: not UTF-8"):
        read_list(path, BOX_HEADER)


def test_rows_of_two_files_are_matched_by_image(write):
    def listed(name, letters):
        rows = "".join(f"img/{letter}.jpg x\n" for letter in letters)
        return read_list(write(f"{len(letters)}\nimage_name what\n{rows}", name), "image_name what")

    one = listed("one.txt", "abc")
    assert listed("two.txt", "cba").order(one).tolist() == [2, 1, 0]
    with pytest.raises(CatalogueError, match=r"two.txt: no row for img/b.jpg, which is in .*one.txt line 4"):
        listed("two.txt", "ac").order(one)
    with pytest.raises(CatalogueError, match=r"two.txt line 5: the image img/d.jpg is not in .*one.txt"):
        listed("two.txt", "acdb").order(one)

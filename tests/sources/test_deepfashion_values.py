"""DeepFashion's gigabyte of values, compared with a plain loop; and what is kept of it."""

import numpy as np
import pandas as pd
import pytest

from fashionlib.data.catalogue import CatalogueError
from fashionlib.sources import deepfashion_values
from fashionlib.sources.deepfashion_values import read_attributes, read_values

VALUES = """3
image_name                                                             attribute_labels
img/1-1_0/img_00000001.jpg                         1 -1  0 -1
img/A-Line_Dress/img_00000010.jpg                 -1 -1 -1 -1
img/A-Line_Dress/img_00000011.jpg                  0  0  0  0
"""


def plain_values(path, names):
    """The same by reading one value after the other."""
    for line in path.read_text().splitlines()[2:]:
        if line.strip():
            image, *values = line.split()
            said = [{"1": n, "0": f"?{n}", "-1": ""}[v] for n, v in zip(names, values, strict=True)]
            yield image, None if set(values) == {"0"} else ";".join(filter(None, said))


@pytest.mark.parametrize("form, end", [("{:2d}", "\n"), ("{}", " \n"), ("{:2d}", "\r\n"), ("{:>9}", "\n\n")])
def test_values_agree_with_a_plain_loop(tmp_path, form, end):
    rng = np.random.default_rng(1)
    names = [f"name {k}" for k in range(31)]
    lines = []
    for row, values in enumerate(rng.choice([-1, -1, -1, 0, 1], (50, 31)).tolist()):
        path = f"img/{'1-1 0_'[row % 3 :].replace(' ', '-')}{'x' * int(rng.integers(30))}/img_{row:08d}.jpg"
        lines.append(f"{path}{' ' * int(rng.integers(1, 9))}{' '.join(map(form.format, values))}")
    lines[7] = f"img/none.jpg {'0 ' * 31}"
    path = tmp_path / "list_attr_img.txt"
    path.write_bytes("\ufeff".encode() + f"50\nimage_name  attribute_labels\n{end.join([*lines, '', ''])}".encode())
    table = read_values(path, names)
    assert list(map(tuple, table.astype(object).where(table.notna(), None).to_numpy())) == [*plain_values(path, names)]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("-1 -1 1", r"line 23: 3 values instead of 4"),
        ("-1 -1 1 1 1", r"line 23: 5 values instead of 4"),
        ("-1 -1 1 1 1 1 1", r"line 23: 7 values instead of 4"),
        ("", r"line 23: 0 values instead of 4"),
        ("-1 -1 1 2", r"line 23: value 4 of img/20.jpg is '2', not 1, -1 or 0"),
        ("-1 -2 1 1", r"line 23: value 2 of img/20.jpg is '-2'"),
        ("-1 -128 1 1", r"line 23: value 2 of img/20.jpg is '-128'"),
        ("-1 - 1 1 1", r"line 23: value 2 of img/20.jpg is '-'"),
        ("-1 -1 11 1", r"line 23: value 3 of img/20.jpg is '11'"),
        ("-1 -1 1-1 1", r"line 23: value 3 of img/20.jpg is '1-1'"),
        ("-1 -1 1.5 1", r"line 23: value 3 of img/20.jpg is '1.5'"),
        ("-1 -1 NA 1", r"line 23: value 3 of img/20.jpg is 'NA'"),
        ("-1 -1 \u00e9 1", r"line 23: value 3 of img/20.jpg is '\u00e9'"),
        ("-1 -1 1 1\nimg/more.jpg 1 1 1 1", r"line 1: it says 40 rows, but 41 follow"),
    ],
)
def test_wrong_values_are_told_with_file_and_line(tmp_path, bad, message):
    lines = [f"img/{row}.jpg  {bad if row == 20 else '-1  1  0 -1'}" for row in range(40)]
    path = tmp_path / "list.txt"
    path.write_text("\n".join(["40", "image_name attribute_labels", *lines]) + "\n", encoding="utf-8")
    with pytest.raises(CatalogueError, match=rf"list\.txt {message}"):
        read_values(path, list("abcd"))


def test_a_copy_in_zeros_and_ones_is_not_read_as_if_nothing_were_known(tmp_path):
    lines = [f"img/{row}.jpg  {'0 1 0 0' if row % 2 else '1 0 0 0'}" for row in range(6)]
    path = tmp_path / "list.txt"
    path.write_text("\n".join(["6", "image_name attribute_labels", *lines]) + "\n")
    with pytest.raises(CatalogueError, match="list.txt: no value is -1"):
        read_values(path, list("abcd"))
    path.write_text(path.read_text().replace("0 1 0 0", "0 1 0 -1"))
    assert read_values(path, list("abcd"))["attributes"].iloc[1] == "?a;b;?c"


def test_other_files_are_not_taken_for_values(tmp_path):
    path = tmp_path / "list.txt"
    for content, message in (
        (b"2\nimage_name x_1\nimg/a.jpg 1", " line 2: the header is 'image_name x_1'"),
        (b"image_name attribute_labels\nimg/a.jpg 1 1", " line 1: 'image_name attribute_labels' is not the number"),
        (b"1\nimage_name attribute_labels\nimg/\xe9.jpg 1 1\n", " line 3: not UTF-8"),
        (b"2\nimage_name attribute_labels\n", ": there are no rows"),
        (b"2\nimage_name attribute_labels\nimg/a.jpg 1 1\n", " line 1: it says 2 rows, but 1 follow"),
    ):
        path.write_bytes(content)
        with pytest.raises(CatalogueError, match=rf"list\.txt{message}"):
            read_values(path, ["a", "b"])
    with pytest.raises(CatalogueError, match=r"gone\.txt: cannot be read"):
        read_values(tmp_path / "gone.txt", ["a"])


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """Reads VALUES through the cache; ``.reads`` counts how often the text was read."""

    def read(labels=("a", "b", "c", "d")):
        return read_attributes(read.path, labels, read.names)

    def counted(*arguments):
        read.reads += 1
        return read_values(*arguments)

    read.reads, read.path, read.names = 0, tmp_path / "list_attr_img.txt", tmp_path / "list_attr_cloth.txt"
    read.cache = tmp_path / ".fashionlib" / "list_attr_img.parquet"
    read.path.write_text(VALUES)
    read.names.write_text("names")
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
    cached.names.write_text("other names")
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

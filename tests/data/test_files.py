"""The gate and the walk: what is opened, what is found, and how it is called."""

import errno
import os
import socket
import sys

import pytest

from fashionlib.data import files
from fashionlib.data.decoding import MAY_PASS, BadImage
from fashionlib.data.files import all_files, printable, read_image, stays_inside
from fashionlib.shop.photos import picture_files

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes, links and names of bytes")


def test_only_regular_files_of_bounded_size_are_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the name of a socket must be short
    monkeypatch.setattr(files, "MAX_BYTES", 1000)
    (tmp_path / "a.jpg").write_bytes(b"\0" * 1000)
    (tmp_path / "large.jpg").write_bytes(b"\0" * 1001)
    (tmp_path / "folder.jpg").mkdir()
    os.symlink("a.jpg", "link.jpg")
    os.symlink("nowhere", "dangling.jpg")
    os.symlink("loop.jpg", "loop.jpg")
    os.mkfifo("pipe.jpg")
    reasons = {
        "large.jpg": "1,001 bytes are more than 1,000; make it smaller",
        "folder.jpg": "a folder, not a photo",
        "dangling.jpg": "a link to no such file",
        "gone.jpg": "no such file",
        "loop.jpg": "cannot be read (Too many levels of symbolic links)",
        "pipe.jpg": "not a file but a pipe, a socket or a device",
        "/dev/zero": "not a file but a pipe, a socket or a device",
        "socket.jpg": "cannot be read (No such device or address)",
        "a.jpg/b": "cannot be read (Not a directory)",
        "a" * 300: "cannot be read (File name too long)",
    }
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind("socket.jpg")
        for path, reason in reasons.items():
            with pytest.raises(BadImage) as caught:
                read_image(path, "its name")
            assert str(caught.value) == f"its name: {reason}"
    assert read_image("a.jpg", "a") == read_image(tmp_path / "link.jpg", "a") == b"\0" * 1000
    with pytest.raises(BadImage, match="not a path"):
        read_image("a\0b", "a\0b")


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE, errno.EACCES])
def test_what_is_none_of_the_file_s_fault_may_pass(tmp_path, monkeypatch, number):
    def failing(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", failing)
    with pytest.raises(BadImage) as caught:
        read_image(tmp_path / "a.jpg", "a.jpg")
    assert str(caught.value) == f"a.jpg: cannot be read ({os.strerror(number)}){MAY_PASS}"


def test_files_come_folder_by_folder_in_the_order_of_their_names(tmp_path):
    names = ["b/z.jpg", "b/a.PNG", "b/c/d.jpg", "b-c/q.jpg", "b.jpg", "a.txt", "x.jpg/in.webp", "é.jpg", "~.jpg"]
    for name in (*names, ".hidden.jpg", ".hidden/a.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "link.jpg").symlink_to("b.jpg")
    (tmp_path / "linked").symlink_to("b")
    found = dict(all_files(tmp_path))
    order = ["a.txt", "b/a.PNG", "b/c/d.jpg", "b/z.jpg", "b-c/q.jpg", "b.jpg", "link.jpg", "linked", "x.jpg/in.webp"]
    assert list(found) == [*order, "~.jpg", "é.jpg"]
    assert str(found.pop("linked")) == "linked: a link to a folder is not followed; name that folder by itself"
    assert found == {name: tmp_path / name for name in found}
    assert [name for name, _ in picture_files(tmp_path)] == [*order[1:], "~.jpg", "é.jpg"]
    with pytest.raises(FileNotFoundError):
        next(all_files(tmp_path / "gone"))


def test_a_folder_that_cannot_be_read_does_not_hide_the_others(tmp_path, monkeypatch):
    for folder in "abc":
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1.jpg").write_bytes(b"")
    scan = os.scandir

    def locked(entry):
        if getattr(entry, "name", "") == "b":
            raise PermissionError(errno.EACCES, "Permission denied")
        return scan(entry)

    monkeypatch.setattr(os, "scandir", locked)
    found = dict(picture_files(tmp_path))
    assert list(found) == ["a/1.jpg", "b/", "c/1.jpg"]
    assert str(found["b/"]) == "b/: the folder cannot be read (Permission denied)"


def test_a_thousand_folders_in_each_other_are_walked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(1200):
        os.mkdir("n")
        os.chdir("n")
    open("x.jpg", "w").close()
    os.chdir(tmp_path)
    assert [name for name, _ in all_files(".")] == ["n/" * 1200 + "x.jpg"]
    os.remove("n/" * 1200 + "x.jpg")
    os.removedirs("n/" * 1200)  # pytest's clearing up would recurse


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (os.fsdecode(b"caf\xe9.jpg"), r"caf\xe9.jpg"),
        ("café 図 \u202f.jpg", "café 図 \u202f.jpg"),
        ("two\nlines\r\x1b[2J\0.jpg", r"two\nlines\r\x1b[2J\x00.jpg"),
        ("gpj.\u202eexe", r"gpj.\u202eexe"),  # which a terminal would show from right to left
    ],
)
def test_names_can_be_written_on_one_line(name, shown):
    assert printable(name) == shown


def test_a_path_stays_inside_a_folder_or_not(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in-2").mkdir()
    (tmp_path / "in" / "out").symlink_to(tmp_path)
    inside = {"a.jpg": True, "b/../a.jpg": True, "../in/a.jpg": True, "out/in/a.jpg": True}
    outside = ["../in-2/a.jpg", "out/a.jpg", str(tmp_path / "a.jpg"), "a\0b", "..", ""]
    for location, expected in (inside | dict.fromkeys(outside, False)).items():
        assert stays_inside(tmp_path / "in", location) is expected, location
    assert stays_inside("/", "a.jpg")

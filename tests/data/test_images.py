"""Images in a folder, and the pixel cache: keyed by the data, built once, whole or not at all."""

import errno
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fashionlib.data import images
from fashionlib.data.catalogue import Catalogue
from fashionlib.data.decoding import MAY_PASS, BadImage, decode
from fashionlib.data.images import FolderImages, cache_images

SIZE = (24, 32)
PIXELS = np.random.default_rng(0).integers(0, 256, (32, 24, 3), np.uint8)


class Grey:
    fingerprint = "grey"

    def read(self, location):
        return np.full((8, 6), 90, np.uint8)


def test_a_path_may_not_leave_the_folder(tmp_path):
    root = tmp_path / "photos"
    root.mkdir()
    for path in (tmp_path / "secret.jpg", root / "shoe.jpg"):
        path.write_bytes(path.name.encode())
    (root / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (root / "same.jpg").symlink_to("shoe.jpg")
    images = FolderImages(root)
    for location in ("../secret.jpg", str(tmp_path / "secret.jpg"), "link.jpg"):
        with pytest.raises(BadImage, match=rf"{location}: the path leaves the data folder .*photos"):
            images.read(location)
    assert images.read("shoe.jpg") == images.read("same.jpg") == b"shoe.jpg"
    with pytest.raises(BadImage, match="gone.jpg: no such file"):
        images.read("gone.jpg")


def test_files_that_are_gone_do_not_break_the_fingerprint(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"")
    (tmp_path / "dangling.jpg").symlink_to("nowhere")
    named = [FolderImages(tmp_path, names).fingerprint for names in (["a.jpg"], ["a.jpg", "gone.jpg"], ["b.jpg"], None)]
    assert len(set(named)) == 4


def test_bad_files_are_quarantined_and_good_ones_go_on(photo_folder, encode, tmp_path):
    good = {f"good/{i}.png": encode(np.full((32, 24, 3), 40 * i), "PNG") for i in range(3)}
    bad = {
        "empty.jpg": (b"", "the file is empty"),
        "cut.jpg": (encode(PIXELS)[:-200], "damaged image"),
        "gif.jpg": (encode(PIXELS, "GIF"), "not a JPEG"),
        "gone.jpg": (None, "no such file"),
        "huge.png": (encode(np.zeros((40, 40, 3)), "PNG"), "40 x 40 is more than 1,000 pixels"),
    }
    names = ["empty.jpg", "good/0.png", "cut.jpg", "good/1.png", "gif.jpg", "gone.jpg", "huge.png", "good/2.png"]
    catalogue = photo_folder({name: good[name] if name in good else bad[name][0] for name in names})
    for _ in range(2):  # built, and opened again
        data = cache_images(catalogue, SIZE, tmp_path / "cache", max_pixels=1000)
        rejected = data.catalogue.rejected
        assert rejected["image"].tolist() == [name for name in names if name in bad]
        assert rejected["row"].tolist() == [0, 2, 4, 5, 6]
        for name, reason in zip(rejected["image"], rejected["reason"], strict=True):
            assert reason.startswith(f"{name}: ") and bad[name][1] in reason
        assert data.catalogue.table["image"].tolist() == list(good)
        assert data.fetch(np.array([2, 0, 1])).float().mean((1, 2, 3)).tolist() == [80, 0, 40]


@pytest.fixture
def photos(photo_folder, encode):
    return photo_folder({f"{i}.png": encode(np.full((32, 24, 3), 50 * i), "PNG") for i in range(4)})


def caches(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix != ".lock")


def touch(path: Path, content: bytes) -> None:
    """Overwrite a file, at a later time even on a file system with coarse times."""
    before = path.stat().st_mtime_ns
    path.write_bytes(content)
    os.utime(path, ns=(before + 10**9, before + 10**9))


def test_the_cache_holds_what_decoding_gives(photos, garments, tmp_path):
    data = cache_images(photos, SIZE, tmp_path / "cache")
    assert data.size == SIZE and data.pixels.dtype == np.uint8 and isinstance(data.pixels, np.memmap)
    for row in range(4):
        assert np.array_equal(data.fetch(np.array([row]))[0], decode(photos.read(row), "a"))
    grey = Catalogue(photos.table.iloc[:2], [], Grey(), "grey")  # pixels without colour
    assert cache_images(grey, (6, 8), tmp_path / "cache").fetch(np.arange(2)).unique().tolist() == [90]
    row = 100  # drawn images are not files
    assert np.array_equal(garments.pixels[row], garments.catalogue.read(row))


def test_it_is_reopened_without_decoding_for_any_split(photos, tmp_path, monkeypatch):
    first = cache_images(photos, SIZE, tmp_path / "cache")
    monkeypatch.setattr(images, "decode", lambda *_: pytest.fail("decoded again"))
    again = cache_images(photos.with_split(["train", "test", "val", "train"]), SIZE, tmp_path / "cache")
    assert np.array_equal(first.pixels, again.pixels)
    assert len(caches(tmp_path / "cache")) == 1


def test_the_same_photos_in_another_order_get_a_cache_of_their_own(photos, tmp_path):
    cache_images(photos, SIZE, tmp_path / "cache")
    turned = Catalogue(photos.table[::-1], [], photos.images, photos.name)
    first = cache_images(turned, SIZE, tmp_path / "cache").fetch(np.array([0]))[0]
    assert np.array_equal(first, decode(photos.read(3), "a"))


def test_a_finished_cache_may_be_read_only(photos, tmp_path, monkeypatch):
    cache_images(photos, SIZE, tmp_path / "cache")
    (lock,) = (tmp_path / "cache").glob("*.lock")
    lock.unlink()
    monkeypatch.setattr("filelock.FileLock.acquire", lambda *_, **__: pytest.fail("wrote a lock"))
    assert len(cache_images(photos, SIZE, tmp_path / "cache").catalogue) == 4


def test_changed_images_another_size_or_limit_get_a_cache_of_their_own(photos, encode, tmp_path):
    old = cache_images(photos, SIZE, tmp_path / "cache")
    touch(photos.images.root / "2.png", encode(np.full((32, 24, 3), 7), "PNG"))
    fresh = open_again(photos)
    new = cache_images(fresh, SIZE, tmp_path / "cache")
    assert old.pixels[2].max() == 100 and new.pixels[2].max() == 7
    assert cache_images(photos, SIZE, tmp_path / "cache").folder == new.folder  # the same catalogue sees it, too
    cache_images(fresh, (12, 16), tmp_path / "cache")
    assert len(caches(tmp_path / "cache")) == 3
    assert len(cache_images(fresh, SIZE, tmp_path / "cache", max_pixels=24 * 32).catalogue) == 4
    assert len(caches(tmp_path / "cache")) == 4


def open_again(catalogue):
    """The catalogue as a new process sees it: nothing remembered."""
    return type(catalogue)(catalogue.table, list(catalogue.tasks.values()), catalogue.images, catalogue.name)


def test_the_fingerprint_of_a_folder_follows_names_sizes_and_times(tmp_path):
    root = tmp_path / "photos"
    (root / "sub").mkdir(parents=True)
    (root / "a.jpg").write_bytes(b"one")
    (root / "sub" / "b.jpg").write_bytes(b"two")
    folder, seen = FolderImages(root), set()

    def expect_new():
        assert folder.fingerprint not in seen and folder.fingerprint == FolderImages(root).fingerprint
        seen.add(folder.fingerprint)

    expect_new()
    touch(root / "sub" / "b.jpg", b"TWO")  # as many bytes
    expect_new()
    os.rename(root / "a.jpg", root / "c.jpg")
    expect_new()
    os.rename(root / "c.jpg", root / "sub" / "c.jpg")
    expect_new()
    (root / "new.jpg").write_bytes(b"")
    expect_new()
    (root / "link.jpg").symlink_to(root / "new.jpg")
    expect_new()
    touch(root / "new.jpg", b"a photo that two names lead to")
    seen.add(FolderImages(root, ["link.jpg"]).fingerprint)
    touch(root / "new.jpg", b"A photo that two names lead to")
    assert FolderImages(root, ["link.jpg"]).fingerprint not in seen
    (root / "link.jpg").unlink()
    expect_new()
    os.rename(root, tmp_path / "elsewhere")  # the same photos in another place
    (tmp_path / "elsewhere" / ".DS_Store").write_bytes(b"what a desktop leaves behind")
    assert FolderImages(tmp_path / "elsewhere").fingerprint in seen


def test_the_data_s_fingerprint_follows_images_labels_and_size(photos, tmp_path):
    data = cache_images(photos, SIZE, tmp_path / "cache")
    small = cache_images(photos, (12, 16), tmp_path / "cache")
    other = data.with_split(["train", "test", "train", "train"])
    assert len({data.fingerprint(), small.fingerprint(), other.fingerprint()}) == 3
    assert data.fingerprint(["kind"]) == cache_images(photos, SIZE, tmp_path / "elsewhere").fingerprint(["kind"])


DRAWN = """
import sys, time
import numpy as np, pandas as pd
from fashionlib.data import images
from fashionlib.data.catalogue import Catalogue
class Drawn:
    fingerprint = "drawn"
    def read(self, location):
        return np.full((32, 24, 3), int(location), np.uint8)
catalogue = Catalogue(pd.DataFrame({"image": map(str, range(50)), "split": "train"}), [], Drawn(), "drawn")
"""
BUILDER = f"""{DRAWN}
build = images._build
def slowly(*args):
    print("built", flush=True)
    time.sleep(1)
    build(*args)
images._build = slowly
print("ready", flush=True)
sys.stdin.readline()
data = images.cache_images(catalogue, (24, 32), sys.argv[1])
print(data.fingerprint(), int(data.pixels.astype(int).sum()))
"""


def test_two_processes_that_build_at_once_share_one_whole_cache(tmp_path):
    command = [sys.executable, "-c", BUILDER, str(tmp_path / "cache")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    children = [subprocess.Popen(command, **pipes) for _ in range(2)]
    assert [child.stdout.readline() for child in children] == ["ready\n"] * 2
    for child in children:  # now both start at once
        child.stdin.write("go\n")
        child.stdin.flush()
    outputs = [child.communicate()[0].split() for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert sum("built" in words for words in outputs) == 1
    assert outputs[0][-2:] == outputs[1][-2:]
    assert int(outputs[0][-1]) == sum(range(50)) * 32 * 24 * 3
    (cache,) = caches(tmp_path / "cache")
    assert sorted(path.name for path in cache.iterdir()) == ["pixels.npy", "quarantine.csv"]


def test_a_full_disk_is_a_clear_error_and_leaves_nothing_half_made(photos, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(OSError, match="pixel cache cannot be written.*No space left.*photos-24x32") as caught:
        cache_images(photos, SIZE, tmp_path / "cache")
    assert caught.value.errno == errno.ENOSPC and caught.value.filename.startswith(str(tmp_path / "cache"))
    assert caches(tmp_path / "cache") == []
    claimed = []
    monkeypatch.setattr(os, "posix_fallocate", lambda file, start, size: claimed.append((start, size)), raising=False)
    data = cache_images(photos, SIZE, tmp_path / "cache")
    assert len(data.catalogue) == 4 and claimed == [(0, (data.folder / "pixels.npy").stat().st_size)]


def test_a_folder_that_cannot_be_made_is_named(photos, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(OSError, match="pixel cache cannot be written.*cache/photos-24x32"):
        cache_images(photos, SIZE, tmp_path / "cache")


def test_what_a_killed_run_left_is_cleared_away(photos, tmp_path):
    whole = cache_images(photos, SIZE, tmp_path / "cache")
    (cache,) = caches(tmp_path / "cache")
    (cache / "pixels.npy").unlink()
    left = cache.with_name(f"{cache.name}.999999.part")
    left.mkdir()
    (left / "pixels.npy").write_bytes(b"half")
    again = cache_images(photos, SIZE, tmp_path / "cache")
    assert caches(tmp_path / "cache") == [cache]
    assert np.array_equal(whole.pixels, again.pixels)


def test_an_error_that_is_not_the_image_s_fault_ends_the_building(photos, tmp_path, monkeypatch):
    def broken(location):
        raise BadImage("x") if location == "1.png" else RuntimeError("the reader is broken")

    monkeypatch.setattr(photos.images, "read", broken)
    with pytest.raises(RuntimeError, match="the reader is broken"):
        cache_images(photos, SIZE, tmp_path / "cache")
    assert caches(tmp_path / "cache") == []


@pytest.fixture
def hiccup(photos, monkeypatch):
    """From now on the photos of these names cannot be read: ``hiccup("1.png", errno.EIO)``; without names all can."""
    opening = os.open

    def make(*names, number=errno.EIO):
        def broken(path, *flags, **options):
            if Path(path).name in names and Path(path).parent == photos.images.root:
                raise OSError(number, os.strerror(number))
            return opening(path, *flags, **options)

        monkeypatch.setattr(os, "open", broken)

    return make


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ESTALE, errno.EMFILE])
def test_an_image_that_could_not_be_read_for_a_while_comes_back(photos, tmp_path, hiccup, number):
    whole = cache_images(photos, SIZE, tmp_path / "elsewhere")
    hiccup("1.png", "3.png", number=number)
    (photos.images.root / "2.png").unlink()  # gone for good
    first = cache_images(open_again(photos), SIZE, tmp_path / "cache")
    assert first.catalogue.table["image"].tolist() == ["0.png"]
    listed = dict(zip(first.catalogue.rejected["image"], first.catalogue.rejected["reason"], strict=True))
    assert listed["1.png"] == f"1.png: cannot be read ({os.strerror(number)}){MAY_PASS}"
    assert "no such file" in listed["2.png"] and not listed["2.png"].endswith(MAY_PASS)
    hiccup("3.png", number=number)
    second = cache_images(open_again(photos), SIZE, tmp_path / "cache")
    assert second.catalogue.table["image"].tolist() == ["0.png", "1.png"]
    hiccup()
    third = cache_images(open_again(photos), SIZE, tmp_path / "cache")
    assert third.catalogue.table["image"].tolist() == ["0.png", "1.png", "3.png"]
    assert third.catalogue.rejected["image"].tolist() == ["2.png"]
    assert np.array_equal(third.fetch(np.arange(3)), whole.fetch(np.array([0, 1, 3])))
    assert first.catalogue.table["image"].tolist() == ["0.png"] and int(first.fetch(np.array([0])).max()) == 0
    assert len(caches(tmp_path / "cache")) == 1


def test_images_stay_out_of_a_cache_that_cannot_be_written(photos, tmp_path, hiccup, monkeypatch):
    hiccup("1.png")
    cache_images(photos, SIZE, tmp_path / "cache")
    hiccup()

    def read_only(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("filelock.FileLock.acquire", read_only)
    data = cache_images(photos, SIZE, tmp_path / "cache")
    assert len(data.catalogue) == 3 and data.catalogue.rejected["reason"].item().endswith(MAY_PASS)


def test_a_copy_for_another_process_maps_the_same_file(photos, tmp_path, monkeypatch):
    data = cache_images(photos, SIZE, tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    sent = pickle.dumps(data.with_split(["train", "test", "val", "train"]))
    assert len(sent) < data.pixels.nbytes
    copy = pickle.loads(sent)
    assert isinstance(copy.pixels, np.memmap) and copy.pixels.filename == data.pixels.filename
    assert not copy.pixels.flags.writeable and np.array_equal(copy.pixels, data.pixels)
    assert copy.catalogue.table["split"].tolist() == ["train", "test", "val", "train"]


def test_pixels_that_are_not_the_whole_file_are_copied(photos, tmp_path):
    data = cache_images(photos, SIZE, tmp_path / "cache")
    position = np.arange(2)
    part = images.ImageData(photos.without([0, 1], ["", ""], "test"), data.pixels[2:], position, data.folder)
    changed = images.ImageData(photos, np.load(data.folder / "pixels.npy", mmap_mode="c"), data.position, data.folder)
    changed.pixels[0] = 99
    for made in (part, changed, images.ImageData(photos, np.array(data.pixels), data.position)):
        assert np.array_equal(pickle.loads(pickle.dumps(made)).pixels, made.pixels)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc to know which files are mapped")
def test_no_file_is_mapped_when_the_folder_is_renamed(photos, tmp_path, monkeypatch):
    """Windows would refuse to rename it."""
    replace, mapped = os.replace, []

    def watched(source, target):
        if os.path.isdir(source):
            mapped.extend(line for line in Path("/proc/self/maps").read_text().splitlines() if ".part/" in line)
        return replace(source, target)

    monkeypatch.setattr(os, "replace", watched)
    cache_images(photos, SIZE, tmp_path / "cache")
    assert mapped == []


@pytest.mark.skipif(sys.platform != "linux", reason="such names are refused elsewhere")
def test_names_that_are_not_utf8_or_break_the_line_do_no_harm(photos, encode, tmp_path):
    before, root = photos.images.fingerprint, photos.images.root
    names = [os.fsdecode(b"caf\xe9.png"), "two\nlines.png", os.fsdecode(b"gone\xe9.png"), "gone\nagain.png"]
    for name in names[:2]:
        (root / name).write_bytes(encode(PIXELS, "PNG"))
    assert photos.images.fingerprint != before
    table = pd.DataFrame({"image": pd.Series(names, dtype=object), "split": "train"})
    data = cache_images(Catalogue(table, [], FolderImages(root), "strange"), SIZE, tmp_path / "cache")
    assert data.catalogue.table["image"].tolist() == names[:2] and len(data.fingerprint()) == 64
    assert data.catalogue.rejected["reason"].tolist() == [
        r"gone\xe9.png: no such file",
        r"gone\nagain.png: no such file",
    ]


@pytest.mark.parametrize("size", [32, (0, 32), (24.0, 32.0), (24, 32, 3), "24", ("24", "32")])
def test_a_size_that_is_none_is_refused(photos, tmp_path, size):
    with pytest.raises(ValueError, match=r"size is .*; it is width and height in whole pixels"):
        cache_images(photos, size, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()

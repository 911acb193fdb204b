"""Decoding and quarantine: what is an image, what is not, and what the pixels then are."""

import io
import os
import random
import resource
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageColor

from fashionlib.data.decoding import BadImage, decode, fit_to
from fashionlib.data.images import FolderImages, cache_images

PIXELS = np.random.default_rng(0).integers(0, 256, (32, 24, 3), np.uint8)


def huge_png(side: int = 20_000) -> bytes:
    """A PNG of side x side black pixels, one bit each: well formed, and small because it packs well."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = zlib.compress(bytes(side * (side // 8 + 1)), 9)  # each row: its filter, 0, and 8 pixels a byte
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_lossless_formats_come_back_pixel_for_pixel(encode):
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True})):
        assert np.array_equal(decode(encode(PIXELS, kind, **options), "a"), PIXELS)


def test_an_empty_file_is_named():
    with pytest.raises(BadImage, match=r"shoes/a\.jpg: the file is empty"):
        decode(b"", "shoes/a.jpg")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_truncated_file_is_refused_wherever_it_was_cut(encode, kind):
    content = encode(PIXELS, kind)
    for share in (0.3, 0.6, 0.9):
        with pytest.raises(BadImage, match=r"a\.jpg: (damaged image|not a JPEG)"):
            decode(content[: int(share * len(content))], "a.jpg")


def test_a_gif_named_jpg_and_a_text_are_not_images(encode):
    for content in (encode(PIXELS, "GIF"), b"<html>not found</html>"):
        with pytest.raises(BadImage, match=r"a\.jpg: not a JPEG, PNG or WebP image, whatever its name says"):
            decode(content, "a.jpg")


def test_400_megapixels_are_refused_without_being_decoded():
    content = huge_png()
    assert len(content) < 100_000
    with Image.open(io.BytesIO(huge_png(200))) as small:  # the same writer at a usual size makes a good file
        small.load()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BadImage, match=r"a\.png: too many pixels .*make it smaller"):
        decode(content, "a.png")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # kB; decoded it would be 400,000


def test_the_pixel_limit_is_that_of_the_caller(encode):
    content = encode(PIXELS)
    assert decode(content, "a.jpg", max_pixels=24 * 32).size == (24, 32)
    with pytest.raises(BadImage, match=r"a\.jpg: 24 x 32 is more than 767 pixels"):
        decode(content, "a.jpg", max_pixels=24 * 32 - 1)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_whatever_is_damaged_the_answer_is_an_image_or_bad_image(encode):
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    whole = [encode(PIXELS, kind, exif=exif) for kind in ("JPEG", "PNG", "WEBP")]
    rng, refused = random.Random(0), 0
    for _ in range(1500):
        content = bytearray(rng.choice(whole))
        for _ in range(rng.choice((1, 2, 8))):
            content[int(rng.random() ** 3 * len(content))] = rng.randrange(256)  # mostly in the header
        try:
            assert decode(bytes(content), "a").mode == "RGB"
        except BadImage:
            refused += 1
    assert 100 < refused < 1500


def test_damaged_metadata_are_bad_image_too(encode, monkeypatch):
    def broken(image):
        raise struct.error("required argument is not an integer")  # seen from Pillow on damaged EXIF

    monkeypatch.setattr("fashionlib.data.decoding.ImageOps.exif_transpose", broken)
    with pytest.raises(BadImage, match=r"a\.jpg: damaged image \(required argument"):
        decode(encode(PIXELS), "a.jpg")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_undone(encode, orientation):
    # EXIF 2.3, tag 0x0112: where the stored picture's first row and column belong
    undo = {
        1: lambda p: p,
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.transpose(1, 0, 2),
        6: lambda p: p.transpose(1, 0, 2)[:, ::-1],
        7: lambda p: p.transpose(1, 0, 2)[::-1, ::-1],
        8: lambda p: p.transpose(1, 0, 2)[::-1],
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert np.array_equal(decode(encode(PIXELS, "PNG", exif=exif), "a"), undo[orientation](PIXELS))


def png_of_16_bits(pixels: np.ndarray) -> bytes:
    """A PNG of uint16 (H, W, 1) grey or (H, W, 3) colours, written by hand: Pillow writes no 16-bit colours."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width, channels = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 3: 2}[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("channels", [1, 3])
def test_16_bits_become_8_and_are_not_clipped(channels):
    deep = np.random.default_rng(2).integers(0, 65536, (32, 24, channels)).astype(np.uint16)
    result = np.asarray(decode(png_of_16_bits(deep), "a.png"))
    assert np.array_equal(result, np.broadcast_to(deep // 256, (32, 24, 3)))


def test_cmyk_has_the_colours_it_is_printed_in(encode):
    inks = {"red": (0, 255, 255, 0), "cyan": (255, 0, 0, 0), "white": (0, 0, 0, 0), "black": (0, 0, 0, 255)}
    for colour, ink in inks.items():
        image = decode(encode(Image.new("CMYK", (16, 16), ink), "JPEG", quality=95), "a.jpg")
        assert image.mode == "RGB"
        assert np.abs(np.asarray(image).astype(int) - ImageColor.getrgb(colour)).max() <= 3, colour


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_an_animated_image_is_refused(encode, kind):
    frames = [Image.new("RGB", (24, 32), colour) for colour in ("red", "green", "blue")]
    moving = encode(frames[0], kind, save_all=True, append_images=frames[1:])
    with pytest.raises(BadImage, match="a.png: animated image with 3 frames; save one frame as JPEG or PNG"):
        decode(moving, "a.png")


def test_of_a_phones_jpeg_with_a_second_picture_the_first_is_taken(encode):
    exif = Image.Exif()
    exif[0x0112] = 6  # held upright
    content = encode(
        Image.new("RGB", (32, 24), "red"), "MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))], exif=exif
    )
    image = decode(content, "a.jpg")
    assert image.size == (24, 32) and np.abs(np.asarray(image).astype(int) - [255, 0, 0]).max() <= 3


def test_what_pillow_has_opened_is_treated_as_a_file(encode):
    exif = Image.Exif()
    exif[0x0112] = 3
    opened = Image.open(io.BytesIO(encode(PIXELS, "PNG", exif=exif)))
    assert np.array_equal(decode(opened, "0"), PIXELS[::-1, ::-1])
    with pytest.raises(BadImage, match="0: damaged image"):
        decode(Image.open(io.BytesIO(encode(PIXELS)[:-200])), "0")
    for mode in ("I", "F"):
        with pytest.raises(BadImage, match=f"0: pixels of mode {mode} have no fixed range"):
            decode(Image.new(mode, (4, 4)), "0")


def test_grey_is_three_equal_channels(encode):
    grey = PIXELS[..., 0]
    assert np.array_equal(decode(encode(grey, "PNG"), "a"), np.stack([grey] * 3, axis=2))
    assert decode(encode(grey, "JPEG"), "a").mode == "RGB"


def test_transparency_is_laid_on_white(encode):
    alpha = np.random.default_rng(1).integers(0, 256, (32, 24, 1), np.uint8)
    alpha[:8], alpha[8:16] = 0, 255
    expected = (PIXELS * (alpha / 255.0) + 255 * (1 - alpha / 255.0)).round()
    result = np.asarray(decode(encode(np.concatenate([PIXELS, alpha], axis=2), "PNG"), "a"))
    assert np.abs(result - expected).max() <= 1
    assert (result[:8] == 255).all()
    palette = Image.fromarray(np.arange(4, dtype=np.uint8).reshape(2, 2), "P")
    palette.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0, 0, 0, 200])
    result = np.asarray(decode(encode(palette, "PNG", transparency=0), "a"))
    assert result.tolist() == [[[255] * 3, [200, 0, 0]], [[0, 200, 0], [0, 0, 200]]]


def test_other_sizes_are_fitted_and_padded_with_white():
    black = Image.new("RGB", (60, 40))
    wide = fit_to(black, (24, 32))  # 60 x 40 becomes 24 x 16, in the middle of 24 x 32
    assert wide.shape == (32, 24, 3)
    assert (wide[:8] == 255).all() and (wide[8:24] == 0).all() and (wide[24:] == 255).all()
    tall = fit_to(Image.new("RGB", (10, 40)), (24, 32))  # becomes 8 x 32
    assert (tall[:, :8] == 255).all() and (tall[:, 8:16] == 0).all() and (tall[:, 16:] == 255).all()
    assert np.array_equal(fit_to(Image.fromarray(PIXELS), (24, 32)), PIXELS)


def test_a_path_may_not_leave_the_folder(tmp_path, encode):
    root = tmp_path / "photos"
    (root / "shoes").mkdir(parents=True)
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(encode(PIXELS))
    (tmp_path / "photos-2").mkdir()
    (tmp_path / "photos-2" / "a.jpg").write_bytes(b"not yours")
    (root / "link.jpg").symlink_to(secret)
    (root / "out").symlink_to(tmp_path)
    (root / "shoes" / "a.jpg").write_bytes(b"shoe")
    (root / "same.jpg").symlink_to("shoes/a.jpg")
    images = FolderImages(root)
    for location in ("../secret.jpg", "shoes/../../secret.jpg", str(secret), "link.jpg", "out/secret.jpg"):
        with pytest.raises(BadImage, match=rf"{location}: the path leaves the data folder .*photos"):
            images.read(location)
    with pytest.raises(BadImage, match="leaves the data folder"):
        images.read("../photos-2/a.jpg")
    assert images.read("shoes/../shoes/a.jpg") == images.read("same.jpg") == b"shoe"


def test_what_cannot_be_read_is_named(tmp_path):
    (tmp_path / "folder.jpg").mkdir()
    os.symlink("loop.jpg", tmp_path / "loop.jpg")
    images = FolderImages(tmp_path)
    reasons = {
        "gone.jpg": "no such file",
        "folder.jpg": "cannot be read",
        "a\0b.jpg": "not a path",
        "loop.jpg": "(not a path|cannot be read|no such file)",  # Python's answer to a loop of links has changed
        "a" * 300: "cannot be read",
    }
    for location, reason in reasons.items():
        with pytest.raises(BadImage, match=reason):
            images.read(location)


def test_bad_files_are_quarantined_and_good_ones_go_on(photo_folder, encode, tmp_path):
    good = {f"good/{i}.png": encode(np.full((32, 24, 3), 40 * i), "PNG") for i in range(3)}
    bad = {
        "empty.jpg": (b"", "the file is empty"),
        "cut.jpg": (encode(PIXELS)[:-200], "damaged image"),
        "gif.jpg": (encode(PIXELS, "GIF"), "not a JPEG"),
        "gone.jpg": (None, "no such file"),
        "huge.png": (huge_png(), "too many pixels"),
    }
    names = ["empty.jpg", "good/0.png", "cut.jpg", "good/1.png", "gif.jpg", "gone.jpg", "huge.png", "good/2.png"]
    catalogue = photo_folder({name: good[name] if name in good else bad[name][0] for name in names})
    for _ in range(2):  # built, and opened again
        data = cache_images(catalogue, (24, 32), tmp_path / "cache")
        rejected = data.catalogue.rejected
        assert rejected["image"].tolist() == [name for name in names if name in bad]
        assert rejected["row"].tolist() == [0, 2, 4, 5, 6]
        for name, reason in zip(rejected["image"], rejected["reason"], strict=True):
            assert reason.startswith(f"{name}: ") and bad[name][1] in reason
        assert data.catalogue.table["image"].tolist() == list(good)
        assert data.fetch(np.array([2, 0, 1])).float().mean((1, 2, 3)).tolist() == [80, 0, 40]

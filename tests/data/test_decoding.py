"""Decoding: what is an image, what is not, and what the pixels then are."""

import io
import random
import struct
import threading
import zlib

import numpy as np
import pytest
from PIL import Image, ImageColor

from fashionlib.data import decoding
from fashionlib.data.decoding import MAY_PASS, BadImage, decode, fit_to

PIXELS = np.random.default_rng(0).integers(0, 256, (32, 24, 3), np.uint8)


def chunk(kind: bytes, content: bytes) -> bytes:
    """A part of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    packed = zlib.compress(rows, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def huge_png(side: int = 20_000) -> bytes:
    """side x side black pixels, one bit each: well formed, and small because it packs well."""
    return png(side, side, 1, 0, bytes(side * (side // 8 + 1)))  # each row: its filter, 0, and 8 pixels a byte


def test_lossless_formats_come_back_pixel_for_pixel(encode):
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True})):
        assert np.array_equal(decode(encode(PIXELS, kind, **options), "a"), PIXELS)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_truncated_file_is_refused_wherever_it_was_cut(encode, kind):
    content = encode(PIXELS, kind)
    for share in (0.3, 0.6, 0.9):
        with pytest.raises(BadImage, match=r"a\.jpg: (damaged image|not a JPEG)"):
            decode(content[: int(share * len(content))], "a.jpg")


@pytest.mark.parametrize("size", [(0, 40), (1000, 1), (3, 301)])
def test_a_picture_too_narrow_to_show_anything_is_refused(size):
    with pytest.raises(BadImage, match=f"a: {size[0]} x {size[1]} is too narrow"):
        decode(Image.new("RGB", size, "red"), "a")
    assert decode(Image.new("RGB", (3, 300), "red"), "a").size == (3, 300)


def test_400_megapixels_are_refused_without_being_decoded(monkeypatch):
    monkeypatch.setattr(Image.Image, "load", lambda *_: pytest.fail("decoded"))
    content = huge_png()
    assert len(content) < 100_000
    with pytest.raises(BadImage, match=r"a\.png: too many pixels .*make it smaller"):
        decode(content, "a.png")
    monkeypatch.undo()
    assert decode(huge_png(200), "a.png").size == (200, 200)  # the same writer at a usual size makes a good file


def scans(n: int) -> bytes:
    """A grey JPEG of 16 x 16 pixels with n scans: one of all blocks, and others that add nothing to them."""

    def segment(marker: int, content: bytes) -> bytes:
        return b"\xff" + bytes([marker]) + struct.pack(">H", len(content) + 2) + content

    one = bytes([1] + [0] * 15)
    start = segment(0xDB, b"\0" + b"\1" * 64) + segment(0xC2, struct.pack(">BHHB", 8, 16, 16, 1) + b"\1\x11\0")
    tables = segment(0xC4, b"\0" + one + b"\0") + segment(0xC4, b"\x10" + one + b"\x20")
    first = segment(0xDA, b"\1\1\0\0\0\0") + b"\x0f"
    other = segment(0xDA, b"\1\1\x10\1\x3f\0") + b"\x1f"  # "no more in this and three more blocks"
    return b"\xff\xd8" + start + tables + first + other * (n - 1) + b"\xff\xd9"


def test_a_jpeg_of_very_many_scans_is_refused(encode):
    assert decode(scans(100), "a.jpg").size == (16, 16)
    for content in (scans(101), Image.open(io.BytesIO(scans(101)))):
        with pytest.raises(BadImage, match=r"a\.jpg: a JPEG of 101 scans, more than 100"):
            decode(content, "a.jpg")


def test_what_looks_like_scans_and_is_none_does_not_count(encode):
    exif = Image.Exif()
    exif[0x010E] = "\xff\xda" * 5
    plain = encode(PIXELS, progressive=True, exif=exif)
    noise = b"\xff\xda" * 200
    comment = b"\xff\xfe" + struct.pack(">H", len(noise) + 2) + noise
    film = plain[:2] + comment + plain[2:] + noise  # as phones write it behind a picture
    assert np.array_equal(decode(film, "a.jpg"), decode(plain, "a.jpg"))


@pytest.mark.parametrize(("side", "together"), [(2500, 7), (4000, 2), (7000, 1)])
def test_however_many_threads_50_megapixels_are_decoded_at_a_time(monkeypatch, side, together):
    inside, most, meeting = [], [], threading.Barrier(together, timeout=20)

    def decoding_one(image, source):
        inside.append(source)
        most.append(len(inside))
        meeting.wait()
        inside.pop()

    monkeypatch.setattr(decoding, "_rgb", decoding_one)
    content, count = huge_png(side), 2 * together
    threads = [threading.Thread(target=decode, args=(content, "a.png")) for _ in range(count)]
    for step in (threading.Thread.start, threading.Thread.join):
        for thread in threads:
            step(thread)
    assert len(most) == count and max(most) == together


def test_too_little_memory_is_not_the_image_s_fault(encode, monkeypatch):
    def full(*_):
        raise MemoryError

    monkeypatch.setattr(decoding, "_rgb", full)
    with pytest.raises(BadImage) as caught:
        decode(encode(PIXELS), "a.jpg")
    assert str(caught.value) == f"a.jpg: not enough memory to decode it; make it smaller{MAY_PASS}"


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


@pytest.mark.parametrize("channels", [1, 3])
def test_16_bits_become_8_and_are_not_clipped(channels):
    deep = np.random.default_rng(2).integers(0, 65536, (32, 24, channels)).astype(np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in deep)
    result = np.asarray(decode(png(24, 32, 16, {1: 0, 3: 2}[channels], rows), "a.png"))  # Pillow writes no such colours
    assert np.array_equal(result, np.broadcast_to(deep // 256, (32, 24, 3)))


def test_cmyk_has_the_colours_it_is_printed_in(encode):
    inks = {"red": (0, 255, 255, 0), "cyan": (255, 0, 0, 0), "white": (0, 0, 0, 0), "black": (0, 0, 0, 255)}
    for colour, ink in inks.items():
        image = decode(encode(Image.new("CMYK", (16, 16), ink), "JPEG", quality=95), "a.jpg")
        assert image.mode == "RGB"
        assert np.abs(np.asarray(image).astype(int) - ImageColor.getrgb(colour)).max() <= 3, colour


@pytest.mark.parametrize("orientation", [1, 6])
def test_of_a_far_larger_jpeg_less_is_decoded_and_the_pixels_are_the_same(encode, orientation):
    wave = 128 + 100 * np.sin(np.linspace(0, 20, 1600) + np.linspace(0, 9, 1200)[:, None])
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encode(np.dstack([wave, wave[::-1], 255 - wave]), quality=90, exif=exif)
    whole, less = decode(content, "a"), decode(content, "a", size=(24, 32))
    assert max(whole.size) == 1600 and max(less.size) == 200  # an eighth, which is more than four times 32
    pixels, same = (fit_to(image, (24, 32)).astype(int) for image in (whole, less))
    assert np.abs(pixels - same).max() <= 2
    for kind, size in (("JPEG", (240, 320)), ("PNG", (24, 32))):
        content = encode(wave[:1200, :1600], kind)
        assert decode(content, "a", size=size).size == (1600, 1200)
    opened = Image.open(io.BytesIO(encode(wave)))
    assert decode(opened, "a", size=(24, 32)).size == opened.size == (1600, 1200)  # it is the caller's, and stays whole


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

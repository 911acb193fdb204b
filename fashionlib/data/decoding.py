"""Safe decoding: from the bytes of an image file to RGB pixels, or to a message that says what is wrong with it."""

import io
import re
from threading import Lock, Semaphore

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "WEBP")
MAX_PIXELS = 50_000_000
MAX_SCANS = 100  # of a JPEG: cameras and programs write some ten, and each costs a pass over all its pixels
SCAN = re.compile(rb"\xff\xda\0[\x08\x0a\x0c\x0e]")  # how one begins: its marker, and a length for one to four colours
TURN, ROOM = Lock(), Semaphore(MAX_PIXELS // 1_000_000)  # of megapixels decoded at a time, at 4 to 16 MB each
Image.core.set_block_size(2**26)  # in blocks of up to 32 MB, glibc would keep for each thread what it once needed
MAY_PASS = "; this may pass: try again"  # ends the message of a BadImage that is none of the file's fault


class BadImage(ValueError):
    """An image that cannot be used; the message names the file and the reason. If it ends with ``MAY_PASS``, a disk or
    the memory is at fault, and the next call of ``cache_images`` or ``tag_folder`` tries the image again."""


def decode(data: bytes | Image.Image, source: str, max_pixels: int = MAX_PIXELS, size=()) -> Image.Image:
    """Decode an encoded image (or one that Pillow has opened) to RGB; EXIF rotation is honoured, transparency is laid
    on white, and of the several pictures in a phone's JPEG (MPO) the first is taken. However many threads decode, about
    ``MAX_PIXELS`` pixels are decoded at a time. If the pixels are wanted at ``size`` (width, height), of a far larger
    JPEG only a half, a quarter or an eighth is decoded, at least four times that.

    Raises ``BadImage`` for an empty or damaged file, a format other than JPEG, PNG or WebP, an animated image, more
    than ``max_pixels`` pixels or ``MAX_SCANS`` scans (checked before decoding), or too little memory."""
    if not data:
        raise BadImage(f"{source}: the file is empty")
    try:
        image = data if isinstance(data, Image.Image) else Image.open(io.BytesIO(data), formats=FORMATS)
        width, height = image.size
        if max(width, height) > 100 * min(width, height):
            raise BadImage(f"{source}: {width} x {height} is too narrow to show anything")
        if width * height > max_pixels:
            raise BadImage(f"{source}: {width} x {height} is more than {max_pixels:,} pixels; make it smaller")
        if (frames := getattr(image, "n_frames", 1)) > 1 and image.format != "MPO":
            raise BadImage(f"{source}: animated image with {frames} frames; save one frame as JPEG or PNG")
        if image.format in ("JPEG", "MPO") and image.tile:  # which is empty once it is decoded
            image.fp.seek(0)
            if (scans := len(SCAN.findall(image.fp.read()))) > MAX_SCANS:
                raise BadImage(f"{source}: a JPEG of {scans:,} scans, more than {MAX_SCANS}; save it anew")
        if size and image is not data:  # which is the caller's, and stays as it is
            image.draft(None, [4 * max(size)] * 2)  # both sides, for EXIF may say that it was taken upright
        megapixels = 1 + min(width * height, MAX_PIXELS - 1) // 1_000_000
        with TURN:  # lest two of them wait for what the other has
            for _ in range(megapixels):
                ROOM.acquire()
        try:
            return _rgb(image, source)
        finally:
            ROOM.release(megapixels)
    except BadImage:
        raise
    except MemoryError:
        raise BadImage(f"{source}: not enough memory to decode it; make it smaller{MAY_PASS}") from None
    except Image.DecompressionBombError as error:
        raise BadImage(f"{source}: too many pixels ({error}); make it smaller") from None
    except UnidentifiedImageError:
        raise BadImage(f"{source}: not a JPEG, PNG or WebP image, whatever its name says; save it as one") from None
    except Exception as error:  # on damaged metadata Pillow raises many kinds, struct.error among them
        raise BadImage(f"{source}: damaged image ({error}); replace the file") from None


def _rgb(image: Image.Image, source: str) -> Image.Image:
    image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):  # Pillow would clip at 255; of 16-bit RGB it takes the upper 8 bits
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise BadImage(f"{source}: pixels of mode {image.mode} have no fixed range; convert the image to RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def fit_to(image: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """Scale to fit ``size`` (width, height), keeping the shape, padded with white: uint8 (H, W, 3)."""
    if image.size != size:
        image = ImageOps.pad(image, size, Image.Resampling.BILINEAR, color="white")
    return np.asarray(image)

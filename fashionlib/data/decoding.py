"""Safe decoding: from the bytes of an image file to RGB pixels, or to a message that says what is wrong with it."""

from __future__ import annotations

import errno
import io

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "WEBP")
MAX_PIXELS = 50_000_000
MAY_PASS = "; this may pass: try again"  # ends the message of a BadImage that is none of the file's fault
LASTING = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL)


class BadImage(ValueError):
    """An image that cannot be used; the message names the file and the reason.

    One that ends with ``MAY_PASS`` is due to the machine (a disk that does not answer, too many open files, memory) and
    not to the file: the image is tried again by the next call of ``cache_images`` or ``tag_folder``.
    """


def unreadable(name: str, error: OSError) -> BadImage:
    """What an error of the operating system says of an image."""
    return BadImage(f"{name}: cannot be read ({error.strerror or error}){'' if error.errno in LASTING else MAY_PASS}")


def decode(data: bytes | Image.Image, source: str, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode an encoded image (or one that Pillow has opened) to RGB; EXIF rotation is honoured, transparency is laid
    on white, 16 bits are cut to 8, and of the several pictures in a phone's JPEG (MPO) the first is taken.

    Raises ``BadImage`` for an empty file, a format other than JPEG, PNG or WebP (whatever the file is called), an
    animated image, more than ``max_pixels`` pixels (checked before decoding), or a truncated or damaged file.
    """
    if not data:
        raise BadImage(f"{source}: the file is empty")
    try:
        image = data if isinstance(data, Image.Image) else Image.open(io.BytesIO(data), formats=FORMATS)
        width, height = image.size
        if width * height > max_pixels:
            raise BadImage(f"{source}: {width} x {height} is more than {max_pixels:,} pixels; make it smaller")
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and image.format != "MPO":
            raise BadImage(f"{source}: animated image with {frames} frames; save one frame as JPEG or PNG")
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
    except (BadImage, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise BadImage(f"{source}: too many pixels ({error}); make it smaller") from None
    except UnidentifiedImageError:
        raise BadImage(f"{source}: not a JPEG, PNG or WebP image, whatever its name says") from None
    except Exception as error:  # on damaged metadata Pillow raises many kinds, struct.error among them
        raise BadImage(f"{source}: damaged image ({error}); replace the file") from None


def fit_to(image: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """Scale to fit ``size`` (width, height), keeping the shape, padded with white: uint8 (H, W, 3)."""
    if image.size != size:
        image = ImageOps.pad(image, size, Image.Resampling.BILINEAR, color="white")
    return np.asarray(image)

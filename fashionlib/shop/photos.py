"""Photos as a user has them, decoded in order by a few threads."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from ..data.decoding import MAY_PASS, BadImage, decode, fit_to, unreadable

Photo = str | Path | bytes | Image.Image | np.ndarray

# what is a picture by its name; which of them can be read shows when they are
PICTURES = tuple(
    ".jpg .jpeg .jpe .jfif .mpo .png .webp .gif .bmp .tif .tiff .heic .heif .avif .jxl .jp2 .dng .svg".split()
)


def named_photos(photos: str | Path | Photo | Iterable) -> tuple[Iterator[tuple[str, Photo | BadImage]], int | None]:
    """Photos with their names, and how many there are if that is known before they are read.

    ``photos`` is a folder, one photo, or any iterable of photos or of (name, photo) pairs; a photo is a path, a PIL
    image, a uint8 array (H, W, 3), or the bytes of a file. Without a name, a path is called as it was given, and
    another photo by its number.

    Of a folder, all files that are pictures by their suffix (``PICTURES``) count, those that will turn out not to be
    readable too, and are named by their path in it, with ``/``. They come in the order of their names, folder by
    folder. Other files and hidden ones are no photos. A link to a file is followed; a link to a folder, and a folder
    that cannot be read, is a ``BadImage`` in the place of a photo.

    Raises ``FileNotFoundError`` if there is no such file or folder, ``ValueError`` for a folder without photos, and,
    when its turn comes, ``TypeError`` or ``ValueError`` for what is no photo in memory.
    """
    if isinstance(photos, str | Path):
        if os.path.isdir(photos):
            return _folder(photos)
        if not os.path.lexists(photos):
            raise FileNotFoundError(f"photos: there is no file or folder {photos}")
    if isinstance(photos, str | Path | bytes | Image.Image) or getattr(photos, "ndim", None) == 3:
        photos = [photos]
    if not isinstance(photos, Iterable):
        raise TypeError(f"photos: a {type(photos).__name__} is no folder, no photo and no list of photos")
    return _named(photos), len(photos) if hasattr(photos, "__len__") else None


def decoded(
    photos: Iterable[tuple[str, Photo | BadImage]], size: tuple[int, int], batch_size: int, ahead: bool
) -> Iterator[tuple[str, np.ndarray | BadImage]]:
    """Names and pixels, uint8 (H, W, 3) of ``size`` (width, height), or why there are none; in the given order.

    Photos are taken from the iterable a batch at a time. ``ahead`` decodes one batch while the one before is used: for
    a GPU; a network on the CPU needs all its cores, and waits at every layer for the slowest.
    """
    pool = ThreadPoolExecutor(min(os.cpu_count() or 1, 16), "decode")  # Pillow decodes outside Python's lock
    photos, waiting = iter(photos), deque()
    try:
        while batch := list(islice(photos, batch_size)):
            waiting.append([(name, pool.submit(read_photo, name, photo, size)) for name, photo in batch])
            if len(waiting) > ahead:
                yield from ((name, pixels.result()) for name, pixels in waiting.popleft())
        for batch in waiting:
            yield from ((name, pixels.result()) for name, pixels in batch)
    finally:
        pool.shutdown(cancel_futures=True)


def read_photo(name: str, photo: Photo | BadImage, size: tuple[int, int]) -> np.ndarray | BadImage:
    """The pixels of a photo as training saw those of its images, or why there are none."""
    try:
        if isinstance(photo, BadImage):
            return photo
        if isinstance(photo, str | Path):
            photo = _read(name, photo)
        image = Image.fromarray(photo) if isinstance(photo, np.ndarray) else decode(photo, name)
        return fit_to(image, size)
    except BadImage as error:
        return error
    except MemoryError:
        return BadImage(f"{name}: not enough memory to decode it; make it smaller{MAY_PASS}")


def _named(photos: Iterable) -> Iterator[tuple[str, Photo]]:
    for number, photo in enumerate(photos):
        if isinstance(photo, tuple) and len(photo) == 2:
            name, photo = str(photo[0]), photo[1]
        else:
            name = str(photo) if isinstance(photo, str | Path) else str(number)
        if isinstance(photo, np.ndarray):
            if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or photo.size == 0:
                raise ValueError(f"photo {name}: an array must be uint8 (H, W, 3), not {photo.dtype} {photo.shape}")
        elif not isinstance(photo, str | Path | bytes | Image.Image | BadImage):
            kind = type(photo).__name__
            raise TypeError(f"photo {name}: a {kind} is none; give a path, a PIL image, a uint8 array or bytes")
        yield printable(name), photo


def _folder(folder: str | Path) -> tuple[Iterator[tuple[str, Path | BadImage]], int]:
    found = list(_walk(str(folder)))  # names alone: a million of them are about 0.1 GB
    if not found:
        raise ValueError(f"photos: no photo in the folder {folder}; a photo is a file named .jpg, .png or .webp")
    root = Path(folder)
    return ((printable(name), problem or root / name) for name, problem in found), len(found)


def _walk(root: str, below: str = "") -> Iterator[tuple[str, BadImage | None]]:
    """The paths, below a folder, of the pictures in it, and of what cannot be searched, with the reason."""
    try:
        with os.scandir(os.path.join(root, below)) as opened:
            entries = sorted(opened, key=lambda entry: entry.name)
    except OSError as error:
        if not below:
            raise
        yield below, BadImage(f"{printable(below)}: the folder cannot be read ({error.strerror})")
        return
    for entry in entries:
        name = f"{below}{entry.name}"
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(root, f"{name}/")
        elif os.path.isdir(entry.path):
            yield name, BadImage(f"{printable(name)}: a link to a folder is not followed; tag that folder by itself")
        elif name.lower().endswith(PICTURES):
            yield name, None


def _read(name: str, path: str | Path) -> bytes:
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise BadImage(f"{name}: a folder, not a photo")
        if not stat.S_ISREG(mode):  # to read from a pipe might never end
            raise BadImage(f"{name}: not a file")
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise BadImage(f"{name}: no such file") from None
    except OSError as error:
        raise unreadable(name, error) from None
    except BadImage:
        raise
    except ValueError as error:  # a zero byte in the name
        raise BadImage(f"{name!r}: not a path ({error})") from None


def printable(name: str) -> str:
    """A name as text that can be written: a byte of a file's name that is not UTF-8 as ``\\xe9``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")

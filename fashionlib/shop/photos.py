"""Photos as a user has them, decoded in order by a few threads."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from ..data.decoding import MAY_PASS, BadImage, decode, fit_to
from ..data.files import MAX_BYTES, all_files, printable, read_image

Photo = str | Path | bytes | Image.Image | np.ndarray | BinaryIO
PICTURES = ".jpg .jpeg .jpe .jfif .mpo .png .webp .gif .bmp .tif .tiff .heic .heif .avif .jxl .jp2 .dng .svg".split()
THREADS = 8  # at most, for each holds a photo in its full size


def named_photos(photos: Photo | Iterable) -> tuple[Iterator[tuple[str, Photo | BadImage]], int | None]:
    """Photos with their names, and how many there are if that is known before they are read.

    ``photos`` is a folder (its ``picture_files``), one photo, or an iterable of photos or of (name, photo) pairs;
    a photo is a path, a PIL image, a uint8 array (H, W, 3), the bytes of a file, or an open file. Without a name, a
    path is called as it was given, and another photo by its number. Raises ``FileNotFoundError``, ``ValueError`` for a
    folder without photos, and, when its turn comes, ``TypeError`` or ``ValueError`` for what is no photo in memory."""
    if isinstance(photos, str | Path):
        if os.path.isdir(photos):
            found = list(picture_files(photos))  # names alone: a million of them are about 0.1 GB
            if not found:
                raise ValueError(f"photos: no photo in the folder {photos}; it needs files named .jpg, .png or .webp")
            return iter(found), len(found)
        if not os.path.lexists(photos):
            raise FileNotFoundError(f"photos: there is no file or folder {photos}")
    if _is_photo(photos) or getattr(photos, "ndim", None) == 3:
        photos = [photos]
    if not isinstance(photos, Iterable) or isinstance(photos, dict) or hasattr(photos, "columns"):  # or its keys
        raise TypeError(f"photos: a {type(photos).__name__} is no folder, no photo and no list of photos")
    return _named(photos), len(photos) if hasattr(photos, "__len__") else None


def picture_files(folder: str | Path) -> Iterator[tuple[str, Path | BadImage]]:
    """Those of ``all_files`` that are pictures by their suffix (``PICTURES``), and every ``BadImage``."""
    found = all_files(folder)
    return ((name, path) for name, path in found if isinstance(path, BadImage) or path.suffix.lower() in PICTURES)


def decoded(
    photos: Iterable[tuple[str, Photo | BadImage]], size: tuple[int, int], batch_size: int, ahead: bool
) -> Iterator[tuple[str, np.ndarray | BadImage]]:
    """Names and pixels, uint8 (H, W, 3) of ``size`` (width, height), or why there are none; in the given order, taken
    from the iterable by batches. ``ahead`` decodes one while the last is used: for a GPU; a CPU's cores are busy."""
    pool = ThreadPoolExecutor(min(os.cpu_count() or 1, THREADS), "decode")  # Pillow decodes outside Python's lock
    photos, waiting = iter(photos), deque()
    try:
        while batch := list(islice(photos, batch_size)):
            waiting.append([(name, _begun(pool, name, photo, size)) for name, photo in batch])
            if len(waiting) > ahead:
                yield from ((name, pixels()) for name, pixels in waiting.popleft())
        for batch in waiting:
            yield from ((name, pixels()) for name, pixels in batch)
    finally:
        pool.shutdown(cancel_futures=True)


def _begun(pool: ThreadPoolExecutor, name: str, photo: Photo | BadImage, size: tuple[int, int]) -> Callable:
    if isinstance(photo, str | Path | bytes | np.ndarray | BadImage):
        return pool.submit(read_photo, name, photo, size).result
    found = read_photo(name, photo, size)  # by this thread: members of a tar share their place in it
    return lambda: found


def read_photo(name: str, photo: Photo | BadImage, size: tuple[int, int]) -> np.ndarray | BadImage:
    """The pixels of a photo as training saw those of its images, or why there are none."""
    try:
        if isinstance(photo, BadImage):
            return photo
        if isinstance(photo, str | Path):
            photo = read_image(photo, name)
        elif hasattr(photo, "read"):
            photo = _read(photo, name)
        photo = Image.fromarray(photo) if isinstance(photo, np.ndarray) else photo
        return fit_to(decode(photo, name, size=size), size)
    except BadImage as error:
        return error
    except MemoryError:
        return BadImage(f"{name}: not enough memory to read it; make it smaller{MAY_PASS}")


def _read(file: BinaryIO, name: str) -> bytes:
    data = bytearray()
    try:
        while len(data) < MAX_BYTES and (more := file.read(MAX_BYTES - len(data))):  # a pipe gives a part at a time
            data += more
    except Exception as error:  # it is closed, or open as text, or no file at all
        raise BadImage(f"{name}: an open file that gives no bytes ({error}); open it with mode 'rb'") from None
    return bytes(data)


def _is_photo(value: object) -> bool:
    return isinstance(value, str | Path | bytes | Image.Image | BadImage) or hasattr(value, "read")


def _named(photos: Iterable) -> Iterator[tuple[str, Photo | BadImage]]:
    for number, photo in enumerate(photos):
        if not (isinstance(photo, tuple) and len(photo) == 2):
            photo = (photo if isinstance(photo, str | Path) else number), photo
        name, photo = str(photo[0]), photo[1]
        if isinstance(photo, np.ndarray):
            if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or photo.size == 0:
                raise ValueError(f"photo {name}: an array must be uint8 (H, W, 3), not {photo.dtype} {photo.shape}")
        elif not _is_photo(photo):
            kind = type(photo).__name__
            raise TypeError(f"photo {name}: a {kind} is none; give a path, PIL image, uint8 array, bytes or open file")
        yield printable(name), photo

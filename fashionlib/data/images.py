"""Images: where their files are, a quarantine list for bad ones, and a memory-mapped cache of pixels."""

import glob
import hashlib
import mmap
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from ..machine.files import write_atomically
from ..machine.progress import progress
from .catalogue import Catalogue
from .decoding import MAX_PIXELS, MAY_PASS, BadImage, decode, fit_to
from .files import all_files, printable, read_image, stays_inside

CACHE_VERSION = "1"  # raise it when decoding changes, so that old caches are not used


class FolderImages:
    """Image files below a folder; locations are paths relative to it. The fingerprint is made of names, sizes and times
    of change of all files but hidden ones, or of those at ``locations``."""

    def __init__(self, root: str | Path, locations: Sequence[str] | None = None):
        self.root, self.locations = Path(root).resolve(), locations

    @property
    def fingerprint(self) -> str:
        named = all_files(self.root) if self.locations is None else ((n, self.root / n) for n in sorted(self.locations))
        digest = hashlib.sha256()
        for name, path in named:
            stat = path.stat() if isinstance(path, Path) and os.path.exists(path) else None
            digest.update(f"{printable(name)} {stat and (stat.st_size, stat.st_mtime_ns)}\n".encode())
        return digest.hexdigest()

    def read(self, location: str) -> bytes:
        """The bytes of a file. Raises ``BadImage`` as ``read_image`` does, and for a path that leaves the folder."""
        if not stays_inside(self.root, location):
            raise BadImage(f"{printable(location)}: the path leaves the data folder {self.root}")
        return read_image(self.root / location, printable(location))


class ImageData:
    """A catalogue with its pixels: what ``fit`` and ``predict`` work on.

    ``catalogue`` holds the rows whose image could be decoded (the others are its ``rejected``), ``pixels`` is uint8
    (N, H, W, 3) or its file, ``position`` (rows,) says where in it a row's are, ``folder`` where it lies, if any."""

    def __init__(self, catalogue: Catalogue, pixels: np.ndarray | Path, position: np.ndarray, folder=None):
        self.pixels = np.load(pixels, mmap_mode="r") if isinstance(pixels, Path) else pixels
        self.catalogue, self.position, self.folder = catalogue, position, folder

    def __reduce__(self):
        pixels = self.pixels  # a slice, whose base is another array, is not the file
        if self.folder and isinstance(pixels, np.memmap) and pixels.mode == "r" and isinstance(pixels.base, mmap.mmap):
            pixels = Path(pixels.filename)
        return ImageData, (self.catalogue, pixels, self.position, self.folder)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of every image."""
        return self.pixels.shape[2], self.pixels.shape[1]

    def fingerprint(self, columns: Sequence[str] | None = None) -> str:
        """That of the catalogue (see there), of the images' size, and of the way they were decoded. Files are known by
        their pixels, for a copy has other times of change."""
        files = isinstance(getattr(self.catalogue.images, "images", self.catalogue.images), FolderImages)  # or crops
        whole = f"{self.catalogue.fingerprint(columns, self._content if files else None)} {self.size} {CACHE_VERSION}"
        return hashlib.sha256(whole.encode()).hexdigest()

    @cached_property
    def _content(self) -> str:
        digest = hashlib.sha256()
        for start in range(0, len(self.position), 4096):
            digest.update(self.pixels[self.position[start : start + 4096]])
        return digest.hexdigest()

    def fetch(self, rows: np.ndarray) -> torch.Tensor:
        """The pixels of some rows: uint8 (B, H, W, 3)."""
        return torch.from_numpy(self.pixels[self.position[rows]])

    def with_split(self, assignment: Sequence[str], **facts) -> "ImageData":
        """The same images under another split (see ``Catalogue.with_split``)."""
        return ImageData(self.catalogue.with_split(assignment, **facts), self.pixels, self.position, self.folder)

    def only(self, *tasks: str) -> "ImageData":
        """The same images with some of their tasks."""
        return ImageData(self.catalogue.only(*tasks), self.pixels, self.position, self.folder)


def cache_images(catalogue: Catalogue, size: tuple[int, int], folder: str | Path, max_pixels=MAX_PIXELS) -> ImageData:
    """Decode every image of a catalogue once, at ``size`` (width, height), into a memory map below ``folder``.

    The cache is keyed by the images and the size, so that every split shares it, and built under a file lock. An image
    that could not be read for a reason that may pass (see ``BadImage``) is tried again whenever the cache is opened.
    Raises ``OSError`` naming the folder if it cannot be built, ``ValueError`` for a size that is none."""
    from filelock import FileLock

    if not (np.shape(size) == (2,) and np.asarray(size).dtype.kind in "iu" and min(size) > 0):
        raise ValueError(f"size is {size!r}; it is width and height in whole pixels, such as (60, 80)")
    size = (int(size[0]), int(size[1]))
    key = hashlib.sha256(f"{catalogue.image_fingerprint} {size} {max_pixels} {CACHE_VERSION}".encode()).hexdigest()
    final = Path(folder) / f"{catalogue.name}-{size[0]}x{size[1]}-{key[:12]}"
    pixels, lock = final / "pixels.npy", FileLock(f"{final}.lock")
    try:
        if not pixels.exists():  # a finished cache may be on a read-only disk
            final.parent.mkdir(parents=True, exist_ok=True)
            with lock:
                if not pixels.exists():
                    _build(catalogue, size, final, max_pixels)
    except OSError as error:
        raise OSError(error.errno, f"the pixel cache cannot be written ({error.strerror})", str(final)) from error
    bad = pd.read_csv(final / "quarantine.csv")
    if bad["reason"].str.endswith(MAY_PASS).any():
        with suppress(OSError), lock:  # on a read-only disk they stay out, and are listed with their reasons
            bad = _try_again(catalogue, final, max_pixels)
    position = np.delete(np.arange(len(catalogue)), bad["row"].tolist())
    if len(bad):
        catalogue = catalogue.without(bad["row"].tolist(), bad["reason"].tolist(), source="image")
    return ImageData(catalogue, pixels, position, final)


def _build(catalogue: Catalogue, size: tuple[int, int], final: Path, max_pixels: int) -> None:
    for unfinished in (final, *final.parent.glob(f"{glob.escape(final.name)}.*.part")):  # of a run that was killed
        shutil.rmtree(unfinished, ignore_errors=True)
    aside = final.with_name(f"{final.name}.{os.getpid()}.part")
    aside.mkdir()
    try:
        file = aside / "pixels.npy"
        pixels = np.lib.format.open_memmap(file, "w+", np.uint8, (len(catalogue), size[1], size[0], 3))
        # the file is sparse: to write into its map on a full disk would be no error but the end of the process (SIGBUS)
        if hasattr(os, "posix_fallocate"):  # not on macOS and Windows
            with open(file, "r+b") as opened:
                os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)
        _decode(catalogue, range(len(catalogue)), pixels, max_pixels).to_csv(aside / "quarantine.csv", index=False)
        del pixels  # Windows would refuse to rename a folder while a file in it is mapped
        os.replace(aside, final)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _try_again(catalogue: Catalogue, final: Path, max_pixels: int) -> pd.DataFrame:
    """Put the pixels of those rows in quarantine that can be read by now into the cache; returns the others."""
    pixels, bad = np.load(final / "pixels.npy", mmap_mode="r+"), pd.read_csv(final / "quarantine.csv")
    again = bad["reason"].str.endswith(MAY_PASS)
    still = _decode(catalogue, bad["row"][again].tolist(), pixels, max_pixels)
    bad = pd.concat([bad[~again], still]).sort_values("row", ignore_index=True)
    write_atomically(final / "quarantine.csv", lambda file: file.write(bad.to_csv(index=False).encode()))
    return bad


def _decode(catalogue: Catalogue, rows: Sequence[int], pixels: np.ndarray, max_pixels: int) -> pd.DataFrame:
    """Decode the images of some rows into ``pixels`` (N, H, W, 3); returns the rows that have none, and the reasons."""
    bad = {}

    def one(row: int) -> None:
        name = printable(catalogue.table.at[row, "image"])
        try:
            data = catalogue.read(row)
            image = decode(data if isinstance(data, bytes) else Image.fromarray(data), name, max_pixels)
            pixels[row] = fit_to(image, pixels.shape[2:0:-1])
        except BadImage as error:
            bad[row] = str(error)

    with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:  # Pillow decodes outside Python's lock
        list(progress(pool.map(one, rows), total=len(rows), what="decode", unit="img"))
    pixels.flush()
    return pd.DataFrame(sorted(bad.items()), columns=["row", "reason"])

"""Images: where their files are, a quarantine list for bad ones, and a memory-mapped cache of pixels."""

from __future__ import annotations

import hashlib
import mmap
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from .catalogue import Catalogue, table_bytes
from .decoding import MAX_PIXELS, MAY_PASS, BadImage, decode, fit_to, unreadable
from ..machine.files import write_atomically
from ..machine.progress import progress

CACHE_VERSION = "1"  # raise it when decoding changes, so that old caches are not used


class FolderImages:
    """Image files below a folder; locations are paths relative to it.

    The fingerprint is made of the files' names, sizes and times of change, not of their content, which would mean to
    read everything; hidden files do not count. Nothing else should be written into the folder.
    """

    def __init__(self, root: str | Path):
        self.root = Path(root).resolve()

    @property
    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for entry in _files(self.root):
            stat = entry.stat(follow_symlinks=False)
            digest.update(os.fsencode(f"{entry.path[len(str(self.root)) :]}\0{stat.st_size}\0{stat.st_mtime_ns}\n"))
        return digest.hexdigest()

    def read(self, location: str) -> bytes:
        """The bytes of a file. Raises ``BadImage`` if it is not there or outside the folder."""
        try:
            path = (self.root / location).resolve()
            if not path.is_relative_to(self.root):
                raise BadImage(f"{location}: the path leaves the data folder {self.root}")
            return path.read_bytes()
        except BadImage:
            raise
        except FileNotFoundError:
            raise BadImage(f"{location}: no such file in {self.root}") from None
        except OSError as error:
            raise unreadable(location, error) from None
        except (ValueError, RuntimeError) as error:  # a zero byte in the name, a loop of links
            raise BadImage(f"{location!r}: not a path ({error})") from None


def _files(folder: str | Path) -> Iterator[os.DirEntry]:
    """The files below a folder, hidden ones apart, in the order of their names; links are not followed."""
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                yield from _files(entry.path)
            elif not entry.name.startswith("."):
                yield entry


class ImageData:
    """A catalogue with its pixels in memory-mapped uint8: what ``fit`` and ``evaluate`` work on.

    ``catalogue`` holds the rows whose image could be decoded; the others are in ``catalogue.rejected``. ``folder`` is
    where the pixels lie, if they do; what is derived from them and ``position`` alone may be kept there. A copy for
    another process has the path of the pixels' file, not the pixels, if they are a map of one.
    """

    def __init__(self, catalogue: Catalogue, pixels: np.ndarray, position: np.ndarray, folder: Path | None = None):
        self.catalogue, self.pixels, self.position, self.folder = catalogue, pixels, position, folder

    def __getstate__(self) -> dict:
        pixels = self.pixels
        mapped = self.folder is not None and isinstance(pixels, np.memmap) and pixels.mode == "r"
        if not (mapped and isinstance(pixels.base, mmap.mmap)):  # a slice, whose base is another array, is not the file
            return self.__dict__
        return {**self.__dict__, "pixels": Path(pixels.filename)}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        if isinstance(self.pixels, Path):
            self.pixels = np.load(self.pixels, mmap_mode="r")

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of every image."""
        return self.pixels.shape[2], self.pixels.shape[1]

    def fingerprint(self, columns: Sequence[str] | None = None) -> str:
        """SHA-256 of images, their size and order, split, and labels: of all columns or of the given ones."""
        table = self.catalogue.table if columns is None else self.catalogue.table[["image", "split", *columns]]
        digest = hashlib.sha256(f"{self.catalogue.image_fingerprint} {self.size} {CACHE_VERSION}".encode())
        digest.update(table_bytes(table))
        return digest.hexdigest()

    def fetch(self, rows: np.ndarray) -> torch.Tensor:
        """The pixels of some rows: uint8 (B, H, W, 3)."""
        return torch.from_numpy(self.pixels[self.position[rows]])

    def with_split(self, assignment: Sequence[str], **facts) -> ImageData:
        """The same images under another split (see ``Catalogue.with_split``)."""
        return ImageData(self.catalogue.with_split(assignment, **facts), self.pixels, self.position, self.folder)

    def only(self, *tasks: str) -> ImageData:
        """The same images with some of their tasks."""
        return ImageData(self.catalogue.only(*tasks), self.pixels, self.position, self.folder)


def cache_images(
    catalogue: Catalogue, size: tuple[int, int], folder: str | Path, max_pixels: int = MAX_PIXELS
) -> ImageData:
    """Decode every image of a catalogue once, at ``size`` (width, height), into a memory map below ``folder``.

    The cache is keyed by the images and the size, so that every split shares it. It is built aside and renamed, under
    a file lock: of two notebooks that ask at once, one builds and the other waits. An image that could not be read, for
    a reason that may pass (see ``BadImage``), is tried again whenever the cache is opened and may be written. Raises
    ``OSError`` naming the folder if it cannot be built.
    """
    from filelock import FileLock

    folder = Path(folder)
    key = hashlib.sha256(f"{catalogue.image_fingerprint} {size} {max_pixels} {CACHE_VERSION}".encode()).hexdigest()
    final = folder / f"{catalogue.name}-{size[0]}x{size[1]}-{key[:12]}"
    try:
        if not (final / "pixels.npy").exists():  # a finished cache may be on a read-only disk
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{final}.lock"):
                if not (final / "pixels.npy").exists():
                    _build(catalogue, size, final, max_pixels)
    except OSError as error:
        raise OSError(error.errno, f"the pixel cache cannot be written ({error.strerror})", str(final)) from error
    bad = pd.read_csv(final / "quarantine.csv")
    if any(reason.endswith(MAY_PASS) for reason in bad["reason"]):
        bad = _try_again(catalogue, size, final, max_pixels)
    pixels = np.load(final / "pixels.npy", mmap_mode="r")
    position = np.delete(np.arange(len(pixels)), bad["row"])
    if len(bad):
        catalogue = catalogue.without(bad["row"].tolist(), bad["reason"].tolist(), source="image")
    return ImageData(catalogue, pixels, position, final)


def _build(catalogue: Catalogue, size: tuple[int, int], final: Path, max_pixels: int) -> None:
    for unfinished in (final, *final.parent.glob(f"{final.name}.*.part")):  # of a run that was killed
        shutil.rmtree(unfinished, ignore_errors=True)
    aside = final.with_name(f"{final.name}.{os.getpid()}.part")
    aside.mkdir()
    try:
        bad = _decode_all(catalogue, size, aside / "pixels.npy", max_pixels)
        _write_quarantine(aside, sorted(bad))
        os.replace(aside, final)  # Windows would refuse it while a file in the folder is mapped
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _decode_all(catalogue: Catalogue, size: tuple[int, int], file: Path, max_pixels: int) -> list[tuple[int, str]]:
    """Write the pixels of all rows to a file, which is closed then; returns the rows without, and why."""
    pixels = np.lib.format.open_memmap(file, "w+", np.uint8, (len(catalogue), size[1], size[0], 3))
    _reserve(file)
    bad = []

    def one(row: int) -> None:
        try:
            pixels[row] = _decoded(catalogue, row, size, max_pixels)
        except BadImage as error:
            bad.append((row, str(error)))

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:  # Pillow decodes outside Python's lock
        list(progress(pool.map(one, range(len(catalogue))), total=len(catalogue), what="decode", unit="img"))
    pixels.flush()
    return bad


def _decoded(catalogue: Catalogue, row: int, size: tuple[int, int], max_pixels: int) -> np.ndarray:
    data = catalogue.read(row)
    if isinstance(data, bytes):
        return fit_to(decode(data, catalogue.table.at[row, "image"], max_pixels), size)
    return fit_to(Image.fromarray(data), size)


def _try_again(catalogue: Catalogue, size: tuple[int, int], final: Path, max_pixels: int) -> pd.DataFrame:
    """Put the pixels of those rows in quarantine that can be read by now into the cache; returns the others."""
    from filelock import FileLock

    try:
        with FileLock(f"{final}.lock"):
            pixels = np.load(final / "pixels.npy", mmap_mode="r+")
            bad = []
            for row, reason in pd.read_csv(final / "quarantine.csv").itertuples(index=False):
                try:
                    if reason.endswith(MAY_PASS):
                        pixels[row] = _decoded(catalogue, row, size, max_pixels)
                        continue
                except BadImage as error:
                    reason = str(error)
                bad.append((row, reason))
            pixels.flush()
            _write_quarantine(final, bad)
    except OSError:  # a read-only disk: they stay out, and are listed with their reasons
        pass
    return pd.read_csv(final / "quarantine.csv")


def _write_quarantine(folder: Path, bad: list[tuple[int, str]]) -> None:
    text = pd.DataFrame(bad, columns=["row", "reason"]).to_csv(index=False)
    write_atomically(folder / "quarantine.csv", lambda file: file.write(text.encode()))


def _reserve(file: Path) -> None:
    """Claim the disk space of a memory map, whose file is sparse: to write into it on a full disk would not be an
    error but the end of the process (SIGBUS)."""
    if hasattr(os, "posix_fallocate"):  # not on macOS and Windows
        with open(file, "r+b") as opened:
            os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)

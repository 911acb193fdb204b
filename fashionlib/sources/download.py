"""Fetch public datasets at a pinned revision: Fashion Product Images (Small), photos of private clothes."""

import tempfile
import warnings
import zipfile
from http.client import HTTPException
from pathlib import Path

from ..machine.files import file_sha256
from .products import FOLDER, REPOSITORY, REVISION, SHARDS

BY_HAND = "https://www.kaggle.com/datasets/paramaggarwal/fashion-product-images-small"

CLOTHING = "alexeygrigorev/clothing-dataset-small"  # CC0; class-named folders below train/, validation/ and test/
ARCHIVE = f"https://codeload.github.com/{CLOTHING}/zip/11961516512414bf9f6c150a832cfd21b54a6b54"


class DownloadError(RuntimeError):
    """Something could not be fetched; the message says what, from where, and how to get it by hand."""


def download_products(root: str | Path) -> list[Path]:
    """Fetch the two parquet files into ``root/fashion-product-images-small/data``, with a progress bar; returns both.

    A file that is there is kept if its SHA-256 is the one that the hub states for the pinned revision, or, where the
    hub cannot be asked, with a warning if it is whole; another is moved aside, to ``.<hash>.other``. A file gets its
    name only when it is complete. A download that was killed begins that file anew, and its remains are removed; of two
    calls at once the second waits. Raises ``DownloadError``."""
    from filelock import FileLock

    folder = Path(root) / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".download.lock"):
            for remains in folder.glob(".cache/huggingface/**/*.incomplete"):
                remains.unlink()
            return [_fetched(folder, name) for name in SHARDS]
    except OSError as error:
        raise DownloadError(_advice(SHARDS[0], folder, error)) from error


def download_clothing(root: str | Path) -> list[Path]:
    """Fetch the photos of ``CLOTHING`` into ``root/clothing-dataset-small``, which gets its name only when it is
    complete, and is kept where it is there already; returns those of its splits. Raises ``DownloadError``."""
    from torchvision.datasets.utils import download_and_extract_archive

    folder = Path(root) / CLOTHING.split("/")[1]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if not folder.exists():  # which may be on a read-only disk
            with tempfile.TemporaryDirectory(dir=root, prefix=".download-") as place:
                download_and_extract_archive(ARCHIVE, place, filename="archive.zip", remove_finished=True)
                next(Path(place).iterdir()).rename(folder)
    except (OSError, HTTPException, RuntimeError, StopIteration, zipfile.BadZipFile) as error:
        raise DownloadError(f"could not fetch {ARCHIVE} ({error}); unpack it by hand to {folder}") from error
    return [folder / split for split in ("train", "validation", "test")]


def _fetched(folder: Path, name: str) -> Path:
    file, stated = folder / name, None
    try:
        from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

        url = hf_hub_url(REPOSITORY, name, repo_type="dataset", revision=REVISION)
        stated = get_hf_file_metadata(url).etag  # of a file of this size the hub's ETag is its SHA-256
        if file.exists():
            if (found := file_sha256(file)) == stated:
                return file
            aside = file.with_name(f"{file.name}.{found[:8]}.other")
            warnings.warn(f"{file} is not the hub's file; it is kept as {aside.name}", stacklevel=4)
            file.replace(aside)
        hf_hub_download(REPOSITORY, name, repo_type="dataset", revision=REVISION, local_dir=folder)
    except ImportError:
        advice = "run `pip install fashionlib[products]`"
        raise DownloadError(f"downloading needs the package huggingface_hub: {advice}") from None
    except Exception as error:  # each of the client's transports has exceptions of its own
        if stated or not _is_whole(file):
            raise DownloadError(_advice(name, folder, error)) from error
        warnings.warn(f"{file} was not compared with the hub's, which cannot be asked", stacklevel=4)
        return file
    if (came := file_sha256(file)) != stated:
        file.unlink()
        raise DownloadError(_advice(name, folder, f"what came has the SHA-256 {came}, the hub states {stated}"))
    return file


def _is_whole(file: Path) -> bool:
    import pyarrow
    import pyarrow.parquet as pq

    try:
        return pq.read_metadata(file) is not None  # which is at its end
    except (OSError, pyarrow.ArrowException):
        return False


def _advice(name: str, folder: Path, error: Exception | str) -> str:
    while isinstance(error, BaseException) and error.__cause__:  # the client's own words are about its cache
        error = error.__cause__
    return (
        f"could not fetch {name}\n"
        f"  from    the dataset {REPOSITORY} on the Hugging Face hub, revision {REVISION}\n"
        f"  into    {folder}\n"
        f"  because {(str(error).strip().splitlines() or [type(error).__name__])[0]}\n"
        f"Run the command again, or get the data by hand: download and unpack {BY_HAND}\n"
        f"so that {folder} holds styles.csv and images/."
    )

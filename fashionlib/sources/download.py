"""Fetch Fashion Product Images (Small) from the Hugging Face hub, at a pinned revision."""

from __future__ import annotations

from pathlib import Path

from .products import FOLDER, REPOSITORY, REVISION, SHARDS

BY_HAND = "https://www.kaggle.com/datasets/paramaggarwal/fashion-product-images-small"


class DownloadError(RuntimeError):
    """Something could not be fetched; the message says what, from where, and how to get it by hand."""


def download_products(root: str | Path) -> list[Path]:
    """Fetch what is missing of the two parquet files into ``root/fashion-product-images-small/data``, with a progress
    bar; returns both files.

    A complete file is kept as it is, without a request; a damaged one is fetched anew. A file gets its name only when
    it is complete, and an interrupted download goes on where it stopped. Raises ``DownloadError``.
    """
    folder = Path(root) / FOLDER
    for name in SHARDS:
        if is_complete(folder / name):
            continue
        try:
            from huggingface_hub import hf_hub_download

            (folder / name).unlink(missing_ok=True)  # offline, the hub's client would take a damaged file for good
            hf_hub_download(REPOSITORY, name, repo_type="dataset", revision=REVISION, local_dir=folder)
        except ImportError:
            advice = "run `pip install fashionlib[products]`"
            raise DownloadError(f"downloading needs the package huggingface_hub: {advice}") from None
        except Exception as error:  # each of the client's transports has exceptions of its own
            raise DownloadError(_advice(name, folder, error)) from error
        if not is_complete(folder / name):
            (folder / name).unlink(missing_ok=True)
            raise DownloadError(_advice(name, folder, "what came is not a parquet file"))
    return [folder / name for name in SHARDS]


def is_complete(file: Path) -> bool:
    """Is there a whole parquet file? Its index is at its end, so a truncated one cannot be opened."""
    import pyarrow
    import pyarrow.parquet as pq

    try:
        return pq.read_metadata(file) is not None
    except (OSError, pyarrow.ArrowInvalid):
        return False


def _advice(name: str, folder: Path, error: Exception | str) -> str:
    while isinstance(error, BaseException) and error.__cause__:  # the client's own words are about its cache
        error = error.__cause__
    reason = str(error).strip().splitlines() or [type(error).__name__]
    return (
        f"could not fetch {name}\n"
        f"  from    the dataset {REPOSITORY} on the Hugging Face hub, revision {REVISION}\n"
        f"  into    {folder}\n"
        f"  because {reason[0]}\n"
        f"Run the command again to go on, or get the data by hand: download and unpack {BY_HAND}\n"
        f"so that {folder} holds styles.csv and images/."
    )

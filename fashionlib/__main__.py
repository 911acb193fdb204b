"""The command line: ``python -m fashionlib run | tag | download | cite``."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, or 1 after an error that was explained on stderr."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m fashionlib",
        description="Multitask learning on fashion images: notebooks as programs, and what is in none.",
    )
    commands = parser.add_subparsers(title="commands", metavar="command", required=True)

    text = "run a notebook as a plain program"
    command = commands.add_parser(
        "run",
        help=text,
        description="Run the code cells of a notebook in order, without Jupyter. Paths in parameters are as seen from "
        "the notebook's folder. On several GPUs: torchrun --nproc-per-node N -m fashionlib run NOTEBOOK ...",
    )
    command.add_argument("notebook", metavar="NOTEBOOK", type=Path, help="an .ipynb file with a cell tagged parameters")
    command.add_argument(
        "-f",
        dest="profile",
        metavar="PROFILE.yaml",
        type=Path,
        help="parameters of many notebooks, such as notebooks/profiles/products.yaml; the results go to the folder "
        "of its name",
    )
    command.add_argument(
        "-p",
        dest="parameters",
        metavar=("NAME", "VALUE"),
        nargs=2,
        action="append",
        default=[],
        help="one parameter, which comes before that of the profile: 3, 0.1, true, null, text, or '[0, 1]'; "
        "may be repeated",
    )
    command.set_defaults(run=_run)

    text = "tag a folder of photos with a trained model"
    command = commands.add_parser(
        "tag",
        help=text,
        description="Tag all photos in a folder and those below it, into a parquet file with a row for each photo and "
        "label. Photos that cannot be read are rows with an error. A job that was stopped goes on where it was when "
        "it is called again.",
    )
    command.add_argument("model", metavar="MODEL.pth", type=Path, help="a model.pth that training has written")
    command.add_argument("photos", metavar="PHOTOS", type=Path, help="a folder of JPEG, PNG and WebP files")
    command.add_argument("--out", metavar="TAGS.parquet", type=Path, required=True, help="the file for the tags")
    command.add_argument("--embeddings", metavar="FILE.parquet", type=Path, help="also write the embeddings, to FILE")
    command.add_argument("--top", metavar="N", type=int, default=3, help="most probable classes listed (%(default)s)")
    command.add_argument(
        "--threshold",
        metavar="P",
        type=float,
        default=0.5,
        help="of several labels of one kind, those at least so probable apply (%(default)s)",
    )
    command.add_argument(
        "--engine",
        choices=["local", "ray"],
        default="local",
        help="local: this process, with all cores or the GPU; ray: several processes, also on several machines; "
        "the photos, the model and the results must then be on a disk that all see (%(default)s)",
    )
    command.add_argument("--workers", metavar="N", type=int, default=1, help="processes of ray (%(default)s)")
    command.add_argument("--batch-size", metavar="N", type=int, default=128, help="photos at a time (%(default)s)")
    command.add_argument(
        "--shard-size",
        metavar="N",
        type=int,
        default=1024,
        help="about how many photos are written at a time, the most that is lost when the job is stopped (%(default)s)",
    )
    command.set_defaults(run=_tag)

    text = "fetch a public dataset"
    command = commands.add_parser(
        "download",
        help=text,
        description="Fetch a public dataset. What is there already is not fetched again. "
        "DeepFashion is not public: it must be requested from its authors.",
    )
    command.add_argument(
        "dataset",
        choices=["products"],
        help="products: Fashion Product Images (Small), from the Hugging Face hub at a pinned revision",
    )
    command.add_argument(
        "--data",
        metavar="DIR",
        type=Path,
        default=Path(os.environ.get("FASHION_DATA") or "data"),
        help="the folder of all datasets (default: $FASHION_DATA, else data; now %(default)s)",
    )
    command.set_defaults(run=_download)

    text = "print what to cite, as BibTeX"
    command = commands.add_parser(
        "cite", help=text, description="Print BibTeX for this software, the thesis it follows, and the datasets."
    )
    command.set_defaults(run=_cite)
    return parser


def _run(options: argparse.Namespace) -> int:
    from study.runner import NotebookError, cell_traceback, read_value, run_notebook

    os.environ.setdefault("MPLBACKEND", "Agg")  # nobody looks at a window
    if data := os.environ.get("FASHION_DATA"):
        os.environ["FASHION_DATA"] = os.path.abspath(data)  # the notebook runs in its own folder
    try:
        run_notebook(options.notebook, {name: read_value(text) for name, text in options.parameters}, options.profile)
    except NotebookError as error:
        print(f"fashionlib run: {error}", file=sys.stderr)
        return 1
    except Exception as error:
        traceback.print_exception(type(error), error, cell_traceback(error))
        return 1
    return 0


def _tag(options: argparse.Namespace) -> int:
    from .shop.bulk import BulkError, tag_folder

    try:
        report = tag_folder(
            options.model,
            options.photos,
            options.out,
            options.embeddings,
            engine=options.engine,
            workers=options.workers,
            shard_size=options.shard_size,
            top=options.top,
            threshold=options.threshold,
            batch_size=options.batch_size,
        )
    except (BulkError, ModuleNotFoundError, OSError, ValueError) as error:
        print(f"fashionlib tag: {error}", file=sys.stderr)
        return 1
    print(report)
    return 0


def _download(options: argparse.Namespace) -> int:
    from .sources.download import DownloadError, download_products

    try:
        files = download_products(options.data)
    except DownloadError as error:
        print(f"fashionlib download: {error}", file=sys.stderr)
        return 1
    for file in files:
        print(f"{file}  {file.stat().st_size / 1e6:.0f} MB")
    return 0


def _cite(options: argparse.Namespace) -> int:
    from study.citations import bibtex

    print(bibtex(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())

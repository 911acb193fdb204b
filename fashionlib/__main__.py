"""The command line: ``python -m fashionlib download | cite``."""

from __future__ import annotations

import argparse
import os
import sys
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
        prog="python -m fashionlib", description="Multitask learning on fashion images: what is not in a notebook."
    )
    commands = parser.add_subparsers(title="commands", metavar="command", required=True)

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
    from .citations import bibtex

    print(bibtex(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())

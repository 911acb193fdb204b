"""The command line: ``python -m fashionlib tag | download | cite``."""

import argparse
import os
import sys
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, or 1 after an error that is explained on stderr."""
    options = _parser().parse_args(arguments)
    if hasattr(sys.stdout, "reconfigure"):  # a name that its encoding lacks must not end a job
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        options.run(options)
        return 0
    except KeyboardInterrupt as error:
        said, code = [*getattr(error, "__notes__", ()), "interrupted"], 130
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        wrong = [": ".join([*map(str, e["loc"]), e["msg"]]) for e in getattr(error, "errors", list)()]  # of options
        said, code = [*(wrong or [error]), *getattr(error, "__notes__", ())], 1
    print(f"fashionlib {options.command}:", *said, sep="\n  " if len(said) > 1 else " ", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fashionlib", description="Multitask learning on fashion images.")
    commands = parser.add_subparsers(title="commands", metavar="command", dest="command", required=True)

    text = "tag the photos in a folder and below it with a trained model; a stopped job goes on when called again"
    command = commands.add_parser("tag", help=text, description=text)
    command.set_defaults(run=_tag)
    command.add_argument("model", metavar="MODEL.pth", type=Path, help="written by training")
    command.add_argument("photos", metavar="PHOTOS", type=Path, help="a folder of JPEG, PNG and WebP files")
    text = "the file for the tags, a row for each photo and label: .parquet, .csv or .jsonl"
    command.add_argument("--out", metavar="TAGS.parquet", type=Path, required=True, help=text)
    command.add_argument("--embeddings", metavar="FILE.parquet", type=Path, help="also write the embeddings, to FILE")
    text = "also write the tags as a page to look through, the least sure photos first"
    command.add_argument("--report", metavar="FILE.html", type=Path, help=text)
    command.add_argument("--overwrite", action="store_true", help="replace files that no earlier job has written")
    command.add_argument("--engine", choices=["local", "ray"], help="local: this process; ray: several (local)")
    for name, metavar, kind, text in (
        ("workers", "N", int, "processes of ray (1)"),
        ("top", "N", int, "most probable classes listed (3)"),
        ("threshold", "P", float, "of several labels of one kind, those at least so probable apply (0.5)"),
        ("batch-size", "N", int, "photos at a time (64)"),
        ("shard-size", "N", int, "about how many are written, or lost by a stop, at a time (1024)"),
    ):
        command.add_argument(f"--{name}", metavar=metavar, type=kind, help=text)

    command = commands.add_parser("download", help="fetch a public dataset, or what is missing of it")
    command.set_defaults(run=_download)
    text = "products: Fashion Product Images (Small), from Hugging Face; clothing: photos that people took, from GitHub"
    command.add_argument("dataset", choices=["products", "clothing"], help=text)
    folder, text = os.environ.get("FASHION_DATA") or "data", "of all datasets ($FASHION_DATA or data: %(default)s)"
    command.add_argument("--data", metavar="DIR", type=Path, default=folder, help=text)

    command = commands.add_parser("cite", help="what to cite (software, thesis, datasets), as BibTeX")
    entries = Path(__file__).parents[1] / "citations.bib"
    command.set_defaults(run=lambda _: print(entries.read_text(encoding="utf-8"), end=""))
    return parser


def _tag(options: argparse.Namespace) -> None:
    from .bulk import BulkOptions, read_tags, tag_folder
    from .report import check_report, write_report

    if options.report:
        others = [os.path.realpath(path) for path in (options.out, options.embeddings, options.model) if path]
        if os.path.realpath(options.report) in others:
            raise ValueError(f"--report {options.report} is the file of tags, embeddings or the model; name another")
        check_report(options.report, options.overwrite)
    given = {name: getattr(options, name) for name in BulkOptions.__dataclass_fields__}
    bulk = BulkOptions(**{name: value for name, value in given.items() if value is not None})
    print(tag_folder(options.model, options.photos, options.out, options.embeddings, options.overwrite, bulk))
    if options.report:
        write_report(read_tags(options.out), options.photos, options.report, options.overwrite)


def _download(options: argparse.Namespace) -> None:
    from ..sources import download

    print(*getattr(download, f"download_{options.dataset}")(options.data), sep="\n")

"""Tagged photos as one page to look through."""

import base64
import io
from pathlib import Path

import pandas as pd
from PIL import Image

from ..data.decoding import BadImage
from ..data.files import printable
from ..machine.files import write_atomically
from .photos import picture_files, read_photo
from .shards import BulkError

THUMBNAIL = (120, 160)  # width and height in pixels
MARK = b'name="generator" content="fashionlib"'  # of a page that may be replaced


def check_report(path: Path, overwrite: bool) -> None:
    """Raises ``BulkError`` for a folder, and for a file that is no report unless it may be replaced."""
    if path.is_dir() or (path.exists() and not overwrite and MARK not in path.read_bytes()):
        raise BulkError(f"{path} is there already and is no report; name another, or let it be replaced (--overwrite)")


def write_report(tags: pd.DataFrame, photos: str | Path, path: str | Path, overwrite=False, most: int = 1000) -> None:
    """The rows of ``Tagger.tag`` on a folder of ``photos`` as one HTML page that needs no other file: of each photo a
    thumbnail and its labels with their confidence, or why it could not be read; the least sure first, and with a filter
    by label. Of more than ``most`` photos those are shown, and the page says so. Raises ``BulkError`` for a file that
    is no report, unless ``overwrite``, and ``OSError`` naming the file if it cannot be written."""
    from jinja2 import Environment

    path, photos = Path(path), Path(photos)
    check_report(path, overwrite)
    least = tags.groupby("image", sort=False)["confidence"].min().fillna(-1.0).sort_values(kind="stable").index
    files = dict(picture_files(photos))  # by the names that are printed
    rows, cards = dict(list(tags[tags["image"].isin(least[:most])].groupby("image"))), []
    for name in least[:most]:
        there = files.get(name, BadImage(f"{name}: no such photo in {photos}"))
        pixels, file, of = read_photo(name, there, THUMBNAIL), io.BytesIO(), rows[name]
        why = ", ".join(of["error"].dropna())
        if isinstance(pixels, BadImage):
            why = why or str(pixels)
        else:
            Image.fromarray(pixels).save(file, "JPEG", quality=80)
        said = {"tags": of[of["task"].notna()].to_dict("records"), "error": why}
        cards.append({"name": name, "thumbnail": base64.b64encode(file.getvalue()).decode(), **said})
    page = Environment(autoescape=True).from_string(Path(__file__).with_name("report.html").read_text("utf-8"))
    shown = {"photos": cards, "of": len(least), "labels": tags["task"].dropna().unique()}
    text = page.render(title=f"Tags of {printable(photos.absolute().name)}", **shown)
    write_atomically(path, lambda file: file.write(text.encode()))

"""Image files: the one gate through which they are read, and the one walk over a folder of them."""

import errno
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from .decoding import MAY_PASS, BadImage

MAX_BYTES = 200_000_000  # the 50 million pixels of decoding.MAX_PIXELS are 150 MB without any compression
LASTING = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL, errno.ENXIO}
# what moves a terminal's cursor, ends a line or turns the direction of writing
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def read_image(path: str | Path, name: str) -> bytes:
    """The bytes of a regular file of at most ``MAX_BYTES``; nothing else is opened or waited for. Raises ``BadImage``
    with ``name`` and the reason, which ends with ``MAY_PASS`` if it is none of the file's fault."""
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise BadImage(f"{name}: not a file but a pipe, a socket or a device")
            if found.st_size > MAX_BYTES:
                raise BadImage(f"{name}: {found.st_size:,} bytes are more than {MAX_BYTES:,}; make it smaller")
            return file.read(found.st_size)
    except FileNotFoundError:
        raise BadImage(f"{name}: {'a link to ' if os.path.islink(path) else ''}no such file") from None
    except IsADirectoryError:
        raise BadImage(f"{name}: a folder, not a photo") from None
    except OSError as error:
        passing = "" if error.errno in LASTING else MAY_PASS
        raise BadImage(f"{name}: cannot be read ({error.strerror or error}){passing}") from None
    except ValueError as error:  # one of the above, or a zero byte in the path
        raise (error if isinstance(error, BadImage) else BadImage(f"{name!r}: not a path ({error})")) from None


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # to open a pipe would else wait for its writer


def stays_inside(root: str | Path, location: str) -> bool:
    """Whether a path relative to a folder ends below it, links followed."""
    inside = os.path.join(os.path.realpath(root), "")
    return "\0" not in location and os.path.realpath(os.path.join(root, location)).startswith(inside)


def all_files(folder: str | Path) -> Iterator[tuple[str, Path | BadImage]]:
    """The files below a folder, hidden ones apart, sorted folder by folder, each with its ``printable`` path. Links to
    folders are not followed: they, and folders that cannot be read, are ``BadImage``; of ``folder``, ``OSError``."""
    waiting: list[tuple[str, os.DirEntry | None]] = [("", None)]  # a stack, for folders may be nested a thousandfold
    while waiting:
        name, entry = waiting.pop()
        shown = printable(name)
        if entry is None or entry.is_dir(follow_symlinks=False):
            try:
                with os.scandir(entry or folder) as opened:
                    found = sorted((e for e in opened if e.name[0] != "."), key=lambda e: e.name, reverse=True)
                waiting += [(f"{name}/{e.name}" if name else e.name, e) for e in found]
            except OSError as error:
                if entry is None:
                    raise
                yield f"{shown}/", BadImage(f"{shown}/: the folder cannot be read ({error.strerror})")
        elif entry.is_symlink() and os.path.isdir(entry.path):
            yield shown, BadImage(f"{shown}: a link to a folder is not followed; name that folder by itself")
        else:
            yield shown, Path(entry.path)


def printable(name: str) -> str:
    """A name as text on one line: bytes that are not UTF-8, and control characters, are escaped, as ``\\xe9``."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)

"""Files: read safely, written atomically."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from pathlib import Path

import torch


def read_checkpoint(path: str | Path, what: str = "checkpoint") -> dict:
    """The content of a ``.pth`` file, loaded with ``weights_only=True``.

    Raises ``FileNotFoundError``, or ``ValueError`` naming the file if it is not a checkpoint, is damaged, or holds
    anything but tensors and plain values.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{what}: there is no file {path}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, OSError, KeyError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise ValueError(f"{what}: {path} is not a checkpoint that can be loaded safely ({reason})") from None
    if not isinstance(content, dict):
        raise ValueError(f"{what}: {path} holds a {type(content).__name__}, not a checkpoint")
    return content


def write_atomically(path: Path, write) -> None:
    """Call ``write(file)`` on a file beside ``path``, force it to disk, and rename it: readers see the old content or
    the new, never a part. On an error the old content stays and the partial file is removed."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(aside, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except OSError as error:
        raise OSError(error.errno, f"cannot write ({error.strerror}); what was there is unharmed", str(path)) from error
    except RuntimeError as error:  # torch reports a failed write of its zip archive so
        raise OSError(None, f"cannot write {path} ({error}); what was there is unharmed") from error
    finally:
        aside.unlink(missing_ok=True)


def write_json(path: Path, values) -> None:
    """Write plain values as indented JSON, whole or not at all."""
    write_atomically(path, lambda file: file.write(json.dumps(values, indent=2, sort_keys=False).encode() + b"\n"))


def file_sha256(path: str | Path) -> str:
    """Of a file's bytes, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

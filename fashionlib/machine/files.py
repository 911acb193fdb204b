"""Files: read safely, written atomically."""

import hashlib
import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import torch


def read_checkpoint(path: str | Path, what: str = "checkpoint") -> dict:
    """The content of a ``.pth`` file, loaded with ``weights_only=True``.

    Raises ``FileNotFoundError``, or ``ValueError`` naming the file if it is not a checkpoint, is damaged, is packed (a
    small file could unpack to more than there is memory), or holds anything but tensors and plain values."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{what}: there is no file {path}")
    file = io.BytesIO(path.read_bytes())  # an error of the disk is told from one that damaged bytes lead to
    try:
        if zipfile.is_zipfile(file):  # else it is of before torch 1.6, which has no checksums
            with zipfile.ZipFile(file) as parts:
                if packed := [part.filename for part in parts.infolist() if part.compress_type != zipfile.ZIP_STORED]:
                    raise ValueError(f"{packed[0]} in it is packed, as torch.save never does")
                if damaged := parts.testzip():  # torch itself does not look at the checksums
                    raise ValueError(f"{damaged} in it is damaged")
        file.seek(0)
        content = torch.load(file, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # on damaged bytes zipfile, pickle and torch raise many kinds
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise ValueError(f"{what}: {path} is not a checkpoint that can be loaded safely ({reason})") from None
    if not isinstance(content, dict):
        raise ValueError(f"{what}: {path} holds a {type(content).__name__}, not a checkpoint")
    return content


def write_atomically(path: Path, write) -> None:
    """Call ``write(file)`` on a file beside ``path``, whose folder is made, force it to disk, and rename it: readers
    see the old content, which stays on an error, or the new, never a part."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(aside, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except OSError as error:
        raise OSError(error.errno, f"cannot write ({error.strerror}); what was there is unharmed", str(path)) from error
    except (RuntimeError, pickle.PicklingError) as error:  # torch reports a failed write of its zip archive so
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

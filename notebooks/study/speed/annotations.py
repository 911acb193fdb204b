"""How long it takes to read DeepFashion's coarse annotation, on made-up files of its full size."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

WIDTH = 71  # of the padded path in front of the values
PER_IMAGE = 3.3  # attributes that apply, on average, as in DeepFashion
UNKNOWN = 0.0005  # share of values that nobody knows
BLOCK = 2000  # rows written at once


def annotation_speed(rows: int = 289_222, attributes: int = 1000, folder: str | Path | None = None) -> pd.DataFrame:
    """Columns what, rows, seconds, peak_mb: ``first read`` of a coarse annotation, and ``second read`` from the cache
    that the first left. Each in a process of its own that has one core.

    The files, about 1.1 GB at full size, are written below ``folder`` (the system's temporary one) and removed at the
    end. Seconds are of reading alone, without starting Python; the peak is that of the whole process. Raises
    ``OSError`` if the disk has no room.
    """
    needed = int(1.2 * rows * (3 * attributes + 6 * WIDTH))
    with tempfile.TemporaryDirectory(prefix="annotation-", dir=folder) as place:
        free = shutil.disk_usage(place).free
        if free < needed:
            raise OSError(
                errno.ENOSPC, f"{needed / 1e9:.1f} GB are needed for a moment, {free / 1e9:.1f} are free", place
            )
        write_annotation(Path(place), rows, attributes)
        found = [{"what": what, "rows": rows, **_in_a_process(place)} for what in ("first read", "second read")]
    return pd.DataFrame(found)


def write_annotation(folder: Path, rows: int, attributes: int, seed: int = 0) -> None:
    """A coarse annotation without images: the six files that ``read_coarse`` reads."""
    from ..drawn.deepfashion_files import KIND, write_categories, write_list

    rng = np.random.default_rng(seed)
    anno = folder / "Anno_coarse"
    write_categories(anno)
    names = [(f"made-up name {k}", k % 5 + 1) for k in range(attributes)]
    write_list(anno / "list_attr_cloth.txt", "attribute_name attribute_type", names, 29)
    write_attribute_file(anno / "list_attr_img.txt", rows, attributes, seed)
    images = [_image(row) for row in range(rows)]
    numbers = rng.integers(1, len(KIND) + 1, rows).tolist()
    write_list(anno / "list_category_img.txt", "image_name category_label", zip(images, numbers, strict=True), WIDTH)
    corners = np.char.zfill(rng.integers([0, 0, 150, 150], [150, 150, 300, 300], (rows, 4)).astype(str), 3)
    boxes = zip(images, *corners.T.tolist(), strict=True)
    write_list(anno / "list_bbox.txt", "image_name x_1 y_1 x_2 y_2", boxes, WIDTH)
    parts = rng.choice(["train", "val", "test"], rows).tolist()
    partition = folder / "Eval" / "list_eval_partition.txt"
    write_list(partition, "image_name evaluation_status", zip(images, parts, strict=True), WIDTH)


def write_attribute_file(path: str | Path, rows: int, attributes: int, seed: int = 0) -> None:
    """A ``list_attr_img.txt`` with random values, written in blocks: each value takes three characters, right-aligned
    as in real copies. The same arguments give the same file."""
    rng = np.random.default_rng(seed)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    minus, one, zero = (np.frombuffer(text, np.uint8) for text in (b" -1", b"  1", b"  0"))
    with open(path, "wb") as file:
        file.write(f"{rows}\n{'image_name':<{WIDTH - 1}} attribute_labels\n".encode())
        for start in range(0, rows, BLOCK):
            n = min(BLOCK, rows - start)
            block = np.full((n, WIDTH + 3 * attributes + 1), ord("\n"), np.uint8)
            paths = b"".join(_image(row).ljust(WIDTH).encode() for row in range(start, start + n))
            block[:, :WIDTH] = np.frombuffer(paths, np.uint8).reshape(n, WIDTH)
            values = block[:, WIDTH:-1].reshape(n, attributes, 3).copy()
            values[:] = minus
            for text, share in ((one, PER_IMAGE / attributes), (zero, UNKNOWN)):
                count = rng.binomial(n * attributes, min(share, 1.0))
                values[rng.integers(0, n, count), rng.integers(0, attributes, count)] = text
            block[:, WIDTH:-1] = values.reshape(n, -1)
            file.write(block.tobytes())


def _image(row: int) -> str:
    return f"img/Made-Up_Garment_{row // 52:05d}/img_{row % 52 + 1:08d}.jpg"


def _in_a_process(folder: str) -> dict[str, float]:
    """Seconds and peak of one reading, in a fresh Python."""
    start = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); import importlib; "
    start += "importlib.import_module(sys.argv[2]).measure_here(sys.argv[3])"
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [sys.executable, "-c", start, json.dumps(sys.path), __name__, str(folder)]
    done = subprocess.run(command, env=os.environ | one, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the reading failed: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def measure_here(folder: str) -> None:
    """Read the annotation on one core and print seconds and peak; for the child process."""
    import pyarrow

    from fashionlib.sources.deepfashion_attributes import read_coarse

    if hasattr(os, "sched_setaffinity"):  # not on macOS and Windows
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    pyarrow.set_cpu_count(1)
    pyarrow.set_io_thread_count(1)
    started = time.perf_counter()
    read_coarse(Path(folder), crop=True)
    print(json.dumps({"seconds": time.perf_counter() - started, "peak_mb": _peak_mb()}))


def _peak_mb() -> float:
    """The most memory this process had, in MB. Linux counts a parent's memory in ``ru_maxrss`` of a process that it
    started, so there the kernel's own note is read."""
    try:
        with open("/proc/self/status") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6
    except (OSError, StopIteration):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6

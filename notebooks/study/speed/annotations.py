"""How long it takes to read DeepFashion's coarse annotation, on made-up files of its full size."""

import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from . import in_new_process, peak_memory

WIDTH = 71  # of the padded path in front of the values
PER_IMAGE = 3.3  # attributes that apply, on average, as in DeepFashion
UNKNOWN = 0.0005  # share of values that nobody knows
VALUES = np.array([b"  0", b"  1", b" -1"])  # unknown, applies, does not
BLOCK = 2000  # rows made up at once


def annotation_speed(rows: int = 289_222, attributes: int = 1000, folder: str | Path | None = None) -> pd.DataFrame:
    """Columns what, rows, seconds, peak_mb: ``first read`` of an attribute file, and ``second read`` from the cache
    that the first left. Each in a process of its own that has one core.

    The file, about 1.1 GB at full size, lies below ``folder`` (the system's temporary one) until the end.
    Seconds are of reading alone, without starting Python; the peak is that of the whole process."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        path = Path(place) / "list_attr_img.txt"
        write_attribute_file(path, rows, attributes)
        path.with_name("list_attr_cloth.txt").touch()
        read = {what: in_new_process(read_here, path, attributes) for what in ("first read", "second read")}
    return pd.DataFrame([{"what": what, "rows": rows, **took} for what, took in read.items()])


def write_attribute_file(path: str | Path, rows: int, attributes: int, seed: int = 0) -> None:
    """A ``list_attr_img.txt`` with random values; each takes three characters, right-aligned as in real copies. The
    same arguments give the same file."""
    rng, shares = np.random.default_rng(seed), np.cumsum([UNKNOWN, PER_IMAGE / attributes])
    with open(path, "wb") as file:
        file.write(f"{rows}\n{'image_name':<{WIDTH - 1}} attribute_labels\n".encode())
        for start in range(0, rows, BLOCK):
            draws = rng.random((min(BLOCK, rows - start), attributes), np.float32)
            for row, values in enumerate(VALUES[np.digitize(draws, shares)], start):
                name = f"img/Made-Up_Garment_{row // 52:05d}/img_{row % 52 + 1:08d}.jpg"
                file.write(name.ljust(WIDTH).encode() + values.tobytes() + b"\n")


def read_here(path: Path, attributes: int) -> dict[str, float]:
    """Seconds and peak (MB) of reading the annotation on one core, in this process."""
    import pyarrow

    from fashionlib.sources.deepfashion_values import read_attributes

    if hasattr(os, "sched_setaffinity"):  # not on macOS and Windows
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    pyarrow.set_cpu_count(1)
    pyarrow.set_io_thread_count(1)
    started = time.perf_counter()
    read_attributes(path, [f"made-up name {k}" for k in range(attributes)], path.with_name("list_attr_cloth.txt"))
    return {"seconds": time.perf_counter() - started, "peak_mb": 1000 * peak_memory()}

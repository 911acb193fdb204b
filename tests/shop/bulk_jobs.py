"""What the tests of bulk tagging share, and a child process of theirs.

``python bulk_jobs.py HOW SHARD ARGUMENT...`` runs ``tag`` with the arguments and stops inside a shard, when its first
batch is done: by SIGKILL (``kill``), or it says so and waits (``wait``).
"""

import os
import signal
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import pytest  # noqa: E402
from PIL import Image  # noqa: E402

from fashionlib.__main__ import main  # noqa: E402
from fashionlib.machine.hardware import Arithmetic  # noqa: E402
from fashionlib.models import MultitaskModel  # noqa: E402
from fashionlib.shop.tagging import Tagger  # noqa: E402
from tiny import SIZE  # noqa: E402

SHARD_SIZE = 4  # of the 26 photos below


def in_float32(patch: pytest.MonkeyPatch) -> None:
    """Models do not look for what is fastest."""
    patch.setattr(MultitaskModel, "settle", lambda model: model.compute_in(Arithmetic()))


def make_photos(folder: Path) -> Path:
    """24 photos of random pixels, one of them in a folder of its own, and two files that are none."""
    (folder / "Été à Paris").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(24):
        name = "Été à Paris/robe nº 1.png" if i == 23 else f"{i:02d}.png"
        Image.fromarray(rng.integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8)).save(folder / name)
    (folder / "06 empty.jpg").write_bytes(b"")
    (folder / "17 text.png").write_bytes(b"this is no photo")
    (folder / "read me.txt").write_text("nor is this")
    return folder


def plain(table: pd.DataFrame) -> pd.DataFrame:
    """With lists where parquet gives arrays, so that tables can be compared."""
    lists = [name for name in ("top", "top_confidence", "embedding") if name in table]
    return table.assign(**{n: [None if v is None else np.asarray(v).tolist() for v in table[n]] for n in lists})


def read(path: Path) -> pd.DataFrame:
    return plain(pd.read_parquet(path))


def stop_in_shard(number: int, stop) -> None:
    """From now on a Tagger calls ``stop`` in its shard of this number, counted from 0, when a batch is done."""
    stream, shards = Tagger.stream, iter(range(1000))

    def stopped(self, *arguments, **options):
        shard = next(shards)
        for tables in stream(self, *arguments, **options):
            yield tables
            if shard == number:
                stop()

    Tagger.stream = stopped


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def wait():
    print("waiting", flush=True)
    time.sleep(600)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit that it is ignored
    how, shard, *arguments = sys.argv[1:]
    in_float32(pytest.MonkeyPatch())
    stop_in_shard(int(shard), {"kill": kill, "wait": wait}[how])
    sys.exit(main(["tag", *arguments]))

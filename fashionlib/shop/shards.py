"""The shards of a bulk job: which photos are tagged together, and how the files of each are called and made."""

import hashlib
import json
import os
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic.dataclasses import dataclass as checked_dataclass

from ..data.decoding import BadImage
from ..machine.files import write_atomically, write_json
from ..machine.hardware import Arithmetic, describe
from ..tasks.base import CHECKED
from ..training.settings import Count
from .photos import named_photos
from .tagging import EMBEDDINGS, TAGS, Rules, Tagger

SCHEMA_VERSION = 2  # raise it when a photo is tagged otherwise or written otherwise, so that old parts are not used


class BulkError(ValueError):
    """A job that cannot go on; the message says why and what to do."""


@checked_dataclass(frozen=True, config=CHECKED)
class BulkOptions(Rules):
    """How a folder is tagged: ``top`` and ``threshold`` as in ``Tagger.tag``; ``batch_size`` photos at a time, of which
    about ``shard_size`` are in memory, written together, or lost by a stop; ``engine`` ``"local"``: this process, with
    all cores or the GPU, ``"ray"``: ``workers`` processes, see ``scale``. Raises ``ValueError`` for other values."""

    batch_size: Count = 64
    shard_size: Count = 1024
    engine: Literal["local", "ray"] = "local"
    workers: Count = 1

    def __post_init__(self):
        if self.engine == "local" and self.workers > 1:
            raise ValueError("the local engine is one process, which uses all cores; several workers need engine 'ray'")


@dataclass(frozen=True)
class Shard:
    """Consecutive photos, (name, path or what is wrong with it), and the name of the file for what they are tagged."""

    part: str
    photos: list[tuple[str, str | BadImage]]


@dataclass(frozen=True)
class Job:
    """How each shard is tagged, and the folder of its part. A worker needs this and a Tagger, nothing else."""

    model: str
    model_id: str
    folder: Path
    embeddings: bool
    options: BulkOptions

    @property
    def asked(self) -> dict:
        """What, with the photos, decides what is written."""
        given = {"top": self.options.top, "threshold": self.options.threshold, "embeddings": self.embeddings}
        return {"model_id": self.model_id, **given}

    def parts(self, shard: Shard) -> tuple[Path, ...]:
        """The files of a shard: tags, and embeddings if they are asked for."""
        kinds = ("tags", "embeddings") if self.embeddings else ("tags",)
        return tuple(self.folder / f"{shard.part}.{kind}.parquet" for kind in kinds)

    def done(self, shard: Shard) -> bool:
        """Whether a shard is tagged: parts that are there are whole, for they are written atomically."""
        return all(part.exists() for part in self.parts(shard))

    def errors(self, shard: Shard) -> list[str]:
        """Why photos of a shard that is done could not be read. Raises ``BulkError`` for a damaged part."""
        return read_part(self.parts(shard)[0], ["error"])["error"].drop_null().to_pylist()

    def tagger(self) -> Tagger:
        """With the arithmetic that the job's first process on such a machine has chosen. Raises ``BulkError`` if the
        model's file is no longer the one of this job."""
        from filelock import FileLock

        tagger = Tagger.load(self.model)
        if tagger.model_id != self.model_id:
            raise BulkError(f"the model {self.model} was replaced while it was in use; call again")
        machine = describe()
        chosen = self.folder / f"{sha256([self.model_id, machine['cpu'], machine['gpus']])[:24]}.json"
        with FileLock(f"{chosen}.lock"):
            if chosen.exists():
                tagger.model.compute_in(Arithmetic(**json.loads(chosen.read_text())))
            tagger.model.settle()
            write_json(chosen, asdict(tagger.model.arithmetic))
        return tagger

    def tag(self, tagger: Tagger, shard: Shard) -> int:
        """Tag a shard and write its parts; returns the number of its photos."""
        frames = tagger.stream(shard.photos, self.options, self.embeddings, self.options.batch_size)
        for part, tables, schema in zip(self.parts(shard), zip(*frames, strict=True), (TAGS, EMBEDDINGS), strict=False):
            table = pa.Table.from_pandas(pd.concat(tables), schema=schema, preserve_index=False)
            table = table.replace_schema_metadata(None)  # else it would depend on the values of the first rows
            write_atomically(part, partial(pq.write_table, table))
        return len(shard.photos)


def cut(job: Job, photos: str | Path) -> list[Shard]:
    """The photos, in the order of their names, cut after each name whose checksum is a multiple of ``shard_size``, and
    after twice as many at the latest: so a new photo changes the shard that it comes into, and not all after it."""
    size, shards = job.options.shard_size, [[]]
    for name, photo in named_photos(photos)[0]:
        shards[-1].append((name, photo if isinstance(photo, BadImage) else os.path.abspath(photo)))
        if zlib.crc32(name.encode()) % size == 0 or len(shards[-1]) == 2 * size:
            shards.append([])
    made_of = [SCHEMA_VERSION, job.asked]
    return [Shard(sha256([made_of, [_facts(*photo) for photo in shard]])[:24], shard) for shard in shards if shard]


def _facts(name: str, photo: str | BadImage) -> list:
    """Name, size and time of change, by which another content is known, or why there is none."""
    try:
        found = os.stat(photo) if isinstance(photo, str) else None
    except OSError as error:
        return [name, str(error.strerror)]
    return [name, found.st_size, found.st_mtime_ns] if found else [name, str(photo)]


def count(shards: Iterable[Shard]) -> int:
    """The photos in some shards."""
    return sum(len(shard.photos) for shard in shards)


def sha256(value: object) -> str:
    """Of anything that JSON can write."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def read_part(part: Path, columns: list[str] | None = None) -> pa.Table:
    """A part, or some of its columns. Raises ``BulkError`` if it is damaged."""
    try:
        with pq.ParquetFile(part) as file:
            return file.read(columns)
    except (pa.ArrowException, OSError) as error:
        raise BulkError(f"{part} is damaged ({error}); delete it and call again") from None

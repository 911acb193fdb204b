"""The shards of a bulk job: which photos are tagged together, how the file of each is called, how they are joined."""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from glob import escape
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ..data.decoding import MAY_PASS, BadImage
from ..machine.files import write_atomically, write_json
from .photos import named_photos
from .tagging import EMBEDDINGS, TAGS, Tagger

SCHEMA_VERSION = 1  # raise it when a photo is tagged otherwise or written otherwise, so that old parts are not used
METADATA = b"fashionlib"  # in the schema of the finished files: which job they are the result of


class BulkError(RuntimeError):
    """A job that cannot go on; the message says why and what to do."""


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
    options: dict[str, object]  # those that decide what is written: top, threshold, embeddings
    batch_size: int

    def parts(self, shard: Shard) -> tuple[Path, ...]:
        """The files of a shard: tags, and embeddings if they are asked for."""
        tags = self.folder / f"{shard.part}.tags.parquet"
        return (tags, self.folder / f"{shard.part}.embeddings.parquet") if self.options["embeddings"] else (tags,)

    def done(self, shard: Shard) -> bool:
        """Whether a shard is tagged. Its parts are written atomically, under a name that says what they are made of,
        so that those which are there are whole and right."""
        return all(part.exists() for part in self.parts(shard))

    def drop_what_may_pass(self, shards: Iterable[Shard]) -> int:
        """Remove the parts of shards in which a photo could not be read for a reason that may pass, so that they are
        tagged again; returns how many shards. Raises ``BulkError`` for a damaged part."""
        dropped = [shard for shard in shards if self.done(shard) and _may_pass(_errors(self, shard))]
        for shard in dropped:
            for part in self.parts(shard):
                part.unlink()
        return len(dropped)

    def tagger(self) -> Tagger:
        """Raises ``BulkError`` if the model's file is no longer the one of this job."""
        tagger = Tagger.load(self.model)
        if tagger.model_id != self.model_id:
            raise BulkError(f"the model {self.model} was replaced while it was in use; call again")
        return tagger

    def attempt(self, shard: Shard, most: int) -> None:
        """Count an attempt at a shard, for which a worker may die. Raises ``BulkError`` if it would be one too many."""
        with open(self.folder / f"{shard.part}.attempts", "ab") as file:
            if file.tell() >= most:
                first, last = shard.photos[0][0], shard.photos[-1][0]
                raise BulkError(
                    f"{most} workers died at the same shard, from {first} to {last}; if memory is short, take a "
                    "smaller batch_size or fewer workers"
                )
            file.write(b".")

    def forget_attempts(self) -> None:
        """Those of an earlier call do not count."""
        for path in self.folder.glob("*.attempts"):
            path.unlink()

    def tag(self, tagger: Tagger, shard: Shard, watch: Callable[[int], object] = lambda count: None) -> None:
        """Tag a shard and write its parts. ``watch`` is told the number of photos of each batch."""
        frames = []
        for tags, embeddings in tagger.stream(shard.photos, batch_size=self.batch_size, **self.options):
            frames.append((tags, embeddings))
            watch(tags["image"].nunique() if embeddings is None else len(embeddings))
        for part, tables, schema in zip(self.parts(shard), zip(*frames, strict=True), (TAGS, EMBEDDINGS), strict=False):
            table = pa.Table.from_pandas(pd.concat(tables), schema=schema, preserve_index=False)
            table = table.replace_schema_metadata(None)  # else it would depend on the values of the first rows
            write_atomically(part, lambda file, table=table: pq.write_table(table, file))


def cut(job: Job, photos: str | Path, size: int) -> list[Shard]:
    """The photos, in the order of their names, cut after each name whose checksum is a multiple of ``size``, and after
    ``2 * size`` photos at the latest: so ``size`` on average, and where the cuts are depends on the names around them,
    so that a new photo changes the shard that it comes into, and not all after it."""
    shards, shard, facts = [], [], []
    for name, photo in named_photos(photos)[0]:
        shard.append((name, photo if isinstance(photo, BadImage) else os.path.abspath(photo)))
        facts.append((name, *_facts(photo)))
        if zlib.crc32(name.encode()) % size == 0 or len(shard) == 2 * size:
            shards.append((shard, facts))
            shard, facts = [], []
    if shard:
        shards.append((shard, facts))
    made_of = [SCHEMA_VERSION, job.model_id, job.options]
    return [Shard(sha256([*made_of, facts])[:24], shard) for shard, facts in shards]


def _facts(photo: str | Path | BadImage) -> tuple:
    """Size and time of change, by which another content is known, or why there is none."""
    if isinstance(photo, BadImage):
        return (str(photo),)
    try:
        found = os.stat(photo)
    except OSError as error:
        return (str(error.strerror),)
    return found.st_size, found.st_mtime_ns


def count(shards: Iterable[Shard]) -> int:
    """The photos in some shards."""
    return sum(len(shard.photos) for shard in shards)


def sha256(value: object) -> str:
    """Of anything that JSON can write."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def write_manifest(job: Job, shards: list[Shard]) -> None:
    """``manifest.json`` in the job's folder: what is asked, and what each part is made of. Which of them are done is
    not in it: those that are there are."""
    listed = [
        {"part": shard.part, "photos": len(shard.photos), "first": shard.photos[0][0], "last": shard.photos[-1][0]}
        for shard in shards
    ]
    facts = {"model": job.model, "model_id": job.model_id, "options": job.options, "photos": count(shards)}
    write_json(job.folder / "manifest.json", {"schema_version": SCHEMA_VERSION, **facts, "shards": listed})


def join(job: Job, shards: list[Shard], results: list[Path], fingerprint: str) -> dict:
    """Join the parts, one at a time in memory, to the results; the tags last, so that with them all is there."""
    reasons = [reason for shard in shards for reason in _errors(job, shard)]
    summary = {"images": count(shards), "unreadable": len(reasons), "reasons": reasons[:10]}
    summary["may_pass"] = _may_pass(reasons)
    text = json.dumps({"job": fingerprint, "model_id": job.model_id, **job.options, **summary})
    for number, (path, schema) in reversed(list(enumerate(zip(results, (TAGS, EMBEDDINGS), strict=False)))):
        path.parent.mkdir(parents=True, exist_ok=True)
        for unfinished in path.parent.glob(f".{escape(path.name)}.*.part"):  # of a process that was killed here
            unfinished.unlink()
        schema = schema.with_metadata({METADATA: text})

        def write(file, number=number, schema=schema):
            with pq.ParquetWriter(file, schema) as writer:
                for shard in shards:
                    writer.write_table(_read(job.parts(shard)[number]).replace_schema_metadata(schema.metadata))

        write_atomically(path, write)
    return summary


def _errors(job: Job, shard: Shard) -> list[str]:
    return _read(job.parts(shard)[0], ["error"])["error"].drop_null().to_pylist()


def _may_pass(errors: Iterable[str]) -> int:
    return sum(error.endswith(MAY_PASS) for error in errors)


def _read(part: Path, columns: list[str] | None = None) -> pa.Table:
    try:
        with pq.ParquetFile(part) as file:
            return file.read(columns)
    except pa.ArrowInvalid as error:
        raise BulkError(f"{part} is damaged ({error}); delete it and call again") from None

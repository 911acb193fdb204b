"""Bulk tagging: a folder of any number of photos into one parquet file, in shards, so that a stopped job goes on."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ..training.checkpoints import model_id
from ..machine.progress import progress
from .shards import METADATA, BulkError, Job, Shard, count, cut, join, sha256, write_manifest
from .tagging import Rules

__all__ = ["BulkError", "BulkReport", "tag_folder"]

ENGINES = ("local", "ray")


@dataclass(frozen=True)
class BulkReport:
    """What became of a job. ``tagged`` counts the photos of this call, without those of ``reused`` shards; ``reasons``
    are those of the first ten unreadable photos. ``may_pass`` counts the unreadable ones that the next call tries
    again."""

    out: Path
    images: int
    unreadable: int
    shards: int
    reused: int = 0
    tagged: int = 0
    seconds: float = 0.0
    reasons: list[str] = field(default_factory=list)
    may_pass: int = 0

    def __str__(self) -> str:
        speed = f", {self.tagged / self.seconds:.1f} images/s" if self.tagged else ""
        lines = [f"{self.images:,} images, {self.unreadable:,} unreadable{speed}: {self.out}"]
        lines += [f"  {reason}" for reason in self.reasons]
        if self.unreadable > len(self.reasons):
            lines.append(f"  and {self.unreadable - len(self.reasons):,} more: the rows with an error")
        if self.may_pass:
            lines.append(f"  {self.may_pass:,} of them may be readable at another time: the same call tries them again")
        return "\n".join(lines)


def tag_folder(
    model_path: str | Path,
    photos: str | Path,
    out: str | Path,
    embeddings: str | Path | None = None,
    engine: str = "local",
    workers: int = 1,
    shard_size: int = 1024,
    top: int = 3,
    threshold: float = 0.5,
    batch_size: int = 128,
) -> BulkReport:
    """Tag the photos of a folder into the parquet file ``out``: the rows of ``Tagger.tag``, in the order of the photos.
    With ``embeddings``, a second file has the rows of ``Tagger.embed``, from the same pass.

    The photos are tagged in shards of about ``shard_size``, the most that is in memory and that is lost when the job
    is stopped by whatever it may be: the same call goes on from there. Finished shards lie in ``<out>.job`` until all
    are joined. What they are named by, and so used again for, is the model, ``top``, ``threshold``, whether there are
    embeddings, and the name, size and time of change of each photo; a photo that came or changed in between costs its
    own shard. If ``out`` is already the result of all that, nothing is done; else it is replaced at the end. Shards in
    which a photo could not be read for a reason that may pass (see ``images.BadImage``) are tagged again by the next
    call; until none is left, ``<out>.job`` stays.
    ``batch_size`` and ``engine`` may change in between: they decide the last digits of a confidence at most.

    ``engine="local"`` is this process, with all its cores or the GPU; ``"ray"`` are ``workers`` processes on one or
    several machines, see ``scale``.

    Raises ``FileNotFoundError`` and ``ValueError`` for a model, folder or option that will not do, ``BulkError`` if
    another process works on the same ``out``, and ``OSError`` naming the file if one cannot be written.
    """
    began = time.monotonic()
    results = [Path(path) for path in (out, embeddings) if path is not None]
    _check(photos, results, engine, workers, shard_size)
    Rules(top, threshold)
    job = Job(
        model=os.path.abspath(model_path),
        model_id=model_id(model_path),
        folder=results[0].absolute().with_name(f"{results[0].name}.job"),
        options={"top": top, "threshold": threshold, "embeddings": embeddings is not None},
        batch_size=batch_size,
    )
    shards = cut(job, photos, shard_size)
    fingerprint = sha256([shard.part for shard in shards])
    with _locked(job.folder, results[0]):
        summary = _finished(results, fingerprint)
        if summary:
            print(f"tag: {results[0]} is finished already, from the same photos, model and options; nothing to do")
            return BulkReport(results[0], **summary, shards=len(shards), reused=len(shards))
        with _told_how_to_go_on(job, shards):
            if dropped := job.drop_what_may_pass(shards):
                print(f"tag: {dropped} shards hold photos that could not be read before; they are tried again")
            _say_what_is_reused(job, shards)
            pending = [shard for shard in shards if not job.done(shard)]
            write_manifest(job, shards)
            _tag(job, shards, pending, engine, workers)
            summary = join(job, shards, results, fingerprint)
        if not summary["may_pass"]:
            shutil.rmtree(job.folder, ignore_errors=True)
    return BulkReport(
        results[0],
        **summary,
        shards=len(shards),
        reused=len(shards) - len(pending),
        tagged=count(pending),
        seconds=time.monotonic() - began,
    )


def _check(photos: str | Path, results: list[Path], engine: str, workers: int, shard_size: int) -> None:
    if not os.path.isdir(photos):
        raise FileNotFoundError(f"photos: there is no folder {photos}")
    if engine not in ENGINES:
        raise ValueError(f"engine {engine!r} is not one of {', '.join(ENGINES)}")
    if workers < 1 or shard_size < 1:
        raise ValueError(f"workers and shard_size must be at least 1, not {workers} and {shard_size}")
    if engine == "local" and workers > 1:
        raise ValueError("the local engine is one process, which uses all cores; take engine 'ray' for several workers")
    if len(set(map(os.path.abspath, results))) < len(results):
        raise ValueError(f"tags and embeddings cannot both go to {results[0]}; give two files")
    for path in results:
        if path.is_dir():
            raise ValueError(f"{path} is a folder; give the name of a parquet file")


@contextmanager
def _locked(folder: Path, out: Path) -> Iterator[None]:
    """Alone with the folder of a job, which is made, and is removed again if nothing is in it that is worth keeping."""
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise BulkError(f"{out}: another process is tagging into this file; wait for it or name another file") from None
    try:
        yield
    finally:
        if not any(folder.glob("*.parquet")):
            shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def _finished(results: list[Path], fingerprint: str) -> dict | None:
    """The summary in finished files, if all are there and from this job, and no photo is to be tried again."""
    summary = None
    for path in results:
        try:
            summary = json.loads((pq.read_schema(path).metadata or {})[METADATA])
        except (OSError, pa.ArrowInvalid, KeyError):  # not there, or something else
            return None
        if summary.pop("job") != fingerprint or summary.get("may_pass"):
            return None
    return {name: summary[name] for name in ("images", "unreadable", "reasons")}


def _say_what_is_reused(job: Job, shards: list[Shard]) -> None:
    ours = {part.name for shard in shards for part in job.parts(shard)}
    if others := {part.name for part in job.folder.glob("*.parquet")} - ours:
        try:
            before = json.loads((job.folder / "manifest.json").read_text())
        except (OSError, ValueError):
            before = {}
        same = before.get("model_id") == job.model_id and before.get("options") == job.options
        what = "of photos that have changed" if same else "of another model or other options"
        print(f"tag: {len(others)} parts in {job.folder} are {what}; they are not used")
    if done := [shard for shard in shards if job.done(shard)]:
        print(f"tag: {len(done)} of {len(shards)} shards ({count(done):,} photos) are there already; going on")


@contextmanager
def _told_how_to_go_on(job: Job, shards: list[Shard]) -> Iterator[None]:
    """An interruption or an error says what is kept."""

    def kept() -> str:
        done = sum(job.done(shard) for shard in shards)
        return f"{done} of {len(shards)} shards are done and kept in {job.folder}; the same call goes on from there"

    try:
        yield
    except KeyboardInterrupt:
        print(f"\ntag: {kept()}", file=sys.stderr)
        raise
    except BulkError as error:
        raise BulkError(f"{error}. {kept()}") from error
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror or error}; {kept()}", error.filename) from error


def _tag(job: Job, shards: list[Shard], pending: list[Shard], engine: str, workers: int) -> None:
    total = count(shards)
    with progress(total=total, what="tag", unit="img") as bar:
        bar.update(total - count(pending))
        if not pending:
            return
        if engine == "ray":
            from .scale import tag_shards

            with closing(tag_shards(job, pending, workers)) as tagged:
                for photos in tagged:
                    bar.update(photos)
        else:
            tagger = job.tagger()
            for shard in pending:
                job.tag(tagger, shard, bar.update)

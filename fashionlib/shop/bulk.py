"""Bulk tagging: a folder of any number of photos into one file, in shards, so that a stopped job goes on; the formats
of that file."""

import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from glob import escape
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ..data.decoding import MAY_PASS
from ..data.files import printable
from ..machine.files import file_sha256, write_atomically, write_json
from ..machine.progress import progress
from .shards import BulkError, BulkOptions, Job, Shard, count, cut, read_part, sha256
from .tagging import EMBEDDINGS, TAGS, model_id

SUMMARY = ("images", "unreadable", "may_pass", "reasons")  # what the results say of themselves, too
METADATA = b"fashionlib"  # in the schema of a parquet file: which job it is the result of
SCHEMAS = {"tags": TAGS, "embeddings": EMBEDDINGS}
_json = partial(json.dumps, ensure_ascii=False)


@dataclass(frozen=True)
class BulkReport:
    """What became of a job. ``tagged`` counts the photos of this call, without those of ``reused`` shards; ``may_pass``
    the unreadable ones that the next call tries again; ``reasons`` are those of the first ten unreadable photos."""

    out: Path
    images: int
    unreadable: int
    may_pass: int
    reasons: list[str]
    shards: int
    reused: int
    tagged: int
    seconds: float

    def __str__(self) -> str:
        speed = f", {self.tagged / self.seconds:.1f} images/s" if self.tagged else ""
        lines = [f"{self.images:,} images, {self.unreadable:,} unreadable{speed}: {printable(str(self.out))}"]
        lines += [f"  {reason}" for reason in self.reasons]
        if self.unreadable > len(self.reasons):
            lines.append(f"  and {self.unreadable - len(self.reasons):,} more: the rows with an error")
        if self.may_pass:
            lines.append(f"  {self.may_pass:,} of them may be readable at another time: the same call tries them again")
        return "\n".join(lines)


def tag_folder(
    model: str | Path,
    photos: str | Path,
    out: str | Path,
    embeddings: str | Path | None = None,
    overwrite: bool = False,
    options: BulkOptions | None = None,
) -> BulkReport:
    """Tag the photos of a folder with a ``model.pth`` into the file ``out``: the rows of ``Tagger.tag``, in the order
    of the photos, and those of ``Tagger.embed`` into ``embeddings``. The ending decides the format: ``.parquet``,
    ``.csv`` (lists as JSON), or ``.jsonl`` (a JSON object a line).

    A stopped job goes on with the same call. Finished shards lie in ``<out>.job`` until all are joined, named by the
    model, ``top``, ``threshold``, whether there are embeddings, and name, size and time of change of each photo. Shards
    with a photo that could not be read for a reason that may pass (see ``decoding.BadImage``) stay there, and are
    tagged again by the next call. The result of another job is replaced at the end, other files with ``overwrite``.

    Raises ``FileNotFoundError``, ``ValueError``, ``BulkError`` for a file that is in the way or if another process
    works on the same ``out``, and ``OSError`` naming the file if one cannot be written."""
    began, options = time.monotonic(), options or BulkOptions()
    outputs = {"tags": Path(out)} | ({} if embeddings is None else {"embeddings": Path(embeddings)})
    if not os.path.isdir(photos):
        raise FileNotFoundError(f"photos: there is no folder {photos}{'; it is a file' * os.path.isfile(photos)}")
    if len({os.path.abspath(path) for path in outputs.values()}) < len(outputs):
        raise ValueError(f"tags and embeddings cannot both go to {out}; give two files")
    check_outputs(outputs, overwrite)
    folder = outputs["tags"].absolute().with_name(f"{outputs['tags'].name}.job")
    job = Job(os.path.abspath(model), model_id(model), folder, embeddings is not None, options)
    shards = cut(job, photos)
    known = job.asked | {"job": sha256([shard.part for shard in shards])}
    with _locked(job, shards):
        made = {holds: facts_of(path) for holds, path in outputs.items()}
        if all(made[h].get("job") == known["job"] and made[h]["holds"] == h and not made[h]["may_pass"] for h in made):
            print(f"tag: {out} is finished already, from the same photos, model and options; nothing to do")
            summary, pending = {name: made["tags"][name] for name in SUMMARY}, []
            for part in (part for shard in shards for part in job.parts(shard)):  # of a job that was killed at its end
                part.unlink(missing_ok=True)
        else:
            if pending := _pending(job, shards):
                _tag(job, pending, count(shards))
            reasons = [reason for shard in shards for reason in job.errors(shard)]
            may_pass = sum(reason.endswith(MAY_PASS) for reason in reasons)
            summary = dict(zip(SUMMARY, (count(shards), len(reasons), may_pass, reasons[:10]), strict=True))
            check_outputs(outputs, overwrite)  # they may have come in the meantime
            join(job, shards, outputs, known | summary)
            if not may_pass:
                _tidy(job)
    reused, tagged, seconds = len(shards) - len(pending), count(pending), time.monotonic() - began
    return BulkReport(Path(out), **summary, shards=len(shards), reused=reused, tagged=tagged, seconds=seconds)


@contextmanager
def _locked(job: Job, shards: list[Shard]) -> Iterator[None]:
    """Alone with the folder of a job, which is made, and removed again if it holds nothing worth keeping. An error or
    interruption says, in a note, what is kept."""
    from filelock import FileLock, Timeout

    job.folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(job.folder / "lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise BulkError(f"{job.folder.with_suffix('')}: another process is tagging into this file; wait") from None
    try:
        yield
    except BaseException as error:
        if done := sum(job.done(shard) for shard in shards):
            of = f"{done} of {len(shards)} shards"
            error.add_note(f"{of} are done and kept in {job.folder}; the same call goes on from there")
        raise
    finally:
        if not any(job.folder.glob("*.parquet")):
            _tidy(job)
        lock.release()


def _tidy(job: Job) -> None:
    """Remove the folder of a job with what jobs write into it; what others have put there stays."""
    for pattern in ("*.tags.parquet", "*.embeddings.parquet", ".*.part", f"{'[0-9a-f]' * 24}.json", "*.lock", "lock"):
        for path in job.folder.glob(pattern):
            path.unlink(missing_ok=True)
    with suppress(OSError):
        job.folder.rmdir()


def _pending(job: Job, shards: list[Shard]) -> list[Shard]:
    """The shards that are to be tagged; says what becomes of the others."""
    done = [shard for shard in shards if job.done(shard)]
    if again := [shard for shard in done if any(error.endswith(MAY_PASS) for error in job.errors(shard))]:
        print(f"tag: {len(again)} shards hold photos that could not be read before; they are tried again")
        for part in (part for shard in again for part in job.parts(shard)):
            part.unlink()
    if others := len(set(job.folder.glob("*.parquet")) - {part for shard in shards for part in job.parts(shard)}):
        print(f"tag: {others} parts in {job.folder} are of another model, options or photos; they are not used")
    if done := [shard for shard in done if shard not in again]:
        print(f"tag: {len(done)} of {len(shards)} shards ({count(done):,} photos) are there already; going on")
    return [shard for shard in shards if not job.done(shard)]


def _tag(job: Job, pending: list[Shard], total: int) -> None:
    if job.options.engine == "ray":
        from .scale import tag_shards

        tagged = tag_shards(job, pending)
    else:
        tagger = job.tagger()
        tagged = (job.tag(tagger, shard) for shard in pending)
    with progress(total=total, what="tag", unit="img") as bar, closing(tagged):
        bar.update(total - count(pending))
        for photos in tagged:
            bar.update(photos)


def check_outputs(outputs: dict[str, Path], overwrite: bool) -> None:
    """Raises ``ValueError`` for a path whose ending is no format, or a folder, and ``BulkError`` for a file, unless
    ``overwrite``, that no earlier job has written with ``"tags"`` or ``"embeddings"``, or that was changed since."""
    for holds, path in outputs.items():
        if path.suffix.lower() not in WRITERS:
            raise ValueError(f"{path}: the ending decides the format; let it be one of {', '.join(WRITERS)}")
        if path.exists() and not path.is_file():
            raise ValueError(f"{path} is a folder, or no file; name another")
        others = path.exists() or (path.suffix.lower() != ".parquet" and _beside(path).exists())
        if others and not overwrite and facts_of(path).get("holds") != holds:
            what = f"is there already and is no result of an earlier job with {holds}, or was changed since"
            raise BulkError(f"{path} {what}; name another file, or let it be replaced (overwrite=True, --overwrite)")


def facts_of(path: Path) -> dict:
    """What a result says of the job that made it: a parquet file in itself, another in ``<name>.job.json`` beside it,
    which counts for just these bytes; only what it holds, if it is gone or the one before. Empty for another file."""
    try:
        if path.suffix.lower() == ".parquet":
            return json.loads(pq.read_metadata(path).metadata[METADATA])
        facts, found = json.loads(_beside(path).read_text()), path.exists() and file_sha256(path)
        if found == facts["sha256"]:
            return facts
        return {"holds": facts["holds"]} if found in (False, facts["before"]) else {}
    except (OSError, ValueError, KeyError, TypeError):  # not there, or something else
        return {}


def read_tags(path: str | Path) -> pd.DataFrame:
    """The rows of a result of any format, without the lists of the most probable classes."""
    missing = {name: [""] for name in ("task", "confidence", "error")}  # a label is text, whatever it looks like
    as_text = {"dtype": {"image": str, "label": str}, "keep_default_na": False, "na_values": missing}
    readers = {".parquet": pd.read_parquet, ".csv": partial(pd.read_csv, **as_text)}
    read = readers.get(Path(path).suffix.lower(), partial(pd.read_json, lines=True, dtype=False))
    return read(path).reindex(columns=["image", "task", "label", "confidence", "error"])


def read_embeddings(path: str | Path) -> tuple[list[str], np.ndarray]:
    """Names (N) and embeddings (N, D) of the photos that could be read, from the parquet file of a job: what an index
    takes in, without a Python object for each. Raises ``ValueError`` for another file, and if none could be read."""
    if Path(path).suffix.lower() != ".parquet" or facts_of(Path(path)).get("holds") != "embeddings":
        raise ValueError(f"{path} is no parquet file with the embeddings of a job (tag --embeddings)")
    found = pq.read_table(path, columns=["image", "embedding"])
    found = found.filter(found["embedding"].is_valid())
    if not len(found):
        raise ValueError(f"{path}: no photo of it could be read; its rows say why")
    values = np.concatenate([chunk.flatten().to_numpy() for chunk in found["embedding"].chunks])
    return found["image"].to_pylist(), values.reshape(len(found), -1)


def join(job: Job, shards: list[Shard], outputs: dict[str, Path], facts: dict) -> None:
    """Join the parts, one at a time in memory, to the results; the tags last, so that with them all is there."""
    for number, (holds, path) in reversed(list(enumerate(outputs.items()))):
        for unfinished in path.parent.glob(f".{escape(path.name)}.*.part"):  # of a process that was killed here
            unfinished.unlink()
        known = {**facts, "holds": holds}
        schema = SCHEMAS[holds].with_metadata({METADATA: json.dumps(known)})
        tables = (read_part(job.parts(shard)[number]) for shard in shards)
        write_atomically(path, partial(_write, path=path, facts=known, tables=tables, schema=schema))


def _write(file: BinaryIO, path: Path, facts: dict, **what) -> None:
    WRITERS[path.suffix.lower()](file, **what)
    file.flush()
    if path.suffix.lower() != ".parquet":  # before the file has its name: killed in between, the old one is known, too
        sums = {"sha256": file_sha256(file.name), "before": path.exists() and file_sha256(path)}
        write_json(_beside(path), facts | sums)


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.job.json")


def _write_parquet(file: BinaryIO, tables: Iterable[pa.Table], schema: pa.Schema) -> None:
    with pq.ParquetWriter(file, schema.remove_metadata()) as writer:
        for table in tables:
            writer.write_table(table.replace_schema_metadata())
        writer.add_key_value_metadata(schema.metadata)  # of the file: a table that was read and changed lacks it


def _write_csv(file: BinaryIO, tables: Iterable[pa.Table], schema: pa.Schema) -> None:
    for number, table in enumerate(tables):
        rows = [[_json(v) if isinstance(v, list) else v for v in row.values()] for row in _rows(table)]
        frame = pd.DataFrame(rows, columns=schema.names)
        frame.to_csv(file, mode="wb", header=number == 0, index=False, lineterminator="\n")


def _write_jsonl(file: BinaryIO, tables: Iterable[pa.Table], schema: pa.Schema) -> None:
    for table in tables:
        file.writelines(f"{_json(row)}\n".encode() for row in _rows(table))


def _rows(table: pa.Table) -> list[dict]:
    """The rows as plain values; in double precision by way of text, or 0.98 would become 0.9800000190734863."""
    for kind in (pa.string(), pa.float64()):
        kinds = {"confidence": kind, "top_confidence": pa.list_(kind), "embedding": pa.list_(kind)}
        table = table.cast(pa.schema([(field.name, kinds.get(field.name, field.type)) for field in table.schema]))
    return table.to_pylist()


WRITERS = {".parquet": _write_parquet, ".csv": _write_csv, ".jsonl": _write_jsonl}

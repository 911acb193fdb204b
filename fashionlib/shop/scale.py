"""Bulk tagging by several processes, on one machine or many, through Ray Data. The one place that imports Ray."""

from __future__ import annotations

import logging
import math
import os
import pickle
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from .shards import BulkError, Job, Shard

ATTEMPTS = 4  # at a shard; Ray would go on for ever with one that kills its workers, for want of memory perhaps


def tag_shards(job: Job, shards: list[Shard], workers: int) -> Iterator[int]:
    """Tag shards in ``workers`` processes, each with a Tagger of its own; yields the number of photos of each shard
    that is done. A worker that dies is replaced and its shard tagged again.

    Ray is the one that runs already in this process, else the one at the address in ``RAY_ADDRESS``, else one that is
    started here for the time of the job. On several machines the photos, the model and the results must lie on a disk
    that all of them see under the same path.

    Raises ``ModuleNotFoundError`` without Ray, ``BulkError`` if it does not start, is too small for so many workers, or
    loses them again and again at the same shard, and else what was raised in a worker.
    """
    try:
        import ray
        import ray.data
    except ImportError:
        raise ModuleNotFoundError("the engine 'ray' needs Ray: pip install 'fashionlib[scale]'") from None
    with _running(ray, workers), _quiet():
        cpus, gpus = _share(ray, workers)
        job.forget_attempts()
        dataset = ray.data.from_items([{"shard": pickle.dumps(s)} for s in shards], override_num_blocks=len(shards))
        dataset.context.enable_progress_bars = False
        dataset.context.print_on_execution_start = False
        tagged = dataset.map_batches(
            _worker(),
            fn_constructor_args=(pickle.dumps(job), cpus),
            batch_size=1,  # a shard
            compute=ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=1),
            num_cpus=cpus,
            num_gpus=gpus,
        )
        for row in tagged.iter_rows():
            if row["error"]:
                raise pickle.loads(row["error"])
            yield int(row["photos"])


def _worker() -> type:
    """The class of the workers. It is made here so that Ray sends its code and not its name: the package may be a copy
    that a new process would not find before its path is that of this one."""
    paths, attempts = [os.path.abspath(path) for path in sys.path], ATTEMPTS

    class Worker:
        def __init__(self, job: bytes, threads: int):
            sys.path.extend(path for path in paths if path not in sys.path)
            import torch

            torch.set_num_threads(threads)
            self.job, self.tagger, self.attempts = pickle.loads(job), None, attempts

        def __call__(self, batch: dict) -> dict:
            shard = pickle.loads(batch["shard"][0])
            try:
                self.tag(shard)
            except (RuntimeError, OSError, ValueError) as error:  # as an answer, it comes back as what it was
                error.add_note(traceback.format_exc())
                return {"photos": [0], "error": [pickle.dumps(error)]}
            return {"photos": [len(shard.photos)], "error": [b""]}

        def tag(self, shard: Shard) -> None:
            if self.job.done(shard):  # by a worker that died between its last write and its answer
                return
            self.job.attempt(shard, self.attempts)
            self.tagger = self.tagger or self.job.tagger()
            self.job.tag(self.tagger, shard)

    return Worker


@contextmanager
def _running(ray, workers: int) -> Iterator[None]:
    """With Ray, and without the one that is started here afterwards."""
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = os.environ.get("RAY_ADDRESS")
    local = {} if address else {"num_cpus": max(os.cpu_count() or 1, workers), "include_dashboard": False}
    try:
        ray.init(address or "local", log_to_driver=False, logging_level=logging.ERROR, **local)
    except Exception as error:  # Ray raises a plain Exception if it is not up in time
        raise BulkError(f"Ray does not start at {address or 'this machine'} ({error})") from error
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _quiet() -> Iterator[None]:
    logger = logging.getLogger("ray.data")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _share(ray, workers: int) -> tuple[int, float]:
    """Cores and GPUs of each worker, so that all find a place: one GPU, or an equal part of one, if there are any, and
    as many cores as fit. Raises ``BulkError`` if there is less than a core for each."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cores = [int(node.get("CPU", 0)) for node in nodes]
    cpus = next((n for n in range(sum(cores) // workers, 0, -1) if sum(c // n for c in cores) >= workers), 0)
    if not cpus:
        raise BulkError(f"Ray has {sum(cores)} cores for {workers} workers; take fewer workers")
    gpus = sum(node.get("GPU", 0) for node in nodes)
    return cpus, 1 / math.ceil(workers / gpus) if gpus else 0

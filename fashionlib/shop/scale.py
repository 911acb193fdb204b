"""Bulk tagging by several processes, on one machine or many, through Ray. The one place that imports it."""

import logging
import math
import os
import pickle
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from .shards import BulkError, Job, Shard

ATTEMPTS = 4  # at a shard that kills its workers, for want of memory perhaps
PATIENCE = 45  # seconds, with an address; Ray itself would try for a quarter of an hour


def tag_shards(job: Job, shards: list[Shard]) -> Iterator[int]:
    """Tag shards in ``workers`` processes (of the job's options), each with a Tagger of its own; yields the number of
    photos of each shard that is done. A worker that dies is replaced and its shard tagged again.

    Ray is the one that runs in this process, else the one at ``RAY_ADDRESS``, else one that is started here for the
    job. Several machines must see photos, model and results under the same path. Raises ``ModuleNotFoundError`` without
    Ray, ``BulkError`` if it does not start, is too small or loses its workers again and again at the same shard, and
    else what was raised in a worker."""
    try:
        import ray
    except ImportError:
        raise ModuleNotFoundError("the engine 'ray' needs Ray: pip install 'fashionlib[scale]'") from None
    workers = job.options.workers
    with _running(ray, workers):
        cpus, gpus = _share(ray, workers)
        kind = ray.remote(num_cpus=cpus, num_gpus=gpus)(_worker())
        idle = [kind.remote(cpus) for _ in range(workers)]
        waiting, running, died, given = shards[::-1], {}, Counter(), pickle.dumps(job)
        while waiting or running:
            while waiting and idle:
                shard, worker = waiting.pop(), idle.pop()
                running[worker.tag.remote(given, pickle.dumps(shard))] = shard, worker
            (done,), _ = ray.wait(list(running))
            shard, worker = running.pop(done)
            try:
                ray.get(done)
            except ray.exceptions.RayTaskError as error:
                raise error.cause from error
            except ray.exceptions.RayError:  # the worker itself is gone
                died[shard.part] += 1
                if died[shard.part] == ATTEMPTS:
                    what = f"workers died at the same shard, from {shard.photos[0][0]} to {shard.photos[-1][0]}"
                    todo = "if memory is short, take a smaller batch_size or fewer workers"
                    raise BulkError(f"{ATTEMPTS} {what}; {todo}") from None
                waiting.append(shard)
                worker = kind.remote(cpus)
            else:
                yield len(shard.photos)
            idle.append(worker)


def _worker() -> type:
    """The class of the workers, made here so that Ray sends its code and not its name; what it is given comes pickled:
    the package may be a copy that a new process finds only when its path is that of this one."""
    paths = [os.path.abspath(path) for path in sys.path]

    class Worker:
        def __init__(self, threads: int):
            sys.path.extend(path for path in paths if path not in sys.path)
            import torch

            torch.set_num_threads(threads)
            self.tagger = None

        def tag(self, job: bytes, shard: bytes) -> None:
            job, shard = pickle.loads(job), pickle.loads(shard)
            if not job.done(shard):  # by a worker that died between its last write and its answer
                self.tagger = self.tagger or job.tagger()
                job.tag(self.tagger, shard)

    return Worker


@contextmanager
def _running(ray, workers: int) -> Iterator[None]:
    """With Ray, and without the one that is started here afterwards."""
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = os.environ.get("RAY_ADDRESS") or "local"
    local = {"num_cpus": max(os.cpu_count() or 1, workers), "include_dashboard": False} if address == "local" else {}
    try:
        if not local:
            _await(address)
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **local)
    except Exception as error:  # Ray raises a plain Exception if it is not up in time
        raise BulkError(f"Ray does not start at {'this machine' if local else address} ({error})") from error
    try:
        yield
    finally:
        ray.shutdown()


def _await(address: str) -> None:
    """Raises an exception if no Ray answers at an address within ``PATIENCE``."""
    attempt = "import ray, sys; ray.init(sys.argv[1], log_to_driver=False)"  # a process can be ended, a call cannot
    command = [sys.executable, "-c", attempt, address]
    done = subprocess.run(command, timeout=PATIENCE, capture_output=True, text=True, errors="replace")
    if done.returncode:
        raise ConnectionError((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])


def _share(ray, workers: int) -> tuple[int, float]:
    """Cores and GPUs of each worker, so that all find a place: as many cores, and a GPU or an equal part of one, as
    fit. Raises ``BulkError`` if there is less than a core for each."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = sum(node.get("GPU", 0) for node in nodes)
    each = math.ceil(workers / gpus) if gpus else 0  # workers on a GPU
    rooms = [(int(node.get("CPU", 0)), int(node.get("GPU", 0)) * each if gpus else workers) for node in nodes]
    cores = sum(have for have, most in rooms if most)
    cpus = (n for n in range(cores // workers, 0, -1) if sum(min(c // n, most) for c, most in rooms) >= workers)
    if not (found := next(cpus, 0)):
        raise BulkError(f"Ray has {cores} cores{' beside GPUs' * bool(gpus)} for {workers} workers; take fewer workers")
    return found, 1 / each if each else 0

"""Seconds and memory of ranking a gallery, measured against the bare matrix product in processes of their own."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from fashionlib.metrics.ranking import BLOCK, KS, rank

SPREAD = 2.0  # of the images around their item, in units of the items' own spread


def ranking_speed(
    queries: int = 14218,
    gallery: int = 12612,
    dimension: int = 512,
    items: int = 3985,
    repeats: int = 3,
    ways: tuple[str, ...] = ("bare", "rank", "accuracy_calculator"),
) -> pd.DataFrame:
    """Columns what, seconds, peak_mb, ratio_to_bare; the default sizes are those of In-shop Clothes Retrieval, the
    embeddings are made up (see ``made_up``).

    - ``bare``: the matrix product in blocks, and the 30 nearest of each query.
    - ``rank``: ``ranking.rank`` with all its metrics, from plain arrays.
    - ``accuracy_calculator``: that of pytorch-metric-learning, with its precision at 1, mAP@R and mean reciprocal rank,
      at ``k="max_bin_count"``: it looks at as many neighbours as the largest item has images. That is less than
      ``rank`` does: a first match further down counts as none, and there is no recall at 10, 20, 30.
    - ``accuracy_calculator_whole``: the same with ``k=None``, which sorts the whole gallery, as an exact mean
      reciprocal rank needs. It keeps that order for every query, about 60 bytes a pair: 11 GB at the default sizes, so
      it is measured only where asked for.

    The calculator's own neighbour search needs faiss; it is given its ``CustomKNN``, which does without, in the blocks
    of the others. Each way is run ``repeats`` times, in turns so that a slow minute of the machine falls on all of
    them, every time in a new process with as many threads as this one. ``seconds`` is the median. ``peak_mb`` is the
    most memory (MB) that the process had beyond what it had with its inputs made, NaN where there is no ``/proc``.

    Raises ``ValueError`` for an unknown way, and without ``bare``.
    """
    if unknown := set(ways) - set(WAYS):
        raise ValueError(f"no way {', '.join(sorted(unknown))}; there are {', '.join(WAYS)}")
    if "bare" not in ways:
        raise ValueError("the others are compared with 'bare', so it must be among the ways")
    size = (queries, gallery, dimension, items)
    found: dict[str, list[tuple[float, float]]] = {what: [] for what in ways}
    for _ in range(repeats):
        for what in ways:
            found[what].append(_in_new_process(what, size, torch.get_num_threads()))
    seconds = {what: statistics.median(s for s, _ in runs) for what, runs in found.items()}
    rows = [
        {"what": what, "seconds": seconds[what], "peak_mb": max(mb for _, mb in runs)} for what, runs in found.items()
    ]
    table = pd.DataFrame(rows)
    return table.assign(ratio_to_bare=table["seconds"] / seconds["bare"])


def _in_new_process(what: str, size: tuple[int, int, int, int], threads: int) -> tuple[float, float]:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measure, what, size, threads).result()


def _measure(what: str, size: tuple[int, int, int, int], threads: int) -> tuple[float, float]:
    """Seconds and MB of one way, in this process; a small run before it loads libraries and starts threads."""
    torch.set_num_threads(threads)
    way = WAYS[what]
    way(*made_up(100, 100, size[2], 10))
    inputs = made_up(*size)
    before = _status("VmRSS")
    started = time.perf_counter()
    way(*inputs)
    seconds = time.perf_counter() - started
    return seconds, _status("VmHWM") - before


def made_up(
    queries: int, gallery: int, dimension: int, items: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Unit-length queries (Q, D) and gallery (G, D) scattered around their items, and the item numbers of both.

    Every item has an image in each, as far as they reach; the others fall on the items unevenly (exponential weights),
    so that a few items are large.
    """
    rng = np.random.default_rng(0)
    weights = rng.exponential(size=items)
    numbers = []
    for n in (queries, gallery):
        more = rng.choice(items, size=max(n - items, 0), p=weights / weights.sum())
        numbers.append(np.concatenate([np.arange(min(n, items)), more]))
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(items, dimension, generator=generator)
    embeddings = []
    for number in numbers:
        images = torch.randn(len(number), dimension, generator=generator).mul_(SPREAD).add_(centres[number])
        embeddings.append(F.normalize(images, dim=1, out=images).numpy())
    return *embeddings, *numbers


def _bare(queries, gallery, query_items, gallery_items) -> None:
    queries, gallery = torch.from_numpy(queries), torch.from_numpy(gallery)
    height = max(BLOCK // len(gallery), 1)
    memory = torch.empty(min(height, len(queries)), len(gallery))
    for part in queries.split(height):
        torch.mm(part, gallery.T, out=memory[: len(part)]).topk(min(max(KS), len(gallery)))


def _accuracy_calculator(queries, gallery, query_items, gallery_items, k: str | None = "max_bin_count") -> None:
    from pytorch_metric_learning.distances import CosineSimilarity
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
    from pytorch_metric_learning.utils.inference import CustomKNN

    metrics = ("precision_at_1", "mean_average_precision_at_r", "mean_reciprocal_rank")
    search = CustomKNN(CosineSimilarity(), batch_size=max(BLOCK // len(gallery), 1))
    calculator = AccuracyCalculator(metrics, k=k, device=torch.device("cpu"), knn_func=search)
    calculator.get_accuracy(queries, query_items, gallery, gallery_items)


WAYS: dict[str, Callable] = {
    "bare": _bare,
    "rank": rank,
    "accuracy_calculator": _accuracy_calculator,
    "accuracy_calculator_whole": partial(_accuracy_calculator, k=None),
}


def _status(key: str) -> float:
    """A figure of this process's memory in MB, from Linux; NaN elsewhere."""
    try:
        with open("/proc/self/status") as lines:
            return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{key}:"))
    except (OSError, StopIteration):
        return float("nan")

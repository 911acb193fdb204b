"""Seconds and memory of ranking a gallery, measured against the bare matrix product in processes of their own."""

import time
from functools import partial

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from fashionlib.metrics.ranking import BLOCK, KS, rank

from . import in_new_process, in_turns, peak_memory

SPREAD = 2.0  # of the images around their item, in units of the items' own spread


def ranking_speed(queries=14218, gallery=12612, dimension=512, items=3985, repeats=3) -> pd.DataFrame:
    """Columns what, seconds, peak_mb, ratio_to_bare; the default sizes are those of In-shop Clothes Retrieval, the
    embeddings are made up (see ``made_up``).

    - ``bare``: the matrix product in blocks, and the 30 nearest of each query.
    - ``rank``: ``ranking.rank`` with all its metrics, from plain arrays.
    - ``accuracy_calculator``: that of pytorch-metric-learning, in the same blocks: precision at 1, mAP@R, MRR. It looks
      at as many neighbours as the largest item has images, less than ``rank`` does, and has no recall at 10, 20, 30.

    Each way is run ``repeats`` times, every time in a new process with as many threads as this one. ``seconds`` is the
    median, ``peak_mb`` the most memory (MB) that the process had beyond its peak while the inputs were made."""
    size, peaks = (queries, gallery, dimension, items), dict.fromkeys(WAYS, 0.0)

    def turn(what: str) -> float:
        seconds, megabytes = in_new_process(measure, what, size, torch.get_num_threads())
        peaks[what] = max(peaks[what], megabytes)
        return seconds

    seconds = in_turns({what: partial(turn, what) for what in WAYS}, repeats)
    table = pd.DataFrame({"what": seconds.index, "seconds": seconds.to_numpy(), "peak_mb": list(peaks.values())})
    return table.assign(ratio_to_bare=table["seconds"] / seconds["bare"])


def measure(what: str, size: tuple[int, int, int, int], threads: int) -> tuple[float, float]:
    """Seconds and MB of one way, in this process; a small run before it loads libraries and starts threads."""
    torch.set_num_threads(threads)
    way = WAYS[what]
    way(*made_up(100, 100, size[2], 10))
    inputs = made_up(*size)
    before = peak_memory()
    started = time.perf_counter()
    way(*inputs)
    return time.perf_counter() - started, 1000 * (peak_memory() - before)


def made_up(queries: int, gallery: int, dimension: int, items: int) -> tuple[np.ndarray, ...]:
    """Unit-length queries (Q, D) and gallery (G, D) scattered around their items, of which some have more images than
    others, and the item numbers of both."""
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    weights = rng.exponential(size=items)
    centres = torch.randn(items, dimension, generator=generator)
    embeddings, numbers = [], []
    for n in (queries, gallery):
        more = rng.choice(items, size=max(n - items, 0), p=weights / weights.sum())
        numbers.append(np.concatenate([np.arange(min(n, items)), more]))
        images = torch.randn(n, dimension, generator=generator).mul_(SPREAD).add_(centres[numbers[-1]])
        embeddings.append(F.normalize(images, dim=1, out=images).numpy())
    return *embeddings, *numbers


def _bare(queries, gallery, query_items, gallery_items) -> None:
    queries, gallery = torch.from_numpy(queries), torch.from_numpy(gallery)
    height = max(BLOCK // len(gallery), 1)
    memory = torch.empty(min(height, len(queries)), len(gallery))
    for part in queries.split(height):
        torch.mm(part, gallery.T, out=memory[: len(part)]).topk(min(max(KS), len(gallery)))


def _accuracy_calculator(queries, gallery, query_items, gallery_items) -> None:
    from pytorch_metric_learning.distances import CosineSimilarity
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
    from pytorch_metric_learning.utils.inference import CustomKNN

    metrics = ("precision_at_1", "mean_average_precision_at_r", "mean_reciprocal_rank")
    search = CustomKNN(CosineSimilarity(), batch_size=max(BLOCK // len(gallery), 1))
    calculator = AccuracyCalculator(metrics, k="max_bin_count", device=torch.device("cpu"), knn_func=search)
    calculator.get_accuracy(queries, query_items, gallery, gallery_items)


WAYS = {"bare": _bare, "rank": rank, "accuracy_calculator": _accuracy_calculator}

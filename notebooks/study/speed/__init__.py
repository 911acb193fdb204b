"""Benchmarks: each a function that returns a table."""

import multiprocessing
import resource
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor

import pandas as pd
import torch


def in_turns(ways: Mapping[str, Callable], repeats: int) -> pd.Series:
    """Median seconds of each way, taken in turns so that a slow minute of the machine falls on all of them. A way that
    returns a number of seconds has measured itself."""
    taken = pd.DataFrame(index=range(repeats), columns=list(ways), dtype=float)
    for turn in range(repeats):
        for what, way in ways.items():
            started = time.perf_counter()
            own = way()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            taken.at[turn, what] = own if isinstance(own, float) else time.perf_counter() - started
    return taken.median().rename_axis("what")


def in_new_process(function: Callable, *arguments):
    """What a function of a module returns, called in a process of its own, whose peak of memory is its own."""
    context = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
    context.set_forkserver_preload([function.__module__])  # libraries are loaded once, not in each process
    with ProcessPoolExecutor(1, context) as pool:
        return pool.submit(function, *arguments).result()


def peak_memory() -> float:
    """The most resident memory that this process has had so far, in GB."""
    if sys.platform == "linux":  # whose ru_maxrss begins with that of the process that started this one
        with open("/proc/self/status") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e9
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9

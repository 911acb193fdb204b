"""Several processes that train together, as ``torchrun`` and ``accelerate launch`` start them."""

import os
from collections.abc import Callable


def process_count() -> int:
    """How many processes take part; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", 1))


def process_number() -> int:
    """Which of them this is, from 0 on."""
    return int(os.environ.get("RANK", 0)) if process_count() > 1 else 0


def is_main_process() -> bool:
    """Whether this process is the one that writes and prints."""
    return process_number() == 0


def start_accelerator():
    """An ``Accelerator``. Raises ``RuntimeError`` if the processes that were started do not find each other."""
    import accelerate
    import torch

    unused = accelerate.DistributedDataParallelKwargs(find_unused_parameters=True)  # a stage need not train every head
    on_cpu = process_count() > 1 and not torch.cuda.is_available()  # accelerate has to be told, alone it finds out
    accelerator = accelerate.Accelerator(cpu=on_cpu, kwargs_handlers=[unused])
    if (there := accelerator.num_processes) != process_count():
        raise RuntimeError(f"{process_count()} processes were started, but {there} take part; start them with torchrun")
    return accelerator


def run_once(function: Callable):
    """Call a function in the main process alone; all of them get, after it is done, what it returned."""
    if process_count() == 1:
        return function()
    from accelerate.utils import broadcast_object_list

    start_accelerator()  # without which nothing would be sent
    result = [function() if is_main_process() else None]
    broadcast_object_list(result)
    return result[0]


def agree(value: object, what: str) -> None:
    """Raises ``RuntimeError`` in a process that has another value than the main one: they would train apart."""
    if run_once(lambda: value) != value:
        raise RuntimeError(f"process {process_number()} and the main process differ in {what}")

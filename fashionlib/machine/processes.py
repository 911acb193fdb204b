"""Several processes that train together, as ``torchrun`` and ``accelerate launch`` start them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from types import ModuleType

    from accelerate import Accelerator
    from torch import Tensor, device, nn

T = TypeVar("T")


def process_count() -> int:
    """How many processes take part; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", 1))


def process_number() -> int:
    """Which of them this is, from 0 on."""
    return int(os.environ.get("RANK", 0)) if process_count() > 1 else 0


def is_main_process() -> bool:
    """Whether this process is the one that writes and prints."""
    return process_number() == 0


class Alone:
    """What training needs of an ``accelerate.Accelerator``, for one process where accelerate is not installed."""

    is_main_process = True

    def __init__(self, device: device):
        self.device = device

    def prepare(self, module: nn.Module) -> nn.Module:
        """The module on the device."""
        return module.to(self.device)

    def wait_for_everyone(self) -> None:
        """There is nobody else."""


def start_accelerator() -> Accelerator | Alone:
    """Device and process group. On machines without a GPU the processes talk through gloo.

    One process does without accelerate, too, on the GPU if there is one. Raises ``RuntimeError`` if there are several
    without accelerate, or if the processes that the launcher started do not find each other.
    """
    import torch

    try:
        accelerate = _accelerate()
    except RuntimeError:
        if process_count() > 1:
            raise
        return Alone(_own_device())
    unused = accelerate.DistributedDataParallelKwargs(find_unused_parameters=True)  # a stage need not train every head
    on_cpu = process_count() > 1 and not torch.cuda.is_available()  # accelerate has to be told, alone it finds out
    accelerator = accelerate.Accelerator(cpu=on_cpu, kwargs_handlers=[unused])
    if accelerator.num_processes != process_count():
        raise RuntimeError(
            f"{process_count()} processes were started, but {accelerator.num_processes} take part; start them with "
            "torchrun or accelerate launch, and before anything else uses accelerate"
        )
    return accelerator


def _accelerate() -> ModuleType:
    """The library that lets processes talk. Raises ``RuntimeError`` if it cannot be imported."""
    try:
        import accelerate
    except ImportError as error:
        raise RuntimeError(
            f"{process_count()} processes train together through accelerate, which cannot be imported ({error}); "
            "pip install fashionlib[distributed], or start one process, without a launcher"
        ) from error
    return accelerate


def _own_device() -> device:
    """The GPU if there is one, in the order in which accelerate looks."""
    import torch

    if torch.backends.mps.is_available():
        os.environ["PYTORCH_ENABLE_MPS_FALLBACK"] = "1"  # what Apple's GPU cannot do, the CPU does
        return torch.device("mps")
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def run_once(function: Callable[[], T]) -> T:
    """Call a function in the main process alone; all of them get, after it is done, what it returned."""
    if process_count() == 1:
        return function()
    result = [function() if is_main_process() else None]
    _accelerate().utils.broadcast_object_list(result)
    return result[0]


def same_everywhere(value: object, what: str) -> None:
    """Raises ``RuntimeError`` in a process that has another value than the main one: they would train apart."""
    if run_once(lambda: value) != value:
        raise RuntimeError(f"process {process_number()} and the main process differ in {what}")


def copy_from_main(tensors: Iterable[Tensor]) -> None:
    """Overwrite tensors in every process by those of the main one: what each has computed from its own images, such as
    the statistics of batch norms."""
    if process_count() > 1:
        from torch import distributed

        for tensor in tensors:
            distributed.broadcast(tensor, src=0)


def mean_over_processes(values: Tensor) -> Tensor:
    """The mean of a tensor over all processes, in all of them."""
    if process_count() == 1:
        return values
    return _accelerate().utils.reduce(values, reduction="mean")


def gather_from_all(values: list[T]) -> list[T]:
    """The lists of all processes joined to one, in their order, in all of them."""
    return values if process_count() == 1 else _accelerate().utils.gather_object(values)

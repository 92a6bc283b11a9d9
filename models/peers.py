"""Processes that train one model together, each on lanes of its own: what they find is added up (torchrun, gloo).

Every process holds all weights and makes the same updates of them, from the sum of all gradients (data parallelism: Li
et al., PyTorch distributed: experiences on accelerating data parallel training, VLDB 2020). The gradients are made by
hand, thread by thread, so they are added up here and not by a wrapped module.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
import torch.distributed.nn.functional  # its defaults hold a group if there is one: then that never ends
from torch import Tensor
from torch import distributed as dist

T = TypeVar("T")


class Peers:
    """A process and those that train with it; as it stands, a process alone.

    Fields:
        rank: number of this process; the first one, 0, writes what is to be written.
        size: number of processes.
    """

    rank, size = 0, 1

    def share(self, parts: Sequence[T]) -> Sequence[T]:
        """Return the parts that this process works on.

        >>> Peers().share("abc")
        'abc'
        """
        return parts[self.rank :: self.size]

    def added(self, tensors: list[Tensor]) -> list[Tensor]:
        """Return the sums of tensors over all processes, the same bits in each."""
        return tensors

    def totals(self, numbers: Sequence[float]) -> list[float]:
        """Return the sums of numbers over all processes."""
        return list(numbers)

    def of_first(self, numbers: Sequence[float]) -> list[float]:
        """Return the numbers of the first process."""
        return list(numbers)

    def level(self, generators: Sequence[torch.Generator]) -> None:
        """Bring each generator to where it stands in the process whose `share` it is in."""

    def agree(self, go_on: bool) -> bool:
        """Return whether all processes are for going on."""
        return self.totals([not go_on])[0] == 0


class Together(Peers):
    """Processes that torch.distributed connects."""

    def __init__(self) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()

    def added(self, tensors: list[Tensor]) -> list[Tensor]:
        """See `Peers`; all travel as one."""
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        return [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)]

    def totals(self, numbers: Sequence[float]) -> list[float]:
        """See `Peers`."""
        sums = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(sums)
        return [float(total) for total in sums]

    def of_first(self, numbers: Sequence[float]) -> list[float]:
        """See `Peers`."""
        told = torch.tensor(numbers, dtype=torch.float64)
        dist.broadcast(told, 0)
        return [float(number) for number in told]

    def level(self, generators: Sequence[torch.Generator]) -> None:
        """See `Peers`."""
        for k, generator in enumerate(generators):
            state = generator.get_state()
            dist.broadcast(state, k % self.size)
            generator.set_state(state)


ALONE = Peers()


@contextmanager
def peers() -> Iterator[Peers]:
    """Meet the processes that torchrun has started with this one, if it has."""
    if not dist.is_torchelastic_launched():
        yield ALONE
        return
    dist.init_process_group("gloo")
    try:
        yield Together()
    finally:
        dist.destroy_process_group()

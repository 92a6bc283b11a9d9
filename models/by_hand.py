"""What a gradient that is made by hand keeps from the way forward: torch's own type of it is not typed."""

from typing import Protocol

from torch import Tensor


class Context(Protocol):
    """The first argument of `torch.autograd.Function.forward` and `backward`."""

    saved_tensors: tuple[Tensor, ...]

    def save_for_backward(self, *tensors: Tensor) -> None:
        """Keep tensors for the way back."""
        ...

"""The interface of networks: from inputs of lanes of whole sequences to the state after each event."""

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from models.cells.sizes import Sizes

Weights = dict[str, Tensor]


class Cell(Protocol):
    """Turns inputs into what the heads read, and keeps a state of a fixed number of numbers between two pieces.

    A sequence that is cut into pieces, down to single events, gives what the whole gives.
    """

    sizes: Sizes

    def first(self, name: str, shape: tuple[int, ...]) -> Tensor | None:
        """Return the first value of one of its own weights that is neither 0 nor drawn, else None."""
        ...

    def run(self, weights: Weights, x: Tensor, keep: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the heads read after each step [steps, lanes, HIDDEN], and the state after the last.

        Args:
            weights: `Network.on_grid`.
            x: inputs [steps, lanes, `Sizes.inputs`].
            keep: 0 where a user's first event stands, else 1 [steps, lanes].
            state: before the first step [lanes, `Sizes.state`]; zeros where nothing has been.
        """
        ...


def normed(weights: Weights, prefix: str, x: Tensor) -> Tensor:
    """Return x with mean 0 and variance 1 over its last axis, times 1 + gain (Ba et al., Layer normalization, 2016)."""
    gain, shift = weights[f"{prefix}gain_bias"], weights[f"{prefix}norm_bias"]
    return functional.layer_norm(x, x.shape[-1:], 1 + gain, shift)


def fed(weights: Weights, prefix: str, x: Tensor) -> Tensor:
    """Return x plus what a feed-forward block makes of it (Vaswani et al., Attention is all you need, 2017)."""
    gain, shift = weights[f"{prefix}norm_gain_bias"], weights[f"{prefix}norm_bias"]
    inside = functional.layer_norm(x, x.shape[-1:], 1 + gain, shift)
    inside = functional.gelu(inside @ weights[f"{prefix}feed"] + weights[f"{prefix}feed_bias"])
    return x + inside @ weights[f"{prefix}back"] + weights[f"{prefix}back_bias"]


def ages(keep: Tensor, before: Tensor) -> Tensor:
    """Return how many steps of its sequence stand before each step [steps, lanes].

    Args:
        keep: 0 where a sequence begins, else 1 [steps, lanes].
        before: steps of its sequence before the first step [lanes].

    >>> ages(torch.tensor([[1], [0], [1]]), torch.tensor([3]))[:, 0].tolist()
    [3, 0, 1]
    """
    place = torch.arange(len(keep))[:, None].expand(keep.shape)
    begun = torch.where(keep == 0, place, -1).cummax(0).values
    return torch.where(begun >= 0, place - begun, place + before)

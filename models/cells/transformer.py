"""A small causal Transformer with a window (Kang and McAuley, Self-attentive sequential recommendation, ICDM 2018).

Attention in a window, so that what a step needs is bounded: Beltagy et al., Longformer, 2020. Positions are learnt
biases by distance (Raffel et al., Exploring the limits of transfer learning, 2020): nothing depends on where a piece
begins.
"""

import torch
from torch import Tensor

from models.cells.cell import Weights, ages, fed, normed
from models.cells.sizes import ATTENTION_HEADS, LAYERS, NETWORKS, SPAN
from models.state import HIDDEN

_PAST = SPAN - 1
_WIDTH = HIDDEN // ATTENTION_HEADS


class Transformer:
    """Each step attends to itself and to the steps before it of its sequence, `SPAN` in all, in each block.

    The state is the keys and values of the last `SPAN - 1` steps, those of one block after another, and how many steps
    of the sequence there have been, `SPAN - 1` at most.
    """

    sizes = NETWORKS["transformer"]

    def first(self, name: str, shape: tuple[int, ...]) -> Tensor | None:  # noqa: ARG002
        """Nothing begins in a special way."""
        return None

    def run(self, weights: Weights, x: Tensor, keep: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """See `cell.Cell`."""
        steps, lanes = keep.shape
        age = ages(keep, state[:, -1].long())
        past = state[:, :-1].reshape(lanes, LAYERS, _PAST, 2 * HIDDEN)
        # [steps, _PAST + steps]: how far before each step each key stands
        distance = torch.arange(steps)[:, None] + _PAST - torch.arange(_PAST + steps)
        near = (distance >= 0) & (distance < SPAN)
        allowed = near & (distance <= age.T[:, :, None])  # [lanes, steps, keys]
        hidden = torch.zeros(allowed.shape).masked_fill_(~allowed, -torch.inf)[:, None]
        h, kept = x.transpose(0, 1), []  # [lanes, steps, HIDDEN]
        for layer in range(LAYERS):
            prefix = f"layer{layer}_"
            product = normed(weights, f"{prefix}attend_", h) @ weights[f"{prefix}attend"]
            query, made = product[..., :HIDDEN], product[..., HIDDEN:]
            held = torch.cat([past[:, layer], made], 1)  # keys and values
            kept.append(held[:, steps:].reshape(lanes, -1))
            bias = weights[f"{prefix}distance_bias"][:, distance.clamp(0, _PAST)]
            h = h + _attended(query, held, hidden + bias) @ weights[f"{prefix}merge"]
            h = fed(weights, prefix, h)
        count = (age[-1] + 1).clamp(max=_PAST).to(state.dtype)
        return normed(weights, "last_", h).transpose(0, 1), torch.cat([*kept, count[:, None]], 1)


def _attended(query: Tensor, held: Tensor, bias: Tensor) -> Tensor:
    """Return the mean of the values, weighted by how keys fit the query [lanes, steps, HIDDEN]."""
    keys, values = torch.split(held, HIDDEN, 2)
    q, k, v = (part.reshape(*part.shape[:2], ATTENTION_HEADS, _WIDTH).transpose(1, 2) for part in (query, keys, values))
    fit = torch.softmax(q @ k.transpose(2, 3) * _WIDTH**-0.5 + bias, 3)
    mean: Tensor = (fit @ v).transpose(1, 2).flatten(2)
    return mean

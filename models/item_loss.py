"""The next item's loss over all items, with its gradient, and never all scores in memory.

Cross-entropy of a softmax needs the scores [n, items] four times: to make them, for their sum and for two gradients.
Here a block of rows makes them once in a corner of memory that a processor's cache holds, and all else is products of
matrices: the sum is one more column of the product that gives the gradient of the query, the bias one more of the
product that makes the scores. As the loss is one number, the gradient is known but for a factor as soon as the loss is.
"""

from typing import Protocol

import torch
from torch import Tensor

_SCORES = 2**18
"""Scores of a block: 1 MB."""

_LEAST_ROWS = 32
_SAFE = 60.0
"""Scores up to this size may be exponents as they are: in float32 neither they nor their sum over or underflow."""


def item_loss(query: Tensor, vectors: Tensor, bias: Tensor, target: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Return the summed cross-entropy in nats of softmax(query @ vectors.T + bias).

    Args:
        query: [n, width].
        vectors: [items, width].
        bias: [items].
        target: of each row [n].
        label_smoothing: share of the target that is spread over all items (Szegedy et al., Rethinking the Inception
            architecture for computer vision, CVPR 2016).

    >>> loss = item_loss(torch.zeros(2, 3), torch.ones(4, 3), torch.zeros(4), torch.tensor([0, 3]))
    >>> round(float(loss), 4)  # 2 ln 4
    2.7726
    """
    loss: Tensor = _ItemLoss.apply(query, vectors, bias, target, label_smoothing)  # type: ignore[no-untyped-call]
    return loss


class _Context(Protocol):
    saved_tensors: tuple[Tensor, ...]

    def save_for_backward(self, *tensors: Tensor) -> None: ...


class _ItemLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: _Context, query: Tensor, vectors: Tensor, bias: Tensor, target: Tensor, label_smoothing: float
    ) -> Tensor:
        ones = torch.ones(len(query), 1)
        shift = _shift(query, vectors, bias)
        left = torch.cat([query, ones, -shift[:, None]], 1)  # times right: the scores, shifted
        right = torch.cat([vectors, bias[:, None], torch.ones(len(vectors), 1)], 1)
        across = right.T.contiguous()
        width = query.shape[1]
        d_left, d_right = torch.empty_like(left), torch.zeros_like(right)
        for start in range(0, len(left), rows := max(_SCORES // len(right), _LEAST_ROWS)):
            block = slice(start, start + rows)
            odds = torch.mm(left[block], across).exp_()
            product = torch.mm(odds, right, out=d_left[block])
            product[:, :-1] /= product[:, -1:]  # the last column: the sum of the odds
            d_right.addmm_(odds.T, left[block] / product[:, -1:])
        each = right.mean(0)
        wanted = right[target] if label_smoothing == 0 else right[target].lerp(each, label_smoothing)
        loss = (d_left[:, -1].log() - (left * wanted).sum(1)).sum()
        d_query = d_left[:, :width] - wanted[:, :width]
        d_right.index_add_(0, target, left, alpha=label_smoothing - 1)
        if label_smoothing:
            d_right -= left.sum(0) * (label_smoothing / len(right))
        ctx.save_for_backward(d_query, d_right[:, :width], d_right[:, width])
        return loss

    @staticmethod
    def backward(ctx: _Context, *grads: Tensor) -> tuple[Tensor | None, ...]:
        d_query, d_vectors, d_bias = ctx.saved_tensors
        return d_query * grads[0], d_vectors * grads[0], d_bias * grads[0], None, None


def _shift(query: Tensor, vectors: Tensor, bias: Tensor) -> Tensor:
    """Return what to take off the scores of each row [n]: 0 where none can be large, else the largest."""
    most = query.norm(dim=1) * vectors.norm(dim=1).max() + bias.abs().max()
    shift = torch.zeros(len(query))
    large = torch.nonzero(most > _SAFE)[:, 0]
    for some in torch.split(large, max(_SCORES // len(vectors), _LEAST_ROWS)):
        shift[some] = torch.addmm(bias, query[some], vectors.T).amax(1)
    return shift

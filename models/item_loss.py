"""The next item's loss over all items, with its gradient, and never all scores in memory.

Cross-entropy of a softmax needs the scores [n, items] four times: to make them, for their sum and for two gradients.
Here a block of rows makes them once in a corner of memory that a processor's cache holds, and all else is products of
matrices; the bias is one more column of the one that makes the scores. As the loss is one number, the gradient is known
but for a factor as soon as the loss is. Scores and loss are of float32; for the gradient the shares of the items are
rounded to bfloat16 where the processor multiplies such matrices faster (Kalamkar et al., A study of bfloat16 for deep
learning training, 2019).
"""

import torch
from torch import Tensor

from models.by_hand import Context
from models.recent_loss import Recent, RecentLoss

_SCORES = 2**21
"""Scores of a block."""

_LEAST_ROWS = 32
FAST = torch.bfloat16 if torch.cpu.get_capabilities().get("amx_bf16") else torch.float32
"""What the gradient's products are made of."""

_SAFE = 70.0
"""Scores up to this size may be exponents as they are: in float32 neither they nor their sum over or underflow."""


def item_loss(
    query: Tensor,
    vectors: Tensor,
    bias: Tensor,
    target: Tensor,
    label_smoothing: float = 0.0,
    recent: Recent | None = None,
) -> Tensor:
    """Return the summed cross-entropy in nats of softmax(query @ vectors.T + bias).

    Args:
        query: [n, width].
        vectors: [items, width].
        bias: [items].
        target: of each row [n].
        label_smoothing: share of the target that is spread over all items (Szegedy et al., Rethinking the Inception
            architecture for computer vision, CVPR 2016).
        recent: what the last items add to the scores.

    >>> loss = item_loss(torch.zeros(2, 3), torch.ones(4, 3), torch.zeros(4), torch.tensor([0, 3]))
    >>> round(float(loss), 4)  # 2 ln 4
    2.7726
    """
    weight = None if recent is None else recent.weight
    loss: Tensor = _ItemLoss.apply(  # type: ignore[no-untyped-call]
        query, vectors, bias, weight, target, label_smoothing, recent
    )
    return loss


class _ItemLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Context,
        query: Tensor,
        vectors: Tensor,
        bias: Tensor,
        weight: Tensor | None,
        target: Tensor,
        label_smoothing: float,
        recent: Recent | None,
    ) -> Tensor:
        width = query.shape[1]
        right = torch.cat([vectors, bias[:, None], torch.ones(len(vectors), 1)], 1)
        wanted = right[target]
        own = (query * wanted[:, :width]).sum(1) + wanted[:, width]
        near = None if recent is None else RecentLoss(recent, target, len(vectors))
        if near is not None:
            own = own + near.own
        shift = _shift(query, right[:, :width], right[:, width], own, near)
        left = torch.cat([query, torch.ones(len(query), 1), -shift[:, None]], 1)  # times right: the scores, shifted
        own = own - shift
        rows = min(max(_SCORES // len(right), _LEAST_ROWS), len(left))
        across, fast = right.T.contiguous(), right[:, :width].to(FAST)
        scores = torch.empty(rows, len(right))
        rounded = scores if FAST is scores.dtype else torch.empty_like(scores, dtype=FAST)
        d_query, d_right, total = torch.empty_like(query), torch.zeros_like(right), torch.empty_like(own)
        for start in range(0, len(left), rows):
            block = slice(start, start + rows)
            count = len(own[block])
            odds = torch.mm(left[block], across, out=scores[:count])
            if near is not None:
                near.add(odds, block)
            odds.exp_()
            total[block] = odds.sum(1)
            if near is not None:
                near.pull(odds, total[block], block)
            odds = odds if rounded is scores else rounded[:count].copy_(odds)
            torch.div(torch.mm(odds, fast), total[block, None], out=d_query[block])
            d_right += torch.mm(odds.T, (left[block] / total[block, None]).to(FAST))
        loss = (total.log() - (1 - label_smoothing) * own).sum()
        d_query -= (1 - label_smoothing) * wanted[:, :width]
        d_right.index_add_(0, target, left, alpha=label_smoothing - 1)
        d_weight = torch.zeros(0) if near is None else near.gradient(label_smoothing - 1)
        if label_smoothing:
            each = right.mean(0)
            loss -= label_smoothing * (left @ each).sum()
            d_query -= label_smoothing * each[:width]
            d_right -= left.sum(0) * (label_smoothing / len(right))
            if near is not None and weight is not None:
                spread = near.sum() * (label_smoothing / len(right))
                loss -= (spread * weight.detach()).sum()
                d_weight -= spread
        ctx.save_for_backward(d_query, d_right[:, :width], d_right[:, width], d_weight)
        return loss

    @staticmethod
    def backward(ctx: Context, *grads: Tensor) -> tuple[Tensor | None, ...]:
        *of_items, d_weight = (gradient * grads[0] for gradient in ctx.saved_tensors)
        return *of_items, d_weight if len(d_weight) else None, None, None, None


def _shift(query: Tensor, vectors: Tensor, bias: Tensor, own: Tensor, near: RecentLoss | None) -> Tensor:
    """Return what to take off the scores of each row [n]: 0 where none can be large, else the largest."""
    most = query.norm(dim=1) * vectors.norm(dim=1).max() + bias.abs().max()
    most = torch.maximum(most if near is None else most + near.most, own.abs())
    shift = torch.zeros(len(query))
    large = torch.nonzero(most > _SAFE)[:, 0]
    for some in torch.split(large, max(_SCORES // len(vectors), _LEAST_ROWS)):
        scores = torch.addmm(bias, query[some], vectors.T)
        if near is not None:
            near.add(scores, some.numpy())
        shift[some] = torch.maximum(scores.amax(1), own[some])
    return shift

"""The next item's loss where a sample stands for the catalogue, and each row's own items are counted as they are.

The sum over all items is estimated (Jean et al., On using very large target vocabulary for neural machine translation,
ACL 2015): each drawn item stands for 1 / chance items. The few whose scores the ring raises are hardly ever drawn, and
what raises them would be learnt against items that it does not raise; so the target, the items of the ring and what
followed them are in each row's sum themselves, once and exactly, and only the rest is estimated.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.by_hand import Context
from models.compiled import compiled
from models.item_loss import FAST
from models.model_directory import FOLLOWERS, RECENT
from models.recent import SLOTS
from models.recent_loss import Recent
from models.state import Ints

_ROWS = 256
"""Rows of a block."""


class Drawn(NamedTuple):
    """Items that stand for all others in the loss.

    Fields:
        rows: which, each once [drawn].
        chance: how likely each was to be among them [drawn].
    """

    rows: Tensor
    chance: Tensor


def draw(weight: Tensor, count: int, generator: torch.Generator) -> Drawn:
    """Draw about so many items, each by itself, those of more weight more likely.

    >>> drawn = draw(torch.tensor([1.0, 1.0, 1e9]), 2, torch.Generator().manual_seed(0))
    >>> drawn.rows.tolist(), round(float(drawn.chance[0]), 2)
    ([2], 0.86)
    """
    chance = -torch.expm1(-count * weight / weight.sum())
    rows = torch.nonzero(torch.rand(len(weight), generator=generator) < chance)[:, 0]
    return Drawn(rows, chance[rows])


def sampled_loss(query: Tensor, vectors: Tensor, bias: Tensor, target: Tensor, drawn: Drawn, recent: Recent) -> Tensor:
    """Return the summed cross-entropy in nats of softmax(query @ vectors.T + bias + what the last items add), about.

    Args:
        query: [n, width].
        vectors: [items, width].
        bias: [items].
        target: of each row [n].
        drawn: stand for all items but each row's own.
        recent: what the last items add to the scores.
    """
    loss: Tensor = _SampledLoss.apply(  # type: ignore[no-untyped-call]
        query, vectors, bias, recent.weight, target, drawn, recent
    )
    return loss


class Own(NamedTuple):
    """The items that rows score by themselves, and which weight has which effect on the score of which of them.

    Fields:
        first: where each row's items begin, its target the first [rows + 1].
        item: from 0 on [own].
        place, slot, effect: an effect [effects] of a weight (of all rows' weights in one line) on an item (of `item`).
    """

    first: Ints
    item: Ints
    place: Ints
    slot: Ints
    effect: npt.NDArray[np.float32]


class _SampledLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Context,
        query: Tensor,
        vectors: Tensor,
        bias: Tensor,
        weight: Tensor,
        target: Tensor,
        drawn: Drawn,
        recent: Recent,
    ) -> Tensor:
        right = torch.cat([vectors[drawn.rows], (bias[drawn.rows] - drawn.chance.log())[:, None]], 1)
        left = torch.cat([query, torch.ones(len(query), 1)], 1)
        every = torch.cat([vectors, bias[:, None]], 1).numpy()
        column = np.full(len(vectors), -1)
        column[drawn.rows.numpy()] = np.arange(len(right))
        weights = weight.detach().double().contiguous().numpy()
        across, fast = right.T.contiguous(), right.to(FAST)
        d_left, d_right, d_every = torch.zeros_like(left), torch.zeros_like(right), np.zeros_like(every)
        d_weight = np.zeros(weights.shape)
        loss = torch.zeros((), dtype=torch.float64)
        spare = np.full(len(vectors) + 1, -1)
        for start in range(0, len(left), _ROWS):
            block = slice(start, start + _ROWS)
            own = own_items(recent, target[block].numpy() + 1, block, spare)
            raised = np.bincount(own.place, own.effect * weights[block].reshape(-1)[own.slot], len(own.item))
            scores = raised.astype(np.float32)
            _add_products(scores, left[block].numpy(), every, own.first, own.item)
            odds = torch.mm(left[block], across)
            _leave_out(odds.numpy(), column, own.first, own.item)
            top = torch.from_numpy(np.maximum.reduceat(scores, own.first[:-1]))
            if len(right):
                top = torch.maximum(top, odds.amax(1))
            odds.sub_(top[:, None]).exp_()
            count = np.diff(own.first)
            shares = torch.from_numpy(scores - np.repeat(top.numpy(), count)).exp_().numpy()
            total = odds.sum(1) + torch.from_numpy(np.add.reduceat(shares, own.first[:-1]))
            loss += (total.log() + top - torch.from_numpy(scores[own.first[:-1]])).sum()
            shares /= np.repeat(total.numpy(), count)
            shares[own.first[:-1]] -= 1
            odds = odds.div_(total[:, None]).to(FAST)
            d_left[block] = torch.mm(odds, fast)
            d_right += torch.mm(odds.T, left[block].to(FAST))
            _spread(shares, left[block].numpy(), every, own.first, own.item, d_left[block].numpy(), d_every)
            d_weight[block] = np.bincount(own.slot, own.effect * shares[own.place], weights[block].size).reshape(
                weights[block].shape
            )
        of_items = torch.from_numpy(d_every).index_add_(0, drawn.rows, d_right)
        width = query.shape[1]
        ctx.save_for_backward(
            d_left[:, :width], of_items[:, :width], of_items[:, width], torch.from_numpy(d_weight).float()
        )
        return loss.float()

    @staticmethod
    def backward(ctx: Context, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return *(gradient * grads[0] for gradient in ctx.saved_tensors), None, None, None


def own_items(recent: Recent, target: Ints, block: slice, spare: Ints) -> Own:
    """Return the own items of a block of rows.

    Args:
        recent: of all rows.
        target: table row of each [rows].
        block: which rows.
        spare: all -1, and so again afterwards [items + 1].
    """
    item = np.ascontiguousarray(recent.item[block])
    most = len(item) + int((item > 0).sum()) + FOLLOWERS * int((item[:, :RECENT] > 0).sum())
    first, found = np.zeros(len(item) + 1, np.int64), np.zeros(most, np.int64)
    place, slot, effect = np.zeros(most, np.int64), np.zeros(most, np.int64), np.zeros(most, np.float32)
    effects = _list(
        target,
        item,
        recent.first[block],
        recent.tables.item,
        recent.tables.lift,
        spare,
        first,
        found,
        place,
        slot,
        effect,
    )
    return Own(first, found[: first[-1]], place[:effects], slot[:effects], effect[:effects])


@compiled
def _list(
    target: Ints,
    item: Ints,
    sets: Ints,
    follower: npt.NDArray[np.int32],
    lift: npt.NDArray[np.float32],
    spare: Ints,
    first: Ints,
    found: Ints,
    place: Ints,
    slot: Ints,
    effect: npt.NDArray[np.float32],
) -> int:
    own, effects = 0, 0
    for row in range(len(item)):
        first[row] = own
        found[own] = target[row] - 1
        spare[target[row]] = own
        own += 1
        for k in range(SLOTS):
            source = item[row, k]
            if source == 0:
                continue
            for at in range(-1, FOLLOWERS if k < RECENT else 0):
                one = source if at < 0 else follower[sets[row] + source, at]
                if one == 0:
                    break
                if spare[one] < 0:
                    spare[one] = own
                    found[own] = one - 1
                    own += 1
                place[effects] = spare[one]
                slot[effects] = (2 * row + (1 if at < 0 else 0)) * SLOTS + k
                effect[effects] = 1.0 if at < 0 else lift[sets[row] + source, at]
                effects += 1
        for at in range(first[row], own):
            spare[found[at] + 1] = -1
    first[len(item)] = own
    return effects


@compiled
def _add_products(
    scores: npt.NDArray[np.float32],
    left: npt.NDArray[np.float32],
    right: npt.NDArray[np.float32],
    first: Ints,
    item: Ints,
) -> None:
    sums = np.zeros(left.shape[1], np.float32)
    for row in range(len(left)):
        for at in range(first[row], first[row + 1]):
            one = item[at]
            for k in range(len(sums)):
                sums[k] = left[row, k] * right[one, k]
            rest = len(sums)
            while rest > 1:  # added up in halves: side by side
                half = rest // 2
                for k in range(half):
                    sums[k] += sums[rest - half + k]
                rest -= half
            scores[at] += sums[0]


@compiled
def _leave_out(odds: npt.NDArray[np.float32], column: Ints, first: Ints, item: Ints) -> None:
    for row in range(len(odds)):
        for at in range(first[row], first[row + 1]):
            if column[item[at]] >= 0:
                odds[row, column[item[at]]] = -np.inf


@compiled
def _spread(
    shares: npt.NDArray[np.float32],
    left: npt.NDArray[np.float32],
    right: npt.NDArray[np.float32],
    first: Ints,
    item: Ints,
    d_left: npt.NDArray[np.float32],
    d_right: npt.NDArray[np.float32],
) -> None:
    sums = np.empty(left.shape[1], np.float32)
    for row in range(len(left)):
        sums[:] = 0
        for at in range(first[row], first[row + 1]):
            one, share = item[at], shares[at]
            for k in range(len(sums)):
                sums[k] += share * right[one, k]
            for k in range(len(sums)):
                d_right[one, k] += share * left[row, k]
        d_left[row] += sums

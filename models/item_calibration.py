"""How much each part of the next item's scores is to count so that their probabilities can be believed.

The scores are a sum: what the state says, popularity, what followed the last items, and coming again. Each may be too
sure of itself by another factor; these, and one number for all items met before, are fitted on validation rows, by
Newton's method: the log-loss is convex in them.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from models.network import recent_weights
from models.recent import SLOTS
from models.recent_loss import Recent
from models.sampled_loss import own_items
from models.training_table import Parts

NONE = (1.0, 1.0, 1.0, 1.0, 0.0)
"""What leaves the scores as they are: factors of state, popularity, followers, coming again; a number for old items."""

_HELD = 10.0  # strength of the prior that holds all near `NONE`: so many rows that say so
_STEPS = 12
_NEAR = 1e-3  # a step shorter than this is the last
_BLOCK = 4_000_000  # scores held at a time


class Raised(NamedTuple):
    """What the last items add to the scores of some rows, and to whose: every other item is added nothing.

    Fields:
        row, item: whose score, by row and column [raised].
        by: followers, coming again, and 1 for an item met before, each in a column [raised, 3].
        target: which of them is each row's target [n].
    """

    row: Tensor
    item: Tensor
    by: Tensor
    target: Tensor


class ItemParts(NamedTuple):
    """The parts of the next item's scores of some rows, in blocks: there may be millions of items.

    Fields:
        query: what the state asks for [n, width].
        vectors: of the items [items, width].
        bias: popularity [items].
        raised: by the last items, of each block of rows.
    """

    query: Tensor
    vectors: Tensor
    bias: Tensor
    raised: list[Raised]

    @torch.no_grad()
    def told(self, factors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the log-loss of each row, the probability of its likeliest item and whether it came, each [n].

        Args:
            factors: of each row [n, 5], or of all [5].
        """
        found = [torch.zeros(3, 0)]
        for rows, raised in self._blocks():
            by_state = self.query[rows] @ self.vectors.T
            scores = self._scores(by_state, factors.expand(len(self.query), -1)[rows], raised)
            total, (top, which) = scores.logsumexp(1), scores.max(1)
            target = raised.item[raised.target]
            own = scores.gather(1, target[:, None])[:, 0]
            found.append(torch.stack([total - own, (top - total).exp(), (which == target).float()]))
        loss, sure, came = torch.cat(found, 1).double()
        return loss, sure, came > 0

    @torch.no_grad()
    def slopes(self, factors: Tensor) -> tuple[Tensor, Tensor]:
        """Return the first and second derivatives of each row's log-loss by the factors [n, 5], [n, 5, 5]."""
        slopes, curves = torch.zeros(len(self.query), 5), torch.zeros(len(self.query), 5, 5)
        for rows, raised in self._blocks():
            by_state = self.query[rows] @ self.vectors.T
            odds = torch.softmax(self._scores(by_state, factors.expand(len(by_state), -1), raised), 1)
            mean, both = slopes[rows], curves[rows]
            each = torch.cat(
                [by_state[raised.row, raised.item, None], self.bias[raised.item, None], raised.by], 1
            )  # of the raised items [raised, 5]
            weighted = odds[raised.row, raised.item, None] * each
            mean.index_add_(0, raised.row, weighted)
            both.index_add_(0, raised.row, weighted[:, :, None] * each[:, None, :])
            # of state and popularity every item has a part
            both[:, 1, 1] = odds @ self.bias.square()
            mean[:, 1] = odds @ self.bias
            odds.mul_(by_state)
            mean[:, 0], both[:, 0, 1] = odds.sum(1), odds @ self.bias
            both[:, 1, 0], both[:, 0, 0] = both[:, 0, 1], odds.mul_(by_state).sum(1)
            both -= mean[:, :, None] * mean[:, None, :]
            mean -= each[raised.target]
        return slopes.double(), curves.double()

    def _blocks(self) -> list[tuple[slice, Raised]]:
        ends = np.cumsum([len(raised.target) for raised in self.raised]).tolist()
        return [(slice(end - len(raised.target), end), raised) for end, raised in zip(ends, self.raised, strict=True)]

    def _scores(self, by_state: Tensor, factors: Tensor, raised: Raised) -> Tensor:
        factors = factors.float()
        scores = by_state * factors[:, :1] + factors[:, 1:2] * self.bias
        scores[raised.row, raised.item] += (raised.by * factors[raised.row, 2:]).sum(1)
        return scores


@torch.no_grad()
def item_parts(weights: dict[str, Tensor], log: Parts, row: Tensor, h: Tensor) -> ItemParts:
    """Return the parts of the scores of rows whose next item is known.

    Args:
        weights: `Network.on_grid`.
        log: that was trained on.
        row: which rows [n].
        h: recurrent states [n, HIDDEN].
    """
    vectors = weights["item_embedding"][1:]
    held, first = log.held(row)
    weight = recent_weights(weights, h, held)
    recent, flat = Recent(log.followers.tables, held.item, first, weight), weight.double().numpy()
    target, spare = log.validation.next_item[row].numpy(), np.full(len(vectors) + 1, -1)
    raised, size = [], max(1, _BLOCK // len(vectors))
    for start in range(0, len(row), size):
        block = slice(start, start + size)
        own = own_items(recent, target[block], block, spare)
        again = own.slot // SLOTS % 2 == 1
        worth = own.effect * flat[block].reshape(-1)[own.slot]
        by = [np.bincount(own.place, each, len(own.item)) for each in (worth * ~again, worth * again, again)]
        counts = np.diff(own.first)
        raised.append(
            Raised(
                row=torch.from_numpy(np.repeat(np.arange(len(counts)), counts)),
                item=torch.from_numpy(own.item.copy()),
                by=torch.from_numpy(np.stack(by, 1)).float(),
                target=torch.from_numpy(own.first[:-1].copy()),
            )
        )
    return ItemParts(h @ weights["query"], vectors, weights["item_bias"][1:], raised)


@torch.no_grad()
def fit(parts: ItemParts, fold: Tensor, folds: int) -> tuple[Tensor, Tensor]:
    """Return the factors of the least loss, held near `NONE` by a weak prior [5], and those without each fold.

    The latter are one of Newton's steps away from the former, as the loss of all but a few rows is nearly that of all.

    Args:
        parts: of the scores [n].
        fold: of each row [n].
        folds: how many there are.

    Returns:
        [5] and [folds, 5], in float64.
    """
    none = torch.tensor(NONE, dtype=torch.float64)
    found, prior = none, _HELD * torch.eye(len(NONE), dtype=torch.float64)
    for _ in range(_STEPS):
        slopes, curves = parts.slopes(found)
        step = torch.linalg.solve(prior + curves.sum(0), _HELD * (found - none) + slopes.sum(0))
        found = found - step / max(1.0, float(step.abs().max()))
        if float(step.abs().max()) < _NEAR:
            break
    without = []
    for k in range(folds):
        kept = fold != k
        slope = _HELD * (found - none) + slopes[kept].sum(0)
        without.append(found - torch.linalg.solve(prior + curves[kept].sum(0), slope))
    return found, torch.stack(without)

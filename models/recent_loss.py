"""What the last items add to the next item's loss, and the gradient of what they weigh."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.recent import Tables
from models.state import Ints


class Recent(NamedTuple):
    """The last items of rows that are learnt from.

    Fields:
        tables: what followed what.
        item: as `recent.Held.item` [n, SLOTS].
        first: where the tables of each row begin [n].
        weight: of lifts and of coming again [n, 2, SLOTS].
    """

    tables: Tables
    item: Ints
    first: Ints
    weight: Tensor


class RecentLoss:
    """The part of the last items in one loss.

    Args:
        recent: what they add.
        target: of each row, from 0 on [n].
        items: number of them; each has a column of the scores, in their order.

    Attributes:
        own: what is added to the target's score [n].
        most: how much is added to any score at most, or taken off [n].
    """

    def __init__(self, recent: Recent, target: Tensor, items: int) -> None:
        self._recent, self._column = recent, np.arange(-1, items)
        self._weight = recent.weight.detach().double().contiguous().numpy()
        self._effect = recent.tables.effects(target.numpy() + 1, recent.item, recent.first)
        self.own = torch.from_numpy((self._effect * self._weight).sum((1, 2)).astype(np.float32))
        up, down = recent.tables.reach(self._weight)
        self.most = torch.from_numpy(np.maximum(up, down).astype(np.float32))
        self._pulled = np.zeros(self._weight.shape)

    def add(self, scores: Tensor, block: slice | Ints) -> None:
        """Add to the scores of some rows in place [rows, columns]."""
        held = self._recent.item[block], self._recent.first[block]
        self._recent.tables.add(scores.numpy(), self._column, *held, self._weight[block])

    def pull(self, odds: Tensor, total: Tensor, block: slice) -> None:
        """Take in what the odds of a block of rows pull at the weights [rows, columns], of their sums [rows]."""
        held = self._recent.item[block], self._recent.first[block]
        each: npt.NDArray[np.float32] = (1 / total).numpy()
        self._recent.tables.pull(odds.numpy(), each, self._column, *held, self._pulled[block])

    def gradient(self, pull: float) -> Tensor:
        """Return the gradient of the weights [n, 2, SLOTS], after all blocks, given that of each target's score."""
        own = pull * self._effect
        return torch.from_numpy((self._pulled + own).astype(np.float32))

    def sum(self) -> Tensor:
        """Return each weight's effect over all scores of each row [n, 2, SLOTS]."""
        return torch.from_numpy(self._recent.tables.sums(self._recent.item, self._recent.first).astype(np.float32))

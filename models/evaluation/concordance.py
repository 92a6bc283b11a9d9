"""Concordance: of two rows, does the one that is said to come sooner come sooner (Harrell et al., 1982)?"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from models.compiled import compiled
from models.state import Floats, Ints

Bools: TypeAlias = npt.NDArray[np.bool_]


class Concordance:
    """Rows sorted once, for the concordance under many weightings of them.

    A pair counts if one of it came and the other came later or was watched for as long or longer. The same forecast
    for both counts half.

    Args:
        later: higher is said to come later [rows].
        time: when it came, or until when it was watched [rows].
        came: whether it came [rows].

    >>> said, time = np.array([1.0, 2.0, 3.0]), np.array([5.0, 9.0, 7.0])
    >>> Concordance(said, time, np.array([True, True, False])).of(np.ones(3))
    1.0
    """

    def __init__(self, later: Floats, time: Floats, came: Bools) -> None:
        self._order = np.lexsort((came, -time))  # the latest first; of the same time what was only watched first
        self._rank = np.unique(later, return_inverse=True)[1].astype(np.int64)[self._order]
        ordered = time[self._order]
        tied = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
        self._end = np.repeat(tied + 1, np.diff(tied, prepend=-1)).astype(np.int64)
        self._came = came[self._order]

    def of(self, weights: Floats) -> float:
        """Return the share of the pairs that are told right, each by the weights of its rows [rows]."""
        tree = np.zeros(self._rank.max(initial=0) + 2)
        return float(_concordance(self._rank, self._end, self._came, weights[self._order], tree))


@compiled
def _concordance(rank: Ints, end: Ints, came: Bools, weight: Floats, tree: Floats) -> float:
    """Return the concordance; `tree` sums the weights of later rows by rank (a Fenwick tree)."""
    right = pairs = total = 0.0
    row = 0
    while row < len(rank):
        first = row
        while row < end[first] and not came[row]:
            _add(tree, rank[row], weight[row])
            total += weight[row]
            row += 1
        for event in range(row, end[first]):
            up_to, below = _sum(tree, rank[event] + 1), _sum(tree, rank[event])
            right += weight[event] * (total - up_to + (up_to - below) / 2)
            pairs += weight[event] * total
        for event in range(row, end[first]):
            _add(tree, rank[event], weight[event])
            total += weight[event]
        row = end[first]
    return right / pairs if pairs > 0 else np.nan


@compiled
def _add(tree: Floats, rank: int, weight: float) -> None:
    place = rank + 1
    while place < len(tree):
        tree[place] += weight
        place += place & -place


@compiled
def _sum(tree: Floats, ranks: int) -> float:
    total, place = 0.0, ranks
    while place > 0:
        total += tree[place]
        place -= place & -place
    return total

"""The place of the item that came among all items, and the items at the top.

The tie rule: an item that shares its score with others has the middle of their places, so a constant score finds
nothing. An item with the score -inf or nan, or outside the candidates, is never found.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.compiled import compiled
from models.state import Floats, Ints


class Ranked(NamedTuple):
    """Where the items came out.

    Fields:
        rank: place of each row's item from 1 on, possibly a half; inf: never found [rows].
        top: codes of the items with the highest scores, -1 where there are not as many [rows, k].
    """

    rank: Floats
    top: Ints


def ranked(
    scores: Floats, wanted: Ints, candidates: npt.NDArray[np.bool_], k: int, seen: tuple[Ints, Ints] | None = None
) -> Ranked:
    """Rank all candidates in each row.

    Args:
        scores: higher is better [rows, items].
        wanted: code of the item that came [rows].
        candidates: which items are ranked [items].
        k: how many to list.
        seen: codes of items that are left out, row after row, and where each row's begin and end [rows + 1].

    >>> ranked(np.array([[3.0, 1.0, 1.0]]), np.array([1]), np.ones(3, bool), 2)
    Ranked(rank=array([2.5]), top=array([[0, 1]]))
    """
    cells = np.array(scores, np.float32, order="C", copy=seen is not None or None)
    if seen is not None:
        items, ends = seen
        cells[np.repeat(np.arange(len(cells)), np.diff(ends)), items] = -np.inf
    rank, top = np.empty(len(cells)), np.empty((len(cells), k), np.int64)
    _rank(cells, np.ascontiguousarray(wanted, np.int64), np.ascontiguousarray(candidates), rank, top)
    return Ranked(rank, top)


@compiled
def _rank(
    scores: npt.NDArray[np.float32], wanted: Ints, candidates: npt.NDArray[np.bool_], rank: Floats, top: Ints
) -> None:
    k = top.shape[1]
    best = np.empty(k, np.float32)
    for row in range(len(scores)):
        mine = scores[row, wanted[row]]
        found = candidates[wanted[row]] and mine > -np.inf
        above = same = filled = 0
        for item in range(scores.shape[1]):
            score = scores[row, item]
            if not candidates[item] or not score > -np.inf:
                continue
            if score > mine:
                above += 1
            elif score == mine:
                same += 1
            if filled < k or score > best[k - 1]:
                place = min(filled, k - 1)
                while place > 0 and best[place - 1] < score:
                    best[place] = best[place - 1]
                    top[row, place] = top[row, place - 1]
                    place -= 1
                best[place] = score
                top[row, place] = item
                filled = min(filled + 1, k)
        rank[row] = above + (same + 1) / 2 if found else np.inf
        top[row, filled:] = -1

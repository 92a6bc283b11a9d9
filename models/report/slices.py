"""What kind of row a scored row is: how much was known of the user, and how popular the item is that came."""

import msgspec
import numpy as np

from models.evaluation.rows import starts
from models.log import Log
from models.state import Ints

HISTORIES = ("1", "2-3", "4-7", "8-15", "16+")
"""Events before a row; with one the user is cold."""

TENTHS = (*(f"{k}" for k in range(1, 11)), "new")
"""Tenths of the items, the most popular first, and those that were never learned."""

_BOUNDS = (2, 4, 8, 16)


def history(log: Log, rows: Ints) -> Ints:
    """Return the index in `HISTORIES` of each row [rows]."""
    return np.searchsorted(_BOUNDS, (rows - starts(log)[rows]), side="right")


def tenths(counts: Ints) -> Ints:
    """Return the index in `TENTHS` of each item, by how often it was learned; of a tie the first stands first [items].

    >>> tenths(np.array([1, 9, 0, 4])).tolist()
    [6, 0, 10, 3]
    """
    learned = int((counts > 0).sum())
    tenth = np.full(len(counts), len(TENTHS) - 1)
    popular = np.argsort(-counts, kind="stable")[:learned]
    tenth[popular] = np.arange(learned) * 10 // max(learned, 1)
    return tenth


class Listed(msgspec.Struct):
    """How often an item is recommended.

    Fields:
        item: its id.
        of_lists: share of the lists that it stands in.
        of_targets: share of the rows where it came.
    """

    item: str
    of_lists: float
    of_targets: float


def most_listed(log: Log, rows: Ints, listed: Ints, most: int = 10) -> list[Listed]:
    """Return the items that stand in most lists, most first."""
    targets = np.bincount(log.item[rows], minlength=len(log.items))
    best = [k for k in np.argsort(-listed, kind="stable")[:most].tolist() if listed[k]]
    return [Listed(log.items[k], int(listed[k]) / len(rows), int(targets[k]) / len(rows)) for k in best]

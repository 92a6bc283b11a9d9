"""Rolling windows by event time: counts of each action in ring buckets of minutes, hours and days.

Writes `newest_ms`, `total`, `minutes`, `hours`, `days` of a row; reads nothing else. Adding events commutes:
any order and any grouping gives the same bytes. A bucket stops counting at the largest number that its type holds.
"""

import numpy as np

from models.state import ACTIONS, RESOLUTIONS, Ints, Rows

BIN_EDGES = np.array([1, 2, 3, 5, 9, 17, 33, 65])
BINS = len(BIN_EDGES) + 1
"""Number of bins of a count: 0, 1, 2, 3-4, 5-8, ... 65 and more."""

FEATURES = len(RESOLUTIONS) * len(ACTIONS)
"""Number of window features of a user: one a resolution and action."""


def add(rows: Rows, index: Ints, action: Ints, ts_ms: Ints) -> None:
    """Count events in place.

    Args:
        rows: `ROW` [users].
        index: which row each event belongs to [events]; a row may stand there often.
        action: code of each event's action [events].
        ts_ms: time of each event [events], not negative.

    >>> from models.state import empty_rows
    >>> rows = empty_rows(1)
    >>> add(rows, np.array([0, 0]), np.array([0, 2]), np.array([1_000, 3_600_000]))
    >>> rows["total"][0].tolist(), counts(rows)[0].tolist()
    ([1, 0, 1], [[0, 0, 1], [1, 0, 1], [1, 0, 1]])
    """
    newest = rows["newest_ms"]
    top = newest.copy()
    np.maximum.at(top, index, ts_ms)
    for field, width, size in RESOLUTIONS:
        _advance(rows, field, newest // width, top // width, size)
        bucket = ts_ms // width
        live = bucket > (top // width)[index] - size
        _count(rows, field, index[live], action[live], bucket[live] % size, size)
    np.add.at(rows["total"], (index, action), np.uint32(1))
    rows["newest_ms"] = top


def _advance(rows: Rows, field: str, old: Ints, new: Ints, size: int) -> None:
    moved = np.flatnonzero(new > old)
    if not len(moved):
        return
    steps = np.minimum(new[moved] - old[moved], size)
    passed = (np.arange(size) - old[moved, None] - 1) % size < steps[:, None]  # [moved, size]
    rows[field][moved] = np.where(passed[:, None, :], 0, rows[field][moved])


def _count(rows: Rows, field: str, index: Ints, action: Ints, slot: Ints, size: int) -> None:
    cell, amount = np.unique((index * len(ACTIONS) + action) * size + slot, return_counts=True)
    row, action, slot = cell // size // len(ACTIONS), cell // size % len(ACTIONS), cell % size
    buckets = rows[field]
    full = np.iinfo(buckets.dtype).max
    buckets[row, action, slot] = np.minimum(buckets[row, action, slot] + amount, full)


def counts(rows: Rows) -> Ints:
    """Return the number of events in each window up to `newest_ms`: [users, resolutions, actions]."""
    return np.stack([rows[field].sum(2, dtype=np.int64) for field, _, _ in RESOLUTIONS], axis=1)


def bins(rows: Rows) -> Ints:
    """Return the window features: the bin of each count [users, FEATURES], each in 0..BINS-1."""
    return np.searchsorted(BIN_EDGES, counts(rows).reshape(len(rows), FEATURES), side="right")

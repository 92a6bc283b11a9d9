"""Rolling windows by event time: counts of each action in ring buckets of minutes, hours and days.

Writes `newest_ms`, `total`, `minutes`, `hours`, `days` of a row; reads nothing else. Adding events commutes:
any order and any grouping gives the same bytes. A bucket stops counting at the largest number that its type holds.
"""

import numpy as np

from models.compiled import compiled
from models.state import ACTIONS, RESOLUTIONS, Ints, Rows

BIN_EDGES = np.array([1, 2, 3, 5, 9, 17, 33, 65])
BINS = len(BIN_EDGES) + 1
"""Number of bins of a count: 0, 1, 2, 3-4, 5-8, ... 65 and more."""

FEATURES = len(RESOLUTIONS) * len(ACTIONS)
"""Number of window features of a user: one a resolution and action."""

_MINUTES_MS, _HOURS_MS, _DAYS_MS = (width for _, width, _ in RESOLUTIONS)


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
    _add(rows, *(np.ascontiguousarray(column, np.int64) for column in (index, action, ts_ms)))


@compiled
def _add(rows: Rows, index: Ints, action: Ints, ts_ms: Ints) -> None:
    for k in range(len(index)):
        if not (0 <= index[k] < len(rows) and 0 <= action[k] < len(ACTIONS)):
            raise ValueError("no such row or action")
        row = rows[index[k]]
        newest = row["newest_ms"]
        _count(row["minutes"], _MINUTES_MS, newest, action[k], ts_ms[k])
        _count(row["hours"], _HOURS_MS, newest, action[k], ts_ms[k])
        _count(row["days"], _DAYS_MS, newest, action[k], ts_ms[k])
        row["total"][action[k]] += 1
        row["newest_ms"] = max(newest, ts_ms[k])


@compiled
def _count(buckets: Ints, width_ms: int, newest_ms: int, action: int, ts_ms: int) -> None:
    """Count an event in the buckets of one resolution [actions, buckets]; empty those that time has passed by."""
    size = buckets.shape[1]
    newest, bucket = newest_ms // width_ms, ts_ms // width_ms
    for passed in range(max(newest, bucket - size) + 1, bucket + 1):
        buckets[:, passed % size] = 0
    if bucket > newest - size and buckets[action, bucket % size] < np.iinfo(buckets.dtype).max:
        buckets[action, bucket % size] += 1


def counts(rows: Rows) -> Ints:
    """Return the number of events in each window up to `newest_ms`: [users, resolutions, actions]."""
    numbers = np.empty((len(rows), len(RESOLUTIONS), len(ACTIONS)), np.int64)
    _sum(rows, numbers)
    return numbers


def bins(rows: Rows) -> Ints:
    """Return the window features: the bin of each count [users, FEATURES], each in 0..BINS-1."""
    numbers = counts(rows).reshape(len(rows), FEATURES)
    _to_bins(numbers)
    return numbers


@compiled
def _sum(rows: Rows, numbers: Ints) -> None:
    for k in range(len(rows)):
        for action in range(len(ACTIONS)):
            numbers[k, 0, action] = rows[k]["minutes"][action].sum()
            numbers[k, 1, action] = rows[k]["hours"][action].sum()
            numbers[k, 2, action] = rows[k]["days"][action].sum()


@compiled
def _to_bins(numbers: Ints) -> None:
    for k in range(len(numbers)):
        for feature in range(FEATURES):
            number, bin_ = numbers[k, feature], 0
            while bin_ < len(BIN_EDGES) and number >= BIN_EDGES[bin_]:
                bin_ += 1
            numbers[k, feature] = bin_

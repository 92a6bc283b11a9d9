"""The items of the events that have left the ring: the last `state.OLDER` different ones, the newest first.

An item that leaves again moves to the front, and the one that left longest ago falls out. Items are told apart by
`state.older_key`; those that share one are one item here, in training as in serving.
"""

import numpy as np
import numpy.typing as npt

from models.compiled import compiled
from models.state import OLDER, OLDER_KEY_BITS, RING, Ints

_LOW_BITS = 16


def older_key(item: Ints) -> Ints:
    """Return by what older items are told apart: the low 24 bits of the crc32 of the id, 1 for 0, which is none.

    >>> older_key(np.array([0xAB000000, 0xAB000007])).tolist()
    [1, 7]
    """
    key: Ints = np.maximum(item & (1 << OLDER_KEY_BITS) - 1, 1)
    return key


def keys(low: Ints, high: Ints) -> Ints:
    """Return the keys in `older_low` and `older_high`, 0: none [users, OLDER]."""
    return low.astype(np.int64) | high.astype(np.int64) << _LOW_BITS


def of_log(first: Ints, key: Ints, row: Ints) -> npt.NDArray[np.int32]:
    """Return the table rows of the older items after every event of a log, 0: none or unknown [events, OLDER].

    Args:
        first: number of each sequence's first event [sequences].
        key: of each event's item [events].
        row: table row of each key [events].

    >>> item = np.arange(1, 20)
    >>> of_log(np.array([0]), item, item)[-2:, :4].tolist()
    [[2, 1, 0, 0], [3, 2, 1, 0]]
    """
    found = np.zeros((len(key), OLDER), np.int32)
    ends = np.append(first[1:], len(key))
    first, ends, key, row = (np.ascontiguousarray(column, np.int64) for column in (first, ends, key, row))
    _of_log(first, ends, key, row, found)
    return found


@compiled
def leave(mine: np.void, item: int) -> None:
    """Let the item of an event that leaves the ring be the newest of a row's older ones."""
    low, high = mine["older_low"], mine["older_high"]
    key = max(item & (1 << OLDER_KEY_BITS) - 1, 1)
    place = 0
    while place < OLDER - 1 and (np.int64(low[place]) | np.int64(high[place]) << _LOW_BITS) != key:
        place += 1
    _to_front(low, place, key & (1 << _LOW_BITS) - 1)
    _to_front(high, place, key >> _LOW_BITS)


@compiled
def _to_front(column: Ints, place: int, value: int) -> None:
    for k in range(place, 0, -1):
        column[k] = column[k - 1]
    column[0] = value


@compiled
def _of_log(first: Ints, ends: Ints, key: Ints, row: Ints, found: npt.NDArray[np.int32]) -> None:
    older, rows = np.empty(OLDER, np.int64), np.empty(OLDER, np.int64)
    for sequence in range(len(first)):
        older[:], rows[:] = 0, 0
        for event in range(first[sequence] + RING, ends[sequence]):
            gone, place = event - RING, 0
            while place < OLDER - 1 and older[place] != key[gone]:
                place += 1
            _to_front(older, place, key[gone])
            _to_front(rows, place, row[gone])
            for k in range(OLDER):
                found[event, k] = rows[k]

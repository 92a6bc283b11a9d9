"""The state of one user: one fixed-size row, the same bytes in memory and in the changelog."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

ACTIONS = ("view", "click", "purchase")
"""What windows count and the ring stores: the index in this tuple is the action's code."""

LAYOUT = 4
"""Version of `ROW`; what `older_rows` knows of the ones before it. A worker that finds a row of a later one ends."""

HIDDEN = 128
"""Size of the network's recurrent state: so many numbers of 8 bits rank items better than half as many of 16."""

RING = 16
"""Number of last events that a row keeps: an event late by less than this many events is put in order exactly."""

OLDER = 11
"""Number of different items that a row keeps of the events that have left the ring."""

NEVER = np.iinfo(np.int64).max
"""`rescore_ms` of a user whose churn band cannot change by silence alone."""

RESOLUTIONS = (("minutes", 300_000, 12), ("hours", 3_600_000, 24), ("days", 86_400_000, 14))
"""Rolling windows: field of the row, width of a bucket in ms, number of buckets (the last hour, day and fortnight)."""

ROW = np.dtype(
    [
        ("applied", "<i8", 3),  # last applied offset of each input topic, -1: none
        ("newest_ms", "<i8"),  # newest event time seen
        ("base_ms", "<i8"),  # time of the newest event that left the ring, -1: none has
        ("rescore_ms", "<i8"),  # when silence alone may change the churn band
        ("model", "<u4"),  # tag of the model that made base and now
        ("accepted", "<u4"),  # number of events in the history: the next one goes to ring slot accepted % RING
        ("late", "<u4"),  # number of events that came too late for the ring: in the windows only
        ("total", "<u4", 3),  # number of events of each action, late ones included
        ("silent_s", "<u4"),  # how long after newest_ms the silence was that changed the churn band, 0: an event set it
        ("ring_item", "<u4", RING),  # crc32 of the item id
        ("ring_id", "<u4", RING),  # crc32 of the event id
        ("ring_ts_low", "<u4", RING),  # event time in ms: low 32 bits
        ("ring_high", "<u2", RING),  # its next 12 bits, up to the year 2527; above them the action: see `high_bits`
        ("older_low", "<u2", OLDER),  # last different items that left the ring: see `older_items`
        ("days", "<u2", (3, 14)),
        ("base", "i1", HIDDEN),  # recurrent state before the oldest event of the ring, in units of 2**-7
        ("now", "i1", HIDDEN),  # and after the newest
        ("minutes", "u1", (3, 12)),
        ("hours", "u1", (3, 24)),
        ("ring_context", "u1", RING),
        ("older_high", "u1", OLDER),
        ("layout", "u1"),
        ("band", "u1"),  # churn band last published, 0: none
        ("pad", "u1"),  # to a multiple of 8 bytes
    ]
)
"""Layout of a row, 800 bytes; with the writer id before it in the changelog 808."""

OLDER_KEY_BITS = 24
"""How many bits of the crc32 of the item id a row keeps of an older item."""

ACTION_SHIFT = 12
"""Where the action begins in `ring_high`."""

Rows: TypeAlias = npt.NDArray[np.void]
"""Array of `ROW`, one row a user."""

Ints: TypeAlias = npt.NDArray[np.integer[Any]]
Floats: TypeAlias = npt.NDArray[np.floating[Any]]


def empty_rows(count: int) -> Rows:
    """Return the rows of `count` users of whom nothing is known.

    >>> empty_rows(2)["applied"].tolist()
    [[-1, -1, -1], [-1, -1, -1]]
    """
    rows = np.zeros(count, ROW)
    rows["layout"] = LAYOUT
    rows["applied"] = -1
    rows["base_ms"] = -1
    rows["rescore_ms"] = NEVER
    return rows


def high_bits(ts_ms: Ints, action: Ints) -> Ints:
    """Return what `ring_high` holds of events: the time's bits from the 32nd on, and the action."""
    return ts_ms >> 32 | action << ACTION_SHIFT


def ring_action(high: Ints) -> Ints:
    """Return the actions in `ring_high`.

    >>> ring_action(high_bits(np.array([1_700_000_000_000]), np.array([2]))).tolist()
    [2]
    """
    return high >> ACTION_SHIFT


def ring_ts_ms(low: Ints, high: Ints) -> Ints:
    """Return the event times in `ring_ts_low` and `ring_high`, ms."""
    return low.astype(np.int64) | (high.astype(np.int64) & (1 << ACTION_SHIFT) - 1) << 32

"""Inputs of one step of the network, from what a row and an event hold; the tests hold training against serving."""

from typing import NamedTuple
from zlib import crc32

import numpy as np

from models.compiled import compiled
from models.state import ACTIONS, Ints

GAP_EDGES_MS = 1000 * 2 ** np.arange(24, dtype=np.int64)
"""Edges of the log-spaced time bins: 1 s, 2 s, 4 s, ... 2**23 s (97 days)."""

TIME_BINS = len(GAP_EDGES_MS) + 1
"""Number of time bins: below 1 s, between the edges, and 97 days or more."""

GAPS = TIME_BINS + 1
"""Number of codes of the gap before an event: a time bin, or `NO_GAP`."""

NO_GAP = TIME_BINS
"""Code of the gap before a user's first event."""

HOURS_OF_WEEK = 168
CONTEXTS = 256
DEVICES = 7
PRICES = 32
_HOUR_MS = 3_600_000
_SECOND_MS = 1000


class Steps(NamedTuple):
    """Inputs of steps of the network, one a step: all arrays [steps].

    Fields:
        item: crc32 of the item id.
        action: code of the action.
        ts_ms: time of the event.
        before_ms: time of the user's event before it, -1: none.
        context: circumstances, see `context_code`.
    """

    item: Ints
    action: Ints
    ts_ms: Ints
    before_ms: Ints
    context: Ints


def gap_code(gap_ms: Ints) -> Ints:
    """Return the time bin of each gap in ms; a negative gap stands for "no event before".

    >>> gap_code(np.array([-1, 0, 999, 1000, 2000, 10**12])).tolist()
    [25, 0, 0, 1, 2, 24]
    """
    codes = np.empty(gap_ms.shape, np.int64)
    _gap_codes(np.ascontiguousarray(gap_ms, np.int64).reshape(-1), codes.reshape(-1))
    return codes


def hour_of_week(ts_ms: Ints, utc_offset_h: int) -> Ints:
    """Return the hour of the week, 0..167, at the shop; hour 0 is Thursday midnight, as 1 January 1970 was one."""
    return (ts_ms // _HOUR_MS + utc_offset_h) % HOURS_OF_WEEK


def table_rows(steps: Steps, utc_offset_h: int) -> Ints:
    """Return which rows each step adds up of the tables of action and gap, hours and contexts, joined [steps, 3].

    Raises:
        ValueError: an action or a context is none.
    """
    rows = np.empty((len(steps.ts_ms), 3), np.int64)
    action, ts_ms, before_ms, context = (np.ascontiguousarray(column, np.int64) for column in steps[1:])
    _table_rows(action, ts_ms, before_ms, context, utc_offset_h, rows)
    return rows


@compiled
def gap_bin(gap_ms: int) -> int:
    """Return the time bin of a gap, as `gap_code`."""
    if gap_ms < 0:
        return NO_GAP
    code, edge_ms = 0, _SECOND_MS
    while code < TIME_BINS - 1 and gap_ms >= edge_ms:
        code, edge_ms = code + 1, edge_ms * 2
    return code


@compiled
def _gap_codes(gap_ms: Ints, codes: Ints) -> None:
    for k in range(len(gap_ms)):
        codes[k] = gap_bin(gap_ms[k])


@compiled
def _table_rows(action: Ints, ts_ms: Ints, before_ms: Ints, context: Ints, utc_offset_h: int, rows: Ints) -> None:
    hours_from = len(ACTIONS) * GAPS
    for k in range(len(rows)):
        if not (0 <= action[k] < len(ACTIONS) and 0 <= context[k] < CONTEXTS):
            raise ValueError("no such action or context")
        gap_ms = ts_ms[k] - before_ms[k] if before_ms[k] >= 0 else -1
        rows[k, 0] = action[k] * GAPS + gap_bin(gap_ms)
        rows[k, 1] = hours_from + (ts_ms[k] // _HOUR_MS + utc_offset_h) % HOURS_OF_WEEK
        rows[k, 2] = hours_from + HOURS_OF_WEEK + context[k]


def context_code(device: str | None, price: float | None, quantity: int | None = None) -> int:
    """Return one byte for the circumstances of an event: 3 bits of device, 5 bits of the log of what all pieces cost.

    Each is 0 where it is not known; a quantity that is not known is 1.

    >>> context_code(None, None), context_code(None, 1.0), context_code("phone", None), context_code(None, 1.0, 4)
    (0, 16, 64, 20)
    """
    if device is None and price is None:
        return 0
    device_code = 0 if device is None else 1 + crc32(device.encode()) % DEVICES
    if price is None:
        return device_code * PRICES
    cost = min(max(price * (quantity or 1), 1e-9), 1e300)
    return device_code * PRICES + min(max(16 + int(np.floor(2 * np.log2(cost))), 1), PRICES - 1)

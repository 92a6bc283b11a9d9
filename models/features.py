"""Inputs of one step of the network, from what a row and an event hold: one code for training and for serving."""

from zlib import crc32

import numpy as np

from models.state import Ints

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
_DEVICES = 7
_PRICES = 32


def gap_code(gap_ms: Ints) -> Ints:
    """Return the time bin of each gap in ms; a negative gap stands for "no event before".

    >>> gap_code(np.array([-1, 0, 999, 1000, 2000, 10**12])).tolist()
    [25, 0, 0, 1, 2, 24]
    """
    return np.where(gap_ms < 0, NO_GAP, np.searchsorted(GAP_EDGES_MS, gap_ms, side="right"))


def hour_of_week(ts_ms: Ints, utc_offset_h: int) -> Ints:
    """Return the hour of the week, 0..167, at the shop; hour 0 is Thursday midnight, as 1 January 1970 was one."""
    return (ts_ms // 3_600_000 + utc_offset_h) % HOURS_OF_WEEK


def context_code(device: str | None, price: float | None) -> int:
    """Return one byte for the circumstances of an event: 3 bits of device, 5 bits of log price (0: not known).

    >>> context_code(None, None), context_code(None, 1.0), context_code("phone", None)
    (0, 16, 64)
    """
    if device is None and price is None:
        return 0
    device_code = 0 if device is None else 1 + crc32(device.encode()) % _DEVICES
    price_code = 0 if price is None else min(max(16 + int(np.floor(2 * np.log2(max(price, 1e-9)))), 1), _PRICES - 1)
    return device_code * _PRICES + price_code

"""Rows of older layouts, as a changelog may still hold them: read, and made rows of today.

What the ring says stays; the recurrent states are of no use any more, as no model that made them is served, and are
made again from the ring when the user acts next, as after a change of the model. What an event before the ring had done
to them is lost with that, and there are no older items.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from models.state import RING, ROW, Rows, empty_rows, high_bits

_BEGIN: list[Any] = [
    ("applied", "<i8", 3),
    ("newest_ms", "<i8"),
    ("base_ms", "<i8"),
    ("rescore_ms", "<i8"),
    ("model", "<u4"),
    ("accepted", "<u4"),
    ("late", "<u4"),
    ("total", "<u4", 3),
    ("silent_s", "<u4"),
    ("ring_item", "<u4", RING),
    ("ring_id", "<u4", RING),
    ("ring_ts_low", "<u4", RING),
]
_DAYS: list[Any] = [("days", "<u2", (3, 14))]
_WIDE: list[Any] = [("base", "<i2", 64), ("now", "<i2", 64)]
_NARROW: list[Any] = [("base", "i1", 128), ("now", "i1", 128)]
_WINDOWS: list[Any] = [("minutes", "u1", (3, 12)), ("hours", "u1", (3, 24))]
_END: list[Any] = [("ring_context", "u1", RING), ("layout", "u1"), ("band", "u1"), ("pad", "u1", 2)]

_RING_HIGH: list[Any] = [("ring_high", "<u2", RING)]

_FIRST = np.dtype(
    [*_BEGIN, ("ring_ts_high", "<u2", RING), *_DAYS, *_WIDE, *_WINDOWS, ("ring_action", "u1", RING), *_END]
)
"""Layout 1, 784 bytes: time and action of the ring in fields of their own."""

_SECOND = np.dtype([*_BEGIN, *_RING_HIGH, *_DAYS, *_WIDE, *_WINDOWS, *_END])
"""Layout 2, 768 bytes: states of half as many numbers of twice the bits."""

_THIRD = np.dtype([*_BEGIN, *_RING_HIGH, *_DAYS, *_NARROW, *_WINDOWS, *_END])
"""Layout 3, 768 bytes: without the items of before the ring."""


def _same(old: Rows) -> Rows:
    """Return rows with what both layouts call by the same name, but for the states."""
    rows = empty_rows(len(old))
    for name in set(old.dtype.names or ()) & set(ROW.names or ()) - {"base", "now", "model", "layout", "pad"}:
        rows[name] = old[name]
    return rows


def _from_first(old: Rows) -> Rows:
    rows = _same(old)
    ts_ms = old["ring_ts_low"].astype(np.int64) | old["ring_ts_high"].astype(np.int64) << 32
    rows["ring_high"] = high_bits(ts_ms, old["ring_action"].astype(np.int64))
    return rows


_OLDER: Mapping[int, tuple[np.dtype[np.void], Callable[[Rows], Rows]]] = {
    1: (_FIRST, _from_first),
    2: (_SECOND, _same),
    3: (_THIRD, _same),
}
"""By number of the layout: how its rows lie, and what makes rows of today of them."""


def migrated(rows: npt.NDArray[np.uint8]) -> Rows | None:
    """Return the rows of today [n] that rows of an older layout are; None if these bytes [n, size] are of none we know.

    >>> migrated(np.zeros((2, 784), np.uint8)) is None
    True
    """
    for number, (layout, convert) in _OLDER.items():
        if rows.shape[1] == layout.itemsize:
            old: Rows = np.ascontiguousarray(rows).view(layout)[:, 0]
            if (old["layout"] == number).all():
                return convert(old)
    return None

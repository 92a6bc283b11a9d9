"""Which records of the changelog count: those of the partition's owner, up to what is no such row."""

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from models.compiled import compiled
from models.state import Ints
from streams.chunk.changelog import ID_BYTES
from streams.fetched import VALUE, VALUE_END, Fetched
from streams.texts import Bytes

MARKER = b"\xffwriter"
"""Key of a marker in the changelog; not UTF-8, so it is no user's."""

Places: TypeAlias = npt.NDArray[np.int64]

_MARKER = np.frombuffer(MARKER, np.uint8)


class Counted(NamedTuple):
    """Which records of the changelog count."""

    places: Places
    until: int  # where the marker, the record without a value or the odd one stands, or the end
    stale: int  # how many are of another writer
    odd: bool  # whether the record there holds no row of this layout


def counting(records: Fetched, begin: int, owner: bytes | None, row: np.dtype[np.void], layout: int) -> Counted:
    """Return which records count, from one on up to a marker, a record that holds no row of this layout, or the end.

    Args:
        records: of the changelog.
        begin: the first that is looked at.
        owner: the id of the only writer that counts, None: all do.
        row: the dtype of a row; it stands behind the writer's id.
        layout: of every row, in its field `layout`, one byte.

    """
    at = row.fields["layout"][1]  # type: ignore[index]
    writer, owned = np.frombuffer(owner or b"", np.uint8), owner is not None
    values = records.columns[VALUE], records.columns[VALUE_END]
    return Counted(*_counting(*records.keys, *values, row.itemsize, at, layout, begin, writer, owned, _MARKER))


@compiled
def _counting(
    data: Bytes,
    key: Ints,
    key_end: Ints,
    value: Ints,
    value_end: Ints,
    row_bytes: int,
    layout_at: int,
    layout: int,
    begin: int,
    owner: Bytes,
    owned: bool,
    marker: Bytes,
) -> tuple[Places, int, int, bool]:
    places = np.empty(len(key) - begin, np.int64)
    count = stale = 0
    for k in range(begin, len(key)):
        if _equal(data, key[k], key_end[k], marker):
            return places[:count], k, stale, False
        if value[k] < 0:
            return places[:count], k, stale, False
        row = value_end[k] - row_bytes
        if row - value[k] != ID_BYTES or key[k] < 0:
            return places[:count], k, stale, True
        if owned and not _equal(data, value[k], row, owner):
            stale += 1
            continue
        if data[row + layout_at] != layout:
            return places[:count], k, stale, True
        places[count] = k
        count += 1
    return places[:count], len(key), stale, False


@compiled
def _equal(data: Bytes, start: int, end: int, text: Bytes) -> bool:
    if end - start != len(text):
        return False
    k = 0
    while k < len(text) and data[start + k] == text[k]:
        k += 1
    return k == len(text)

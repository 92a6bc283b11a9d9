"""Events in plain JSON, as nearly all are, read by one compiled loop: without an object and five calls for each.

What is plain is an event to `schemas.events` too, with the same content; tests hold the two against each other. Of what
is not plain (an escape, a letter outside ASCII, an unknown field, anything wrong) nothing is said here: it is decoded
there.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from models.compiled import compiled
from models.features import DEVICES, PRICES, context_code
from models.state import Ints
from schemas.fields import MAX_LENGTH
from streams.fetched import KEY, KEY_END, VALUE, VALUE_END, Fetched
from streams.key_index import spans
from streams.texts import Bytes

Floats: TypeAlias = npt.NDArray[np.float64]

TS_MS, ITEM, ID, CONTEXT = range(4)
"""Rows of what `plain_events` returns: time, crc32 of item id and event id, and the context's code."""

_NAMES = (
    b"event_id",  # the first three must be there, not empty, and the fourth
    b"user_id",
    b"item_id",
    b"ts_ms",
    b"price",
    b"quantity",
    b"device",  # this and all after it: texts that may be empty
    b"session_id",
    b"category",
    b"currency",
    b"place",
    b"recommendation_id",
)
_EVENT_ID, _USER_ID, _ITEM_ID, _TS_MS, _PRICE, _QUANTITY, _DEVICE = range(7)
_NEEDED = 0b1111
_MOST_DIGITS = 15  # exact as a float too
_MOST_PIECES = 2**31 - 1
_NAME_BYTES, _NAME_STARTS, _NAME_ENDS = spans(_NAMES)
_SPACE, _QUOTE, _COMMA, _POINT, _ZERO, _NINE, _COLON, _BACKSLASH, _OPEN, _CLOSE = b' ",.09:\\{}'
_CONTROLS, _ASCII = 0x20, 0x80
_TENS = np.array([10.0**k for k in range(_MOST_DIGITS + 1)])


def _crc_table() -> Ints:
    numbers = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        numbers = np.where(numbers & 1, np.uint32(0xEDB88320), np.uint32(0)) ^ numbers >> np.uint32(1)
    return numbers


_CRC = _crc_table()


def _price_edges() -> Floats:
    """Return the least price of each code from the second on."""
    edges = []
    for code in range(2, PRICES):
        edge = 2.0 ** ((code - PRICES // 2) / 2)
        while context_code(None, edge) >= code:
            edge = float(np.nextafter(edge, 0))
        while context_code(None, edge) < code:
            edge = float(np.nextafter(edge, np.inf))
        edges.append(edge)
    return np.array(edges)


_PRICE_EDGES = _price_edges()


def plain_events(records: Fetched, latest_ms: int, max_bytes: int) -> Ints:
    """Return what is in events that are plain JSON, in records without headers.

    Args:
        records: of an input topic.
        latest_ms: later events are not plain.
        max_bytes: nor are larger values.

    Returns:
        int64 [4, records], see `TS_MS`: the time is -1 where a record is not plain.

    >>> from streams.fetched import fetched
    >>> from streams.backtest import Record
    >>> record = Record(b"u", b'{"event_id":"e","user_id":"u","item_id":"i","ts_ms":7}', (), 0, 0)
    >>> plain_events(fetched([record]), latest_ms=7, max_bytes=100)[:, 0].tolist()
    [7, 3865851505, 4024072794, 0]
    """
    found = np.empty((4, len(records)), np.int64)
    names = _NAME_BYTES, _NAME_STARTS, _NAME_ENDS
    _read(records.array, records.columns, *names, _CRC, _TENS, _PRICE_EDGES, latest_ms, max_bytes, found)
    if records.headers:
        found[TS_MS, [k for k, headers in enumerate(records.headers) if headers]] = -1
    return found


@compiled
def _read(
    data: Bytes,
    columns: Ints,
    names: Bytes,
    name_start: Ints,
    name_end: Ints,
    crc: Ints,
    tens: Floats,
    edges: Floats,
    latest_ms: int,
    max_bytes: int,
    found: Ints,
) -> None:
    for k in range(columns.shape[1]):
        start, end, key, key_end = columns[VALUE, k], columns[VALUE_END, k], columns[KEY, k], columns[KEY_END, k]
        found[CONTEXT, k] = 0
        if (
            end - start > max_bytes
            or not _event(data, start, end, key, key_end, names, name_start, name_end, crc, tens, edges, found[:, k])
            or found[TS_MS, k] > latest_ms
        ):
            found[TS_MS, k] = -1


@compiled
def _event(
    data: Bytes,
    at: int,
    end: int,
    key: int,
    key_end: int,
    names: Bytes,
    name_start: Ints,
    name_end: Ints,
    crc: Ints,
    tens: Floats,
    edges: Floats,
    found: Ints,
) -> bool:
    """Read an event; False if it is not plain."""
    seen, after = 0, _COMMA
    price, pieces = -1.0, 1
    at = _past(data, at, end, _OPEN)
    while after == _COMMA:
        close = _string(data, at, end)
        if close < 0:
            return False
        field = _field(data, at + 1, close, names, name_start, name_end)
        if field < 0 or seen >> field & 1:
            return False
        seen |= 1 << field
        at = _past(data, close + 1, end, _COLON)
        if at < 0:
            return False
        if field > _TS_MS and _null(data, at, end):
            at += 4
        elif field in (_TS_MS, _QUANTITY):
            number, at = _whole(data, at, end)
            if field == _TS_MS:
                found[TS_MS] = number
            elif not 1 <= number <= _MOST_PIECES:
                return False
            else:
                pieces = number
        elif field == _PRICE:
            price, at = _decimal(data, at, end, tens)
        else:
            close = _string(data, at, end)
            first, at = at + 1, close + 1
            if close < 0 or close - first > MAX_LENGTH or (field <= _ITEM_ID and close == first):
                return False
            if field == _EVENT_ID:
                found[ID] = _crc32(data, first, close, crc)
            elif field == _ITEM_ID:
                found[ITEM] = _crc32(data, first, close, crc)
            elif field == _USER_ID and not _same(data, first, close, data, key, key_end):
                return False
            elif field == _DEVICE:
                found[CONTEXT] += (1 + _crc32(data, first, close, crc) % DEVICES) * PRICES
        if at < 0:
            return False
        at = _skipped(data, at, end)
        if at >= end:
            return False
        after = data[at]
        at = _skipped(data, at + 1, end)
    if price >= 0:
        found[CONTEXT] += 1 + np.searchsorted(edges, price * pieces, "right")
    return after == _CLOSE and at == end and seen & _NEEDED == _NEEDED


@compiled
def _skipped(data: Bytes, at: int, end: int) -> int:
    """Return where the white space ends that may be here."""
    while at < end and (data[at] == _SPACE or 9 <= data[at] <= 10 or data[at] == 13):
        at += 1
    return at


@compiled
def _past(data: Bytes, at: int, end: int, byte: int) -> int:
    """Return what comes after a byte with white space around it, -1 if that is not here."""
    at = _skipped(data, at, end)
    return _skipped(data, at + 1, end) if at < end and data[at] == byte else -1


@compiled
def _string(data: Bytes, at: int, end: int) -> int:
    """Return where the quote is that ends the string that begins here, -1 if it is none or is not plain."""
    if at < 0 or at >= end or data[at] != _QUOTE:
        return -1
    at += 1
    while at < end and _CONTROLS <= data[at] < _ASCII and data[at] != _QUOTE and data[at] != _BACKSLASH:
        at += 1
    return at if at < end and data[at] == _QUOTE else -1


@compiled
def _whole(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Return the whole number that is here and where it ends: -1, it is none."""
    first, number = at, 0
    while at < end and _ZERO <= data[at] <= _NINE and at - first < _MOST_DIGITS:
        number = number * 10 + np.int64(data[at]) - _ZERO  # type: ignore[assignment]
        at += 1
    if at == first or (data[first] == _ZERO and at - first > 1):
        return -1, -1
    return number, at


@compiled
def _decimal(data: Bytes, at: int, end: int, tens: Floats) -> tuple[float, int]:
    """Return the number that is here, 0 or more and with no exponent, and where it ends: -1, it is none.

    Its digits are a whole number below 2^53 and the power of ten is exact, so that the one division rounds as a reader
    of JSON does.
    """
    first = at
    whole, at = _whole(data, at, end)
    if at < 0 or at >= end or data[at] != _POINT:
        return float(whole), at
    point = at
    at += 1
    while at < end and _ZERO <= data[at] <= _NINE and at - first <= _MOST_DIGITS:
        whole = whole * 10 + np.int64(data[at]) - _ZERO  # type: ignore[assignment]
        at += 1
    return whole / tens[at - point - 1], at if at - point > 1 else -1


@compiled
def _null(data: Bytes, at: int, end: int) -> bool:
    return bool(
        at + 4 <= end and data[at] == 110 and data[at + 1] == 117 and data[at + 2] == 108 and data[at + 3] == 108
    )


@compiled
def _field(data: Bytes, start: int, end: int, names: Bytes, name_start: Ints, name_end: Ints) -> int:
    for k in range(len(name_start)):
        if _same(data, start, end, names, name_start[k], name_end[k]):
            return k
    return -1


@compiled
def _same(data: Bytes, start: int, end: int, other: Bytes, other_start: int, other_end: int) -> bool:
    length = end - start
    if length != other_end - other_start:
        return False
    k = 0
    while k < length and data[start + k] == other[other_start + k]:
        k += 1
    return k == length


@compiled
def _crc32(data: Bytes, start: int, end: int, table: Ints) -> int:
    number = np.uint32(0xFFFFFFFF)
    for k in range(start, end):
        number = table[np.uint8(number) ^ data[k]] ^ number >> np.uint32(8)
    return np.int64(number ^ np.uint32(0xFFFFFFFF))  # type: ignore[return-value]

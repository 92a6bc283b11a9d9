"""Records of one partition as they were fetched: columns over their bytes, not an object each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from models.compiled import compiled
from models.state import Ints
from schemas.cloudevents import Headers
from streams.key_index import Spans, spans
from streams.texts import Bytes

OFFSET, TIMESTAMP_MS, KEY, KEY_END, VALUE, VALUE_END = range(6)
"""Rows of `Fetched.columns`: offset, time, where key and value begin and end; -1 twice if there is none."""

ROWS = 6

Place = TypeVar("Place")


class Record(Protocol):
    """A record as an object."""

    @property
    def key(self) -> bytes | None: ...  # noqa: D102
    @property
    def value(self) -> bytes | None: ...  # noqa: D102
    @property
    def headers(self) -> Headers: ...  # noqa: D102
    @property
    def timestamp(self) -> int: ...  # noqa: D102
    @property
    def offset(self) -> int: ...  # noqa: D102


@dataclass(frozen=True, eq=False)
class Fetched:
    """Records of one partition, in order of offsets.

    Args:
        data: what keys and values lie in, and more.
        columns: int64 [6, records]; see `OFFSET`.
        headers: of each record, empty if none has any [records].
    """

    data: bytes
    columns: Ints
    headers: Sequence[Headers] = ()

    def __len__(self) -> int:
        return int(self.columns.shape[1])

    def __getitem__(self, part: slice) -> "Fetched":
        columns = np.ascontiguousarray(self.columns[:, part])  # compiled loops take them as they lie, and no others
        return Fetched(self.data, columns, self.headers[part])

    def at(self, places: Ints) -> "Fetched":
        """Return the records at these places."""
        headers = [self.headers[k] for k in places.tolist()] if self.headers else ()
        return Fetched(self.data, self.columns.take(places, axis=1), headers)  # each row stays contiguous

    def value(self, place: int) -> bytes | None:
        """Return the value of the record at a place."""
        start, end = self.columns[VALUE : VALUE_END + 1, place].tolist()
        return self.data[start:end] if start >= 0 else None

    def key(self, place: int) -> bytes | None:
        """Return the key of the record at a place."""
        start, end = self.columns[KEY : KEY_END + 1, place].tolist()
        return self.data[start:end] if start >= 0 else None

    def key_list(self) -> list[bytes]:
        """Return the keys, of records that all have one [records]."""
        return self._list(KEY)

    def value_list(self) -> list[bytes]:
        """Return the values, of records that all have one [records]."""
        return self._list(VALUE)

    def _list(self, row: int) -> list[bytes]:
        data = self.data
        starts, ends = self.columns[row : row + 2].tolist()
        return [data[start:end] for start, end in zip(starts, ends, strict=True)]

    @property
    def offsets(self) -> Ints:
        """The offsets [records]."""
        offsets: Ints = self.columns[OFFSET]
        return offsets

    @property
    def timestamps_ms(self) -> Ints:
        """The times, as the broker has them [records]."""
        times: Ints = self.columns[TIMESTAMP_MS]
        return times

    @property
    def array(self) -> Bytes:
        """The data as an array, read only."""
        return np.frombuffer(self.data, np.uint8)

    @property
    def keys(self) -> Spans:
        """Where the keys lie; begin and end of one that is missing are -1."""
        return Spans(self.array, self.columns[KEY], self.columns[KEY_END])


def fetched(records: Sequence[Record]) -> Fetched:
    """Return records as columns.

    Args:
        records: in order of offsets.
    """
    columns = np.empty((ROWS, len(records)), np.int64)
    columns[OFFSET] = [record.offset for record in records]
    columns[TIMESTAMP_MS] = [record.timestamp for record in records]
    texts = [text for record in records for text in (record.key, record.value)]
    content = [text or b"" for text in texts]
    _, start, end = spans(content)
    missing = [k for k, text in enumerate(texts) if text is None]
    start[missing] = end[missing] = -1
    columns[KEY], columns[VALUE] = start.reshape(-1, 2).T
    columns[KEY_END], columns[VALUE_END] = end.reshape(-1, 2).T
    headers = [record.headers for record in records]
    return Fetched(b"".join(content), columns, headers if any(headers) else ())


def in_columns(records: Mapping[Place, Sequence[Record]]) -> dict[Place, Fetched]:
    """Return the records of each partition as columns."""
    return {place: fetched(some) for place, some in records.items()}


def joined(pieces: Sequence[Fetched]) -> Fetched:
    """Return the records of pieces of one partition, and of their data what holds the keys and values."""
    if len(pieces) == 1:
        return pieces[0]
    columns = np.concatenate([piece.columns for piece in pieces] or [np.empty((ROWS, 0), np.int64)], axis=1)
    headers: list[Headers] = []
    if any(piece.headers for piece in pieces):
        headers = [each for piece in pieces for each in piece.headers or [()] * len(piece)]
    parts, first, length = [], 0, 0
    for piece in pieces:
        begin, end = _move(columns, first, first + len(piece), length)
        parts.append(memoryview(piece.data)[begin:end])
        first, length = first + len(piece), length + end - begin
    return Fetched(b"".join(parts), columns, headers)


@compiled
def _move(columns: Ints, first: int, last: int, to: int) -> tuple[int, int]:
    """Make the columns of some records say that what they lie in begins at `to`; return where it began and ended."""
    begin, end = np.int64(-1), np.int64(0)
    for k in range(first, last):
        for start, stop in ((columns[KEY, k], columns[KEY_END, k]), (columns[VALUE, k], columns[VALUE_END, k])):
            if start >= 0:
                begin = start if begin < 0 else min(begin, start)
                end = max(end, stop)
    begin = max(begin, np.int64(0))
    for row in range(KEY, ROWS):
        for k in range(first, last):
            if columns[row, k] >= 0:
                columns[row, k] += to - begin
    return begin, end  # type: ignore[return-value]

"""Records of one partition as they were fetched: columns over their bytes, not an object each."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

import numpy as np

from models.state import Ints
from schemas.cloudevents import Headers
from streams.key_index import Spans, spans
from streams.texts import Bytes

OFFSET, TIMESTAMP_MS, KEY, KEY_END, VALUE, VALUE_END = range(6)
"""Rows of `Fetched.columns`: offset, time, where key and value begin and end; -1 twice if there is none."""

ROWS = 6


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
        return Fetched(self.data, self.columns[:, part], self.headers[part])

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

    @property
    def offsets(self) -> Ints:
        """The offsets [records]."""
        offsets: Ints = self.columns[OFFSET]
        return offsets

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
    keys, values = [record.key for record in records], [record.value for record in records]
    content = [text or b"" for text in (*keys, *values)]
    lying = spans(content)
    columns[KEY], columns[VALUE] = lying.start.reshape(2, -1)
    columns[KEY_END], columns[VALUE_END] = lying.end.reshape(2, -1)
    for row, column in ((KEY, keys), (VALUE, values)):
        columns[row : row + 2, [k for k, text in enumerate(column) if text is None]] = -1
    headers = [record.headers for record in records]
    return Fetched(b"".join(content), columns, headers if any(headers) else ())


def joined(pieces: Sequence[Fetched]) -> Fetched:
    """Return the records of pieces of one partition, which may lie in the same data."""
    if len(pieces) == 1:
        return pieces[0]
    columns = np.concatenate([piece.columns for piece in pieces] or [np.empty((ROWS, 0), np.int64)], axis=1)
    headers: list[Headers] = []
    if any(piece.headers for piece in pieces):
        headers = [each for piece in pieces for each in piece.headers or [()] * len(piece)]
    data = {id(piece.data): piece.data for piece in pieces}  # pieces may lie in the same
    if len(data) <= 1:
        return Fetched(pieces[0].data if pieces else b"", columns, headers)
    begins = dict(zip(data, accumulate(map(len, data.values()), initial=0), strict=False))
    lying = columns[KEY:]
    lying += (lying >= 0) * np.repeat([begins[id(piece.data)] for piece in pieces], [len(piece) for piece in pieces])
    return Fetched(b"".join(data.values()), columns, headers)

"""The rows of users in memory: one array a partition, and an index from user to place."""

from collections.abc import Iterator, Sequence
from threading import Lock

import numpy as np

from models.compiled import compiled
from models.state import Ints, Rows, empty_rows
from streams.growing import Growing
from streams.key_index import KeyIndex, Spans
from streams.texts import Bytes

_EMPTY = empty_rows(1)
_BANDS = 4
_AT_ONCE = 20_000  # rows counted while others wait: less than a millisecond


class PartitionRows:
    """The rows of one partition's users.

    Args:
        empty: the row of a user of whom nothing is known [1]; all rows are of its dtype.

    >>> rows = PartitionRows()
    >>> rows.write([b"ann"], empty_rows(1))
    >>> len(rows), rows.read([b"ann", b"bob"])["accepted"].tolist()
    (1, [0, 0])
    """

    def __init__(self, empty: Rows = _EMPTY) -> None:
        self._empty = empty
        self._index = KeyIndex()
        self._plain = np.dtype(f"V{empty.itemsize}")  # numpy copies rows without fields four times as fast
        self._held = Growing(self._plain)
        self._last: tuple[Sequence[bytes], Ints] = ([], np.zeros(0, np.int64))  # keys that were read, and their places
        self._lock = Lock()  # compiled loops let other threads run: none may read while arrays move

    def __len__(self) -> int:
        return len(self._index)

    def __contains__(self, key: bytes) -> bool:
        with self._lock:
            return key in self._index

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._index)

    def key(self, place: int) -> bytes:
        """Return the user whose row stands at this place of `rows`."""
        return self._index.key(place)

    @property
    def rows(self) -> Rows:
        """All rows, in order of their users' coming: a view, not to be kept, as the array moves when it grows."""
        return self._held.array[: len(self)].view(self._empty.dtype)

    @property
    def nbytes(self) -> int:
        """Bytes that rows and keys take."""
        with self._lock:
            return len(self) * self._plain.itemsize + self._index.nbytes

    def bands(self) -> Ints:
        """Return how many users are in each churn band, the first is none [4]: some at a time, as others wait."""
        counts = np.zeros(_BANDS, np.int64)
        for start in range(0, len(self), _AT_ONCE):
            with self._lock:
                _count_bands(self.rows, start, min(start + _AT_ONCE, len(self)), counts)
        return counts

    def read(self, keys: Sequence[bytes]) -> Rows:
        """Return copies of the rows of these users, empty ones for those not known."""
        with self._lock:
            if not len(self):
                return self._empty.repeat(len(keys))
            places = self._index.find(keys)
            self._last = list(keys), places
            rows = self._held.array.take(places, mode="clip").view(self._empty.dtype)
            missing = np.flatnonzero(places < 0)  # a write fills the places in
        if len(missing):
            rows[missing] = self._empty
        return rows

    def write(self, keys: Sequence[bytes], rows: Rows) -> None:
        """Replace or add the rows of these users; a user that stands there twice gets the last."""
        with self._lock:
            places = self._places(keys)
            self._held.reserve(len(self))
            self._held.array[places] = rows.view(self._plain)

    def _places(self, keys: Sequence[bytes]) -> Ints:
        asked, found = self._last
        if keys != asked:  # most often they are the very ones that were read
            return self._index.add(keys)
        missing = np.flatnonzero(found < 0)
        if len(missing):
            found[missing] = self._index.add([keys[k] for k in missing.tolist()])
        return found

    def write_spans(self, keys: Spans, row: Ints) -> None:
        """Do as `write` does, for keys and rows that lie in the same bytes.

        Args:
            keys: the users.
            row: where each user's row begins, int64 [users].
        """
        with self._lock:
            places = self._index.add_spans(keys)
            self._held.reserve(len(self))
            _copy(keys.data, row, places, self._held.array.view(np.uint8), self._plain.itemsize)


@compiled
def _count_bands(rows: Rows, start: int, end: int, counts: Ints) -> None:
    for k in range(start, end):
        counts[min(rows[k]["band"], len(counts) - 1)] += 1


@compiled
def _copy(data: Bytes, row: Ints, places: Ints, held: Bytes, size: int) -> None:
    for k in range(len(row)):
        source, target = data[row[k] : row[k] + size], held[places[k] * size : (places[k] + 1) * size]
        for j in range(size):  # an assignment of slices takes three times as long
            target[j] = source[j]


class UserRows:
    """The rows of the users of many partitions; a `pipeline.UserTable`.

    Args:
        empty: the row of a user of whom nothing is known [1]; all rows are of its dtype.
    """

    def __init__(self, empty: Rows = _EMPTY) -> None:
        self.empty = empty
        self.partitions: dict[int, PartitionRows] = {}

    def __len__(self) -> int:
        return sum(map(len, self.partitions.values()))

    @property
    def nbytes(self) -> int:
        """Bytes that rows and keys take; any thread may ask."""
        return sum(rows.nbytes for rows in list(self.partitions.values()))

    def bands(self) -> Ints:
        """Return how many users are in each churn band, the first is none [4]; any thread may ask."""
        return sum((rows.bands() for rows in list(self.partitions.values())), np.zeros(_BANDS, np.int64))

    def read(self, partition: int, keys: Sequence[bytes]) -> Rows:
        """Return copies of the rows of these users, empty ones for those not known."""
        return self.of(partition).read(keys)

    def write(self, partition: int, keys: Sequence[bytes], rows: Rows) -> None:
        """Replace or add the rows of these users."""
        self.of(partition).write(keys, rows)

    def of(self, partition: int) -> PartitionRows:
        """Return the rows of one partition, which may be none."""
        rows = self.partitions.get(partition)
        if rows is None:
            rows = self.partitions[partition] = PartitionRows(self.empty)
        return rows

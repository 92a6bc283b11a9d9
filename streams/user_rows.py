"""The rows of users in memory: one array a partition, found by a dict from user id to place."""

from collections.abc import Iterator, Sequence

import numpy as np

from models.state import ROW, Rows, empty_rows

_FIRST = 1024


class PartitionRows:
    """The rows of one partition's users.

    >>> rows = PartitionRows()
    >>> rows.write([b"ann"], empty_rows(1))
    >>> len(rows), rows.read([b"ann", b"bob"])["accepted"].tolist()
    (1, [0, 0])
    """

    def __init__(self) -> None:
        self.place: dict[bytes, int] = {}
        self.keys: list[bytes] = []  # in order of place
        self._rows = empty_rows(0)

    def __len__(self) -> int:
        return len(self.place)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.keys)

    @property
    def rows(self) -> Rows:
        """All rows, in order of `place`: a view, not a copy."""
        return self._rows[: len(self.place)]

    def read(self, keys: Sequence[bytes]) -> Rows:
        """Return copies of the rows of these users, empty ones for those not known."""
        find = self.place.get
        places = np.array([find(key, -1) for key in keys], np.intp)
        if not len(self._rows):
            return empty_rows(len(keys))
        rows = self._rows[places]
        missing = np.flatnonzero(places < 0)
        rows[missing] = empty_rows(len(missing))
        return rows

    def write(self, keys: Sequence[bytes], rows: Rows) -> None:
        """Replace or add the rows of these users; a user that stands there twice gets the last."""
        for key in keys:
            if key not in self.place:
                self.place[key] = len(self.keys)
                self.keys.append(key)
        find = self.place.__getitem__
        places = np.array([find(key) for key in keys], np.intp)
        if len(self.place) > len(self._rows):
            self._grow(len(self.place))
        self._rows[places] = rows

    def _grow(self, needed: int) -> None:
        grown = np.empty(max(_FIRST, needed + needed // 4), ROW)
        grown[: len(self._rows)] = self._rows
        self._rows = grown


class UserRows:
    """The rows of the users of many partitions; a `pipeline.UserTable`."""

    def __init__(self) -> None:
        self.partitions: dict[int, PartitionRows] = {}

    def __len__(self) -> int:
        return sum(map(len, self.partitions.values()))

    def read(self, partition: int, keys: Sequence[bytes]) -> Rows:
        """Return copies of the rows of these users, empty ones for those not known."""
        return self.of(partition).read(keys)

    def write(self, partition: int, keys: Sequence[bytes], rows: Rows) -> None:
        """Replace or add the rows of these users."""
        self.of(partition).write(keys, rows)

    def of(self, partition: int) -> PartitionRows:
        """Return the rows of one partition, which may be none."""
        return self.partitions.setdefault(partition, PartitionRows())

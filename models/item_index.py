"""Where an item stands in the tables of a model: found by the hash of its id."""

from collections.abc import Sequence
from zlib import crc32

import numpy as np

from models.compiled import compiled
from models.state import Ints

_HASH_BITS = 32


class ItemIndex:
    """The table row of each item: 1 for the first one, 0 for an item that the model does not know.

    Of several items with one hash the first is found.

    Args:
        items: ids, in order of the tables' rows.

    >>> index = ItemIndex(["shoe", "hat"])
    >>> index.rows(index.hashes[::-1]).tolist(), index.rows(np.array([[7]])).tolist()
    ([2, 1], [[0]])
    """

    def __init__(self, items: Sequence[str]) -> None:
        self.hashes = np.array([crc32(item.encode()) for item in items], np.int64)
        order = np.argsort(self.hashes, kind="stable")
        self._sorted, self._rows = self.hashes[order].astype(np.uint32), order + 1
        bits = min(max(len(items), 1).bit_length(), _HASH_BITS)  # of the hash: about one item begins with each
        self._shift = _HASH_BITS - bits
        self._starts = np.searchsorted(self.hashes[order] >> self._shift, np.arange((1 << bits) + 1))

    def rows(self, item: Ints) -> Ints:
        """Return the table row of each item hash, any shape."""
        hashes = np.ascontiguousarray(item, np.int64)
        rows = np.empty(hashes.shape, np.int64)
        _find(hashes.reshape(-1), self._sorted, self._rows, self._starts, self._shift, rows.reshape(-1))
        return rows


@compiled
def _find(hashes: Ints, known: Ints, known_rows: Ints, starts: Ints, shift: int, rows: Ints) -> None:
    for k in range(len(hashes)):
        rows[k] = 0
        if 0 <= hashes[k] < 1 << _HASH_BITS:
            begin = hashes[k] >> shift
            for at in range(starts[begin], starts[begin + 1]):
                if np.int64(known[at]) == hashes[k]:
                    rows[k] = known_rows[at]
                    break

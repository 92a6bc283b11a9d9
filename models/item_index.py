"""Where an item stands in the tables of a model: found by the hash of its id."""

from collections.abc import Sequence
from zlib import crc32

import numpy as np

from models.compiled import compiled
from models.state import Ints

HASH_BITS = 32


def item_hashes(items: Sequence[str]) -> Ints:
    """Return how rows name items: the crc32 of their ids [items]."""
    return np.array([crc32(item.encode()) for item in items], np.int64)


class ItemIndex:
    """The table row of each item: 1 for the first one, 0 for an item that the model does not know.

    Of several items with one hash the first is found.

    Args:
        hashes: of the items, in order of the tables' rows [items].
        bits: of a hash.

    >>> index = ItemIndex(item_hashes(["shoe", "hat"]))
    >>> index.rows(item_hashes(["hat", "shoe"])).tolist(), index.rows(np.array([[7]])).tolist()
    ([2, 1], [[0]])
    """

    def __init__(self, hashes: Ints, bits: int = HASH_BITS) -> None:
        order = np.argsort(hashes, kind="stable")
        self._sorted, self._rows, self._bits = hashes[order].astype(np.uint32), order + 1, bits
        told = min(max(len(hashes), 1).bit_length(), bits)  # about one item begins with each of so many bits
        self._shift = bits - told
        self._starts = np.searchsorted(hashes[order] >> self._shift, np.arange((1 << told) + 1))

    def rows(self, item: Ints) -> Ints:
        """Return the table row of each item hash, any shape."""
        asked = np.ascontiguousarray(item, np.int64)
        rows = np.empty(asked.shape, np.int64)
        _find(asked.reshape(-1), self._sorted, self._rows, self._starts, self._bits, self._shift, rows.reshape(-1))
        return rows


@compiled
def _find(hashes: Ints, known: Ints, known_rows: Ints, starts: Ints, bits: int, shift: int, rows: Ints) -> None:
    for k in range(len(hashes)):
        rows[k] = 0
        if 0 <= hashes[k] < 1 << bits:
            begin = hashes[k] >> shift
            for at in range(starts[begin], starts[begin + 1]):
                if np.int64(known[at]) == hashes[k]:
                    rows[k] = known_rows[at]
                    break

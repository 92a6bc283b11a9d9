"""Byte strings side by side in one array, so that compiled loops read and write those of a whole chunk."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from models.compiled import compiled
from models.state import Ints

Bytes: TypeAlias = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Texts:
    """Byte strings, one after another.

    Args:
        data: their bytes.
        ends: where each ends in `data`, int64 [texts].

    >>> some = texts([b"ann", b"", b"bob"])
    >>> some.ends.tolist(), some.strings()
    ([3, 3, 6], [b'ann', b'', b'bob'])
    """

    data: Bytes
    ends: Ints

    def __len__(self) -> int:
        return len(self.ends)

    def strings(self) -> list[bytes]:
        """Return them one by one."""
        data, ends = self.data.tobytes(), self.ends.tolist()
        return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@dataclass(frozen=True)
class Picked:
    """Texts of which each user has one, as they are few or many have the same.

    Args:
        texts: to pick from.
        index: number of each user's text, int64 [users].
    """

    texts: Texts
    index: Ints

    def size(self) -> int:
        """Return the number of bytes of all users' texts."""
        return _size(self.texts.ends, self.index)


def texts(strings: Sequence[bytes]) -> Texts:
    """Return byte strings side by side."""
    ends = np.cumsum(np.fromiter(map(len, strings), np.int64, len(strings)))
    # of a bytearray: compiled loops take arrays that can be written to, and no others
    return Texts(np.frombuffer(bytearray(b"").join(strings), np.uint8), ends)


@compiled
def write_bytes(out: Bytes, at: int, data: Bytes, start: int, end: int) -> int:
    """Copy bytes; return where they end."""
    size = end - start
    target, source = out[at : at + size], data[start:end]  # of these no index is negative: many bytes go at once
    for k in range(size):
        target[k] = source[k]
    return at + size


@compiled
def _size(ends: Ints, index: Ints) -> int:
    size = 0
    for place in index:
        size += ends[place] - (ends[place - 1] if place else 0)
    return size

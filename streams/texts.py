"""Byte strings side by side in one array, so that compiled loops read and write those of a whole chunk."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from models.compiled import compiled
from models.state import Ints

Bytes: TypeAlias = npt.NDArray[np.uint8]

_EACH_ITS_OWN: Ints = np.zeros(0, np.int64)


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

    def size(self) -> int:
        """Return the number of bytes of all of them."""
        return len(self.data)

    def arrays(self) -> tuple[Bytes, Ints, Ints]:
        """Return what compiled loops take: bytes, ends, and the number of each user's text; none: its own."""
        return self.data, self.ends, _EACH_ITS_OWN

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

    def __post_init__(self) -> None:
        object.__setattr__(self, "index", np.ascontiguousarray(self.index, np.int64))

    def __len__(self) -> int:
        return len(self.index)

    def size(self) -> int:
        """Return the number of bytes of all users' texts.

        Raises:
            IndexError: there is no text with a user's number.
        """
        size = _size(self.texts.ends, self.index)
        if size < 0:
            raise IndexError(f"a user's text is none of {len(self.texts)}")
        return size

    def arrays(self) -> tuple[Bytes, Ints, Ints]:
        """Return what compiled loops take: bytes, ends, and the number of each user's text."""
        return self.texts.data, self.texts.ends, self.index


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
        if not 0 <= place < len(ends):
            return -1
        size += ends[place] - (ends[place - 1] if place else 0)
    return size

"""Keys to places in an array: a hash table in numpy, 20 bytes a key besides the key itself where a dict needs 130."""

import mmap
from collections.abc import Iterator, Sequence
from itertools import count as counting_from
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from models.state import Ints

Bools: TypeAlias = npt.NDArray[np.bool_]

_WIDTH = 16  # slots of a bucket
_FULL = 12  # keys a bucket, on average, when there must be more buckets
_ROOMY = 8  # and when there just have been made more
_AT_ONCE = 10_000  # keys inserted at once: temporary arrays stay small


class Growing:
    """An array that is made longer where it lies: its pages move, they are not copied, and count when they are used.

    >>> numbers = Growing(np.uint8)
    >>> numbers.reserve(3)
    >>> len(numbers.array) >= 3
    True
    """

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self.array: npt.NDArray[Any] = np.empty(0, dtype)
        self._memory = _pages(mmap.PAGESIZE)

    def reserve(self, length: int) -> None:
        """Make it at least so long; what is new in it is zero."""
        dtype = self.array.dtype
        if length <= len(self.array):
            return
        count = length + length // 4
        self.array = np.empty(0, dtype)  # lets go of the memory
        try:
            self._memory.resize(count * dtype.itemsize)
        except (BufferError, SystemError):  # someone holds a view of it, or the system cannot
            old, self._memory = self._memory, _pages(count * dtype.itemsize)
            np.frombuffer(self._memory, np.uint8)[: len(old)] = np.frombuffer(old, np.uint8)
        self.array = np.frombuffer(self._memory, dtype, count)


class KeyIndex:
    """Keys and their places: 0, 1, 2, ... in the order in which they came.

    Buckets of slots in two arrays: a slot holds a place and 32 bits of the hash that Python gives the place's key.
    What those bits lead to counts only if the key there is the same, byte for byte. A key whose bucket is full, or
    holds a key with the same bits, is in a dict.

    >>> index = KeyIndex()
    >>> index.add([b"ann", b"bob", b"ann"]).tolist(), index.find([b"bob", b"eve"]).tolist()
    ([0, 1, 0], [1, -1])
    >>> index.key(1), b"eve" in index
    (b'bob', False)
    """

    def __init__(self) -> None:
        self._count = 0
        self._bits = np.zeros((1, _WIDTH), np.uint32)
        self._above = np.zeros((1, _WIDTH), np.uint32)  # a place plus one, 0: the slot is free, as are those after it
        self._used = np.zeros(1, np.int8)  # slots of each bucket
        self._elsewhere: dict[bytes, int] = {}
        self._text = Growing(np.uint8)
        self._start = Growing(np.uint32)  # of each place's key in the text, and the end of the last
        self._start.reserve(1)

    def __len__(self) -> int:
        return self._count

    def __contains__(self, key: bytes) -> bool:
        return bool(self.find([key])[0] >= 0)

    def __iter__(self) -> Iterator[bytes]:
        return map(self.key, range(self._count))

    def key(self, place: int) -> bytes:
        """Return the key of a place."""
        start, end = self._start.array[place : place + 2].tolist()
        return self._text.array[start:end].tobytes()

    def find(self, keys: Sequence[bytes]) -> Ints:
        """Return the place of each key [keys], -1 where it has none."""
        return self._find(keys, _bits(keys))

    def _find(self, keys: Sequence[bytes], bits: Ints) -> Ints:
        places = self._likely(bits)
        places[~self._same(keys, places)] = -1
        if self._elsewhere:
            missing = np.flatnonzero(places < 0)
            find = self._elsewhere.get
            places[missing] = [find(keys[k], -1) for k in missing.tolist()]
        return places

    def add(self, keys: Sequence[bytes]) -> Ints:
        """Return the place of each key [keys]; those that had none have one now. A key may stand there twice."""
        bits = _bits(keys)
        places = self._find(keys, bits)
        missing = np.flatnonzero(places < 0)
        if len(missing):
            coming = [keys[k] for k in missing.tolist()]
            new, bits = list(dict.fromkeys(coming)), bits[missing]
            places[missing] = np.arange(len(coming)) + self._count
            if len(new) < len(coming):
                place = dict(zip(new, counting_from(self._count), strict=False))
                places[missing] = [place[key] for key in coming]
                bits = _bits(new)
            self._append(new, bits)
        return places

    def _likely(self, bits: Ints) -> Ints:
        """Return the only place outside the dict where each key can be, -1 if there is none."""
        bucket = self._bucket(bits)
        column = (self._bits.take(bucket, axis=0) == bits[:, None]).argmax(axis=1)
        slot = bucket * _WIDTH + column
        found = self._bits.reshape(-1).take(slot) == bits
        places: Ints = np.where(found, self._above.reshape(-1).take(slot).astype(np.int64) - 1, -1)
        return places

    def _bucket(self, bits: Ints) -> Ints:
        return (bits.astype(np.uint64) * np.uint64(len(self._bits)) >> np.uint64(32)).astype(np.intp)

    def _same(self, keys: Sequence[bytes], places: Ints) -> Bools:
        """Tell for each key whether it is the one at its place; of place -1 there is none."""
        lengths = np.fromiter(map(len, keys), np.int64, len(keys))
        starts = self._start.array.take(places, mode="clip").astype(np.int64)
        ends = self._start.array.take(places + 1)
        same: Bools = (places >= 0) & (ends - starts == lengths)
        if not same.all():
            some = np.flatnonzero(same)
            keys, starts, lengths = [keys[k] for k in some.tolist()], starts[some], lengths[some]
        asked = np.frombuffer(b"".join(keys), np.uint8)
        held = np.repeat(starts - (np.cumsum(lengths) - lengths), lengths) + np.arange(len(asked))
        differs = self._text.array.take(held) != asked
        if differs.any():
            same[np.flatnonzero(same)[np.repeat(np.arange(len(lengths)), lengths)[differs]]] = False
        return same

    def _append(self, keys: list[bytes], bits: Ints) -> None:
        """Take in keys that have no place, each once."""
        first, self._count = self._count, self._count + len(keys)
        text = b"".join(keys)
        begin = int(self._start.array[first])
        self._text.reserve(begin + len(text))
        self._text.array[begin : begin + len(text)] = np.frombuffer(text, np.uint8)
        if begin + len(text) > np.iinfo(self._start.array.dtype).max:
            wider = Growing(np.int64)
            wider.reserve(first + 1)
            wider.array[: first + 1] = self._start.array[: first + 1]
            self._start = wider
        self._start.reserve(self._count + 1)
        self._start.array[first + 1 : self._count + 1] = begin + np.cumsum(np.fromiter(map(len, keys), np.int64))
        places: Ints = np.arange(first, self._count)
        if self._count > len(self._bits) * _FULL:
            bits, places = self._emptied(bits, places)
        for k in range(0, len(bits), _AT_ONCE):
            self._insert(bits[k : k + _AT_ONCE], places[k : k + _AT_ONCE])

    def _emptied(self, bits: Ints, places: Ints) -> tuple[Ints, Ints]:
        """Make new buckets, enough for all keys; return what must be put there: all that was held, and these."""
        used = self._above > 0
        bits = np.concatenate([self._bits[used], _bits(list(self._elsewhere)), bits])
        above = np.concatenate([self._above[used], np.array([*self._elsewhere.values()], np.int64) + 1])
        buckets = self._count // _ROOMY + 1
        self._bits, self._above = np.zeros((buckets, _WIDTH), np.uint32), np.zeros((buckets, _WIDTH), np.uint32)
        self._used, self._elsewhere = np.zeros(buckets, np.int8), {}
        return bits, np.concatenate([above.astype(np.int64) - 1, places])

    def _insert(self, bits: Ints, places: Ints) -> None:
        order = np.argsort(bits)  # and so by bucket
        bits, places = bits[order], places[order]
        bucket = self._bucket(bits)
        twin = self._likely(bits) >= 0
        twin[1:] |= bits[1:] == bits[:-1]
        alone = np.flatnonzero(~twin)
        nth = np.arange(len(alone)) - np.searchsorted(bucket[alone], bucket[alone])
        column = self._used.take(bucket[alone]) + nth
        fits = column < _WIDTH
        slot = (bucket[alone] * _WIDTH + column)[fits]
        self._bits.reshape(-1)[slot] = bits[alone[fits]]
        self._above.reshape(-1)[slot] = places[alone[fits]] + 1
        self._used[bucket[alone[fits]]] = column[fits] + 1  # of a bucket's several the last counts
        for place in (*places[twin].tolist(), *places[alone[~fits]].tolist()):
            self._elsewhere[self.key(place)] = place


def _bits(keys: Sequence[bytes]) -> Ints:
    return np.fromiter(map(hash, keys), np.int64, len(keys)).astype(np.uint32)


def _pages(size: int) -> mmap.mmap:
    """Return memory that is zero, and nobody else's: from the allocator, a growing array would leave holes."""
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)

"""Keys to places in an array: a compiled hash table, 11 to 12 bytes a key besides the key itself; a dict needs 130."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from models.compiled import compiled
from models.state import Ints
from streams.growing import Growing, zeros
from streams.siphash import Hashes, hashes
from streams.texts import Bytes

_FULLEST = 0.8  # keys a slot, when there must be more slots
_ROOMIEST = 0.64  # and when there just have been made more
_AT_ONCE = 50_000  # keys moved at once: temporary arrays stay small

Places: TypeAlias = npt.NDArray[np.int64]


class Spans(NamedTuple):
    """Spans that lie in one another's neighbourhood, where they came from."""

    data: Bytes  # read only
    start: Ints  # where each begins, int64
    end: Ints  # where it ends, int64


def spans(strings: Sequence[bytes]) -> Spans:
    """Return byte strings side by side.

    >>> spans([b"ann", b"", b"bob"]).end.tolist()
    [3, 3, 6]
    """
    end = np.fromiter(map(len, strings), np.int64, len(strings)).cumsum()
    start = np.empty_like(end)
    start[:1], start[1:] = 0, end[:-1]
    return Spans(np.frombuffer(b"".join(strings), np.uint8), start, end)


class KeyIndex:
    """Keys and their places: 0, 1, 2, ... in the order in which they came.

    A key's slot is the first one, from where its hash says, that holds its place; slots are never emptied. A slot has a
    byte of the hash too, 0 if it is free, so that few keys are compared in vain.

    >>> index = KeyIndex()
    >>> index.add([b"ann", b"bob", b"ann"]).tolist(), index.find([b"bob", b"eve"]).tolist()
    ([0, 1, 0], [1, -1])
    >>> index.key(1), b"eve" in index
    (b'bob', False)
    """

    def __init__(self) -> None:
        self._count = 0
        self._tag, self._place = zeros(1, np.uint8), zeros(1, np.uint32)  # of each slot; one at least is always free
        self._text = Growing(np.uint8)
        self._start = Growing(np.uint32)  # of each place's key in the text, and the end of the last
        self._text.reserve(1)
        self._start.reserve(1)

    def __len__(self) -> int:
        return self._count

    def __contains__(self, key: bytes) -> bool:
        return bool(self.find([key])[0] >= 0)

    def __iter__(self) -> Iterator[bytes]:
        return map(self.key, range(self._count))

    @property
    def nbytes(self) -> int:
        """Bytes that keys and slots take."""
        text = int(self._start.array[self._count])
        return text + (self._count + 1) * self._start.array.itemsize + self._tag.nbytes + self._place.nbytes

    def key(self, place: int) -> bytes:
        """Return the key of a place."""
        start, end = self._start.array[place : place + 2].tolist()
        return self._text.array[start:end].tobytes()

    def find(self, keys: Sequence[bytes]) -> Places:
        """Return the place of each key [keys], -1 where it has none."""
        wanted = spans(keys)
        return _find(*wanted, hashes(*wanted), self._tag, self._place, self._text.array, self._start.array)

    def add(self, keys: Sequence[bytes]) -> Places:
        """Return the place of each key [keys]; those that had none have one now. A key may stand there twice."""
        return self.add_spans(spans(keys))

    def add_spans(self, keys: Spans) -> Places:
        """Do as `add` does, for keys that lie somewhere."""
        self._make_room(len(keys.start), int((keys.end - keys.start).sum()))
        places, marks, done = np.empty(len(keys.start), np.int64), hashes(*keys), 0
        while True:
            most = int(len(self._tag) * _FULLEST)
            slots, held = (self._tag, self._place), (self._text.array, self._start.array)
            done, self._count = _add(*keys, marks, *slots, *held, done, self._count, most, places)
            if done == len(places):
                return places
            self._more_slots()

    def _make_room(self, keys: int, length: int) -> None:
        end = int(self._start.array[self._count]) + length
        self._text.reserve(end)
        if end > np.iinfo(self._start.array.dtype).max:
            wider = Growing(np.int64)
            wider.reserve(self._count + 1)
            wider.array[: self._count + 1] = self._start.array[: self._count + 1]
            self._start = wider
        self._start.reserve(self._count + keys + 1)

    def _more_slots(self) -> None:
        slots = int((self._count + 10) / _ROOMIEST)
        self._tag, self._place = zeros(slots, np.uint8), zeros(slots, np.uint32)
        text = self._text.array[:]
        text.flags.writeable = False
        for first in range(0, self._count, _AT_ONCE):
            start = self._start.array[first : min(first + _AT_ONCE, self._count) + 1].astype(np.int64)
            _put(hashes(text, start[:-1], start[1:]), self._tag, self._place, first)


@compiled
def _find(
    data: Bytes, start: Ints, end: Ints, marks: Hashes, tag: Bytes, place: Ints, text: Bytes, text_start: Ints
) -> Places:
    places = np.empty(len(start), np.int64)
    for k in range(len(start)):
        slot = _slot(data, start[k], end[k], marks[k], tag, place, text, text_start)
        places[k] = place[slot] if tag[slot] else -1
    return places


@compiled
def _add(
    data: Bytes,
    start: Ints,
    end: Ints,
    marks: Hashes,
    tag: Bytes,
    place: Ints,
    text: Bytes,
    text_start: Ints,
    done: int,
    count: int,
    most: int,
    places: Places,
) -> tuple[int, int]:
    """Write the places of the keys from the one at `done` on; return how many are done, and how many there are.

    Not all are done if there would be more than `most`.
    """
    for k in range(done, len(start)):
        slot = _slot(data, start[k], end[k], marks[k], tag, place, text, text_start)
        if tag[slot] == 0:
            if count >= most:
                return k, count
            at = np.int64(text_start[count])
            for j in range(end[k] - start[k]):
                text[at + j] = data[start[k] + j]
            text_start[count + 1] = at + end[k] - start[k]
            tag[slot] = _tag_of(marks[k])
            place[slot] = count
            count += 1
        places[k] = place[slot]
    return len(start), count


@compiled
def _put(marks: Hashes, tag: Bytes, place: Ints, first: int) -> None:
    """Give keys that are in no slot one; their places follow one another."""
    for k in range(len(marks)):
        slot = _slot_of(marks[k], len(tag))
        while tag[slot]:
            slot = slot + 1 if slot + 1 < len(tag) else 0
        tag[slot] = _tag_of(marks[k])
        place[slot] = first + k


@compiled
def _slot(
    data: Bytes, start: int, end: int, mark: np.uint64, tag: Bytes, place: Ints, text: Bytes, text_start: Ints
) -> int:
    """Return the slot of a key, or the free one where it would be."""
    slot = _slot_of(mark, len(tag))
    mine = _tag_of(mark)
    while tag[slot]:
        if tag[slot] == mine:
            at = np.int64(text_start[place[slot]])
            same = np.int64(text_start[place[slot] + 1]) - at == end - start
            k = 0
            while same and k < end - start:
                same = text[at + k] == data[start + k]
                k += 1
            if same:
                break
        slot = slot + 1 if slot + 1 < len(tag) else 0
    return slot


@compiled
def _slot_of(mark: np.uint64, slots: int) -> int:
    return np.int64((mark >> np.uint64(32)) * np.uint64(slots) >> np.uint64(32))  # type: ignore[return-value]


@compiled
def _tag_of(mark: np.uint64) -> int:
    return max(np.int64(mark & np.uint64(0xFF)), 1)  # type: ignore[return-value]

"""Record batches read as columns: what aiokafka does record by record, a batch at a time.

Source: Apache Kafka, Message format, version 2. What is in an older format is left to aiokafka: see `Unread.readable`.
"""

from collections.abc import Iterable

import numpy as np
from aiokafka import codec
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.util import calc_crc32c, decode_varint

from models.compiled import compiled
from models.state import Ints
from schemas.cloudevents import Headers
from streams.fetched import (
    KEY,
    KEY_END,
    OFFSET,
    ROWS,
    TIMESTAMP_MS,
    VALUE,
    VALUE_END,
    Fetched,
    joined,
)
from streams.texts import Bytes

_START, _STOP, _MAGIC, _BASE, _RECORDS, _MS, _UNIT, _WITH_HEADERS, _CODEC = range(9)
_ATTRIBUTES, _PRODUCER, _NEXT_OFFSET, _CRC, _HEADS = range(9, 14)
"""Columns of what is known of batches: where each begins and ends, its format. If it is ours: its offset, records,
their time and the unit of their own, how many were found to have headers, what compresses them."""

_HEAD_BYTES = 61
_LENGTH_END = 12  # the batch's length counts what comes after it
_MAGIC_AT, _FORMAT = 16, 2
_ATTRIBUTES_AT = 21  # the checksum counts what comes from there on
_CODEC_BITS, _APPEND_TIME, _TRANSACTIONAL, _CONTROL = 0x07, 0x08, 0x10, 0x20
_DECODERS = {1: codec.gzip_decode, 2: codec.snappy_decode, 3: codec.lz4_decode, 4: codec.zstd_decode}
_LEAST_RECORD = 7  # bytes
_AT_ONCE_BYTES = 500_000
"""Bytes after which no further batch is begun: what is decompressed lies beside what is not."""


class _Aborted:
    """The transactions among an answer's batches that were aborted.

    Args:
        begins: of each the producer's id and the first offset.
    """

    def __init__(self, begins: Iterable[tuple[int, int]]) -> None:
        self._to_come = sorted(begins, key=lambda each: -each[1])
        self._open: set[int] = set()  # their producers

    def hold(self, base: int, producer: int, control: bool) -> bool:
        """Tell whether the next transactional batch, or control batch, is part of one."""
        while self._to_come and self._to_come[-1][1] <= base:
            self._open.add(self._to_come.pop()[0])
        if control:
            self._open.discard(producer)  # with it ends what its producer had begun
        return producer in self._open


class Unread:
    """What a fetch brought of one partition and was not read yet; batches are decompressed as they are read.

    Args:
        data: whole batches, and maybe a part of one at the end, which is left alone.
        fetch_offset: records before it are skipped.
        check_crcs: whether to check the batches' checksums.
        aborted: producer's id and first offset of the transactions that are left out.

    Attributes:
        readable: whether all of it is of this format; if not, only aiokafka can read it.
        next_fetch_offset: what comes after what was taken.
    """

    def __init__(
        self, data: bytes, fetch_offset: int, check_crcs: bool, aborted: Iterable[tuple[int, int]] = ()
    ) -> None:
        self._data, self._view, self._check_crcs = data, memoryview(data), check_crcs
        self._batches = _heads(np.frombuffer(data, np.uint8))
        self._heads, self._at = self._batches.tolist(), 0
        self.readable = not self._heads or self._heads[-1][_MAGIC] == _FORMAT
        self._aborted = _Aborted(aborted)
        self._rest: Fetched | None = None
        self.next_fetch_offset = fetch_offset

    def take(self, most: int) -> Fetched:
        """Return the next records: none at the end, and not all that are asked for where a batch is large.

        Raises:
            CorruptRecordException: a batch is not what it was when it was written.
            UnsupportedCodecError: it is compressed in a way that this client does not know.
        """
        taken: list[Fetched] = []
        room = _AT_ONCE_BYTES
        while most > 0 and room > 0 and (piece := self._piece(most)) is not None:
            part, self._rest = piece, None
            if len(piece) > most:
                part, self._rest = piece[:most], piece[most:]
            reached = self._piece_end if self._rest is None else int(part.offsets[-1]) + 1
            self.next_fetch_offset = max(reached, self.next_fetch_offset)
            if len(part):
                taken.append(part)
                most -= len(part)
                room -= 0 if part.data is self._data else len(part.data)
        return joined(taken)

    @property
    def done(self) -> bool:
        """Whether all is read."""
        return self._rest is None and self._at == len(self._heads)

    def _piece(self, most: int) -> Fetched | None:
        """Return what is left of the batches that were begun, or else the next: so many records, where there are."""
        if self._rest is not None:
            return self._rest
        first = last = self._at
        count = 0
        while count < most and last < len(self._heads):
            head = self._heads[last]
            if head[_CODEC] and last > first:
                break
            last += 1
            if self._counts(head):
                count += head[_RECORDS]
            else:
                self._batches[last - 1, _RECORDS] = 0
            if head[_CODEC]:
                break
        if first == last:
            return None
        piece = self._read(first, last, count)
        self._at, self._piece_end = last, self._heads[last - 1][_NEXT_OFFSET]
        if len(piece) and piece.columns[OFFSET, 0] < self.next_fetch_offset:
            piece = piece[int(np.searchsorted(piece.offsets, self.next_fetch_offset)) :]
        return piece

    def _counts(self, head: list[int]) -> bool:
        """Tell whether the records of a batch are to be seen."""
        start, stop, offset, attributes = head[_START], head[_STOP], head[_BASE], head[_ATTRIBUTES]
        if stop - start < _HEAD_BYTES:
            raise CorruptRecordException(f"a record batch of {stop - start} bytes")
        if self._check_crcs and calc_crc32c(self._view[start + _ATTRIBUTES_AT : stop]) != head[_CRC]:
            then = f"the next batch is at {head[_NEXT_OFFSET]}"
            raise CorruptRecordException(f"the checksum of the record batch at offset {offset} is wrong; {then}")
        left_out = attributes & (_TRANSACTIONAL | _CONTROL) and self._aborted.hold(
            offset, head[_PRODUCER], bool(attributes & _CONTROL)
        )
        if left_out or attributes & _CONTROL:
            return False
        if not head[_CODEC]:
            _check_count(head[_RECORDS], stop - start - _HEAD_BYTES, offset)
        return True

    def _read(self, first: int, last: int, count: int) -> Fetched:
        """Return the records of batches that follow one another: as they are, or of one that is compressed."""
        if not count:
            return Fetched(b"", np.empty((ROWS, 0), np.int64))
        batches, data = self._batches[first:last], self._data
        codec = self._heads[first][_CODEC]
        if codec:
            data = _decompressed(self._view[batches[0, _START] + _HEAD_BYTES : batches[0, _STOP]], codec)
            batches = batches.copy()
            batches[0, _START], batches[0, _STOP] = -_HEAD_BYTES, len(data)
            _check_count(count, len(data), self._heads[first][_BASE])
        columns = np.empty((ROWS, count), np.int64)
        wrong, with_headers = _parse(np.frombuffer(data, np.uint8), batches, columns)
        if wrong >= 0:
            offset = self._heads[first + wrong][_BASE]
            raise CorruptRecordException(f"a record is not of the format, in the batch at offset {offset}")
        headers: list[Headers] = []
        if with_headers:
            for head, read in zip(self._heads[first:last], batches.tolist(), strict=True):
                if read[_WITH_HEADERS]:
                    whole = self._view[head[_START] : head[_STOP]]
                    headers += _headers(whole, data, read[_START] + _HEAD_BYTES, read[_RECORDS])
                else:
                    headers += [()] * read[_RECORDS]
        return Fetched(data, columns, headers)


def _check_count(count: int, size: int, offset: int) -> None:
    if not 0 <= count * _LEAST_RECORD <= size:
        raise CorruptRecordException(f"{count} records in {size} bytes at offset {offset}")


def _headers(whole: memoryview, data: bytes, at: int, count: int) -> list[Headers]:
    """Return the headers of each record, of records that were found to be of the format."""
    try:
        return [tuple(record.headers) for record in DefaultRecordBatch(whole)]
    except UnicodeDecodeError:  # in a name, which no broker looks at: read by hand, such bytes as text
        found: list[Headers] = []
        for _ in range(count):
            length, at = decode_varint(data, at)
            end = at + length
            for _ in range(3):  # attributes, time, offset
                _, at = decode_varint(data, at)
            for _ in range(2):
                _, at = _bytes(data, at)
            many, at = decode_varint(data, at)
            mine: list[tuple[str, bytes | None]] = []
            for _ in range(many):
                name, at = _bytes(data, at)
                value, at = _bytes(data, at)
                mine.append(((name or b"").decode(errors="backslashreplace"), value))
            found.append(tuple(mine))
            at = end
        return found


def _bytes(data: bytes, at: int) -> tuple[bytes | None, int]:
    size, at = decode_varint(data, at)
    return (None, at) if size < 0 else (data[at : at + size], at + size)


def _decompressed(data: memoryview, number: int) -> bytes:
    if number not in _DECODERS:
        raise UnsupportedCodecError(f"record batches with codec {number}")
    decompressed: bytes = _DECODERS[number](data.tobytes())
    return decompressed


@compiled
def _heads(data: Bytes) -> Ints:
    """Return the heads of the whole batches, to the first that is not of this format, or shorter than a head."""
    count, start, stop = 0, 0, _batch_end(data, 0)
    while stop <= len(data):
        count += 1
        if stop - start < _HEAD_BYTES or data[start + _MAGIC_AT] != _FORMAT:
            break
        start, stop = stop, _batch_end(data, stop)
    found = np.empty((count, _HEADS), np.int64)
    start = 0
    for k in range(count):
        head = found[k]
        stop = _batch_end(data, start)
        head[_START], head[_STOP], head[_MAGIC] = start, stop, _FORMAT
        head[_WITH_HEADERS] = head[_CODEC] = head[_RECORDS] = 0
        if stop - start > _MAGIC_AT:
            head[_MAGIC] = data[start + _MAGIC_AT]
        if stop - start >= _HEAD_BYTES and head[_MAGIC] == _FORMAT:
            attributes = _number(data, start + 21, 2)
            head[_BASE], head[_ATTRIBUTES], head[_CODEC] = _number(data, start, 8), attributes, attributes & _CODEC_BITS
            head[_CRC] = _number(data, start + 17, 4) & 0xFFFFFFFF
            head[_NEXT_OFFSET] = head[_BASE] + _number(data, start + 23, 4) + 1
            head[_MS], head[_UNIT] = _number(data, start + 27, 8), 1
            if attributes & _APPEND_TIME:
                head[_MS], head[_UNIT] = _number(data, start + 35, 8), 0
            head[_PRODUCER], head[_RECORDS] = _number(data, start + 43, 8), _number(data, start + 57, 4)
        start = stop
    return found


@compiled
def _batch_end(data: Bytes, start: int) -> int:
    """Return where the batch ends that begins here: after the data, if it is not all here."""
    return start + _LENGTH_END + _number(data, start + 8, 4) if start + _LENGTH_END <= len(data) else len(data) + 1


@compiled
def _number(data: Bytes, at: int, size: int) -> int:
    """Return a number with a sign, its highest byte first."""
    number = np.int64(np.int8(data[at]))
    for k in range(at + 1, at + size):
        number = number << np.int64(8) | np.int64(data[k])
    return number  # type: ignore[return-value]


@compiled
def _parse(data: Bytes, batches: Ints, columns: Ints) -> tuple[int, int]:
    """Fill the columns with the records of batches, see `_START`.

    Returns:
        which batch is malformed, -1: none; and how many records have headers.
    """
    first = total = 0
    for b in range(len(batches)):
        count = batches[b, _RECORDS]
        if count:
            with_headers = _parse_batch(data, batches[b], columns[:, first : first + count])
            if with_headers < 0:
                return b, 0
            batches[b, _WITH_HEADERS] = with_headers
            first += count
            total += with_headers
    return -1, total


@compiled
def _parse_batch(data: Bytes, head: Ints, columns: Ints) -> int:
    """Fill the columns with a batch's records; return how many have headers, -1: they are malformed.

    Offsets must go up; a record's time is the batch's, and as many units more as the record says.
    """
    at, end, base_offset, ms, unit = head[_START] + _HEAD_BYTES, head[_STOP], head[_BASE], head[_MS], head[_UNIT]
    with_headers = 0
    offset = -1
    for k in range(columns.shape[1]):
        length, at = _varint(data, at, end)
        if at < 0 or length < 0 or length > end - at:
            return -1
        record_end = at + length
        _, at = _varint(data, at, record_end)  # attributes: none are defined
        later, at = _varint(data, at, record_end)
        further, at = _varint(data, at, record_end)
        if at < 0 or further <= offset:
            return -1
        offset = further
        columns[OFFSET, k], columns[TIMESTAMP_MS, k] = base_offset + further, ms + later * unit
        key, key_end, at = _text(data, at, record_end)
        value, value_end, at = _text(data, at, record_end)
        columns[KEY, k], columns[KEY_END, k] = key, key_end
        columns[VALUE, k], columns[VALUE_END, k] = value, value_end
        headers, at = _varint(data, at, record_end)
        if at < 0 or headers < 0:
            return -1
        with_headers += headers > 0
        for _ in range(headers):
            name, _, at = _text(data, at, record_end)
            _, _, at = _text(data, at, record_end)
            if at < 0 or name < 0:
                return -1
        if at != record_end:
            return -1
    return with_headers if at == end else -1


@compiled
def _text(data: Bytes, at: int, end: int) -> tuple[int, int, int]:
    """Return where a text begins and ends, -1 twice if there is none, and where it goes on: -1, nowhere."""
    length, at = _varint(data, at, end)
    if at < 0 or length > end - at:
        return -1, -1, -1
    if length < 0:
        return -1, -1, at
    return at, at + length, at + length


@compiled
def _varint(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Return a number and where it goes on: -1, nowhere."""
    number = np.uint64(0)
    shift = 0
    while 0 <= at < end and shift < 64:
        byte = np.uint64(data[at])
        number |= (byte & np.uint64(0x7F)) << np.uint64(shift)
        at += 1
        if byte < np.uint64(0x80):
            return np.int64(number >> np.uint64(1)) ^ -np.int64(number & np.uint64(1)), at  # type: ignore[return-value]
        shift += 7
    return 0, -1

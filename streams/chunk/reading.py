"""Record batches read as columns: what aiokafka does record by record, a batch at a time.

Source: Apache Kafka, Message format, version 2. What is in an older format is left to aiokafka: see `readable`.
"""

import struct
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

_HEAD = struct.Struct(">qiibIhiqqqhii")
_LENGTH_END = 12  # the batch's length counts what comes after it
_MAGIC_AT, _MAGIC = 16, 2
_ATTRIBUTES_AT = 21  # the checksum counts what comes from there on
_CODEC, _APPEND_TIME, _TRANSACTIONAL, _CONTROL = 0x07, 0x08, 0x10, 0x20
_DECODERS = {1: codec.gzip_decode, 2: codec.snappy_decode, 3: codec.lz4_decode, 4: codec.zstd_decode}
_LEAST_RECORD = 7  # bytes
_AT_ONCE_BYTES = 500_000
"""Bytes after which no further batch is begun: what is decompressed lies beside what is not."""


def readable(data: bytes) -> bool:
    """Tell whether `Unread` reads all batches in a partition's answer to a fetch."""
    at = 0
    while (end := _end(data, at)) is not None:
        if end - at <= _MAGIC_AT:
            return True  # reading it says what is wrong
        if data[at + _MAGIC_AT] != _MAGIC:
            return False
        at = end
    return True


def _end(data: bytes, at: int) -> int | None:
    """Return where the batch ends that begins here; None if not all of it is here."""
    if at + _LENGTH_END > len(data):
        return None
    end = at + _LENGTH_END + int.from_bytes(data[at + 8 : at + 12], "big", signed=True)
    return end if end <= len(data) else None


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
        data: whole batches of this format; a part of one at the end is left alone.
        fetch_offset: records before it are skipped.
        check_crcs: whether to check the batches' checksums.
        aborted: producer's id and first offset of the transactions that are left out.
    """

    def __init__(
        self, data: bytes, fetch_offset: int, check_crcs: bool, aborted: Iterable[tuple[int, int]] = ()
    ) -> None:
        self._data, self._at, self._check_crcs, self._aborted = data, 0, check_crcs, _Aborted(aborted)
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
        while most > 0 and room > 0 and (piece := self._piece()) is not None:
            part = piece[:most]
            self._rest = piece[most:] if len(piece) > most else None
            reached = self._batch_end if self._rest is None else int(part.offsets[-1]) + 1
            self.next_fetch_offset = max(reached, self.next_fetch_offset)
            if len(part):
                taken.append(part)
                most -= len(part)
                room -= 0 if part.data is self._data else len(part.data)
        return joined(taken)

    @property
    def done(self) -> bool:
        """Whether all is read."""
        return self._rest is None and _end(self._data, self._at) is None

    def _piece(self) -> Fetched | None:
        """Return what is left of the batch that was begun, or else the next one."""
        if self._rest is not None:
            return self._rest
        end = _end(self._data, self._at)
        if end is None:
            return None
        begin, self._at = self._at, end
        piece, self._batch_end = _batch(self._data, begin, end, self._check_crcs, self._aborted)
        return piece[int(np.searchsorted(piece.offsets, self.next_fetch_offset)) :]


def _batch(data: bytes, begin: int, end: int, check_crc: bool, aborted: _Aborted) -> tuple[Fetched, int]:
    """Return the records of a batch, and the offset after it: those of a control batch are none of ours."""
    if end - begin < _HEAD.size:
        raise CorruptRecordException(f"a record batch of {end - begin} bytes")
    whole = memoryview(data)[begin:end]
    head = _HEAD.unpack_from(whole)
    base, crc, attributes, last, first_ms, newest_ms, producer, count = head[0], *head[4:10], head[12]
    if check_crc and calc_crc32c(whole[_ATTRIBUTES_AT:]) != crc:
        raise CorruptRecordException(f"the checksum of the record batch at offset {base} is wrong")
    control = bool(attributes & _CONTROL)
    left_out = bool(attributes & (_TRANSACTIONAL | _CONTROL)) and aborted.hold(base, producer, control)
    if control or left_out:
        count = 0
    elif attributes & _CODEC:
        data = _decompressed(whole[_HEAD.size :], attributes & _CODEC)
        begin, end = 0, len(data)
    else:
        begin += _HEAD.size
    if not 0 <= count * _LEAST_RECORD <= end - begin:
        raise CorruptRecordException(f"{count} records in {end - begin} bytes at offset {base}")
    columns = np.empty((ROWS, count), np.int64)
    if not count:
        return Fetched(b"", columns), base + last + 1
    ms, unit = (newest_ms, 0) if attributes & _APPEND_TIME else (first_ms, 1)
    with_headers = _parse(np.frombuffer(data, np.uint8), begin, end, base, ms, unit, columns)
    if with_headers < 0:
        raise CorruptRecordException(f"a record is not of the format, in the batch at offset {base}")
    headers = _headers(whole, data, begin, count) if with_headers else ()
    return Fetched(data, columns, headers), base + last + 1


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
def _parse(data: Bytes, at: int, end: int, base_offset: int, ms: int, unit: int, columns: Ints) -> int:
    """Fill the columns with the records between these two places; return how many have headers, -1: they are malformed.

    Offsets must go up; a record's time is `ms`, and as many `unit`s more as the record says.
    """
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

"""Record batches written in one compiled loop: what a client does record by record, for all users of a chunk at once.

Source: Apache Kafka, Message format, version 2. A record is its length, attributes (0), the difference of its timestamp
to the batch's (0) and of its offset, key, value and headers; each number and length is a zigzag varint.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import lz4.frame
import numpy as np
from aiokafka.record.default_records import DefaultRecordBatchBuilder, _DefaultRecordBatchBuilderPy

from models.compiled import compiled
from models.state import Ints
from streams.templates import MOMENT_BYTES, Template, slot, slot_of
from streams.texts import Bytes, Texts, write_bytes
from streams.varint import varint_size, write_varint

MAX_BATCH_BYTES = 900_000
"""Below the broker's default limit of 1,048,588 bytes a message batch."""

_LZ4 = 3
_HEAD = _DefaultRecordBatchBuilderPy.HEADER_STRUCT.size
MAX_RECORDS_BYTES = MAX_BATCH_BYTES - 100
"""Most bytes of records in a batch: the rest is for its head, and some."""

_MOST_NUMBERS = 16
"""No record spends more bytes than this on attributes, timestamp, offset and the lengths of record, key and value."""


@dataclass(frozen=True)
class Batch:
    """The records of a batch, without the batch's head."""

    data: memoryview | bytes
    records: int
    codec: int = 0

    @property
    def size(self) -> int:
        """Bytes that it takes with its head."""
        size: int = _HEAD + len(self.data)
        return size

    def compressed(self) -> "Batch":
        """Return the batch in LZ4, as the fastest level makes it."""
        # Kafka wants independent blocks
        data = lz4.frame.compress(self.data, block_linked=False, store_size=False)
        return Batch(data, self.records, _LZ4)


def record_batches(
    part: Ints, keys: Texts, values: Texts, headers: Texts | None, max_bytes: int = MAX_RECORDS_BYTES
) -> dict[int, list[Batch]]:
    """Return the batches of each part, records in order.

    Args:
        part: of each record; those of a part stand together [records].
        keys: [records].
        values: [records].
        headers: what `header_template` made [records], None: no headers.
        max_bytes: most bytes of records in a batch, up to MAX_BATCH_BYTES.

    Raises:
        ValueError: a record is larger than a batch, or a batch would be larger than allowed.
    """
    if max_bytes > MAX_BATCH_BYTES:
        raise ValueError(f"a batch of more than {MAX_BATCH_BYTES} bytes")
    count = len(part)
    if headers is None:
        headers = Texts(np.zeros(count, np.uint8), np.arange(1, count + 1))
    out = np.empty(len(keys.data) + len(values.data) + len(headers.data) + count * _MOST_NUMBERS, np.uint8)
    ends, until = np.empty(count, np.int64), np.empty(count, np.int64)
    made = _write(
        np.ascontiguousarray(part, np.int64),
        keys.data,
        keys.ends,
        values.data,
        values.ends,
        headers.data,
        headers.ends,
        max_bytes,
        out,
        ends,
        until,
    )
    if made < 0:
        raise ValueError(f"record {-made - 1} does not fit a batch of {max_bytes} bytes")
    flat = memoryview(out)  # type: ignore[arg-type]
    batches: dict[int, list[Batch]] = {}
    begin = first = 0
    for end, last in zip(ends[:made].tolist(), until[:made].tolist(), strict=True):
        batches.setdefault(int(part[first]), []).append(Batch(flat[begin:end], last - first))
        begin, first = end, last
    return batches


Single: TypeAlias = tuple[int, bytes | None, bytes, list[tuple[str, bytes]]]
"""A record: part, key, value and headers."""


def single_records(records: Iterable[Single], max_bytes: int = MAX_RECORDS_BYTES) -> dict[int, list[Batch]]:
    """Return the batches of each part, records in order, as `record_batches` does: quicker for a few records.

    Args:
        records: to be written.
        max_bytes: most bytes of records in a batch.

    Raises:
        ValueError: a record is larger than a batch.
    """
    builders: dict[int, list[list[Any]]] = {}  # with the number of records in each
    for part, key, value, headers in records:
        mine = builders.setdefault(part, [])
        if not mine or mine[-1][0].append(mine[-1][1], 0, key, value, headers) is None:  # the batch is full
            mine.append([DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, max_bytes + _HEAD), 0])
            mine[-1][0].append(0, 0, key, value, headers)
            if mine[-1][0].size() > max_bytes + _HEAD:
                raise ValueError(f"a record of {mine[-1][0].size()} bytes does not fit a batch of {max_bytes}")
        mine[-1][1] += 1
    return {
        part: [Batch(memoryview(builder.build())[_HEAD:], count) for builder, count in mine]
        for part, mine in builders.items()
    }


def header_template(headers: Sequence[tuple[str, bytes]]) -> Template:
    """Return the headers of a record, the numbers before them included, as a template.

    Args:
        headers: name and value; a value may be one slot of a text or a moment.
    """
    text = _number(len(headers))
    for name, value in headers:
        text += _number(len(name)) + name.encode() + _length(value) + value
    return Template(text)


def _length(value: bytes) -> bytes:
    """Return what stands before a header's value."""
    match slot_of(value):
        case "text", name:
            return slot("length", name)
        case "moment", _:
            return _number(MOMENT_BYTES)
    return _number(len(value))


def _number(value: int) -> bytes:
    out = np.empty(_MOST_NUMBERS, np.uint8)
    return out[: write_varint(out, 0, value)].tobytes()


@compiled
def _write(
    part: Ints,
    keys: Bytes,
    key_ends: Ints,
    values: Bytes,
    value_ends: Ints,
    headers: Bytes,
    header_ends: Ints,
    max_bytes: int,
    out: Bytes,
    ends: Ints,
    until: Ints,
) -> int:
    """Write the records; return the number of batches, or -1 - n where record n is larger than a batch.

    `ends` and `until` are told where each batch ends in `out`, and the number of its last record plus one.
    """
    batches = first = begin = at = key = value = header = 0
    for record in range(len(part)):
        key_size, value_size = key_ends[record] - key, value_ends[record] - value
        header_size = header_ends[record] - header
        content = varint_size(key_size) + key_size + varint_size(value_size) + value_size + header_size
        content += 2  # attributes and the difference to the batch's timestamp: both 0
        length = varint_size(record - first) + content
        size = varint_size(length) + length
        if record > first and (part[record] != part[record - 1] or at + size - begin > max_bytes):
            ends[batches], until[batches] = at, record
            batches, first, begin = batches + 1, record, at
            length = 1 + content
            size = varint_size(length) + length
        if size > max_bytes:
            return -1 - record
        at = write_varint(out, at, length)
        out[at] = out[at + 1] = 0
        at = write_varint(out, at + 2, record - first)
        at = write_bytes(out, write_varint(out, at, key_size), keys, key, key + key_size)
        at = write_bytes(out, write_varint(out, at, value_size), values, value, value + value_size)
        at = write_bytes(out, at, headers, header, header + header_size)
        key, value, header = key + key_size, value + value_size, header + header_size
    if len(part):
        ends[batches], until[batches] = at, len(part)
        batches += 1
    return batches

"""Record batches written a column at a time: what a client does record by record, for all users of a chunk at once.

Source: Apache Kafka, Message format, version 2. A record is its length, attributes (0), the difference of its timestamp
to the batch's (0) and of its offset, key, value and headers; each number and length is a zigzag varint.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import lz4.frame
import numpy as np
from aiokafka.record.default_records import DefaultRecordBatchBuilder, _DefaultRecordBatchBuilderPy

from models.state import Ints
from streams.columns import Mask, Padded, Template

MAX_BATCH_BYTES = 900_000
"""Below the broker's default limit of 1,048,588 bytes a message batch."""

_LZ4 = 3
_HEAD = _DefaultRecordBatchBuilderPy.HEADER_STRUCT.size
MAX_RECORDS_BYTES = MAX_BATCH_BYTES - 100
"""Most bytes of records in a batch: the rest is for its head, and some."""

_NO_HEADERS = b"\0"
_ATTRIBUTES_AND_TIME = b"\0\0"
_MOST_NUMBERS = 16
"""No record spends more bytes than this on attributes, timestamp, offset and the lengths of record, key and value."""


@dataclass(frozen=True)
class Batch:
    """The records of a batch, without the batch's head."""

    data: memoryview | bytes
    records: int
    codec: int = 0

    def compressed(self) -> "Batch":
        """Return the batch in LZ4, as the fastest level makes it."""
        # Kafka wants independent blocks
        data = lz4.frame.compress(self.data, block_linked=False, store_size=False)
        return Batch(data, self.records, _LZ4)


def record_batches(
    part: Ints, keys: Padded, values: Padded, headers: Padded | None, max_bytes: int = MAX_RECORDS_BYTES
) -> dict[int, list[Batch]]:
    """Return the batches of each part, records in order.

    Args:
        part: of each record; those of a part stand together [records].
        keys: [records].
        values: [records].
        headers: what `header_template` made [records], None: no headers.
        max_bytes: most bytes of records in a batch.

    Raises:
        ValueError: a record is larger than a batch.
    """
    if not len(part):
        return {}
    headers = headers or _constant(len(part), _NO_HEADERS)
    key_length, value_length = keys.lengths(), values.lengths()
    content = key_length + value_length + headers.lengths()
    largest = content + _MOST_NUMBERS
    if int(largest.max()) > max_bytes:
        raise ValueError(f"a record of {int(largest.max())} bytes does not fit a batch of {max_bytes}")
    first = _first_of_batch(part, largest, max_bytes)
    starts = np.flatnonzero(first)
    ends = np.append(starts[1:], len(part))
    offset = varint(np.arange(len(part)) - np.repeat(starts, ends - starts))
    key_number, value_number = varint(key_length), varint(value_length)
    length = len(_ATTRIBUTES_AND_TIME) + content
    for number in (offset, key_number, value_number):
        length += number.lengths()
    length_number = varint(length)
    fixed = _constant(len(part), _ATTRIBUTES_AND_TIME)
    record = _side_by_side([length_number, fixed, offset, key_number, keys, value_number, values, headers])
    flat = memoryview(record.data[record.keep])  # type: ignore[arg-type]
    until = np.cumsum(length + length_number.lengths())[ends - 1].tolist()
    batches: dict[int, list[Batch]] = {}
    for its, begin, end, records in zip(
        part[starts].tolist(), [0, *until], until, (ends - starts).tolist(), strict=False
    ):
        batches.setdefault(its, []).append(Batch(flat[begin:end], records))
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


def varint(values: Ints) -> Padded:
    """Return whole numbers, 0 or more, as zigzag varints.

    >>> [string.hex() for string in varint(np.array([0, 63, 64, 10_000])).strings()]
    ['00', '7e', '8001', 'a09c01']
    """
    rest: Ints = values << 1
    data: list[Ints] = []
    keep: list[Mask] = []
    while not data or rest.any():
        keep.append(rest > 0 if data else np.ones(len(values), bool))
        data.append((rest & 0x7F) | np.where(rest > 0x7F, 0x80, 0))
        rest = rest >> 7
    return Padded(np.stack(data, axis=1).astype(np.uint8), np.stack(keep, axis=1))


def header_template(headers: Sequence[tuple[str, bytes]]) -> Template:
    r"""Return the headers of a record, the numbers before them included, as a template.

    Args:
        headers: name and value; the value may be one slot, say `NUL id NUL`. Then the template has a slot before it for
            the varint of its length: `NUL id_length NUL`.
    """
    text = _number(len(headers))
    for name, value in headers:
        text += _number(len(name)) + name.encode()
        text += value.rstrip(b"\0") + b"_length\0" + value if value.startswith(b"\0") else _number(len(value)) + value
    return Template(text)


def _number(value: int) -> bytes:
    return varint(np.array([value])).strings()[0]


def _first_of_batch(part: Ints, largest: Ints, max_bytes: int) -> Mask:
    """Tell which records begin a batch: none is larger than allowed, by an upper bound of the records' sizes."""
    new_part = np.diff(part, prepend=part[:1] - 1) != 0
    before = np.cumsum(largest) - largest
    offset = before - np.repeat(before[new_part], np.diff(np.append(np.flatnonzero(new_part), len(part))))
    # records that begin in the same stretch of this length end before the limit
    stretch = offset // max(max_bytes - int(largest.max()), 1)
    return np.asarray(new_part | (np.diff(stretch, prepend=-1) != 0))


def _constant(count: int, data: bytes) -> Padded:
    shape = (count, len(data))
    return Padded(np.broadcast_to(np.frombuffer(data, np.uint8), shape), np.broadcast_to(np.True_, shape))


def _side_by_side(pieces: Sequence[Padded]) -> Padded:
    data = np.concatenate([piece.data for piece in pieces], axis=1)
    return Padded(data, np.concatenate([piece.keep for piece in pieces], axis=1))

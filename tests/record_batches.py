"""Record batches as a broker hands them out, right and wrong."""

import struct
from collections.abc import Sequence
from typing import NamedTuple

from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

from schemas.cloudevents import Headers
from streams.fetched import Fetched

ATTRIBUTES_AT, COUNT_AT, CRC_AT, HEAD = 21, 57, 17, 61
APPEND_TIME, TRANSACTIONAL, CONTROL = 0x08, 0x10, 0x20


class Plain(NamedTuple):
    offset: int
    timestamp: int = 1000
    key: bytes | None = b"ann"
    value: bytes | None = b"{}"
    headers: Headers = ()


def batch(records: Sequence[Plain], codec: int = 0, base: int = 0, transactional: bool = False) -> bytes:
    """Return a batch as a producer and the broker make it."""
    builder = DefaultRecordBatchBuilder(2, codec, transactional, 7 if transactional else -1, 0, 0, 10_000_000)
    for record in records:
        builder.append(record.offset - base, record.timestamp, record.key, record.value, list(record.headers))
    made = bytearray(builder.build())
    struct.pack_into(">q", made, 0, base)
    return bytes(made)


def sealed(made: bytes) -> bytes:
    """Return a batch that was tampered with under a checksum that is right, so that only a reader can object."""
    crc: int = calc_crc32c(made[ATTRIBUTES_AT:])
    return made[:CRC_AT] + crc.to_bytes(4, "big") + made[ATTRIBUTES_AT:]


def with_attributes(made: bytes, bits: int) -> bytes:
    return sealed(made[: ATTRIBUTES_AT + 1] + bytes([made[ATTRIBUTES_AT + 1] | bits]) + made[ATTRIBUTES_AT + 2 :])


def objects(read: Fetched) -> list[Plain]:
    """Return records one by one."""
    found = []
    for k, (offset, ts_ms, key, key_end, _, _) in enumerate(read.columns.T.tolist()):
        text = read.data[key:key_end] if key >= 0 else None
        found.append(Plain(offset, ts_ms, text, read.value(k), read.headers[k] if read.headers else ()))
    return found

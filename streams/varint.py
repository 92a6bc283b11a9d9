"""Kafka's numbers of variable length: zigzag varints (Apache Kafka, Message format, version 2)."""

import numpy as np

from models.compiled import compiled
from streams.texts import Bytes


@compiled
def write_varint(out: Bytes, at: int, value: int) -> int:
    """Write a whole number, 0 or more, as a zigzag varint; return where it ends."""
    value <<= 1
    while value > 0x7F:
        out[at] = np.uint8((value & 0x7F) | 0x80)
        at += 1
        value >>= 7
    out[at] = np.uint8(value)
    return at + 1


@compiled
def varint_size(value: int) -> int:
    """Return how many bytes a whole number, 0 or more, takes.

    >>> [varint_size(value) for value in (0, 63, 64, 10_000)]
    [1, 1, 2, 3]
    """
    size, rest = 1, value >> 6
    while rest:
        size += 1
        rest >>= 7
    return size

"""A hash that nobody can aim at: keys come from outside, and ids chosen to collide would make every look-up long.

Source: Aumasson and Bernstein, SipHash: a fast short-input PRF (2012), with one round a word and three at the end, as
CPython hashes its strings.
"""

import os
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from models.compiled import compiled
from models.state import Ints
from streams.texts import Bytes

Hashes: TypeAlias = npt.NDArray[np.uint64]

_SEED = np.frombuffer(os.urandom(16), np.uint64)


def hashes(data: Bytes, start: Ints, end: Ints, seed: Hashes = _SEED) -> Hashes:
    """Return the hash of each text, another one in each process.

    Args:
        data: all texts, read only [bytes].
        start: where each text begins, int64 [texts].
        end: where it ends, int64 [texts].
        seed: two words.

    >>> word, seed = np.frombuffer(b"ann", np.uint8), np.zeros(2, np.uint64)  # CPython's, with PYTHONHASHSEED=0
    >>> [hex(number) for number in hashes(word, np.array([0, 1]), np.array([3, 3]), seed)]
    ['0x5dc52f7edaa454b8', '0x5581105212343b35']
    """
    return _hashes(data, start, end, seed[0], seed[1])


@compiled
def _hashes(data: Bytes, start: Ints, end: Ints, first: np.uint64, second: np.uint64) -> Hashes:
    found = np.empty(len(start), np.uint64)
    for k in range(len(start)):
        found[k] = _hash(data, start[k], end[k], first, second)
    return found


@compiled
def _hash(data: Bytes, start: int, end: int, first: np.uint64, second: np.uint64) -> np.uint64:
    a = first ^ np.uint64(0x736F6D6570736575)
    b = second ^ np.uint64(0x646F72616E646F6D)
    c = first ^ np.uint64(0x6C7967656E657261)
    d = second ^ np.uint64(0x7465646279746573)
    at = start
    while end - at >= 8:
        word = np.uint64(0)
        for k in range(8):
            word |= np.uint64(data[at + k]) << np.uint64(8 * k)
        d ^= word
        a, b, c, d = _round(a, b, c, d)
        a ^= word
        at += 8
    word = np.uint64(end - start) << np.uint64(56)
    for k in range(end - at):
        word |= np.uint64(data[at + k]) << np.uint64(8 * k)
    d ^= word
    a, b, c, d = _round(a, b, c, d)
    a ^= word
    c ^= np.uint64(0xFF)
    for _ in range(3):
        a, b, c, d = _round(a, b, c, d)
    return a ^ b ^ c ^ d


@compiled
def _round(a: np.uint64, b: np.uint64, c: np.uint64, d: np.uint64) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    a += b
    b = _turned(b, 13) ^ a
    a = _turned(a, 32)
    c += d
    d = _turned(d, 16) ^ c
    a += d
    d = _turned(d, 21) ^ a
    c += b
    b = _turned(b, 17) ^ c
    c = _turned(c, 32)
    return a, b, c, d


@compiled
def _turned(word: np.uint64, bits: int) -> np.uint64:
    return word << np.uint64(bits) | word >> np.uint64(64 - bits)

"""Which partition a key goes to: murmur2, as Kafka's Java client does it.

A producer that hashes in another way splits a user over partitions. In clients built on librdkafka set
`partitioner=murmur2_random`; their default is another hash.

Source: Austin Appleby's MurmurHash2, as `org.apache.kafka.common.utils.Utils.murmur2` has it (seed 0x9747b28c).
"""

_SEED = 0x9747B28C
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """Return the hash of some bytes, as Java's signed 32-bit number.

    >>> murmur2(b"foobar")
    -790332482
    """
    h = _SEED ^ len(data)
    whole = len(data) & ~3
    for start in range(0, whole, 4):
        k = int.from_bytes(data[start : start + 4], "little") * _M & _MASK
        k = (k ^ k >> 24) * _M & _MASK
        h = h * _M & _MASK ^ k
    if whole < len(data):
        h = (h ^ int.from_bytes(data[whole:], "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    h ^= h >> 15
    return h - 2**32 if h >= 2**31 else h


def partition(key: bytes, partitions: int) -> int:
    """Return the partition of a key among so many.

    >>> partition(b"u-81723", 8)
    7
    """
    return (murmur2(key) & 0x7FFFFFFF) % partitions

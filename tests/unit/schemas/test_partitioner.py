import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.partitioner.default import murmur2 as kafka_murmur2

from schemas.partitioner import murmur2, partition

# from UtilsTest.testMurmur2 of Apache Kafka's Java client
JAVA = {
    "21": -973932308,
    "foobar": -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    "abc": 479470107,
}


@pytest.mark.parametrize(("text", "hash_"), JAVA.items())
def test_hash_is_that_of_the_java_client(text: str, hash_: int) -> None:
    assert murmur2(text.encode()) == hash_


@given(st.binary(max_size=64), st.integers(1, 1000))
def test_partition_is_that_of_kafka_python(key: bytes, partitions: int) -> None:
    assert murmur2(key) & 0xFFFFFFFF == kafka_murmur2(key) & 0xFFFFFFFF
    assert partition(key, partitions) == (kafka_murmur2(key) & 0x7FFFFFFF) % partitions


def test_negative_hash_goes_to_the_java_clients_partition() -> None:
    # toPositive clears the sign bit; the absolute value would give another partition
    assert partition(b"21", 10) == (-973932308 & 0x7FFFFFFF) % 10 == 0
    assert abs(-973932308) % 10 == 8

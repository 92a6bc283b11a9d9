"""Which partition each client of docs/clients chooses, held against what Kafka's own Java client made."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
from client_examples import FOLDER, VECTORS, example
from confluent_kafka import Producer
from kafka import KafkaProducer

from schemas.partitioner import murmur2, partition

MOCK_PARTITIONS = 4
"""Of topics of the broker that librdkafka brings for tests."""


def test_our_partitioner_is_that_of_the_java_client() -> None:
    assert len(VECTORS) > 20
    for vector in VECTORS:
        key = vector["key"].encode()
        assert murmur2(key) == vector["murmur2"]
        assert {count: partition(key, int(count)) for count in vector["partition"]} == vector["partition"]


def test_kafka_python_with_its_defaults_partitions_as_the_java_client() -> None:
    partitioner = KafkaProducer.DEFAULT_CONFIG["partitioner"]
    for vector in VECTORS:
        for count, number in vector["partition"].items():
            everywhere = set(range(int(count)))
            cluster = SimpleNamespace(
                topics=lambda: {"t"},
                partitions_for_topic=lambda _, all_=everywhere: all_,
                available_partitions_for_topic=lambda _, all_=everywhere: all_,
            )
            key = vector["key"]
            assert partitioner.partition("t", key, key.encode(), None, None, cluster) == number


def delivered(settings: Mapping[str, object]) -> list[int | None]:
    """The partition on which confluent-kafka puts the key of each vector."""
    producer = Producer({"test.mock.num.brokers": 1, "log_level": 0, **settings})
    found: dict[bytes | None, int | None] = {}
    for vector in VECTORS:
        producer.produce("t", b"", vector["key"], on_delivery=lambda _, m: found.update({m.key(): m.partition()}))
    assert producer.flush(30) == 0
    return [found[vector["key"].encode()] for vector in VECTORS]


def test_confluent_kafka_partitions_as_the_java_client_with_the_setting_of_the_example() -> None:
    java = [vector["partition"][str(MOCK_PARTITIONS)] for vector in VECTORS]
    assert delivered(example("confluent_client").PARTITIONER) == java
    assert delivered({}) != java


def test_vectors_are_what_the_java_client_makes_today(kafka_home: Path) -> None:
    if shutil.which("javac") is None:
        pytest.skip("a JDK is needed to run a Java source file, and javac is not here")
    command = ["java", "-cp", f"{kafka_home}/libs/*", str(FOLDER / "Murmur2Vectors.java")]
    made = subprocess.run(command, capture_output=True, timeout=120, check=True, env=os.environ | {"LC_ALL": "C"})
    assert made.stdout == (FOLDER / "murmur2.json").read_bytes()

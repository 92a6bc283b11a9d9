"""What a worker leaves behind: its rows in the changelog, held against a plain fold, and what its topics weigh."""

from collections.abc import Sequence

import numpy as np
from kafka import TopicPartition
from kafka.errors import KafkaError

from models.state import Rows
from streams.benchmark.workload import Workload
from streams.chunk.table import MARKER, VALUE
from streams.clients import admin, consumer
from streams.errors import NextactError
from streams.settings import Settings
from streams.topics import changelog
from streams.user_rows import UserRows

PREDICTED_FROM = ("now", "minutes", "hours", "days", "newest_ms", "total")
"""Fields of a row that say what its forecasts are; the others depend on how the events were cut into chunks."""


class BenchmarkFailed(NextactError):  # noqa: N818
    """The worker ended, hung, or its state is not that of the fold: there is no figure."""


def check_state(settings: Settings, input_: Workload) -> tuple[list[bytes], Rows]:
    """Hold the rows in the changelog against the fold, and return them by user: a fast wrong answer is no answer.

    Raises:
        BenchmarkFailed: they differ.
    """
    values = _changelog_values(settings)
    values.pop(MARKER, None)
    rows = np.frombuffer(b"".join(values.values()), VALUE)["row"]
    if dict(zip(values, rows["total"].tolist(), strict=True)) != input_.totals():
        raise BenchmarkFailed("the state in the changelog is not that of a plain fold over the input")
    return list(values), rows


def equal_share(keys: Sequence[bytes], rows: Rows, reference: UserRows) -> float:
    """Return the share of users whose forecasts are those of a reference that knows the same users."""
    expected = {key: row for part in reference.partitions.values() for key, row in zip(part, part.rows, strict=True)}
    ordered = np.array([expected[key] for key in keys], rows.dtype)
    equal = np.ones(len(keys), bool)
    for field in PREDICTED_FROM:
        equal &= (rows[field] == ordered[field]).reshape(len(keys), -1).all(axis=1)
    return float(equal.mean())


def log_bytes(settings: Settings, topics: Sequence[str]) -> int | None:
    """Return how many bytes the logs of topics hold, one replica of each; None where the broker does not say."""
    sizes: dict[tuple[str, int], int] = {}
    with admin(settings) as client:
        try:
            brokers = client.describe_log_dirs(list(topics))
        except KafkaError:
            return None
    for topic in (topic for broker in brokers for folder in broker["log_dirs"] for topic in folder["topics"]):
        for partition in topic["partitions"]:
            place = topic["name"], partition["partition_index"]
            sizes[place] = max(partition["partition_size"], sizes.get(place, 0))
    return sum(sizes.values())


def record_count(settings: Settings, topic: str) -> int:
    """Return how many records were written to a topic, markers of the changelog included."""
    with consumer(settings) as reader:
        ends = reader.end_offsets([TopicPartition(topic, number) for number in range(settings.partitions)])
    return sum(ends.values())


def _changelog_values(settings: Settings) -> dict[bytes, bytes]:
    values: dict[bytes, bytes] = {}
    name = changelog(settings).name
    with consumer(settings, auto_offset_reset="earliest") as reader:
        partitions = [TopicPartition(name, number) for number in range(settings.partitions)]
        reader.assign(partitions)
        ends = reader.end_offsets(partitions)
        while any(reader.position(partition) < end for partition, end in ends.items()):
            for batch in reader.poll(1000, max_records=20_000).values():
                values.update((record.key, record.value) for record in batch)
    return values

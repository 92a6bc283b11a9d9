"""What a worker leaves behind: its rows in the changelog, held against a plain fold, and what its topics weigh."""

from collections.abc import Mapping, Sequence

import numpy as np
from kafka import TopicPartition
from kafka.errors import KafkaError

from models.model_directory import Model
from models.state import Rows
from streams.benchmark.plain_network import Event, PlainNetwork
from streams.benchmark.workload import Workload
from streams.chunk.changelog import LOGGED
from streams.chunk.logged_rows import MARKER
from streams.clients import admin, consumer
from streams.errors import NextactError
from streams.settings import Settings
from streams.topics import changelog
from streams.user_rows import UserRows

PREDICTED_FROM = (
    *("now", "minutes", "hours", "days", "newest_ms", "total"),
    *("accepted", "ring_item", "ring_ts_low", "ring_high", "older_low", "older_high"),
)
"""Fields of a row that say what its forecasts are; the others depend on how the events were cut into chunks."""

SAMPLE, LONGEST = 200, 1000
"""Users whose recurrent state is computed again, and the most events of one: the plain network is slow."""

_FETCH_BYTES = 1 << 22


class BenchmarkFailed(NextactError):  # noqa: N818
    """The worker ended, hung, or its state is not that of the fold: there is no figure."""


def check_state(settings: Settings, input_: Workload) -> tuple[list[bytes], Rows]:
    """Hold the rows in the changelog against the fold, and return them by user: a fast wrong answer is no answer.

    Raises:
        BenchmarkFailed: they differ.
    """
    name = changelog(settings).name
    values = last_values(settings, {TopicPartition(name, number): 0 for number in range(settings.partitions)})
    values.pop(MARKER, None)
    rows = np.frombuffer(b"".join(values.values()), LOGGED)["row"]
    if dict(zip(values, rows["total"].tolist(), strict=True)) != input_.totals():
        raise BenchmarkFailed("the state in the changelog is not that of a plain fold over the input")
    return list(values), rows


def check_network(keys: Sequence[bytes], rows: Rows, input_: Workload, model: Model) -> None:
    """Hold the recurrent states of some users, drawn from all, against the plain network's, to the bit.

    Args:
        keys: all users.
        rows: theirs [users].
        input_: all events, in order of time; the rows must have seen them in that order.
        model: made the states.

    Raises:
        BenchmarkFailed: one differs.
    """
    counts = rows["total"].sum(axis=1)
    drawn = np.random.default_rng(0).permutation(len(keys))
    few = drawn[counts[drawn] <= LONGEST][:SAMPLE].tolist() or [int(counts.argmin())]
    numbers = {int(keys[place][1:]): place for place in few}
    events: dict[int, list[Event]] = {place: [] for place in few}
    mine = np.flatnonzero(np.isin(input_.user, list(numbers)))
    columns = (input_.user, input_.item, input_.action, input_.ts_ms)
    for user, item, action, ts_ms in zip(*(column[mine].tolist() for column in columns), strict=True):
        events[numbers[user]].append(Event(b"i%d" % item, action, ts_ms))
    network = PlainNetwork(model)
    wrong = [place for place in few if network.state(events[place]) != rows["now"][place].tolist()]
    if wrong:
        raise BenchmarkFailed(
            f"the recurrent state of {len(wrong)} of {len(few)} users is not that of the plain network"
        )


def equal_share(keys: Sequence[bytes], rows: Rows, reference: UserRows) -> float:
    """Return the share of users whose forecasts are those of a reference that knows the same users."""
    expected = {key: row for part in reference.partitions.values() for key, row in zip(part, part.rows, strict=True)}
    ordered = np.array([expected[key] for key in keys], rows.dtype)
    equal = np.ones(len(keys), bool)
    for field in PREDICTED_FROM:
        equal &= (rows[field] == ordered[field]).reshape(len(keys), -1).all(axis=1)
    return float(equal.mean())


def last_values(settings: Settings, since: Mapping[TopicPartition, int]) -> dict[bytes, bytes]:
    """Return the last value of each key in partitions, from these offsets on."""
    values: dict[bytes, bytes] = {}
    with consumer(settings, check_crcs=False, fetch_max_wait_ms=10, max_partition_fetch_bytes=_FETCH_BYTES) as reader:
        reader.assign(list(since))
        for partition, offset in since.items():
            reader.seek(partition, offset)
        ends = reader.end_offsets(list(since))
        while any(reader.position(partition) < end for partition, end in ends.items()):
            for batch in reader.poll(1000, max_records=20_000).values():
                values.update((record.key, record.value) for record in batch)
    return values


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

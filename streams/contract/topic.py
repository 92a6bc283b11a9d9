"""Records that stand in input topics now, in the order in which workers come to them."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from heapq import merge
from operator import itemgetter

from kafka import TopicPartition

from schemas.topics import INPUTS, physical_name
from streams.clients import consumer
from streams.contract.record import Place, Record
from streams.errors import SettingsError
from streams.rights import READ
from streams.settings import Settings
from streams.spans import records_of
from streams.tail import find_topic
from streams.topics import check_topics


def records(settings: Settings, names: Sequence[str], last: int | None = None) -> Iterator[Record]:
    """Yield the records of topics up to what the broker has now.

    One partition comes after the other; in each the topics are merged by the records' times.

    Args:
        settings: broker, prefix, partitions.
        names: of input topics, with or without the prefix.
        last: only the newest so many of each partition of each topic.

    Raises:
        SettingsError: one is no input topic.
        BrokerUnavailable, BrokerRefused, TopicsMissing, PartitionsDiffer: there is nothing to read from.
    """
    topics = dict.fromkeys(find_topic(settings, name).logical for name in names)
    for topic in topics:
        if topic not in INPUTS:
            raise SettingsError(f"--topic {topic}: events come in {', '.join(INPUTS)}")
    check_topics(settings, dict.fromkeys(topics, (READ,)))
    for number in range(settings.partitions):
        each = [_of_partition(settings, topic, number, last) for topic in topics]
        yield from map(itemgetter(1), merge(*each, key=itemgetter(0)))


def _of_partition(settings: Settings, topic: str, number: int, last: int | None) -> Iterator[tuple[int, Record]]:
    """Yield the records of a partition, each with its time."""
    where = TopicPartition(physical_name(topic, settings.topic_prefix), number)
    with closing(consumer(settings, auto_offset_reset="earliest", isolation_level="read_committed")) as client:
        [end] = client.end_offsets([where]).values()
        [start] = client.beginning_offsets([where]).values()
        span = {where: (start if last is None else max(start, end - last), end)}
        for record in records_of(client, settings, span):
            place = Place(where.topic, record.offset, number)
            yield record.timestamp, Record(place, topic, record.value, record.key, record.headers, number)

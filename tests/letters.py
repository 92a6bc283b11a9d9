"""Letters on a broker, and what a replay of them left in the input topics."""

from collections import Counter
from typing import Any

from kafka import TopicPartition

from schemas.dead_letters import REPLAY_OF, DeadLetter, dead_letter, encode_dead_letter
from schemas.events import Reason, Rejected
from schemas.topics import DEAD_LETTERS, INPUTS, physical_name
from streams.clients import consumer, producer
from streams.settings import Settings


def letter(
    value: bytes | None,
    key: bytes | None = b"ann",
    *,
    topic: str = "views",
    partition: int = 0,
    offset: int = 0,
    reason: Reason = Reason.WRONG_TYPE,
    headers: tuple[tuple[str, bytes | None], ...] = (),
    rejected_at_ms: int = 1_760_000_000_000,
) -> DeadLetter:
    return dead_letter(
        Rejected(reason, "bad"),
        topic=topic,
        partition=partition,
        offset=offset,
        timestamp_ms=1_760_000_000_000 - 5,
        key=key,
        value=value,
        headers=headers,
        rejected_at_ms=rejected_at_ms,
    )


def publish(settings: Settings, *letters: DeadLetter) -> None:
    """Write letters as a worker does."""
    with producer(settings) as client:
        for each in letters:
            name = physical_name(DEAD_LETTERS, settings.topic_prefix)
            client.send(name, encode_dead_letter(each), each.key, partition=each.partition)
        client.flush()


def replayed(settings: Settings) -> Counter[str]:
    """How often the record of each letter, by its id, stands in the input topics."""
    found: Counter[str] = Counter()
    for record in input_records(settings):
        found.update(value.decode() for name, value in record.headers if name == REPLAY_OF)
    return found


def input_records(settings: Settings) -> list[Any]:
    """All records of the input topics."""
    with consumer(settings, auto_offset_reset="earliest") as reader:
        names = [physical_name(topic, settings.topic_prefix) for topic in INPUTS]
        tps = [TopicPartition(name, p) for name in names for p in range(settings.partitions)]
        reader.assign(tps)
        ends, found = reader.end_offsets(tps), []
        while any(reader.position(tp) < end for tp, end in ends.items()):
            found += [record for batch in reader.poll(500).values() for record in batch]
    return found

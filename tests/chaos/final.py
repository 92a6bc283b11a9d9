"""What is on the brokers when all is done."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import confluent_kafka
import numpy as np
from kafka import TopicPartition

from models.state import Rows
from schemas.topics import INPUTS, physical_name
from streams.benchmark.open_loop import arguments
from streams.chunk.changelog import LOGGED
from streams.chunk.logged_rows import MARKER
from streams.clients import consumer
from streams.settings import Settings
from streams.topics import changelog


class Record(NamedTuple):
    """A record as it stands on the broker."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


def read(settings: Settings, topic: str) -> list[Record]:
    """Return all records of a topic (its name on the broker), each partition in order."""
    found = []
    with consumer(settings, auto_offset_reset="earliest", max_partition_fetch_bytes=1 << 22) as reader:
        tps = [TopicPartition(topic, number) for number in range(settings.partitions)]
        reader.assign(tps)
        ends = reader.end_offsets(tps)
        while any(reader.position(tp) < end for tp, end in ends.items()):
            for batch in reader.poll(1000, max_records=20_000).values():
                found += [Record(r.partition, r.offset, r.timestamp, r.key, r.value) for r in batch]
    return found


def not_committed(settings: Settings) -> dict[str, int]:
    """Return how many records of each input partition the group has not committed; empty if none."""
    own = {"group.id": settings.topic_prefix + settings.group, "enable.auto.commit": False, "log_level": 2}
    reader: Any = confluent_kafka.Consumer(arguments(settings) | own)
    try:
        tps = [
            confluent_kafka.TopicPartition(physical_name(topic, settings.topic_prefix), number)
            for topic in INPUTS
            for number in range(settings.partitions)
        ]
        behind = {}
        for tp in reader.committed(tps, timeout=10):
            _, end = reader.get_watermark_offsets(tp, timeout=10)
            if left := end - max(tp.offset, 0):
                behind[f"{tp.topic}-{tp.partition}"] = left
        return behind
    finally:
        reader.close()


class Row(NamedTuple):
    """A row in the changelog."""

    partition: int
    offset: int
    writer: bytes
    row: Rows


@dataclass
class Changelog:
    """The changelog as it is left: compacted, with markers.

    Attributes:
        last: the last row of each user, whoever wrote it.
        fenced: the last row of each user that its partition's owner of the time wrote: what a recovery takes.
        stale: number of rows by others than the owner that are still there.
        history: what is left of each user's rows.
        markers: where owners changed.
        written: how many records were written, those that the cleaner has removed among them.
        left: how many are left.
    """

    last: dict[bytes, Row] = field(default_factory=dict)
    fenced: dict[bytes, Row] = field(default_factory=dict)
    stale: int = 0
    history: dict[bytes, list[Row]] = field(default_factory=dict)
    markers: list[tuple[int, int, bytes]] = field(default_factory=list)  # partition, offset, writer
    written: int = 0
    left: int = 0

    def story(self, key: bytes, partition: int) -> Iterator[str]:
        """Yield what the changelog tells of a user: its last rows, between the markers of its partition."""
        rows = [(r.offset, f"row by {r.writer.hex()[:8]} {_brief(r.row)}") for r in self.history.get(key, [])]
        marks = [(offset, f"marker of {who.hex()[:8]}") for number, offset, who in self.markers if number == partition]
        for offset, text in sorted(rows + marks)[-12:]:
            yield f"changelog {partition} @ {offset}: {text}"


def read_changelog(settings: Settings) -> Changelog:
    """Return what the changelog says, both as it stands and as a recovery reads it."""
    found, owner = Changelog(), dict[int, bytes]()
    ends: dict[int, int] = {}
    for record in read(settings, changelog(settings).name):
        found.left += 1
        ends[record.partition] = record.offset + 1
        if record.value is None or record.key is None:
            continue
        if record.key == MARKER:
            owner[record.partition] = record.value
            found.markers.append((record.partition, record.offset, record.value))
            continue
        value = np.frombuffer(record.value, LOGGED)[0]
        row = Row(
            record.partition,
            record.offset,
            value["writer"].tobytes(),
            value["row"],
        )
        found.last[record.key] = row
        found.history.setdefault(record.key, []).append(row)
        if owner.get(record.partition, row.writer) == row.writer:
            found.fenced[record.key] = row
        else:
            found.stale += 1
    found.written = sum(ends.values())
    return found


def _brief(row: Rows) -> str:
    return f"applied {row['applied'].tolist()} total {row['total'].tolist()} newest {row['newest_ms']}"

"""The input topics as a log, to learn from or to keep: what stands in them from a time to a time, decoded."""

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import polars as pl
from kafka import KafkaConsumer, TopicPartition

from models.events_file import OPTIONAL, REQUIRED
from schemas.events import Event, Rejected, decode_event
from schemas.topics import ACTION_OF_TOPIC, INPUTS, physical_name
from streams.clients import consumer
from streams.errors import TopicsEmpty
from streams.rights import READ
from streams.settings import Settings
from streams.spans import Span, records_of
from streams.topics import check_topics

_ROWS = 50_000  # held as objects at once

_COLUMNS = {name: kind for name, kind in (REQUIRED | OPTIONAL).items() if name in (*Event.__struct_fields__, "action")}
_TEXTS = [name for name, kind in _COLUMNS.items() if kind == pl.String and name != "event_id"]

Report = Callable[[int, int], None]
"""Told how many records were read, and of how many."""


@dataclass
class TopicLog:
    """What was read.

    Attributes:
        events: as `models.events_file` reads them; columns that no event has are left out, text is categories.
        records: number of records of that time.
        refused: those that a worker refuses, by reason.
        offsets: first one and the one after the last, by topic without prefix and partition.
    """

    events: pl.DataFrame
    records: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    offsets: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)


def read_topics(
    settings: Settings,
    from_ms: int | None,
    to_ms: int | None,
    now_ms: int,
    report: Report = lambda _, __: None,
    *,
    by_place: bool = False,
) -> TopicLog:
    """Read the events of the input topics, up to what the broker has now.

    Read are records of `from_ms` or later that stand in their partition before the first of `to_ms` or later; times are
    those of the records: when they were sent, or what the producer said.

    Args:
        settings: broker, prefix, partitions, limits.
        from_ms: None: from the beginning.
        to_ms: None: to the end.
        now_ms: the present: what lies ahead of it is refused.
        report: told of the progress.
        by_place: also take what stands behind the first record of `from_ms` with an earlier time. So each record is in
            one of two logs that meet, whatever its time.

    Raises:
        BrokerUnavailable, BrokerRefused, TopicsMissing, PartitionsDiffer: there is nothing to read from.
        TopicsEmpty: there is no record in that time, or none is an event.
    """
    check_topics(settings, dict.fromkeys(INPUTS, (READ,)))
    topics = {physical_name(topic, settings.topic_prefix): topic for topic in INPUTS}
    with closing(consumer(settings, auto_offset_reset="earliest", isolation_level="read_committed")) as client:
        span = _span(client, [TopicPartition(n, k) for n in topics for k in range(settings.partitions)], from_ms, to_ms)
        total = sum(end - start for start, end in span.values())
        if not total:
            raise TopicsEmpty(f"{', '.join(topics)} hold no record {_between(from_ms, to_ms)}")
        parts, rows, found = list[pl.DataFrame](), list[tuple[Any, ...]](), TopicLog(pl.DataFrame())
        for done, record in enumerate(records_of(client, settings, span), 1):
            report(done, total)
            if from_ms is not None and record.timestamp < from_ms and not by_place:
                continue
            topic = topics[record.topic]
            event = decode_event(record.value, record.key, record.headers, topic, now_ms, settings.limits)
            found.records += 1
            if isinstance(event, Rejected):
                found.refused[event.reason] += 1
            else:
                rows.append(_row(event, ACTION_OF_TOPIC[topic]))
            if len(rows) == _ROWS:
                parts.append(_frame(rows))
                rows = []
    if not parts and not rows:
        raise TopicsEmpty(
            f"{found.records:,} records {_between(from_ms, to_ms)}, and none is an event: {_told(found.refused)}"
        )
    events = pl.concat([*parts, _frame(rows)])
    found.events = events.select(name for name in events.columns if events[name].null_count() < len(events))
    for partition, (start, end) in span.items():
        found.offsets.setdefault(topics[partition.topic], {})[str(partition.partition)] = (start, end)
    return found


def summary(found: TopicLog, dropped: int = 0) -> str:
    """Return what to say of what was read.

    Args:
        found: what was.
        dropped: events that came twice, if those are left out.
    """
    said = [f"{found.records:,} records read"]
    if found.refused:
        said.append(f"{found.refused.total():,} refused ({_told(found.refused)})")
    if dropped:
        said.append(f"{dropped:,} came twice")
    return ", ".join(said)


def _span(client: KafkaConsumer, partitions: list[TopicPartition], from_ms: int | None, to_ms: int | None) -> Span:
    """Return which offsets to read, those of partitions without any left out."""
    client.assign(partitions)
    ends: Mapping[TopicPartition, int] = client.end_offsets(partitions)
    starts: Mapping[TopicPartition, int] = client.beginning_offsets(partitions)

    def at(time_ms: int) -> dict[TopicPartition, int]:
        found = client.offsets_for_times(dict.fromkeys(partitions, time_ms))
        return {p: ends[p] if found.get(p) is None else found[p].offset for p in partitions}

    first = starts if from_ms is None else at(from_ms)
    last = ends if to_ms is None else at(to_ms)
    return {p: (first[p], min(last[p], ends[p])) for p in partitions if first[p] < min(last[p], ends[p])}


def _row(event: Event, action: str) -> tuple[Any, ...]:
    return tuple(action if name == "action" else getattr(event, name) for name in _COLUMNS)


def _frame(rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    frame = pl.DataFrame(rows, schema=_COLUMNS, orient="row")
    return frame.with_columns(pl.col(_TEXTS).cast(pl.Categorical()))


def _told(refused: Counter[str]) -> str:
    return ", ".join(
        f"{reason} {count:,}" for reason, count in sorted(refused.items(), key=lambda one: (-one[1], one[0]))
    )


def _between(from_ms: int | None, to_ms: int | None) -> str:
    def said(time_ms: int) -> str:
        return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"

    words = [f"from {said(from_ms)}" if from_ms is not None else "", f"to {said(to_ms)}" if to_ms is not None else ""]
    return " ".join(filter(None, words)) or "at all"

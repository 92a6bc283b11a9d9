"""One line a message: what flows through a topic, for people or as JSON."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from kafka import TopicPartition

from schemas.topics import ACTION_OF_TOPIC, CHURN_RISK, DEAD_LETTERS, NEXT_ACTIONS, RECOMMENDATIONS, Topic, topics
from streams.clients import admin, consumer
from streams.errors import SettingsError, TopicsMissing
from streams.rights import READ, check_rights
from streams.settings import Settings
from streams.topics import CREATE

POLL_MS = 500
_IDLE_S = 0.05  # the embedded broker answers an empty fetch at once
_SLATE = 5


@dataclass(frozen=True)
class Message:
    """A record of one of our topics."""

    topic: str  # name without prefix
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None

    def content(self) -> dict[str, Any] | None:
        """Return the value as an object, None where it is none."""
        try:
            return msgspec.json.decode(self.value or b"", type=dict[str, Any])
        except msgspec.MsgspecError:
            return None


def tail(
    settings: Settings,
    topic: str,
    *,
    user: str | None = None,
    from_beginning: bool = False,
    limit: int | None = None,
    follow: bool = True,
) -> Iterator[Message]:
    """Yield the messages of a topic as they come.

    Args:
        settings: broker and prefix.
        topic: name, with or without the prefix.
        user: only messages with this key.
        from_beginning: start with the oldest message that the broker has; otherwise with the next one.
        limit: end after so many.
        follow: go on for ever; otherwise end at what the broker has now.

    Raises:
        SettingsError: it is none of our topics.
        BrokerUnavailable, BrokerRefused, TopicsMissing: there is nothing to read from.
    """
    described = find_topic(settings, topic)
    key = None if user is None else user.encode()
    with admin(settings) as asking:
        check_rights(asking, {described.name: (READ,)})
    with consumer(settings, auto_offset_reset="earliest") as client:
        numbers = client.partitions_for_topic(described.name)
        if not numbers:
            raise TopicsMissing(f"topic {described.name} is missing. Create it with `{CREATE}`")
        partitions = [TopicPartition(described.name, number) for number in sorted(numbers)]
        client.assign(partitions)
        ends = client.end_offsets(partitions)
        for partition in partitions:
            if from_beginning:
                client.seek_to_beginning(partition)
            else:
                client.seek(partition, ends[partition])
        count = 0
        while limit is None or count < limit:
            batches = client.poll(timeout_ms=POLL_MS)
            for record in (record for batch in batches.values() for record in batch):
                if key is not None and record.key != key:
                    continue
                yield Message(
                    described.logical, record.partition, record.offset, record.timestamp, record.key, record.value
                )
                count += 1
                if count == limit:
                    return
            if not follow and all(client.position(partition) >= ends[partition] for partition in partitions):
                return
            if not batches:
                time.sleep(_IDLE_S)


def find_topic(settings: Settings, name: str) -> Topic:
    """Return the topic of a name, with or without the prefix.

    Raises:
        SettingsError: it is none of ours.
    """
    ours = topics(settings.topic_prefix, settings.partitions)
    for topic in ours.values():
        if name in (topic.logical, topic.name):
            return topic
    raise SettingsError(f"{name} is none of our topics: {', '.join(ours)}")


def json_line(message: Message) -> str:
    """Return a message as one line of JSON: where it stood, its key, and its value (as text where it is no object)."""
    value = message.content()
    line = {
        "topic": message.topic,
        "partition": message.partition,
        "offset": message.offset,
        "timestamp_ms": message.timestamp_ms,
        "key": _text(message.key),
        "value": _text(message.value) if value is None else value,
    }
    return msgspec.json.encode(line).decode()


def readable_line(message: Message) -> str:
    """Return a message as one line for people.

    >>> readable_line(Message("views", 3, 17, 0, b"u1", b'{"user_id":"u1","item_id":"i7","ts_ms":1000,"price":3.5}'))
    '1970-01-01 00:00:01  u1        view i7  price 3.5'
    """
    value = message.content()
    if value is None:
        words = "removed" if message.value is None else f"not an object: {_text(message.value)!r:.60}"
        return f"{_moment(message.timestamp_ms)}  {_text(message.key) or '-':<8}  {words}"
    try:
        words = _words(message.topic, value)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):  # an object of another form, from outside
        words = message.value.decode(errors="replace")[:200] if message.value else ""
    moment_ms = value.get("as_of_ms", value.get("ts_ms"))
    moment = _moment(moment_ms if isinstance(moment_ms, int) else message.timestamp_ms)
    return f"{moment}  {_text(message.key) or '-':<8}  {words}"


def _words(topic: str, value: dict[str, Any]) -> str:
    if topic in ACTION_OF_TOPIC:
        known = ("event_id", "user_id", "item_id", "ts_ms")
        rest = [f"  {name} {cell}" for name, cell in value.items() if name not in known and cell is not None]
        return f"{ACTION_OF_TOPIC[topic]} {value['item_id']}{''.join(rest)}"
    if topic == NEXT_ACTIONS:
        within = " ".join(f"{horizon} {_percent(p)}" for horizon, p in value["purchase_within"].items())
        return f"{_shares(value['actions'])} | purchase within {within}"
    if topic == RECOMMENDATIONS:
        items = " ".join(item["item_id"] for item in value["slate"][:_SLATE])
        return f"{items}{' ...' if len(value['slate']) > _SLATE else ''} | {value['policy']}, {value['degradation']}"
    if topic == CHURN_RISK:
        silent = " ".join(f"{horizon} {_percent(p)}" for horizon, p in value["silent_for"].items())
        return f"{value['band']} ({value['trigger']}) | no event within {silent}"
    if topic == DEAD_LETTERS:
        return f"{value['reason']}: {value['detail']} ({value['topic']}-{value['partition']} at {value['offset']})"
    return "  ".join(f"{name} {cell}" for name, cell in value.items())


def _shares(probabilities: dict[str, float]) -> str:
    return " ".join(f"{name} {_percent(p)}" for name, p in probabilities.items())


def _percent(probability: float) -> str:
    return f"{100 * probability:.1f}%"


def _moment(ts_ms: int) -> str:
    try:
        return datetime.fromtimestamp(ts_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return f"{ts_ms} ms"


def _text(data: bytes | None) -> str | None:
    return None if data is None else data.decode(errors="replace")

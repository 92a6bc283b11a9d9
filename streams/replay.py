"""Send a log of the past to the input topics, in its own timing, faster, or as fast as possible."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import msgspec
import polars as pl

from schemas.events import Event
from schemas.topics import TOPIC_OF_ACTION, physical_name
from streams.clients import producer
from streams.delivery import Delivery
from streams.errors import SettingsError
from streams.rights import SENDER
from streams.settings import Settings
from streams.topics import CREATE_FOR_REPLAY, check_topics, retention_ms

MAX_SPEED = float("inf")
PROGRESS_EVERY = 500

_NAP_S = 0.002
_FIELDS = Event.__struct_fields__
_encode = msgspec.json.Encoder().encode

Report = Callable[[int], None]
"""Called now and then with the number of events sent so far."""


@dataclass(frozen=True)
class Sent:
    """What was sent, all of it acknowledged by the broker."""

    events: int
    seconds: float
    by_topic: dict[str, int] = field(default_factory=dict)  # names without prefix

    @property
    def events_per_s(self) -> float:
        """Mean rate."""
        return self.events / self.seconds if self.seconds else 0.0


def replay(settings: Settings, events: pl.DataFrame, speed: float = MAX_SPEED, report: Report | None = None) -> Sent:
    """Send events to the topics of their actions; a record's time is the event's `ts_ms`.

    Args:
        settings: broker, prefix, partitions.
        events: an EVENTS log, by time, as `models.events_file.read_serving_events` returns it. Columns that no event
            has are left out, and so are fields without a value: nothing is stamped that the log did not have.
        speed: event time that passes in a second, in seconds; 1 keeps the log's timing, `MAX_SPEED` does not wait.
        report: told of the progress.

    Raises:
        BrokerUnavailable, BrokerRefused, TopicsMissing, PartitionsDiffer: there is nowhere to send to.
        SettingsError: the topics would delete events as old as these.
        NotDelivered: some were not acknowledged.
    """
    check_topics(settings, SENDER)
    _check_retention(settings, events)
    names = {action: physical_name(topic, settings.topic_prefix) for action, topic in TOPIC_OF_ACTION.items()}
    counts: Counter[str] = Counter()
    start_s = time.monotonic()
    with Delivery(producer(settings, linger_ms=50 if speed == MAX_SPEED else 5), settings.partitions) as delivery:
        for action, key, value, ts_ms in paced(messages(events), speed):
            delivery.send(names[action], key, value, ts_ms)
            counts[TOPIC_OF_ACTION[action]] += 1
            if report is not None and delivery.sent % PROGRESS_EVERY == 0:
                report(delivery.sent)
        delivery.finish()
    if report is not None:
        report(delivery.sent)
    return Sent(delivery.acknowledged, time.monotonic() - start_s, dict(counts))


Message = tuple[str, bytes, bytes, int]
"""Action, key, value and time in ms of an event."""


def messages(events: pl.DataFrame) -> Iterator[Message]:
    """Yield the events of a log as they go over the wire.

    >>> log = pl.DataFrame({"event_id": ["e"], "user_id": ["u"], "item_id": ["i"], "ts_ms": [7], "action": ["view"]})
    >>> next(messages(log))
    ('view', b'u', b'{"event_id":"e","user_id":"u","item_id":"i","ts_ms":7}', 7)
    """
    names = [name for name in _FIELDS if name in events.columns]
    for row in events.select("action", *names).iter_rows():
        value = {name: cell for name, cell in zip(names, row[1:], strict=True) if cell is not None}
        yield row[0], value["user_id"].encode(), _encode(value), value["ts_ms"]


def paced(messages: Iterator[Message], speed: float) -> Iterator[Message]:
    """Yield messages when they are due: the first at once, the others after their time since the first over `speed`."""
    if speed == MAX_SPEED:
        yield from messages
        return
    start_s, first_ms = time.monotonic(), None
    for message in messages:
        first_ms = message[3] if first_ms is None else first_ms
        wait_s = start_s + (message[3] - first_ms) / 1000 / speed - time.monotonic()
        if wait_s > _NAP_S:
            time.sleep(wait_s)
        yield message


def _check_retention(settings: Settings, events: pl.DataFrame) -> None:
    """Refuse to send what the broker would delete within minutes, maybe before it is read."""
    oldest = events["ts_ms"].min()
    age_ms = time.time() * 1000 - float(oldest) if isinstance(oldest, int) else 0.0
    short = {name: kept for name, kept in retention_ms(settings).items() if 0 <= kept < age_ms}
    if short:
        name, kept = next(iter(short.items()))
        raise SettingsError(
            f"this log begins {age_ms / 86_400_000:.0f} days ago and {name} deletes what is older than"
            f" {kept / 86_400_000:.0f} days: run `{CREATE_FOR_REPLAY}` first"
        )

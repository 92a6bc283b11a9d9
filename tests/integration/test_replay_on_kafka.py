"""Replaying a log to Apache Kafka: nothing lost, however fast, and whatever becomes of the broker."""

import threading
import time
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from schemas.topics import INPUTS
from streams.broker import KafkaHome
from streams.replay import Sent, replay
from streams.settings import Settings, read_settings
from streams.tail import tail
from streams.topics import create_topics

pytestmark = pytest.mark.broker

PARTITIONS = 4


def log(count: int) -> pl.DataFrame:
    """A log of some days of 2017: long past what a topic keeps by default."""
    rng = np.random.default_rng(1)
    return pl.DataFrame(
        {
            "user_id": [f"u{k}" for k in rng.integers(0, 500, count)],
            "item_id": [f"i{k}" for k in rng.integers(0, 99, count)],
            "action": rng.choice(["view", "click", "purchase"], count, p=[0.8, 0.15, 0.05]),
            "ts_ms": 1_511_539_200_000 + np.sort(rng.integers(0, 9 * 86_400_000, count)),
            "event_id": [f"e{k}" for k in range(count)],
        }
    )


def ids_by_user(settings: Settings) -> dict[tuple[str, str], list[str]]:
    """Event ids in the order of the broker, by topic and user."""
    found: dict[tuple[str, str], list[str]] = {}
    for topic in INPUTS:
        for message in tail(settings, topic, from_beginning=True, follow=False):
            event = msgspec.json.decode(message.value or b"")
            assert message.timestamp_ms == event["ts_ms"]
            found.setdefault((topic, event["user_id"]), []).append(event["event_id"])
    return found


def expected_ids_by_user(events: pl.DataFrame) -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = {}
    topic_of = {"view": "views", "click": "clicks", "purchase": "purchases"}
    for action, user, event in events.select("action", "user_id", "event_id").iter_rows():
        found.setdefault((topic_of[action], user), []).append(event)
    return found


def test_replayed_log_stands_on_the_broker_once_and_in_order(kafka: str) -> None:
    settings = read_settings(bootstrap_servers=kafka, topic_prefix=f"r{time.time_ns()}.", partitions=PARTITIONS)
    create_topics(settings, for_replay=True)
    events = log(50_000)
    sent = replay(settings, events)
    print(f"{sent.events_per_s:,.0f} events/s")
    assert sent.events == 50_000
    assert ids_by_user(settings) == expected_ids_by_user(events)


@pytest.mark.long
def test_killed_broker_costs_a_replay_no_event_and_no_order(kafka_home: Path, tmp_path: Path) -> None:
    """kafka-python's idempotent producer may repeat a batch whose answer the kill swallowed; event ids tell it."""
    with KafkaHome(kafka_home, tmp_path) as broker:
        settings = read_settings(bootstrap_servers=broker.bootstrap_servers, partitions=PARTITIONS)
        create_topics(settings, for_replay=True)
        events = log(60_000)
        a_third = threading.Event()
        done: list[Sent] = []

        def report(sent: int) -> None:
            if sent >= len(events) // 3:
                a_third.set()

        sending = threading.Thread(target=lambda: done.append(replay(settings, events, report=report)))
        sending.start()
        assert a_third.wait(60)
        broker.kill()
        broker.start()
        sending.join(120)
        assert done, "the replay did not end, or failed"
        assert done[0].events == len(events)
        once = {key: list(dict.fromkeys(ids)) for key, ids in ids_by_user(settings).items()}
        assert once == expected_ids_by_user(events)

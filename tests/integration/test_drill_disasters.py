"""Drills of docs/operations.md on a real Kafka: offsets, the changelog, the cluster are lost."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from builders import random_model
from drilled import DAY_MS, HOUR_MS, ITEMS, OF_EVENTS, PAGE, USERS, Shop, now_ms, shoppers, small_shop
from typed import blocks
from workers import final_rows, records

from models.model_directory import save
from schemas.topics import NEXT_ACTIONS
from streams.broker import KafkaHome
from streams.errors import ProcessEnded
from streams.topics import changelog

pytestmark = [pytest.mark.broker, pytest.mark.long]

DELETE_GROUP = 'kafka-consumer-groups.sh --bootstrap-server "$KAFKA_BOOTSTRAP_SERVERS" --delete --group nextact'


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save(random_model(items=ITEMS), folder)
    return folder


@pytest.fixture
def shop(kafka_home: Path, tmp_path: Path, model: Path) -> Iterator[Shop]:
    with small_shop(kafka_home, tmp_path, model) as made:
        yield made


def ids(shop: Shop) -> set[str]:
    """The ids of all next actions."""
    return {msgspec.json.decode(value)["id"] for _, value in records(shop.settings, NEXT_ACTIONS)}


def test_lost_offsets_cost_answers_that_come_again_and_nothing_else(shop: Shop) -> None:
    shop.send(shoppers(0, 18, now_ms() - HOUR_MS))
    shop.work()
    before, known = final_rows(shop.settings), ids(shop)
    shop.shell.type(DELETE_GROUP)
    samples = shop.work()
    assert samples["nextact_events_total", "redelivered"] == len(shop.sent)
    shop.assert_all_counts_once()
    for key, row in final_rows(shop.settings).items():
        assert [name for name in OF_EVENTS if row[name].tobytes() != before[key][name].tobytes()] == [], key
    assert ids(shop) == known
    shop.send(shoppers(10_000, 3, now_ms(), HOUR_MS))
    shop.work()
    shop.assert_all_counts_once()


def test_offsets_are_set_to_a_while_ago(shop: Shop) -> None:
    [reset] = blocks(PAGE, "Offsets are lost")
    shop.send(shoppers(0, 9, now_ms() - 5 * HOUR_MS))
    old = len(shop.sent)
    shop.send(shoppers(10_000, 9, now_ms()))
    shop.work()
    shop.shell.type(DELETE_GROUP)
    shop.shell.type(reset)
    again = shop.work()["nextact_events_total", "redelivered"]
    assert 0 < again < len(shop.sent)
    assert len(shop.sent) - old - again < USERS
    shop.assert_all_counts_once()


def test_lost_changelog_is_made_again_from_the_events(shop: Shop) -> None:
    new_group, forget = blocks(PAGE, "The changelog is lost")
    shop.send(shoppers(0, 18, now_ms() - HOUR_MS))
    shop.work()
    before, lost = final_rows(shop.settings), changelog(shop.settings).name
    shop.shell.type(f'kafka-topics.sh --bootstrap-server "$KAFKA_BOOTSTRAP_SERVERS" --delete --topic {lost}')
    for advice in ("missing topics", "the changelog is empty"):
        with shop.worker() as worker, pytest.raises(ProcessEnded):
            worker.wait_until(lambda _: False, 60)
        assert worker.code == 2
        assert advice in worker.last_words()
        shop.shell.type("nextact topics create")
    shop.shell.type(new_group)
    shop.follow()
    shop.work()
    shop.assert_all_counts_once()
    for key, row in final_rows(shop.settings).items():
        assert [name for name in OF_EVENTS if row[name].tobytes() != before[key][name].tobytes()] == [], key
    shop.shell.type(forget)
    shop.send(shoppers(10_000, 3, now_ms(), HOUR_MS))
    shop.work()
    shop.assert_all_counts_once()


def test_lost_cluster_is_made_again_from_the_files_of_each_day(shop: Shop, kafka_home: Path, tmp_path: Path) -> None:
    [save_a_day], [restore] = blocks(PAGE, "Keep the events"), blocks(PAGE, "The events are lost")
    midnight_ms = now_ms() // DAY_MS * DAY_MS
    before_yesterday = shoppers(0, 6, midnight_ms - DAY_MS + HOUR_MS // 4)  # the end of it is yesterday already
    yesterday = shoppers(10_000, 6, midnight_ms - HOUR_MS)
    today = shoppers(20_000, 6, now_ms(), min(HOUR_MS, now_ms() - midnight_ms))
    shop.shell.type("nextact topics create --for-replay")
    for day in (before_yesterday, yesterday, today):
        shop.send(day)
    shop.work()
    shop.shell.type(save_a_day)
    shop.shell.type(
        save_a_day.replace("yesterday", "'2 days ago'").replace("date --utc +%F", "date --utc --date yesterday +%F")
    )
    shop.broker.stop()
    with KafkaHome(kafka_home, tmp_path / "new") as new:
        shop.shell.environment["KAFKA_BOOTSTRAP_SERVERS"] = new.bootstrap_servers
        shop.shell.type(restore)
        shop.follow()
        shop.sent = before_yesterday + yesterday
        shop.work()
        shop.assert_all_counts_once()
        once = {event["event_id"] for _, event in shop.sent}
        shop.send(yesterday[-USERS:] + today)  # the last day again
        shop.work()
        rows = final_rows(shop.settings)
        once |= {event["event_id"] for _, event in today}
        assert sum(int(row["total"].sum()) for row in rows.values()) == len(once)
        shop.assert_all_counts_once(rows)

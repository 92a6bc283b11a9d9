"""Drills of docs/operations.md on a real Kafka: offsets, the changelog, the cluster are lost."""

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from drilled import DAY_MS, HOUR_MS, OF_EVENTS, PAGE, PARTITIONS, USERS, Shop, now_ms, shoppers, small_shop
from typed import blocks
from workers import PATIENCE_S, final_rows, records

from schemas.partitioner import partition
from schemas.topics import NEXT_ACTIONS
from streams.broker import KafkaHome
from streams.errors import ProcessEnded
from streams.topics import changelog

pytestmark = [pytest.mark.broker, pytest.mark.long, pytest.mark.timeout(600)]

DELETE_GROUP = 'kafka-consumer-groups.sh --bootstrap-server "$KAFKA_BOOTSTRAP_SERVERS" --delete --group nextact'


@pytest.fixture
def shop(kafka_home: Path, tmp_path: Path) -> Iterator[Shop]:
    with small_shop(kafka_home, tmp_path) as made:
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
            worker.wait_until(lambda _: False, PATIENCE_S)
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


def test_damaged_batch_is_moved_past(shop: Shop, tmp_path: Path) -> None:
    look, move = blocks(PAGE, "A damaged batch")
    for number in range(3):  # each in a batch of its own
        [(_, event), *_] = shoppers(1000 * number, 1, now_ms())
        shop.send([("clicks", event)])
    place = partition(b"u0", PARTITIONS)
    shop.broker.stop()
    segment = tmp_path / "kafka/log" / f"clicks-{place}" / f"{0:020}.log"
    whole = segment.read_bytes()
    assert whole.count(b'"e1000"') == 1
    segment.write_bytes(whole.replace(b'"e1000"', b'"e1001"'))
    shop.broker.start()
    with shop.worker() as worker, pytest.raises(ProcessEnded):
        worker.wait_until(lambda _: False, PATIENCE_S)
    assert worker.code == 70
    assert f"in clicks, partition {place}" in worker.log.read_text()
    assert "batch at offset 1 is wrong; the next batch is at 2" in worker.log.read_text()
    while "active members" not in shop.shell.type(look):  # the one that has ended is still taken for one
        time.sleep(1)
    here = {"views:3": f"clicks:{place}", "views": "clicks", "partition 3": f"partition {place}"}
    for theirs, ours in (here | {"1040": "0", "messages 2": "messages 1", "1050": "2"}).items():
        move = move.replace(theirs, ours)
    assert "Error" not in shop.shell.type(move)
    shop.work()
    [row] = final_rows(shop.settings).values()
    assert row["total"].tolist() == [0, 2, 0]

"""Drills of docs/operations.md on a real Kafka: more partitions, other machines, another cluster."""

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from drilled import DAY_MS, HOUR_MS, OF_EVENTS, PAGE, PARTITIONS, Shop, lags, now_ms, shoppers, small_shop
from typed import blocks
from workers import PATIENCE_S, final_rows, wait_until_committed

from schemas.topics import DEAD_LETTERS, INPUTS, OUTPUTS
from streams.broker import KafkaHome
from streams.errors import ProcessEnded
from streams.local_broker import free_ports
from streams.topics import changelog

pytestmark = [pytest.mark.broker, pytest.mark.long, pytest.mark.timeout(600)]


@pytest.fixture
def shop(kafka_home: Path, tmp_path: Path) -> Iterator[Shop]:
    with small_shop(kafka_home, tmp_path) as made:
        made.send(shoppers(0, 18, now_ms() - HOUR_MS))
        yield made


def test_events_go_on_in_topics_with_more_partitions(shop: Shop) -> None:
    behind, copy, behind_there, keep_a_week, delete = blocks(PAGE, "More partitions")
    shop.work()
    before = final_rows(shop.settings)
    assert set(lags(shop.shell.type(behind))) == {0}
    assert f"{len(shop.sent):,} events; {len(shop.sent) + 1:,} records read, 1 refused" in shop.shell.type(copy)
    shop.follow()
    assert (shop.settings.partitions, shop.settings.topic_prefix) == (16, "v2.")
    shop.work()
    assert set(lags(shop.shell.type(behind_there))) == {0}
    shop.assert_all_counts_once()
    for key, row in final_rows(shop.settings).items():
        assert [name for name in OF_EVENTS if row[name].tobytes() != before[key][name].tobytes()] == [], key
    shop.shell.type(keep_a_week)
    assert {shop.kept_ms(topic) for topic in (*INPUTS, *OUTPUTS)} == {7 * DAY_MS}
    assert shop.kept_ms(DEAD_LETTERS) == 30 * DAY_MS
    shop.shell.type(delete)
    assert {name for name in shop.topics() if not name.startswith("v2.")} == {"items", "models"}
    shop.send(shoppers(10_000, 3, now_ms(), HOUR_MS))
    shop.work()
    shop.assert_all_counts_once()


def test_partitions_that_were_added_in_place_end_the_worker_and_new_topics_lead_out(shop: Shop) -> None:
    _, copy, *_ = blocks(PAGE, "More partitions")
    shop.work()
    every = (*INPUTS, *OUTPUTS, DEAD_LETTERS, changelog(shop.settings).name)
    for topics in (INPUTS, every[len(INPUTS) :]):
        for topic in topics:
            more = f"--topic {topic} --partitions {PARTITIONS + 1}"
            shop.shell.type(f'kafka-topics.sh --bootstrap-server "$KAFKA_BOOTSTRAP_SERVERS" --alter {more}')
        with shop.worker() as worker, pytest.raises(ProcessEnded):
            worker.wait_until(lambda _: False, PATIENCE_S)
        assert worker.code == 2
        assert "More partitions in docs/operations.md" in worker.last_words()
    shop.shell.environment["NEXTACT_PARTITIONS"] = str(PARTITIONS + 1)
    shop.shell.type(copy)
    shop.follow()
    shop.work()
    shop.assert_all_counts_once()


def test_other_machines_take_the_topics_over_while_a_worker_works(shop: Shop, kafka_home: Path, tmp_path: Path) -> None:
    """The second node is a broker alone: the first stays the controller."""
    move, done = blocks(PAGE, "Another cluster")[:2]
    first = (tmp_path / "kafka/server.properties").read_text().splitlines()
    said = dict(line.split("=", 1) for line in first)
    meta = dict(
        line.split("=", 1) for line in (tmp_path / "kafka/log/meta.properties").read_text().splitlines() if "=" in line
    )
    [port] = free_ports(1)
    as_broker = {
        "process.roles": "broker",
        "node.id": "2",
        "controller.quorum.voters": said["controller.quorum.voters"],
        "listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
    }
    with KafkaHome(kafka_home, tmp_path / "second", port, as_broker, meta["cluster.id"]) as second:
        with shop.worker() as worker:
            worker.wait_until_handled(len(shop.sent) + 1)
            shop.shell.type(move.replace("NEW_BROKERS=4,5,6", "NEW_BROKERS=2"))
            while (told := shop.shell.type(done)).count("is complete") < told.count("Reassignment of partition"):
                time.sleep(0.5)
            shop.send(shoppers(10_000, 3, now_ms(), HOUR_MS))
            worker.wait_until_handled(len(shop.sent) + 2)
            wait_until_committed(shop.settings)
            assert worker.stop() == 0
        described = shop.shell.type('kafka-topics.sh --bootstrap-server "$KAFKA_BOOTSTRAP_SERVERS" --describe')
        replicas = re.findall(r"Leader: (\d+)\s+Replicas: (\S+)\s+Isr: (\S+)", described)
        assert len(replicas) > 8 * PARTITIONS
        assert set(replicas) == {("2", "2", "2")}
        shop.settings = second.named_in(shop.settings)
        shop.send(shoppers(20_000, 3, now_ms(), HOUR_MS))
        shop.work()
        shop.assert_all_counts_once()


def test_copied_disks_keep_everything(shop: Shop, kafka_home: Path, tmp_path: Path) -> None:
    samples = shop.work()
    assert samples["nextact_events_total", "redelivered"] == 0
    before = final_rows(shop.settings)
    shop.broker.stop()
    shutil.copytree(tmp_path / "kafka", tmp_path / "elsewhere")
    with KafkaHome(kafka_home, tmp_path / "elsewhere") as there:
        shop.settings = there.named_in(shop.settings)
        assert {key: row.tobytes() for key, row in final_rows(shop.settings).items()} == {
            key: row.tobytes() for key, row in before.items()
        }
        shop.send(shoppers(10_000, 3, now_ms(), HOUR_MS))
        assert shop.work()["nextact_events_total", "redelivered"] == 0
        shop.assert_all_counts_once()


def test_events_go_on_in_another_cluster(shop: Shop, kafka_home: Path, tmp_path: Path) -> None:
    *_, behind, copy = blocks(PAGE, "Another cluster")
    shop.work()
    before = final_rows(shop.settings)
    assert set(lags(shop.shell.type(behind))) == {0}
    with KafkaHome(kafka_home, tmp_path / "other") as other:
        shop.shell.environment["NEW_BOOTSTRAP_SERVERS"] = other.bootstrap_servers
        shop.shell.type(copy)
        shop.broker.stop()
        shop.follow()
        assert shop.settings.servers == [other.bootstrap_servers]
        shop.work()
        shop.assert_all_counts_once()
        for key, row in final_rows(shop.settings).items():
            assert [name for name in OF_EVENTS if row[name].tobytes() != before[key][name].tobytes()] == [], key
        shop.send(shoppers(10_000, 3, now_ms(), HOUR_MS))
        shop.work()
        shop.assert_all_counts_once()

"""`nextact contract check --topic` on a broker: what stands there, named by partition and offset."""

import os
import subprocess
import sys
import time
from collections import Counter

import msgspec
import pytest
from confluent_kafka import Producer

from schemas.partitioner import partition
from schemas.topics import INPUTS
from streams.clients import producer
from streams.commands.contract import WRONG
from streams.settings import Settings, read_settings
from streams.topics import create_topics
from streams.worker_process import environment

USERS = [f"u{k}" for k in range(12)]


@pytest.fixture
def settings(embedded_broker: str) -> Settings:
    made = read_settings(bootstrap_servers=embedded_broker, topic_prefix=f"check{time.time_ns()}.", partitions=4)
    create_topics(made)
    return made


def check(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "streams", "contract", "check", *arguments]
    kept = os.environ | environment(settings)
    return subprocess.run(command, env=kept, capture_output=True, text=True, timeout=120)


def event(user: str, number: int, **fields: object) -> bytes:
    now_ms = time.time_ns() // 1_000_000
    return msgspec.json.encode({"event_id": f"e{number}", "user_id": user, "item_id": "i", "ts_ms": now_ms} | fields)


def test_topic_of_a_producer_with_the_wrong_hash_and_other_mistakes_is_told_by_offset(settings: Settings) -> None:
    views, clicks = (settings.topic_prefix + topic for topic in INPUTS[:2])
    astray = Producer({"bootstrap.servers": str(settings.bootstrap_servers), "linger.ms": 5, "log_level": 0})
    where: dict[bytes | None, int | None] = {}
    for k, user in enumerate(USERS):
        astray.produce(views, event(user, k), user, on_delivery=lambda _, m: where.update({m.key(): m.partition()}))
    assert astray.flush(30) == 0
    twice = event("u1", 100)
    with producer(settings) as client:
        sent = [client.send(clicks, value, b"u1").get(30) for value in (twice, twice, event("u1", 101, ts_ms="now"))]

    wrong = {key: number for key, number in where.items() if number != partition(key or b"", 4)}
    assert wrong
    result = check(settings, "--topic", views, "--topic", "clicks", "--show", "100", "--json")
    assert result.returncode == WRONG, result.stderr
    told = msgspec.json.decode(result.stdout)
    assert (told["records"], told["accepted"]) == (len(USERS) + 3, len(USERS) + 2)
    assert told["wrong_partition"] == {"murmur2": len(wrong)}
    assert (told["doubled"], told["rejected"]) == ({"dropped": 1}, {"wrong_type": 1})
    places = Counter(each["at"].rpartition("-")[0] for each in told["findings"] if each["kind"] == "wrong_partition")
    assert places == Counter(f"{views}-{number}" for number in wrong.values())
    at = {each["kind"]: each["at"] for each in told["findings"]}
    assert at["doubled"] == f"{clicks}-{sent[1].partition}-{sent[1].offset}"
    assert at["rejected"] == f"{clicks}-{sent[2].partition}-{sent[2].offset}"

    assert "where librdkafka puts keys by default" in check(settings, "--topic", "views").stdout
    newest = msgspec.json.decode(check(settings, "--topic", "clicks", "--last", "1", "--json").stdout)
    assert (newest["records"], newest["rejected"]) == (1, {"wrong_type": 1})


def test_good_topic_is_good_and_what_cannot_be_read_is_one_line(settings: Settings) -> None:
    with producer(settings) as client:
        for k, user in enumerate(USERS):
            client.send(settings.topic_prefix + "views", event(user, k), user.encode())
    result = check(settings, "--topic", "views")
    assert (result.returncode, result.stdout.splitlines()) == (0, ["12 records, 12 accepted: nothing is wrong"])
    for arguments, words in (
        (("--topic", "churn-risk"), "events come in views"),
        (("--topic", "carts"), "none of our topics"),
        (("--topic", "clicks"), "nothing was checked"),
    ):
        result = check(settings, *arguments)
        assert (result.returncode, words in result.stderr) == (2, True)
    other = settings.model_copy(update={"partitions": 8})
    result = check(other, "--topic", "views")
    assert (result.returncode, "NEXTACT_PARTITIONS=4" in result.stderr) == (2, True)

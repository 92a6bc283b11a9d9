"""Refused records sent again on Apache Kafka: each once, whoever asks, however a call ends."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from builders import random_model
from kafka import TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from letters import input_records, letter, publish, replayed
from workers import Worker, records

from models.model_directory import save
from schemas.dead_letters import DeadLetter, decode_dead_letter
from schemas.events import Reason
from streams import letter_replay
from streams.clients import admin, producer
from streams.errors import NotDelivered
from streams.letter_plan import Correction
from streams.letter_replay import CLAIMED, SENT_BEFORE, UNSURE, Outcome, replay_letters
from streams.letters import CLAIM_MS, Selection
from streams.settings import Settings, read_settings
from streams.topics import create_topics
from streams.worker_process import environment

pytestmark = pytest.mark.broker

SHORT_MS = 3000
"""A claim that tests wait for until it has run out."""


@pytest.fixture
def settings(kafka: str, tmp_path: Path) -> Settings:
    save(random_model(items=50), tmp_path / "model")
    prefix = f"letters{time.time_ns()}."
    made = read_settings(bootstrap_servers=kafka, topic_prefix=prefix, model=tmp_path / "model", partitions=2)
    create_topics(made)
    return made


def event(number: int, user: str = "ann", **fields: Any) -> bytes:
    now_ms = time.time_ns() // 1_000_000
    return msgspec.json.encode({"event_id": f"e{number}", "user_id": user, "item_id": "i1", "ts_ms": now_ms} | fields)


def letters(settings: Settings, count: int) -> list[DeadLetter]:
    """Letters of records that are good now, such as those of a clock that was ahead."""
    views = settings.topic_prefix + "views"
    return [
        letter(event(k), topic=views, partition=k % 2, offset=k, reason=Reason.FUTURE_TIME, headers=(("n", b"%d" % k),))
        for k in range(count)
    ]


def replay(settings: Settings, *, claim_ms: int = CLAIM_MS, **options: Any) -> Outcome:
    return replay_letters(settings, Selection(), Correction(), claim_ms=claim_ms, **options)


def run(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "streams", "dead-letters", *arguments]
    kept = os.environ | environment(settings)
    return subprocess.run(command, env=kept, capture_output=True, text=True, timeout=60)


def test_records_come_back_with_key_value_and_headers_and_a_second_call_sends_none(settings: Settings) -> None:
    made = letters(settings, 5)
    publish(settings, *made, *made[:2])  # a worker that crashed wrote two of them twice
    assert replay(settings, dry_run=True).sent == 0
    assert not replayed(settings)
    assert replay(settings, limit=2).sent == 2
    assert replay(settings).sent == 3
    again = replay(settings)
    assert (again.sent, again.not_sent) == (0, {SENT_BEFORE: 5})
    publish(settings, *made)  # a second group has read the same input
    assert replay(settings).sent == 0
    assert set(replayed(settings).values()) == {1}
    found = {record.headers[-1][1].decode(): record for record in input_records(settings)}
    for each in made:
        record = found[each.id]
        assert (record.topic, record.partition) == (each.topic, each.partition)
        assert (record.key, record.value, record.headers[:-1]) == (each.key, each.value, each.headers)


def test_of_calls_at_the_same_time_one_sends_each_letter(settings: Settings) -> None:
    publish(settings, *letters(settings, 1000))
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(lambda _: replay(settings), range(4)))
    assert sum(outcome.sent for outcome in outcomes) == 1000
    assert replayed(settings).total() == len(replayed(settings)) == 1000


def stop(*_: Any) -> Any:
    raise KeyboardInterrupt


def interrupt(monkeypatch: pytest.MonkeyPatch, settings: Settings, after: str) -> None:
    """Let a call end after it has written its claims, or after it has sent the records too."""
    mark = letter_replay._Sender._mark
    with monkeypatch.context() as crash:
        if after == "claims":
            crash.setattr(letter_replay._Sender, "_sent", stop)
        else:
            crash.setattr(letter_replay._Sender, "_mark", lambda s, f, r: mark(s, f, r) if r.offset is None else stop())
        with pytest.raises(KeyboardInterrupt):
            replay(settings)


@pytest.mark.parametrize(("after", "arrived"), [("claims", 0), ("records", 3)])
def test_call_that_was_interrupted_is_finished_by_the_next(
    settings: Settings, after: str, arrived: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(settings, *letters(settings, 3))
    interrupt(monkeypatch, settings, after)
    assert replayed(settings).total() == arrived
    held = replay(settings)
    assert (held.sent, held.not_sent) == (0, {CLAIMED: 3})
    time.sleep(SHORT_MS / 1000)
    finished = replay(settings, claim_ms=SHORT_MS)
    assert (finished.sent, finished.arrived) == (3 - arrived, arrived)
    assert replay(settings).not_sent == {SENT_BEFORE: 3}
    assert sorted(replayed(settings).values()) == [1, 1, 1]


def test_record_that_may_have_been_deleted_since_is_not_sent_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(settings, *letters(settings, 3))
    interrupt(monkeypatch, settings, "records")
    views = settings.topic_prefix + "views"
    with admin(settings) as client:
        client.delete_records({TopicPartition(views, 0): 2})  # two of the three
    time.sleep(SHORT_MS / 1000)
    outcome = replay(settings, claim_ms=SHORT_MS)
    assert (outcome.sent, outcome.arrived, outcome.not_sent) == (0, 1, {UNSURE: 2})


@pytest.mark.long
def test_killed_calls_send_nothing_twice_and_leave_nothing_behind(settings: Settings, tmp_path: Path) -> None:
    total = 3000
    publish(settings, *letters(settings, total))
    code = (
        "from streams.letter_replay import *; from streams.settings import read_settings;"
        f"replay_letters(read_settings(), Selection(), Correction(), claim_ms={SHORT_MS})"
    )
    kept = os.environ | environment(settings)
    killed = 0
    for moment_s in (0.05, 0.15, 0.3, 0.0):
        before = replayed(settings).total()
        with subprocess.Popen([sys.executable, "-c", code], env=kept, start_new_session=True) as process:
            while process.poll() is None and replayed(settings).total() == before:
                time.sleep(0.01)
            time.sleep(moment_s)
            process.send_signal(signal.SIGKILL)
        killed += process.returncode == -signal.SIGKILL
        time.sleep(SHORT_MS / 1000)
    assert killed >= 2
    last = replay(settings, claim_ms=SHORT_MS)
    assert last.not_sent.keys() <= {SENT_BEFORE}
    assert replayed(settings).total() == len(replayed(settings)) == total


def test_record_that_the_broker_refuses_is_counted_and_sent_by_a_later_call(settings: Settings) -> None:
    publish(settings, *letters(settings, 4))
    views = settings.topic_prefix + "views"

    def largest(size: int) -> None:
        with admin(settings) as client:
            client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, views, {"max.message.bytes": str(size)})])

    largest(60)
    with pytest.raises(NotDelivered, match="4 of 4 records not acknowledged"):
        replay(settings)
    largest(1_000_000)
    time.sleep(SHORT_MS / 1000)
    assert replay(settings, claim_ms=SHORT_MS).sent == 4
    assert sorted(replayed(settings).values()) == [1, 1, 1, 1]


def test_worker_handles_what_was_corrected_and_says_what_was_refused_again(settings: Settings, tmp_path: Path) -> None:
    views, dead = settings.topic_prefix + "views", settings.topic_prefix + "dead-letters"
    with producer(settings) as client:
        client.send(views, event(1, ts_ms="yesterday"), b"ann")
        client.send(views, event(2, user="bob"), b"21")
        client.send(views, event(3, item_id=""), b"ann")
        client.send(views, b"{", b"ann")
        client.flush()
    with Worker(settings, tmp_path / "log") as worker:
        worker.wait_until_handled(4)
        _wait_for(settings, dead, 4)
        lines = [msgspec.json.decode(line) for line in run(settings, "list", "--json").stdout.splitlines()]
        assert sorted(line["reason"] for line in lines) == ["empty_id", "key_mismatch", "not_json", "wrong_type"]

        shown = run(settings, "list", "--reason", "wrong_type")
        assert '"event_id":"e1"' in shown.stdout
        assert "wrong_type" in shown.stdout

        assert "say which letters" in run(settings, "replay").stderr
        refused = run(settings, "replay", "--all", "--json")
        assert msgspec.json.decode(refused.stdout)["sent"] == 0
        assert msgspec.json.decode(refused.stdout)["not_sent"] == {
            f"would be refused again: {reason}": 1 for reason in ("wrong_type", "key_mismatch", "empty_id", "not_json")
        }

        rekeyed = run(settings, "replay", "--reason", "key_mismatch", "--rekey")
        assert rekeyed.stdout.startswith("1 records sent"), rekeyed
        set_ = run(settings, "replay", "--reason", "empty_id", "--set", "item_id=i2", "--json")
        assert msgspec.json.decode(set_.stdout)["sent"] == 1
        [line] = [line for line in lines if line["reason"] == "wrong_type"]
        line["value"]["ts_ms"] = line["timestamp_ms"]
        (tmp_path / "corrected").write_bytes(msgspec.json.encode(line) + b"\n")
        corrected = run(settings, "replay", "--from", str(tmp_path / "corrected"), "--json")
        assert msgspec.json.decode(corrected.stdout) == {"sent": 1, "arrived_before": 0, "not_sent": {}}
        again = run(settings, "replay", "--reason", "not_json", "--even-if-refused", "--json")
        assert msgspec.json.decode(again.stdout)["sent"] == 1

        samples = worker.wait_until_handled(8)
        assert samples[("nextact_events_total", "applied")] == 3
        _wait_for(settings, dead, 4 + 4 * 2 + 1)
    known = {line["id"] for line in lines}
    [new] = {found.id for _, value in records(settings, dead) if (found := decode_dead_letter(value)).id not in known}
    listed = [msgspec.json.decode(line) for line in run(settings, "list", "--json", "--open").stdout.splitlines()]
    assert [(each["id"], each["reason"]) for each in listed] == [(new, "not_json")]
    [first] = [line["id"] for line in lines if line["reason"] == "not_json"]
    assert listed[0]["replay_of"] == first
    assert f"again: sent from {first}" in " ".join(run(settings, "list", "--open").stdout.split())
    users = {
        msgspec.json.decode(value)["user_id"] for _, value in records(settings, f"{settings.topic_prefix}next-actions")
    }
    assert users == {"ann", "bob"}


def _wait_for(settings: Settings, topic: str, count: int) -> None:
    deadline_s = time.monotonic() + 30
    while len(records(settings, topic)) < count:
        assert time.monotonic() < deadline_s
        time.sleep(0.2)

"""The open load with a stand-in for librdkafka: nothing that goes wrong with an event stays unsaid."""

from collections.abc import Callable
from itertools import islice
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from streams.benchmark import open_loop
from streams.benchmark.final_state import BenchmarkFailed
from streams.benchmark.open_loop import Answered, Echoes, Reader, heads, send_when_due
from streams.benchmark.workload import Workload, workload
from streams.settings import read_settings

SETTINGS = read_settings(bootstrap_servers="nowhere:1234", partitions=1)
MESSAGES = heads(workload(3, users=2))


class Producer:
    """Accepts every second record at once; `left` and `error` are what becomes of them."""

    left, error = 0, None

    def __init__(self, _arguments: object) -> None:
        self.sent: list[Any] = []
        self._full = True

    def produce(self, *record: object, on_delivery: Callable[[object, object], None], timestamp: int) -> None:
        assert timestamp > 0
        self._full = not self._full
        if not self._full:
            raise BufferError("Local: Queue full")
        self.sent.append(record)
        on_delivery(self.error, None)

    def poll(self, _seconds: float) -> None: ...

    def flush(self, _seconds: float) -> int:
        return self.left


def record(value: bytes, key: bytes = b"u1", error: str | None = None) -> SimpleNamespace:
    return SimpleNamespace(key=lambda: key, value=lambda: value, error=lambda: error)


def client(monkeypatch: pytest.MonkeyPatch, records: list[SimpleNamespace]) -> list[Producer]:
    """Let the stand-in hand out records; return the producers made."""
    made: list[Producer] = []

    def producer(arguments: object) -> Producer:
        made.append(Producer(arguments))
        return made[-1]

    waiting = iter(records)
    consumer = SimpleNamespace(
        assign=lambda _: None,
        poll=lambda _: next(waiting, None),
        consume=lambda count, _: list(islice(waiting, count)),
        close=lambda: None,
    )
    module = SimpleNamespace(Producer=producer, Consumer=lambda _: consumer, TopicPartition=lambda *_: None)
    monkeypatch.setattr(open_loop, "confluent_kafka", lambda: module)
    return made


def test_record_that_finds_no_room_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made = client(monkeypatch, [])
    due_s = send_when_due(SETTINGS, MESSAGES, 1000.0)
    assert len(due_s) == 3
    assert [key for _, _, key in made[0].sent] == [key for _, key, _ in MESSAGES]


def test_event_that_is_not_delivered_is_a_failure_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    client(monkeypatch, [])
    monkeypatch.setattr(Producer, "error", "Broker: Not enough in-sync replicas")
    with pytest.raises(BenchmarkFailed, match="3 of 3 events were not delivered: Broker: Not enough in-sync replicas"):
        send_when_due(SETTINGS, MESSAGES, 1000.0)


def test_event_that_is_not_acknowledged_in_time_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    client(monkeypatch, [])
    monkeypatch.setattr(Producer, "left", 2)
    with pytest.raises(BenchmarkFailed, match="2 of 3 events are not acknowledged"):
        send_when_due(SETTINGS, MESSAGES, 1000.0)


def test_record_that_cannot_be_read_ends_the_waiting_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    client(monkeypatch, [record(b"", error="Broker: Unknown topic or partition")])
    with (
        Reader(SETTINGS, "t", Echoes(2)) as reader,
        pytest.raises(BenchmarkFailed, match="Unknown topic or partition"),
    ):
        reader.wait_until_answered(2)


def test_what_a_book_raises_reaches_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    client(monkeypatch, [record(b'{"event_id":"e7"}')])
    with Reader(SETTINGS, "t", Echoes(2)) as reader, pytest.raises(IndexError):
        reader.wait_until_answered(2)


def test_event_counted_twice_is_not_taken_for_an_answer_to_another(monkeypatch: pytest.MonkeyPatch) -> None:
    events = Workload(user=np.array([1, 2]), item=np.zeros(2, int), action=np.array([0, 0]), ts_ms=np.arange(2))
    counted = [b'{"totals":{"view":2,"click":0,"purchase":0}}', b'{"totals":{"view":1,"click":0,"purchase":0}}']
    client(monkeypatch, [record(counted[0], b"u1"), record(counted[1], b"u2")])
    with Reader(SETTINGS, "t", Answered(events)) as reader:
        reader.wait_until_answered(3)
        with pytest.raises(BenchmarkFailed, match="3 events are answered, 2 were sent"):
            reader.wait_until_answered(2)


def test_event_without_an_answer_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    client(monkeypatch, [record(b'{"event_id":"e0"}')])
    monkeypatch.setattr(open_loop, "_PATIENCE_S", 0.1)
    with (
        Reader(SETTINGS, "t", Echoes(2)) as reader,
        pytest.raises(BenchmarkFailed, match="1 of 2 events have no answer"),
    ):
        reader.wait_until_answered(2)

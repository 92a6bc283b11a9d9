"""One worker on real Kafka: bad input, silence, a clean stop, and what it says when something is missing."""

import time
from collections import Counter
from pathlib import Path

import msgspec
import numpy as np
import pytest
from builders import random_model
from workers import PATIENCE_S, Worker, final_rows, records, wait_until_committed

from models.features import TIME_BINS
from models.model_directory import READOUT, Model, save
from schemas.dead_letters import decode_dead_letter
from schemas.outputs import ChurnRisk, NextAction
from streams.clients import admin, producer
from streams.errors import ProcessEnded
from streams.metrics.refusals import REFUSED_AS
from streams.settings import Settings, read_settings
from streams.topics import changelog, create_topics
from streams.worker_process import handled

pytestmark = pytest.mark.broker

HOUR_MS = 3_600_000


@pytest.fixture
def settings(kafka: str, tmp_path: Path) -> Settings:
    """Topics and a model of its own for each test."""
    save(random_model(items=50), tmp_path / "model")
    prefix = f"worker{time.time_ns()}."
    made = read_settings(bootstrap_servers=kafka, topic_prefix=prefix, model=tmp_path / "model", partitions=2)
    create_topics(made, for_replay=True)
    return made


def quick_to_worry() -> Model:
    """A model by which a shopper either comes again within minutes or stays away for days."""
    model = random_model(items=50)
    for name in ("readout", "window"):
        model.weights[name][:] = 0
    model.weights["readout_bias"][:] = np.where(np.arange(READOUT) % TIME_BINS < 14, 0, -8)
    return model


def event(number: int, user: str, ts_ms: int, item: str = "i1") -> bytes:
    return msgspec.json.encode({"event_id": f"e{number}", "user_id": user, "item_id": item, "ts_ms": ts_ms})


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def test_bad_records_become_dead_letters_and_the_stream_goes_on(settings: Settings, tmp_path: Path) -> None:
    now = now_ms()
    good: list[tuple[bytes, bytes | None]] = [(f"u{k}".encode(), event(k, f"u{k}", now)) for k in range(10)]
    bad: dict[str, tuple[bytes, bytes | None]] = {
        "not_json": (b"a", b"{"),
        "wrong_type": (b"a", event(1, "a", now).replace(b'"i1"', b"7")),
        "missing_field": (b"a", b'{"user_id":"a"}'),
        "empty_id": (b"a", event(1, "", now)),
        "bad_time": (b"a", event(1, "a", -1)),
        "future_time": (b"a", event(1, "a", now + 10 * HOUR_MS)),
        "oversized": (b"a", b'{"x":"' + b"x" * 70_000 + b'"}'),
        "key_mismatch": (b"b", event(1, "a", now)),
        "unknown_item": (b"a", event(1, "a", now, item="never heard of")),
        "empty": (b"a", None),
    }
    views = settings.topic_prefix + "views"
    with producer(settings) as sender:
        for number, (key, value) in enumerate(good[:5]):
            sender.send(views, value, key, partition=number % 2)
        for key, value in bad.values():
            sender.send(views, value, key)
        version = [("ce_type", b"nextact.views.v2")]
        sender.send(views, event(1, "a", now), b"a", headers=version)
        for number, (key, value) in enumerate(good[5:]):
            sender.send(views, value, key, partition=number % 2)
        sender.flush()
    total = len(good) + len(bad) + 1
    with Worker(settings, tmp_path / "log", {"NEXTACT_UNKNOWN_ITEMS": "reject"}) as worker:
        worker.wait_until_handled(total)
        wait_until_committed(settings)
        metrics = worker.metrics()
    letters = {}
    for key, value in records(settings, settings.topic_prefix + "dead-letters"):
        letter = decode_dead_letter(value)
        assert (letter.topic, letter.key) == (views, key)
        letters[letter.reason] = letter
    assert letters.keys() == {*bad, "unsupported_version"}
    for reason, (key, value) in bad.items():
        assert (letters[reason].key, letters[reason].value) == (key, value)
    for kind, number in Counter(REFUSED_AS[reason] for reason in letters).items():
        assert metrics["nextact_rejected_total", kind, "views"] == number
    assert letters["unsupported_version"].headers == [("ce_type", b"nextact.views.v2")]
    answered = {key for key, _ in records(settings, settings.topic_prefix + "next-actions")}
    assert answered == {key for key, _ in good}
    assert metrics["nextact_events_total", "applied"] == len(good)


class NotUtf8(str):
    """A header's name as a careless producer may send it."""

    __slots__ = ()

    def encode(self, *_: object) -> bytes:
        return b"\xff\xfe"


def test_record_with_a_header_name_that_is_not_utf8_is_handled_as_any_other(settings: Settings, tmp_path: Path) -> None:
    views, now = settings.topic_prefix + "views", now_ms()
    with producer(settings) as sender:
        for k in range(9):
            headers = [(NotUtf8("x"), b"v"), ("y", b"w")] if k % 4 == 3 else []
            sender.send(views, b"{" if k == 7 else event(k, "ann", now + k), b"ann", headers=headers).get(10)
    with Worker(settings, tmp_path / "worker.log") as worker:
        samples = worker.wait_until_handled(9)
        assert samples["nextact_events_total", "applied"] == 8
        assert worker.stop() == 0
    [(_, letter)] = records(settings, settings.topic_prefix + "dead-letters")
    assert [name for name, _ in decode_dead_letter(letter).headers] == ["\\xff\\xfe", "y"]


def test_silent_user_is_scored_without_an_event_once(settings: Settings, tmp_path: Path) -> None:
    user_ids = [f"u{k}" for k in range(40)]
    with producer(settings) as sender:
        for k, user in enumerate(user_ids):
            sender.send(settings.topic_prefix + "views", event(k, user, now_ms() - 400 * 24 * HOUR_MS), user.encode())
        sender.flush()
    with Worker(settings, tmp_path / "log") as worker:
        worker.wait_until_handled(len(user_ids))
        wait_until_committed(settings)
        silent = _wait_for_silence(settings)
        assert worker.stop() == 0
    rows = final_rows(settings)
    for message in silent:
        assert message.trigger == "silence"
        assert message.silent_ms >= 600_000
        assert message.previous_band != message.band
    last = {message.user_id: message for message in silent}
    bands = ("low", "medium", "high")
    assert all(bands[rows[user.encode()]["band"] - 1] == message.band for user, message in last.items())
    with Worker(settings, tmp_path / "again") as worker:
        worker.wait_until(lambda samples: samples["nextact_partitions",] == settings.partitions, PATIENCE_S)
        time.sleep(5)
        assert worker.stop() == 0
    assert [m.id for m in _silence(settings)] == [m.id for m in silent]


def _silence(settings: Settings) -> list[ChurnRisk]:
    values = [value for _, value in records(settings, settings.topic_prefix + "churn-risk")]
    return [m for m in (msgspec.json.decode(v, type=ChurnRisk) for v in values) if m.trigger == "silence"]


def _wait_for_silence(settings: Settings) -> list[ChurnRisk]:
    """Wait until some have come, and no more do."""
    deadline = time.monotonic() + 60
    last: list[ChurnRisk] = []
    while time.monotonic() < deadline:
        now = _silence(settings)
        if now and len(now) == len(last):
            return now
        last = now
        time.sleep(3)
    raise AssertionError("no churn risk came from silence alone")


def test_nobody_is_called_silent_while_their_next_events_wait_in_the_backlog(
    settings: Settings, tmp_path: Path
) -> None:
    save(quick_to_worry(), settings.model or tmp_path)
    users, gap_ms, each = 200, 6 * 60_000, 40  # nobody is ever silent for the ten minutes after which we look
    start_ms = now_ms() - (each + 1) * gap_ms
    with producer(settings) as sender:
        for k in range(each):
            for user in range(users):
                ts_ms = start_ms + k * gap_ms + user
                value = event(k * users + user, f"u{user}", ts_ms)
                sender.send(settings.topic_prefix + "views", value, f"u{user}".encode(), timestamp_ms=ts_ms)
        sender.flush()
    small_chunks = {"NEXTACT_MAX_POLL_RECORDS": "100", "NEXTACT_RESCORE_INTERVAL_S": "0.05"}
    with Worker(settings, tmp_path / "log", small_chunks) as worker:
        worker.wait_until_handled(users * each)
        wait_until_committed(settings)
        time.sleep(2)
        assert worker.stop() == 0
    told = [message.as_of_ms - message.silent_ms for message in _silence(settings)]
    assert len(told) >= users, "at the end they are silent"
    assert min(told) >= start_ms + (each - 1) * gap_ms


@pytest.mark.long
def test_input_topic_made_anew_under_the_same_state_ends_the_worker_with_one_reason(
    settings: Settings, tmp_path: Path
) -> None:
    views = settings.topic_prefix + "views"

    def send(count: int) -> None:
        with producer(settings) as sender:
            for k in range(count):
                sender.send(views, event(k, f"u{k % 7}", now_ms()), f"u{k % 7}".encode())
            sender.flush()

    send(40)
    with Worker(settings, tmp_path / "first") as worker:
        worker.wait_until_handled(40)
        wait_until_committed(settings)
        assert worker.stop() == 0
    made_anew(settings, views)
    send(4)
    with Worker(settings, tmp_path / "second") as worker, pytest.raises(ProcessEnded):
        worker.wait_until_handled(4)
    assert worker.code == 2
    assert "NEXTACT_GROUP" in worker.last_words()


@pytest.mark.long
def test_changelog_made_anew_under_committed_offsets_ends_the_worker_with_one_reason(
    settings: Settings, tmp_path: Path
) -> None:
    with producer(settings) as sender:
        for k in range(40):
            sender.send(settings.topic_prefix + "views", event(k, f"u{k % 7}", now_ms()), f"u{k % 7}".encode())
        sender.flush()
    with Worker(settings, tmp_path / "first") as worker:
        worker.wait_until_handled(40)
        wait_until_committed(settings)
        assert worker.stop() == 0
    made_anew(settings, changelog(settings).name)
    for name in ("second", "third"):  # trying again does not make it pass
        with Worker(settings, tmp_path / name) as worker, pytest.raises(ProcessEnded):
            worker.wait_until_handled(1)
        assert worker.code == 2
        assert "the changelog is empty" in worker.last_words()


@pytest.mark.long
def test_changelog_made_anew_under_a_running_worker_ends_it_and_all_that_start_after_it(
    settings: Settings, tmp_path: Path
) -> None:
    def send(first: int) -> None:
        with producer(settings) as sender:
            for k in range(first, first + 20):
                sender.send(settings.topic_prefix + "views", event(k, f"u{k % 7}", now_ms()), f"u{k % 7}".encode())
            sender.flush()

    send(0)
    with Worker(settings, tmp_path / "first") as worker:
        worker.wait_until_handled(20)
        wait_until_committed(settings)
        made_anew(settings, changelog(settings).name)
        send(20)
        with pytest.raises(ProcessEnded):
            worker.wait_until(lambda _: False, 60)
    assert worker.code == 2
    assert "made anew under a running worker" in worker.last_words()
    for name in ("second", "third"):  # though it is no longer empty
        with Worker(settings, tmp_path / name) as worker, pytest.raises(ProcessEnded):
            worker.wait_until_handled(40)
        assert worker.code == 2
        assert "made anew under a running worker" in worker.last_words()


def made_anew(settings: Settings, topic: str) -> None:
    with admin(settings) as client:
        client.delete_topics([topic])
        deadline = time.monotonic() + 30
        while topic in client.list_topics():
            assert time.monotonic() < deadline
            time.sleep(0.1)
    create_topics(settings, for_replay=True)


def test_worker_stopped_in_the_middle_of_a_backlog_goes_on_where_it_was(settings: Settings, tmp_path: Path) -> None:
    total = 20_000
    with producer(settings) as sender:
        for k in range(total):
            sender.send(settings.topic_prefix + "views", event(k, f"u{k % 50}", now_ms()), f"u{k % 50}".encode())
        sender.flush()
    with Worker(settings, tmp_path / "first", {"NEXTACT_MAX_POLL_RECORDS": "200"}) as first:
        assert handled(first.wait_until_handled(total // 4)) < total, "too late to prove anything"
        assert first.stop() == 0
    with Worker(settings, tmp_path / "second") as second:
        wait_until_committed(settings)
        assert second.stop() == 0
    totals = {key: int(row["total"].sum()) for key, row in final_rows(settings).items()}
    assert totals == {f"u{k}".encode(): total // 50 for k in range(50)}


def test_restarted_worker_answers_from_recovered_rows(settings: Settings, tmp_path: Path) -> None:
    views = settings.topic_prefix + "views"
    for run in range(2):
        with producer(settings) as sender:
            for k in range(20):
                sender.send(views, event(100 * run + k, f"u{k % 5}", now_ms() - HOUR_MS + k), f"u{k % 5}".encode())
            sender.flush()
        with Worker(settings, tmp_path / f"log{run}") as worker:
            worker.wait_until_handled(20)
            wait_until_committed(settings)
            assert worker.stop() == 0
    last = {
        key: msgspec.json.decode(value, type=NextAction)
        for key, value in records(settings, settings.topic_prefix + "next-actions")
    }
    assert [last[f"u{k}".encode()].totals["view"] for k in range(5)] == [8] * 5


def test_user_without_a_value_in_the_changelog_is_forgotten_by_the_next_worker(
    settings: Settings, tmp_path: Path
) -> None:
    for run in range(2):
        with producer(settings) as sender:
            for k, user in enumerate(("ann", "bob")):
                sender.send(settings.topic_prefix + "views", event(10 * run + k, user, now_ms()), user.encode())
            if run:
                sender.send(changelog(settings).name, None, b"ann")
            sender.flush()
        with Worker(settings, tmp_path / f"log{run}") as worker:
            worker.wait_until_handled(2)
            wait_until_committed(settings)
            assert worker.stop() == 0
    assert {key: int(row["total"].sum()) for key, row in final_rows(settings).items()} == {b"ann": 1, b"bob": 2}


def test_two_workers_share_the_users_and_one_takes_over(settings: Settings, tmp_path: Path) -> None:
    views = settings.topic_prefix + "views"
    now = now_ms()

    def send(first: int) -> None:
        with producer(settings) as sender:
            for k in range(first, first + 100):
                sender.send(views, event(k, f"u{k % 20}", now + k), f"u{k % 20}".encode())
            sender.flush()

    with Worker(settings, tmp_path / "a") as first, Worker(settings, tmp_path / "b") as second:
        deadline = time.monotonic() + 60
        while not first.metrics().get(("nextact_partitions",)) == second.metrics().get(("nextact_partitions",)) == 1:
            assert time.monotonic() < deadline, (first.last_words(), second.last_words())
            time.sleep(0.2)
        send(0)
        wait_until_committed(settings)
        first.kill()
        send(100)
        wait_until_committed(settings)
        assert second.metrics()["nextact_partitions",] == 2
    totals = {key: int(row["total"].sum()) for key, row in final_rows(settings).items()}
    assert totals == {f"u{k}".encode(): 10 for k in range(20)}


def test_worker_ends_with_one_line_and_code_2(settings: Settings, tmp_path: Path) -> None:
    cases = {
        "no topics": (settings.model_copy(update={"topic_prefix": "nobody."}), "nextact topics create"),
        "another number of partitions": (settings.model_copy(update={"partitions": 3}), "partitions"),
        "no broker": (settings.model_copy(update={"bootstrap_servers": "127.0.0.1:1"}), "KAFKA_BOOTSTRAP_SERVERS"),
        "no model": (settings.model_copy(update={"model": tmp_path}), "nextact train"),
    }
    for name, (wrong, advice) in cases.items():
        with Worker(wrong, tmp_path / name) as worker, pytest.raises(ProcessEnded):
            worker.wait_until_handled(1)
        assert worker.code == 2, name
        lines = worker.log.read_text().splitlines()
        assert len(lines) == 1, (name, lines)
        assert lines[0].startswith("error: "), name
        assert advice in lines[0], (name, lines)

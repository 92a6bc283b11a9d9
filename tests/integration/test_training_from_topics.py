"""A model learnt from the input topics is that of a file with the same events, to the bit."""

import itertools
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner, Result

from models.events_file import write_events
from models.model_directory import load
from models.simulator import Shop, log
from schemas.events import Event, Rejected, decode_event
from schemas.topics import physical_name
from streams.cli import app
from streams.clients import producer
from streams.errors import TopicsEmpty
from streams.replay import replay
from streams.settings import Settings, read_settings
from streams.topic_log import read_topics
from streams.topics import create_topics

pytestmark = pytest.mark.broker

END_MS = 1_750_000_000_000
PARTITIONS = 3
BAD = {
    "not_json": (b"u000001", b"{"),
    "key_mismatch": (b"another", b'{"event_id":"e","user_id":"u","item_id":"i","ts_ms":7}'),
    "missing_field": (b"u", b'{"event_id":"e","user_id":"u","ts_ms":7}'),
}


@pytest.fixture(scope="module")
def events() -> pl.DataFrame:
    rows = log(Shop(users=20, items=40), END_MS, events=900)
    return rows.with_columns(device=pl.when(pl.int_range(pl.len()) % 3 == 0).then(pl.lit("phone")))


@pytest.fixture(scope="module")
def settings(kafka: str, events: pl.DataFrame) -> Settings:
    """Topics that hold the events, some of them twice, and first of all records that are none."""
    found = read_settings(bootstrap_servers=kafka, topic_prefix=f"t{time.time_ns()}.", partitions=PARTITIONS)
    create_topics(found, for_replay=True)
    name = physical_name("views", found.topic_prefix)
    with producer(found) as sender:
        for key, value in (*BAD.values(), BAD["not_json"]):
            sender.send(name, key=key, value=value, timestamp_ms=int(events["ts_ms"][400]))
        sender.flush()
    replay(found, events)
    replay(found, events[100:150])
    return found


def run(monkeypatch: pytest.MonkeyPatch, settings: Settings, *arguments: object) -> Result:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", str(settings.bootstrap_servers))
    monkeypatch.setenv("NEXTACT_TOPIC_PREFIX", settings.topic_prefix)
    monkeypatch.setenv("NEXTACT_PARTITIONS", str(settings.partitions))
    return CliRunner().invoke(app, ["train", *(str(argument) for argument in arguments), "--epochs", "1"])


@pytest.mark.parametrize("limits", [(None, None), (300, None), (None, 700), (300, 700)])
def test_the_model_is_that_of_a_file_with_the_same_events(
    settings: Settings,
    events: pl.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    limits: tuple[int | None, int | None],
) -> None:
    start, end = (None if row is None else int(events["ts_ms"][row]) for row in limits)
    named = [word for name, ms in (("--from", start), ("--to", end)) if ms is not None for word in (name, ms)]
    result = run(monkeypatch, settings, "--from-topics", *named, "--out", tmp_path / "topics")
    assert result.exit_code == 0, result.output
    said = " ".join(result.stderr.split())
    assert "4 refused (not_json 2, key_mismatch 1, missing_field 1)" in said
    assert ("50 came twice" in said) == (limits == (None, None)), "sent again is what had been before --from"
    those = events.filter(
        (pl.col("ts_ms") >= (0 if start is None else start)) & (pl.col("ts_ms") < (END_MS * 2 if end is None else end))
    )
    write_events(those, tmp_path / "same.csv")
    alone = run(monkeypatch, settings, tmp_path / "same.csv", "--out", tmp_path / "file")
    assert alone.exit_code == 0, alone.output
    one, other = load(tmp_path / "topics"), load(tmp_path / "file")
    assert one.items == other.items
    assert all(np.array_equal(one.weights[name], other.weights[name]) for name in other.weights)
    assert one.card.data["sha256"] == other.card.data["sha256"]
    assert one.card.data["rows"] == len(those)
    assert one.card.data["refused"] == {"not_json": 2, "key_mismatch": 1, "missing_field": 1}
    read = sum(b - a for spans in one.card.data["topics"].values() for a, b in spans.values())
    assert len(those) + 4 <= read <= 954
    assert one.card.command.startswith("nextact train --from-topics --name shop")
    assert ("--from" in one.card.command.split()) == (start is not None)


@pytest.mark.parametrize(("number", "code", "why"), [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")])
def test_a_stop_while_topics_are_read_is_one_line_and_leaves_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int, code: int, why: str
) -> None:
    decoded = itertools.count(1)

    def decode(*arguments: Any) -> Event | Rejected:
        if next(decoded) == 100:
            signal.raise_signal(number)
        return decode_event(*arguments)

    monkeypatch.setattr("streams.topic_log.decode_event", decode)
    before, threads = signal.getsignal(number), set(threading.enumerate())
    result = run(monkeypatch, settings, "--from-topics", "--out", tmp_path / "new")
    assert result.exit_code == code, result.output
    [line] = result.stderr.splitlines()
    assert why in line
    assert next(decoded) == 101, "it was not read on"
    assert not (tmp_path / "new").exists()
    assert signal.getsignal(number) is before
    assert set(threading.enumerate()) <= threads, "a client is left"


def test_a_time_without_events_ends_with_one_line(
    settings: Settings, events: pl.DataFrame, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    after = int(events["ts_ms"][-1]) + 1
    result = run(monkeypatch, settings, "--from-topics", "--from", after, "--out", tmp_path / "new")
    assert result.exit_code == 2
    [line] = result.stderr.splitlines()
    assert "hold no record from 2025-" in line
    assert not (tmp_path / "new").exists()
    bad = int(events["ts_ms"][400])
    with pytest.raises(TopicsEmpty, match="none is an event: not_json 2, future_time 1"):
        read_topics(settings, bad, bad + 1, 0)


def test_progress_counts_all_records(settings: Settings) -> None:
    told: list[tuple[int, int]] = []
    found = read_topics(settings, None, None, END_MS, lambda done, total: told.append((done, total)))
    assert told[-1] == (954, 954)
    assert found.records == 954
    assert {"event_id", "device", "price"} <= set(found.events.columns), "what some event has"
    assert "currency" not in found.events.columns, "what none has"

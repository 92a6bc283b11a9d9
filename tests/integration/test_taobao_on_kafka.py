"""A real log through real Kafka: the state is that of a plain fold, the outputs those of a backtest, kill -9 or not."""

import json
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from public_data import public_file
from workers import Worker, final_rows, records, wait_until_committed

from models.convert.taobao import convert
from models.events_file import read_serving_events, write_events
from models.model_directory import load
from models.predictor import Predictor
from models.state import ACTIONS, RESOLUTIONS, Rows
from schemas.topics import OUTPUTS
from streams.backtest import Backtest, Forecasts, backtest
from streams.options import Options
from streams.outputs import Output
from streams.replay import replay
from streams.settings import Settings, read_settings
from streams.topics import create_topics
from streams.worker_process import handled

pytestmark = [pytest.mark.broker, pytest.mark.timeout(600), pytest.mark.long]

TEST_FROM = "2017-12-02T00:00:00+08:00"
NO_SILENCE = {"NEXTACT_RESCORE_INTERVAL_S": "3600"}
"""By the wall clock all users of 2017 have been silent for years: no such scores while rows are compared."""

SMALL_CHUNKS = {"NEXTACT_MAX_POLL_RECORDS": "50"}
"""Minutes of the log pass in a chunk, not hours: most events get forecasts of their own, as they do live."""


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    file = tmp_path_factory.mktemp("events") / "events.parquet"
    write_events(convert(public_file("taobao_userbehavior_700.csv.gz")).events, file)
    return read_serving_events(file)


@pytest.fixture(scope="module")
def model(events: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained on what came before the test days."""
    folder = tmp_path_factory.mktemp("taobao")
    write_events(events, folder / "events.parquet")
    command = [sys.executable, "-m", "streams", "train", str(folder / "events.parquet"), "--out", str(folder / "model")]
    subprocess.run([*command, "--until", TEST_FROM, "--utc-offset-h", "8", "--epochs", "2"], check=True)
    return folder / "model"


@pytest.fixture
def settings(kafka: str, model: Path) -> Settings:
    """Topics of its own for each test."""
    prefix = f"taobao{time.time_ns()}."
    made = read_settings(bootstrap_servers=kafka, topic_prefix=prefix, model=model, partitions=4)
    create_topics(made, for_replay=True)
    return made


@pytest.fixture(scope="module")
def expected(events: pl.DataFrame, model: Path) -> tuple[Backtest, dict[tuple[str, str], bytes]]:
    """The backtest of the log, and the last output of each topic and user."""
    last: dict[tuple[str, str], bytes] = {}

    def keep(output: Output) -> None:
        last[output.topic, (output.key or b"").decode()] = output.value

    return backtest(events, Predictor(load(model)), Options(), keep, partitions=4), last


def assert_rows_equal_fold(events: pl.DataFrame, rows: dict[bytes, Rows]) -> None:
    """Hold totals and windows of every user against a fold of the log that shares no code with the pipeline."""
    histories = defaultdict(list)
    for user, action, ts_ms in events.select("user_id", "action", "ts_ms").iter_rows():
        histories[user].append((ts_ms, ACTIONS.index(action)))
    assert rows.keys() == {user.encode() for user in histories}
    for user, history in histories.items():
        row, newest = rows[user.encode()], max(ts_ms for ts_ms, _ in history)
        assert row["newest_ms"] == newest
        assert row["total"].tolist() == [sum(a == code for _, a in history) for code in range(3)], user
        for field, width, size in RESOLUTIONS:
            buckets = Counter((a, t // width % size) for t, a in history if t // width > newest // width - size)
            assert dict(_cells(row[field])) == buckets, (user, field)


def _cells(window: Rows) -> Iterator[tuple[tuple[int, int], int]]:
    for action, buckets in enumerate(window.tolist()):
        for slot, count in enumerate(buckets):
            if count:
                yield (action, slot), count


def assert_rows_equal_backtest(rows: dict[bytes, Rows], expected: Backtest) -> None:
    """Every byte of every row: windows, ring, recurrent states, offsets."""
    for table in expected.users.partitions.values():
        for key in table:
            ours, theirs = rows[key], table.read([key])[0]
            differing = [name for name in ours.dtype.names or () if ours[name].tobytes() != theirs[name].tobytes()]
            assert differing == [], key


def last_outputs(settings: Settings) -> dict[tuple[str, str], bytes]:
    return {
        (topic, key.decode()): value
        for topic in OUTPUTS
        for key, value in records(settings, settings.topic_prefix + topic)
    }


def test_replayed_log_gives_the_fold_the_backtest_and_better_forecasts_than_the_prior(
    settings: Settings,
    events: pl.DataFrame,
    model: Path,
    expected: tuple[Backtest, dict[tuple[str, str], bytes]],
    tmp_path: Path,
) -> None:
    with Worker(settings, tmp_path / "worker.log", NO_SILENCE | SMALL_CHUNKS) as worker:
        replay(settings, events)
        worker.wait_until_handled(len(events))
        wait_until_committed(settings)
        metrics = worker.metrics()
        assert worker.stop() == 0
    assert_rows_equal_fold(events, rows := final_rows(settings))
    assert_rows_equal_backtest(rows, expected[0])
    assert last_outputs(settings) == expected[1]
    assert_metrics_add_up(metrics, events)
    card, live = load(model).card, Forecasts()
    for _, value in records(settings, settings.topic_prefix + "next-actions"):
        live.add(value)
    score = live.score(events, card)
    print(f"next action, 2-3 December, as published: {json.dumps(score.as_dict())}")
    assert score.scored > 1000
    assert score.log_loss < score.prior_log_loss


def assert_metrics_add_up(metrics: dict[tuple[str, ...], float], events: pl.DataFrame) -> None:
    sent = Counter(events["action"].to_list())
    for topic, action in (("views", "view"), ("clicks", "click"), ("purchases", "purchase")):
        assert metrics["nextact_records_total", topic] == sent[action]
        assert metrics["nextact_lag_records", topic] == 0
    assert metrics["nextact_events_total", "applied"] == len(events)
    assert metrics["nextact_chunk_records_sum",] == len(events)
    assert metrics["nextact_outputs_total", "next-actions"] == metrics["nextact_outputs_total", "recommendations"]
    assert metrics["nextact_late_total",] == 0
    assert metrics["nextact_users",] == events["user_id"].n_unique()


def test_killed_worker_loses_nothing_and_counts_nothing_twice(
    settings: Settings,
    events: pl.DataFrame,
    expected: tuple[Backtest, dict[tuple[str, str], bytes]],
    tmp_path: Path,
) -> None:
    sending = threading.Thread(target=replay, args=(settings, events))
    worker = Worker(settings, tmp_path / "first.log", NO_SILENCE)
    try:
        sending.start()
        assert handled(worker.wait_until_handled(len(events) // 3)) < len(events), "too late to prove anything"
    finally:
        worker.kill()
        sending.join()
    with Worker(settings, tmp_path / "second.log", NO_SILENCE) as second:
        wait_until_committed(settings)
        metrics = second.metrics()
        assert second.stop() == 0
    assert metrics["nextact_recovered_rows",] > 0
    assert_rows_equal_fold(events, rows := final_rows(settings))
    assert_rows_equal_backtest(rows, expected[0])
    assert last_outputs(settings) == expected[1]

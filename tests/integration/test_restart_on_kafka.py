"""How long a partition is idle when its worker is killed or stopped and comes back, with and without an instance id."""

import time
from pathlib import Path

import msgspec
import pytest
from workers import Worker, wait_until_committed

from models.model_directory import save
from streams.benchmark.workload import random_model
from streams.clients import producer
from streams.settings import Settings, read_settings
from streams.topics import create_topics

pytestmark = [pytest.mark.broker, pytest.mark.long]

SESSION_S = 10


@pytest.fixture
def settings(kafka: str, tmp_path: Path) -> Settings:
    save(random_model(), tmp_path / "model")
    prefix = f"restart{time.time_ns()}."
    made = read_settings(bootstrap_servers=kafka, topic_prefix=prefix, model=tmp_path / "model", partitions=4)
    create_topics(made)
    return made


def send(settings: Settings, first: int, count: int = 40) -> None:
    now_ms = time.time_ns() // 1_000_000
    with producer(settings) as sender:
        for number in range(first, first + count):
            event = {"event_id": f"e{number}", "user_id": f"u{number}", "item_id": "i1", "ts_ms": now_ms}
            sender.send(f"{settings.topic_prefix}views", msgspec.json.encode(event), f"u{number}".encode())
        sender.flush()


def idle_s(settings: Settings, folder: Path, more: dict[str, str], kill: bool) -> float:
    """Return how long events wait for a worker that ends and is started again at once."""
    send(settings, 0)
    with Worker(settings, folder / "first.log", more) as first:
        first.wait_until_handled(40)
        wait_until_committed(settings)
        ended_s = time.monotonic()
        first.kill() if kill else first.stop()
        send(settings, 40)
    with Worker(settings, folder / "second.log", more) as second:
        second.wait_until_handled(40)
        took_s = time.monotonic() - ended_s
        wait_until_committed(settings)
    return took_s


MEASURED = pytest.mark.measure


@pytest.mark.parametrize(
    ("instance", "kill"),
    [
        ("worker-0", True),
        pytest.param(None, True, marks=MEASURED),
        pytest.param("worker-0", False, marks=MEASURED),
        pytest.param(None, False, marks=MEASURED),
    ],
)
def test_worker_comes_back(settings: Settings, tmp_path: Path, instance: str | None, kill: bool) -> None:
    more = {"NEXTACT_SESSION_TIMEOUT_S": str(SESSION_S)} | ({"NEXTACT_INSTANCE": instance} if instance else {})
    took_s = idle_s(settings, tmp_path, more, kill)
    print(f"{'killed' if kill else 'stopped'}, {'static' if instance else 'dynamic'}: idle for {took_s:.1f} s")
    if instance and kill:
        assert took_s < SESSION_S  # nobody waits for the one that is dead


@pytest.mark.parametrize("instance", [False, pytest.param(True, marks=MEASURED)])
def test_other_worker_takes_over_from_one_that_is_stopped_for_good(
    settings: Settings, tmp_path: Path, instance: bool
) -> None:
    session = {"NEXTACT_SESSION_TIMEOUT_S": str(SESSION_S)}
    more = [session | ({"NEXTACT_INSTANCE": f"worker-{k}"} if instance else {}) for k in range(2)]
    with Worker(settings, tmp_path / "0.log", more[0]) as first, Worker(settings, tmp_path / "1.log", more[1]) as other:
        for worker in (first, other):
            worker.wait_until(lambda samples: samples.get(("nextact_partitions",), 0) == 2, 60)
        ended_s = time.monotonic()
        first.stop()
        send(settings, 0)
        other.wait_until_handled(40)
        took_s = time.monotonic() - ended_s
    print(f"stopped for good, {'static' if instance else 'dynamic'}: idle for {took_s:.1f} s")
    if not instance:
        assert took_s < SESSION_S  # it has left its group

"""The peers' job on our chunk path answers as its reference does, and finds its state again."""

import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import msgspec
import numpy as np
import pytest
from kafka import TopicPartition
from peers_folder import peers_folder, peers_modules

from schemas.topics import INPUTS, topics
from streams.benchmark import peers as module
from streams.benchmark.final_state import BenchmarkFailed
from streams.benchmark.peers import TOPICS, PeersJob
from streams.benchmark.throughput import fill
from streams.benchmark.workload import Workload, workload
from streams.clients import admin, consumer
from streams.processes import Process
from streams.settings import Settings, read_settings
from streams.topics import changelog

pytestmark = pytest.mark.broker
EVENTS, USERS = 20_000, 500


class Prediction(msgspec.Struct):
    user_id: str
    event_id: str
    p: list[float]


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    return peers_modules(monkeypatch)


@pytest.fixture
def settings(kafka: str) -> Settings:
    return read_settings(bootstrap_servers=kafka, partitions=8, group="peersjob")


@pytest.fixture
def input_(settings: Settings) -> Iterator[Workload]:
    """The events, sent to the topics of the job, which have no prefix."""
    yield fill(settings, workload(EVENTS, USERS)).input
    with admin(settings) as client:
        client.delete_topics([*topics(), changelog(settings).name])


def job(settings: Settings, log: Path) -> Process:
    folder, broker = str(peers_folder()), str(settings.bootstrap_servers)
    words = [sys.executable, "-m", "streams.benchmark.peers_job", folder, broker, settings.group]
    return Process(words, log, {"OPENBLAS_NUM_THREADS": "1"})


def answers(settings: Settings, least: int, process: Process) -> list[tuple[bytes, Prediction]]:
    """Return all outputs, once there are at least so many of different events."""
    found: list[tuple[bytes, Prediction]] = []
    events: set[str] = set()
    deadline_s = time.monotonic() + 60
    with consumer(settings, auto_offset_reset="earliest") as reader:
        reader.assign([TopicPartition(TOPICS[-1], number) for number in range(settings.partitions)])
        while len(events) < least:
            assert process.code is None, process.last_words()
            assert time.monotonic() < deadline_s, f"{len(events)} of {least} answers: {process.last_words()}"
            for batch in reader.poll(500, max_records=20_000).values():
                found += [(record.key, msgspec.json.decode(record.value, type=Prediction)) for record in batch]
            events = {prediction.event_id for _, prediction in found}
    return found


def recovered_users(settings: Settings, log: Path) -> int:
    """Start the job again and return of how many users it found the state."""
    with job(settings, log) as process:
        deadline_s = time.monotonic() + 60
        while not (ready := [line for line in log.read_bytes().splitlines() if b'"ready"' in line]):
            assert time.monotonic() < deadline_s, process.last_words()
            time.sleep(0.1)
        assert process.stop() == 0
    return int(msgspec.json.decode(ready[0])["users"])


def test_every_event_is_answered_once_as_the_reference_has_it(
    settings: Settings, input_: Workload, peers: dict[str, ModuleType], tmp_path: Path
) -> None:
    with job(settings, tmp_path / "job.log") as process:
        found = answers(settings, EVENTS, process)
        assert process.stop() == 0
    assert set(Counter(prediction.event_id for _, prediction in found).values()) == {1}
    assert all(key == prediction.user_id.encode() for key, prediction in found)
    records = [(INPUTS.index(topic), *rest) for topic, *rest in input_.messages()]
    reference = peers["limit"].run(records, peers["limit"].offsets(input_.action), 4096, keep=True)[2]
    ours = np.empty_like(reference)
    for _, prediction in found:
        ours[int(prediction.event_id[1:])] = prediction.p
    assert np.abs(ours - reference).max() < 1e-5
    assert recovered_users(settings, tmp_path / "again.log") == len(input_.totals())


def test_peers_delete_only_what_they_created(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_NEEDED", {})
    (tmp_path / "run.py").touch()
    job = PeersJob(tmp_path, ["limit"])
    with admin(settings) as client:
        client.create_topics([TOPICS[0]])
        client.wait_for_topics([TOPICS[0]])
        with (
            pytest.raises(BenchmarkFailed, match=f"would delete topics that are there: {TOPICS[0]}"),
            job.topics(settings),
        ):
            pytest.fail("it must not begin")
        assert TOPICS[0] in client.list_topics()
        client.delete_topics([TOPICS[0]])
        with job.topics(settings):
            client.create_topics([TOPICS[1]])
            client.wait_for_topics([TOPICS[1]])
        assert TOPICS[1] not in client.list_topics()


def test_run_of_the_peers_checks_ours_too(settings: Settings, tmp_path: Path) -> None:
    pytest.importorskip("confluent_kafka", reason="pip install 'nextact[benchmark]'")
    job = PeersJob(peers_folder(), ["limit", "nextact"])
    with job.topics(settings):
        limit, ours = job.run(settings, tmp_path, EVENTS, USERS, repeat=1, say=lambda _: None)
    assert (limit.name, ours.name) == ("limit", "nextact")
    assert ours.events == EVENTS
    assert ours.agree == 1
    assert ours.changelog_records_per_event > 0

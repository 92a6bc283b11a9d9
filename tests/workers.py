"""Workers as separate processes, and what is on the broker when they are done."""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from kafka import TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from models.state import Rows
from schemas.topics import INPUTS, physical_name
from streams.chunk.table import MARKER, VALUE
from streams.clients import admin, consumer
from streams.settings import Settings

PATIENCE_S = 120


class Worker:
    """A `nextact worker` process.

    Args:
        settings: broker, prefix, model.
        log: where its output goes.
        environment: further variables.
    """

    def __init__(self, settings: Settings, log: Path, **environment: str) -> None:
        self.log = log
        self._port = ""
        variables = {
            "KAFKA_BOOTSTRAP_SERVERS": ",".join(settings.servers),
            "NEXTACT_TOPIC_PREFIX": settings.topic_prefix,
            "NEXTACT_PARTITIONS": str(settings.partitions),
            "NEXTACT_MODEL": str(settings.model),
            "NEXTACT_METRICS_PORT": "0",
            "NEXTACT_LOG_FORMAT": "json",
            **environment,
        }
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "streams", "worker"],
                env=os.environ | variables,
                stdout=output,
                stderr=output,
            )

    def metrics(self) -> dict[tuple[str, ...], float]:
        """All samples by name and label values (labels in alphabetical order); empty before the endpoint answers."""
        port = self.port()
        if not port:
            return {}
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def handled(self) -> int:
        """The number of input records that it has handled."""
        return int(sum(v for name, v in self.metrics().items() if name[0] == "nextact_records_total"))

    def wait_until_handled(self, records: int) -> None:
        """Wait until it has handled so many records."""
        deadline = time.monotonic() + PATIENCE_S
        while self.handled() < records:
            assert self.process.poll() is None, f"worker ended with {self.process.returncode}: {self.tail()}"
            assert time.monotonic() < deadline, f"{self.handled()} of {records} records handled: {self.tail()}"
            time.sleep(0.1)

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; return the exit code."""
        self.process.terminate()
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text()[-3000:]

    def port(self) -> str:
        """The port of its metrics, empty before it says which."""
        if not self._port:
            for line in self.log.read_text().splitlines():
                if '"metrics_port": ' in line:
                    self._port = line.partition('"metrics_port": ')[2].partition(",")[0].rstrip("}")
        return self._port


@contextmanager
def running(settings: Settings, log: Path, **environment: str) -> Iterator[Worker]:
    """A worker that is stopped at the end, whatever happens."""
    worker = Worker(settings, log, **environment)
    try:
        yield worker
    finally:
        if worker.process.poll() is None:
            worker.stop()


def wait_until_committed(settings: Settings) -> None:
    """Wait until the group has committed every record of the input topics."""
    tps = [
        TopicPartition(physical_name(topic, settings.topic_prefix), p)
        for topic in INPUTS
        for p in range(settings.partitions)
    ]
    group = settings.topic_prefix + settings.group
    deadline = time.monotonic() + PATIENCE_S
    with admin(settings) as client, consumer(settings) as reader:
        ends = reader.end_offsets(tps)
        while True:
            committed = client.list_group_offsets([group]).get(group, {})
            behind = {
                tp: end for tp, end in ends.items() if end and (tp not in committed or committed[tp].offset < end)
            }
            if not behind:
                return
            assert time.monotonic() < deadline, f"not committed: {behind}"
            time.sleep(0.2)


def records(settings: Settings, topic: str) -> list[tuple[bytes, bytes]]:
    """Key and value of every record of a topic (its name on the broker), each partition in order."""
    found: list[tuple[bytes, bytes]] = []
    with consumer(settings, auto_offset_reset="earliest") as reader:
        tps = [TopicPartition(topic, p) for p in reader.partitions_for_topic(topic)]
        reader.assign(tps)
        ends = reader.end_offsets(tps)
        while any(reader.position(tp) < end for tp, end in ends.items()):
            for batch in reader.poll(1000).values():
                found += [(record.key, record.value) for record in batch]
    return found


def final_rows(settings: Settings) -> dict[bytes, Rows]:
    """The last row of each user in the changelog, by key."""
    changelog = f"{settings.topic_prefix}{settings.group}-users-changelog"
    last = {key: value for key, value in records(settings, changelog) if key != MARKER}
    return {key: np.frombuffer(value, VALUE)["row"][0] for key, value in last.items()}

"""A small shop for drills: a broker of its own, a terminal, workers, and a plain fold to hold their rows against."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from builders import random_model
from chaos.final import Record, read
from chaos.fold import fold_differences, histories
from kafka.admin import ConfigResource, ConfigResourceType
from typed import Shell, shell
from workers import PATIENCE_S, Worker, final_rows, wait_until_committed

from models.model_directory import Model, save
from models.state import ROW, Rows
from schemas.partitioner import partition
from schemas.topics import INPUTS, physical_name
from streams.broker import KafkaHome
from streams.clients import admin, producer
from streams.settings import Settings
from streams.topics import create_topics
from streams.worker_process import Samples, environment, handled

PAGE = Path(__file__).parents[1] / "docs/operations.md"
USERS, PARTITIONS, ITEMS = 40, 2, 50
HOUR_MS, DAY_MS = 3_600_000, 86_400_000

OF_EVENTS = tuple(name for name in ROW.names or () if name not in ("applied", "rescore_ms", "silent_s", "band"))
"""Fields that follow from the events alone, not from where they stand and when they were handled."""

NO_EVENT = b"{"

Sent = tuple[str, dict[str, Any]]
"""Topic without prefix, and event."""


@dataclass
class Shop:
    """All that a drill is about.

    Attributes:
        settings: of workers, as they are by now.
        model: that the shop was opened with.
        shell: where lines of the page are typed.
        folder: for logs.
        broker: Apache Kafka.
        sent: events, once for each time.
        workers: number of those that were made.
    """

    settings: Settings
    model: Path
    shell: Shell
    folder: Path
    broker: KafkaHome
    sent: list[Sent] = field(default_factory=list)
    workers: int = 0

    def send(self, events: Sequence[Sent]) -> None:
        """Send events, and a record that is none."""
        prefix, partitions = self.settings.topic_prefix, self.settings.partitions
        with producer(self.settings) as sender:
            for topic, event in events:
                key = event["user_id"].encode()
                place = {"partition": partition(key, partitions), "timestamp_ms": event["ts_ms"]}
                sender.send(physical_name(topic, prefix), msgspec.json.encode(event), key, **place)
            sender.send(physical_name("views", prefix), NO_EVENT, b"nobody", timestamp_ms=events[-1][1]["ts_ms"])
            sender.flush()
        self.sent += events

    def worker(self, **more: str) -> Worker:
        """Return one more worker."""
        self.workers += 1
        return Worker(self.settings, self.folder / f"worker-{self.workers}.log", more)

    def work(self) -> Samples:
        """Have a worker handle all there is, stop it in good order; return its metrics."""
        with self.worker() as worker:
            worker.wait_until(lambda samples: handled(samples) > 0, PATIENCE_S)
            wait_until_committed(self.settings)
            samples = worker.metrics()
            assert worker.stop() == 0
        return samples

    def follow(self) -> None:
        """Take over what was exported in the terminal."""
        said = self.shell.environment
        exported = {
            "bootstrap_servers": said["KAFKA_BOOTSTRAP_SERVERS"],
            "topic_prefix": said["NEXTACT_TOPIC_PREFIX"],
            "group": said["NEXTACT_GROUP"],
            "partitions": int(said["NEXTACT_PARTITIONS"]),
        }
        self.settings = self.settings.model_copy(update=exported)

    def topics(self) -> set[str]:
        """Return the names of all topics but Kafka's own."""
        with admin(self.settings) as client:
            return {name for name in client.list_topics() if not name.startswith("__")}

    def kept_ms(self, topic: str) -> int:
        """Return how long a topic keeps records, by its name without prefix."""
        name = physical_name(topic, self.settings.topic_prefix)
        with admin(self.settings) as client:
            found = client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)], config_filter="all")
        return int(found["topic"][name]["retention.ms"]["value"])

    def log(self) -> dict[str, list[Record]]:
        """Return the events that stand in the input topics."""
        found = {topic: read(self.settings, physical_name(topic, self.settings.topic_prefix)) for topic in INPUTS}
        return {topic: [record for record in found[topic] if record.value != NO_EVENT] for topic in INPUTS}

    def assert_all_counts_once(self, rows: dict[bytes, Rows] | None = None, but_for: tuple[str, ...] = ()) -> None:
        """Hold the topics against what was sent, and rows, the group's if none are given, against a plain fold.

        Args:
            rows: by user.
            but_for: what of the fold need not be equal.
        """
        log = self.log()
        there = Counter((t, msgspec.json.decode(r.value or b"")["event_id"]) for t in INPUTS for r in log[t])
        assert there == Counter((topic, event["event_id"]) for topic, event in self.sent)
        users, found = histories(log), final_rows(self.settings) if rows is None else rows
        assert found.keys() == users.keys()
        for key, history in users.items():
            differing = [told for told in fold_differences(history, found[key]) if told[0] not in but_for]
            assert differing == [], key


def shoppers(first: int, each: int, end_ms: int, span_ms: int = 2 * HOUR_MS) -> list[Sent]:
    """Return events of a while up to a time, `each` of every user, somewhat out of order, one in thirty sent twice."""
    random, count, made = Random(first), USERS * each, list[Sent]()
    for k in range(count):
        event = {
            "event_id": f"e{first + k}",
            "user_id": f"u{k % USERS}",
            "item_id": f"i{random.randrange(ITEMS)}",
            "ts_ms": end_ms - span_ms + (k + 1) * span_ms // count - random.choice((0, 0, span_ms // 20)),
        }
        [topic] = random.choices(INPUTS, (6, 3, 1))
        made += [(topic, event)] * (2 if k % 30 == 0 else 1)
    return made


def now_ms() -> int:
    """Return the present."""
    return time.time_ns() // 1_000_000


@contextmanager
def small_shop(home: Path, folder: Path, made: Model | None = None) -> Iterator[Shop]:
    """Open a shop on a new broker.

    Args:
        home: where Kafka's jars are.
        folder: for everything that is written.
        made: model of the workers, by default one that has learnt nothing.
    """
    model = folder / "model"
    save(made or random_model(items=ITEMS), model)
    with KafkaHome(home, folder / "kafka") as broker:
        settings = Settings(bootstrap_servers=broker.bootstrap_servers, partitions=PARTITIONS, model=model)
        create_topics(settings)
        yield Shop(settings, model, shell(home, folder / "terminal", environment(settings)), folder, broker)


def lags(said: str) -> list[int]:
    """Return the column LAG of what `kafka-consumer-groups.sh --describe` prints; - counts as 0: nothing was there."""
    rows = [line.split() for line in said.splitlines() if line.strip()]
    [titles] = [k for k, row in enumerate(rows) if "LAG" in row]
    cells = [row[rows[titles].index("LAG")] for row in rows[titles + 1 :]]
    return [0 if cell == "-" else int(cell) for cell in cells]

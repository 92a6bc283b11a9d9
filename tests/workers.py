"""Workers as separate processes, and what is on the broker when they are done."""

import time

import numpy as np
from kafka import TopicPartition
from kafka.errors import KafkaError

from models.state import Rows
from schemas.topics import INPUTS, physical_name
from streams.chunk.changelog import LOGGED
from streams.chunk.logged_rows import MARKER
from streams.clients import admin, consumer
from streams.settings import Settings
from streams.worker_process import Samples, WorkerProcess, handled

PATIENCE_S = 120


class Worker(WorkerProcess):
    """A worker that tests wait for."""

    def wait_until_handled(self, records: int) -> Samples:
        """Wait until it has handled so many records; return its metrics."""
        return self.wait_until(lambda samples: handled(samples) >= records, PATIENCE_S)


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
            try:
                committed = client.list_group_offsets([group]).get(group, {})
            except KafkaError as error:  # on a new broker the place where groups are kept is only just made
                if not error.retriable:
                    raise
                committed = {}
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
    return {key: np.frombuffer(value, LOGGED)["row"][0] for key, value in last.items()}

"""Three Apache Kafka nodes, each broker and controller: one may be killed or paused, and the rest go on."""

import random
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import confluent_kafka
import confluent_kafka.admin
from kafka import TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType

from schemas.topics import INPUTS, OUTPUTS, physical_name
from streams.benchmark.open_loop import arguments
from streams.broker import KafkaHome, new_cluster_id
from streams.clients import admin
from streams.errors import BrokerNotStarted
from streams.local_broker import free_ports
from streams.settings import Settings
from streams.topics import changelog

NODES = 3
PATIENCE_S = 180.0
_PREFERRED = 0


class Node(KafkaHome):
    """One of the nodes; small, and quick to start."""

    paused = False

    @property
    def up(self) -> bool:
        """Whether it runs and is not paused."""
        return self._process is not None and self._process.code is None and not self.paused

    def pause(self) -> None:
        """Stop its process as SIGSTOP does."""
        self.signal(signal.SIGSTOP)
        self.paused = True

    def resume(self) -> None:
        """Let it go on."""
        self.signal(signal.SIGCONT)
        self.paused = False

    def kill(self) -> None:
        """Kill it, paused or not."""
        super().kill()
        self.paused = False

    def _run(self) -> list[str]:
        java, *rest = super()._run()
        # compiled code that is good enough soon: a node lives for minutes, often for seconds
        return [java, *rest[:-2], "-Xms128m", "-Xmx384m", "-XX:TieredStopAtLevel=1", *rest[-2:]]  # the last counts


class Cluster:
    """The nodes. Use it in a `with` block: they are stopped at the end, whatever happens.

    Args:
        home: Apache Kafka's jars.
        data_dir: where the nodes keep their data.
        settings: topics and group; `named_in` gives them with the addresses of the nodes.
    """

    def __init__(self, home: Path, data_dir: Path, settings: Settings) -> None:
        ports = free_ports(2 * NODES)
        voters = ",".join(f"{k + 1}@127.0.0.1:{ports[NODES + k]}" for k in range(NODES))
        cluster = new_cluster_id()
        self.nodes = [
            Node(
                home,
                data_dir / f"node{k + 1}",
                ports[k],
                _properties(k + 1, ports[k], ports[NODES + k], voters),
                cluster,
            )
            for k in range(NODES)
        ]
        servers = ",".join(node.bootstrap_servers for node in self.nodes)
        self.settings = settings.model_copy(
            update={"bootstrap_servers": servers, "security_protocol": "PLAINTEXT", "replication_factor": NODES}
        )
        self._admin: Any = None

    def __enter__(self) -> Self:
        """Start all nodes."""
        try:
            for node in self.nodes:
                node.launch()
            for node in self.nodes:
                node.wait_until_it_answers()
        except BaseException:
            self._end()
            raise
        self._admin = confluent_kafka.admin.AdminClient(arguments(self.settings) | {"log_level": 2})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop all nodes: their data are thrown away, so there is nothing to wait for."""
        self._end()

    def _end(self) -> None:
        for node in self.nodes:
            node.kill()

    @property
    def up(self) -> bool:
        """Whether all nodes run and none is paused."""
        return all(node.up for node in self.nodes)

    def whole(self) -> bool:
        """Tell whether every replica of every partition is in sync."""
        if not self.up:
            return False
        try:
            topics = self._admin.list_topics(timeout=5).topics.values()
        except confluent_kafka.KafkaException:
            return False
        partitions = [partition for topic in topics for partition in topic.partitions.values()]
        return all(len(p.isrs) == len(p.replicas) == NODES and p.leader >= 0 for p in partitions)

    def wait_until_whole(self, tick: Callable[[], None]) -> None:
        """Wait until every replica is in sync.

        Raises:
            BrokerNotStarted: a node ended, or the wait takes too long.
        """
        deadline_s = time.monotonic() + PATIENCE_S
        while not self.whole():
            tick()
            for node in self.nodes:
                node.check()
            if time.monotonic() > deadline_s:
                raise BrokerNotStarted(f"after {PATIENCE_S:.0f} s not every replica is in sync")
            time.sleep(0.2)

    def compact_soon(self, lag_ms: int) -> None:
        """Let the changelog be compacted for real: small segments, cleaned as soon as they are `lag_ms` old."""
        self._configure(
            {
                "segment.ms": "3000",
                "min.compaction.lag.ms": str(lag_ms),
                "max.compaction.lag.ms": str(2 * lag_ms),
                "min.cleanable.dirty.ratio": "0.3",
                "delete.retention.ms": "1000",
            }
        )

    def compact_now(self) -> None:
        """Have the cleaner take whatever is old enough, however little it is."""
        self._configure({"min.cleanable.dirty.ratio": "0.001", "segment.ms": "1000"})

    def _configure(self, config: dict[str, str]) -> None:
        name = changelog(self.settings).name
        with admin(self.settings) as client:
            # the node that is asked may not have heard of the topic yet, nor of its settings
            client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, config)], raise_on_unknown=False)

    def move_leaders(self, chance: random.Random) -> int:
        """Give every partition of ours another leader; return how many have one now."""
        order = list(range(1, NODES + 1))
        chance.shuffle(order)
        wanted = {}
        for topic in self._topics():
            for number in range(self.settings.partitions):
                shift = chance.randrange(NODES)
                wanted[TopicPartition(topic, number)] = order[shift:] + order[:shift]
        with admin(self.settings) as client:
            client.alter_partition_reassignments(wanted)
            deadline_s = time.monotonic() + 10
            while client.list_partition_reassignments() and time.monotonic() < deadline_s:
                time.sleep(0.1)
            client.elect_leaders(_PREFERRED, _by_topic(wanted), raise_errors=False)
        return len(wanted)

    def _topics(self) -> list[str]:
        names = [physical_name(topic, self.settings.topic_prefix) for topic in (*INPUTS, *OUTPUTS)]
        return [*names, changelog(self.settings).name]


def _by_topic(partitions: Sequence[TopicPartition] | dict[TopicPartition, Any]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for partition in partitions:
        found.setdefault(partition.topic, []).append(partition.partition)
    return found


def _properties(number: int, port: int, controller_port: int, voters: str) -> dict[str, str]:
    replicated = {
        f"{name}.{what}": value
        for name in ("transaction.state.log", "share.coordinator.state.topic")
        for what, value in (("replication.factor", str(NODES)), ("min.isr", str(NODES - 1)))
    }
    return replicated | {
        "node.id": str(number),
        "controller.quorum.voters": voters,
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "default.replication.factor": str(NODES),
        "min.insync.replicas": str(NODES - 1),
        "offsets.topic.replication.factor": str(NODES),
        "replica.lag.time.max.ms": "5000",
        "log.cleaner.backoff.ms": "1000",
        "log.cleaner.dedupe.buffer.size": "4194304",
        "log.initial.task.delay.ms": "1000",
        "num.network.threads": "2",
        "num.io.threads": "4",
    }

"""Which broker: the one named, else an Apache Kafka from a folder of its jars, else the embedded one from pip."""

import os
import shutil
import subprocess
import tempfile
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from streams.clients import check_broker
from streams.errors import BrokerNotStarted, BrokerUnavailable
from streams.local_broker import LocalBroker, free_ports
from streams.settings import Settings

NO_BROKER = (
    "no broker: set KAFKA_BOOTSTRAP_SERVERS=host:port, or KAFKA_HOME to a folder of Apache Kafka,"
    " or install the embedded one with `pip install 'nextact[demo]'`"
)


class KafkaHome(LocalBroker):
    """Apache Kafka as one KRaft node, from a folder of its jars: `home/libs/*.jar`; needs Java 17 or newer."""

    name = "Apache Kafka"

    def __init__(
        self,
        home: Path,
        data_dir: Path,
        port: int | None = None,
        properties: dict[str, str] | None = None,
        cluster: str | None = None,
    ) -> None:
        """Prepare a node; `properties` go into its server.properties after ours.

        Args:
            home: where the jars are.
            data_dir: where it keeps its data.
            port: where it listens; None: a free one.
            properties: of the broker.
            cluster: id that all nodes of a cluster share, 22 characters of base64; None: one of its own.

        Raises:
            BrokerNotStarted: there are no jars, or there is no Java.
        """
        self.home = home.resolve()
        if not any(self.home.glob("libs/kafka-clients-*.jar")):
            raise BrokerNotStarted(f"KAFKA_HOME={home} holds no Apache Kafka: libs/kafka-clients-*.jar is not there")
        java = _java()
        if java is None:
            raise BrokerNotStarted("Apache Kafka needs Java 17 or newer: install it, or set KAFKA_BOOTSTRAP_SERVERS")
        self._java = java
        self._properties = properties or {}
        self._cluster = cluster or new_cluster_id()
        ports = free_ports(2)
        super().__init__(data_dir, port or ports[0])
        self._controller_port = ports[1]

    def command(self) -> list[str]:
        """Write the configuration, format the storage if it is new, and return the command line."""
        config = self.data_dir / "server.properties"
        lines = (self._defaults() | self._properties).items()
        config.write_text("".join(f"{name}={value}\n" for name, value in lines))
        (self.data_dir / "log4j2.yaml").write_text(_LOG4J)
        if not (self.data_dir / "log" / "meta.properties").exists():
            format_storage = [
                *self._run(),
                "kafka.tools.StorageTool",
                "format",
                f"--cluster-id={self._cluster}",
                "-c",
                str(config),
            ]
            done = subprocess.run(format_storage, capture_output=True, text=True, check=False)  # noqa: S603
            if done.returncode:
                words = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
                raise BrokerNotStarted(f"Apache Kafka cannot format its storage: {words[-1][:300]}")
        return [*self._run(), "kafka.Kafka", str(config)]

    def _run(self) -> list[str]:
        log4j = f"-Dlog4j2.configurationFile={self.data_dir / 'log4j2.yaml'}"
        return [self._java, "-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", log4j, "-cp", f"{self.home}/libs/*"]

    def _defaults(self) -> dict[str, str]:
        controller = f"127.0.0.1:{self._controller_port}"
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"PLAINTEXT://{self.bootstrap_servers},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap_servers}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "log.dirs": str(self.data_dir / "log"),
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "4",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "broker.session.timeout.ms": "3000",  # after a kill it waits for its old session
            "broker.heartbeat.interval.ms": "500",
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "1000",
        }


class EmbeddedBroker(LocalBroker):
    """noida-db: one small process from pip that speaks Kafka's protocol. For trying out, never for production."""

    name = "embedded broker (noida-db)"

    @staticmethod
    def is_installed() -> bool:
        """Tell whether the `demo` extra is there."""
        return find_spec("noida_db") is not None

    def command(self) -> list[str]:
        """Return the command line."""
        if not self.is_installed():
            raise BrokerNotStarted(NO_BROKER)
        binary = Path(str(files("noida_db"))) / "noida-db"  # without its wrapper: one process to stop
        if not os.access(binary, os.X_OK):
            binary.chmod(0o755)
        data = str(self.data_dir / "data")
        return [str(binary), "start", "--data-dir", data, "--only", "kafka", "--kafka-port", str(self.port)]


def new_cluster_id() -> str:
    """Return a random id of a cluster, as Kafka wants it."""
    return urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def local_broker(settings: Settings, data_dir: Path, port: int | None = None) -> LocalBroker:
    """Return the broker to start where none is named, not started yet.

    Args:
        settings: `home` says where Apache Kafka is, None: the embedded broker.
        data_dir: where it keeps its data.
        port: where it listens; None: a free one.

    Raises:
        BrokerUnavailable: there is none.
        BrokerNotStarted: `home` holds no Apache Kafka, or there is no Java.
    """
    if settings.home is not None:
        return KafkaHome(settings.home, data_dir, port)
    if EmbeddedBroker.is_installed():
        return EmbeddedBroker(data_dir, port)
    raise BrokerUnavailable(NO_BROKER)


@contextmanager
def open_broker(settings: Settings) -> Iterator[tuple[Settings, str]]:
    """Yield the settings with the address of a broker that answers, and the broker's name; start one if none is named.

    One that is started keeps its data in a temporary folder, deleted at the end.

    Args:
        settings: which broker.

    Raises:
        BrokerUnavailable: the one that is named does not answer, or there is none.
        BrokerNotStarted: the one that was started did not come up.
    """
    if settings.servers:
        check_broker(settings)
        yield settings, settings.bootstrap_servers or ""
        return
    with (
        tempfile.TemporaryDirectory(prefix="nextact-", ignore_cleanup_errors=True) as folder,
        local_broker(settings, Path(folder)) as broker,
    ):
        yield broker.named_in(settings), broker.name


def _java() -> str | None:
    """Return the Java of JAVA_HOME if that is set, else that of PATH."""
    home, path = os.environ.get("JAVA_HOME"), os.environ.get("PATH", "")
    return shutil.which("java", path=f"{home}/bin{os.pathsep}{path}" if home else path)


_LOG4J = """\
Configuration:
  Appenders:
    Console: {name: err, target: SYSTEM_ERR, PatternLayout: {pattern: "%d %p %m (%c)%n"}}
  Loggers:
    Root: {level: WARN, AppenderRef: [{ref: err}]}
"""

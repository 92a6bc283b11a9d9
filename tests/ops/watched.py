"""What is started for a run: a broker, a model of the shop, two workers, load, Prometheus."""

import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from deployment import DEPLOY
from workers import Worker

from models.events_file import write_events
from models.simulator.shopper import Observed
from ops.journal import Journal
from ops.load import Load, at_a_rate, shoppers
from ops.prometheus import PrometheusProcess
from ops.scaled_rules import write_scaled
from streams.broker import KafkaHome
from streams.errors import ProcessEnded
from streams.local_broker import free_ports
from streams.processes import Process, nextact
from streams.settings import Settings
from streams.topics import create_topics

RATE = 300.0
"""Events a second."""

PAST = 40_000
"""Events that the model learns from: what is sent goes on where they end."""

SESSION_S = 6
PATIENCE_S = 120
LEARN_PATIENCE_S = 300
_ENVIRONMENT = {"NEXTACT_SESSION_TIMEOUT_S": str(SESSION_S), "NEXTACT_GROUP_LAG_INTERVAL_S": "0.5"}


class WatchedWorker(Worker):
    """A worker at a port that is the same after a restart, as Prometheus knows it by its address."""

    def __init__(self, settings: Settings, log: Path, port: int, more: Mapping[str, str]) -> None:
        super().__init__(settings, log, {**_ENVIRONMENT, **more, "NEXTACT_METRICS_PORT": str(port)})
        self.port = port

    def asked(self, what: str) -> tuple[int, str]:
        """Return code and line of `live` or `ready`; 0 if nobody answers."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/{what}", timeout=1) as answer:
                return answer.status, answer.read().decode().strip()
        except HTTPError as error:
            return error.code, error.read().decode().strip()
        except OSError as error:
            return 0, str(error)


@dataclass
class Watched:
    """All that runs.

    Attributes:
        folder: with the logs of all of them.
        settings: of the workers.
        broker: Apache Kafka.
        prometheus: scrapes the workers.
        journal: notes from the beginning which alerts fire.
        load: sends events.
        workers: two of them.
        stack: stops whatever is entered into it.
    """

    folder: Path
    settings: Settings
    broker: KafkaHome
    prometheus: PrometheusProcess
    journal: Journal
    load: Load
    workers: list[WatchedWorker]
    stack: ExitStack

    def restart(self, *numbers: int, model: Path | None = None) -> None:
        """Stop workers, by force if need be, and start one in the place of each, with another model if one is given."""
        for number in numbers:
            self.workers[number].signal(signal.SIGTERM)
        for number in numbers:
            self.workers[number].stop(5)
            self.start(number, model)

    def start(self, number: int, model: Path | None = None) -> WatchedWorker:
        """Start a worker in the place of one that has ended."""
        settings = self.settings if model is None else self.settings.model_copy(update={"model": model})
        worker = WatchedWorker(settings, self.folder / f"worker-{number}.log", self.workers[number].port, {})
        self.workers[number] = self.stack.enter_context(worker)
        return worker

    def wait_until_ready(self, patience_s: float = PATIENCE_S) -> None:
        """Wait until all workers are ready; one that ended to be started again is."""
        deadline_s = time.monotonic() + patience_s
        for number in range(len(self.workers)):
            while self.workers[number].asked("ready")[0] != 200:
                worker = self.workers[number]
                if worker.code is not None:
                    self.start(number)
                elif time.monotonic() > deadline_s:
                    raise ProcessEnded(f"worker {number}: {worker.asked('ready')[1]}, {worker.last_words()}")
                time.sleep(0.1)


def learn(folder: Path, past: Sequence[Observed]) -> Path:
    """Train a small model on the past of the shop, as if it had been sent until now; return its directory."""
    log = at_a_rate(past, RATE)
    start_ms = time.time_ns() // 1_000_000 - int(log["ts_ms"][-1])
    write_events(log.with_columns(ts_ms=log["ts_ms"] + start_ms), folder / "past.parquet")
    model = folder / "model"
    command = nextact("train", str(folder / "past.parquet"), "--out", str(model), "--epochs", "4", "--max-minutes", "4")
    with Process(command, folder / "train.log") as training:
        deadline_s = time.monotonic() + LEARN_PATIENCE_S
        while training.code is None and time.monotonic() < deadline_s:
            time.sleep(0.1)
        if training.code != 0:
            raise ProcessEnded(f"training: {training.last_words()}")
    return model


@contextmanager
def running(home: Path, program: str, folder: Path) -> Iterator[Watched]:
    """Start all of it, and stop it at the end.

    Args:
        home: of Apache Kafka.
        program: Prometheus.
        folder: for everything that is written.
    """
    with ExitStack() as stack:
        broker = stack.enter_context(KafkaHome(home, folder / "kafka"))
        shop = shoppers()
        model = learn(folder, list(islice(shop, PAST)))
        settings = Settings(bootstrap_servers=broker.bootstrap_servers, partitions=4, model=model)
        create_topics(settings)
        ports = free_ports(2)
        workers = [
            stack.enter_context(WatchedWorker(settings, folder / f"worker-{k}.log", port, {}))
            for k, port in enumerate(ports)
        ]
        load = Load(settings, RATE, shop)
        prometheus = PrometheusProcess(
            program,
            folder / "prometheus",
            [f"127.0.0.1:{port}" for port in ports],
            write_scaled(DEPLOY / "prometheus/rules", folder),
        )
        made = Watched(folder, settings, broker, prometheus, Journal(prometheus), load, workers, stack)
        made.wait_until_ready(LEARN_PATIENCE_S)  # where nothing is compiled yet, that comes first
        load.start()
        stack.callback(load.stop)
        time.sleep(3)  # the first answers of a process are slow: Prometheus sees what comes after them
        stack.enter_context(prometheus)
        made.journal.start()
        stack.callback(made.journal.stop)
        yield made

"""A worker started here as a process of its own, watched through its metrics: for the demo, benchmarks and tests."""

import sys
import time
from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from streams.errors import ProcessEnded
from streams.local_broker import free_ports
from streams.processes import Process
from streams.settings import Settings

Samples = dict[tuple[str, ...], float]
"""Metrics by name and label values, the labels in alphabetical order."""

_NAP_S = 0.05


class WorkerProcess(Process):
    """A `nextact worker`. Use it in a `with` block: it is stopped at the end, whatever happens.

    Args:
        settings: broker, topics, group, model; the process gets them through its environment.
        log: file that its output is added to.
        more: further variables of its environment.
    """

    def __init__(self, settings: Settings, log: Path, more: Mapping[str, str] | None = None) -> None:
        self.port = free_ports(1)[0]
        ours = environment(settings) | {"NEXTACT_METRICS_HOST": "127.0.0.1", "NEXTACT_METRICS_PORT": str(self.port)}
        super().__init__([sys.executable, "-m", "streams", "worker"], log, ours | dict(more or {}))

    def metrics(self) -> Samples:
        """Return its metrics as they are now; empty before it serves them."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
                text = answer.read().decode()
        except (OSError, HTTPException):  # among them a worker killed in the midst of its answer
            return {}
        families = text_string_to_metric_families(text)
        return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}

    def wait_until(self, condition: Callable[[Samples], bool], timeout_s: float) -> Samples:
        """Wait until its metrics meet a condition, and return them.

        Raises:
            ProcessEnded: it ended, or the time is over.
        """
        deadline_s = time.monotonic() + timeout_s
        while True:
            samples = self.metrics()
            if samples and condition(samples):
                return samples
            if self.code is not None:
                raise ProcessEnded(f"the worker ended with code {self.code}: {self.last_words()}")
            if time.monotonic() > deadline_s:
                raise ProcessEnded(f"the worker is not there after {timeout_s:.0f} s: {self.last_words()}")
            time.sleep(_NAP_S)


def environment(settings: Settings) -> dict[str, str]:
    """Return what tells another process of ours the broker, topics, group and model; secrets are inherited."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": ",".join(settings.servers),
        "KAFKA_SECURITY_PROTOCOL": settings.security_protocol,
        "NEXTACT_TOPIC_PREFIX": settings.topic_prefix,
        "NEXTACT_GROUP": settings.group,
        "NEXTACT_PARTITIONS": str(settings.partitions),
        "NEXTACT_MODEL": "" if settings.model is None else str(settings.model.resolve()),
        "NEXTACT_CLOCK": settings.clock,
        "NEXTACT_SLATE_SIZE": str(settings.slate_size),
        "NEXTACT_MAX_POLL_RECORDS": str(settings.max_poll_records),
        "NEXTACT_COMPRESSION": settings.compression,
        "NEXTACT_LOG_FORMAT": "json",
    }


def handled(samples: Samples) -> int:
    """Return the number of input records that a worker has handled."""
    return int(sum(value for name, value in samples.items() if name[0] == "nextact_records_total"))

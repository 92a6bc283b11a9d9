"""What the worker tells Prometheus. Labels are topics, outcomes, stages and reasons: never a user or an item."""

from collections.abc import Iterable, Iterator, Mapping
from threading import Thread
from wsgiref.simple_server import WSGIServer

import numpy as np
import numpy.typing as npt
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)
from prometheus_client.core import HistogramMetricFamily, Metric

from models.history import Tally
from schemas.topics import DEAD_LETTERS, INPUTS, OUTPUTS
from streams.errors import SettingsError

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, read by nobody

LATENCY_BUCKETS_S = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
STAGE_BUCKETS_S = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)
CHUNK_BUCKETS = (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 30_000)
BACKFILL_S = 3600.0
"""A record older than this when it is answered comes from a backlog or a replay: it has no latency."""


class _Latencies:
    """A histogram that takes a whole chunk at once: one `observe` an event would cost more than the event."""

    def __init__(self, name: str, documentation: str, buckets: tuple[float, ...]) -> None:
        self._name, self._documentation, self._buckets = name, documentation, np.array(buckets)
        self._counts = np.zeros(len(buckets) + 1, np.int64)
        self._sum = 0.0

    def observe(self, seconds: npt.NDArray[np.float64]) -> None:
        self._counts += np.bincount(np.searchsorted(self._buckets, seconds), minlength=len(self._counts))
        self._sum += float(seconds.sum())

    def describe(self) -> Iterable[Metric]:
        return self.collect()

    def collect(self) -> Iterator[Metric]:
        edges = [*map(str, self._buckets.tolist()), "+Inf"]
        cumulated = np.cumsum(self._counts).tolist()
        family = HistogramMetricFamily(self._name, self._documentation)
        family.add_metric([], list(zip(edges, cumulated, strict=True)), self._sum)
        yield family


class Metrics:
    """All metrics of one worker, in a registry of their own.

    `records = events applied + duplicates + redelivered + rejected` always holds.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        ProcessCollector(registry=r)
        self.records = Counter("nextact_records", "Input records handled", ["topic"], registry=r)
        self.events = Counter("nextact_events", "Valid events by what became of them", ["outcome"], registry=r)
        self.rejected = Counter("nextact_rejected", "Records refused", ["topic", "reason"], registry=r)
        self.late = Counter("nextact_late", "Events too late for their user's ring: in the windows only", registry=r)
        self.reordered = Counter("nextact_reordered", "Events put in order inside their user's ring", registry=r)
        self.outputs = Counter("nextact_outputs", "Records published and acknowledged", ["topic"], registry=r)
        self.chunk_records = Histogram("nextact_chunk_records", "Records in a chunk", buckets=CHUNK_BUCKETS, registry=r)
        self.stage = Histogram(
            "nextact_stage_seconds", "Time of a stage of a chunk", ["stage"], buckets=STAGE_BUCKETS_S, registry=r
        )
        self.latency = _Latencies(
            "nextact_event_to_output_seconds",
            f"From a record's timestamp to its outputs' acknowledgement, for records under {BACKFILL_S:.0f} s old",
            LATENCY_BUCKETS_S,
        )
        r.register(self.latency)
        self.lag = Gauge("nextact_lag_records", "Input records not handled yet", ["topic"], registry=r)
        self.users = Gauge("nextact_users", "Users in memory", registry=r)
        self.partitions = Gauge("nextact_partitions", "Partitions owned", registry=r)
        self.recovering = Gauge("nextact_recovering", "1 while the table is recovered", registry=r)
        self.recovered = Gauge("nextact_recovered_rows", "Changelog records read since the start", registry=r)
        self.recovery = Gauge("nextact_recovery_seconds", "Time that the last recovery took", registry=r)
        self.stale = Gauge("nextact_stale_records", "Changelog records of zombies, ignored", registry=r)
        self.repaired = Gauge("nextact_repaired_rows", "Rows written again over a zombie's", registry=r)
        self.model = Info("nextact_model", "The model in use", registry=r)
        for topic in INPUTS:
            self.records.labels(topic)
            self.lag.labels(topic)
        for topic in (*OUTPUTS, DEAD_LETTERS):
            self.outputs.labels(topic)
        for outcome in ("applied", "duplicate", "redelivered"):
            self.events.labels(outcome)

    def chunk_handled(
        self,
        records: Mapping[str, int],
        tally: Tally,
        rejected: Mapping[tuple[str, str], int],
        outputs: Mapping[str, int],
        seconds: Mapping[str, float],
        age_s: npt.NDArray[np.float64],
    ) -> None:
        """Count a chunk whose outputs and rows are acknowledged.

        Args:
            records: number of input records by topic.
            tally: what became of the events.
            rejected: number of records refused by topic and reason.
            outputs: number of records published by topic.
            seconds: time by stage.
            age_s: time since each record's timestamp [records].
        """
        for topic, count in records.items():
            self.records.labels(topic).inc(count)
        for outcome, count in (
            ("applied", tally.applied),
            ("duplicate", tally.duplicates),
            ("redelivered", tally.redelivered),
        ):
            self.events.labels(outcome).inc(count)
        for (topic, reason), count in rejected.items():
            self.rejected.labels(topic, reason).inc(count)
        self.late.inc(tally.late)
        self.reordered.inc(tally.reordered)
        self.outputs_published(outputs)
        self.chunk_records.observe(sum(records.values()))
        for stage, took in seconds.items():
            self.stage.labels(stage).observe(took)
        self.latency.observe(np.maximum(age_s[age_s < BACKFILL_S], 0))

    def outputs_published(self, outputs: Mapping[str, int]) -> None:
        """Count outputs that are acknowledged, by topic."""
        for topic, count in outputs.items():
            self.outputs.labels(topic).inc(count)

    def serve(self, host: str, port: int) -> tuple[WSGIServer, Thread]:
        """Answer GET /metrics on this address; port 0 takes any free one.

        Raises:
            SettingsError: the address cannot be used.
        """
        try:
            return start_http_server(port, host, self.registry)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise SettingsError(
                f"metrics cannot be served at {host} port {port} ({reason}): set NEXTACT_METRICS_PORT and"
                " NEXTACT_METRICS_HOST; port 0 takes a free one"
            ) from None

"""The metrics of one worker, registered and counted."""

from collections.abc import Mapping
from itertools import product

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
)

from models.history import Tally
from streams.metrics.asked import Asked
from streams.metrics.catalogue import CATALOGUE, Described
from streams.metrics.histogram import ChunkHistogram

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, read by nobody

LATENCY_BUCKETS_S = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
DELAY_BUCKETS_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 21_600.0, 86_400.0)
STAGE_BUCKETS_S = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)
CHUNK_BUCKETS = (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 30_000)
BACKFILL_S = 3600.0
"""A record older than this when it is answered comes from a backlog or a replay: it has no latency."""


class Metrics:
    """All metrics of one worker, in a registry of their own.

    `records = events applied + duplicates + redelivered + rejected` always holds.

    Attributes:
        asked: by name those that are worked out when they are scraped.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._left = dict(CATALOGUE)
        ProcessCollector(registry=self.registry)
        self.records = self._counter("nextact_records_total")
        self.events = self._counter("nextact_events_total")
        self.rejected = self._counter("nextact_rejected_total")
        self.late = self._counter("nextact_late_total")
        self.reordered = self._counter("nextact_reordered_total")
        self.outputs = self._counter("nextact_outputs_total")
        self.chunk_records = self._histogram("nextact_chunk_records", CHUNK_BUCKETS)
        self.stage = self._histogram("nextact_stage_seconds", STAGE_BUCKETS_S)
        self.latency = self._chunk_histogram("nextact_event_to_output_seconds", LATENCY_BUCKETS_S)
        self.delay = self._chunk_histogram("nextact_arrival_delay_seconds", DELAY_BUCKETS_S)
        self.lag = self._gauge("nextact_lag_records")
        self.users = self._gauge("nextact_users")
        self.partitions = self._gauge("nextact_partitions")
        self.recovering = self._gauge("nextact_recovering")
        self.recovered = self._gauge("nextact_recovered_rows")
        self.recovery = self._gauge("nextact_recovery_seconds")
        self.stale = self._gauge("nextact_stale_records")
        self.repaired = self._gauge("nextact_repaired_rows")
        described = self._take("nextact_model_info")
        self.model = Info(described.name.removesuffix("_info"), described.meaning, registry=self.registry)
        self.asked = {name: Asked(described) for name, described in self._left.items()}
        for each in self.asked.values():
            self.registry.register(each)

    def _take(self, name: str) -> Described:
        return self._left.pop(name)

    def _counter(self, name: str) -> Counter:
        described = self._take(name)
        counter = Counter(described.name, described.meaning, [*described.labels], registry=self.registry)
        _begin(counter, described)
        return counter

    def _gauge(self, name: str) -> Gauge:
        described = self._take(name)
        gauge = Gauge(described.name, described.meaning, [*described.labels], registry=self.registry)
        _begin(gauge, described)
        return gauge

    def _histogram(self, name: str, edges: tuple[float, ...]) -> Histogram:
        described = self._take(name)
        labels = [*described.labels]
        return Histogram(described.name, described.meaning, labels, buckets=edges, registry=self.registry)

    def _chunk_histogram(self, name: str, edges: tuple[float, ...]) -> ChunkHistogram:
        histogram = ChunkHistogram(name, self._take(name).meaning, edges)
        self.registry.register(histogram)
        return histogram

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


def _begin(metric: Counter | Gauge, described: Described) -> None:
    """Let the series be there from the start, but for those of refusals: there may be many, and none is expected."""
    if described.labels and "reason" not in described.labels:
        for values in product(*described.labels.values()):
            metric.labels(*values)

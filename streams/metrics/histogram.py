"""A histogram that takes a whole chunk at once: one `observe` an event would cost more than the event."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from streams.metrics.catalogue import Described

Sums = npt.NDArray[Any]


class ChunkHistogram(Collector):
    """Counts by bucket.

    Args:
        described: the metric.
        edges: upper edges of the buckets.
        counts: by bucket, if someone else counts [edges + 1].
        total: sum of all values, likewise [1].
    """

    def __init__(
        self, described: Described, edges: tuple[float, ...], counts: Sums | None = None, total: Sums | None = None
    ) -> None:
        self._described, self._edges = described, np.array(edges)
        self._counts = np.zeros(len(edges) + 1, np.int64) if counts is None else counts
        self._total = np.zeros(1) if total is None else total

    def observe(self, values: npt.NDArray[np.float64]) -> None:
        """Count values [n]."""
        self._counts += np.bincount(np.searchsorted(self._edges, values), minlength=len(self._counts))
        self._total += values.sum()

    def describe(self) -> Iterable[Metric]:
        """Return what it would collect."""
        return self.collect()

    def collect(self) -> Iterator[Metric]:
        """Yield the metric as it stands."""
        edges = [*map(str, self._edges.tolist()), "+Inf"]
        cumulated = np.cumsum(self._counts).tolist()
        family = HistogramMetricFamily(self._described.name, self._described.meaning)
        family.add_metric([], list(zip(edges, cumulated, strict=True)), float(self._total[0]))
        yield family

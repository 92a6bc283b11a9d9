"""A histogram that takes a whole chunk at once: one `observe` an event would cost more than the event."""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector


class ChunkHistogram(Collector):
    """Counts by bucket.

    Args:
        name: of the metric.
        documentation: what it is.
        edges: upper edges of the buckets.
    """

    def __init__(self, name: str, documentation: str, edges: tuple[float, ...]) -> None:
        self._name, self._documentation, self._edges = name, documentation, np.array(edges)
        self._counts = np.zeros(len(edges) + 1, np.int64)
        self._sum = 0.0

    def observe(self, values: npt.NDArray[np.float64]) -> None:
        """Count values [n]."""
        self._counts += np.bincount(np.searchsorted(self._edges, values), minlength=len(self._counts))
        self._sum += float(values.sum())

    def describe(self) -> Iterable[Metric]:
        """Return what it would collect."""
        return self.collect()

    def collect(self) -> Iterator[Metric]:
        """Yield the metric as it stands."""
        edges = [*map(str, self._edges.tolist()), "+Inf"]
        cumulated = np.cumsum(self._counts).tolist()
        family = HistogramMetricFamily(self._name, self._documentation)
        family.add_metric([], list(zip(edges, cumulated, strict=True)), self._sum)
        yield family

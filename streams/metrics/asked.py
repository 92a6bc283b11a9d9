"""Metrics that are worked out when they are scraped: counting costs no more than an addition to an array."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streams.metrics.catalogue import Described

Values = Mapping[tuple[str, ...], float]
"""By the values of the labels, in their order."""


class Asked(Collector):
    """A counter or gauge whose values are asked for.

    Args:
        described: the metric.

    Attributes:
        ask: returns its values, and may be called by any thread; to be set. Before, they are 0.
    """

    def __init__(self, described: Described) -> None:
        self._described = described
        before = dict.fromkeys(product(*described.labels.values()), 0.0)
        self.ask: Callable[[], Values] = lambda: before

    def describe(self) -> Iterable[Metric]:
        """Return the metric without values: they may not be there yet."""
        return [self._family()]

    def collect(self) -> Iterator[Metric]:
        """Yield the metric as it stands."""
        family = self._family()
        for labels, value in self.ask().items():
            family.add_metric(labels, value)
        yield family

    def _family(self) -> CounterMetricFamily | GaugeMetricFamily:
        kind = CounterMetricFamily if self._described.kind == "counter" else GaugeMetricFamily
        return kind(self._described.name, self._described.meaning, labels=[*self._described.labels])


def labelled(names: Iterable[str], values: Sequence[float]) -> Values:
    """Return values by the one label that they have.

    >>> labelled(("low", "high"), [1.0, 2.0])
    {('low',): 1.0, ('high',): 2.0}
    """
    return {(name,): value for name, value in zip(names, values, strict=True)}

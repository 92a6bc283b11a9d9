"""What the worker tells Prometheus."""

from streams.metrics.worker import Metrics

__all__ = ["Metrics"]

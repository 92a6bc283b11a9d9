"""Queries in PromQL: how panels put them together, and what can be said of a finished one."""

import re
from collections.abc import Mapping

WORKERS = 'job=~"$job",instance=~"$instance"'
"""The workers that the reader picked above the dashboard."""

RATE = "$__rate_interval"
"""Grafana's shortest window that holds enough samples for a rate."""

SHOWN = "$__range"
"""Grafana's window of all that is shown."""

_WORDS = {"and", "or", "unless", "bool", "by", "without", "on", "ignoring", "group_left", "group_right", "offset"}
_NOT_METRICS = (
    r'"(?:[^"\\]|\\.)*"',  # strings first, as they may hold anything
    r"\{[^}]*\}",
    r"\[[^]]*\]",
    r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)",
    r"\b[a-zA-Z_]\w*\s*(?=\()",  # functions
)


def of(metric: str, where: str = "") -> str:
    """Return a metric of the workers picked, with more matchers if given.

    >>> of("nextact_users")
    'nextact_users{job=~"$job",instance=~"$instance"}'
    """
    return f"{metric}{{{WORKERS}{',' + where if where else ''}}}"


def rate(metric: str, by: str = "", where: str = "", window: str = RATE) -> str:
    """Return the rate of a counter per second, summed over workers, or by labels.

    >>> rate("nextact_records_total", by="topic")
    'sum by (topic) (rate(nextact_records_total{job=~"$job",instance=~"$instance"}[$__rate_interval]))'
    """
    return f"sum {f'by ({by}) ' if by else ''}(rate({of(metric, where)}[{window}]))"


def quantile(q: float, histogram: str, by: str = "", window: str = RATE) -> str:
    """Return a quantile of a histogram, over all workers, or by labels."""
    return f"histogram_quantile({q}, {rate(f'{histogram}_bucket', ', '.join(filter(None, ('le', by))), '', window)})"


def share(part: str, whole: str) -> str:
    """Return a part of a whole; no answer, rather than 0 of 0, where nothing comes."""
    return f"{part} / ({whole} > 0)"


def or_0(query: str) -> str:
    """Return a query that answers 0 where a series does not exist yet: what is counted has not happened."""
    return f"({query} or vector(0))"


def filled(query: str, values: Mapping[str, str]) -> str:
    """Return a query with Grafana's variables filled in.

    >>> filled('a{job=~"$job"}[${__range}]', {"job": "shop", "__range": "1h"})
    'a{job=~"shop"}[1h]'

    Raises:
        KeyError: a variable has no value.
    """
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda found: values[found[1] or found[2]], query)


def metrics_of(query: str) -> set[str]:
    """Return the names of the metrics that a query reads.

    >>> sorted(metrics_of('sum by (le) (rate(a_bucket{x="b"}[5m])) / ignoring(c) (d or vector(0)) > bool 1e3'))
    ['a_bucket', 'd']
    """
    for pattern in _NOT_METRICS:
        query = re.sub(pattern, " ", query)
    return set(re.findall(r"(?<![\w.:$])[a-zA-Z_:][\w:]*", query)) - _WORDS

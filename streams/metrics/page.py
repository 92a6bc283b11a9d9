"""The metrics as a page to read, `docs/metrics.md`."""

from pathlib import Path

from schemas.rules import table
from streams.metrics.catalogue import GROUPS, Described

PATH = Path(__file__).parents[2] / "docs" / "metrics.md"

_TOP = """\
<!-- Made by `python -m streams.metrics` from streams/metrics/catalogue.py: edit that. -->
# Metrics

A worker serves these on `http://127.0.0.1:9464/metrics` for Prometheus, and the usual `process_*` metrics beside them:
CPU, memory, open files. No label takes a user, an item or a partition, so the number of series does not grow with the
shop. At any time `nextact_records_total` = `nextact_events_total` of all outcomes + `nextact_rejected_total`. What to
watch and what to do then: [operations](operations.md).

"""


def page() -> str:
    """Return the page, as Markdown."""
    return _TOP + "\n\n".join(f"## {title}\n\n{_table(group)}" for title, group in GROUPS.items()) + "\n"


def _table(group: tuple[Described, ...]) -> str:
    rows = [(f"`{each.name}`", each.kind, _labels(each), each.meaning, each.healthy) for each in group]
    return table(("metric", "type", "labels", "is", "healthy"), rows)


def _labels(described: Described) -> str:
    return "; ".join(_label(name, values) for name, values in described.labels.items())


def _label(name: str, values: tuple[str, ...]) -> str:
    return f"`{name}`: {', '.join(values)}" if values else f"`{name}`"

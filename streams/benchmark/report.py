"""How every measure reports: the median of its repetitions with the least and the most, and a table of figures."""

from collections.abc import Mapping, Sequence
from statistics import median

import msgspec
from rich.table import Table


class Spread(msgspec.Struct, frozen=True):
    """What repetitions of one measurement gave."""

    median: float
    least: float
    most: float


def spread(values: Sequence[float]) -> Spread:
    """Return the median of repetitions, with the smallest and the largest; at least one.

    >>> spread([3.0, 1.0, 2.0])
    Spread(median=2.0, least=1.0, most=3.0)
    """
    return Spread(median(values), min(values), max(values))


def number(value: float) -> str:
    """Return a figure as people read it: three digits or more, and no more behind the point than say something.

    >>> number(12345.678), number(76.54), number(0.123), number(0)
    ('12,346', '76.5', '0.123', '0')
    """
    digits = next((d for d, least in enumerate((1000, 10, 1)) if abs(value) >= least), 3)
    return f"{value:,.{digits}f}" if value else "0"


def table(figures: Mapping[str, Spread | float], title: str | None = None) -> Table:
    """Return a table for people; a figure without spread was measured once."""
    shown = Table("figure", title=title)
    for name in ("median", "least", "most"):
        shown.add_column(name, justify="right")
    for name, figure in figures.items():
        if isinstance(figure, Spread):
            shown.add_row(name, number(figure.median), number(figure.least), number(figure.most))
        else:
            shown.add_row(name, number(figure))
    return shown

"""Durations among figures, in the unit that fits their size."""

from collections.abc import Mapping
from math import isfinite

from models.evaluation.bootstrap import Figure

_HOURS = {"s": 1 / 3600, "min": 1 / 60, "h": 1.0, "d": 24.0}
_IN_HOURS = "_h"


def readable(rows: Mapping[str, Mapping[str, Figure]]) -> dict[str, dict[str, Figure]]:
    """Return figures by row and name, those in hours (`mae_h`) in the largest unit that the least of them has one of.

    >>> readable({"model": {"mae_h": Figure(0.25, 0.2, 0.3)}, "floor": {"mae_h": Figure(2.0, 1.0, 3.0)}})["model"]
    {'mae_min': Figure(value=15.0, low=12.0, high=18.0)}
    """
    units = {name: _unit(rows, name) for name in {name for figures in rows.values() for name in figures}}
    return {
        row: {_named(name, units[name]): _scaled(figure, units[name]) for name, figure in figures.items()}
        for row, figures in rows.items()
    }


def _unit(rows: Mapping[str, Mapping[str, Figure]], name: str) -> str:
    if not name.endswith(_IN_HOURS):
        return ""
    values = [figures[name].value for figures in rows.values() if name in figures and isfinite(figures[name].value)]
    fitting = [unit for unit, hours in _HOURS.items() if min(values, default=1.0) >= hours]
    return fitting[-1] if fitting else "s"


def _named(name: str, unit: str) -> str:
    return f"{name.removesuffix(_IN_HOURS)}_{unit}" if unit else name


def _scaled(figure: Figure, unit: str) -> Figure:
    return Figure(*(getattr(figure, end) / _HOURS.get(unit, 1.0) for end in ("value", "low", "high")))

"""Latencies as bars whose edges are spaced evenly on a logarithmic scale: in the terminal, or as a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.bar import Bar
from rich.table import Table

from streams.benchmark.report import number
from streams.errors import NextactError

Counts = Sequence[int]
"""Events below the first edge, between two edges, above the last [edges + 1]."""

_BAR_WIDTH = 30


class PlotImpossible(NextactError):  # noqa: N818
    """The picture cannot be drawn or written."""


def bars(series: Mapping[str, Counts], edges_ms: Sequence[float], title: str) -> Table:
    """Return a bar for each time that any series has, one column a series.

    >>> shown = bars({"floor": [0, 4, 0], "answer": [0, 1, 3]}, [1.0, 10.0], "10 events/s")
    >>> list(shown.columns[0].cells), [column.header for column in shown.columns]
    (['1.00-10.0', '10.0-'], ['ms', 'floor', 'answer'])
    """
    shown = Table("ms", *series, title=title)
    used = [k for k in range(len(edges_ms) + 1) if any(counts[k] for counts in series.values())]
    most = max((max(counts) / max(sum(counts), 1) for counts in series.values()), default=1.0)
    for k in range(used[0], used[-1] + 1) if used else ():
        least = number(edges_ms[k - 1]) if k else "0"
        below = number(edges_ms[k]) if k < len(edges_ms) else ""
        shares = [counts[k] / max(sum(counts), 1) for counts in series.values()]
        shown.add_row(f"{least}-{below}", *(Bar(most, 0, share, width=_BAR_WIDTH) for share in shares))
    return shown


def plot_file(file: Path) -> Any:  # noqa: ANN401 - the module
    """Return what draws, so that nobody measures for minutes and learns then that there will be no picture.

    Raises:
        PlotImpossible: matplotlib is not installed, or does not know the kind of file.
    """
    try:
        from matplotlib import figure  # without pyplot no window system is needed
    except ModuleNotFoundError:
        raise PlotImpossible("--plot needs matplotlib: `pip install 'nextact[plots]'`") from None
    if file.suffix not in (".png", ".svg"):
        raise PlotImpossible(f"--plot {file}: the name must end in .png or .svg")
    return figure


def plot(panels: Mapping[str, Mapping[str, Counts]], edges_ms: Sequence[float], file: Path) -> None:
    """Draw one panel a rate, one line a series, and write it as the file's name says: .png or .svg.

    Raises:
        PlotImpossible: matplotlib is not installed, does not know the kind of file, or cannot write it.
    """
    figures = plot_file(file)
    figure = figures.Figure(figsize=(7, 2.6 * len(panels)), layout="constrained")
    axes = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    for place, (title, series) in zip(axes, panels.items(), strict=True):
        for name, counts in series.items():
            shares = [100 * count / max(sum(counts), 1) for count in counts[1:-1]]  # a line has no room for the rest
            place.stairs(shares, edges_ms, label=name)
        place.set(title=title, ylabel="% of events", xscale="log")
        place.legend()
    axes[-1].set_xlabel("ms from the moment that an event was due to the moment that its answer was read")
    try:
        figure.savefig(file)
    except OSError as error:
        raise PlotImpossible(f"the plot cannot be written to {file}: {error}") from None

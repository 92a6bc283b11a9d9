"""A panel as it is drawn: its JSON, what its queries answered, and its place on the sheet."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deploy.dashboards.picture.colours import FAINT, GRID, PALETTE, fixed
from deploy.dashboards.picture.units import shown
from deploy.dashboards.prometheus import Answer

HEADING = 30
"""Pixels of a panel's title."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One panel. The sheet's axes are in pixels, y down; `x`, `y`, `width` and `height` are the panel's place on it."""

    panel: dict[str, Any]
    answers: dict[str, list[Answer]]  # by the letter of the query
    start_s: float
    end_s: float
    step_s: float
    figure: Figure
    sheet: Axes
    x: float
    y: float
    width: float
    height: float

    @property
    def defaults(self) -> dict[str, Any]:
        """How the panel shows values, but for those with a way of their own."""
        found: dict[str, Any] = self.panel["fieldConfig"]["defaults"]
        return found

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The thresholds."""
        found: list[dict[str, Any]] = self.defaults["thresholds"]["steps"]
        return found

    @property
    def named(self) -> list[tuple[str, Answer]]:
        """All answers with their names in the legend."""
        legends = {target["refId"]: target.get("legendFormat", "") for target in self.panel["targets"]}
        return [(name(legends[ref], each.labels), each) for ref, found in self.answers.items() for each in found]

    def text(self, value: float) -> str:
        """Return a value in the panel's unit."""
        decimals = self.defaults.get("decimals")
        return shown(value, self.defaults["unit"], None if decimals is None else int(decimals))

    def axes(self, left: float = 58, top: float = HEADING + 6, right: float = 12, bottom: float = 48) -> Axes:
        """Return axes in the panel, this many pixels from its edges."""
        wide, high = self.sheet.get_xlim()[1], self.sheet.get_ylim()[0]
        axes = self.figure.add_axes(
            (
                (self.x + left) / wide,
                1 - (self.y + self.height - bottom) / high,
                (self.width - left - right) / wide,
                (self.height - top - bottom) / high,
            )
        )
        axes.set_facecolor("none")
        axes.tick_params(colors=FAINT, labelsize=7.5, length=0, pad=4)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.grid(visible=True, color=GRID, linewidth=0.7)
        axes.set_axisbelow(True)
        return axes

    def time_axis(self, axes: Axes) -> None:
        """Put hours and minutes under the axes, at round times."""
        axes.set_xlim(self.start_s, self.end_s)
        wanted = (self.end_s - self.start_s) / max(2, self.width / 130)
        step = next((s for s in (10, 30, 60, 120, 300, 600, 900, 1800, 3600) if s >= wanted), 7200)
        ticks = np.arange(np.ceil(self.start_s / step) * step, self.end_s, step)
        form = "%H:%M" if step >= 60 else "%H:%M:%S"
        axes.set_xticks(ticks, [datetime.fromtimestamp(t, UTC).strftime(form) for t in ticks])

    def colours(self, names: list[str]) -> list[str]:
        """Return the colour of each series: its own if it has one, else the palette's next."""
        own = fixed(self.panel)
        return [own.get(each, PALETTE[k % len(PALETTE)]) for k, each in enumerate(names)]

    def say_empty(self) -> None:
        """Say what the panel says when nothing was answered."""
        text = self.defaults.get("noValue", "No data")
        middle = (self.x + self.width / 2, self.y + HEADING / 2 + self.height / 2)
        self.sheet.text(*middle, text, color=FAINT, size=11, ha="center", va="center")


def name(legend: str, labels: Mapping[str, str]) -> str:
    """Return the name of a series in the legend.

    >>> name("{{topic}}, in all", {"topic": "views"})
    'views, in all'
    """
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), legend)

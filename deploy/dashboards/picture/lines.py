"""Values over time: lines, or areas on top of each other."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, MultipleLocator, NullLocator

from deploy.dashboards.picture.colours import NAMED, TEXT
from deploy.dashboards.picture.shown import Shown

Values: TypeAlias = npt.NDArray[np.float64]
_MOST_IN_LEGEND = 9
_ROUND_S = (15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14_400, 43_200, 86_400, 172_800)


def draw(shown: Shown) -> None:
    """Draw each series, the levels as dashed lines, and a legend below."""
    found = [(label, answer) for label, answer in shown.named if not np.isnan(answer.value).all()]
    if not found:
        shown.say_empty()
        return
    axes = shown.axes()
    custom = shown.defaults["custom"]
    labels = [label for label, _ in found]
    colours = shown.colours(labels)
    mode = custom.get("stacking", {}).get("mode", "none")
    times = np.arange(shown.start_s, shown.end_s + shown.step_s / 2, shown.step_s)
    values = np.array([_at(times, answer.time_s, answer.value) for _, answer in found])
    if mode == "none":
        for value, colour in zip(values, colours, strict=True):
            axes.plot(times, value, color=colour, lw=1.4, solid_joinstyle="round")
            if len(found) <= 4 and "min" in shown.defaults:
                axes.fill_between(times, 0, value, color=colour, alpha=0.07, lw=0)
    else:
        values = np.nan_to_num(values)
        total = values.sum(0)
        if mode == "percent":
            values = values / np.where(total > 0, total, 1)
        tops = np.cumsum(values, 0)
        for top, value, colour in zip(tops, values, colours, strict=True):
            axes.fill_between(times, top - value, top, color=colour, alpha=0.5, lw=0)
            axes.plot(times, top, color=colour, lw=1.0)
    limits(shown, axes, percent=mode == "percent")
    shown.time_axis(axes)
    _levels(shown, axes)
    legend(shown, labels, colours)


def _logarithmic(shown: Shown) -> bool:
    scale = shown.defaults["custom"].get("scaleDistribution") or {}
    return scale.get("type") == "log"


def _at(times: Values, own: Values, value: Values) -> Values:
    """Return a series at all times, NaN where it has no value: a line has a gap there."""
    found = np.full(len(times), np.nan)
    found[np.rint((own - times[0]) / (times[1] - times[0])).astype(int)] = value
    return found


def limits(shown: Shown, axes: Axes, *, percent: bool) -> None:
    """Give the values' axis its limits, its marks and their unit."""
    if _logarithmic(shown):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(10, numticks=6))
        axes.yaxis.set_minor_locator(NullLocator())
        low, high = axes.get_ylim()
        if high / low < 100:
            axes.set_ylim(10 ** np.floor(np.log10(low)), 10 ** np.ceil(np.log10(high)))
    else:
        low, high = axes.get_ylim()
        step = _step(shown.defaults["unit"], float(high))
        axes.yaxis.set_major_locator(MultipleLocator(step) if step else MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        least, most = shown.defaults.get("min"), 1.0 if percent else shown.defaults.get("max")
        high = high if high > low else low + 1
        if least is not None and (high <= least or abs(high - least) < 1e-9):
            high = least + 1
        axes.set_ylim(low if least is None else least, high if most is None else most)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: shown.text(float(value))))


def _step(unit: str, high: float) -> float:
    """Return the distance of marks that are round in the unit; 0: round in tens."""
    if unit == "bytes" and high > 1:
        return float(2 ** np.ceil(np.log2(high / 5)))
    return next((step for step in _ROUND_S if step >= high / 5), 604_800) if unit == "s" and high > 60 else 0


def _levels(shown: Shown, axes: Axes) -> None:
    style = (shown.defaults["custom"].get("thresholdsStyle") or {}).get("mode", "off")
    low, high = axes.get_ylim()
    for step in shown.steps if style != "off" else []:
        if step["value"] is not None and low <= step["value"] <= high and step["color"] != "transparent":
            axes.axhline(step["value"], color=NAMED[step["color"]], lw=1.0, ls=(0, (5, 4)), alpha=0.9)


def legend(shown: Shown, labels: list[str], colours: list[str]) -> None:
    """Put names under the panel, as many as fit into its width."""
    x, y = shown.x + 14, shown.y + shown.height - 14
    for k, (label, colour) in enumerate(zip(labels, colours, strict=True)):
        width = 30 + 5.6 * len(label)
        if k >= _MOST_IN_LEGEND or x + width > shown.x + shown.width - 24:
            shown.sheet.text(x, y, f"+{len(labels) - k}", color=TEXT, size=7.5, va="center")
            return
        shown.sheet.add_line(Line2D([x, x + 12], [y, y], color=colour, lw=2.6, solid_capstyle="round"))
        shown.sheet.text(x + 17, y, label, color=TEXT, size=7.5, va="center")
        x += width

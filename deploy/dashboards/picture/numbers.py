"""A panel of one number over its history, or of a name."""

import numpy as np
import numpy.typing as npt
from matplotlib.patches import FancyBboxPatch

from deploy.dashboards.picture.colours import TEXT, level
from deploy.dashboards.picture.shown import HEADING, Shown


def draw(shown: Shown) -> None:
    """Draw the number in the middle, its history under it, in the colour of its level."""
    found = shown.named
    if not found or np.isnan(found[0][1].last):
        shown.say_empty()
        return
    answer = found[0][1]
    colour = level(shown.steps, answer.last)
    options = shown.panel["options"]
    filled = options["colorMode"] == "background"
    if filled:
        box = FancyBboxPatch(
            (shown.x, shown.y), shown.width, shown.height, boxstyle="round,pad=0,rounding_size=3", color=colour, lw=0
        )
        box.set_alpha(0.82)
        shown.sheet.add_patch(box)
    names = options["textMode"] == "name"
    text = "\n".join(each for each, _ in found) if names else shown.text(answer.last)
    size = min(24.0, 0.85 * shown.width / max(8, len(max(text.split("\n"), key=len))))
    middle = shown.y + HEADING + (shown.height - HEADING) * (0.42 if options["graphMode"] == "area" else 0.46)
    ink = "white" if filled else colour if not names else TEXT
    shown.sheet.text(
        shown.x + shown.width / 2, middle, text, color=ink, size=size, weight="bold", ha="center", va="center", zorder=5
    )
    if options["graphMode"] == "area" and len(answer.value) > 2:
        _history(shown, answer.time_s, answer.value, "white" if filled else colour)


def _history(shown: Shown, time_s: npt.NDArray[np.float64], value: npt.NDArray[np.float64], colour: str) -> None:
    axes = shown.axes(left=0, right=0, top=shown.height * 0.66, bottom=2)
    axes.grid(visible=False)
    axes.set_axis_off()
    axes.set_xlim(shown.start_s, shown.end_s)
    low, high = np.nanmin(value), np.nanmax(value)
    floor = low - 0.15 * (high - low or 1)
    axes.set_ylim(floor, high + 0.1 * (high - low or 1))
    axes.fill_between(time_s, floor, value, color=colour, alpha=0.22, lw=0)
    axes.plot(time_s, value, color=colour, lw=1.1, alpha=0.75)

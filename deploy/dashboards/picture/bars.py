"""Bars: one for each value of a label, or groups of them."""

import numpy as np
from matplotlib.patches import FancyBboxPatch

from deploy.dashboards.picture.colours import GRID, PALETTE, TEXT, fixed, level
from deploy.dashboards.picture.joined import joined
from deploy.dashboards.picture.lines import legend, limits
from deploy.dashboards.picture.shown import HEADING, Shown


def draw(shown: Shown) -> None:
    """Draw a bar for each series, with its name before and its value behind it."""
    found = [(label, answer.last) for label, answer in shown.named if not np.isnan(answer.last)]
    if not found:
        shown.say_empty()
        return
    own = fixed(shown.panel)
    most = max(shown.defaults.get("max") or 0, *(value for _, value in found), 1e-12)
    names = 18 + 6.9 * max(len(label) for label, _ in found)
    room = shown.width - names - 96
    pitch = min(48.0, (shown.height - HEADING - 14) / len(found))
    for k, (label, value) in enumerate(found):
        y = shown.y + HEADING + 8 + pitch * k
        colour = own.get(label, level(shown.steps, value))
        shown.sheet.text(shown.x + 12, y + pitch / 2 - 2, label, color=TEXT, size=8, va="center")
        for part, ink, alpha in ((1.0, GRID, 1.0), (value / most, colour, 0.85)):
            box = FancyBboxPatch(
                (shown.x + names, y), max(1.0, room * part), pitch - 6, boxstyle="round,pad=0,rounding_size=2",
                color=ink, lw=0, alpha=alpha,
            )  # fmt: skip
            shown.sheet.add_patch(box)
        text = shown.text(value)
        shown.sheet.text(shown.x + shown.width - 10, y + pitch / 2 - 2, text, color=colour, size=8.5, ha="right",
                         va="center", weight="bold")  # fmt: skip


def draw_groups(shown: Shown) -> None:
    """Draw groups of bars side by side, one group for each value of the label."""
    table = joined(shown)
    if not table.rows:
        shown.say_empty()
        return
    axes = shown.axes()
    colours = [PALETTE[k] for k in range(len(table.columns) - 1)]
    rows = sorted(table.rows)
    wide = 0.8 / len(colours)
    for k, colour in enumerate(colours):
        heights = [row[1][k] for row in rows]
        places = np.arange(len(rows)) + (k - (len(colours) - 1) / 2) * wide
        axes.bar(places, heights, wide * 0.92, color=colour, alpha=0.85)
    axes.set_xticks(range(len(rows)), [row[0] for row in rows])
    axes.grid(visible=False, axis="x")
    limits(shown, axes, percent=False)
    legend(shown, table.columns[1:], colours)

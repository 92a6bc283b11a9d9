"""A table whose cells have the colours of their levels."""

import math

from matplotlib.patches import FancyBboxPatch, Rectangle

from deploy.dashboards.picture.colours import EDGE, FAINT, TEXT, level
from deploy.dashboards.picture.joined import joined
from deploy.dashboards.picture.shown import HEADING, Shown
from deploy.dashboards.picture.units import shown as in_unit

_LINE = 30


def draw(shown: Shown) -> None:
    """Draw the rows, those with the highest first value first."""
    table = joined(shown)
    if not table.rows:
        shown.say_empty()
        return
    overrides = shown.panel["fieldConfig"]["overrides"]
    ways = {o["matcher"]["options"]: {p["id"]: p["value"] for p in o["properties"]} for o in overrides}
    first, rest = 240.0, (shown.width - 264) / (len(table.columns) - 1)
    left = [shown.x + 14, *(shown.x + 14 + first + rest * k for k in range(len(table.columns) - 1))]
    y = shown.y + HEADING + 14
    for x, column in zip(left, table.columns, strict=True):
        shown.sheet.text(x + 6, y, column, color=FAINT, size=8.5, va="center", weight="bold")
    for key, values in sorted(table.rows, key=lambda row: -row[1][0]):
        y += _LINE
        shown.sheet.add_patch(Rectangle((shown.x + 14, y - _LINE / 2), shown.width - 28, 1, color=EDGE, lw=0))
        shown.sheet.text(left[0] + 6, y, key, color=TEXT, size=9, va="center")
        for x, column, value in zip(left[1:], table.columns[1:], values, strict=True):
            way = ways[column]
            steps = way["thresholds"]["steps"]
            if "custom.cellOptions" in way and not math.isnan(value):
                box = FancyBboxPatch(
                    (x, y - _LINE / 2 + 3), rest - 8, _LINE - 6, boxstyle="round,pad=0,rounding_size=2",
                    color=level(steps, value), lw=0, alpha=0.75,
                )  # fmt: skip
                shown.sheet.add_patch(box)
            shown.sheet.text(x + 8, y, in_unit(value, way["unit"]), color="white", size=9, va="center")

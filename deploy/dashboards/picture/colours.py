"""Grafana's colours, by name, in its dark theme."""

from typing import Any

NAMED = {
    "green": "#73BF69", "yellow": "#FADE2A", "blue": "#5794F2", "orange": "#FF9830", "red": "#F2495C",
    "purple": "#B877D9", "text": "#9DA3AE", "transparent": "none",
}  # fmt: skip
PALETTE = ("#73BF69", "#F2CC0C", "#8AB8FF", "#FF780A", "#F2495C", "#5794F2", "#B877D9", "#705DA0", "#37872D", "#96D98D")
PAGE, PANEL, EDGE, GRID = "#111217", "#181B1F", "#2C3038", "#2A2E36"
TEXT, FAINT = "#D6D9E0", "#8E95A3"


def level(steps: list[dict[str, Any]], value: float) -> str:
    """Return the colour of the highest threshold that a value reaches.

    >>> level([{"value": None, "color": "green"}, {"value": 5, "color": "red"}], 5)
    '#F2495C'
    """
    reached = [step["color"] for step in steps if step["value"] is None or value >= step["value"]]
    return NAMED[reached[-1]]


def fixed(panel: dict[str, Any]) -> dict[str, str]:
    """Return the colours that a panel gives to names."""
    found = {}
    for override in panel["fieldConfig"]["overrides"]:
        for each in override["properties"]:
            if each["id"] == "color" and override["matcher"]["id"] == "byName":
                found[override["matcher"]["options"]] = NAMED[each["value"]["fixedColor"]]
    return found

"""The whole dashboard: asked, laid out on Grafana's grid of 24 columns, drawn and saved."""

import json
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from PIL import Image

from deploy.dashboards.picture import bars, heat, lines, numbers, table, timeline
from deploy.dashboards.picture.colours import EDGE, FAINT, PAGE, PANEL, TEXT
from deploy.dashboards.picture.shown import HEADING, Shown
from deploy.dashboards.prometheus import Answer, Prometheus
from deploy.dashboards.promql import filled

COLUMN, ROW, GAP, HEAD, FOOT = 62, 34, 8, 66, 30
DPI = 100
POINTS = 240
SAMPLED_S = 5.0
_KINDS = {
    "stat": numbers.draw,
    "timeseries": lines.draw,
    "heatmap": heat.draw,
    "bargauge": bars.draw,
    "barchart": bars.draw_groups,
    "table": table.draw,
    "state-timeline": timeline.draw,
}


def variables(start_s: float, end_s: float) -> dict[str, str]:
    """Return what Grafana fills in where all workers are picked, for targets that are asked every 5 s."""
    window = max(4 * SAMPLED_S, SAMPLED_S + _step_s(start_s, end_s))
    return {"job": ".+", "instance": ".+", "__rate_interval": f"{window:.0f}s", "__range": f"{end_s - start_s:.0f}s"}


def _step_s(start_s: float, end_s: float) -> float:
    return max(SAMPLED_S, (end_s - start_s) / POINTS)


def ask(panel: dict[str, Any], server: Prometheus, start_s: float, end_s: float) -> dict[str, list[Answer]]:
    """Return what the queries of a panel answer, by their letters: over time, or at the end of it.

    Raises:
        ValueError: Prometheus refuses a query.
        OSError: it does not answer.
    """
    values = variables(start_s, end_s)
    return {
        target["refId"]: server.instant(filled(target["expr"], values), end_s)
        if target.get("instant")
        else server.range(filled(target["expr"], values), start_s, end_s, _step_s(start_s, end_s))
        for target in panel["targets"]
    }


def draw(dashboard: str, server: Prometheus, start_s: float, end_s: float, file: Path) -> None:
    """Draw a dashboard, given as its JSON, as a PNG with the answers of a server.

    Raises:
        ValueError: Prometheus refuses a query.
        OSError: it does not answer, or the file cannot be written.
    """
    board = json.loads(dashboard)
    rows = max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in board["panels"])
    wide, high = 24 * COLUMN + 2 * GAP, HEAD + rows * ROW + FOOT
    figure = Figure(figsize=(wide / DPI, high / DPI), dpi=DPI, facecolor=PAGE)
    sheet = figure.add_axes((0, 0, 1, 1))
    sheet.set_xlim(0, wide)
    sheet.set_ylim(high, 0)
    sheet.set_axis_off()
    _frame(sheet, board, wide, high, start_s, end_s)
    for panel in board["panels"]:
        place = panel["gridPos"]
        x, y = GAP + place["x"] * COLUMN + GAP / 2, HEAD + place["y"] * ROW + GAP / 2
        if panel["type"] == "row":
            heading = f"\N{BLACK DOWN-POINTING SMALL TRIANGLE}  {panel['title']}"
            sheet.text(x + 4, y + ROW / 2 - 4, heading, color=TEXT, size=11, va="center", weight="bold")
            continue
        width, height = place["w"] * COLUMN - GAP, place["h"] * ROW - GAP
        frame = FancyBboxPatch((x, y), width, height, boxstyle="round,pad=0,rounding_size=3", fc=PANEL, ec=EDGE, lw=0.8)
        sheet.add_patch(frame)
        answers = ask(panel, server, start_s, end_s)
        step_s = _step_s(start_s, end_s)
        _KINDS[panel["type"]](Shown(panel, answers, start_s, end_s, step_s, figure, sheet, x, y, width, height))
        title = (x + 12, y + HEADING / 2 + 2)
        sheet.text(*title, panel["title"], color=TEXT, size=9, va="center", weight="bold", zorder=6)
    _save(figure, file)


def _frame(sheet: Axes, board: dict[str, Any], wide: float, high: float, start_s: float, end_s: float) -> None:
    since, until = (datetime.fromtimestamp(t, UTC) for t in (start_s, end_s))
    sheet.text(GAP + 8, 22, board["title"], color=TEXT, size=15, va="center", weight="bold")
    sheet.text(GAP + 8, 48, board["description"], color=FAINT, size=9, va="center")
    span = f"{since:%Y-%m-%d %H:%M:%S} to {until:%H:%M:%S} UTC"
    sheet.text(wide - GAP - 8, 22, span, color=TEXT, size=9, va="center", ha="right")
    made = "Drawn by python -m deploy.dashboards: this dashboard's queries, answered by a real Prometheus. Not Grafana."
    sheet.text(GAP + 8, high - FOOT / 2, made, color=FAINT, size=8, va="center")


def _save(figure: Figure, file: Path) -> None:
    """Write the picture with 255 colours: enough for it, and a third of the bytes."""
    raw = BytesIO()
    figure.savefig(raw, format="png", facecolor=figure.get_facecolor())
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.open(raw).convert("RGB").quantize(255, dither=Image.Dither.NONE).save(file, optimize=True)

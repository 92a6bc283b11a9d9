"""Pictures of reliability diagrams, each with the histogram of its forecasts below."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from streams.report.drawing import COLOURS, GREY, Panel, canvas, errors, number, svg

if TYPE_CHECKING:
    from models.report.reliability import Reliability

_A_LINE = 3  # diagrams side by side; of four two, so that no place is empty


def reliability_panel(name: str, title: str, diagrams: "Sequence[tuple[str, Reliability]]", remark: str = "") -> Panel:
    """Draw diagrams.

    Args:
        name: of the panel.
        title: its heading.
        diagrams: what was forecast, as it is to be written, and its diagram.
        remark: added to how it is read.
    """
    across = 2 if len(diagrams) == 2 * 2 else min(len(diagrams), _A_LINE)
    lines = -(-len(diagrams) // across)
    with canvas(3.4 * across, 4.3 * lines) as drawn:
        grid = drawn.subplots(2 * lines, across, squeeze=False, height_ratios=[3.2, 1] * lines)
        for axes in grid.flat:
            axes.set_visible(False)
        for k, (what, diagram) in enumerate(diagrams):
            line, column = 2 * (k // across), k % across
            top, below = grid[line, column], grid[line + 1, column]
            top.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1)
            came = [figure.value for figure in diagram.came]
            style = {"color": COLOURS[0], "marker": "o", "markersize": 4, "capsize": 2, "linewidth": 1}
            top.errorbar(diagram.said, came, errors(diagram.came), **style)
            highest = max(max(figure.value, figure.high) for figure in diagram.came)
            edge = min(max(*diagram.said, highest, 0.02) * 1.06, 1.02)
            top.set(xlim=(-0.03 * edge, edge), ylim=(-0.03 * edge, edge))
            top.set_title(f"{what}\nECE {number(diagram.ece)}")
            bars = len(diagram.histogram)
            middles = [(bar + 0.5) / bars for bar in range(bars)]
            below.bar(middles, diagram.histogram, 1 / bars, color=COLOURS[5], edgecolor="white")
            below.set(xlim=(0, 1), xlabel="forecast", yscale="log", ylim=(0.7, None))
            below.yaxis.set_major_formatter("{x:,.0f}")
            below.minorticks_off()
            if column == 0:
                top.set_ylabel("share that came")
                below.set_ylabel("rows")
            top.set_visible(True)
            below.set_visible(True)
        picture = svg(drawn)
    found = "; ".join(f"{what} {number(diagram.ece)}" for what, diagram in diagrams)
    counts = {f"{diagram.rows:,}" for _, diagram in diagrams}
    return Panel(
        name,
        title,
        picture,
        f"Reliability diagrams with histograms. Expected calibration error: {found}.",
        "A point is about a fifteenth of the rows: where it lies on the dotted line, as many came as were forecast; "
        f"its axes end where the points do, the bars below count the forecasts (logarithmic).{remark}",
        " and ".join(sorted(counts)) + " rows" if len(counts) < 3 else "rows: " + ", ".join(sorted(counts)),
    )

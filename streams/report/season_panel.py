"""The picture of seasonality and trend: predicted against observed next actions."""

from typing import TYPE_CHECKING

from streams.report.action_panels import most_frequent, of_all
from streams.report.drawing import COLOURS, MARKERS, Panel, canvas, shown, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from models.report.actions import Actions
    from models.report.seasons import Season

_MOST_ACTIONS = 4
_TICKS = 8


def season_panel(actions: "Actions", hours: "Season", days: "Season", utc_offset_h: int) -> Panel:
    """Draw shares of the next actions by hour of the day on the left and by day on the right, rows below."""
    names = most_frequent(actions, _MOST_ACTIONS)
    length = "day" if days.days == 1 else f"{days.days} days from"
    with canvas(10.4, 1.75 * len(names) + 1.6) as drawn:
        heights = [1.6] * len(names) + [0.9]
        grid = drawn.subplots(len(names) + 1, 2, squeeze=False, height_ratios=heights, sharex="col")
        for column, season in enumerate((hours, days)):
            for k, name in enumerate(names):
                _shares(grid[k, column], season, name, COLOURS[k], MARKERS[k])
            below = grid[-1, column]
            groups = season.predicted
            below.bar(groups.place, groups.rows, color="#999999")
            step = -(-len(groups.place) // _TICKS)
            below.set_xticks(groups.place[::step], [_short(label) for label in groups.labels[::step]])
            below.set_ylabel("rows" if column == 0 else "")
        grid[-1, 0].set_xlabel(f"hour of the day, UTC{utc_offset_h:+d}")
        grid[-1, 1].set_xlabel(length)
        picture = svg(drawn)
    return Panel(
        "seasons",
        "Season and trend",
        picture,
        "Predicted and observed shares of the next actions by hour of the day and by day. Largest difference by hour: "
        + "; ".join(f"{name} {_largest(hours, name):.3f}" for name in names),
        "The line is what was predicted on average of the forecasts that were made in that hour or on that day, the "
        "points with their intervals are what came: the line should go through the intervals."
        + of_all(len(names), len(actions.thresholds)),
        f"{sum(hours.predicted.rows):,} rows, forecasts made since the scored rows begin",
    )


def _shares(axes: "Axes", season: "Season", name: str, colour: str, marker: str) -> None:
    observed, place = season.observed.means[name], season.observed.place
    low, high = ([getattr(figure, end) for figure in observed] for end in ("low", "high"))
    values = [figure.value for figure in observed]
    axes.vlines(place, low, high, color=colour, linewidth=3, alpha=0.35)
    axes.plot(place, values, marker, color=colour, markersize=4, label="observed")
    axes.plot(
        place,
        [figure.value for figure in season.predicted.means[name]],
        color="black",
        marker=".",
        linewidth=1,
        label="predicted",
    )
    axes.set_title(shown(name), loc="left", pad=3)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 0.96), ncols=2, fontsize=8, borderpad=0)


def _short(label: str) -> str:
    return label[5:] if len(label) == len("2026-01-01") else label


def _largest(season: "Season", name: str) -> float:
    pairs = zip(season.predicted.means[name], season.observed.means[name], strict=True)
    return max(abs(said.value - came.value) for said, came in pairs)

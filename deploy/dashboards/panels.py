"""The kinds of panels in use. None can be made without a unit, a description, and what to do where it looks wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from grafana_foundation_sdk.builders import bargauge, common, dashboard, heatmap, prometheus, stat, statetimeline
from grafana_foundation_sdk.builders import timeseries as series_panel
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as shapes
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import heatmap as heat
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

Built: TypeAlias = Builder[model.Panel]
Levels: TypeAlias = tuple[tuple[float | None, str], ...]
"""From which value on which colour; the first has no value, it is that of what is below."""

DATASOURCE = shapes.DataSourceRef(type_val="prometheus", uid="${datasource}")
RUNBOOKS = "${runbooks}"
PLAIN: Levels = ((None, "blue"),)
"""No level of this means anything by itself."""

NEWLY_STARTED: Levels = ((None, "orange"), (3600, "green"))
"""Of a time since a start: it is news for an hour."""

COLOURS = {
    "{{topic}}": {
        "views": "blue",
        "clicks": "yellow",
        "purchases": "green",
        "dead-letters": "red",
        "next-actions": "blue",
        "recommendations": "yellow",
        "churn-risk": "purple",
    },
    "{{action}}": {"view": "blue", "click": "yellow", "purchase": "green", "leave": "purple"},
    "{{band}}": {"low": "green", "medium": "orange", "high": "red", "none": "text"},
    "{{outcome}}": {"applied": "green", "duplicate": "orange", "redelivered": "blue"},
    "50 %": {"50 %": "green"},
    "95 %": {"95 %": "yellow"},
    "99 %": {"99 %": "orange"},
    "model": {"model": "green"},
    "shares of the past": {"shares of the past": "text"},
}
"""By a query's legend: names that have the same colour on every panel."""

_Panel = TypeVar("_Panel", stat.Panel, series_panel.Panel, heatmap.Panel, bargauge.Panel, statetimeline.Panel)


@dataclass(frozen=True, slots=True)
class About:
    """What a reader who sees a panel for the first time wants to know.

    `runbook` is the name of a page in deploy/runbooks, empty where none is of this.
    """

    shows: str
    healthy: str
    otherwise: str
    runbook: str = ""

    @property
    def text(self) -> str:
        """The description, in Markdown."""
        return f"{self.shows}\n\n**Healthy:** {self.healthy}\n\n**If not:** {self.otherwise}"

    @property
    def links(self) -> list[Builder[model.DashboardLink]]:
        """The way to the runbook."""
        if not self.runbook:
            return []
        url = f"{RUNBOOKS}/{self.runbook}.md"
        return [dashboard.DashboardLink(f"Runbook: {self.runbook}").url(url).target_blank(True)]


@dataclass(frozen=True, slots=True)
class Query:
    """PromQL, and the name of what comes of it, as a template of labels."""

    expr: str
    legend: str = ""


def above(orange: float, red: float | None = None) -> Levels:
    """Return levels of what is better low.

    >>> above(10, 20)
    ((None, 'green'), (10, 'orange'), (20, 'red'))
    """
    return ((None, "green"), (orange, "orange"), *(() if red is None else ((red, "red"),)))


def below(orange: float, red: float) -> Levels:
    """Return levels of what is better high: orange under the one, red under the other."""
    return ((None, "red"), (red, "orange"), (orange, "green"))


def thresholds(levels: Levels) -> dashboard.ThresholdsConfig:
    """Return levels as Grafana has them."""
    steps = [model.Threshold(value=value, color=colour) for value, colour in levels]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)


def target(query: Query, ref: str, *, instant: bool = False, table: bool = False) -> prometheus.Dataquery:
    """Return a query as Grafana has it."""
    built = prometheus.Dataquery().expr(query.expr).ref_id(ref).datasource(DATASOURCE)
    if query.legend:
        built = built.legend_format(query.legend)
    if table:
        built = built.format(PromQueryFormat.TABLE)
    return built.instant() if instant else built.range()


def _framed(panel: _Panel, title: str, about: About, unit: str, levels: Levels, size: tuple[int, int]) -> _Panel:
    panel.title(title).description(about.text).unit(unit).thresholds(thresholds(levels))
    return panel.datasource(DATASOURCE).links(about.links).span(size[0]).height(size[1])


def _with_colours(panel: _Panel, queries: Sequence[Query]) -> _Panel:
    for query in queries:
        for name, colour in COLOURS.get(query.legend, {}).items():
            fixed = {"mode": "fixed", "fixedColor": colour}
            panel.override_by_name(name, [model.DynamicConfigValue(id_val="color", value=fixed)])
    return panel


def _last() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields("")


def number(
    title: str, query: Query, unit: str, about: About, levels: Levels, *, width: int = 4, height: int = 4,
    decimals: int | None = None, empty: str = "no traffic",
) -> Built:  # fmt: skip
    """Return a panel of one number, in the colour of its level, over its own history."""
    panel = _framed(stat.Panel(), title, about, unit, levels, (width, height)).with_target(target(query, "A"))
    if decimals is not None:
        panel.decimals(decimals)
    mode = shapes.BigValueColorMode.VALUE if levels == PLAIN else shapes.BigValueColorMode.BACKGROUND
    panel.color_mode(mode).graph_mode(shapes.BigValueGraphMode.AREA).no_value(empty)
    panel.text_mode(shapes.BigValueTextMode.VALUE)
    return panel.reduce_options(_last())


def names(title: str, query: Query, about: About, levels: Levels, *, width: int = 4) -> Built:
    """Return a panel of the names of what there is, in the colour of the level of its value."""
    panel = _framed(stat.Panel(), title, about, "none", levels, (width, 4))
    panel.with_target(target(query, "A", instant=True)).color_mode(shapes.BigValueColorMode.BACKGROUND)
    panel.graph_mode(shapes.BigValueGraphMode.NONE).text_mode(shapes.BigValueTextMode.NAME).no_value("none")
    return panel.reduce_options(_last())


def series(
    title: str, queries: Sequence[Query], unit: str, about: About, levels: Levels = PLAIN, *, width: int = 12,
    height: int = 8, stacked: shapes.StackingMode = shapes.StackingMode.NONE, least: float | None = 0,
    most: float | None = None, log: bool = False, empty: str = "no data",
) -> Built:  # fmt: skip
    """Return a panel of values over time; levels are dashed lines in it."""
    panel = _framed(series_panel.Panel(), title, about, unit, levels, (width, height))
    for k, query in enumerate(queries):
        panel.with_target(target(query, chr(ord("A") + k)))
    lines = stacked is shapes.StackingMode.NONE
    panel.line_width(1.5 if lines else 1).fill_opacity(8 if lines else 60).show_points(shapes.VisibilityMode.NEVER)
    panel.stacking(common.StackingConfig().mode(stacked).group("A")).no_value(empty)
    panel.legend(
        common.VizLegendOptions()
        .display_mode(shapes.LegendDisplayMode.LIST)
        .placement(shapes.LegendPlacement.BOTTOM)
        .show_legend(True)
    )
    panel.tooltip(common.VizTooltipOptions().mode(shapes.TooltipDisplayMode.MULTI).sort(shapes.SortOrder.DESCENDING))
    panel.color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.PALETTE_CLASSIC))
    if levels != PLAIN:
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(shapes.GraphThresholdsStyleMode.DASHED))
    if least is not None:
        panel.min(least)
    if most is not None:
        panel.max(most)
    if log:
        panel.scale_distribution(common.ScaleDistributionConfig().type(shapes.ScaleDistribution.LOG).log(10))
    return _with_colours(panel, queries)


def spread(
    title: str, histogram: str, unit: str, about: About, levels: Levels = PLAIN, *, width: int = 12, height: int = 8
) -> Built:
    """Return a heatmap: how many of the whole fell into which bucket, over time. `histogram` is by `le`."""
    panel = _framed(heatmap.Panel(), title, about, "short", levels, (width, height))
    query = target(Query(histogram, "{{le}}"), "A").format(PromQueryFormat.HEATMAP)
    panel.with_target(query).calculate(False).show_legend()
    panel.color(heatmap.HeatmapColorOptions().mode(heat.HeatmapColorMode.SCHEME).scheme("Turbo").steps(64))
    panel.y_axis(heatmap.YAxisConfig().unit(unit)).cell_gap(1)
    return panel


def bars(
    title: str, query: Query, unit: str, about: About, levels: Levels = PLAIN, *, width: int = 6, height: int = 8,
    most: float | None = None,
) -> Built:  # fmt: skip
    """Return a panel of bars, one for each value of a label, as it is now, in the colours of their levels."""
    panel = _framed(bargauge.Panel(), title, about, unit, levels, (width, height))
    panel.with_target(target(query, "A", instant=True)).display_mode(shapes.BarGaugeDisplayMode.GRADIENT).min(0)
    panel.orientation(shapes.VizOrientation.HORIZONTAL).show_unfilled(True).no_value("none")
    if most is not None:
        panel.max(most)
    return _with_colours(panel, [query]).reduce_options(_last())


def states(
    title: str, query: Query, about: About, meanings: Mapping[int, tuple[str, str]], *, width: int = 12, height: int = 8
) -> Built:
    """Return what each was, over time: `meanings` has text and colour of each value."""
    steps = tuple((None if value == min(meanings) else value, colour) for value, (_, colour) in meanings.items())
    panel = _framed(statetimeline.Panel(), title, about, "none", steps, (width, height))
    results = {
        str(value): model.ValueMappingResult(text=text, color=colour) for value, (text, colour) in meanings.items()
    }
    panel.with_target(target(query, "A")).mappings([model.ValueMap(options=results)]).merge_values(True)
    panel.color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS)).fill_opacity(80)
    return panel.show_value(shapes.VisibilityMode.AUTO).row_height(0.8)

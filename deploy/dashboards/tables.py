"""Panels of several queries side by side, joined by a label: a table, or groups of bars."""

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import barchart, common, table
from grafana_foundation_sdk.models import common as shapes
from grafana_foundation_sdk.models import dashboard as model

from deploy.dashboards.panels import DATASOURCE, PLAIN, About, Built, Levels, Query, target, thresholds


@dataclass(frozen=True, slots=True)
class Column:
    """One query for each value of the label, and how its answers are shown."""

    name: str
    expr: str
    unit: str
    levels: Levels = PLAIN


def _joined(label: str, title: str, columns: Sequence[Column]) -> list[model.DataTransformerConfig]:
    """Return what makes one frame of the answers: a row for each value of the label, a column for each query."""
    named = {f"Value #{chr(ord('A') + k)}": column.name for k, column in enumerate(columns)}
    order = {label: 0} | {name: k + 1 for k, name in enumerate(named)}
    return [
        model.DataTransformerConfig(id_val="merge", options={}),
        model.DataTransformerConfig(
            id_val="organize",
            options={"excludeByName": {"Time": True}, "indexByName": order, "renameByName": {label: title} | named},
        ),
    ]


def scorecard(title: str, label: str, heading: str, columns: Sequence[Column], about: About, *, height: int) -> Built:
    """Return a table over the whole width, its cells in the colours of their levels; sorted by the first column."""
    panel = table.Panel().title(title).description(about.text).links(about.links).datasource(DATASOURCE)
    panel.span(24).height(height).unit("none").thresholds(thresholds(PLAIN)).transformations(
        _joined(label, heading, columns)
    )
    for k, column in enumerate(columns):
        panel.with_target(target(Query(column.expr), chr(ord("A") + k), instant=True, table=True))
        steps = [{"value": value, "color": colour} for value, colour in column.levels]
        properties: list[tuple[str, object]] = [
            ("unit", column.unit),
            ("thresholds", {"mode": "absolute", "steps": steps}),
        ]
        if column.levels != PLAIN:
            properties.append(("custom.cellOptions", {"type": "color-background", "mode": "gradient"}))
        panel.override_by_name(column.name, [model.DynamicConfigValue(id_val=i, value=v) for i, v in properties])
    return panel.sort_by([common.TableSortByFieldState().display_name(columns[0].name).desc(True)])


def groups(
    title: str, label: str, heading: str, columns: Sequence[Column], about: About, *, width: int = 12, height: int = 8,
    most: float | None = None,
) -> Built:  # fmt: skip
    """Return groups of bars: one group for each value of the label, one bar in it for each column."""
    panel = barchart.Panel().title(title).description(about.text).links(about.links).datasource(DATASOURCE)
    panel.span(width).height(height).unit(columns[0].unit).thresholds(thresholds(PLAIN)).min(0)
    panel.transformations(_joined(label, heading, columns)).x_field(heading).show_value(shapes.VisibilityMode.NEVER)
    if most is not None:
        panel.max(most)
    for k, column in enumerate(columns):
        panel.with_target(target(Query(column.expr), chr(ord("A") + k), instant=True, table=True))
    legend = common.VizLegendOptions().display_mode(shapes.LegendDisplayMode.LIST).show_legend(True)
    return panel.legend(legend.placement(shapes.LegendPlacement.BOTTOM))

"""What all dashboards have: variables, the way to the others, notes in their time, rows."""

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

from deploy.dashboards.panels import DATASOURCE, RUNBOOKS, Built
from deploy.dashboards.promql import of

TAG = "nextact"
RUNBOOKS_AT = "/public/runbooks"
"""Where compose.yaml has Grafana itself serve them; put the address in your repository's pages here."""
ALERTS = 'ALERTS{alertname=~"Nextact.*",alertstate="firing"}'
COLUMNS = 24


@dataclass(frozen=True, slots=True)
class Section:
    """Panels under a heading, from left to right, from top to bottom."""

    title: str
    panels: Sequence[Built]


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard: `name` is its file and its address."""

    name: str
    title: str
    description: str
    sections: Sequence[Section]
    since: str = "now-1h"
    refresh: str = "30s"

    def json(self) -> str:
        """Return it as Grafana reads it."""
        return JSONEncoder(indent=1, sort_keys=True).encode(_built(self)) + "\n"


def _variables() -> list[dashboard.DatasourceVariable | dashboard.QueryVariable | dashboard.ConstantVariable]:
    everything = model.VariableOption(text="All", value="$__all", selected=True)
    return [
        dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"),
        dashboard.QueryVariable("job")
        .label("Job")
        .datasource(DATASOURCE)
        .query("label_values(nextact_partitions, job)")
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        .all_value(".+")
        .current(everything),
        dashboard.QueryVariable("instance")
        .label("Worker")
        .datasource(DATASOURCE)
        .query('label_values(nextact_partitions{job=~"$job"}, instance)')
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        .all_value(".+")
        .current(everything),
        dashboard.ConstantVariable("runbooks")
        .label("Where the runbooks are")
        .description("Address of deploy/runbooks, as your repository shows it")
        .value(RUNBOOKS_AT),
    ]


def _annotations() -> list[dashboard.AnnotationQuery]:
    """Return what is drawn as marks in the time of every panel."""
    kinds = (
        ("Alerts", ALERTS, "red", "{{alertname}}"),
        ("Rebalances", f"changes({of('nextact_rebalances_total')}[1m]) > 0", "blue", "{{instance}}"),
        ("New models", f"changes({of('nextact_model_loaded_timestamp_seconds')}[1m]) > 0", "purple", "{{instance}}"),
    )
    return [
        dashboard.AnnotationQuery()
        .name(name)
        .datasource(DATASOURCE)
        .enable(True)
        .icon_color(colour)
        .expr(expr)
        .step("60s")
        .title_format(name)
        .text_format(text)
        for name, expr, colour, text in kinds
    ]


def _built(board: Board) -> model.Dashboard:
    built = dashboard.Dashboard(board.title).uid(f"nextact-{board.name}").description(board.description)
    built.tags([TAG]).time(board.since, "now").refresh(board.refresh).timezone("browser").readonly()
    built.tooltip(model.DashboardCursorSync.CROSSHAIR).variables(list(_variables())).annotations(list(_annotations()))
    others = dashboard.DashboardLink("nextact").type(model.DashboardLinkType.DASHBOARDS).tags([TAG])
    runbooks = dashboard.DashboardLink("Runbooks").type(model.DashboardLinkType.LINK).url(RUNBOOKS).icon("doc")
    built.links([others.keep_time(True).include_vars(True).as_dropdown(False), runbooks.target_blank(True)])
    number = 0
    for section in board.sections:
        built.with_row(dashboard.Row(section.title))
        for panel in section.panels:
            number += 1
            built.with_panel(panel)
    result = built.build()
    for number, panel_or_row in enumerate(result.panels or [], start=1):
        panel_or_row.id_val = number
    return result

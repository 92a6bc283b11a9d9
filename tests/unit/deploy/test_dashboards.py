"""The dashboards: as their code has them, complete, and about metrics that there are."""

import json
import re
from collections import Counter
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import chain
from threading import Thread
from typing import Any

import pytest
import yaml
from deployment import COMPOSE, DEPLOY

from deploy.dashboards.__main__ import FILES, write
from deploy.dashboards.board import RUNBOOKS_AT
from deploy.dashboards.boards import BOARDS
from deploy.dashboards.panels import RUNBOOKS
from deploy.dashboards.picture.sheet import variables
from deploy.dashboards.prometheus import Prometheus
from deploy.dashboards.promql import filled, metrics_of
from streams.metrics.catalogue import CATALOGUE
from streams.metrics.worker import LATENCY_BUCKETS_S, Metrics

Json = dict[str, Any]
DASHBOARDS: dict[str, Json] = {board.name: json.loads(board.json()) for board in BOARDS}
SHOWN: list[tuple[str, Json]] = [
    (name, panel) for name, dashboard in DASHBOARDS.items() for panel in dashboard["panels"] if panel["type"] != "row"
]
PANELS = [pytest.param(panel, id=f"{name}-{panel['title']}") for name, panel in SHOWN]
EXPRESSIONS = [target["expr"] for _, panel in SHOWN for target in panel["targets"]]
NOTES = [note["expr"] for dashboard in DASHBOARDS.values() for note in dashboard["annotations"]["list"]]
PARTS = {"histogram": ("_bucket", "_sum", "_count"), "info": ("_info",)}


def rules() -> list[Json]:
    files = sorted((DEPLOY / "prometheus/rules").glob("*.yaml"))
    groups = chain.from_iterable(yaml.safe_load(file.read_text())["groups"] for file in files)
    return list(chain.from_iterable(group["rules"] for group in groups))


def known() -> dict[str, str]:
    """The names that can be asked for, by the metric that they are of."""
    found = {"up": "up", "ALERTS": "ALERTS"} | {rule["record"]: rule["record"] for rule in rules() if "record" in rule}
    for metric in CATALOGUE.values():
        base = metric.name.removesuffix("_info")
        found |= {base + part: metric.name for part in PARTS.get(metric.kind, ())} or {metric.name: metric.name}
    process = [family for family in Metrics().registry.collect() if family.name.startswith("process_")]
    return found | {sample.name: sample.name for family in process for sample in family.samples}


def test_files_are_those_that_the_code_writes(tmp_path: Any) -> None:
    written = {file.name: file.read_text() for file in write(tmp_path)}
    assert {file.name: file.read_text() for file in FILES.glob("*.json")} == written, "python -m deploy.dashboards"


@pytest.mark.parametrize("panel", PANELS)
def test_panel_has_a_unit_a_description_and_levels(panel: Json) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["unit"]
    shows, healthy, otherwise = panel["description"].split("\n\n")
    assert len(shows) > 20
    assert healthy.startswith("**Healthy:** ")
    assert otherwise.startswith("**If not:** ")
    steps = defaults["thresholds"]["steps"]
    values = [step["value"] for step in steps]
    assert values[0] is None
    assert values[1:] == sorted(values[1:])
    if panel["type"] == "stat" and panel["options"]["textMode"] != "name":
        assert (panel["options"]["colorMode"] == "background") == (len(steps) > 1)
    assert panel["datasource"]["uid"] == "${datasource}"
    assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])


PACE, MIX, COUNTS = "as much as the shop does", "parts of a whole", "its colours are numbers of events"
WITHOUT_LEVELS = {
    ("overview", "Events in"): PACE,
    ("overview", "Answers out"): PACE,
    ("overview", "Shoppers by risk of staying away"): MIX,
    ("pipeline", "What became of events"): MIX,
    ("pipeline", "Late, put in order, of unknown items"): PACE,  # the shares above it have levels
    ("pipeline", "From event to answer"): COUNTS,
    ("pipeline", "From what happened to its record"): COUNTS,
    ("pipeline", "Records in a chunk"): COUNTS,
    ("pipeline", "Processor time of an event"): "the less comes, the more time an event takes",
    ("producers", "Records by producer"): PACE,
    ("quality", "How sure, how often right"): "bars to be compared with each other",
    ("quality", "What was expected, what came"): "bars to be compared with each other",
    ("shoppers", "At high risk"): "what is usual is the shop's own",
    ("shoppers", "Change of band, each hour"): PACE,
    ("shoppers", "Users by band"): MIX,
    ("shoppers", "Changes by new band"): PACE,
    ("shoppers", "What is published"): PACE,
    ("shoppers", "Where places come from"): MIX,
    ("shoppers", "Places by source"): MIX,
    (
        "kafka",
        "Zombies' writes, and fetched for nothing",
    ): "one of its lines grows at every rebalance, the others never",
    ("kafka", "Memory of a user"): "large while there are few users, which is no fault",
    ("kafka", "Changelog written"): PACE,
}
"""Panels of which no value is better or worse, and why."""


def has_levels(panel: Json) -> bool:
    fields = panel["fieldConfig"]
    each = [fields["defaults"]["thresholds"]["steps"]]
    for override in fields.get("overrides") or []:
        each += [one["value"]["steps"] for one in override["properties"] if one["id"] == "thresholds"]
    return any(len(steps) > 1 for steps in each)


def test_panels_have_levels_but_for_those_that_mean_nothing_by_one_value() -> None:
    assert {(name, panel["title"]) for name, panel in SHOWN if not has_levels(panel)} == set(WITHOUT_LEVELS)


@pytest.mark.parametrize("panel", PANELS)
def test_queries_ask_for_what_there_is(panel: Json) -> None:
    for target in panel["targets"]:
        assert metrics_of(target["expr"]) - known().keys() == set(), target["expr"]
        assert "$" not in filled(target["expr"], variables(0, 900))
        for name, matchers in re.findall(r"([\w:]+)\{([^}]*)\}", target["expr"]):
            check_matchers(name, matchers)


def check_matchers(name: str, matchers: str) -> None:
    """Hold labels and their values against the catalogue, and see that the pick of workers is in it."""
    pairs = re.findall(r'(\w+)(=~|!=|=)"([^"]*)"', matchers)
    if name == "ALERTS":
        return
    recorded = ":" in name  # by rules, over all workers of a job
    picked = [("job", "=~", "$job"), ("instance", "=~", "$instance")][: 1 if recorded else 2]
    assert pairs[: len(picked)] == picked, name
    for label, _, value in pairs[len(picked) :]:
        if label == "le":
            assert float(value) in LATENCY_BUCKETS_S
        else:
            assert set(value.split("|")) <= set(CATALOGUE[known()[name]].labels[label]), (name, label, value)


def test_notes_and_variables_ask_for_what_there_is() -> None:
    assert NOTES
    assert {name for note in NOTES for name in metrics_of(note)} <= known().keys()
    for dashboard in DASHBOARDS.values():
        kinds = {each["name"]: each for each in dashboard["templating"]["list"]}
        assert list(kinds) == ["datasource", "job", "instance", "runbooks"]
        for name in ("job", "instance"):
            [asked, label] = re.findall(r"\((\w+).*, (\w+)\)", kinds[name]["query"])[0]
            assert (asked in known(), label) == (True, name)


def test_no_query_is_shown_twice() -> None:
    assert [expr for expr, times in Counter(EXPRESSIONS).items() if times > 1] == []
    titles = Counter((name, panel["title"]) for name, board in DASHBOARDS.items() for panel in board["panels"])
    assert max(titles.values()) == 1


def test_every_metric_is_on_a_panel() -> None:
    shown = {known()[name] for expr in EXPRESSIONS for name in metrics_of(expr)}
    assert set(CATALOGUE) - shown == set()


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_fill_the_grid(name: str) -> None:
    taken: Counter[tuple[int, int]] = Counter()
    for panel in DASHBOARDS[name]["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        columns, lines = range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        taken.update((x, y) for x in columns for y in lines)
    assert set(taken.values()) == {1}
    assert len(taken) == 24 * (1 + max(y for _, y in taken))
    numbers = [panel["id"] for panel in DASHBOARDS[name]["panels"]]
    assert numbers == sorted(set(numbers))


def test_links_lead_to_runbooks_and_to_the_other_dashboards() -> None:
    for dashboard in DASHBOARDS.values():
        others, runbooks = dashboard["links"]
        assert (others["type"], others["tags"], others["keepTime"], others["includeVars"]) == (
            "dashboards",
            dashboard["tags"],
            True,
            True,
        )
        assert runbooks["url"] == RUNBOOKS
    pages = {link["url"] for _, panel in SHOWN for link in panel.get("links") or []}
    assert pages
    written = {page.name for page in (DEPLOY / "runbooks").glob("*.md")}
    assert {page.removeprefix(f"{RUNBOOKS}/") for page in pages} <= written
    assert {page.removeprefix(f"{RUNBOOKS}/").removesuffix(".md") for page in pages} == {
        rule["alert"] for rule in rules() if "alert" in rule
    }
    assert f"./runbooks:/usr/share/grafana{RUNBOOKS_AT}:ro" in COMPOSE["services"]["grafana"]["volumes"]
    assert len({dashboard["uid"] for dashboard in DASHBOARDS.values()}) == len(DASHBOARDS)


def test_a_metric_that_is_not_there_is_found_in_a_query() -> None:
    assert metrics_of('sum by (topic) (rate(nextact_gone_total{job=~"$job"}[5m])) or up') == {
        "nextact_gone_total",
        "up",
    }


def test_a_server_that_is_not_prometheus_is_named() -> None:
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

    with HTTPServer(("127.0.0.1", 0), Other) as server:
        thread = Thread(target=server.handle_request, daemon=True)
        thread.start()
        with pytest.raises(ConnectionError, match=rf"127.0.0.1:{server.server_port} answers 404"):
            Prometheus(f"http://127.0.0.1:{server.server_port}").instant("up", 0)
        thread.join()

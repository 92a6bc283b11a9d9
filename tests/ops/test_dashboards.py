"""Every query of every panel is answered by a real Prometheus that watches workers under load."""

import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deploy.dashboards.__main__ import FILES
from deploy.dashboards.picture.sheet import ask, draw, variables
from deploy.dashboards.prometheus import Prometheus
from deploy.dashboards.promql import filled
from ops.watched import Watched

pytestmark = [pytest.mark.ops, pytest.mark.long, pytest.mark.broker, pytest.mark.timeout(600)]

PATIENCE_S = 120
SHOWN_S = 300
BOARDS: dict[str, dict[str, Any]] = {file.stem: json.loads(file.read_text()) for file in sorted(FILES.glob("*.json"))}


def panels(name: str) -> list[dict[str, Any]]:
    return [panel for panel in BOARDS[name]["panels"] if panel["type"] != "row"]


def unanswered(asked: Prometheus, panel: dict[str, Any]) -> list[str]:
    """Return the queries of a panel that are answered by nothing, or by nothing that is a number."""
    end_s = time.time()
    answers = ask(panel, asked, end_s - SHOWN_S, end_s)
    empty = {ref for ref, found in answers.items() if all(np.isnan(each.value).all() for each in found)}
    return [target["expr"] for target in panel["targets"] if target["refId"] in empty]


@pytest.mark.parametrize("name", BOARDS)
def test_every_query_is_answered(watched: Watched, name: str) -> None:
    asked, deadline_s = watched.prometheus.server, time.monotonic() + PATIENCE_S
    while True:
        empty = {panel["title"]: found for panel in panels(name) if (found := unanswered(asked, panel))}
        if not empty or time.monotonic() > deadline_s:
            break
        time.sleep(2)
    assert empty == {}


def test_a_query_that_nothing_answers_is_found(watched: Watched) -> None:
    for expr in ("nextact_gone", "0 * nextact_users / 0"):
        panel = {"targets": [{"refId": "A", "expr": expr}, {"refId": "B", "expr": "vector(0)", "instant": True}]}
        assert unanswered(watched.prometheus.server, panel) == [expr]


@pytest.mark.parametrize("name", BOARDS)
def test_variables_have_values_and_notes_can_be_asked_for(watched: Watched, name: str) -> None:
    asked, end_s = watched.prometheus.server, time.time()
    for variable in BOARDS[name]["templating"]["list"]:
        for metric, label in re.findall(r"^label_values\((\w+)[^,]*, (\w+)\)$", str(variable.get("query"))):
            assert asked.get(f"label/{label}/values", {"match[]": metric}), variable["name"]
    for note in BOARDS[name]["annotations"]["list"]:
        asked.instant(filled(note["expr"], variables(end_s - SHOWN_S, end_s)), end_s)


def test_a_picture_is_drawn(watched: Watched, tmp_path: Path) -> None:
    end_s = time.time()
    draw(json.dumps(BOARDS["overview"]), watched.prometheus.server, end_s - SHOWN_S, end_s, tmp_path / "overview.png")
    with Image.open(tmp_path / "overview.png") as picture:
        assert picture.width > 1400
        assert len(picture.convert("RGB").getcolors(2**20) or ()) > 40
    assert (tmp_path / "overview.png").stat().st_size < 300_000

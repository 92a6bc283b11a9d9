"""Rules of Prometheus: each alert fires when it should and not otherwise, asks for what workers tell, has a runbook."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from deployment import DEPLOY, ROOT, parse

from streams.metrics.catalogue import CATALOGUE

RULES = sorted((DEPLOY / "prometheus/rules").glob("*.yaml"))
TESTS = sorted((DEPLOY / "prometheus/tests").glob("*.yaml"))
GROUPS: list[dict[str, Any]] = [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]
ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule for group in GROUPS for rule in group["rules"] if "alert" in rule
}
RECORDED = {rule["record"]: rule for group in GROUPS for rule in group["rules"] if "record" in rule}
OTHERS = {"up", "process_start_time_seconds", "process_cpu_seconds_total", "process_resident_memory_bytes"}
"""Of Prometheus itself, and of its client in every process."""


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not here: apt-get install --no-install-recommends prometheus")
    return subprocess.run([program, *arguments], capture_output=True, text=True, cwd=DEPLOY / "prometheus/tests")


def asked_for(expr: str) -> set[str]:
    """Names of the series of an expression."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\b(by|on|without)\s*\([^)]*\)', " ", expr)
    names = set(re.findall(r"(?<![\w:])[a-zA-Z_][\w:]*\b(?!\s*\()", bare))
    return names - {"and", "or", "unless", "offset", "bool", "by", "on"}


def families() -> set[str]:
    """Names of all series of a worker."""
    parts = {"histogram": ("_bucket", "_sum", "_count")}
    return {each.name + part for each in CATALOGUE.values() for part in parts.get(each.kind, ("",))}


def in_cases(kind: str) -> set[str]:
    """Alerts that fire in a test, or that a test lets nearly fire: by the names of its cases."""
    cases = [case["name"] for path in TESTS for case in yaml.safe_load(path.read_text())["tests"]]
    return {name.split()[0] for name in cases if name.split()[1:2] == [kind]}


def test_rules_are_valid() -> None:
    done = promtool("check", "rules", *RULES)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should_and_not_otherwise(path: Path) -> None:
    done = promtool("test", "rules", path.name)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ALERTS)
def test_alert_is_tested_both_ways(name: str) -> None:
    assert name in in_cases("fires")
    assert name in in_cases("waits")


@pytest.mark.parametrize("rule", [*RECORDED.values(), *ALERTS.values()], ids=[*RECORDED, *ALERTS])
def test_rules_ask_for_what_is_there(rule: dict[str, Any]) -> None:
    assert asked_for(rule["expr"]) <= families() | set(RECORDED) | OTHERS


def test_series_of_an_expression_are_found() -> None:
    expr = 'sum by (job) (rate(a_total{b="c d"}[5m])) > 3 and on (x) nextact:e:5m offset 1h unless f == 1'
    assert asked_for(expr) == {"a_total", "nextact:e:5m", "f"}


@pytest.mark.parametrize(("name", "rule"), ALERTS.items(), ids=ALERTS)
def test_alert_says_how_bad_it_is_and_has_a_runbook(name: str, rule: dict[str, Any]) -> None:
    assert rule["labels"] in ({"severity": "page"}, {"severity": "ticket"})
    notes = rule["annotations"]
    assert set(notes) == {"summary", "description", "runbook_url"}
    assert notes["runbook_url"] == f"deploy/runbooks/{name}.md"
    page = (ROOT / notes["runbook_url"]).read_text()
    assert page.startswith(f"# {name}\n")
    headings = re.findall(r"^## (.+)$", page, re.MULTILINE)
    assert headings == ["What it means", "How to see it", "What to do"]
    assert "```sh\n" in page


def commands(page: Path) -> list[list[str]]:
    """The lines to type of a runbook, as words."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


@pytest.mark.parametrize("name", ALERTS)
def test_commands_of_a_runbook_ask_for_what_is_there(name: str) -> None:
    typed = commands(DEPLOY / "runbooks" / f"{name}.md")
    for words in typed:
        if words[:2] == ["promtool", "query"]:
            assert asked_for(words[-1]) <= families() | set(RECORDED) | OTHERS
        elif words[0] == "nextact":
            parse(words[1:])
    assert any(words[0] == "promtool" for words in typed)


def test_runbooks_are_of_alerts() -> None:
    pages = {path.stem for path in (DEPLOY / "runbooks").glob("*.md")} - {"README"}
    assert pages == set(ALERTS)
    listed = re.findall(
        r"^\| \[(\w+)\]\((\w+)\.md\) \| (\w+) \|", (DEPLOY / "runbooks/README.md").read_text(), re.MULTILINE
    )
    assert listed == [(name, name, rule["labels"]["severity"]) for name, rule in ALERTS.items()]


def test_few_alerts_page() -> None:
    pages = [name for name, rule in ALERTS.items() if rule["labels"]["severity"] == "page"]
    assert len(pages) <= 6 < len(ALERTS) <= 16

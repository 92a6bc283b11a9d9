"""What all other tests here rely on: workers are scraped, rules are evaluated, answers are quick."""

import re

import pytest
from deployment import DEPLOY

from ops.watched import Watched
from streams.metrics.catalogue import CATALOGUE

pytestmark = [pytest.mark.ops, pytest.mark.long, pytest.mark.broker, pytest.mark.timeout(600)]

PATIENCE_S = 30


def test_two_workers_are_scraped_and_answer(watched: Watched) -> None:
    ask = watched.prometheus
    ask.wait_until(lambda: ask.value("count(up == 1)") == 2, "both workers are scraped", PATIENCE_S)
    ask.wait_until(lambda: ask.value("sum(rate(nextact_records_total[5s]))") > 50, "events are handled", PATIENCE_S)
    for what in ("live", "ready"):
        assert [worker.asked(what) for worker in watched.workers] == 2 * [(200, what)]


def test_every_metric_is_there(watched: Watched) -> None:
    def missing() -> set[str]:
        there = {series.labels["__name__"] for series in watched.prometheus.query('{__name__=~"nextact_.+"}')}
        return {
            name for name, each in CATALOGUE.items() if each.name + "_count" * (each.kind == "histogram") not in there
        }

    watched.prometheus.wait_until(lambda: not missing(), "every metric of the catalogue", PATIENCE_S)


def test_queries_of_the_runbooks_are_answered(watched: Watched) -> None:
    pages = sorted((DEPLOY / "runbooks").glob("*.md"))
    queries = {query for page in pages for query in re.findall(r"^promtool query .*?'(.+)'$", page.read_text(), re.M)}
    assert len(queries) > 20
    for query in queries:
        watched.prometheus.query(query)


def test_rules_are_evaluated(watched: Watched) -> None:
    ask = watched.prometheus
    name = "nextact:answered_within_slo:ratio_rate5m"
    ask.wait_until(lambda: 0 <= ask.value(name) <= 1, name, PATIENCE_S)

"""The benchmarks run, count right and refuse a wrong state. No test asserts a time."""

from pathlib import Path

import pytest
from wrong_fold import count_one_too_many

from schemas.topics import CHURN_RISK, NEXT_ACTIONS, RECOMMENDATIONS
from streams.benchmark.final_state import BenchmarkFailed
from streams.benchmark.throughput import Measured, Variant, throughput
from streams.settings import read_settings

pytestmark = pytest.mark.broker
EVENTS, USERS, PARTITIONS = 20_000, 500, 2
VARIANTS = [Variant(0, 40), Variant(5, 40, head=0.2)]


def run(kafka: str, folder: Path, variants: list[Variant]) -> list[Measured]:
    settings = read_settings(bootstrap_servers=kafka, partitions=PARTITIONS)
    return throughput(settings, folder, variants, events=EVENTS, users=USERS, repeat=1, say=lambda _: None)


def test_throughput_handles_every_event(kafka: str, tmp_path: Path) -> None:
    measured = run(kafka, tmp_path, VARIANTS)
    assert [each.variant for each in measured] == VARIANTS
    for each in measured:
        [only] = each.runs
        assert 0 < only.events <= 18_000
        assert {"decode", "update", "predict", "answer", "encode", "publish"} == only.stage_us_per_event.keys()
        assert each.spread("events_per_s").median == only.events_per_s > 0
        assert only.equal_forecasts == 1
        assert round(only.outputs_per_event * EVENTS) == sum(only.outputs.values())
        assert only.outputs[NEXT_ACTIONS] >= USERS
        assert only.outputs[RECOMMENDATIONS] == (only.outputs[NEXT_ACTIONS] if each.variant.slate_size else 0)
        # a row for each user of a chunk, and where silence changes the band; each partition begins with a marker
        assert only.outputs[CHURN_RISK] == round(only.changelog_records_per_event * EVENTS) - PARTITIONS
        assert only.outputs[CHURN_RISK] >= only.outputs[NEXT_ACTIONS]
        assert only.bytes_in_per_event is not None
        assert 60 < only.bytes_in_per_event < 150
        assert only.limit.events_per_s > 0


def test_throughput_refuses_a_state_that_is_not_the_fold(
    kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count_one_too_many(monkeypatch)
    with pytest.raises(BenchmarkFailed, match="not that of a plain fold"):
        run(kafka, tmp_path, VARIANTS[:1])

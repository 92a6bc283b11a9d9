"""The benchmarks run, count right and refuse a wrong state. No test asserts a time."""

from pathlib import Path

import pytest

from streams.benchmark import throughput as module
from streams.benchmark.throughput import BenchmarkFailed, throughput
from streams.benchmark.workload import Workload
from streams.settings import read_settings

pytestmark = pytest.mark.broker


def run(kafka: str, folder: Path) -> module.Summary:
    settings = read_settings(bootstrap_servers=kafka, partitions=2)
    return throughput(settings, "test", folder, events=3000, users=50, items=40, repeat=1, say=lambda _: None)


def test_throughput_handles_every_event(kafka: str, tmp_path: Path) -> None:
    summary = run(kafka, tmp_path)
    [only] = summary.runs
    assert 0 < only.events <= 2700 + 3000 * 0.1
    assert {"decode", "update", "predict", "answer", "publish"} == only.stage_us_per_event.keys()
    assert summary.events_per_s[0] == only.events_per_s > 0


def test_throughput_refuses_a_state_that_is_not_the_fold(
    kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Workload.totals

    def one_more(self: Workload) -> dict[bytes, list[int]]:
        totals = honest(self)
        next(iter(totals.values()))[0] += 1
        return totals

    monkeypatch.setattr(Workload, "totals", one_more)
    with pytest.raises(BenchmarkFailed, match="not that of a plain fold"):
        run(kafka, tmp_path)

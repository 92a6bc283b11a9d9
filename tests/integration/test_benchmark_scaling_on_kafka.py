"""Scaling: workers that share a backlog handle every event once; a wrong state fails. No test asserts a time."""

from pathlib import Path

import pytest
from wrong_fold import count_one_too_many

from streams.benchmark.final_state import BenchmarkFailed
from streams.benchmark.scaling import Scaling, figures, scaling
from streams.settings import read_settings

pytestmark = pytest.mark.broker


def run(kafka: str, folder: Path, *workers: int) -> Scaling:
    settings = read_settings(bootstrap_servers=kafka, partitions=2)
    return scaling(
        settings, "test", folder, workers=workers, events=20_000, users=100, items=30, repeat=1, say=lambda _: None
    )


def test_two_workers_share_what_one_handles_alone(kafka: str, tmp_path: Path) -> None:
    found = run(kafka, tmp_path, 1, 2)
    alone, shared = (each.runs[0] for each in found.measured)
    assert alone.shares == [1.0]
    assert sum(shared.shares) == 1.0
    assert min(shared.shares) > 0.2
    assert alone.cpu_us_per_event > 0
    assert shared.events_per_s > 0
    assert "2 workers, times the events/s of 1" in figures(found)


def test_state_that_is_not_the_fold_is_refused(kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count_one_too_many(monkeypatch)
    with pytest.raises(BenchmarkFailed, match="not that of a plain fold"):
        run(kafka, tmp_path, 1)

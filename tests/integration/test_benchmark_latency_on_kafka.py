"""Latency: every event of a small load is answered and counted once; a wrong state fails. No test asserts a time."""

from pathlib import Path

import numpy as np
import pytest
from wrong_fold import count_one_too_many

from streams.benchmark import latency as module
from streams.benchmark.final_state import BenchmarkFailed
from streams.benchmark.histogram import PlotImpossible, bars, plot, plot_file
from streams.benchmark.latency import EDGES_MS, Latency, figures, latency, planned_rates
from streams.benchmark.open_loop import Answered
from streams.benchmark.workload import Workload
from streams.errors import SettingsError
from streams.settings import read_settings


def run(kafka: str, folder: Path) -> Latency:
    settings = read_settings(bootstrap_servers=kafka, partitions=2)
    return latency(
        settings,
        "test",
        folder,
        rates=[50.0, None],
        peak=1000.0,
        users=20,
        items=30,
        seconds=1,
        warm_up_s=0.2,
        repeat=1,
        say=lambda _: None,
    )


@pytest.mark.broker
def test_every_event_is_answered_at_each_rate(kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WARM_UP_S", 0.2)
    found = run(kafka, tmp_path)
    assert [(rate.rate, rate.events) for rate in found.rates] == [(50, 50), (500, 500)]
    for rate in found.rates:
        assert sum(rate.floor.counts) == sum(rate.read.counts) == rate.events
        assert rate.floor.percentiles["p50"].median > 0
        assert rate.read.percentiles.keys() == {"p50", "p90", "p99", "p99.9", "max"}
        assert rate.acknowledged["p50"].median > 0
        assert "answer read, p50 ms" in figures(rate)


@pytest.mark.broker
def test_state_that_is_not_the_fold_is_refused(kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WARM_UP_S", 0.2)
    count_one_too_many(monkeypatch)
    with pytest.raises(BenchmarkFailed, match="not that of a plain fold"):
        run(kafka, tmp_path)


def test_a_next_action_answers_all_events_that_its_totals_count_for_the_first_time() -> None:
    events = Workload(
        user=np.array([1, 2, 1, 1]), item=np.zeros(4, int), action=np.array([0, 0, 0, 2]), ts_ms=np.arange(4)
    )
    book = Answered(events)
    book.see(b"u1", b'{"totals":{"view":2,"click":0,"purchase":0}}', 1.0)
    assert book.answered == 2
    book.see(b"u1", b'{"totals":{"view":2,"click":0,"purchase":1}}', 2.0)
    book.see(b"u1", b'{"totals":{"view":2,"click":0,"purchase":1}}', 3.0)
    np.testing.assert_array_equal(book.read_s, [1.0, np.nan, 1.0, 2.0])
    assert book.answered == 3


@pytest.mark.parametrize("text", ["", "0", "-1", "10,,20", "nan", "inf", "quarter"])
def test_rates_that_cannot_be_used_are_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="--rates"):
        planned_rates(text)


def test_plot_is_a_picture_and_a_name_of_another_kind_is_refused_at_once(tmp_path: Path) -> None:
    counts = [0] * (len(EDGES_MS) + 1)
    counts[7] = 5
    plot({"10 events/s": {"floor": counts, "answer": counts}}, EDGES_MS.tolist(), tmp_path / "a.svg")
    assert "<svg" in (tmp_path / "a.svg").read_text()
    with pytest.raises(PlotImpossible, match=r"must end in \.png or \.svg"):
        plot_file(tmp_path / "a.txt")


def test_no_bar_for_no_event() -> None:
    assert bars({"floor": [0, 0]}, [1.0], "nothing").row_count == 0

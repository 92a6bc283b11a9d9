"""Drift of inputs: nothing is said without a reference or with few events, the same shares are 0, others are not."""

import math

import numpy as np
import pytest

from models.features import TIME_BINS
from models.observed import OBSERVED
from models.reference import Reference, stability_index
from models.state import Rows
from streams.metrics.drift import DAY_MS, EVENTS, LEAST_EVENTS, Drift

START_MS = 1_760_000_000_000
REFERENCE = Reference(
    action=(600, 300, 100),
    gap=tuple([40] * TIME_BINS),
    hour=tuple([10 + hour for hour in range(24)]),
    known_item=(100, 900),
    next_action=(1, 1, 1),
)


def told(events: int, shares: tuple[float, float, float] = (0.6, 0.3, 0.1)) -> Rows:
    observed = np.zeros(1, OBSERVED)
    observed["looked_at"] = events
    observed["action"] = np.array(shares) * events
    observed["gap"] = events / TIME_BINS
    observed["known_item"] = 0.1 * events, 0.9 * events
    observed["hour"] = np.arange(24) == 5
    return observed


def drift_of(drift: Drift, feature: str) -> float:
    return drift.values()[feature,]


def test_model_without_a_reference_tells_nothing() -> None:
    drift = Drift(None)
    drift.add(told(10_000), START_MS)
    assert all(map(math.isnan, drift.values().values()))
    assert set(drift.values()) == {("action",), ("gap",), ("hour",), ("known_item",)}


def test_few_events_tell_nothing() -> None:
    drift = Drift(REFERENCE)
    drift.add(told(LEAST_EVENTS - 1), START_MS)
    assert math.isnan(drift_of(drift, "action"))
    drift.add(told(10), START_MS)
    assert drift_of(drift, "action") == pytest.approx(0, abs=1e-3)
    assert drift_of(drift, "gap") == pytest.approx(0, abs=1e-3)


def test_index_is_that_of_the_counts() -> None:
    drift = Drift(REFERENCE)
    drift.add(told(1000, (0.1, 0.3, 0.6)), START_MS)
    by_hand = stability_index(np.array([600, 300, 100]), np.array([100, 300, 600]))
    assert drift_of(drift, "action") == pytest.approx(by_hand)
    assert by_hand > 0.25


def test_older_events_fade() -> None:
    drift = Drift(REFERENCE)
    drift.add(told(EVENTS, (0.1, 0.3, 0.6)), START_MS)
    shifted = drift_of(drift, "action")
    for _ in range(10):
        drift.add(told(EVENTS), START_MS)
    assert shifted > 0.25
    assert drift_of(drift, "action") < 0.01


def test_hours_are_told_after_a_day_and_remembered_for_a_week() -> None:
    drift = Drift(REFERENCE)
    observed = told(100)
    for hour in range(25):
        assert math.isnan(drift_of(drift, "hour"))
        observed["hour"] = (np.arange(24) == hour % 24) * REFERENCE.hour[hour % 24] * 10
        drift.add(observed, START_MS + hour * DAY_MS // 24)
    assert drift_of(drift, "hour") < 0.05  # though the last 10,000 events are of a few hours
    observed["hour"] = (np.arange(24) == 3) * 10_000
    drift.add(observed, START_MS + 30 * DAY_MS)
    assert drift_of(drift, "hour") > 1

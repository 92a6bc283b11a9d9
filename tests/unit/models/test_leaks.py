"""The check for leaks finds predictors that look at the future, and only those."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from leaks import assert_blind_after, assert_blind_to_the_future

from models.log import Log, log
from models.state import Floats, Ints


def made_up(order: str) -> Log:
    rng = np.random.default_rng(1)
    count = 300
    frame = pl.DataFrame(
        {
            "user_id": rng.integers(0, 12, count).astype(str),
            "item_id": rng.integers(0, 50, count).astype(str),
            "action": rng.choice(["view", "click", "purchase"], count),
            "category": rng.integers(0, 9, count).astype(str),
        }
    )
    return log(frame.with_columns(pl.Series(order, np.arange(count) * 1000)))


@pytest.fixture(params=["ts_ms", "position"])
def events(request: pytest.FixtureRequest) -> Log:
    return made_up(request.param)


def _ends(made: Log, rows: Ints) -> Ints:
    return np.append(made.first[1:], len(made.item))[np.searchsorted(made.first, rows, side="right") - 1]


def _categories(made: Log, rows: Ints) -> Floats:
    return made.columns["category"].cast(pl.Float64).to_numpy()[rows]


HONEST: dict[str, Callable[[Log, Ints], Floats]] = {
    "the item before": lambda made, rows: made.item[rows - 1].astype(float),
    "the time before": lambda made, rows: made.ts_ms[rows - 1].astype(float),
    "how many came before": lambda made, rows: 1.0 * rows - made.first[np.searchsorted(made.first, rows, "right") - 1],
    "the category before": lambda made, rows: _categories(made, rows - 1),
}
LEAKING: dict[str, Callable[[Log, Ints], Floats]] = {
    "the item": lambda made, rows: made.item[rows].astype(float),
    "the action": lambda made, rows: made.action[rows].astype(float),
    "the category": _categories,
    "the item after": lambda made, rows: made.item[np.minimum(rows + 1, _ends(made, rows) - 1)].astype(float),
    "how many come after": lambda made, rows: 1.0 * _ends(made, rows) - rows,
}


@pytest.mark.parametrize("what", HONEST)
def test_what_looks_back_only_passes(events: Log, what: str) -> None:
    for seed in range(5):
        assert_blind_to_the_future(HONEST[what], events, seed=seed)


@pytest.mark.parametrize("what", LEAKING)
def test_what_looks_ahead_is_found(events: Log, what: str) -> None:
    with pytest.raises(AssertionError, match="knows what comes after"):
        assert_blind_to_the_future(LEAKING[what], events)


def test_the_time_of_the_target_is_found() -> None:
    with pytest.raises(AssertionError, match="knows what comes after"):
        assert_blind_to_the_future(lambda made, rows: made.ts_ms[rows].astype(float), made_up("ts_ms"))


def test_what_is_known_at_a_time_is_told_from_what_comes_after() -> None:
    events, at_ms = made_up("ts_ms"), 150_000

    def until(made: Log, end_ms: int) -> Floats:
        return np.add.reduceat(made.item * (made.ts_ms <= end_ms), made.first).astype(float)

    assert_blind_after(lambda made: until(made, at_ms), events, at_ms)
    with pytest.raises(AssertionError, match="knows what comes after"):
        assert_blind_after(lambda made: until(made, 10**15), events, at_ms)


def test_the_log_itself_stays_as_it_is(events: Log) -> None:
    columns = (events.first, events.item, events.action, events.ts_ms, events.split)
    before = [column.copy() for column in columns]
    assert_blind_to_the_future(HONEST["the item before"], events)
    for ours, theirs in zip(columns, before, strict=True):
        np.testing.assert_array_equal(ours, theirs)

"""Whether predictions know what comes after: the future is made another one, and they must stay the same."""

from collections.abc import Callable

import numpy as np
import polars as pl

from models.log import SPLITS, Log
from models.state import Floats, Ints

_DAY_MS = 86_400_000


def assert_blind_to_the_future(
    predict: Callable[[Log, Ints], Floats], log: Log, *, seed: int = 0, tolerance: float = 1e-6
) -> None:
    """Assert that predictions for targets do not change with the targets themselves, nor with anything after them.

    One row of each sequence is predicted: at first each one's second, then its last, then rows by chance. The row and
    all that follow it in its sequence get other items, actions, times, splits and columns, and some of the last go.

    Args:
        predict: takes a log and rows that have a row before them, in order, and returns an array [rows, ...].
        log: some sequences must have two events or more.
        seed: of the rows and of the other future.
        tolerance: largest difference that is none.
    """
    rng = np.random.default_rng(seed)
    ends = np.append(log.first[1:], len(log.item))
    lengths = ends - log.first
    long = np.flatnonzero(lengths > 1)
    assert len(long), "no sequence has two events"
    for place in (np.ones(len(long), np.int64), lengths[long] - 1, rng.integers(1, lengths[long])):
        starts = ends.copy()
        starts[long] = log.first[long] + place
        other, kept = another_future(log, starts, rng)
        moved = np.searchsorted(kept, starts[long])
        _same(predict(log, starts[long]), predict(other, moved), tolerance)


def assert_blind_after(
    predict: Callable[[Log], Floats], log: Log, at_ms: int, *, seed: int = 0, tolerance: float = 1e-6
) -> None:
    """Assert that predictions as of a time do not change with what comes after it.

    Args:
        predict: takes a log and returns an array with a row for each sequence that has an event up to `at_ms`.
        log: with times.
        at_ms: events after it get other items, actions, times (after it), splits and columns, and some go.
        seed: of the other future.
        tolerance: largest difference that is none.
    """
    ends = np.append(log.first[1:], len(log.item))
    starts = np.array(
        [a + np.searchsorted(log.ts_ms[a:b], at_ms, side="right") for a, b in zip(log.first, ends, strict=True)]
    )
    assert (starts < ends).any(), "nothing comes after this time"
    other, _ = another_future(log, starts, np.random.default_rng(seed), after_ms=at_ms)
    _same(predict(log), predict(other), tolerance)


def another_future(log: Log, starts: Ints, rng: np.random.Generator, after_ms: int = -1) -> tuple[Log, Ints]:
    """Return a log with another future, and which rows it has kept.

    Args:
        log: the log, which stays as it is.
        starts: of each sequence, the first row to alter; it is never one of those that go [sequences].
        rng: makes the future.
        after_ms: altered events of a log with times are later than this.
    """
    ends = np.append(log.first[1:], len(log.item))
    cuts = np.where(starts < ends, rng.integers(np.minimum(starts + 1, ends), ends + 1), ends)
    kept = np.concatenate([np.arange(a, b) for a, b in zip(log.first, cuts, strict=True)])
    item, action, split, ts_ms = (column.copy() for column in (log.item, log.action, log.split, log.ts_ms))
    sources = np.arange(len(item))
    for first, start, end in zip(log.first, starts, ends, strict=True):
        altered = slice(start, end)
        item[altered] = (item[altered] + rng.integers(1, max(len(log.items), 2), end - start)) % len(log.items)
        action[altered] = (action[altered] + rng.integers(1, max(len(log.actions), 2), end - start)) % len(log.actions)
        split[altered] = rng.integers(0, len(SPLITS), end - start)
        sources[altered] = rng.integers(0, len(item), end - start)
        if log.timed:
            before_ms = max(after_ms + 1, ts_ms[start - 1] if start > first else 0)
            ts_ms[altered] = before_ms + np.cumsum(rng.integers(0, _DAY_MS, end - start))
    other = log._replace(
        first=np.append(0, np.cumsum(cuts - log.first)[:-1]),
        item=item[kept],
        action=action[kept],
        ts_ms=ts_ms[kept],
        split=split[kept],
        columns=log.columns[pl.Series(sources[kept])],
    )
    return other, kept


def _same(ours: Floats, theirs: Floats, tolerance: float) -> None:
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=tolerance, err_msg="a prediction knows what comes after")

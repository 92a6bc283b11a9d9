"""All shoppers of a shop together, in event-time order: an endless stream, and a log of the past for training."""

from collections.abc import Iterator
from heapq import heapify, heapreplace
from itertools import takewhile
from math import ceil

import numpy as np
import polars as pl

from models.model_directory import DAY_MS, OUTCOMES, Churn
from models.simulator.shop import Shop
from models.simulator.shopper import LEAVE_AFTER_MS, Observed, State, advance, event, start
from models.simulator.truth import next_action_probabilities, survival

_EVENTS_PER_SESSION = 5  # a first guess of how far back `log` has to start


def states(shop: Shop, start_ms: int, *, warm_ms: int = 0) -> Iterator[State]:
    """Yield the state after every event from a time on, by event time, without end; memory grows with `users` only.

    Args:
        shop: where it happens.
        start_ms: no event comes earlier; with the shop's seed it also seeds what happens.
        warm_ms: for so long before `start_ms` the shop is open unseen. `states(shop, end, warm_ms=w)` goes on where
            `log(shop, end, days=w / DAY_MS)` ends.

    >>> first = next(states(Shop(users=5), 1_750_000_000_000))
    >>> first.steps, first.action
    (1, 0)
    """
    opened_ms = start_ms - warm_ms
    uniform = _uniforms(np.random.default_rng((shop.seed, 2, opened_ms))).__next__
    heap = [(state.ts_ms, number, state) for number in range(shop.users)
            for state in [start(shop, shop.shopper(number), opened_ms, uniform)]]  # fmt: skip
    heapify(heap)
    newcomer = shop.users
    while True:
        ts_ms, number, state = heap[0]
        if ts_ms >= start_ms:
            yield state
        following = advance(shop, state, uniform)
        if following is None:
            number, newcomer = newcomer, newcomer + 1
            following = start(shop, shop.shopper(number), ts_ms + LEAVE_AFTER_MS, uniform)
        heapreplace(heap, (following.ts_ms, number, following))


def simulate(shop: Shop, start_ms: int, *, warm_ms: int = 0) -> Iterator[Observed]:
    """Yield what a log shows of `states`: the fields of the input topics, and the action.

    >>> first = next(simulate(Shop(users=5), 1_750_000_000_000))
    >>> first["action"], first["ts_ms"] > 1_750_000_000_000
    ('view', True)
    """
    return (event(shop, state) for state in states(shop, start_ms, warm_ms=warm_ms))


def log(
    shop: Shop, end_ms: int, *, days: float | None = None, events: int | None = None, with_truth: bool = False
) -> pl.DataFrame:
    """Return the events before a time, by event time: those of so many days, or the last so many.

    Args:
        shop: where they happened.
        end_ms: all are earlier.
        days: of event time, from the opening of the shop.
        events: instead of `days`: the shop opened some days before the first of them.
        with_truth: add the columns of `frame` on what comes after each event.

    Raises:
        ValueError: both or neither of `days` and `events` are given.

    >>> log(Shop(users=20), 1_750_000_000_000, events=100).shape
    (100, 9)
    """
    if days is not None and events is None:
        return frame(shop, _before(shop, end_ms, days), with_truth=with_truth)
    if days is not None or events is None:
        raise ValueError("log needs days or events, and not both")
    past_days = ceil(1 + events / (shop.users * shop.sessions_per_day * _EVENTS_PER_SESSION))
    while len(past := _before(shop, end_ms, past_days)) < events:
        past_days *= 2
    return frame(shop, past[len(past) - events :], with_truth=with_truth)


def frame(shop: Shop, past: list[State], *, with_truth: bool = False) -> pl.DataFrame:
    """Return events as columns, `Observed` by name.

    With truth, also `p_view`, `p_click`, `p_purchase`, `p_leave` (the outcome after this event) and `p_silent_1d`,
    `_7d`, `_30d` (no event within that time after it): the best prediction that the shopper's hidden state allows.
    """
    columns = pl.DataFrame([event(shop, state) for state in past], schema=_SCHEMA)
    if not with_truth:
        return columns
    horizons_ms = np.array(Churn().horizons_ms)
    actions = np.array([next_action_probabilities(shop, state) for state in past]).reshape(-1, len(OUTCOMES))
    silent = np.array([survival(shop, state, horizons_ms) for state in past]).reshape(-1, len(horizons_ms))
    truth = {f"p_{outcome}": actions[:, k] for k, outcome in enumerate(OUTCOMES)}
    truth |= {f"p_silent_{horizon_ms // DAY_MS}d": silent[:, k] for k, horizon_ms in enumerate(horizons_ms)}
    return columns.with_columns(**truth)


_SCHEMA = {
    "event_id": pl.String,
    "user_id": pl.String,
    "item_id": pl.String,
    "action": pl.String,
    "ts_ms": pl.Int64,
    "session_id": pl.String,
    "device": pl.String,
    "category": pl.String,
    "price": pl.Float64,
}


def _before(shop: Shop, end_ms: int, days: float) -> list[State]:
    return list(takewhile(lambda state: state.ts_ms < end_ms, states(shop, end_ms - round(days * DAY_MS))))


def _uniforms(rng: np.random.Generator) -> Iterator[float]:
    while True:
        yield from rng.random(4096).tolist()

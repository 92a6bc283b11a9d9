"""Published next-action probabilities held against the action that came next.

Only which action came is scored, given that one came: under load a user gets one forecast a chunk, after the last of
its events there, so the rows that have a forecast are rows after which the user was silent, and "leave" is right too
often.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import NamedTuple
from zlib import crc32

import numpy as np
import polars as pl

from models.state import ACTIONS

_LEAST = 1e-6
"""Probabilities are published with six decimals: a zero stands for less than this."""


class Forecast(NamedTuple):
    """What was said of a user after so many of its events."""

    user_id: str
    events: int
    probabilities: Mapping[str, float]


@dataclass(frozen=True)
class NextActionScore:
    """Mean log-loss in nats of the forecasts, and of always saying the shares of the actions before the scored time."""

    scored: int
    log_loss: float
    prior_log_loss: float

    def as_dict(self) -> dict[str, float | None]:
        """Return the figures by name, rounded for reading; None where nothing was scored."""
        return {name: round(value, 4) if self.scored else None for name, value in asdict(self).items()} | {
            "scored": self.scored
        }


def score_next_actions(forecasts: Iterable[Forecast], events: pl.DataFrame, from_ms: int = 0) -> NextActionScore:
    """Score each forecast against the user's next event in a log.

    Args:
        forecasts: in any order; one with no event after it is left out.
        events: an EVENTS log.
        from_ms: forecasts as of an earlier event are left out: they may have been trained on. The prior is taken from
            the events before, from all if there are none.
    """
    histories = _histories(events)
    actions = [action for history in histories.values() for ts_ms, action in history if ts_ms < from_ms]
    counted = Counter(actions or [action for history in histories.values() for _, action in history])
    losses, prior_losses = [], []
    for forecast in forecasts:
        history = histories[forecast.user_id]
        if forecast.events == len(history) or history[forecast.events - 1][0] < from_ms:
            continue
        action = history[forecast.events][1]
        came = max(forecast.probabilities[action], _LEAST)
        losses.append(np.log(sum(max(forecast.probabilities[name], _LEAST) for name in ACTIONS) / came))
        prior_losses.append(np.log(counted.total() / max(counted[action], _LEAST)))
    if not losses:
        return NextActionScore(0, float("nan"), float("nan"))
    return NextActionScore(len(losses), float(np.mean(losses)), float(np.mean(prior_losses)))


def _histories(events: pl.DataFrame) -> dict[str, list[tuple[int, str]]]:
    """Return time and action of each user's events as its row has them: in order, without duplicates."""
    columns = (events[name].to_list() for name in ("user_id", "ts_ms", "action", "event_id", "item_id"))
    users: dict[str, set[tuple[int, int, int, int]]] = {}
    for user, ts_ms, action, event_id, item_id in zip(*columns, strict=True):
        key = (ts_ms, ACTIONS.index(action), crc32(event_id.encode()), crc32(item_id.encode()))
        users.setdefault(user, set()).add(key)
    return {user: [(ts_ms, ACTIONS[action]) for ts_ms, action, _, _ in sorted(keys)] for user, keys in users.items()}

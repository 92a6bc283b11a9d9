"""Published next-action probabilities held against what came next."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple
from zlib import crc32

import numpy as np
import polars as pl

from models.model_directory import LEAVE, OUTCOMES
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
    """Log-loss in nats; the prior is the best constant forecast: the shares of the outcomes in the very rows scored."""

    scored: int
    log_loss: float
    prior_log_loss: float

    def as_dict(self) -> dict[str, float]:
        """Return the figures by name, rounded for reading."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


class Outcomes:
    """What came after each event of each user of a log.

    Args:
        events: an EVENTS log.
        leave_after_ms: a longer gap counts as having left.
    """

    def __init__(self, events: pl.DataFrame, leave_after_ms: int) -> None:
        self._leave_after_ms = leave_after_ms
        self._end_ms = int(events["ts_ms"].to_numpy().max(initial=0))
        self._history: dict[str, Sequence[tuple[int, int]]] = {}
        columns = (events[name].to_list() for name in ("user_id", "ts_ms", "action", "event_id", "item_id"))
        users: dict[str, set[tuple[int, int, int, int]]] = {}
        for user, ts_ms, action, event_id, item_id in zip(*columns, strict=True):
            key = (ts_ms, ACTIONS.index(action), crc32(event_id.encode()), crc32(item_id.encode()))
            users.setdefault(user, set()).add(key)
        for user, keys in users.items():
            self._history[user] = [(ts_ms, action) for ts_ms, action, _, _ in sorted(keys)]

    def after(self, user_id: str, events: int) -> tuple[int, str | None]:
        """Return the time of a user's event of this number (from 1), and what came next; None: nobody can know yet."""
        history = self._history[user_id]
        last_ms = history[events - 1][0]
        if events == len(history):
            return last_ms, LEAVE if self._end_ms - last_ms > self._leave_after_ms else None
        next_ms, action = history[events]
        return last_ms, LEAVE if next_ms - last_ms > self._leave_after_ms else ACTIONS[action]


def score_next_actions(forecasts: Iterable[Forecast], outcomes: Outcomes, from_ms: int = 0) -> NextActionScore:
    """Score each forecast against the action that came next.

    Args:
        forecasts: in any order; one whose outcome is not known yet is left out.
        outcomes: what came next.
        from_ms: forecasts as of an earlier event are left out: they may have been trained on.
    """
    losses, seen = [], []
    for forecast in forecasts:
        last_ms, outcome = outcomes.after(forecast.user_id, forecast.events)
        if outcome is not None and last_ms >= from_ms:
            losses.append(-np.log(max(forecast.probabilities[outcome], _LEAST)))
            seen.append(OUTCOMES.index(outcome))
    if not seen:
        return NextActionScore(0, float("nan"), float("nan"))
    shares = np.bincount(seen) / len(seen)
    shares = shares[shares > 0]
    return NextActionScore(len(seen), float(np.mean(losses)), float(-(shares * np.log(shares)).sum()))

"""Recency-frequency logistic: how long ago and how often, the oldest rule of direct marketing.

Fader, Hardie, Lee: RFM and CLV: using iso-value curves for customer base analysis, 2005, on why these two say so much;
the regressions are scikit-learn's.
"""

from typing import Literal

import numpy as np
from sklearn.linear_model import LogisticRegression, PoissonRegressor

from models.floors.occasions import Occasions, counts_ahead, occasions
from models.log import Log
from models.state import Floats, Ints

Knows = Literal["nothing", "recency", "recency and frequency"]

_LEAST = 1e-6


class RecencyFrequency:
    """Learns at an earlier moment what was to come, and says the same at the moment asked about.

    The earlier moment lies one horizon back, or, where the log does not reach back twice as far, in the middle of what
    there is before; what was learned for a shorter horizon is stretched at a constant rate.

    Args:
        log: of events, with times.
        rows: which of them to learn from.
        knows: what the regressions see; "nothing": the share and the mean count of everyone.
    """

    def __init__(self, log: Log, rows: Ints, knows: Knows = "recency and frequency") -> None:  # noqa: ARG002 - as all floors
        self._rows, self._knows = rows, knows

    def activity(self, log: Log, at_ms: int, horizon_ms: int) -> tuple[Floats, Floats]:
        """Return P(any event) and the expected number of events in [at, at + horizon) [sequences before `at_ms`]."""
        rows = self._rows[log.ts_ms[self._rows] < at_ms]
        since_ms = int(log.ts_ms[rows].min())
        back_ms = min(horizon_ms, (at_ms - since_ms) // 2)
        then_ms = at_ms - back_ms
        who, past = occasions(log, rows, then_ms)
        count = counts_ahead(log, rows, then_ms, back_ms)[who].astype(np.float64)
        _, now = occasions(log, np.arange(len(log.item)), at_ms)
        stretch = horizon_ms / back_ms
        probability = np.clip(self._probability(past, np.minimum(count, 1), now), _LEAST, 1 - _LEAST)
        return 1 - (1 - probability) ** stretch, self._count(past, count, now) * stretch

    def _probability(self, past: Occasions, came: Floats, now: Occasions) -> Floats:
        if self._knows == "nothing" or came.all() or not came.any():
            return np.full(len(now.again), came.mean())
        model = LogisticRegression(max_iter=1000).fit(self._inputs(past), came)
        probability: Floats = model.predict_proba(self._inputs(now))[:, 1]
        return probability

    def _count(self, past: Occasions, count: Floats, now: Occasions) -> Floats:
        if self._knows == "nothing" or not count.any():
            return np.full(len(now.again), count.mean())
        model = PoissonRegressor(alpha=1e-4, max_iter=1000)
        number: Floats = model.fit(self._inputs(past), count).predict(self._inputs(now))
        return number

    def _inputs(self, seen: Occasions) -> Floats:
        recency, frequency = np.log1p(seen.age - seen.last), np.log1p(seen.again)
        if self._knows == "recency":
            return np.stack([recency], axis=1)
        return np.stack([recency, frequency, np.log1p(seen.age), recency * frequency], axis=1)

"""How far the events of a worker have moved away from the training data, feature by feature."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from models.observed import OBSERVED
from models.reference import Reference, stability_index
from models.state import Rows
from streams.metrics.catalogue import FEATURES

EVENTS = 10_000
"""Sampled events after which older ones count a third of new ones (1/e)."""

LEAST_EVENTS = 500
"""Fewer say more of chance than of drift: with as many the index of 25 bins is some 0.05 where nothing has moved."""

WEEK_MS = 7 * 86_400_000
"""The hours of the day are remembered so long: the last 10,000 events may all be of one hour."""

DAY_MS = 86_400_000
_STEP_MS = 60_000


class Drift:
    """Counts of sampled events that fade, against those of the training data.

    Args:
        reference: of the training data; None: the model has none, and nothing is known.
    """

    def __init__(self, reference: Reference | None) -> None:
        self._reference = reference
        self._recent = np.zeros(1, OBSERVED)
        self._hours: npt.NDArray[Any] = np.zeros(OBSERVED["hour"].shape)
        self._begun_ms = self._newest_ms = 0

    def add(self, observed: Rows, newest_ms: int) -> None:
        """Take in what a chunk tells.

        Args:
            observed: `OBSERVED` [1].
            newest_ms: newest time of its events.
        """
        count = float(observed["looked_at"][0])
        if not count:
            return
        recent = self._recent.view(np.float64)
        recent *= math.exp(-count / EVENTS)
        recent += observed.view(np.float64)
        self._begun_ms = self._begun_ms or newest_ms
        if newest_ms > self._newest_ms + _STEP_MS:
            self._hours *= math.exp((self._newest_ms - newest_ms) / WEEK_MS)
            self._newest_ms = newest_ms
        self._hours += observed["hour"][0]

    def values(self) -> dict[tuple[str, ...], float]:
        """Return the population stability index of each feature, NaN where it is not known."""
        return {(feature,): self._index(feature) for feature in FEATURES}

    def _index(self, feature: str) -> float:
        found = self._hours if feature == "hour" else self._recent[feature][0]
        whole_day = feature != "hour" or self._newest_ms - self._begun_ms >= DAY_MS
        if self._reference is None or not whole_day or found.sum() < LEAST_EVENTS:
            return math.nan
        return stability_index(np.array(getattr(self._reference, feature)), found)

"""A trained model as a predictor of each time that it knows of: to the next event, to the next purchase."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from models.evaluation.predictor import TimeToNext
from models.learned import Learned
from models.log import Log
from models.state import Floats, Ints


class Timed(Learned):
    """A trained model that can be asked about each of its time heads."""

    def survival_of(
        self, target: int, log: Log, rows: Ints, horizons_ms: Ints, silent_ms: Ints | None = None
    ) -> Floats:
        """Return P(the target comes later than each horizon, given the silence until now) [rows, horizons]."""
        silent = np.zeros(len(rows), np.int64) if silent_ms is None else silent_ms
        silent = np.repeat(silent[:, None], len(horizons_ms), axis=1)
        return self._curves(log, rows).silence(target, silent, horizons_ms)

    def targets(self) -> Mapping[str, TimeToNext]:
        """Return a predictor for each target; the first, "any", is of any event."""
        first, *others = self.card.targets or ("",)
        return {first: self} | {name: _Target(self, k) for k, name in enumerate(others, 1)} if first else {}


class _Target(NamedTuple):
    model: Timed
    target: int

    def survival(self, log: Log, rows: Ints, horizons_ms: Ints, silent_ms: Ints | None = None) -> Floats:
        return self.model.survival_of(self.target, log, rows, horizons_ms, silent_ms)

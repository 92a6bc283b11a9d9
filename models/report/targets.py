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

    def survival_of(self, target: int, log: Log, rows: Ints, horizons_ms: Ints) -> Floats:
        """Return P(the target comes later than each horizon after the row before it) [rows, horizons]."""
        return self._curves(log, rows).silence(target, np.zeros((len(rows), len(horizons_ms)), np.int64), horizons_ms)

    def targets(self) -> Mapping[str, TimeToNext]:
        """Return a predictor for each target; the first, "any", is of any event."""
        first, *others = self.card.targets or ("",)
        return {first: self} | {name: _Target(self, k) for k, name in enumerate(others, 1)} if first else {}


class _Target(NamedTuple):
    model: Timed
    target: int

    def survival(self, log: Log, rows: Ints, horizons_ms: Ints) -> Floats:
        return self.model.survival_of(self.target, log, rows, horizons_ms)

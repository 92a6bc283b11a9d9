"""Time to the next event as a discrete hazard over log-spaced bins, and what follows from it.

A bin's hazard is the probability that the event comes in it, given that it has not come before (Cox, Regression models
and life-tables, 1972, section 6: discrete time). The rate is constant inside a bin; the last bin's rate holds for ever.
"""

import numpy as np

from models.features import GAP_EDGES_MS
from models.state import Floats, Ints

STARTS_MS = np.concatenate([[0], GAP_EDGES_MS])
"""Start of each bin [TIME_BINS]."""

WIDTHS_MS = np.diff(np.concatenate([STARTS_MS, [2 * GAP_EDGES_MS[-1]]]))
"""Width of each bin [TIME_BINS]; the last one is as wide as all before it and goes on at the same rate."""


def log_survival(hazards: Floats, t_ms: Ints) -> Floats:
    """Return log P(no event before t) for hazards [n, TIME_BINS] and times [n] or [n, k]: an array shaped like `t_ms`.

    >>> half = np.full((1, len(STARTS_MS)), 0.5)
    >>> float(np.exp(log_survival(half, np.array([2000]))[0]))  # two bins passed
    0.25
    """
    return _log_survival(*_curve(hazards), t_ms)


def silence(hazards: Floats, silent_ms: Ints, horizon_ms: int | Ints) -> Floats:
    """Return P(no event within the horizon | silent for so long), shaped like `silent_ms`.

    Args:
        hazards: [n, TIME_BINS].
        silent_ms: [n] or [n, k].
        horizon_ms: one, or [k].
    """
    curve = _curve(hazards)
    return np.exp(_log_survival(*curve, silent_ms + horizon_ms) - _log_survival(*curve, silent_ms))


def _curve(hazards: Floats) -> tuple[Floats, Floats]:
    """Return the log probability to pass each bin [n, TIME_BINS], and all before it [n, TIME_BINS + 1]."""
    kept = np.log1p(-hazards)
    before = np.zeros((len(hazards), hazards.shape[1] + 1))
    np.cumsum(kept, axis=1, out=before[:, 1:])
    return kept, before


def _log_survival(kept: Floats, before: Floats, t_ms: Ints) -> Floats:
    times = t_ms[:, None] if t_ms.ndim == 1 else t_ms
    bin_ = np.searchsorted(GAP_EDGES_MS, times, side="right")
    share = (times - STARTS_MS[bin_]) / WIDTHS_MS[bin_]
    row = np.arange(len(kept))[:, None]
    values: Floats = before[row, bin_] + share * kept[row, bin_]
    return values.reshape(t_ms.shape)

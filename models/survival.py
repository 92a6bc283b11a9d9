"""Time to the next event as a discrete hazard over log-spaced bins, and what follows from it.

A bin's hazard is the probability that the event comes in it, given that it has not come before (Cox, Regression models
and life-tables, 1972, section 6: discrete time). The rate is constant inside a bin. The last bin is followed by others
of its hazard, each twice as wide as the one before, as the bins before it are: few who were silent for long come back
soon, so a rate that stayed as it was would bring all of them back.
"""

from copy import copy

import numpy as np

from models.compiled import compiled
from models.features import GAP_EDGES_MS
from models.state import Floats, Ints

STARTS_MS = np.concatenate([[0], GAP_EDGES_MS])
"""Start of each bin [TIME_BINS]."""

WIDTHS_MS = np.diff(np.concatenate([STARTS_MS, [2 * GAP_EDGES_MS[-1]]]))
"""Width of each bin [TIME_BINS]; the last one is as wide as all before it, those that follow it twice as wide each."""


def widths_passed(bin_: Ints, t_ms: Ints) -> Floats:
    """Return how many widths of its bin each time has passed; of the last one, of it and those that follow it.

    >>> last = len(STARTS_MS) - 1
    >>> widths_passed(np.array([0, last, last]), np.array([500, *STARTS_MS[last] * np.array([3, 4])])).tolist()
    [0.5, 1.5, 2.0]
    """
    part, doublings = np.frexp(t_ms / STARTS_MS[-1])  # t is part * 2**doublings
    inside: Floats = (t_ms - STARTS_MS[bin_]) / WIDTHS_MS[bin_]
    return np.where(bin_ == len(STARTS_MS) - 1, doublings - 1 + (2 * part - 1), inside)


class Curves:
    """What hazards say of each moment, worked out once for all questions.

    Args:
        hazards: of users to each of some targets [users, targets, TIME_BINS].

    >>> half = Curves(np.full((1, 1, len(STARTS_MS)), 0.5))
    >>> half.silence(0, np.array([0]), 2000).tolist()  # two bins pass
    [0.25]
    """

    def __init__(self, hazards: Floats) -> None:
        self._kept = np.log1p(-hazards)  # log probability to pass a bin
        self._before = np.zeros((*hazards.shape[:2], hazards.shape[2] + 1))  # and all bins before it
        np.cumsum(self._kept, axis=2, out=self._before[:, :, 1:])

    def at(self, index: Ints) -> "Curves":
        """Return the curves of the users that the index picks."""
        picked = copy(self)
        picked._kept, picked._before = self._kept[index], self._before[index]
        return picked

    def log_silence(self, target: int, silent_ms: Ints, horizon_ms: int | Ints) -> Floats:
        """Return the logarithm of `silence`."""
        silent = np.ascontiguousarray(silent_ms if silent_ms.ndim == 2 else silent_ms[:, None], np.int64)
        end = np.ascontiguousarray(silent_ms + horizon_ms, np.int64).reshape(silent.shape)
        logs = np.empty(silent.shape)
        _log_silence(self._kept, self._before, target, silent, end, logs)
        return logs.reshape(silent_ms.shape)

    def silence(self, target: int, silent_ms: Ints, horizon_ms: int | Ints) -> Floats:
        """Return P(no event of the target within the horizon | silent for so long), shaped like `silent_ms`.

        Args:
            target: number of the target.
            silent_ms: [n] or [n, k].
            horizon_ms: one, or [k].
        """
        return np.exp(self.log_silence(target, silent_ms, horizon_ms))


@compiled
def _log_silence(kept: Floats, before: Floats, target: int, silent_ms: Ints, end_ms: Ints, logs: Floats) -> None:
    if len(kept) != len(logs):
        raise ValueError("not as many curves as silences")
    for user in range(logs.shape[0]):
        for k in range(logs.shape[1]):
            end = _log_survival(kept[user, target], before[user, target], end_ms[user, k])
            logs[user, k] = end - _log_survival(kept[user, target], before[user, target], silent_ms[user, k])


@compiled
def _log_survival(kept: Floats, before: Floats, t_ms: int) -> float:
    bin_ = 0
    while bin_ < len(GAP_EDGES_MS) and t_ms >= GAP_EDGES_MS[bin_]:
        bin_ += 1
    value: float = before[bin_]
    start, width = STARTS_MS[bin_], WIDTHS_MS[bin_]
    while t_ms - start >= width and bin_ == len(GAP_EDGES_MS):
        value += kept[bin_]
        start, width = start + width, width * 2
    value += (t_ms - start) / width * kept[bin_]
    return value

"""How many events will come: what the curve of the time to the next one says of all that follow."""

import numpy as np

from models.features import GAP_EDGES_MS
from models.state import Floats, Ints
from models.survival import Curves

_STEPS = 128


def expected_events(curves: Curves, silent_ms: Ints, horizon_ms: int) -> Floats:
    """Return the expected number of events within a horizon, if every later gap is drawn as the next one is [users].

    Events of one time, less than a second apart, are one.

    The renewal equation (Cox, Renewal theory, 1962) on a grid of the horizon. An event stands where its step begins, so
    that a burst of events within one step counts whole.

    Args:
        curves: of the time to the next event; the first target is meant [users].
        silent_ms: for how long each user has been silent [users].
        horizon_ms: how far ahead.

    >>> hazards = np.full((1, 1, 25), 1e-9)
    >>> hazards[0, 0, 12:] = 0.5  # nothing for an hour
    >>> curves = Curves(hazards)
    >>> [expected_events(curves, np.array([0]), hours * 3_600_000).round(1).tolist() for hours in (1, 12, 24)]
    [[0.4], [5.3], [9.7]]
    """
    ends_ms = np.arange(1, _STEPS + 1) * horizon_ms // _STEPS
    next_gap, first_gap = (
        np.diff(1 - curves.silence(0, np.repeat(silent[:, None], _STEPS, 1), ends_ms), axis=1, prepend=0)
        for silent in (np.full_like(silent_ms, GAP_EDGES_MS[0]), silent_ms)
    )
    after = np.zeros((len(silent_ms), _STEPS + 1))  # events expected within so many steps after one
    stays = np.maximum(1 - next_gap[:, 0], 1e-6)
    for k in range(1, _STEPS + 1):
        later = next_gap[:, 1:k] * (1 + after[:, k - 1 : 0 : -1])
        after[:, k] = (next_gap[:, 0] + later.sum(1)) / stays
    events: Floats = (first_gap * (1 + after[:, :0:-1])).sum(1)
    return events

"""Window features after every event of a log, for any number of actions: the numbers that `windows` counts in rows."""

import numpy as np
import numpy.typing as npt

from models.compiled import compiled
from models.state import RESOLUTIONS, Ints
from models.windows import BIN_EDGES

_WIDTHS_MS = np.array([width for _, width, _ in RESOLUTIONS], np.int64)
_SIZES = np.array([size for _, _, size in RESOLUTIONS], np.int64)


def window_bins(first: Ints, action: Ints, ts_ms: Ints, actions: int) -> npt.NDArray[np.uint8]:
    """Return `windows.bins` after each event [events, resolutions * actions].

    Args:
        first: number of each sequence's first event [sequences].
        action: code of each event's action, less than `actions` [events].
        ts_ms: time of each event, ascending in each sequence [events].
        actions: number of actions.

    >>> window_bins(np.array([0]), np.array([0, 1, 1]), np.array([0, 1, 4_000_000]), 2).tolist()
    [[1, 0, 1, 0, 1, 0], [1, 1, 1, 1, 1, 1], [0, 1, 1, 2, 1, 2]]
    """
    if len(action) and not (action.min() >= 0 and action.max() < actions):
        raise ValueError("no such action")
    bins = np.empty((len(action), len(_SIZES) * actions), np.uint8)
    ends = np.append(first[1:], len(action))
    starts, ends, action, ts_ms = (np.ascontiguousarray(column, np.int64) for column in (first, ends, action, ts_ms))
    _fill(starts, ends, action, ts_ms, actions, bins)
    return bins


@compiled
def _fill(first: Ints, ends: Ints, action: Ints, ts_ms: Ints, actions: int, bins: npt.NDArray[np.uint8]) -> None:
    counts = np.zeros(actions, np.int64)
    for resolution in range(len(_SIZES)):
        width_ms, size = _WIDTHS_MS[resolution], _SIZES[resolution]
        for sequence in range(len(first)):
            counts[:] = 0
            oldest = first[sequence]
            for event in range(first[sequence], ends[sequence]):
                counts[action[event]] += 1
                gone = ts_ms[event] // width_ms - size  # events of this bucket and before are in no window
                while ts_ms[oldest] // width_ms <= gone:
                    counts[action[oldest]] -= 1
                    oldest += 1
                for k in range(actions):
                    bin_ = 0
                    while bin_ < len(BIN_EDGES) and counts[k] >= BIN_EDGES[bin_]:
                        bin_ += 1
                    bins[event, resolution * actions + k] = bin_

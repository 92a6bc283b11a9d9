"""The risk that a user stays away: a band from the hazard of the next event, and when silence alone will change it.

Writes `band` and `rescore_ms` of a row; reads `newest_ms`.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt

from models.model_directory import TARGETS, Churn
from models.state import NEVER, Floats, Ints, Rows
from models.survival import STARTS_MS, silence

BANDS: tuple[Literal["low"], Literal["medium"], Literal["high"]] = ("low", "medium", "high")
"""Names of the bands 1, 2, 3; 0 in a row is none."""

FIRST_RESCORE_MS = 600_000
"""How long a user must be silent before the risk is scored without an event."""

_STARTS = STARTS_MS[STARTS_MS >= FIRST_RESCORE_MS]
_CANDIDATES_MS = np.unique(np.concatenate([_STARTS + part * _STARTS // 4 for part in range(4)]))
"""Silences at which a band may be found to change: four between two edges of the hazard's bins."""


def bands(hazards: Floats, silent_ms: Ints, churn: Churn) -> npt.NDArray[np.uint8]:
    """Return the band after a silence: of hazards [n, TARGETS, TIME_BINS] and silent_ms [n] or [n, k], as silent_ms."""
    risk = silence(hazards[:, TARGETS.index("any")], silent_ms, churn.band_horizon_ms)
    return (1 + np.searchsorted(churn.band_edges, risk, side="right")).astype(np.uint8)


def score_event(rows: Rows, hazards: Floats, churn: Churn) -> None:
    """Set the band as of each row's newest event, and when to look again; in place."""
    rows["band"] = bands(hazards, np.zeros(len(rows), np.int64), churn)
    rows["rescore_ms"] = rows["newest_ms"] + FIRST_RESCORE_MS


def score_silence(rows: Rows, hazards: Floats, churn: Churn) -> npt.NDArray[np.bool_]:
    """Set the band as of each row's `rescore_ms`, and when it will change next; tell which bands changed. In place."""
    silent = rows["rescore_ms"] - rows["newest_ms"]
    now = bands(hazards, silent, churn)
    changed: npt.NDArray[np.bool_] = now != rows["band"]
    rows["band"] = now
    later = np.broadcast_to(_CANDIDATES_MS, (len(rows), len(_CANDIDATES_MS)))
    moves = (bands(hazards, later, churn) != now[:, None]) & (later > silent[:, None])
    first = moves.argmax(axis=1)
    rows["rescore_ms"] = np.where(moves.any(axis=1), rows["newest_ms"] + _CANDIDATES_MS[first], NEVER)
    return changed

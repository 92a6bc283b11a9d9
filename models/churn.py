"""The risk that a user stays away: a band from the hazard of the next event, and when silence alone will change it.

Writes `band`, `silent_s` and `rescore_ms` of a row; reads `newest_ms`.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt

from models.model_directory import TARGETS, Churn
from models.state import NEVER, Ints, Rows
from models.survival import STARTS_MS, Curves

BANDS: tuple[Literal["low"], Literal["medium"], Literal["high"]] = ("low", "medium", "high")
"""Names of the bands 1, 2, 3; 0 in a row is none."""

FIRST_RESCORE_MS = 600_000
"""How long a user must be silent before the risk is scored without an event."""

_ANY = TARGETS.index("any")
_STARTS = STARTS_MS[STARTS_MS >= FIRST_RESCORE_MS]
_CANDIDATES_MS = np.unique(np.concatenate([_STARTS + part * _STARTS // 4 for part in range(4)]))
"""Silences at which a band may be found to change: four between two edges of the hazard's bins."""


def bands(curves: Curves, silent_ms: Ints, churn: Churn) -> npt.NDArray[np.uint8]:
    """Return the band after a silence: of curves of TARGETS and silent_ms [n] or [n, k], as silent_ms."""
    risk = curves.silence(_ANY, silent_ms, churn.band_horizon_ms)
    return (1 + np.searchsorted(churn.band_edges, risk, side="right")).astype(np.uint8)


def as_of_ms(rows: Rows) -> Ints:
    """Return the moment that each row's band is about: its newest event, or when silence changed the band."""
    return rows["newest_ms"] + _silent_ms(rows)


def score_event(rows: Rows, curves: Curves, churn: Churn, moved: npt.NDArray[np.bool_]) -> None:
    """Set the band after events, and when to look again; in place.

    Args:
        rows: `ROW` [users].
        curves: of TARGETS [users].
        churn: the bands.
        moved: which users have a newer event than before [users]; what comes twice or late does not end a silence.
    """
    fresh = moved | (rows["band"] == 0)
    first_ms = rows["newest_ms"] + FIRST_RESCORE_MS
    looked = np.flatnonzero(~fresh & (rows["rescore_ms"] > first_ms))
    rows["silent_s"][fresh] = 0
    silent_ms = _silent_ms(rows)
    rows["band"] = bands(curves, silent_ms, churn)
    rows["rescore_ms"] = first_ms
    if len(looked):
        reached = np.maximum(silent_ms[looked], FIRST_RESCORE_MS)
        rows["rescore_ms"][looked] = _next_look(rows[looked], curves.at(looked), reached, churn)


def score_silence(rows: Rows, curves: Curves, churn: Churn) -> npt.NDArray[np.bool_]:
    """Set the band as of each row's `rescore_ms`, and when it will change next; tell which bands changed. In place."""
    silent = rows["rescore_ms"] - rows["newest_ms"]
    now = bands(curves, silent, churn)
    changed: npt.NDArray[np.bool_] = now != rows["band"]
    rows["band"] = now
    rows["silent_s"][changed] = silent[changed] // 1000
    rows["rescore_ms"] = _next_look(rows, curves, silent, churn)
    return changed


def _silent_ms(rows: Rows) -> Ints:
    silent_ms: Ints = rows["silent_s"].astype(np.int64) * 1000
    return silent_ms


def _next_look(rows: Rows, curves: Curves, silent_ms: Ints, churn: Churn) -> Ints:
    """Return when a longer silence than this changes the band, `NEVER` if none does [users]."""
    later = np.broadcast_to(_CANDIDATES_MS, (len(rows), len(_CANDIDATES_MS)))
    moves = (bands(curves, later, churn) != rows["band"][:, None]) & (later > silent_ms[:, None])
    return np.where(moves.any(axis=1), rows["newest_ms"] + _CANDIDATES_MS[moves.argmax(axis=1)], NEVER)

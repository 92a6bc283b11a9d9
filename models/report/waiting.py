"""How long people wait: survival curves against Kaplan and Meier's.

Kaplan, Meier: Nonparametric estimation from incomplete observations, 1958, on a grid of times: in each step those that
came over those that were still waiting and were watched to its end. The predicted curve is made of the same rows: in
each step the mean probability to come of those still waiting. So those who leave the observation early bend neither.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from models.evaluation.bootstrap import Bootstrap, Figure
from models.evaluation.rows import batches, end_of, sequence_of, with_open_ends
from models.log import Log
from models.report.seasons import made_within
from models.state import Floats, Ints

GRID_MS: Ints = np.rint(1000 * 2 ** (np.arange(93) / 4)).astype(np.int64)
"""Ends of the steps: four to a doubling from 1 s to 97 days."""

Survival: TypeAlias = Callable[[Log, Ints, Ints], Floats]
"""`TimeToNext.survival` of one target."""

_LEAST_WAITING = 20
_AT_ONCE = 1 << 12


class Waits(NamedTuple):
    """What is known of some rows' waits, from the row before each; arrays [rows].

    Fields:
        log: up to the end of the observation, with a row for what has not come.
        rows: of this log.
        gap_ms: how long it took, or the whole time of observation.
        came: whether it came.
        watched_ms: until the observation ended.
    """

    log: Log
    rows: Ints
    gap_ms: Ints
    came: npt.NDArray[np.bool_]
    watched_ms: Ints


class Waiting(msgspec.Struct):
    """Two survival curves.

    Fields:
        rows: how many waits.
        came: how many of them ended.
        until_ms: times, as long as enough are waiting.
        still_waiting: rows that each step of the curves is made of.
        observed: share that has not come yet (Kaplan and Meier's).
        predicted: the same as forecast.
    """

    rows: int
    came: int
    until_ms: list[int]
    still_waiting: list[int]
    observed: list[Figure]
    predicted: list[float]


def waits(log: Log, split: str, action: str | None = None) -> Waits:
    """Return the waits that began since a split began.

    Args:
        log: with times and splits.
        split: whose rows.
        action: what is waited for; by default any event.
    """
    end_ms = end_of(log, split)
    ended, rows, opened = with_open_ends(log, split)
    wanted = np.ones(len(ended.item), bool)
    if action is not None:
        wanted = ended.action == (log.actions.index(action) if action in log.actions else -1)
    wanted[rows[opened]] = False
    rows = rows[made_within(ended, rows, split)]
    place = np.where(wanted, np.arange(len(wanted)), len(wanted))
    following = np.minimum.accumulate(place[::-1])[::-1][rows]
    sequence_ends = np.append(ended.first[1:], len(wanted))[sequence_of(ended)[rows]]
    came = following < sequence_ends
    began_ms = ended.ts_ms[rows - 1]
    watched = end_ms - began_ms
    gap = np.where(came, ended.ts_ms[np.minimum(following, len(wanted) - 1)] - began_ms, watched)
    return Waits(ended, rows, gap, came, watched)


def waiting(
    observed: Waits,
    survival: Survival,
    *,
    replicates: int = 200,
    seed: int = 0,
    report: Callable[[int], None] = lambda _: None,
) -> Waiting:
    """Return both curves, as far as 20 rows are waiting.

    Args:
        observed: the waits.
        survival: P(the same target comes later than horizons) of a log's rows.
        replicates: draws of the bootstrap over sequences.
        seed: of these draws.
        report: told how many rows are done.
    """
    step = np.searchsorted(GRID_MS, observed.gap_ms, side="left")
    watched = np.searchsorted(GRID_MS, observed.watched_ms, side="right") - 1  # the last step that is watched whole
    ends = observed.came & (step <= watched)
    last = np.where(ends, step, np.minimum(watched, len(GRID_MS) - 1))
    draws = Bootstrap(sequence_of(observed.log)[observed.rows], replicates, seed)

    def curve(weights: Floats) -> Floats:
        each = weights[draws.place]
        return np.cumprod(1 - np.bincount(last[ends], each[ends], len(GRID_MS)) / _reached(last, each))

    at_risk = _reached(last, np.ones(len(last)))
    steps = int(np.argmax(np.append(at_risk, 0) < _LEAST_WAITING))
    hazards, done = np.zeros(len(GRID_MS)), 0
    for rows in batches(observed.rows, _AT_ONCE):
        part = slice(done, done := done + len(rows))
        said = survival(observed.log, rows, GRID_MS).astype(np.float64)
        before = np.concatenate([np.ones((len(rows), 1)), said[:, :-1]], axis=1)
        hazard = 1 - np.divide(said, before, out=np.zeros_like(said), where=before > 0)
        hazards += (hazard * (np.arange(len(GRID_MS)) <= last[part, None])).sum(0)
        report(done)
    return Waiting(
        rows=len(last),
        came=int(ends.sum()),
        until_ms=GRID_MS[:steps].tolist(),
        still_waiting=at_risk[:steps].astype(int).tolist(),
        observed=draws.figures(curve)[:steps] if steps else [],
        predicted=np.cumprod(1 - hazards[:steps] / at_risk[:steps]).tolist(),
    )


def _reached(last: Ints, weights: Floats) -> Floats:
    """Return the weight of the rows that each step has [steps]."""
    ending = np.bincount(last + 1, weights, len(GRID_MS) + 1).astype(np.float64)
    reached: Floats = ending[::-1].cumsum()[::-1][1:]
    return reached

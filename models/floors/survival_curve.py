"""Survival curves: how long it took until the next event, for everyone or for rows that share something.

The life table (Kaplan, Meier: Nonparametric estimation from incomplete observations, 1958, on the bins of `features`):
in each bin the events over those still waiting, at a constant rate inside a bin.
"""

from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from models.evaluation.rows import sequence_of, starts
from models.features import NO_GAP, TIME_BINS, gap_code
from models.log import Log
from models.state import Floats, Ints
from models.survival import Curves, widths_passed

Group: TypeAlias = Literal["none", "action", "gap"]

_WEIGHT = 20.0
"""A group's hazards count the curve of everyone as so many rows more."""


class SurvivalCurve:
    """One curve for each group of rows.

    What the rows learned from say of the time after their last one in a sequence is that nothing came until the newest
    of them.

    Args:
        log: of events, with times.
        rows: which of them to learn from.
        group: what the rows of a curve share: nothing, the last action, or the time bin of the last gap.
    """

    def __init__(self, log: Log, rows: Ints, group: Group) -> None:
        self._group: Group = group
        followed = rows[rows > starts(log)[rows]]
        last = rows[np.append(np.diff(sequence_of(log)[rows]) > 0, [True] * min(len(rows), 1))]
        gap = np.concatenate([log.ts_ms[followed] - log.ts_ms[followed - 1], log.ts_ms[rows].max() - log.ts_ms[last]])
        came = np.arange(len(gap)) < len(followed)
        codes = self._codes(log, np.concatenate([followed, last + 1]))
        width = max(len(log.actions), NO_GAP + 1)
        bin_ = gap_code(gap)
        passed = widths_passed(bin_, gap)
        waited = np.where(came, np.floor(passed) + 1, passed)
        self._hazards = life_table(codes, width, bin_, waited, came)

    def survival(self, log: Log, rows: Ints, horizons_ms: Ints, silent_ms: Ints | None = None) -> Floats:
        """Return P(the target comes later than the horizon, given the silence until now) [rows, horizons]."""
        silent = np.zeros(len(rows), np.int64) if silent_ms is None else silent_ms
        curves = Curves(self._hazards[:, None]).at(self._codes(log, rows))
        return curves.silence(0, np.repeat(silent[:, None], len(horizons_ms), axis=1), horizons_ms)

    def _codes(self, log: Log, rows: Ints) -> Ints:
        """Return the group of each target, from the rows before it [rows]."""
        if self._group == "none":
            return np.zeros(len(rows), np.int64)
        if self._group == "action":
            return log.action[rows - 1]
        before = log.ts_ms[rows - 1] - log.ts_ms[np.maximum(rows - 2, 0)]
        first = log.first[np.searchsorted(log.first, rows - 1, side="right") - 1]
        return gap_code(np.where(rows - 2 >= first, before, -1))


def life_table(group: Ints, groups: int, bin_: Ints, waited: Floats, came: npt.NDArray[np.bool_]) -> Floats:
    """Return the hazard of each bin in each group, drawn towards everyone's [groups, TIME_BINS].

    Args:
        group: of each time [n].
        groups: how many there are.
        bin_: in which the event came or the observation ended [n].
        waited: in that bin, in widths of it [n].
        came: whether the event came [n].
    """
    cell, shape = group * TIME_BINS + bin_, (groups, TIME_BINS)
    events = np.bincount(cell, came, groups * TIME_BINS).reshape(shape)
    reached = np.bincount(cell, minlength=groups * TIME_BINS).reshape(shape)
    waiting = np.bincount(cell, waited, groups * TIME_BINS).reshape(shape)
    waiting[:, :-1] += reached[:, ::-1].cumsum(1)[:, ::-1][:, 1:]
    everyone = (events.sum(0) + 0.5) / (waiting.sum(0) + 1)
    hazards: Floats = np.minimum((events + _WEIGHT * everyone) / (waiting + _WEIGHT), 1 - 1e-9)
    return hazards

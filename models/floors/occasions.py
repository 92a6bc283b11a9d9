"""What a log says of each sequence up to a moment: how often, when last, since when. Days, as BG/NBD counts them."""

from typing import NamedTuple

import numpy as np

from models.evaluation.rows import moments, sequence_of
from models.log import Log
from models.state import Floats, Ints

DAY_MS = 86_400_000


class Occasions(NamedTuple):
    """Of each sequence with a row before the moment, in the log's order; arrays [sequences].

    An occasion is a day on which anything happened: what is bought together is one decision.

    Fields:
        again: number of occasions after the first one.
        last: days from the first to the last occasion.
        age: days from the first occasion to the moment.
        events: number of times at which anything happened.
    """

    again: Ints
    last: Floats
    age: Floats
    events: Ints


def occasions(log: Log, rows: Ints, at_ms: int) -> tuple[Ints, Occasions]:
    """Return which sequences have one of the rows before a moment, and what is known of them then.

    Args:
        log: with times.
        rows: those to look at.
        at_ms: the moment; days are counted back from it.
    """
    before = rows[log.ts_ms[rows] < at_ms]
    sequence = sequence_of(log)[before]
    day = -((at_ms - log.ts_ms[before] - 1) // DAY_MS)  # 0: the day before the moment
    there = np.flatnonzero(np.diff(sequence, prepend=-1))
    fresh = (np.diff(sequence, prepend=-1) != 0) | (np.diff(day, prepend=0) != 0)
    ends = np.append(there[1:], len(before))
    days = np.add.reduceat(fresh, there) if len(there) else np.zeros(0, np.int64)
    first, last = day[there].astype(np.float64), day[ends - 1].astype(np.float64)
    times = np.add.reduceat(moments(log)[before], there) if len(there) else np.zeros(0, np.int64)
    return sequence[there], Occasions(days - 1, last - first, 1 - first, times)


def counts_ahead(log: Log, rows: Ints, at_ms: int, horizon_ms: int) -> Ints:
    """Return at how many times each sequence has one of the rows in [at, at + horizon) [all sequences]."""
    ahead = rows[moments(log)[rows] & (log.ts_ms[rows] >= at_ms) & (log.ts_ms[rows] < at_ms + horizon_ms)]
    return np.bincount(sequence_of(log)[ahead], minlength=len(log.first))

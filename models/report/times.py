"""When something comes: figures beside floors, survival curves, calibration at horizons."""

from collections.abc import Sequence
from functools import partial

import msgspec
import numpy as np

from models.evaluation.bootstrap import Bootstrap
from models.evaluation.predictor import TimesToNext, TimeToNext
from models.evaluation.result import Report
from models.evaluation.rows import batches, sequence_of
from models.evaluation.time_to_next import time_to_next
from models.floors.catalogue import TIME_TO_NEXT
from models.log import Log
from models.report.asked import Asked, Counting, unseen
from models.report.reliability import Reliability, reliability
from models.report.table import beside_floors
from models.report.waiting import Survival, Waiting, Waits, waiting, waits
from models.state import Floats

ANY = "any"
"""The target "any event"."""

HORIZONS_MS = {"1 hour": 3_600_000, "1 day": 86_400_000, "7 days": 604_800_000}

_AT_ONCE = 1 << 12
_LEAST_ROWS = 50


class Times(msgspec.Struct):
    """What was said of when something comes.

    Fields:
        table: the model beside the floors, for the next event.
        waiting: survival curves by target.
        reliability: of P(it comes within a horizon), by target and horizon, of waits that were watched for so long.
    """

    table: Report
    waiting: dict[str, Waiting]
    reliability: dict[str, dict[str, Reliability]]


def times(log: Log, model: TimesToNext, targets: Sequence[str], asked: Asked, counting: Counting = unseen) -> Times:
    """Score the times.

    Args:
        log: with times.
        model: what the report is about.
        targets: what it can be asked to wait for, `ANY` first, then actions.
        asked: how to score.
        counting: shows the progress.

    Raises:
        NothingToScoreError: no row of the split has a row before it.
    """
    first: TimeToNext = model
    table = beside_floors("time to next", time_to_next, TIME_TO_NEXT, log, first, asked, counting)
    made = Times(table, {}, {})
    for number, target in enumerate(targets):
        survival = partial(model.survival, target=number)
        observed = waits(log, asked.split, None if target == ANY else target)
        if not observed.came.any():
            continue
        with counting(f"waiting for {target}", len(observed.rows)) as report:
            made.waiting[target] = waiting(
                observed, survival, replicates=asked.replicates, seed=asked.seed, report=report
            )
        made.reliability[target] = _within(observed, survival, asked)
    return made


def _within(observed: Waits, survival: Survival, asked: Asked) -> dict[str, Reliability]:
    """Return the diagram of each horizon that enough waits were watched for."""
    horizons = np.array(list(HORIZONS_MS.values()))
    said: Floats = np.concatenate(
        [1 - survival(observed.log, rows, horizons) for rows in batches(observed.rows, _AT_ONCE)]
    )
    sequence, made = sequence_of(observed.log)[observed.rows], {}
    for k, (name, horizon_ms) in enumerate(HORIZONS_MS.items()):
        rows = np.flatnonzero(observed.watched_ms >= horizon_ms)
        came = (observed.came & (observed.gap_ms <= horizon_ms))[rows].astype(np.float64)
        if len(rows) >= _LEAST_ROWS and 0 < came.sum() < len(rows):
            draws = Bootstrap(sequence[rows], asked.replicates, asked.seed)
            made[name] = reliability(draws, said[rows, k].astype(np.float64), came)
    return made

"""When something comes: figures beside floors, survival curves, calibration at horizons."""

from collections.abc import Mapping

import msgspec
import numpy as np

from models.evaluation.bootstrap import Bootstrap
from models.evaluation.predictor import TimeToNext
from models.evaluation.result import Report
from models.evaluation.rows import batches, known_rows, scored_rows, sequence_of
from models.evaluation.time_to_next import time_to_next
from models.floors.catalogue import TIME_TO_NEXT
from models.log import Log
from models.report.asked import MODEL, Asked, Counting, unseen
from models.report.reliability import Reliability, reliability
from models.report.waiting import Waiting, Waits, waiting, waits
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


def times(log: Log, targets: Mapping[str, TimeToNext], asked: Asked, counting: Counting = unseen) -> Times:
    """Score the times.

    Args:
        log: with times.
        targets: the model's predictors by what is waited for: `ANY`, or an action.
        asked: how to score.
        counting: shows the progress.

    Raises:
        NothingToScoreError: no row of the split has a row before it.
    """
    known = known_rows(log, asked.split)
    floors = {name: floor(log, known) for name, floor in TIME_TO_NEXT.items()}
    with counting("time to next", len(scored_rows(log, asked.split)) * (len(floors) + 1)) as report:
        table = time_to_next(
            log,
            floors | {MODEL: targets[ANY]},
            split=asked.split,
            replicates=asked.replicates,
            seed=asked.seed,
            report=report,
        )
    made = Times(table, {}, {})
    for target, predictor in targets.items():
        observed = waits(log, asked.split, None if target == ANY else target)
        if not observed.came.any():
            continue
        with counting(f"waiting for {target}", len(observed.rows)) as report:
            made.waiting[target] = waiting(
                observed, predictor, replicates=asked.replicates, seed=asked.seed, report=report
            )
        made.reliability[target] = _within(observed, predictor, asked)
    return made


def _within(observed: Waits, predictor: TimeToNext, asked: Asked) -> dict[str, Reliability]:
    """Return the diagram of each horizon that enough waits were watched for."""
    horizons = np.array(list(HORIZONS_MS.values()))
    said: Floats = np.concatenate(
        [1 - predictor.survival(observed.log, rows, horizons) for rows in batches(observed.rows, _AT_ONCE)]
    )
    sequence, made = sequence_of(observed.log)[observed.rows], {}
    for k, (name, horizon_ms) in enumerate(HORIZONS_MS.items()):
        rows = np.flatnonzero(observed.watched_ms >= horizon_ms)
        came = (observed.came & (observed.gap_ms <= horizon_ms))[rows].astype(np.float64)
        if len(rows) >= _LEAST_ROWS and 0 < came.sum() < len(rows):
            draws = Bootstrap(sequence[rows], asked.replicates, asked.seed)
            made[name] = reliability(draws, said[rows, k].astype(np.float64), came)
    return made

"""The next action: figures beside floors, curves, calibration, season and trend, by what was known of the user."""

import msgspec
import numpy as np

from models.evaluation.binary import log_losses
from models.evaluation.bootstrap import Bootstrap
from models.evaluation.next_action import next_action
from models.evaluation.predictor import NextAction
from models.evaluation.result import Report
from models.evaluation.rows import known_rows, scored_rows, sequence_of
from models.floors.catalogue import NEXT_ACTION
from models.log import Log
from models.report.asked import MODEL, Asked, Counting, unseen
from models.report.forecasts import probabilities
from models.report.groups import Groups, by_group
from models.report.reliability import Reliability, reliability
from models.report.seasons import Season, days, hours, made_within
from models.report.slices import HISTORIES, history
from models.report.thresholds import Thresholds, thresholds

_FLOORS = ("prior", "Markov-1")
_HOUR_MS = 3_600_000


class Actions(msgspec.Struct):
    """What was said of the next action.

    Fields:
        table: the model beside the floors.
        thresholds, reliability: of the model, by action; only of actions that came in some rows and not in others.
        log_loss_by_history: of the model and of some floors, by events before the row.
        hours, days: season and trend; none without times.
    """

    table: Report
    thresholds: dict[str, Thresholds]
    reliability: dict[str, Reliability]
    log_loss_by_history: Groups
    hours: Season | None = None
    days: Season | None = None


def actions(log: Log, model: NextAction, asked: Asked, counting: Counting = unseen) -> Actions:
    """Score the next action.

    Raises:
        NothingToScoreError: no row of the split has a row before it.
    """
    rows, known = scored_rows(log, asked.split), known_rows(log, asked.split)
    floors = {name: floor(log, known) for name, floor in NEXT_ACTION.items()}
    with counting("next action", len(rows) * (len(floors) + 1)) as report:
        table = next_action(
            log,
            floors | {MODEL: model},
            split=asked.split,
            replicates=asked.replicates,
            seed=asked.seed,
            report=report,
        )
    draws = Bootstrap(sequence_of(log)[rows], asked.replicates, asked.seed)
    said = {name: probabilities(log, rows, floors[name]) for name in _FLOORS}
    mine = said[MODEL] = probabilities(log, rows, model)
    came = log.action[rows]
    losses = {name: log_losses(some[np.arange(len(rows)), came]) for name, some in said.items()}
    made = Actions(table, {}, {}, by_group(draws, history(log, rows), HISTORIES, losses))
    for k, action in enumerate(log.actions):
        it_came = (came == k).astype(np.float64)
        if 0 < it_came.sum() < len(rows):
            area = table.predictors[MODEL].parts[action]
            made.thresholds[action] = thresholds(mine[:, k], it_came, area["roc_auc"], area["average_precision"])
            made.reliability[action] = reliability(draws, mine[:, k], it_came)
    within = made_within(log, rows, asked.split) if log.timed else rows[:0]
    if len(within):
        made_ms = log.ts_ms[rows[within] - 1] + asked.utc_offset_h * _HOUR_MS
        made.hours = hours(draws.at(within), made_ms, mine[within], came[within], log.actions)
        made.days = days(draws.at(within), made_ms, mine[within], came[within], log.actions)
    return made

"""The next action: figures beside floors, curves, calibration, season and trend, by what was known of the user."""

import msgspec
import numpy as np

from models.evaluation.binary import log_losses
from models.evaluation.bootstrap import Bootstrap
from models.evaluation.next_action import next_action
from models.evaluation.predictor import NextAction
from models.evaluation.result import Report
from models.evaluation.rows import scored_rows, sequence_of
from models.floors.catalogue import NEXT_ACTION
from models.log import Log
from models.report.asked import MODEL, Asked, Counting, unseen
from models.report.groups import Groups, by_group
from models.report.reliability import Reliability, reliability
from models.report.seasons import Season, days, hours, made_within
from models.report.slices import HISTORIES, history
from models.report.table import beside_floors
from models.report.thresholds import Thresholds, thresholds
from models.state import Floats

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
    said: dict[str, Floats] = {}
    table = beside_floors("next action", next_action, NEXT_ACTION, log, model, asked, counting, tell=said.__setitem__)
    rows = scored_rows(log, asked.split)
    draws = Bootstrap(sequence_of(log)[rows], asked.replicates, asked.seed)
    came, mine = log.action[rows], said[MODEL]
    losses = {name: log_losses(said[name][np.arange(len(rows)), came]) for name in (*_FLOORS, MODEL)}
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

"""Predicted against observed next actions by hour of the day and by day: seasonality and trend.

Rows are put together by when the forecast was made, which is all that a predictor can know: among rows that share
the time of what came, even true probabilities would look wrong.
"""

from datetime import UTC, datetime

import msgspec
import numpy as np

from models.evaluation.bootstrap import Bootstrap
from models.evaluation.rows import start_of
from models.log import Log
from models.report.groups import Groups, by_group
from models.state import Floats, Ints

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
_MOST_DAYS = 62


class Season(msgspec.Struct):
    """Shares of the next actions in groups of rows.

    Fields:
        days: length of a group; 0: an hour of the day.
        predicted: mean probability by action.
        observed: share that came by action.
    """

    days: int
    predicted: Groups
    observed: Groups


def made_within(log: Log, rows: Ints, split: str) -> Ints:
    """Return which rows' forecasts were made since the split began, as places among the rows.

    An older one has been picked for having been silent until then.
    """
    return np.flatnonzero(log.ts_ms[rows - 1] >= start_of(log, split))


def hours(draws: Bootstrap, made_ms: Ints, probabilities: Floats, came: Ints, actions: tuple[str, ...]) -> Season:
    """Return the season of the day.

    Args:
        draws: of the rows' sequences.
        made_ms: when each forecast was made, by the shop's clock [rows].
        probabilities: of the next action [rows, actions].
        came: code of the action that came [rows].
        actions: names.
    """
    labels = [f"{hour:02d}" for hour in range(24)]
    return _season(draws, 0, made_ms % _DAY_MS // _HOUR_MS, labels, probabilities, came, actions)


def days(draws: Bootstrap, made_ms: Ints, probabilities: Floats, came: Ints, actions: tuple[str, ...]) -> Season:
    """Return the trend: by day, or by so many days that at most 62 groups come of it; a group is named by its first."""
    day = made_ms // _DAY_MS
    first = int(day.min())
    length = (int(day.max()) - first) // _MOST_DAYS + 1
    group = (day - first) // length
    starts_s = [(first + k * length) * _DAY_MS / 1000 for k in range(int(group.max()) + 1)]
    labels = [datetime.fromtimestamp(start_s, UTC).date().isoformat() for start_s in starts_s]
    return _season(draws, length, group, labels, probabilities, came, actions)


def _season(
    draws: Bootstrap,
    length: int,
    group: Ints,
    labels: list[str],
    probabilities: Floats,
    came: Ints,
    actions: tuple[str, ...],
) -> Season:
    predicted = {action: probabilities[:, k] for k, action in enumerate(actions)}
    observed = {action: (came == k).astype(np.float64) for k, action in enumerate(actions)}
    return Season(length, by_group(draws, group, labels, predicted), by_group(draws, group, labels, observed))

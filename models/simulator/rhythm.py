"""The weekly rhythm in which sessions start: a factor an hour of the week, its integral and the inverse of that.

Waiting times are drawn by inversion of the integral (Devroye, Non-Uniform Random Variate Generation, 1986, section
VI.1.3); thinning (Lewis and Shedler, 1979) would give the same process with more random numbers.
"""

import numpy as np

from models.features import HOURS_OF_WEEK
from models.state import Floats, Ints

HOUR_MS = 3_600_000
_PEAK_HOUR = 20
_SWING = 0.85
_WEEKEND = 1.4
_WEEKEND_DAYS = (2, 3)  # hour 0 of the week is Thursday midnight


def _factors() -> Floats:
    hour = np.arange(HOURS_OF_WEEK)
    day = 1 + _SWING * np.cos(2 * np.pi * (hour % 24 + 0.5 - _PEAK_HOUR) / 24)
    raw = day * np.where(np.isin(hour // 24, _WEEKEND_DAYS), _WEEKEND, 1.0)
    return np.asarray(raw / raw.mean())


FACTORS = _factors()
"""Activity in each hour of the week (`models.features.hour_of_week` at UTC), relative to the mean [HOURS_OF_WEEK]."""

_PASSED = np.concatenate([[0.0], np.cumsum(FACTORS)])
_HOURS = np.arange(HOURS_OF_WEEK + 1, dtype=float)


def activity(ts_ms: Ints) -> Floats:
    """Return the integral of the rhythm from time 0 to each time, in mean hours: a week adds 168.

    >>> round(float(activity(np.array(2 * 168 * HOUR_MS))), 9)
    336.0
    """
    weeks, rest_ms = np.divmod(ts_ms, HOURS_OF_WEEK * HOUR_MS)
    return np.asarray(weeks * HOURS_OF_WEEK + np.interp(rest_ms / HOUR_MS, _HOURS, _PASSED))


def when(mean_hours: float) -> float:
    """Return the time in ms at which `activity` reaches a value; exact to a microsecond in this century.

    >>> round(when(float(activity(np.array(1_750_000_000_123)))), 2)
    1750000000123.0
    """
    weeks, rest = divmod(mean_hours, HOURS_OF_WEEK)
    return (weeks * HOURS_OF_WEEK + float(np.interp(rest, _PASSED, _HOURS))) * HOUR_MS

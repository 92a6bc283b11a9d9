"""What the training data looked like, and how far live events have moved away from it."""

from typing import TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from models.features import TIME_BINS, gap_code
from models.state import Floats, Ints

DAY_HOURS = 24
_HALF = 0.5  # added to each count, so that a share of 0 has a logarithm

Bools: TypeAlias = npt.NDArray[np.bool_]


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of the training data's events: what live ones are held against."""

    action: tuple[int, ...]  # events by action
    gap: tuple[int, ...]  # time between two events of a user, by time bin
    hour: tuple[int, ...]  # events by hour of the day at the shop
    known_item: tuple[int, ...]  # events whose item the model does not know, and those whose item it does
    next_action: tuple[int, ...]  # actions that came next before their user would have counted as gone


def reference(
    action: Ints, ts_ms: Ints, begins: Bools, known: Bools, *, actions: int, utc_offset_h: int, leave_after_ms: int
) -> Reference:
    """Return the counts of the events of sequences, one sequence after another, each in order of time.

    Args:
        action: code of the action [events].
        ts_ms: time [events].
        begins: whether nothing is known of what the user did before [events].
        known: whether the model knows the item [events].
        actions: number of actions.
        utc_offset_h: hours from UTC to the shop's time.
        leave_after_ms: silence after which a user counts as gone.

    >>> two = np.array([1, 0]), np.array([0, 1500]), np.array([True, False]), np.array([True, True])
    >>> made = reference(*two, actions=2, utc_offset_h=0, leave_after_ms=2000)
    >>> made.action, made.gap[:3], made.known_item, made.next_action
    ((1, 1), (0, 1, 0), (0, 2), (1, 0))
    """
    follows = np.flatnonzero(~begins)
    gap_ms = ts_ms[follows] - ts_ms[follows - 1]
    hour = (ts_ms // 3_600_000 + utc_offset_h) % DAY_HOURS
    return Reference(
        action=_counts(action, actions),
        gap=_counts(gap_code(gap_ms), TIME_BINS),
        hour=_counts(hour, DAY_HOURS),
        known_item=_counts(known.astype(np.int64), 2),
        next_action=_counts(action[follows][gap_ms <= leave_after_ms], actions),
    )


def stability_index(expected: Floats | Ints, found: Floats | Ints) -> float:
    """Return the population stability index of counts against other counts [bins], 0: the same shares.

    The sum over the bins of (p - q) ln(p / q): the two relative entropies added up. Source: B. Yurdakul, Statistical
    Properties of Population Stability Index, 2018. By custom under 0.1 is stable and above 0.25 has shifted.

    >>> round(stability_index(np.array([50, 50]), np.array([500, 500])), 9)
    0.0
    >>> round(stability_index(np.array([5e6, 5e6]), np.array([9e6, 1e6])), 3)  # .4 ln 1.8 - .4 ln .2
    0.879
    """
    p, q = shares(found), shares(expected)
    return float(((p - q) * np.log(p / q)).sum())


def shares(counts: Floats | Ints) -> Floats:
    """Return the share of each count, none of them 0 [bins]."""
    held = np.asarray(counts, np.float64) + _HALF
    divided: Floats = held / held.sum()
    return divided


def _counts(codes: Ints, least: int) -> tuple[int, ...]:
    return tuple(np.bincount(codes, minlength=least).tolist())

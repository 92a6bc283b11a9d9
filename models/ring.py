"""The ring of a user's last events, one event after another: its place, what leaves the ring, what is to be walked.

Writes `applied`, `accepted`, `late`, `base_ms`, `ring_*`, `older_*`, `model` of a row, and `base` of another model's.
"""

from enum import IntEnum
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from models.compiled import compiled
from models.older_items import leave
from models.state import ACTION_SHIFT, ACTIONS, RING, Ints, Rows

_LOW_BITS = 32
_Event: TypeAlias = tuple[Any, Any, Any, Any, Any]  # ts_ms, action, id, item: what it is sorted by; context
_Number: TypeAlias = int | np.int64  # of an event in its user's history


class Fate(IntEnum):
    """What becomes of an event; the windows count it from `LATE` on, the ring takes it from `REORDERED` on."""

    REDELIVERED = 0
    DUPLICATE = 1
    LATE = 2
    REORDERED = 3
    APPENDED = 4


@compiled
def arrange(
    rows: Rows, tag: int, row: Ints, action: Ints, offset: Ints, ts_ms: Ints, item: Ints, id_: Ints, context: Ints
) -> tuple[Ints, Ints, Ints, Ints, Ints, npt.NDArray[np.bool_]]:
    """Put events in their places in the rings, in order of arrival; tell what became of each, and which steps to walk.

    Returns:
        the fate of each event; the steps of the events that left the rings (the columns of `Steps` [5, steps]), and
        how many of them `base` walks [users]; the steps that `now` walks, and how many [users]; whether it starts
        anew from `base` [users].
    """
    order, start = _by_user(len(rows), row, action)
    fate = np.empty(len(row), np.int64)
    leaving, left = np.empty((5, len(row)), np.int64), 0
    to_base, to_now = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
    from_base = np.zeros(len(rows), np.bool_)
    for user in range(len(rows)):
        mine = rows[user]
        added = 0
        for k in order[start[user] : start[user + 1]]:
            if offset[k] <= mine["applied"][action[k]]:
                fate[k] = Fate.REDELIVERED
                continue
            mine["applied"][action[k]] = offset[k]
            before_ms = mine["base_ms"]
            fate[k], gone = _insert(mine, (ts_ms[k], action[k], id_[k], item[k], context[k]))
            if fate[k] >= Fate.REORDERED:
                added += 1
                from_base[user] |= fate[k] == Fate.REORDERED
            if gone[0] >= 0:
                leave(mine, gone[3])
                _write_step(leaving, left, gone, before_ms)
                left += 1
                to_base[user] += 1
        if mine["model"] != tag and mine["accepted"] > 0:
            mine["model"] = tag
            mine["base"][:] = 0
            from_base[user] = True
        if added >= RING:
            from_base[user] = True  # no step more than from `now`
        oldest, end = _numbers(mine)
        to_now[user] = end - oldest if from_base[user] else added
    ring, step = np.empty((5, to_now.sum()), np.int64), 0
    for user in range(len(rows)):
        mine = rows[user]
        oldest, end = _numbers(mine)
        for number in range(end - to_now[user], end):
            before_ms = _event(mine, number - 1)[0] if number > oldest else mine["base_ms"]
            _write_step(ring, step, _event(mine, number), before_ms)
            step += 1
    return fate, leaving[:, :left], to_base, ring, to_now, from_base


@compiled
def _by_user(users: int, row: Ints, action: Ints) -> tuple[Ints, Ints]:
    """Return the events by user, those of each in order of arrival, and where each user's begin."""
    start = np.zeros(users + 1, np.int64)
    for k in range(len(row)):
        if not (0 <= row[k] < users and 0 <= action[k] < len(ACTIONS)):
            raise ValueError("no such row or action")
        start[row[k] + 1] += 1
    start = np.cumsum(start)
    order, at = np.empty(len(row), np.int64), start.copy()
    for k in range(len(row)):
        order[at[row[k]]] = k
        at[row[k]] += 1
    return order, start


@compiled
def _insert(mine: np.void, event: _Event) -> tuple[int, _Event]:
    """Put an event in its place in a ring; return its fate, and what left the ring for it: time -1 if nothing did."""
    oldest, end = _numbers(mine)
    nothing = (-1, 0, 0, 0, 0)
    place = end  # the number of the event in the user's history
    while place > oldest:
        there = _event(mine, place - 1)
        if there[:4] == event[:4]:
            return Fate.DUPLICATE, nothing
        if there[:4] < event[:4]:
            break
        place -= 1
    if place == oldest and event[0] <= mine["base_ms"]:
        mine["late"] += 1
        return Fate.LATE, nothing
    fate = Fate.APPENDED if place == end else Fate.REORDERED
    gone = nothing
    if end - oldest == RING:
        gone = _event(mine, oldest)
        if place == oldest:
            gone, event, place = event, gone, oldest + 1
        mine["base_ms"] = gone[0]
    for number in range(end, place, -1):
        _write(mine, number, _event(mine, number - 1))
    _write(mine, place, event)
    mine["accepted"] += 1
    return fate, gone


@compiled
def _numbers(mine: np.void) -> tuple[int, int]:
    """Return the number of the oldest event of a ring, and of the user's next one."""
    end = int(np.int64(mine["accepted"]))
    return max(end - RING, 0), end


@compiled
def _event(mine: np.void, number: _Number) -> _Event:
    """Return an event of a ring by its number in the user's history."""
    slot = number % RING
    high = np.int64(mine["ring_high"][slot])
    ts_ms = np.int64(mine["ring_ts_low"][slot]) | (high & (1 << ACTION_SHIFT) - 1) << _LOW_BITS
    id_, item = np.int64(mine["ring_id"][slot]), np.int64(mine["ring_item"][slot])
    return ts_ms, high >> ACTION_SHIFT, id_, item, np.int64(mine["ring_context"][slot])


@compiled
def _write(mine: np.void, number: _Number, event: _Event) -> None:
    slot = number % RING
    ts_ms, action, id_, item, context = event
    mine["ring_ts_low"][slot] = ts_ms & (1 << _LOW_BITS) - 1
    mine["ring_high"][slot] = ts_ms >> _LOW_BITS | action << ACTION_SHIFT
    mine["ring_id"][slot], mine["ring_item"][slot], mine["ring_context"][slot] = id_, item, context


@compiled
def _write_step(steps: Ints, step: int, event: _Event, before_ms: int) -> None:
    """Write a column of `Steps`."""
    ts_ms, action, _, item, context = event
    steps[0, step], steps[1, step], steps[2, step] = item, action, ts_ms
    steps[3, step], steps[4, step] = before_ms, context

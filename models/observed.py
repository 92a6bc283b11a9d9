"""What a chunk of events tells of its inputs, and of what was predicted before them.

Scoring is prequential: the state of a user before an event says what comes next, and is held against what came
(A. P. Dawid, Statistical theory: the prequential approach, 1984). Only which action came is scored, given that one came
before the user would have counted as gone: who never comes back is never scored, so "leave" would seem too likely. A
user's first event in the chunk is scored alone, as no prediction was published between the others.
"""

from typing import NamedTuple

import numpy as np

from models.compiled import compiled
from models.features import TIME_BINS, gap_bin
from models.history import Events
from models.latest import codes
from models.predictor import Predictor
from models.recurrence import States
from models.reference import DAY_HOURS
from models.state import ACTIONS, Floats, Ints, Rows
from models.windows import bins

SAMPLE = 64
"""Users of a chunk that are looked at, at most: all events are counted where it says so, the rest is of these users."""

DELAY_EDGES_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 21_600.0, 86_400.0)
"""Upper edges of the bins of the delay from an event to its record."""

BACKFILL_MS = 3_600_000
"""A record older than this comes from a backlog or a replay: its delay tells nothing of today's producers."""

CONFIDENCE_BINS = 5
BANDS = 3

OBSERVED = np.dtype(
    [
        ("conflated", "<f8"),  # events that share their answer with another of their user
        ("unknown", "<f8", len(ACTIONS)),  # events with an item that the model does not know, by action
        ("delay", "<f8", len(DELAY_EDGES_S) + 1),  # events by the delay of their record, of records that are not old
        ("delay_s", "<f8"),  # sum of these delays
        ("looked_at", "<f8"),  # sampled events; the next four are of them
        ("action", "<f8", len(ACTIONS)),
        ("gap", "<f8", TIME_BINS),
        ("hour", "<f8", DAY_HOURS),
        ("known_item", "<f8", 2),
        ("scored", "<f8"),  # predictions that were scored; up to `correct` all are of them
        ("loss", "<f8"),  # sum of -ln P(the action that came)
        ("predicted", "<f8", len(ACTIONS)),  # sums of the probabilities
        ("came", "<f8", len(ACTIONS)),
        ("confident", "<f8", CONFIDENCE_BINS),  # by the largest probability: number,
        ("confidence", "<f8", CONFIDENCE_BINS),  # sum,
        ("correct", "<f8", CONFIDENCE_BINS),  # and how often that action came
        ("changed", "<f8", BANDS),  # users whose churn band changed, by the new one
    ]
)
"""What is counted of a chunk; all numbers, so that chunks add up."""

_DELAY_EDGES_MS = np.array([1000 * edge for edge in DELAY_EDGES_S])
_CONFIDENCE_EDGES = np.arange(1, CONFIDENCE_BINS) / CONFIDENCE_BINS
_HOUR_MS = 3_600_000
_LEAST = 1e-12


class Sample(NamedTuple):
    """Users of a chunk whose next action had been predicted, as they were before it.

    Fields:
        states: recurrent states [n, HIDDEN].
        window_bins: `windows.bins` [n, FEATURES].
        latest: `latest.codes` [n, codes].
        action: code of the action that came [n].
        newest_ms: newest time of the chunk's events.
    """

    states: States
    window_bins: Ints
    latest: Ints
    action: Ints
    newest_ms: int


def look(rows: Rows, events: Events, arrived_ms: Ints, model: Predictor, now_ms: int, observed: Rows) -> Sample:
    """Count what the events of a chunk are like, and return whose predictions they answer.

    Args:
        rows: of the users, before the events [users].
        events: of the chunk.
        arrived_ms: time of each event's record [events].
        model: what predicted.
        now_ms: the present.
        observed: `OBSERVED` [1], added to.
    """
    stride = -(-len(rows) // SAMPLE)
    users, actions = np.empty(SAMPLE, np.int64), np.empty(SAMPLE, np.int64)
    count, newest_ms = _look(
        rows,
        events.row,
        events.action,
        events.offset,
        events.ts_ms,
        model.item_rows(events.item),
        np.ascontiguousarray(arrived_ms, np.int64),
        model.tag,
        now_ms,
        model.card.leave_after_ms,
        model.card.utc_offset_h,
        stride,
        int(events.offset[0]) % stride,
        observed,
        users,
        actions,
    )
    users = users[:count]
    before = rows[users]
    return Sample(before["now"], bins(before), codes(before, len(ACTIONS)), actions[:count], newest_ms)


@compiled
def _look(
    rows: Rows,
    row: Ints,
    action: Ints,
    offset: Ints,
    ts_ms: Ints,
    item_row: Ints,
    arrived_ms: Ints,
    tag: int,
    now_ms: int,
    leave_after_ms: int,
    utc_offset_h: int,
    stride: int,
    first: int,
    observed: Rows,
    users: Ints,
    actions: Ints,
) -> tuple[int, int]:
    """Return how many predictions are to be scored, and the newest time."""
    told, count, newest_ms = observed[0], 0, np.int64(0)
    newest = np.full(len(rows), -1, np.int64)  # of each sampled user who was met
    told["conflated"] += len(row) - len(rows)
    for k in range(len(row)):
        user, code, at_ms = row[k], action[k], ts_ms[k]
        if not (0 <= user < len(rows) and 0 <= code < len(ACTIONS)):
            raise ValueError("no such row or action")
        newest_ms = max(newest_ms, at_ms)
        known = item_row[k] > 0
        if not known:
            told["unknown"][code] += 1
        if now_ms - arrived_ms[k] < BACKFILL_MS:
            delay_ms = max(arrived_ms[k] - at_ms, 0)
            place = 0
            while place < len(_DELAY_EDGES_MS) and delay_ms > _DELAY_EDGES_MS[place]:
                place += 1
            told["delay"][place] += 1
            told["delay_s"] += delay_ms / 1000
        if user % stride != first or offset[k] <= rows[user]["applied"][code]:
            continue
        told["looked_at"] += 1
        told["action"][code] += 1
        told["hour"][(at_ms // _HOUR_MS + utc_offset_h) % DAY_HOURS] += 1
        told["known_item"][1 if known else 0] += 1
        mine = rows[user]
        before_ms = newest[user]
        if before_ms < 0 and (mine["accepted"] > 0 or mine["late"] > 0):
            before_ms = mine["newest_ms"]
            answers = 0 < at_ms - before_ms <= leave_after_ms and mine["model"] == tag and mine["accepted"] > 0
            if answers and count < len(users):
                users[count], actions[count] = user, code
                count += 1
        if 0 <= before_ms <= at_ms:
            told["gap"][gap_bin(at_ms - before_ms)] += 1
        newest[user] = max(before_ms, at_ms)
    return count, newest_ms  # type: ignore[return-value]


def score(outcomes: Floats, action: Ints, observed: Rows) -> None:
    """Score predictions against the actions that came, given that one came.

    Args:
        outcomes: probabilities of OUTCOMES [n, outcomes].
        action: code of the action that came [n].
        observed: `OBSERVED` [1], added to.
    """
    came = np.empty(len(action))
    _score(outcomes, action, observed, came)
    observed["loss"] -= np.log(came).sum()


@compiled
def _score(outcomes: Floats, action: Ints, observed: Rows, came: Floats) -> None:
    told = observed[0]
    told["scored"] += len(action)
    for k in range(len(action)):
        total = 0.0
        for code in range(len(ACTIONS)):
            total += outcomes[k, code]
        total = max(total, _LEAST)
        likeliest, most = 0, -1.0
        for code in range(len(ACTIONS)):
            probability = outcomes[k, code] / total
            told["predicted"][code] += probability
            if probability > most:
                likeliest, most = code, probability
        came[k] = max(outcomes[k, action[k]] / total, _LEAST)
        told["came"][action[k]] += 1
        place = 0
        while place < len(_CONFIDENCE_EDGES) and most > _CONFIDENCE_EDGES[place]:
            place += 1
        told["confident"][place] += 1
        told["confidence"][place] += most
        if likeliest == action[k]:
            told["correct"][place] += 1


@compiled
def count_changes(before: Ints, rows: Rows, observed: Rows) -> None:
    """Count the users whose churn band is another one than before.

    Args:
        before: bands before [users].
        rows: `ROW` [users].
        observed: `OBSERVED` [1], added to.
    """
    told = observed[0]
    for k in range(len(rows)):
        band = rows[k]["band"]
        if band != before[k] and 0 < band <= BANDS:
            told["changed"][band - 1] += 1

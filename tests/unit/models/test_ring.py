"""The compiled loop against the same rules in plain Python: one user, one event at a time, all that a row tells."""

from dataclasses import astuple
from itertools import pairwise

import numpy as np
from builders import random_predictor
from hypothesis import given
from hypothesis import strategies as st

from models.features import Steps
from models.history import Events, Tally, apply
from models.predictor import Predictor
from models.recurrence import States
from models.state import HIDDEN, OLDER, RESOLUTIONS, RING, ROW, Rows, empty_rows

MODELS = [random_predictor(seed=0), random_predictor(seed=1)]
USERS = 3
START_MS = 1_760_000_000_000
Arrival = tuple[int, int, int, int, int, int, int]  # the columns of Events
Plain = tuple[int, ...]  # ts_ms, action, id, item, context


class PlainUser:
    """What is known of a user, in lists."""

    def __init__(self) -> None:
        self.applied = [-1, -1, -1]
        self.ring: list[Plain] = []
        self.left: list[Plain] = []  # the ring, in the order of leaving
        self.late: list[Plain] = []
        self.model: Predictor | None = None
        self.lost: list[Plain] = []  # what left the ring under another model: in no state any more

    def take(self, arrival: Arrival) -> str:
        _, action, offset, ts_ms, item, id_, context = arrival
        if offset <= self.applied[action]:
            return "redelivered"
        self.applied[action] = offset
        event = (ts_ms, action, id_, item, context)
        if any(other[:4] == event[:4] for other in self.ring):
            return "duplicate"
        if self.left and ts_ms <= self.left[-1][0] and event[:4] < self.ring[0][:4]:
            self.late.append(event)
            return "late"
        fate = "reordered" if self.ring and event[:4] < self.ring[-1][:4] else "appended"
        self.ring = sorted([*self.ring, event])
        if len(self.ring) > RING:
            self.left.append(self.ring.pop(0))
        return fate

    def row(self) -> Rows:
        rows = empty_rows(1)
        row = rows[0]
        row["applied"], row["late"] = self.applied, len(self.late)
        history = self.left + self.ring
        row["accepted"] = len(history)
        for number, (ts_ms, action, id_, item, context) in enumerate(history):
            slot = number % RING
            row["ring_ts_low"][slot], row["ring_high"][slot] = ts_ms % 2**32, ts_ms // 2**32 + action * 2**12
            row["ring_id"][slot], row["ring_item"][slot], row["ring_context"][slot] = id_, item, context
        for ts_ms, action, *_ in [*history, *self.late]:
            row["total"][action] += 1
            row["newest_ms"] = max(row["newest_ms"], ts_ms)
        for field, width, size in RESOLUTIONS:
            for ts_ms, action, *_ in [*history, *self.late]:
                if ts_ms // width > row["newest_ms"] // width - size:
                    row[field][action][ts_ms // width % size] += 1
        if self.left:
            row["base_ms"] = self.left[-1][0]
        keys = dict.fromkeys(item % 2**24 or 1 for *_, item, _ in reversed(self.left))
        for place, key in enumerate([*keys][:OLDER]):
            row["older_low"][place], row["older_high"][place] = key % 2**16, key // 2**16
        if self.model:
            row["model"] = self.model.tag
            row["base"] = walked(self.model, np.zeros(HIDDEN, np.int8), self.left[len(self.lost) :], self.lost)
            row["now"] = walked(self.model, row["base"], self.ring, self.left)
        return rows


def walked(model: Predictor, state: States, run: list[Plain], before: list[Plain]) -> States:
    """The state after these events, one step a call."""
    before_ms = before[-1][0] if before else -1
    for ts_ms, action, _, item, context in run:
        step = Steps(*(np.array([value]) for value in (item, action, ts_ms, before_ms, context)))
        state, before_ms = model.advance(state[None], step, np.array([1]))[0], ts_ms
    return state


def plain(chunks: list[tuple[Predictor, list[Arrival]]]) -> tuple[Rows, Tally]:
    users, fates = [PlainUser() for _ in range(USERS)], []
    for model, arrivals in chunks:
        for user in users:
            if user.model not in (None, model):
                user.lost = list(user.left)
        fates += [users[arrival[0]].take(arrival) for arrival in arrivals]
        for user in users:
            user.model = model if user.ring else None
    counts = [fates.count(fate) for fate in ("redelivered", "duplicate", "late", "reordered", "appended")]
    return np.concatenate([user.row() for user in users]), Tally(sum(counts[2:]), *counts[:4])


ITEMS = [k * 2**21 % 2**32 + k // 10 for k in range(30)]
"""Some with the same low bits, some with none of them, more than a row keeps of before the ring."""

ARRIVALS = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 0, 1, 2]),  # user
        st.integers(0, 2),  # action
        st.sampled_from([1, 1, 1, 1, 1, 2, -3]),  # to the offset before
        st.one_of(st.just(0), st.integers(0, 22), st.just(200)),  # how many events it comes late
        st.one_of(st.integers(0, 2), st.sampled_from(ITEMS)),
        st.integers(0, 2),  # event id: few, so that some come twice
        st.integers(0, 255),
    ),
    max_size=50,
)
HELD = [(0, k % 3, 1, 0, ITEMS[k % 14], k, k) for k in range(40)]
"""Events in order, three of a moment, for a ring that is full before others come."""


@given(
    st.sampled_from([0, RING - 1, RING, RING + 1, 40]),
    ARRIVALS,
    st.lists(st.tuples(st.integers(0, 90), st.sampled_from([0, 0, 0, 1])), max_size=4),
)
def test_rows_and_tally_are_those_of_one_event_at_a_time_however_events_arrive(
    held: int, drawn: list[Arrival], cuts: list[tuple[int, int]]
) -> None:
    offset, arrivals = [5, 5, 5], []
    for number, (user, action, step, late, item, id_, context) in enumerate(HELD[:held] + drawn):
        offset[action] += step
        ts_ms = START_MS + (number - late) // 3 * 60_000 + late % 2 * 20_000
        arrivals.append((user, action, offset[action], ts_ms, item, id_, context))
    ends = [0, *sorted(min(end, len(arrivals)) for end, _ in cuts), len(arrivals)]
    models = [MODELS[number] for _, number in cuts] + [MODELS[0]]
    chunks = [(model, arrivals[a:b]) for (a, b), model in zip(pairwise(ends), models, strict=True)]
    expected, expected_tally = plain(chunks)
    rows, total = empty_rows(USERS), np.zeros(5, int)
    for model, chunk in chunks:
        columns = np.array(chunk, np.int64).reshape(-1, 7).T
        total += astuple(apply(rows, Events(*columns), model))
    assert [name for name in ROW.names or () if rows[name].tobytes() != expected[name].tobytes()] == []
    assert total.tolist() == list(astuple(expected_tally))

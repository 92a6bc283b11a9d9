"""A row's history against a plain reference: sort all events of a user, go through them one by one."""

import numpy as np
import pytest
from builders import event_columns, random_predictor
from hypothesis import given
from hypothesis import strategies as st

from models import windows
from models.features import Steps
from models.history import Events, apply
from models.predictor import Predictor
from models.state import HIDDEN, OLDER, RESOLUTIONS, RING, ROW, Rows, empty_rows

MODEL = random_predictor()
HOUR = 3_600_000


def reference(events: Events, users: int, model: Predictor = MODEL) -> Rows:
    """The in-order rows: no late events, no duplicates, offsets in order. One event at a time, plain Python."""
    rows = empty_rows(users)
    for user in range(users):
        row = rows[user]
        mine = events.at(events.row == user)
        history = sorted(
            zip(*(c.tolist() for c in (mine.ts_ms, mine.action, mine.id, mine.item, mine.context)), strict=True)
        )
        for action, offset in zip(mine.action.tolist(), mine.offset.tolist(), strict=True):
            row["applied"][action] = max(row["applied"][action], offset)
        state, before = np.zeros((1, HIDDEN), np.int8), -1
        gone = len(history) - RING
        for number, (ts, action, id_, item, context) in enumerate(history):
            step = Steps(*(np.array([v]) for v in (item, action, ts, before, context)))
            state, before = model.advance(state, step, np.array([1])), ts
            if number + 1 == gone:
                row["base"], row["base_ms"] = state[0], ts
            slot = number % RING
            row["ring_ts_low"][slot], row["ring_high"][slot] = ts % 2**32, ts // 2**32 + action * 2**12
            row["ring_item"][slot], row["ring_id"][slot] = item, id_
            row["ring_context"][slot] = context
            row["total"][action] += 1
        older = [item % 2**24 or 1 for *_, item, _ in history[: max(gone, 0)]]
        for place, key in enumerate([*dict.fromkeys(reversed(older))][:OLDER]):
            row["older_low"][place], row["older_high"][place] = key % 2**16, key // 2**16
        if history:
            newest = history[-1][0]
            row["now"], row["model"], row["accepted"] = state[0], model.tag, len(history)
            row["newest_ms"] = newest
            for field, width, size in RESOLUTIONS:
                for ts, action, *_ in history:
                    if ts // width > newest // width - size:
                        row[field][action][ts // width % size] += 1
    return rows


def differing(a: Rows, b: Rows) -> list[str]:
    return [name for name in ROW.names or () if a[name].tobytes() != b[name].tobytes()]


def run(events: Events, users: int, cuts: list[int], model: Predictor = MODEL) -> Rows:
    rows = empty_rows(users)
    for a, b in zip([0, *cuts], [*cuts, len(events)], strict=True):
        apply(rows, events.at(np.arange(a, b)), model)
    return rows


@st.composite
def in_order(draw: st.DrawFn, max_events: int = 80) -> tuple[Events, list[int]]:
    n = draw(st.integers(0, max_events))
    users = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    actions = draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    gaps = draw(st.lists(st.sampled_from([0, 1, 500, 60_000, HOUR, 30 * HOUR]), min_size=n, max_size=n))
    times = (1_760_000_000_000 + np.cumsum([1, *gaps][:n]) + np.arange(n) // 8).tolist()  # ties, but under RING
    cuts = sorted(draw(st.lists(st.integers(0, n), max_size=5)))
    return event_columns(users, actions, times), cuts


@given(in_order())
def test_any_chunking_gives_the_row_of_one_event_at_a_time(case: tuple[Events, list[int]]) -> None:
    events, cuts = case
    assert differing(run(events, 4, cuts), reference(events, 4)) == []


@st.composite
def overtaken(draw: st.DrawFn) -> tuple[Events, list[int]]:
    """Events, and an order of arrival in which up to RING - 1 others overtake each."""
    events, _ = draw(in_order())
    delays = draw(st.lists(st.integers(0, RING), min_size=len(events), max_size=len(events)))
    by_key = np.lexsort((events.item, events.id, events.action, events.ts_ms))
    return events, by_key[np.argsort(np.arange(len(events)) + np.array(delays), kind="stable")].tolist()


@given(overtaken(), st.lists(st.integers(0, 80), max_size=5).map(sorted))
def test_late_event_inside_ring_gives_in_order_state(case: tuple[Events, list[int]], cuts: list[int]) -> None:
    events, order = case
    arrived = place_limited(events, order)
    rows = run(arrived, 4, [min(cut, len(events)) for cut in cuts])
    assert rows["late"].sum() == 0
    assert differing(rows, reference(arrived, 4)) == []


def ring_of(arrived: list[int], events: Events) -> list[int]:
    """The events that a ring holds of one user's."""
    keys = zip(*(c[arrived].tolist() for c in (events.ts_ms, events.action, events.id, events.item)), strict=True)
    return [number for _, number in sorted(zip(keys, arrived, strict=True))][-RING:]


@st.composite
def tied(draw: st.DrawFn) -> tuple[Events, int, list[int]]:
    """One user, a few moments, events overtaken by up to RING - 1 others, events of the ring sent again; cuts."""
    n = draw(st.integers(1, 60))
    actions = draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    times = np.cumsum(draw(st.lists(st.sampled_from([0, 0, 0, 0, 1, HOUR]), min_size=n, max_size=n)))
    events = event_columns([0] * n, actions, times.tolist())
    delays = draw(st.lists(st.integers(0, RING), min_size=n, max_size=n))
    by_key = np.lexsort((events.item, events.id, events.action, events.ts_ms))
    order: list[int] = []
    arrived: list[int] = []
    for number in by_key[np.argsort(np.arange(n) + np.array(delays), kind="stable")].tolist():
        order.append(number)
        arrived.append(number)
        if draw(st.booleans()):
            order.append(draw(st.sampled_from(ring_of(arrived, events))))
    cuts = sorted(draw(st.lists(st.integers(0, len(order)), max_size=5)))
    return place_limited(events, order), len(order) - n, cuts


@given(tied())
def test_ties_and_events_sent_again_inside_the_ring_give_the_in_order_state(
    case: tuple[Events, int, list[int]],
) -> None:
    arrived, again, cuts = case
    rows, duplicates = empty_rows(1), 0
    for a, b in zip([0, *cuts], [*cuts, len(arrived)], strict=True):
        duplicates += apply(rows, arrived.at(np.arange(a, b)), MODEL).duplicates
    first = np.unique(arrived.id, return_index=True)[1]
    assert (duplicates, rows["late"][0]) == (again, 0)
    assert set(differing(rows, reference(arrived.at(first), 1))) <= {"applied"}


def test_event_of_the_moment_of_the_last_one_that_left_the_ring_is_put_in_its_place() -> None:
    events = event_columns([0] * (RING + 2), [0] * (RING + 2), [1000] * (RING + 2))
    arrived = place_limited(events, [k for k in range(RING + 2) if k != RING] + [RING, 5])
    rows = empty_rows(1)
    tally = apply(rows, arrived, MODEL)
    assert (tally.reordered, tally.duplicates, tally.late) == (1, 1, 0)
    assert set(differing(rows, reference(events, 1))) == {"applied"}


def place_limited(events: Events, order: list[int]) -> Events:
    """Deliver in this order, with the offsets counting up in order of arrival."""
    shuffled = events.at(np.array(order, np.int64))
    offsets = np.zeros(len(order), np.int64)
    for action in range(3):
        mine = shuffled.action == action
        offsets[mine] = np.arange(mine.sum())
    return Events(**{**shuffled.__dict__, "offset": offsets})


@given(in_order(), st.data())
def test_redelivery_changes_nothing(case: tuple[Events, list[int]], data: st.DataObject) -> None:
    events, cuts = case
    again = data.draw(st.integers(0, len(events)))
    rows = run(events, 4, cuts)
    before = rows.copy()
    tally = apply(rows, events.at(np.arange(again, len(events))), MODEL)
    assert tally.redelivered == len(events) - again
    assert rows.tobytes() == before.tobytes()


def test_duplicate_inside_ring_is_dropped() -> None:
    events = event_columns([0, 0, 0], [0, 0, 1], [1000, 2000, 3000])
    rows = empty_rows(1)
    apply(rows, events, MODEL)
    once = rows.copy()
    again = Events(**{**events.__dict__, "offset": events.offset + 10})
    assert apply(rows, again, MODEL).duplicates == 3
    assert set(differing(rows, once)) == {"applied"}


def test_duplicate_in_the_same_chunk_is_dropped() -> None:
    events = event_columns([0, 0], [0, 0], [1000, 1000])
    twice = Events(**{**events.__dict__, "id": np.array([5, 5]), "item": np.array([9, 9])})
    rows = empty_rows(1)
    assert apply(rows, twice, MODEL).duplicates == 1
    assert rows["total"].tolist() == [[1, 0, 0]]


def test_event_later_than_the_ring_counts_in_windows_only() -> None:
    times = list(range(HOUR, HOUR + 20_000, 1000))
    rows = empty_rows(1)
    apply(rows, event_columns([0] * 20, [0] * 20, times), MODEL)
    before = rows.copy()
    tally = apply(rows, event_columns([0], [1], [HOUR + 500]), MODEL)
    assert (tally.late, rows["late"][0], rows["total"][0].tolist()) == (1, 1, [20, 1, 0])
    assert set(differing(rows, before)) == {"applied", "late", "total", *(field for field, _, _ in RESOLUTIONS)}


def test_another_model_rebuilds_the_state_from_the_ring() -> None:
    other = random_predictor(seed=1)
    times = list(range(HOUR, HOUR + 10_000, 1000))
    events = event_columns([0] * 10, [0, 1] * 5, times)
    rows = empty_rows(1)
    apply(rows, events.at(np.arange(9)), MODEL)
    apply(rows, events.at(np.arange(9, 10)), other)
    assert differing(rows, reference(events, 1, other)) == []


@pytest.mark.parametrize("size", [1, 15, 16, 17, 33, 200])
def test_lengths_around_the_ring(size: int) -> None:
    events = event_columns([0] * size, [0] * size, list(range(1000, 1000 + 60_000 * size, 60_000)))
    assert differing(run(events, 1, []), reference(events, 1)) == []


def test_bucket_does_not_overflow() -> None:
    rows = empty_rows(1)
    windows.add(rows, np.zeros(300, int), np.zeros(300, int), np.full(300, 1000))
    assert rows["minutes"][0, 0, 0] == 255
    assert rows["total"][0, 0] == 300

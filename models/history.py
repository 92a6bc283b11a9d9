"""The history of a user in its row: the ring of the last events in order, and the recurrent states at its two ends.

Writes `applied`, `accepted`, `late`, `base_ms`, `ring_*`, `base`, `now`, `model`, and the windows through
`windows.add`.

The ring holds the last RING accepted events, sorted by `(ts_ms, action, id, item)`. `base` is the recurrent state
before the oldest of them, `now` the state after the newest, so an event that comes late is put in its place and `now`
is computed again from `base`: any arrival order gives the bytes of the in-order one. An event that belongs before all
of the ring and is not newer than the last one that left it (`base_ms`) is late for good: the windows count it, the
states do not see it. An event that equals one of the ring in all four is a duplicate. An event at or below the
`applied` offset of its topic was delivered again and changes nothing.

Exactness has one limit: an event that RING or more events of that order have overtaken. It may be late for good, and
so is a duplicate of an event that has left the ring. Events of one millisecond stand in order of the hashes: with more
than RING of them one may be overtaken by so many though all come in order of time.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models import windows
from models.features import Steps
from models.predictor import Predictor
from models.state import RING, Ints, Rows, high_bits, ring_action, ring_ts_ms


@dataclass(frozen=True)
class Events:
    """Events of a chunk in order of arrival, one array a column [events]."""

    row: Ints  # which of the rows the event belongs to
    action: Ints  # code of the action, and index of its input topic
    offset: Ints  # position in its partition
    ts_ms: Ints
    item: Ints  # crc32 of the item id
    id: Ints  # crc32 of the event id
    context: Ints

    def __len__(self) -> int:
        return len(self.row)

    def at(self, index: Ints | npt.NDArray[np.bool_]) -> "Events":
        """Return the events that the index picks."""
        return Events(*(getattr(self, name)[index] for name in self.__dataclass_fields__))


NO_EVENTS = Events(*[np.zeros(0, np.int64)] * len(Events.__dataclass_fields__))
"""What `apply` takes to bring no more than the model of rows up to date."""


@dataclass
class Tally:
    """What became of the events of a chunk."""

    applied: int = 0
    redelivered: int = 0
    duplicates: int = 0
    late: int = 0
    reordered: int = 0


def apply(rows: Rows, events: Events, model: Predictor) -> Tally:
    """Bring rows up to date with events, in place.

    Args:
        rows: `ROW` [users], a row a user.
        events: in order of arrival.
        model: makes the recurrent states; rows of another model get theirs again from their ring.
    """
    tally = Tally()
    fresh = events.offset > rows["applied"][events.row, events.action]
    tally.redelivered = len(events) - int(fresh.sum())
    np.maximum.at(rows["applied"], (events.row, events.action), events.offset)
    if tally.redelivered:
        events = events.at(fresh)
    events = events.at(np.argsort(events.row, kind="stable"))
    simple = _in_order(rows, events, model)
    for_ring, for_windows = events.at(simple[events.row]), [events.at(simple[events.row])]
    _append(rows, for_ring, model)
    others = np.flatnonzero(~simple)
    if len(others):
        kept = _insert(rows, others, events.at(~simple[events.row]), model, tally)
        for_windows.append(kept)
    for part in for_windows:
        tally.applied += len(part)
        windows.add(rows, part.row, part.action.astype(np.intp), part.ts_ms)
    return tally


def _in_order(rows: Rows, events: Events, model: Predictor) -> npt.NDArray[np.bool_]:
    """Tell which rows need no more than an append: all events newer than the ring, and one after another."""
    simple: npt.NDArray[np.bool_] = (rows["model"] == model.tag) | (rows["accepted"] == 0)
    before = np.empty_like(events.ts_ms)
    before[1:] = events.ts_ms[:-1]
    first = np.ones(len(events), bool)
    first[1:] = events.row[1:] != events.row[:-1]
    newest = np.where(rows["accepted"] > 0, rows["newest_ms"], -1)
    before[first] = newest[events.row[first]]
    simple[events.row[events.ts_ms <= before]] = False
    return simple


def _append(rows: Rows, events: Events, model: Predictor) -> None:
    """Append events (sorted by row and time) to rings; `base` steps through what leaves them, `now` through all."""
    if not len(events):
        return
    rows["model"][events.row] = model.tag
    users, start, added = np.unique(events.row, return_index=True, return_counts=True)
    accepted = rows["accepted"][users].astype(np.int64)
    held = np.minimum(accepted, RING)
    leaving = np.maximum(held + added - RING, 0)
    from_ring = np.minimum(leaving, held)

    owner, nth = _runs(from_ring)
    slot = (accepted - held)[owner] + nth
    old = _ring_events(rows, users[owner], slot % RING)
    owner_new, nth_new = _runs(leaving - from_ring)
    new = events.at(start[owner_new] + nth_new)
    place = np.concatenate(
        [owner * (RING + int(added.max())) + nth, owner_new * (RING + int(added.max())) + RING + nth_new]
    )
    base_events = _joined(old, new).at(np.argsort(place, kind="stable"))

    state = np.concatenate([rows["base"][users], rows["now"][users]])
    newest = np.where(accepted > 0, rows["newest_ms"][users], -1)
    steps = _steps(
        _joined(base_events, events),
        np.concatenate([leaving, added]),
        np.concatenate([rows["base_ms"][users], newest]),
    )
    state = model.advance(state, steps, np.concatenate([leaving, added]))
    rows["base"][users], rows["now"][users] = state[: len(users)], state[len(users) :]
    gone = leaving > 0
    rows["base_ms"][users[gone]] = base_events.ts_ms[np.cumsum(leaving)[gone] - 1]

    number = (
        np.repeat(accepted, added) + np.arange(len(events)) - np.repeat(start, added)
    )  # of each event in its history
    stays = number >= np.repeat(accepted + added - RING, added)
    _write_ring(rows, events.at(stays), number[stays] % RING)
    rows["accepted"][users] += added.astype(np.uint32)


def _insert(rows: Rows, users: Ints, events: Events, model: Predictor, tally: Tally) -> Events:
    """Put events (sorted by row, in order of arrival) in their places; return those that the windows count."""
    outdated = users[rows["model"][users] != model.tag]
    rows["base"][outdated] = 0
    counted = np.zeros(len(events), bool)
    first, end = np.searchsorted(events.row, users), np.searchsorted(events.row, users, side="right")
    columns = list(
        zip(*(c.tolist() for c in (events.ts_ms, events.action, events.id, events.item, events.context)), strict=True)
    )
    rings: list[tuple[int, ...]] = []
    gone: list[tuple[int, ...]] = []
    lengths, leaving = [], []
    before_ms = rows["base_ms"][users].copy()
    for user, a, b in zip(users.tolist(), first.tolist(), end.tolist(), strict=True):
        accepted, base_ms = int(rows["accepted"][user]), int(rows["base_ms"][user])
        ring, left = _ring(rows, user, accepted), []
        for k in range(a, b):
            event = columns[k]
            if event[0] <= base_ms and event[:4] < ring[0][:4]:  # what left, left a full ring
                rows["late"][user] += 1
                tally.late += 1
                counted[k] = True
                continue
            place = _place(ring, event)
            if place < 0:
                tally.duplicates += 1
                continue
            tally.reordered += place < len(ring)
            counted[k] = True
            ring.insert(place, event)
            accepted += 1
            if len(ring) > RING:
                left.append(ring.pop(0))
                base_ms = left[-1][0]
        rows["accepted"][user], rows["base_ms"][user] = accepted, base_ms
        rings += ring
        gone += left
        lengths.append(len(ring))
        leaving.append(len(left))
    rows["model"][users] = model.tag
    ring_lengths, leaving_lengths = np.array(lengths), np.array(leaving)
    left_events, ring_events = _from_tuples(gone, users, leaving_lengths), _from_tuples(rings, users, ring_lengths)
    base = model.advance(rows["base"][users], _steps(left_events, leaving_lengths, before_ms), leaving_lengths)
    rows["base"][users] = base
    steps = _steps(ring_events, ring_lengths, rows["base_ms"][users])
    rows["now"][users] = model.advance(base, steps, ring_lengths)
    number = rows["accepted"][ring_events.row] - np.repeat(ring_lengths, ring_lengths) + _runs(ring_lengths)[1]
    _write_ring(rows, ring_events, number.astype(np.int64) % RING)
    return events.at(counted)


def _place(ring: list[tuple[int, ...]], event: tuple[int, ...]) -> int:
    """Return where the event belongs in the sorted ring, -1 if it stands there already. The context does not count."""
    for place in range(len(ring), 0, -1):
        if ring[place - 1][:4] == event[:4]:
            return -1
        if ring[place - 1][:4] < event[:4]:
            return place
    return 0


def _ring(rows: Rows, user: int, accepted: int) -> list[tuple[int, ...]]:
    slots = np.arange(max(accepted - RING, 0), accepted) % RING
    e = _ring_events(rows, np.full(len(slots), user), slots)
    return list(zip(*(c.tolist() for c in (e.ts_ms, e.action, e.id, e.item, e.context)), strict=True))


def _from_tuples(tuples: list[tuple[int, ...]], users: Ints, lengths: Ints) -> Events:
    ts_ms, action, id_, item, context = np.array(tuples, np.int64).reshape(-1, 5).T
    return Events(np.repeat(users, lengths), action, np.zeros_like(action), ts_ms, item, id_, context)


def _ring_events(rows: Rows, row: Ints, slot: Ints) -> Events:
    high = rows["ring_high"][row, slot]
    ts_ms = ring_ts_ms(rows["ring_ts_low"][row, slot], high)
    return Events(
        row=row,
        action=ring_action(high).astype(np.int64),
        offset=np.zeros_like(ts_ms),
        ts_ms=ts_ms,
        item=rows["ring_item"][row, slot].astype(np.int64),
        id=rows["ring_id"][row, slot].astype(np.int64),
        context=rows["ring_context"][row, slot].astype(np.int64),
    )


def _write_ring(rows: Rows, events: Events, slot: Ints) -> None:
    at = (events.row, slot)
    rows["ring_ts_low"][at] = events.ts_ms & 0xFFFFFFFF
    rows["ring_high"][at] = high_bits(events.ts_ms, events.action)
    rows["ring_item"][at] = events.item
    rows["ring_id"][at] = events.id
    rows["ring_context"][at] = events.context


def _joined(first: Events, second: Events) -> Events:
    names = first.__dataclass_fields__
    return Events(*(np.concatenate([getattr(first, name), getattr(second, name)]) for name in names))


def _runs(lengths: Ints) -> tuple[Ints, Ints]:
    """Return, for runs of these lengths one after another, the run of each element and its place in it."""
    owner = np.repeat(np.arange(len(lengths)), lengths)
    return owner, np.arange(len(owner)) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def _steps(events: Events, lengths: Ints, before_ms: Ints) -> Steps:
    """Return the steps of runs of events; `before_ms` is the time of the event before each run."""
    before = np.empty_like(events.ts_ms)
    before[1:] = events.ts_ms[:-1]
    some = lengths > 0
    before[(np.cumsum(lengths) - lengths)[some]] = before_ms[some]
    return Steps(events.item, events.action, events.ts_ms, before, events.context)

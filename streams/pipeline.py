"""From a chunk of records to new rows, outputs and dead letters: pure, the same under Kafka, over a file and in tests.

An event's fate: `decode` makes it an `Event` or a dead letter, `history.apply` brings its user's row up to date,
`answer` makes three outputs for each user of the chunk: the next action, a slate, the churn risk. Under load a user
gets one fresh set a chunk, not one an event. A user whose events were all delivered again is answered again, under
the same ids: the crash that made them come again may have been before the outputs were.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, groupby
from typing import NamedTuple, Protocol
from zlib import crc32

import numpy as np

from models.churn import score_event, score_silence
from models.features import context_code
from models.history import NO_EVENTS, Events, Tally, apply, apply_each
from models.observed import OBSERVED, count_changes, look, score
from models.predictor import Predictor
from models.state import Ints, Rows
from models.survival import Curves
from schemas.dead_letters import dead_letter, encode_dead_letter
from schemas.events import Limits, Reason, Rejected, decode_events
from schemas.topics import DEAD_LETTERS, INPUTS
from streams.fetched import Fetched
from streams.options import Options
from streams.outputs import Output, Outputs, Users, churn_outputs, outputs
from streams.plain_events import CONTEXT, ID, ITEM, TS_MS, plain_events
from streams.senders import Senders, sender_column


class Origin(NamedTuple):
    """A partition of an input topic: its name without prefix, and its number."""

    topic: str
    partition: int


Chunk = Mapping[Origin, Fetched]
"""Records to be handled together."""


class UserTable(Protocol):
    """Where the rows of users are kept."""

    def read(self, partition: int, keys: Sequence[bytes]) -> Rows:
        """Return copies of the rows of these users, empty ones for those not known."""
        ...


@dataclass
class Change:
    """New rows of users of one partition."""

    keys: list[bytes]
    rows: Rows


@dataclass
class Result:
    """What a chunk leads to."""

    changes: dict[int, Change] = field(default_factory=dict)  # by partition
    outputs: list[Outputs] = field(default_factory=list)
    dead_letters: list[Output] = field(default_factory=list)
    rejected: dict[tuple[str, str], int] = field(default_factory=dict)  # number by topic and reason
    tally: Tally = field(default_factory=Tally)
    observed: Rows = field(default_factory=lambda: np.zeros(1, OBSERVED))
    newest_ms: int = 0  # newest time of the events
    senders: Senders = field(default_factory=Senders)
    seconds: dict[str, float] = field(default_factory=dict)  # by stage

    def records(self) -> list[Output]:
        """Return all that is to be published, one by one."""
        return [*self.dead_letters, *chain.from_iterable(self.outputs)]


def process(chunk: Chunk, users: UserTable, model: Predictor, now_ms: int, options: Options) -> Result:
    """Update every user of the chunk and predict once for each: pure, no IO.

    Rejected records become dead letters; records already applied (by offset) change nothing but are answered again.
    """
    result, watch = Result(), _Watch()
    arrived = _decode(chunk, model, now_ms, options, result)
    watch.lap("decode")
    if arrived.keys:
        rows = _gather(arrived, users)
        newest_ms, band = rows["newest_ms"].copy(), rows["band"].copy()
        sample = look(rows, arrived.events, arrived.arrived_ms, model, now_ms, result.observed)
        result.newest_ms = sample.newest_ms
        fates = apply_each(rows, arrived.events, model)
        result.tally = Tally.of(fates)
        if arrived.sender is not None:
            result.senders.judged(arrived.sender, fates, arrived.events.ts_ms, arrived.arrived_ms, now_ms)
        watch.lap("update")
        if len(sample.action):
            score(model.heads(sample.states, sample.window_bins, sample.latest)[0], sample.action, result.observed)
        actions, hazards = model.predict(rows)
        curves = Curves(hazards)
        score_event(rows, curves, model.card.churn, moved=rows["newest_ms"] > newest_ms)
        count_changes(band, rows, result.observed)
        watch.lap("predict")
        result.outputs = outputs(Users(rows, arrived.keys, arrived.partition), actions, curves, model, options)
        result.changes = {p: Change(arrived.keys[part], rows[part]) for p, part in parts_of(arrived.partition)}
        watch.lap("answer")
    result.seconds = watch.seconds
    return result


def rescore(
    partition: int, keys: Sequence[bytes], rows: Rows, model: Predictor, now_ms: int
) -> tuple[Rows, list[Outputs], Ints]:
    """Score the churn risk of users as of their `rescore_ms`, with no event.

    Args:
        partition: of these users.
        keys: of these users, as UTF-8.
        rows: of these users; those whose `rescore_ms` lies ahead are left alone.
        model: as in `process`; rows of another model get their states again from their ring when they are due.
        now_ms: the present.

    Returns:
        the rows, the outputs for those whose band has changed, and the places of these rows.
    """
    rows = rows.copy()
    due = np.flatnonzero(rows["rescore_ms"] <= now_ms)
    mine = rows[due]
    apply(mine, NO_EVENTS, model)
    _, hazards = model.predict(mine)
    curves, before = Curves(hazards), mine["band"].copy()
    changed = np.flatnonzero(score_silence(mine, curves, model.card.churn))
    rows[due] = mine
    if not len(changed):
        return rows, [], changed
    users = Users(mine, [keys[k] for k in due.tolist()], np.full(len(due), partition)).at(changed)
    return rows, [churn_outputs(users, curves.at(changed), model, before[changed])], due[changed]


@dataclass
class _Arrived:
    keys: list[bytes]  # of each user; users of one partition stand together
    partition: Ints  # of each user
    events: Events
    arrived_ms: Ints  # time of each event's record
    sender: Ints | None = None  # code of who sent each event, None: nobody says


def parts_of(partition: Ints) -> Iterator[tuple[int, slice]]:
    """Yield each partition and where its users stand, of users by partition [users].

    >>> list(parts_of(np.array([0, 0, 3])))
    [(0, slice(0, 2, None)), (3, slice(2, 3, None))]
    """
    starts = np.flatnonzero(np.diff(partition, prepend=-1)).tolist()
    for start, end in zip(starts, [*starts[1:], len(partition)], strict=True):
        yield int(partition[start]), slice(start, end)


class _Watch:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.thread_time()

    def lap(self, stage: str) -> None:
        now = time.thread_time()
        self.seconds[stage], self._last = now - self._last, now


def _decode(chunk: Chunk, model: Predictor, now_ms: int, options: Options, result: Result) -> _Arrived:
    users: list[bytes] = []
    partition: list[int] = []
    row: list[int] = []
    action: list[int] = []
    parts: list[tuple[Fetched, Ints]] = []  # and what is in the events
    senders: list[Ints | None] = []
    for number, group in groupby(sorted(chunk.items(), key=_partition), key=_partition):
        known: dict[bytes, int] = {}
        first = len(users)
        for origin, fetched in group:
            records, found = _accepted(origin, fetched, model, now_ms, options, result)
            row += [known.setdefault(key, first + len(known)) for key in records.key_list()]
            action.append(INPUTS.index(origin.topic))
            parts.append((records, found))
            senders.append(result.senders.arrived(fetched.headers, records.headers) if fetched.headers else None)
        users += known
        partition += [number] * len(known)
    if not users:
        return _Arrived([], np.zeros(0, np.int64), NO_EVENTS, np.zeros(0, np.int64))
    found = np.concatenate([each for _, each in parts], axis=1)
    lengths = [len(records) for records, _ in parts]
    arrived_ms = np.concatenate([records.timestamps_ms for records, _ in parts])
    sender = sender_column(senders, lengths)
    columns = Events(
        row=np.array(row, np.int64),
        action=np.repeat(action, lengths),
        offset=np.concatenate([records.offsets for records, _ in parts]),
        ts_ms=found[TS_MS],
        item=found[ITEM],
        id=found[ID],
        context=found[CONTEXT],
    )
    if len(parts) > 1:
        # topics merged by event time, each in its own order: a late event stays behind what its topic delivered before
        reached = np.concatenate([np.maximum.accumulate(each[TS_MS]) for _, each in parts])
        order = np.argsort(reached, kind="stable")
        columns, arrived_ms = columns.at(order), arrived_ms[order]
        sender = None if sender is None else sender[order]
    return _Arrived(users, np.array(partition, np.int64), columns, arrived_ms, sender)


def _partition(part: tuple[Origin, Fetched]) -> int:
    return part[0].partition


def _accepted(
    origin: Origin, records: Fetched, model: Predictor, now_ms: int, options: Options, result: Result
) -> tuple[Fetched, Ints]:
    """Return the records that hold events, and what is in these: see `plain_events`. The others become dead letters."""
    limits = options.limits
    found = plain_events(records, limits.latest_ms(now_ms), limits.max_bytes)
    rejected: dict[int, Rejected] = {}
    if (found[TS_MS] < 0).any():
        rejected = _decode_others(records, found, origin.topic, now_ms, limits)
    if options.reject_unknown_items:
        for k in np.flatnonzero(~model.knows(found[ITEM])).tolist():
            rejected.setdefault(k, Rejected(Reason.UNKNOWN_ITEM, "the model does not know the item"))
    if not rejected:
        return records, found
    for k in sorted(rejected):
        _reject(records, k, rejected[k], origin, now_ms, options, result)
    good = np.setdiff1d(np.arange(len(records)), list(rejected))
    return records.at(good), found.take(good, axis=1)


def _decode_others(records: Fetched, found: Ints, topic: str, now_ms: int, limits: Limits) -> dict[int, Rejected]:
    """Fill in what is in the events that are not plain; return why the others are refused, by place."""
    places = np.flatnonzero(found[TS_MS] < 0)
    found[:, places] = 0
    others, rejected = records.at(places), {}
    values, keys = [], []
    for k in range(len(places)):
        values.append(others.value(k))
        keys.append(others.key(k))
    headers = others.headers or [()] * len(places)
    for k, event in zip(places.tolist(), decode_events(values, keys, headers, topic, now_ms, limits), strict=True):
        if isinstance(event, Rejected):
            rejected[k] = event
        else:
            item, id_ = crc32(event.item_id.encode()), crc32(event.event_id.encode())
            found[:, k] = event.ts_ms, item, id_, context_code(event.device, event.price, event.quantity)
    return rejected


def _reject(
    records: Fetched, place: int, rejected: Rejected, origin: Origin, now_ms: int, options: Options, result: Result
) -> None:
    letter = dead_letter(
        rejected,
        topic=options.prefix + origin.topic,
        partition=origin.partition,
        offset=int(records.offsets[place]),
        timestamp_ms=int(records.timestamps_ms[place]),
        key=records.key(place),
        value=records.value(place),
        headers=records.headers[place] if records.headers else (),
        rejected_at_ms=now_ms,
    )
    result.dead_letters.append(Output(DEAD_LETTERS, origin.partition, letter.key, encode_dead_letter(letter), []))
    count = (origin.topic, rejected.reason.value)
    result.rejected[count] = result.rejected.get(count, 0) + 1


def _gather(arrived: _Arrived, users: UserTable) -> Rows:
    return np.concatenate(
        [users.read(partition, arrived.keys[part]) for partition, part in parts_of(arrived.partition)]
    )

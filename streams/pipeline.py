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
from models.history import NO_EVENTS, Events, Tally, apply
from models.predictor import Predictor
from models.state import Ints, Rows
from models.survival import Curves
from models.windows import bins
from schemas.dead_letters import dead_letter, encode_dead_letter
from schemas.events import Event, Reason, Rejected, decode_events
from schemas.topics import DEAD_LETTERS, INPUTS
from streams.fetched import Record
from streams.options import Options
from streams.outputs import Output, Outputs, Users, churn_outputs, outputs


class Origin(NamedTuple):
    """A partition of an input topic: its name without prefix, and its number."""

    topic: str
    partition: int


Chunk = Mapping[Origin, Sequence[Record]]
"""Records to be handled together: of each partition in order of offsets."""


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
        newest_ms = rows["newest_ms"].copy()
        result.tally = apply(rows, arrived.events, model)
        watch.lap("update")
        actions, hazards = model.heads(rows["now"], bins(rows))
        curves = Curves(hazards)
        score_event(rows, curves, model.card.churn, moved=rows["newest_ms"] > newest_ms)
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
    _, hazards = model.heads(mine["now"], bins(mine))
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
    events: list[Event] = []
    action: list[Ints] = []
    offset: list[int] = []
    progress: list[Ints] = []
    for number, parts in groupby(sorted(chunk.items(), key=_partition), key=_partition):
        known: dict[bytes, int] = {}
        first = len(users)
        for origin, fetched in parts:
            records, accepted = _accepted(origin, fetched, model, now_ms, options, result)
            keys = [record.key or b"" for record in records]
            row += [known.setdefault(key, first + len(known)) for key in keys]
            offset += [record.offset for record in records]
            events += accepted
            action.append(np.full(len(accepted), INPUTS.index(origin.topic)))
            progress.append(np.maximum.accumulate(np.array([event.ts_ms for event in accepted], np.int64)))
        users += known
        partition += [number] * len(known)
    if not users:
        return _Arrived([], np.zeros(0, np.int64), NO_EVENTS)
    reached = np.concatenate(progress)
    columns = Events(
        row=np.array(row, np.int64),
        action=np.concatenate(action),
        offset=np.array(offset, np.int64),
        ts_ms=np.array([event.ts_ms for event in events], np.int64),
        item=np.array([crc32(event.item_id.encode()) for event in events], np.int64),
        id=np.array([crc32(event.event_id.encode()) for event in events], np.int64),
        context=np.array([context_code(event.device, event.price) for event in events], np.int64),
    )
    # topics merged by event time, each in its own order: a late event stays behind what its topic delivered before it
    return _Arrived(users, np.array(partition, np.int64), columns.at(np.argsort(reached, kind="stable")))


def _partition(part: tuple[Origin, Sequence[Record]]) -> int:
    return part[0].partition


def _accepted(
    origin: Origin, records: Sequence[Record], model: Predictor, now_ms: int, options: Options, result: Result
) -> tuple[Sequence[Record], list[Event]]:
    """Return the records that hold events, and these; the others become dead letters."""
    decoded = decode_events(
        [record.value for record in records],
        [record.key for record in records],
        [record.headers for record in records],
        origin.topic,
        now_ms,
        options.limits,
    )
    if options.reject_unknown_items:
        decoded = _known_only(decoded, model)
    events = [event for event in decoded if isinstance(event, Event)]
    if len(events) == len(records):
        return records, events
    good = []
    for record, event in zip(records, decoded, strict=True):
        if isinstance(event, Rejected):
            _reject(record, event, origin, now_ms, options, result)
        else:
            good.append(record)
    return good, events


def _known_only(decoded: list[Event | Rejected], model: Predictor) -> list[Event | Rejected]:
    hashes = [0 if isinstance(e, Rejected) else crc32(e.item_id.encode()) for e in decoded]
    known = model.knows(np.array(hashes, np.int64))
    return [
        e if k or isinstance(e, Rejected) else Rejected(Reason.UNKNOWN_ITEM, "the model does not know the item")
        for e, k in zip(decoded, known.tolist(), strict=True)
    ]


def _reject(record: Record, rejected: Rejected, origin: Origin, now_ms: int, options: Options, result: Result) -> None:
    letter = dead_letter(
        rejected,
        topic=options.prefix + origin.topic,
        partition=origin.partition,
        offset=record.offset,
        timestamp_ms=record.timestamp,
        key=record.key,
        value=record.value,
        headers=record.headers,
        rejected_at_ms=now_ms,
    )
    result.dead_letters.append(Output(DEAD_LETTERS, origin.partition, letter.key, encode_dead_letter(letter), []))
    count = (origin.topic, rejected.reason.value)
    result.rejected[count] = result.rejected.get(count, 0) + 1


def _gather(arrived: _Arrived, users: UserTable) -> Rows:
    return np.concatenate(
        [users.read(partition, arrived.keys[part]) for partition, part in parts_of(arrived.partition)]
    )

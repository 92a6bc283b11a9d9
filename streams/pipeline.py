"""From a chunk of records to new rows, outputs and dead letters: pure, the same under Kafka, over a file and in tests.

An event's fate: `decode` makes it an `Event` or a dead letter, `history.apply` brings its user's row up to date,
`answer` makes three outputs for each user of the chunk: the next action, a slate, the churn risk. Under load a user
gets one fresh set a chunk, not one an event. A user whose events were all delivered again is answered again, under
the same ids: the crash that made them come again may have been before the outputs were.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple, Protocol
from zlib import crc32

import numpy as np

from models.churn import score_event, score_silence
from models.features import context_code
from models.history import NO_EVENTS, Events, Tally, apply
from models.predictor import Predictor
from models.state import Ints, Rows
from models.windows import bins
from schemas.cloudevents import Headers
from schemas.dead_letters import dead_letter, encode_dead_letter
from schemas.events import Event, Reason, Rejected, decode_events
from schemas.topics import DEAD_LETTERS, INPUTS
from streams.options import Options
from streams.outputs import Output, Outputs, Users, churn_outputs, outputs


class Record(Protocol):
    """What a record of an input topic has, as aiokafka hands it out."""

    @property
    def key(self) -> bytes | None: ...  # noqa: D102
    @property
    def value(self) -> bytes | None: ...  # noqa: D102
    @property
    def headers(self) -> Headers: ...  # noqa: D102
    @property
    def timestamp(self) -> int: ...  # noqa: D102
    @property
    def offset(self) -> int: ...  # noqa: D102


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
    outputs: list[Outputs] = field(default_factory=list)  # by topic
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
        score_event(rows, hazards, model.card.churn, moved=rows["newest_ms"] > newest_ms)
        watch.lap("predict")
        result.outputs = outputs(Users(rows, arrived.keys, arrived.partition), actions, hazards, model, options)
        result.changes = {p: Change(arrived.keys[part], rows[part]) for p, part in arrived.parts()}
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
    before = mine["band"].copy()
    changed = np.flatnonzero(score_silence(mine, hazards, model.card.churn))
    rows[due] = mine
    if not len(changed):
        return rows, [], changed
    users = Users(mine, [keys[k] for k in due.tolist()], np.full(len(due), partition)).at(changed)
    return rows, [churn_outputs(users, hazards[changed], model, before[changed])], due[changed]


@dataclass
class _Arrived:
    keys: list[bytes]  # of each user; users of one partition stand together
    partition: Ints  # of each user
    events: Events

    def parts(self) -> Iterator[tuple[int, slice]]:
        """Yield each partition and where its users stand."""
        starts = np.flatnonzero(np.diff(self.partition, prepend=-1)).tolist()
        for start, end in zip(starts, [*starts[1:], len(self.keys)], strict=True):
            yield int(self.partition[start]), slice(start, end)


class _Watch:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage], self._last = now - self._last, now


def _decode(chunk: Chunk, model: Predictor, now_ms: int, options: Options, result: Result) -> _Arrived:
    users: dict[tuple[int, bytes], int] = {}
    row: list[int] = []
    events: list[Event] = []
    action: list[int] = []
    offset: list[int] = []
    progress: list[Ints] = []
    for origin, records in sorted(chunk.items(), key=lambda part: part[0].partition):
        decoded = decode_events(
            [r.value for r in records],
            [r.key for r in records],
            [r.headers for r in records],
            origin.topic,
            now_ms,
            options.limits,
        )
        if options.reject_unknown_items:
            decoded = _known_only(decoded, model)
        accepted = []
        for record, event in zip(records, decoded, strict=True):
            if isinstance(event, Rejected):
                _reject(record, event, origin, now_ms, options, result)
            else:
                accepted.append(event)
                offset.append(record.offset)
                row.append(users.setdefault((origin.partition, record.key or b""), len(users)))
        events += accepted
        action += [INPUTS.index(origin.topic)] * len(accepted)
        progress.append(np.maximum.accumulate(np.array([e.ts_ms for e in accepted], np.int64)))
    reached = np.concatenate(progress or [np.zeros(0, np.int64)])
    columns = Events(
        row=np.array(row, np.int64),
        action=np.array(action, np.int64),
        offset=np.array(offset, np.int64),
        ts_ms=np.array([e.ts_ms for e in events], np.int64),
        item=np.array([crc32(e.item_id.encode()) for e in events], np.int64),
        id=np.array([crc32(e.event_id.encode()) for e in events], np.int64),
        context=np.array([context_code(e.device, e.price) for e in events], np.int64),
    )
    # topics merged by event time, each in its own order: a late event stays behind what its topic delivered before it
    return _Arrived(
        [key for _, key in users],
        np.array([partition for partition, _ in users], np.int64),
        columns.at(np.argsort(reached, kind="stable")),
    )


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
    return np.concatenate([users.read(partition, arrived.keys[part]) for partition, part in arrived.parts()])

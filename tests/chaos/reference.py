"""What should have come of the accepted events: a plain fold, and `process`, one event of a user at a time, in order.

The fold shares no code with the pipeline. The reference by `process` shares the network and the row, but neither
disorder nor duplicates, chunks, recovery or redelivery: it sees each event once, in order of event time.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from zlib import crc32

import msgspec
import numpy as np
from builders import InputRecord

from chaos.final import Record
from models.predictor import Predictor
from models.state import RESOLUTIONS, RING, Rows, empty_rows, ring_ts_ms
from schemas.topics import INPUTS
from streams.options import Options
from streams.pipeline import Origin, process
from streams.user_rows import UserRows

_NOW_MS = 2**44 - 1


class Happened(NamedTuple):
    """An accepted event; in this order, but for the item, the ring has them."""

    ts_ms: int
    action: int
    id_hash: int
    item_hash: int
    value: bytes


@dataclass
class History:
    """All of one user: events in order of time, each once, and where the last of each topic stands."""

    key: bytes
    partition: int
    events: list[Happened] = field(default_factory=list)
    applied: list[int] = field(default_factory=lambda: [-1] * len(INPUTS))


def histories(accepted: Mapping[str, Iterable[Record]]) -> dict[bytes, History]:
    """Return what each user did, from the records of the input topics that hold good events."""
    users: dict[bytes, History] = {}
    unique: dict[bytes, set[Happened]] = defaultdict(set)
    for action, topic in enumerate(INPUTS):
        for record in accepted[topic]:
            key, value = record.key or b"", record.value or b""
            user = users.setdefault(key, History(key, record.partition))
            user.applied[action] = max(user.applied[action], record.offset)
            event = msgspec.json.decode(value)
            unique[key].add(
                Happened(
                    event["ts_ms"],
                    action,
                    crc32(event["event_id"].encode()),
                    crc32(event["item_id"].encode()),
                    value,
                )
            )
    for key, events in unique.items():
        users[key].events = sorted(events)
    return users


def fold_differences(history: History, row: Rows) -> Iterator[tuple[str, object, object]]:
    """Yield each field in which a row is not the plain fold of its history: name, of the row, of the fold."""
    events = history.events
    newest_ms = max(event.ts_ms for event in events)
    yield from _unequal("applied", row["applied"].tolist(), history.applied)
    yield from _unequal("newest_ms", int(row["newest_ms"]), newest_ms)
    totals = Counter(event.action for event in events)
    yield from _unequal("total", row["total"].tolist(), [totals[action] for action in range(len(INPUTS))])
    yield from _unequal("accepted", int(row["accepted"]), len(events))
    yield from _unequal("late", int(row["late"]), 0)
    for name, width, size in RESOLUTIONS:
        cells = Counter(
            (e.action, e.ts_ms // width % size) for e in events if e.ts_ms // width > newest_ms // width - size
        )
        ours = {(a, k): n for a, part in enumerate(row[name].tolist()) for k, n in enumerate(part) if n}
        yield from _unequal(name, ours, dict(cells))
    ring = {
        (len(events) - k) % RING: (event.ts_ms, event.id_hash, event.item_hash)
        for k, event in enumerate(reversed(events[-RING:]), start=1)
    }
    times = ring_ts_ms(row["ring_ts_low"], row["ring_high"])
    held = {k: (int(times[k]), int(row["ring_id"][k]), int(row["ring_item"][k])) for k in ring}
    yield from _unequal("ring", held, ring)


def _unequal(name: str, ours: object, theirs: object) -> Iterator[tuple[str, object, object]]:
    if ours != theirs:
        yield name, ours, theirs


class Reference:
    """Rows as `process` makes them.

    Args:
        users: their histories.
        models: the models that workers had.
        options: of the pipeline.
    """

    def __init__(self, users: Mapping[bytes, History], models: Sequence[Predictor], options: Options) -> None:
        self._users, self._models, self._options = users, models, options

    def rows(self, model: Predictor, users: Iterable[History]) -> dict[bytes, Rows]:
        """Return the rows of users whose events one model has all seen."""
        chosen = list(users)
        table, waves = UserRows(), max((len(user.events) for user in chosen), default=0)
        for number in range(waves):
            self._wave(table, model, chosen, number)
        return {user.key: self._with_offsets(user, table) for user in chosen}

    def rows_after_swap(
        self, old: Predictor, new: Predictor, users: Mapping[bytes, Sequence[int]]
    ) -> Iterator[tuple[bytes, Rows]]:
        """Yield user and row for each number of events before the swap that is to be tried.

        Args:
            old: saw the events before the swap; nothing of its states is left.
            new: saw the rest.
            users: for each, the numbers of events to try.
        """
        chosen = [self._users[key] for key in users]
        table, wanted = UserRows(), {key: set(numbers) for key, numbers in users.items()}
        before: dict[tuple[bytes, int], Rows] = {}
        for number in range(max((max(numbers) for numbers in users.values()), default=-1) + 1):
            for user in chosen:
                if number in wanted[user.key]:
                    before[user.key, number] = table.read(user.partition, [user.key])
            self._wave(table, old, chosen, number)
        tries: dict[int, list[tuple[History, int]]] = defaultdict(list)  # the k-th try of each user
        for user in chosen:
            for place, number in enumerate(sorted(wanted[user.key])):
                tries[place].append((user, number))
        for each in tries.values():
            table = UserRows()
            for user, number in each:
                table.write(user.partition, [user.key], before[user.key, number])
            # of the last event again: one sent twice, or delivered again, may be all that the new model got of a user
            self._wave(table, new, [user for user, _ in each], -1, {u.key: n for u, n in each}, offset=0)
            for step in range(max(len(user.events) - number for user, number in each)):
                self._wave(table, new, [user for user, _ in each], step, {u.key: n for u, n in each})
            for user, _ in each:
                yield user.key, self._with_offsets(user, table)

    def outputs(self, model: Predictor, rows: Mapping[bytes, Rows]) -> dict[tuple[str, bytes], bytes]:
        """Return what is published of these rows, by topic and user: as if their last records came again."""
        table, chunk = UserRows(), defaultdict[Origin, list[InputRecord]](list)
        for key, row in rows.items():
            user = self._users[key]
            event = user.events[-1]
            table.write(user.partition, [key], row.reshape(1))
            offset = user.applied[event.action]
            chunk[Origin(INPUTS[event.action], user.partition)].append(
                InputRecord(key, event.value, offset, event.ts_ms)
            )
        ordered = {origin: sorted(records, key=lambda r: r.offset) for origin, records in chunk.items()}
        result = process(ordered, table, model, _NOW_MS, self._options)
        return {(each.topic, each.key or b""): each.value for each in result.records()}

    def _wave(
        self,
        table: UserRows,
        model: Predictor,
        users: Sequence[History],
        number: int,
        first: Mapping[bytes, int] | None = None,
        offset: int | None = None,
    ) -> None:
        """Take in one event of each user: that with this number, from the user's first on; offset 0: once more."""
        chunk = defaultdict[Origin, list[InputRecord]](list)
        for user in users:
            place = number + (0 if first is None else first[user.key])
            if 0 <= place < len(user.events):
                event = user.events[place]
                origin = Origin(INPUTS[event.action], user.partition)
                chunk[origin].append(
                    InputRecord(user.key, event.value, place if offset is None else offset, event.ts_ms)
                )
        if chunk:
            result = process(chunk, table, model, _NOW_MS, self._options)
            for partition, change in result.changes.items():
                table.write(partition, change.keys, change.rows)

    def _with_offsets(self, user: History, table: UserRows) -> Rows:
        row: Rows = table.read(user.partition, [user.key])[0]
        row["applied"] = user.applied
        return row


def differing_fields(ours: Rows, theirs: Rows) -> list[str]:
    """Return the names of the fields in which two rows differ."""
    names = empty_rows(0).dtype.names or ()
    return [name for name in names if np.asarray(ours[name]).tobytes() != np.asarray(theirs[name]).tobytes()]

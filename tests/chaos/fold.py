"""What should have come of the accepted events, by a plain fold that shares no code with the pipeline."""

from bisect import bisect_right, insort
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from zlib import crc32

import msgspec
import numpy as np

from chaos.final import Record
from models.older_items import keys, older_key
from models.state import OLDER, RESOLUTIONS, RING, Rows, ring_ts_ms
from schemas.topics import INPUTS

Cells = Mapping[tuple[int, int], int]
"""Number of events by action and bucket."""

MOST = {"minutes": 255, "hours": 255, "days": 65_535}
"""Up to where a bucket of each window counts, as docs/contract.md says."""


class Happened(NamedTuple):
    """An accepted event; in this order, but for the item, the ring has them."""

    ts_ms: int
    action: int
    id_hash: int
    item_hash: int
    value: bytes


@dataclass
class History:
    """All of one user.

    Attributes:
        events: in order of time, each once; without those that are late for good.
        late: each time that one came too late for the ring.
        applied: where the last record of each topic stands.
        last_ms: when the last of these events was sent: what comes again, or late, ends no silence.
    """

    key: bytes
    partition: int
    events: list[Happened] = field(default_factory=list)
    late: list[Happened] = field(default_factory=list)
    applied: list[int] = field(default_factory=lambda: [-1] * len(INPUTS))
    last_ms: int = 0

    @property
    def newest_ms(self) -> int:
        """Time of the newest event."""
        return self.events[-1].ts_ms

    def totals(self) -> list[int]:
        """Return the number of events of each action; what comes late counts each time."""
        counts = Counter(event.action for event in self.events + self.late)
        return [counts[action] for action in range(len(INPUTS))]

    def cells(self, width_ms: int, size: int, most: int) -> Cells:
        """Return the buckets of a window of `size` buckets up to the newest event, but for empty ones."""
        counted = Counter(
            (e.action, e.ts_ms // width_ms % size)
            for e in self.events + self.late
            if e.ts_ms // width_ms > self.newest_ms // width_ms - size
        )
        return {cell: min(count, most) for cell, count in counted.items()}


def histories(accepted: Mapping[str, Iterable[Record]]) -> dict[bytes, History]:
    """Return what each user did, from the records of the input topics that hold good events, in order of offsets.

    Late for good is an event that more than RING newer ones of its user stand before in its own partition: these have
    been read first, in whatever order the topics were.
    """
    users: dict[bytes, History] = {}
    unique: dict[bytes, set[Happened]] = defaultdict(set)
    for action, topic in enumerate(INPUTS):
        before: dict[bytes, list[int]] = defaultdict(list)  # times of the user's events, sorted
        for record in accepted[topic]:
            key, value = record.key or b"", record.value or b""
            user = users.setdefault(key, History(key, record.partition))
            user.applied[action] = max(user.applied[action], record.offset)
            decoded = msgspec.json.decode(value)
            event = Happened(
                decoded["ts_ms"],
                action,
                crc32(decoded["event_id"].encode()),
                crc32(decoded["item_id"].encode()),
                value,
            )
            times = before[key]
            if len(times) - bisect_right(times, event.ts_ms) > RING:
                user.late.append(event)
            elif event not in unique[key]:
                unique[key].add(event)
                user.last_ms = max(user.last_ms, record.timestamp)
                insort(times, event.ts_ms)
    for key, events in unique.items():
        users[key].events = sorted(events)
    return users


def fold_differences(history: History, row: Rows) -> Iterator[tuple[str, object, object]]:
    """Yield each field in which a row is not the plain fold of its history: name, of the row, of the fold."""
    events = history.events
    yield from _unequal("applied", row["applied"].tolist(), history.applied)
    yield from _unequal("newest_ms", int(row["newest_ms"]), history.newest_ms)
    yield from _unequal("total", row["total"].tolist(), history.totals())
    yield from _unequal("accepted", int(row["accepted"]), len(events))
    yield from _unequal("late", int(row["late"]), len(history.late))
    for name, width, size in RESOLUTIONS:
        ours = {(a, k): n for a, part in enumerate(row[name].tolist()) for k, n in enumerate(part) if n}
        yield from _unequal(name, ours, history.cells(width, size, MOST[name]))
    ring = {
        (len(events) - k) % RING: (event.ts_ms, event.id_hash, event.item_hash)
        for k, event in enumerate(reversed(events[-RING:]), start=1)
    }
    times = ring_ts_ms(row["ring_ts_low"], row["ring_high"])
    held = {k: (int(times[k]), int(row["ring_id"][k]), int(row["ring_item"][k])) for k in ring}
    yield from _unequal("ring", held, ring)
    left = older_key(np.array([event.item_hash for event in events[:-RING][::-1]], np.int64))
    older = [*dict.fromkeys(left.tolist())][:OLDER]
    kept = keys(row["older_low"], row["older_high"]).tolist()
    yield from _unequal("older", kept, older + [0] * (OLDER - len(older)))


def _unequal(name: str, ours: object, theirs: object) -> Iterator[tuple[str, object, object]]:
    if ours != theirs:
        yield name, ours, theirs

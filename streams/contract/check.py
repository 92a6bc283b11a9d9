"""What a worker would do with records: refuse, drop, count only in the windows; whether they stand where they should.

The decoder, the partitioner and the loop that orders a user's events are those of the worker.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from typing import NamedTuple
from zlib import crc32

import msgspec
import numpy as np

from models.ring import Fate, arrange
from models.state import Ints
from schemas.events import Event, Limits, Reason, Rejected, decode_event
from schemas.partitioner import partition
from schemas.topics import INPUTS
from streams.contract.lines import names_of_fields
from streams.contract.record import Place, Record, Unreadable
from streams.user_rows import PartitionRows

SECONDS_END = 100_000_000_000
"""Times before this, in 1973, are taken for seconds since 1970."""

_FIELDS = frozenset(Event.__struct_fields__)
_decode = msgspec.json.Decoder(Event).decode


class Kind(StrEnum):
    """What is wrong with a record."""

    UNREADABLE = "unreadable"
    REJECTED = "rejected"
    DOUBLED = "doubled"
    LATE = "late"
    WRONG_PARTITION = "wrong_partition"
    ODD_TIME = "odd_time"


DROPPED, COUNTED_TWICE, OTHER_TIME = "dropped", "counted_twice", "other_time"
"""What becomes of an event that is sent twice."""

SECONDS = "seconds"


class Finding(NamedTuple):
    """One thing that is wrong with one record."""

    kind: Kind
    code: str  # why it is unreadable, the reason of a refusal, or what becomes of the record
    place: Place
    detail: str = ""
    first: Place | None = None  # where the event stood before
    stands: int | None = None  # on this partition
    belongs: int | None = None  # and should on this one


@dataclass
class Counts:
    """What was found in all records."""

    records: int = 0
    accepted: int = 0
    reordered: int = 0
    keyless: int = 0  # of which no key was known
    findings: Counter[tuple[str, str]] = field(default_factory=Counter)  # by kind and code
    not_read: Counter[str] = field(default_factory=Counter)  # by name of the field
    as_crc32: int = 0  # of those on a wrong partition, as many stand where librdkafka's default puts them


class Check:
    """Takes records in order of their arrival and tells what is wrong with them. Keeps a row of each user.

    Args:
        limits: what workers accept.
        now_ms: the present.
        partitions: of the input topics.
        knows: whether the model knows items, by their hashes [items]; None: all are accepted.
    """

    def __init__(
        self, limits: Limits, now_ms: int, partitions: int, knows: Callable[[Ints], Sequence[bool]] | None = None
    ) -> None:
        self.counts = Counts()
        self._limits = limits
        self._now_ms = now_ms
        self._partitions = partitions
        self._knows = knows
        self._users = PartitionRows()
        self._seen: dict[int, tuple[Place, int]] = {}  # where and with which time each event stood first
        self._arrived = 0

    def feed(self, records: Sequence[Record | Unreadable]) -> list[Finding]:
        """Return what is wrong with the next records, in their order."""
        events: list[tuple[Record, Event]] = []
        found: list[Finding] = []
        for record in records:
            if isinstance(record, Unreadable):
                found.append(Finding(Kind.UNREADABLE, record.code, record.place, record.why))
                continue
            verdict = self._decoded(record)
            if isinstance(verdict, Rejected):
                detail = verdict.detail + _meant(verdict, record.value)
                found.append(Finding(Kind.REJECTED, verdict.reason.value, record.place, detail))
            else:
                events.append((record, verdict))
                found += self._of_content(record, verdict)
        for (record, event), fate in zip(events, self._fates(events), strict=True):
            found += self._of_history(record, event, fate)
            self.counts.reordered += fate == Fate.REORDERED
        self.counts.records += len(records)
        self.counts.accepted += len(events)
        self.counts.findings.update((finding.kind, finding.code) for finding in found)
        order = {record.place: k for k, record in enumerate(records)}
        return sorted(found, key=lambda finding: order[finding.place])

    def _decoded(self, record: Record) -> Event | Rejected:
        key = record.key
        if not record.keyed:
            self.counts.keyless += 1
            key = _user_id(record.value)
        verdict = decode_event(record.value, key, record.headers, record.topic, self._now_ms, self._limits)
        if isinstance(verdict, Event) and self._knows is not None:
            [known] = self._knows(np.array([crc32(verdict.item_id.encode())]))
            if not known:
                return Rejected(Reason.UNKNOWN_ITEM, "the model does not know the item")
        return verdict

    def _of_content(self, record: Record, event: Event) -> Iterator[Finding]:
        self.counts.not_read.update(names_of_fields(record.value or b"") - _FIELDS)
        if event.ts_ms < SECONDS_END:
            yield Finding(Kind.ODD_TIME, SECONDS, record.place)
        if record.partition is not None and record.key is not None:
            belongs = partition(record.key, self._partitions)
            if belongs != record.partition:
                self.counts.as_crc32 += crc32(record.key) % self._partitions == record.partition
                yield Finding(Kind.WRONG_PARTITION, "murmur2", record.place, stands=record.partition, belongs=belongs)

    def _of_history(self, record: Record, event: Event, fate: int) -> Iterator[Finding]:
        name = hash((event.user_id, record.topic, event.event_id, event.item_id))
        before = self._seen.setdefault(name, (record.place, event.ts_ms))
        first = None if before[0] == record.place else before[0]
        if fate == Fate.DUPLICATE:
            yield Finding(Kind.DOUBLED, DROPPED, record.place, first=first)
        elif first is not None:
            code = COUNTED_TWICE if before[1] == event.ts_ms else OTHER_TIME
            yield Finding(Kind.DOUBLED, code, record.place, first=first)
        elif fate == Fate.LATE:
            yield Finding(Kind.LATE, "windows_only", record.place)

    def _fates(self, events: Sequence[tuple[Record, Event]]) -> list[int]:
        """Return what becomes of each event in its user's ring, and keep the rings."""
        if not events:
            return []
        place: dict[bytes, int] = {}
        row = [place.setdefault(event.user_id.encode(), len(place)) for _, event in events]
        users = list(place)
        rows = self._users.read(users)
        columns = (
            row,
            [INPUTS.index(record.topic) for record, _ in events],
            range(self._arrived, self._arrived + len(events)),  # as offsets: nothing is delivered again
            [event.ts_ms for _, event in events],
            [crc32(event.item_id.encode()) for _, event in events],
            [crc32(event.event_id.encode()) for _, event in events],
            [0] * len(events),
        )
        self._arrived += len(events)
        fate, *_ = arrange(rows, 0, *(np.array(column, np.int64) for column in columns))
        self._users.write(users, rows)
        fates: list[int] = fate.tolist()
        return fates


def _meant(verdict: Rejected, value: bytes | None) -> str:
    """Return which name stands there in place of a field that is missing, if one looks like it."""
    missing = verdict.detail.split("`")[1:2] if verdict.reason == Reason.MISSING_FIELD else []
    near = [name for field in missing for name in get_close_matches(field, names_of_fields(value or b"") - _FIELDS, 1)]
    return "".join(f", and {name!r} is there" for name in near)


def _user_id(value: bytes | None) -> bytes | None:
    """Return the key that an event should have, None if it is no event: the decoder then says why."""
    try:
        return _decode(value or b"").user_id.encode()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None

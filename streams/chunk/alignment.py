"""Merging the input topics by time: records wait until every topic of their partition has come as far.

After an outage, or in a replay, one topic may be fetched hours ahead of another. A user's events must then not be
handled in the order of their fetch: most would come too late for the ring. So of the partitions with one number, one a
topic, records are handed on up to the time that all have reached. (Kafka Streams does the same, KIP-353.)

Live, a partition that is read to its end holds nobody up, and an event is answered at once; what little disorder
comes of that, the ring repairs. In a backlog, where the producers may be writing just as fast, it holds the others up
until it has been silent for a while.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any, TypeAlias

from faust.types import TP

Records: TypeAlias = Sequence[Any]

LIVE_MS = 30_000
"""A partition whose newest record is younger than this is live."""

PARTITION_BYTES = 4_000_000
"""Bytes of values that a partition may hold, beside what one fetch brings."""

_KNOWN_MORE = 10
_ANY_TIME = float("inf")


class Alignment:
    """Records that were fetched and not yet handed on.

    Args:
        capacity: of each partition; one that holds as many, or `PARTITION_BYTES`, need not be fetched further.
        patience_s: how long a partition that is read to its end must be silent before the others go on without it; ten
            times as long if it is known to have more.
        at_once: records handed on at once, over all partitions; a few more where many are of the same time.
    """

    def __init__(self, capacity: int, patience_s: float, at_once: int) -> None:
        self._capacity, self._patience_s, self._at_once = capacity, patience_s, at_once
        self._waiting: dict[TP, list[Any]] = {}
        self._heard_s: dict[TP, float] = {}
        self._newest_ms: dict[int, int] = {}  # by number of the partition
        self._moved_s: dict[int, float] = {}  # by number: when last no partition was held up as a whole

    def clear(self) -> None:
        """Forget everything: positions have moved."""
        self._waiting.clear()
        self._heard_s.clear()
        self._newest_ms.clear()
        self._moved_s.clear()

    def full(self) -> set[TP]:
        """Return the partitions that hold enough."""
        return {
            tp
            for tp, records in self._waiting.items()
            if len(records) >= self._capacity or _size(records) >= PARTITION_BYTES
        }

    def waits(self, number: int) -> bool:
        """Tell whether any record of the partitions with this number is here."""
        return any(records for tp, records in self._waiting.items() if tp.partition == number)

    def add(self, fetched: Mapping[TP, Records], now_s: float) -> None:
        """Take records in, of each partition in order of offsets."""
        for tp, records in fetched.items():
            if not self.waits(tp.partition):
                self._moved_s[tp.partition] = now_s
            self._waiting.setdefault(tp, []).extend(records)
            self._heard_s[tp] = now_s
            newest_ms = max(record.timestamp for record in records)
            self._newest_ms[tp.partition] = max(newest_ms, self._newest_ms.get(tp.partition, newest_ms))

    def behind(self, assigned: set[TP], caught_up: Callable[[TP], bool]) -> set[TP]:
        """Return the partitions that others wait for: nothing of them is here, and there is more to fetch."""
        busy = {tp.partition for tp, records in self._waiting.items() if records}
        return {tp for tp in assigned if tp.partition in busy and not self._waiting.get(tp) and not caught_up(tp)}

    def take(
        self, assigned: set[TP], caught_up: Callable[[TP], bool], now_s: float, wall_ms: int
    ) -> dict[TP, list[Any]]:
        """Return the records that may be handled now, of each partition in order of offsets.

        Args:
            assigned: all partitions that are read.
            caught_up: tells whether a partition has no more to fetch than what is here.
            now_s: a clock that never goes back.
            wall_ms: the present, in the time of the records.
        """
        groups: dict[int, list[TP]] = {}
        for tp in assigned:
            groups.setdefault(tp.partition, []).append(tp)
        groups = {number: tps for number, tps in groups.items() if any(self._waiting.get(tp) for tp in tps)}
        taken: dict[TP, list[Any]] = {}
        for number, tps in groups.items():
            live = self._newest_ms[number] > wall_ms - LIVE_MS
            limit = min(self._reached(tp, caught_up(tp), live, now_s) for tp in tps)
            if now_s - self._moved_s[number] >= self._patience_s * _KNOWN_MORE and all(map(caught_up, tps)):
                limit = _ANY_TIME  # nothing more is to come: the topics' clocks differ
            # the time that each record's partition has come to: a late record goes with what came before it
            reached = {tp: list(accumulate((r.timestamp for r in self._waiting.get(tp, ())), max)) for tp in tps}
            ready = sorted(time for times in reached.values() for time in times[: bisect_right(times, limit)])
            share = max(1, self._at_once // len(groups))
            if len(ready) > share:
                limit = ready[share - 1]
            for tp in tps:
                count = bisect_right(reached[tp], limit)
                if count:
                    taken[tp] = self._waiting[tp][:count]
                    del self._waiting[tp][:count]
            if not any(self._waiting.get(tp) for tp in tps if tp not in taken):
                self._moved_s[number] = now_s
        return taken

    def _reached(self, tp: TP, caught_up: bool, live: bool, now_s: float) -> float:
        """Return the time that a partition has come to: whatever it brings next is not earlier."""
        if caught_up and live:
            return _ANY_TIME
        records = self._waiting.get(tp)
        if records:  # a full partition is not fetched, so it is not silent: what it brings next is later than this
            newest: float = max(record.timestamp for record in records)
            return newest
        patience_s = self._patience_s if caught_up else self._patience_s * _KNOWN_MORE
        silent_s = now_s - self._heard_s.setdefault(tp, now_s)
        return _ANY_TIME if silent_s >= patience_s else -_ANY_TIME


def _size(records: Records) -> int:
    return sum(len(record.value or b"") for record in records)

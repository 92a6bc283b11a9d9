"""Merging the input topics by time: records wait until every topic of their partition has come as far.

After an outage one topic may be fetched hours ahead of another. A user's events must then not be handled in the order
of their fetch: most would come too late for the ring. So of the partitions with one number, one a topic, records are
handed on up to the time that all have reached; a partition with nothing more to fetch holds nobody up. (Kafka Streams
does the same, KIP-353.) What little disorder is left, the ring repairs.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from faust.types import TP

Records: TypeAlias = Sequence[Any]


class Alignment:
    """Records that were fetched and not yet handed on.

    Args:
        capacity: of each partition; a partition that holds as many need not be fetched further.
        patience_s: how long to wait for a partition that is behind; then the others go on without it.
    """

    def __init__(self, capacity: int, patience_s: float) -> None:
        self._capacity, self._patience_s = capacity, patience_s
        self._waiting: dict[TP, list[Any]] = {}
        self._blocked_since: dict[int, float] = {}

    def clear(self) -> None:
        """Forget everything: positions have moved."""
        self._waiting.clear()
        self._blocked_since.clear()

    def full(self) -> set[TP]:
        """Return the partitions that hold enough."""
        return {tp for tp, records in self._waiting.items() if len(records) >= self._capacity}

    def add(self, fetched: Mapping[TP, Records]) -> None:
        """Take records in, of each partition in order of offsets."""
        for tp, records in fetched.items():
            self._waiting.setdefault(tp, []).extend(records)

    def behind(self, assigned: set[TP], caught_up: Callable[[TP], bool]) -> set[TP]:
        """Return the partitions that others wait for: nothing of them is here, and there is more to fetch."""
        busy = {tp.partition for tp, records in self._waiting.items() if records}
        return {tp for tp in assigned if tp.partition in busy and not self._waiting.get(tp) and not caught_up(tp)}

    def take(self, assigned: set[TP], caught_up: Callable[[TP], bool], now_s: float) -> dict[TP, list[Any]]:
        """Return the records that may be handled now, of each partition in order of offsets.

        Args:
            assigned: all partitions that are read.
            caught_up: tells whether a partition has no more to fetch than what is here.
            now_s: a clock that never goes back.
        """
        groups: dict[int, list[TP]] = {}
        for tp in assigned:
            groups.setdefault(tp.partition, []).append(tp)
        taken: dict[TP, list[Any]] = {}
        for number, tps in groups.items():
            held = [tp for tp in tps if self._waiting.get(tp)]
            if not held:
                self._blocked_since.pop(number, None)
                continue
            ends = [
                max(record.timestamp for record in self._waiting[tp]) if self._waiting.get(tp) else None
                for tp in tps
                if not caught_up(tp)
            ]
            if None in ends:
                if now_s - self._blocked_since.setdefault(number, now_s) < self._patience_s:
                    continue
                ends = [end for end in ends if end is not None]
            self._blocked_since.pop(number, None)
            limit = min((end for end in ends if end is not None), default=None)
            for tp in held:
                ready = self._ready(self._waiting[tp], limit)
                if ready:
                    taken[tp] = self._waiting[tp][:ready]
                    del self._waiting[tp][:ready]
        return taken

    @staticmethod
    def _ready(records: Records, limit: int | None) -> int:
        """Return how many records from the first on are no later than the limit."""
        if limit is None:
            return len(records)
        return next((n for n, record in enumerate(records) if record.timestamp > limit), len(records))

"""Merging the input topics by time: records wait until every topic of their partition has come as far.

After an outage, or in a replay, one topic may be fetched hours ahead of another. A user's events must then not be
handled in the order of their fetch: most would come too late for the ring. So of the partitions with one number, one a
topic, records are handed on up to the time that all have reached. (Kafka Streams does the same, KIP-353.)

Live, a partition that is read to its end holds nobody up, and an event is answered at once; what little disorder
comes of that, the ring repairs. In a backlog, where the producers may be writing just as fast, it holds the others up
until it has been silent for a while.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from faust.types import TP

Records: TypeAlias = Sequence[Any]

LIVE_MS = 30_000
"""Records younger than this are live."""

_KNOWN_MORE = 10
_ANY_TIME = float("inf")


class Alignment:
    """Records that were fetched and not yet handed on.

    Args:
        capacity: of each partition; a partition that holds as many need not be fetched further.
        patience_s: how long a partition that is read to its end must be silent before the others go on without it; ten
            times as long if it is known to have more.
    """

    def __init__(self, capacity: int, patience_s: float) -> None:
        self._capacity, self._patience_s = capacity, patience_s
        self._waiting: dict[TP, list[Any]] = {}
        self._heard_s: dict[TP, float] = {}

    def clear(self) -> None:
        """Forget everything: positions have moved."""
        self._waiting.clear()
        self._heard_s.clear()

    def full(self) -> set[TP]:
        """Return the partitions that hold enough."""
        return {tp for tp, records in self._waiting.items() if len(records) >= self._capacity}

    def add(self, fetched: Mapping[TP, Records], now_s: float) -> None:
        """Take records in, of each partition in order of offsets."""
        for tp, records in fetched.items():
            self._waiting.setdefault(tp, []).extend(records)
            self._heard_s[tp] = now_s

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
        taken: dict[TP, list[Any]] = {}
        for tps in groups.values():
            held = [tp for tp in tps if self._waiting.get(tp)]
            if not held:
                continue
            live = min(self._waiting[tp][0].timestamp for tp in held) > wall_ms - LIVE_MS
            limit = min(self._reached(tp, caught_up(tp), live, now_s) for tp in tps)
            for tp in held:
                records = self._waiting[tp]
                ready = next((n for n, record in enumerate(records) if record.timestamp > limit), len(records))
                if ready:
                    taken[tp] = records[:ready]
                    del records[:ready]
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

"""Merging the input topics by time: records wait until every topic of their partition has come as far.

After an outage, or in a replay, one topic may be fetched hours ahead of another. A user's events must then not be
handled in the order of their fetch: most would come too late for the ring. So of the partitions with one number, one a
topic, records are handed on up to the time that all have reached. (Kafka Streams does the same, KIP-353.)

Live, a partition that is read to its end holds nobody up, and an event is answered at once; what little disorder
comes of that, the ring repairs. In a backlog, where the producers may be writing just as fast, it holds the others up
until it has been silent for a while.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import chain

import numpy as np
from faust.types import TP

from models.compiled import compiled
from models.state import Ints
from streams.fetched import VALUE, VALUE_END, Fetched, joined

LIVE_MS = 30_000
"""A partition whose newest record is younger than this is live."""

PARTITION_BYTES = 4_000_000
"""Bytes of values that a partition may hold, beside what one fetch brings."""

_KNOWN_MORE = 10
_ANY_TIME = float("inf")


class _Queue:
    """Records of one partition that wait, each with the time that the partition has come to at it."""

    def __init__(self) -> None:
        self._pieces: list[tuple[Fetched, Ints]] = []  # a late record goes with what came before it
        self._bytes = 0  # of values
        self.count = 0

    def add(self, records: Fetched) -> None:
        reached = records.timestamps_ms
        if len(records) > 1 or self._pieces:
            reached = np.maximum.accumulate(reached)
            if self._pieces:
                reached = np.maximum(reached, self.reached_ms)
        self._pieces.append((records, reached))
        self._bytes += _value_bytes(records)
        self.count += len(records)

    @property
    def reached_ms(self) -> int:
        """The time that the partition has come to."""
        return int(self._pieces[-1][1][-1])

    def ready(self, limit: float) -> int:
        """Return the number of records up to a time."""
        count = 0
        for records, reached in self._pieces:
            if reached[-1] > limit:
                return count + int(np.searchsorted(reached, limit, "right"))
            count += len(records)
        return count

    def times(self, count: int) -> Iterator[Ints]:
        """Yield the times of the first records, in parts."""
        for records, reached in self._pieces:
            if count <= 0:
                return
            yield reached[:count]
            count -= len(records)

    def take(self, count: int) -> Fetched:
        self.count -= count
        taken = []
        while count > 0:
            records, reached = self._pieces[0]
            if len(records) <= count:
                del self._pieces[0]
            else:
                self._pieces[0] = records[count:], reached[count:]
                records = records[:count]
            taken.append(records)
            self._bytes -= _value_bytes(records)
            count -= len(records)
        return joined(taken)

    def full(self, capacity: int) -> bool:
        """Tell whether it holds so many records, or `PARTITION_BYTES`."""
        return self.count >= capacity or self._bytes >= PARTITION_BYTES


def _value_bytes(records: Fetched) -> int:
    return _length(records.columns[VALUE], records.columns[VALUE_END])


@compiled
def _length(start: Ints, end: Ints) -> int:
    length = 0
    for k in range(len(start)):
        length += end[k] - start[k]
    return length


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
        self._waiting: dict[TP, _Queue] = {}  # only of what holds a record
        self._heard_s: dict[TP, float] = {}
        self._newest_ms: dict[int, int] = {}  # by number of the partition
        self._moved_s: dict[int, float] = {}  # by number: when last no partition was held up as a whole

    def clear(self) -> None:
        """Forget everything: positions have moved."""
        self._waiting.clear()
        self._heard_s.clear()
        self._newest_ms.clear()
        self._moved_s.clear()

    def __len__(self) -> int:
        """Return the number of records that wait."""
        return sum(queue.count for queue in self._waiting.values())

    def full(self) -> set[TP]:
        """Return the partitions that hold enough."""
        return {tp for tp, queue in self._waiting.items() if queue.full(self._capacity)}

    def holds(self, tp: TP) -> bool:
        """Tell whether any record of this partition is here."""
        return tp in self._waiting

    def waits(self, number: int) -> bool:
        """Tell whether any record of the partitions with this number is here."""
        return any(tp.partition == number for tp in self._waiting)

    def add(self, fetched: Mapping[TP, Fetched], now_s: float) -> None:
        """Take records in, of each partition in order of offsets."""
        waiting = {tp.partition for tp in self._waiting}
        for tp, records in fetched.items():
            if tp.partition not in waiting:
                self._moved_s[tp.partition] = now_s
                waiting.add(tp.partition)
            queue = self._waiting.setdefault(tp, _Queue())
            queue.add(records)
            self._heard_s[tp] = now_s
            newest_ms = queue.reached_ms
            self._newest_ms[tp.partition] = max(newest_ms, self._newest_ms.get(tp.partition, newest_ms))

    def take(self, assigned: set[TP], caught_up: Callable[[TP], bool], now_s: float, wall_ms: int) -> dict[TP, Fetched]:
        """Return the records that may be handled now, of each partition in order of offsets.

        Args:
            assigned: all partitions that are read.
            caught_up: tells whether a partition has no more to fetch than what is here.
            now_s: a clock that never goes back.
            wall_ms: the present, in the time of the records.
        """
        groups: dict[int, list[TP]] = {tp.partition: [] for tp in self._waiting if tp in assigned}
        for tp in assigned:
            if tp.partition in groups:
                groups[tp.partition].append(tp)
        share = max(1, self._at_once // max(1, len(groups)))
        taken: dict[TP, Fetched] = {}
        for number, tps in groups.items():
            ended = {tp: caught_up(tp) for tp in tps}
            live = self._newest_ms[number] > wall_ms - LIVE_MS
            limit = min(self._reached(tp, ended[tp], live, now_s) for tp in tps)
            if now_s - self._moved_s[number] >= self._patience_s * _KNOWN_MORE and all(ended.values()):
                limit = _ANY_TIME  # nothing more is to come: the topics' clocks differ
            queues = {tp: self._waiting[tp] for tp in tps if tp in self._waiting}
            ready = {tp: queue.ready(limit) for tp, queue in queues.items()}
            if sum(ready.values()) > share:
                firsts = chain.from_iterable(queues[tp].times(min(ready[tp], share)) for tp in queues)
                limit = int(np.partition(np.concatenate([*firsts]), share - 1)[share - 1])
                ready = {tp: queue.ready(limit) for tp, queue in queues.items()}
            for tp, count in ready.items():
                if count:
                    taken[tp] = queues[tp].take(count)
                    if not queues[tp].count:
                        del self._waiting[tp]
            if all(ready.values()):
                self._moved_s[number] = now_s
        return taken

    def _reached(self, tp: TP, caught_up: bool, live: bool, now_s: float) -> float:
        """Return the time that a partition has come to: whatever it brings next is not earlier."""
        if caught_up and live:
            return _ANY_TIME
        queue = self._waiting.get(tp)
        if queue is not None:  # a full one is not fetched, so not silent: what it brings next is later than this
            return queue.reached_ms
        patience_s = self._patience_s if caught_up else self._patience_s * _KNOWN_MORE
        silent_s = now_s - self._heard_s.setdefault(tp, now_s)
        return _ANY_TIME if silent_s >= patience_s else -_ANY_TIME

"""Whether every event was answered, and how soon: what a reader of inputs and outputs can tell of the pipeline."""

from array import array
from collections import Counter, deque
from typing import NamedTuple

import msgspec
import numpy as np

from schemas.outputs import Position
from schemas.topics import CHURN_RISK, DEAD_LETTERS, INPUTS, NEXT_ACTIONS, OUTPUTS, RECOMMENDATIONS


class Latency(NamedTuple):
    """From an event's record timestamp to the moment that the last of its outputs was read, ms."""

    p50_ms: float
    p99_ms: float


class _Sent(NamedTuple):
    topic: str
    offset: int
    timestamp_ms: int


class _BasedOn(msgspec.Struct):
    based_on: Position


class Answers:
    """Follows inputs and outputs, in any order.

    An event is answered when in each output topic an output of its user is based on its offset or a later one.

    Attributes:
        read: number of records read of each topic.
        answered: number of events answered.
    """

    def __init__(self) -> None:
        self.read: Counter[str] = Counter()
        self.answered = 0
        self._waiting: dict[bytes, deque[_Sent]] = {}  # the events of a user not answered yet
        self._applied: dict[bytes, dict[str, dict[str, int]]] = {}  # user, output topic, input topic: offset
        self._took_ms = array("d")
        self._decode = msgspec.json.Decoder(_BasedOn).decode

    def see(self, topic: str, key: bytes, value: bytes, offset: int, timestamp_ms: int, now_ms: float) -> None:
        """Take a record, read at `now_ms`.

        Args:
            topic: name without prefix.
            key: of the record.
            value: of the record.
            offset: of the record.
            timestamp_ms: of the record, ms since 1970.
            now_ms: the present, ms since 1970.
        """
        self.read[topic] += 1
        if topic in INPUTS:
            self._waiting.setdefault(key, deque()).append(_Sent(topic, offset, timestamp_ms))
        elif topic in OUTPUTS:
            reached = self._applied.setdefault(key, {}).setdefault(topic, {})
            for source, applied in self._decode(value).based_on.offsets.items():
                reached[source] = max(applied, reached.get(source, -1))
        self._settle(key, now_ms)

    @property
    def events(self) -> int:
        """Number of events read."""
        return sum(self.read[topic] for topic in INPUTS)

    @property
    def users(self) -> int:
        """Number of users with an event."""
        return len(self._waiting)

    @property
    def all_answered(self) -> bool:
        """Whether no event that was read waits for an answer."""
        return self.answered == self.events

    def latency(self, last: int | None = None) -> Latency:
        """Return percentiles over all events answered, or over the last so many."""
        took = self._took_ms if last is None else self._took_ms[-last:]
        p50, p99 = np.percentile(took, [50, 99]).tolist() if took else (0.0, 0.0)
        return Latency(round(p50, 1), round(p99, 1))

    def counts(self) -> dict[str, int]:
        """Return the number of events, outputs, dead letters and users, as a summary has them."""
        return {
            "events": self.events,
            "next_actions": self.read[NEXT_ACTIONS],
            "recommendations": self.read[RECOMMENDATIONS],
            "churn_risk": self.read[CHURN_RISK],
            "dead_letters": self.read[DEAD_LETTERS],
            "users": self.users,
        }

    def _settle(self, user: bytes, now_ms: float) -> None:
        waiting, applied = self._waiting.get(user), self._applied.get(user, {})
        if not waiting or len(applied) < len(OUTPUTS):
            return
        still = deque[_Sent]()
        for sent in waiting:
            if all(reached.get(sent.topic, -1) >= sent.offset for reached in applied.values()):
                self.answered += 1
                self._took_ms.append(max(now_ms - sent.timestamp_ms, 0.0))
            else:
                still.append(sent)
        self._waiting[user] = still

"""What a consumer of `next-actions` sees while faults strike: when each partition's events were answered."""

import time
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self

import confluent_kafka
import msgspec

from schemas.outputs import NextAction
from schemas.topics import INPUTS, NEXT_ACTIONS, physical_name
from streams.benchmark.open_loop import arguments
from streams.settings import Settings

MOMENT_S = 1.0
"""Events of a partition come much more often than that."""


class Watch(Thread):
    """Reads the answers as they come, in a thread of its own. Use it in a `with` block.

    Args:
        settings: brokers and topics.

    Attributes:
        answered_s: of each partition, when an answer went further than all before it; by the monotonic clock.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(name="watch", daemon=True)
        self.answered_s: list[list[float]] = [[] for _ in range(settings.partitions)]
        self._furthest = [[-1, -1, -1] for _ in range(settings.partitions)]
        self._over = Event()
        own = {"group.id": "watch", "enable.auto.commit": False, "log_level": 2, "fetch.wait.max.ms": 20}
        self._consumer: Any = confluent_kafka.Consumer(arguments(settings) | own)
        topic = physical_name(NEXT_ACTIONS, settings.topic_prefix)
        self._consumer.assign([confluent_kafka.TopicPartition(topic, p, 0) for p in range(settings.partitions)])

    def run(self) -> None:
        """Read until told to stop."""
        decode = msgspec.json.Decoder(NextAction).decode
        while not self._over.is_set():
            for record in self._consumer.consume(500, 0.1):
                if record.error() is None:
                    offsets = decode(record.value()).based_on.offsets
                    self._see(record.partition(), [offsets[topic] for topic in INPUTS])

    def _see(self, partition: int, offsets: Sequence[int]) -> None:
        furthest = self._furthest[partition]
        if any(new > old for new, old in zip(offsets, furthest, strict=True)):
            self._furthest[partition] = [max(pair) for pair in zip(offsets, furthest, strict=True)]
            self.answered_s[partition].append(time.monotonic())

    def silent_s(self) -> list[float]:
        """Return for how long each partition has had no answer to anything new."""
        now_s = time.monotonic()
        return [now_s - times[-1] if times else now_s for times in self.answered_s]

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self._over.set()
        self.join(5)
        self._consumer.close()


def resumed_after_s(times: Sequence[Sequence[float]], struck_s: float, next_s: float) -> float:
    """Return the longest time for which a partition had no answer, of the times that began after a fault.

    Args:
        times: when each partition was answered.
        struck_s: when the fault struck.
        next_s: when the next fault did: what begins then is that one's.

    >>> resumed_after_s([[0.0, 1.0, 1.5, 9.0, 9.1, 11.0]], struck_s=2.0, next_s=9.05)
    7.0
    >>> resumed_after_s([[0.0, 1.0, 1.5, 9.0, 9.1, 11.0]], struck_s=0.5, next_s=2.0)
    0.5
    """
    longest = 0.0
    for answered in times:
        # the last answer before a fault is a moment older than it
        first, end = bisect_left(answered, struck_s - MOMENT_S), bisect_left(answered, next_s)
        for before, after in pairwise(answered[first : end + 1]):
            if after > struck_s and (before < next_s - MOMENT_S or after <= next_s):
                longest = max(longest, after - max(before, struck_s))
    return longest

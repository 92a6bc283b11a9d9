"""Send many records, keep a bounded number of them underway, and count what the broker acknowledged."""

import time
from collections import deque
from contextlib import suppress
from functools import lru_cache
from threading import Event as Flag
from types import TracebackType
from typing import Any, Self

from kafka import KafkaProducer
from kafka.errors import KafkaError

from schemas.partitioner import partition
from streams.errors import NotDelivered

UNDERWAY = 20_000
"""Records sent and not yet acknowledged: the producer itself has no bound. Some 20 MB."""

CLOSE_TIMEOUT_S = 5.0
STOP_TIMEOUT_S = 5.0
"""How long the broker may take to acknowledge what is underway, once told to stop."""

_NAP_S = 0.25


class Delivery:
    """What a producer sends, until `finish` says that all of it is on the broker. Closes the producer.

    Attributes:
        sent: number of records given to the producer.
        acknowledged: of these, how many are on the broker.
        failed: how many never will be.
    """

    def __init__(self, producer: KafkaProducer, partitions: int, stop: Flag | None = None) -> None:
        """Take a producer over; `partitions` is that of every topic that is sent to; `stop` ends all waiting soon."""
        self.sent = 0
        self.acknowledged = 0
        self.failed = 0
        self._producer = producer
        self._underway: deque[Any] = deque()
        self._problem = ""
        self._stop = stop or Flag()
        self._patience_ends_s: float | None = None
        # the producer's own partitioner is the same murmur2 without a memory: a third of the cost of a send
        self._partition = lru_cache(maxsize=200_000)(lambda key: partition(key, partitions))

    def send(self, topic: str, key: bytes, value: bytes, timestamp_ms: int | None = None) -> None:
        """Send a record; its time is now unless one is given. Waits while too many are underway."""
        where = self._partition(key)
        self._underway.append(self._producer.send(topic, value, key, partition=where, timestamp_ms=timestamp_ms))
        self.sent += 1
        if len(self._underway) >= UNDERWAY:
            self._settle(UNDERWAY // 2)

    def finish(self) -> None:
        """Wait until every record is acknowledged; told to stop, for a few seconds only.

        Raises:
            NotDelivered: some are not.
        """
        self._settle(0)
        if self.failed:
            raise NotDelivered(
                f"{self.failed} of {self.sent} records were not delivered ({self._problem}): look after the broker,"
                " then send again; events that come twice are dropped by their event_id"
            )

    def _settle(self, keep: int) -> None:
        while len(self._underway) > keep or (self._underway and self._underway[0].is_done):
            future = self._underway.popleft()
            while not future.is_done and not self._gives_up():
                with suppress(KafkaError):
                    future.get(_NAP_S)  # ends: the producer gives up after its delivery timeout
            if not future.is_done:
                self.failed += 1
                self._problem = f"not acknowledged within {STOP_TIMEOUT_S:.0f} s after being told to stop"
            elif future.failed():
                self.failed += 1
                self._problem = str(future.exception) or type(future.exception).__name__
            else:
                self.acknowledged += 1

    def _gives_up(self) -> bool:
        if not self._stop.is_set():
            return False
        if self._patience_ends_s is None:
            self._patience_ends_s = time.monotonic() + STOP_TIMEOUT_S
        return time.monotonic() > self._patience_ends_s

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the producer; what is not acknowledged within a few seconds is given up."""
        with suppress(KafkaError):
            self._producer.close(timeout=0 if self._patience_ends_s is not None and self.failed else CLOSE_TIMEOUT_S)

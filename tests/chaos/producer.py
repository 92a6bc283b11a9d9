"""Sends messages when they are due, through any outage, and keeps what the brokers have acknowledged."""

import time
from collections import Counter
from collections.abc import Iterator
from threading import Event, Thread
from types import TracebackType
from typing import Any, NamedTuple, Self

import confluent_kafka

from chaos.messages import Message
from schemas.partitioner import partition
from schemas.topics import INPUTS, physical_name
from streams.benchmark.open_loop import arguments
from streams.settings import Settings

MOST_UNDERWAY = 6
"""Events of one user, but of one topic, that may be underway: while a partition has no leader, others may run ahead."""

HURRY = 4
"""How many times faster than planned it sends after an outage."""

_FLUSH_S = 120.0
_POLL_S = 0.01


class Place(NamedTuple):
    """Where a record stands."""

    topic: str  # without prefix
    partition: int
    offset: int


class Producer(Thread):
    """Sends in a thread of its own. Use it in a `with` block.

    Args:
        settings: the brokers, the prefix of the topics.
        messages: what to send.
        start_ms: when to begin, by the wall clock.

    Attributes:
        acknowledged: each message that was acknowledged, with its place; offset -1: the broker did not say.
        sent: number of messages handed to the client.
        problem: what ended it before it was told to stop; None: nothing did.
    """

    problem: Exception | None = None

    def __init__(self, settings: Settings, messages: Iterator[Message], start_ms: int) -> None:
        super().__init__(name="producer", daemon=True)
        self.acknowledged: list[tuple[Message, Place]] = []
        self.sent = 0
        self._settings, self._messages, self._start_ms = settings, messages, start_ms
        self._stop_sending, self._held, self._burst = Event(), Event(), Event()
        self._underway: Counter[tuple[int, str]] = Counter()
        own = {
            "acks": "all",
            "enable.idempotence": True,
            "message.timeout.ms": 0,  # for ever
            "linger.ms": 25,  # as producers do that send much; a chunk an event would be most of what two cores can do
            "compression.type": "lz4",
            "log_level": 2,
            "topic.metadata.refresh.interval.ms": 5000,
        }
        self._client: Any = confluent_kafka.Producer(arguments(settings) | own)

    def run(self) -> None:
        """Send until told to stop, then wait for the acknowledgements."""
        try:
            self._send()
        except Exception as error:  # noqa: BLE001 - kept for the thread that waits
            self.problem = error

    def _send(self) -> None:
        step_s = 0.0
        for message in self._messages:
            due_s = (self._start_ms + message.due_ms) / 1000
            # behind the plan: catch up, but never in one burst
            wake_s = time.time() + step_s
            while self._wait(message, due_s, wake_s) and not self._stop_sending.is_set():
                self._client.poll(min(max(max(due_s, wake_s) - time.time(), 0.001), _POLL_S))
            if self._stop_sending.is_set():
                break
            self._produce(message)
            step_s = 1 / (HURRY * self._rate)
        if left := self._client.flush(_FLUSH_S):
            raise TimeoutError(f"{left} messages are not acknowledged after {_FLUSH_S:.0f} s")

    def _wait(self, message: Message, due_s: float, wake_s: float) -> bool:
        now_s = time.time()
        if due_s > now_s:
            self._burst.clear()  # all that was held back is out
        early = now_s < (due_s if self._burst.is_set() else max(due_s, wake_s))
        return early or self._held.is_set() or self._far_ahead(message)

    def _far_ahead(self, message: Message) -> bool:
        """Tell whether too much of the user is underway in other topics: in one, nothing overtakes anything."""
        others = (self._underway[message.user, topic] for topic in INPUTS if topic != message.topic)
        return sum(others) >= MOST_UNDERWAY

    def hold_back(self) -> None:
        """Send nothing for a while."""
        self._held.set()

    def let_go(self) -> None:
        """Send what was held back, in one burst."""
        self._burst.set()
        self._held.clear()

    @property
    def _rate(self) -> float:
        passed_s = max(time.time() - self._start_ms / 1000, 1.0)
        return max(self.sent / passed_s, 10.0)

    def _produce(self, message: Message) -> None:
        number = partition(b"u%d" % message.user, self._settings.partitions)

        def done(error: Any, record: Any) -> None:
            self._underway[message.user, message.topic] -= 1
            if error is not None:
                self.problem = self.problem or RuntimeError(f"a message was not delivered: {error}")
                return
            offset = record.offset()
            self.acknowledged.append((message, Place(message.topic, number, -1 if offset is None else offset)))

        self._underway[message.user, message.topic] += 1
        self.sent += 1
        self._client.produce(
            physical_name(message.topic, self._settings.topic_prefix),
            message.value,
            message.key,
            partition=number,
            headers=message.headers,
            timestamp=self._start_ms + message.due_ms,
            on_delivery=done,
        )

    def stop(self) -> None:
        """Stop sending, and wait until all that was sent is acknowledged.

        Raises:
            Exception: what kept it from sending.
        """
        self._stop_sending.set()
        self.join()
        if self.problem is not None:
            raise self.problem

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop sending, whatever is underway."""
        self._stop_sending.set()
        if error is not None:
            self._client.purge()
        self.join(10)

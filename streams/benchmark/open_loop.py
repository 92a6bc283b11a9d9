"""An open load: each event is sent when it is due, whatever became of those before; answers are read as they come.

The clock of an event starts when it was due, so a sender that is held up makes the figures worse, never better.
librdkafka sends and reads: its threads cost a tenth of what a client in Python does, on cores that the worker shares.
"""

import time
from collections.abc import Mapping, Sequence
from threading import Event as Flag
from threading import Thread
from types import TracebackType
from typing import Any, Protocol, Self

import msgspec
import numpy as np
import numpy.typing as npt

from schemas.topics import INPUTS, physical_name
from streams.benchmark.final_state import BenchmarkFailed
from streams.benchmark.workload import Workload
from streams.errors import NextactError, ProcessEnded
from streams.processes import Process
from streams.settings import Settings

Times = npt.NDArray[np.float64]

_POLL_S = 0.2
_TICK_S = 0.001  # events due within it are sent together: a sleep for each would cost more than sending it
_AT_ONCE = 1000  # records read together, at most
_FLUSH_S = 30.0
_PATIENCE_S = 60.0
_LOOK_S = 0.05
_STAMP = len("1760000000000}")


class ClientMissing(NextactError):  # noqa: N818
    """The client that measures is not installed."""


class Book(Protocol):
    """Finds the events that a record answers.

    Attributes:
        read_s: when the first answer to each event was read, NaN before [events].
        answered: number of events answered.
    """

    read_s: Times
    answered: int

    def see(self, key: bytes, value: bytes, now_s: float) -> None:
        """Take a record, read at `now_s`."""
        ...


class Echoes:
    """The book of a topic that holds the events themselves.

    >>> book = Echoes(2)
    >>> book.see(b"u1", b'{"event_id":"e1"}', 5.0)
    >>> book.answered, book.read_s.tolist()
    (1, [nan, 5.0])
    """

    def __init__(self, events: int) -> None:
        self.read_s: Times = np.full(events, np.nan)
        self.answered = 0
        self._decode = msgspec.json.Decoder(_Id).decode

    def see(self, key: bytes, value: bytes, now_s: float) -> None:  # noqa: ARG002 - as every book
        """Take an event, read at `now_s`."""
        self.read_s[int(self._decode(value).event_id[1:])] = now_s
        self.answered += 1


class Answered:
    """The book of next actions: one answers all events of its user that its totals count, and had no answer yet.

    A user's n-th view is answered when the total of views reaches n: every event is one of those in the total, so this
    also shows that none was lost on the way and none was counted twice.
    """

    def __init__(self, events: Workload) -> None:
        self.read_s: Times = np.full(len(events), np.nan)
        self.answered = 0
        self._waiting = _numbers(events)
        self._done: dict[bytes, list[int]] = {}
        self._decode = msgspec.json.Decoder(_Totals).decode

    def see(self, key: bytes, value: bytes, now_s: float) -> None:
        """Take a next action, read at `now_s`."""
        done, totals = self._done.setdefault(key, [0] * len(INPUTS)), self._decode(value).totals
        for action, total in enumerate((totals.view, totals.click, totals.purchase)):
            if total > done[action]:
                for number in self._waiting[key, action][done[action] : total]:
                    self.read_s[number] = now_s
                self.answered += total - done[action]
                done[action] = total


class Reader(Thread):
    """Reads a topic from its start and shows each record to a book, in a thread of its own. Use it in a `with` block.

    Args:
        settings: the broker.
        topic: its name on the broker.
        book: is shown each record.

    Attributes:
        problem: what ended it before it was told to stop; None: nothing did.
    """

    problem: Exception | None = None

    def __init__(self, settings: Settings, topic: str, book: Book) -> None:
        super().__init__(name=f"reads {topic}", daemon=True)
        self._client = confluent_kafka()
        own = {"group.id": settings.group + "-reader", "enable.auto.commit": False}
        self._consumer = self._client.Consumer(arguments(settings) | own)
        self._consumer.assign([self._client.TopicPartition(topic, p, 0) for p in range(settings.partitions)])
        self._book, self._stop_reading = book, Flag()

    def run(self) -> None:
        """Read until told to stop."""
        try:
            self._read()
        except Exception as error:  # noqa: BLE001 - kept for the thread that waits for answers
            self.problem = error

    def _read(self) -> None:
        first, more, see = self._consumer.poll, self._consumer.consume, self._book.see
        while not self._stop_reading.is_set():
            record = first(_POLL_S)
            if record is None:
                continue
            records = [record, *more(_AT_ONCE, 0)]  # what has come with it: no waiting for others
            now_s = time.monotonic()
            for record in records:
                if error := record.error():
                    raise BenchmarkFailed(f"{self.name}: {error}")
                see(record.key(), record.value(), now_s)

    def wait_until_answered(self, events: int, source: Process | None = None) -> None:
        """Wait until so many events are answered, as the book has it.

        Args:
            events: sent so far.
            source: answers them; None: the broker itself.

        Raises:
            BenchmarkFailed: some are not after a minute, more are, or a record cannot be read.
            ProcessEnded: the source is gone.
        """
        deadline_s = time.monotonic() + _PATIENCE_S
        while self._book.answered < events:
            self._check()
            if source is not None and source.code is not None:
                raise ProcessEnded(f"the worker ended with code {source.code}: {source.last_words()}")
            if time.monotonic() > deadline_s:
                raise BenchmarkFailed(f"{events - self._book.answered} of {events} events have no answer")
            time.sleep(_LOOK_S)
        self._check()
        if self._book.answered > events:
            raise BenchmarkFailed(f"{self._book.answered} events are answered, {events} were sent")

    def _check(self) -> None:
        if self.problem is not None:
            raise self.problem

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop reading."""
        self._stop_reading.set()
        self.join()
        self._consumer.close()


def send_when_due(
    settings: Settings, messages: Sequence[tuple[str, bytes, bytes]], rate: float, topic: str | None = None
) -> Times:
    """Send events at a steady rate, their time the moment of sending; return when each was due, all acknowledged.

    Args:
        settings: the broker and the prefix of the topics.
        messages: topic without prefix, key, and the event without its time, as `heads` makes them.
        rate: events a second.
        topic: name of the one topic that all are sent to, without prefix.

    Raises:
        BenchmarkFailed: one was not delivered.
    """
    failed: list[str] = []

    def delivered(error: object, _record: object) -> None:
        if error is not None:
            failed.append(str(error))

    own = {"linger.ms": 0, "partitioner": "murmur2_random", "delivery.report.only.error": True}
    producer = confluent_kafka().Producer(arguments(settings) | own)
    names = {name: physical_name(topic or name, settings.topic_prefix) for name in INPUTS}
    start_s = time.monotonic() + 0.1  # the connection is there by then
    producer.poll(0)
    due_s = start_s + np.arange(len(messages)) / rate
    now_s = 0.0
    for (name, key, head), at_s in zip(messages, due_s.tolist(), strict=True):
        if at_s > now_s:
            while (now_s := time.monotonic()) < at_s:
                time.sleep(max(at_s - now_s, _TICK_S))
                producer.poll(0)
            now_ms = time.time_ns() // 1_000_000
            time_of = b"%d}" % now_ms
        _produce(producer, names[name], head + time_of, key, timestamp=now_ms, on_delivery=delivered)
    if left := producer.flush(_FLUSH_S):
        raise BenchmarkFailed(f"{left} of {len(messages)} events are not acknowledged after {_FLUSH_S:.0f} s")
    if failed:
        raise BenchmarkFailed(f"{len(failed)} of {len(messages)} events were not delivered: {failed[0]}")
    return due_s


def _produce(producer: Any, *record: object, **more: object) -> None:  # noqa: ANN401 - librdkafka's
    """Hand a record to the producer; where its queue is full, as soon as there is room: the event's clock runs on."""
    deadline_s = time.monotonic() + _FLUSH_S
    while True:
        try:
            producer.produce(*record, **more)
        except BufferError:
            if time.monotonic() > deadline_s:
                raise BenchmarkFailed(f"the producer's queue is full for {_FLUSH_S:.0f} s") from None
            producer.poll(_POLL_S)
        else:
            return


def heads(events: Workload) -> list[tuple[str, bytes, bytes]]:
    """Return topic (without prefix), key, and value up to its time of each event."""
    return [(topic, key, value[:-_STAMP]) for topic, key, value, _ in events.messages()]


def confluent_kafka() -> Any:  # noqa: ANN401 - the module
    """Return the client.

    Raises:
        ClientMissing: it is not installed.
    """
    try:
        import confluent_kafka
    except ModuleNotFoundError:
        raise ClientMissing(
            "latency is measured with librdkafka, which is not installed: `pip install 'nextact[benchmark]'`"
        ) from None
    return confluent_kafka


def arguments(settings: Settings) -> dict[str, Any]:
    """Return the configuration of every librdkafka client: where the broker is and how to be let in."""
    password, key_password = settings.sasl_password, settings.ssl_password
    given: Mapping[str, Any] = {
        "bootstrap.servers": ",".join(settings.servers),
        "security.protocol": settings.security_protocol,
        "sasl.mechanism": settings.sasl_mechanism if password else None,
        "sasl.username": settings.sasl_username,
        "sasl.password": password.get_secret_value() if password else None,
        "ssl.ca.location": settings.ssl_cafile,
        "ssl.certificate.location": settings.ssl_certfile,
        "ssl.key.location": settings.ssl_keyfile,
        "ssl.key.password": key_password.get_secret_value() if key_password else None,
        "ssl.endpoint.identification.algorithm": None if settings.ssl_check_hostname else "none",
    }
    return {name: str(value) for name, value in given.items() if value is not None}


class _Id(msgspec.Struct):
    event_id: str


class _Counts(msgspec.Struct):
    view: int
    click: int
    purchase: int


class _Totals(msgspec.Struct):
    totals: _Counts


def _numbers(events: Workload) -> dict[tuple[bytes, int], list[int]]:
    """Return the numbers of the events of each user and action, in the order in which they are sent."""
    code = events.user * len(INPUTS) + events.action
    order = np.argsort(code, kind="stable")
    codes, starts = np.unique(code[order], return_index=True)
    groups = np.split(order, starts[1:])
    return {
        (b"u%d" % (code // len(INPUTS)), code % len(INPUTS)): group.tolist()
        for code, group in zip(codes.tolist(), groups, strict=True)
    }

"""The whole pipeline on one machine: a broker, the topics, a small model, simulated shoppers and a worker."""

import secrets
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from models.model_directory import load
from schemas.topics import DEAD_LETTERS, INPUTS, OUTPUTS, logical_name, physical_name
from streams.answers import Answers
from streams.broker import local_broker
from streams.clients import admin, check_broker, consumer
from streams.demo_model import ITEMS, demo_model
from streams.errors import ProcessEnded
from streams.processes import Process, nextact
from streams.settings import Settings
from streams.topics import create_topics
from streams.worker_process import Samples, WorkerProcess, environment

START_TIMEOUT_S = 60.0
QUIET_S = 30.0
"""Without a new record for so long there comes none, and whatever has no answer gets none."""

REFRESH_S = 0.25
_NAP_S = 0.005
_POLL_RECORDS = 2000


@dataclass(frozen=True)
class Demo:
    """What to show.

    Attributes:
        events: end after so many; None: with Ctrl-C.
        rate: events a second.
        users: shoppers at any one time.
        model: model directory; None: `demo_model.MODEL`, trained if it is not there.
    """

    events: int | None = None
    rate: float = 500.0
    users: int = 1000
    model: Path | None = None


class Viewer:
    """Is told what happens. This one looks away."""

    def say(self, text: str) -> None:
        """Take a step that begins."""

    def see(self, topic: str, key: bytes, value: bytes) -> None:
        """Take a record, of the topic without prefix."""

    def refresh(self, answers: Answers) -> None:
        """Show how it stands; called a few times a second."""


class Summary(msgspec.Struct, frozen=True):
    """How it went; `ok` if every event that was sent was answered."""

    events: int
    next_actions: int
    recommendations: int
    churn_risk: int
    dead_letters: int
    users: int
    events_per_s: float
    latency_ms: dict[str, float]
    broker: str
    ok: bool


def run_demo(settings: Settings, demo: Demo, viewer: Viewer) -> Summary:
    """Run the pipeline and return how it went; all that it starts is stopped, whatever happens.

    Raises:
        NextactError: a part could not be started, or ended before its time.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nextact-", ignore_cleanup_errors=True)))
        ours, broker, check = stack.enter_context(_broker(settings, folder / "broker", viewer))
        create_topics(ours)
        model = demo.model if demo.model is not None else demo_model(folder, demo.users, viewer.say)
        card = load(model).card
        viewer.say(f"broker {broker}, model {card.name} {card.version}: start a worker")
        # the shoppers' time starts in the past and runs fast
        ours = ours.model_copy(update={"model": model, "clock": "stream"})
        worker = stack.enter_context(WorkerProcess(ours, folder / "worker.log"))
        worker.wait_until(_owns_all(ours), START_TIMEOUT_S)
        reader = stack.enter_context(_reader(ours))
        viewer.say("start the shoppers")
        shoppers = stack.enter_context(
            Process(nextact("simulate", "--json", *_shop(demo)), folder / "shoppers.log", environment(ours))
        )
        with _first_interrupt(lambda: shoppers.signal(signal.SIGTERM)):
            answers, sent, seconds = _watch(ours, check, worker, shoppers, reader, viewer)
    latency = answers.latency()
    return Summary(
        **answers.counts(),
        events_per_s=round(answers.events / max(seconds, 0.001), 1),
        latency_ms={"p50": latency.p50_ms, "p99": latency.p99_ms},
        broker=broker,
        ok=answers.events == sent and answers.all_answered,
    )


def _watch(
    settings: Settings,
    check: Callable[[], None],
    worker: Process,
    shoppers: Process,
    reader: KafkaConsumer,
    viewer: Viewer,
) -> tuple[Answers, int, float]:
    """Return the answers, how many events were sent, and the seconds from the first event to the last output."""
    answers, sent = Answers(), -1
    began_s = ended_s = heard_s = shown_s = time.monotonic()
    while sent < 0 or answers.events < sent or not answers.all_answered:
        batches = reader.poll(timeout_ms=0, max_records=_POLL_RECORDS)
        now_s = time.monotonic()
        for record in (record for batch in batches.values() for record in batch):
            topic = logical_name(record.topic, settings.topic_prefix)
            if not answers.events and topic in INPUTS:
                began_s = now_s
            answers.see(topic, record.key, record.value, record.offset, record.timestamp, time.time() * 1000)
            viewer.see(topic, record.key, record.value)
            heard_s = now_s
            if topic in OUTPUTS:
                ended_s = now_s
        if now_s - shown_s > REFRESH_S:
            viewer.refresh(answers)
            shown_s = now_s
        check()
        if worker.code is not None:
            raise ProcessEnded(f"the worker ended with code {worker.code}: {worker.last_words()}")
        if sent < 0 and shoppers.code is not None:
            sent = _sent(shoppers)
            heard_s = now_s
        if now_s - heard_s > QUIET_S:
            check_broker(settings)
            if sent < 0:
                raise ProcessEnded(
                    f"nothing was sent for {QUIET_S:.0f} s, and the broker answers: the shoppers' time may have"
                    " caught up with the clock; take more --users, or end after so many --events"
                )
            break
        if not batches:
            time.sleep(_NAP_S)
    viewer.refresh(answers)
    return answers, sent, ended_s - began_s


def _sent(shoppers: Process) -> int:
    """Return how many events the shoppers sent, as their summary has it."""
    words = shoppers.last_words()
    try:
        return int(msgspec.json.decode(words, type=dict[str, Any])["events"])
    except (msgspec.MsgspecError, KeyError):
        raise ProcessEnded(f"the shoppers ended with code {shoppers.code}: {words}") from None


@contextmanager
def _first_interrupt(action: Callable[[], None]) -> Iterator[None]:
    """Call the action on the first Ctrl-C instead of ending; a second one ends."""

    def interrupted(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - signal's
        signal.signal(signal.SIGINT, signal.default_int_handler)
        action()

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _broker(settings: Settings, data_dir: Path, viewer: Viewer) -> Iterator[tuple[Settings, str, Callable[[], None]]]:
    """Yield settings with a broker and topics for us alone, the broker's name, and what raises once it has ended."""
    if settings.servers:
        viewer.say(f"use the broker {settings.bootstrap_servers}")
        check_broker(settings)
        with _own_topics(settings) as ours:
            yield ours, settings.bootstrap_servers or "", lambda: None
    else:
        viewer.say("start a broker")
        with local_broker(settings, data_dir) as broker:
            yield broker.named_in(settings), broker.name, broker.check


@contextmanager
def _own_topics(settings: Settings) -> Iterator[Settings]:
    """Yield settings with a prefix of our own, on a broker that others use; what carries it is deleted at the end."""
    prefix = f"{settings.topic_prefix}demo-{secrets.token_hex(3)}."
    try:
        yield settings.model_copy(update={"topic_prefix": prefix})
    finally:
        with suppress(KafkaError), admin(settings) as client:
            client.delete_topics([name for name in client.list_topics() if name.startswith(prefix)])
            client.delete_groups([prefix + settings.group])


@contextmanager
def _reader(settings: Settings) -> Iterator[KafkaConsumer]:
    """Yield a consumer at the start of all topics of events and outputs."""
    names = [physical_name(topic, settings.topic_prefix) for topic in (*INPUTS, *OUTPUTS, DEAD_LETTERS)]
    with consumer(settings) as reader:
        partitions = [TopicPartition(name, number) for name in names for number in range(settings.partitions)]
        reader.assign(partitions)
        for partition, end in reader.end_offsets(partitions).items():
            reader.seek(partition, end)  # a local broker is new, and so are topics of our own elsewhere
        yield reader


def _owns_all(settings: Settings) -> Callable[[Samples], bool]:
    return lambda metrics: metrics["nextact_partitions",] == settings.partitions and metrics["nextact_recovering",] == 0


def _shop(demo: Demo) -> list[str]:
    options = ["--users", str(demo.users), "--items", str(ITEMS), "--rate", str(demo.rate)]
    return options + (["--events", str(demo.events)] if demo.events is not None else [])

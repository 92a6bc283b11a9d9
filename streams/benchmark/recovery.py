"""How soon a worker answers that starts with nothing but a changelog full of users."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from kafka import TopicPartition

from models.model_directory import load, save
from models.predictor import Predictor
from schemas.cloudevents import Headers
from schemas.partitioner import partition
from schemas.topics import INPUTS, NEXT_ACTIONS, physical_name
from streams.benchmark.final_state import BenchmarkFailed
from streams.benchmark.known_users import LAST_MS, fill_changelog, known_users
from streams.benchmark.report import Spread, spread
from streams.benchmark.workload import random_model
from streams.chunk.changelog import LOGGED
from streams.clients import consumer, producer
from streams.delivery import Delivery
from streams.fetched import in_columns
from streams.options import Options
from streams.pipeline import Origin, process
from streams.settings import Settings
from streams.topics import changelog, create_topics
from streams.user_rows import UserRows
from streams.worker_process import Samples, WorkerProcess, handled

ITEMS = 1000
"""Items of the model."""

CHECKED = 2000
"""Users whose rows are checked after each recovery, spread over all."""

PATIENCE_S = 600
_ASKED = INPUTS[0]
_REPORT_EVERY = 100_000
Say = Callable[[str], None]


class Run(msgspec.Struct, frozen=True):
    """One repetition."""

    first_answer_s: float  # from the start of the process to an output read
    recovery_s: float  # of it the recovery itself
    users_per_s: float
    cpu_us_per_user: float  # user and system time of the worker until its first answer, the start of Python included
    memory_mb: float  # resident, after the first answer


class Summary(msgspec.Struct, frozen=True):
    """All repetitions."""

    users: int
    broker: str
    first_answer_s: Spread
    recovery_s: Spread
    users_per_s: Spread
    runs: list[Run]


class _Event(NamedTuple):
    """A record of an input topic, and where it stands."""

    partition: int
    key: bytes
    value: bytes
    offset: int
    timestamp: int
    headers: Headers = ()


def recovery(settings: Settings, broker: str, folder: Path, *, users: int, repeat: int, say: Say) -> Summary:
    """Write a row of each user to a changelog, then start a worker that knows nobody, several times.

    Args:
        settings: a broker that answers; everything else by default, whatever the environment says.
        broker: its name.
        folder: for the model and the logs.
        users: number of users.
        repeat: number of repetitions.
        say: told what is going on.

    Raises:
        BenchmarkFailed: there is no figure.
    """
    known = KnownUsers(settings, folder, users, say)
    say(f"{users:,} users in the changelog on {broker}")
    runs = []
    for number in range(repeat):
        run = known.recover()
        say(f"run {number + 1} of {repeat}: {run.users_per_s:,.0f} users/s, answers after {run.first_answer_s:.1f} s")
        runs.append(run)
    return Summary(
        users,
        broker,
        spread([run.first_answer_s for run in runs]),
        spread([run.recovery_s for run in runs]),
        spread([run.users_per_s for run in runs]),
        runs,
    )


class KnownUsers:
    """A group whose changelog holds users, and what a worker must make of them.

    Args:
        settings: a broker that answers.
        folder: for the model and the logs.
        users: number of users.
        say: told what is going on.
    """

    def __init__(self, settings: Settings, folder: Path, users: int, say: Say) -> None:
        update = {"topic_prefix": f"benchmark{time.time_ns()}.", "model": folder / "model", "clock": "stream"}
        self.settings, self._folder, self._users = settings.model_copy(update=update), folder, users
        save(random_model(ITEMS), folder / "model")
        self._model = Predictor(load(folder / "model"))  # on disk it gets the tag that rows know it by
        self._expected = UserRows()
        self._checked = list(range(0, users, max(1, users // CHECKED)))
        self._sent = Counter[int]()  # records of the input topic by partition
        create_topics(self.settings, for_replay=True)
        fill_changelog(
            self.settings, users, self._model, lambda n: say(f"{n:,} written") if n % _REPORT_EVERY == 0 else None
        )
        for user in self._checked:
            keys, rows = known_users(user, 1, self._model)
            self._expected.write(partition(keys[0], self.settings.partitions), keys, rows)

    def recover(self) -> Run:
        """Start a worker, wait for its first answer, then ask it about many users, and check every row it writes.

        Raises:
            BenchmarkFailed: a user is missing, or a row is not what it must be.
        """
        since = self._ends(changelog(self.settings).name)
        [first] = self._events(self._checked[:1] or [0])
        with self._answers(first.partition) as answers:
            start_s = time.monotonic()
            with WorkerProcess(self.settings, self._folder / "recovery.log") as worker:
                self._send([first])
                while first.key not in answers():
                    if worker.code is not None or time.monotonic() > start_s + PATIENCE_S:
                        raise BenchmarkFailed(f"the worker has not answered: {worker.last_words()}")
                first_answer_s = time.monotonic() - start_s
                after = worker.metrics()
                rest = self._events(self._checked)
                self._send(rest)
                worker.wait_until(lambda samples: handled(samples) >= 1 + len(rest), PATIENCE_S)
                if worker.stop() != 0:
                    raise BenchmarkFailed(f"the worker ended with code {worker.code}: {worker.last_words()}")
        if after["nextact_users",] != max(self._users, 1):
            raise BenchmarkFailed(f"the worker knows {after['nextact_users',]:,.0f} of {self._users:,} users")
        self._check([[first], rest], since)
        return self._run(first_answer_s, after)

    def _run(self, first_answer_s: float, after: Samples) -> Run:
        took_s = after["nextact_recovery_seconds",]
        return Run(
            first_answer_s=first_answer_s,
            recovery_s=took_s,
            users_per_s=self._users / took_s,
            cpu_us_per_user=after["process_cpu_seconds_total",] / max(self._users, 1) * 1e6,
            memory_mb=after["process_resident_memory_bytes",] / 2**20,
        )

    def _events(self, users: list[int]) -> list[_Event]:
        """Return an event of each user, all later than any before."""
        made = []
        for user in users:
            key = b"u%d" % user
            number = partition(key, self.settings.partitions)
            offset, total = self._sent[number], self._sent.total()
            ts_ms = LAST_MS + total
            value = b'{"event_id":"a%d","user_id":"u%d","item_id":"i%d","ts_ms":%d}' % (
                total,
                user,
                user % ITEMS,
                ts_ms,
            )
            made.append(_Event(number, key, value, offset, ts_ms))
            self._sent[number] += 1
        return made

    def _send(self, events: list[_Event]) -> None:
        topic = physical_name(_ASKED, self.settings.topic_prefix)
        with Delivery(producer(self.settings), self.settings.partitions) as delivery:
            for event in events:
                delivery.send(topic, event.key, event.value, event.timestamp)
            delivery.finish()

    @contextmanager
    def _answers(self, number: int) -> Iterator[Callable[[], set[bytes]]]:
        """Give a function that waits a little for next actions of a partition and returns whose they are."""
        with consumer(self.settings) as reader:
            place = TopicPartition(physical_name(NEXT_ACTIONS, self.settings.topic_prefix), number)
            reader.assign([place])
            reader.seek_to_end(place)
            reader.position(place)
            yield lambda: {record.key for batch in reader.poll(100).values() for record in batch}

    def _ends(self, topic: str) -> dict[TopicPartition, int]:
        with consumer(self.settings) as reader:
            ends: dict[TopicPartition, int] = reader.end_offsets(
                [TopicPartition(topic, number) for number in range(self.settings.partitions)]
            )
        return ends

    def _check(self, chunks: list[list[_Event]], since: dict[TopicPartition, int]) -> None:
        """Hold what the worker wrote since against the same events applied to the rows that were in the changelog."""
        wanted: dict[bytes, bytes] = {}
        for events in chunks:
            chunk: dict[Origin, list[_Event]] = {}
            for event in events:
                chunk.setdefault(Origin(_ASKED, event.partition), []).append(event)
            for number, change in process(
                in_columns(chunk),
                self._expected,
                self._model,
                LAST_MS + 10**9,
                Options(),
            ).changes.items():
                self._expected.write(number, change.keys, change.rows)
                wanted.update(zip(change.keys, (row.tobytes() for row in change.rows), strict=True))
        found: dict[bytes, bytes] = {}
        with consumer(self.settings) as reader:
            reader.assign(list(since))
            for place, offset in since.items():
                reader.seek(place, offset)
            ends = reader.end_offsets(list(since))
            while any(reader.position(place) < end for place, end in ends.items()):
                for batch in reader.poll(1000).values():
                    found.update((record.key, record.value) for record in batch)
        rows = {key: np.frombuffer(found[key], LOGGED)["row"].tobytes() for key in wanted if key in found}
        if rows != wanted:
            raise BenchmarkFailed("the rows that the worker recovered are not those that were written")

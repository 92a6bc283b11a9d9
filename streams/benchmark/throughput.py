"""How many events a second one worker handles, the whole job, from a full backlog."""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import msgspec
import numpy as np
from kafka import TopicPartition

from models.model_directory import save
from schemas.topics import physical_name
from streams.benchmark.workload import Workload, random_model, workload
from streams.chunk.table import MARKER, VALUE
from streams.clients import consumer, producer
from streams.delivery import Delivery
from streams.errors import NextactError
from streams.settings import Settings
from streams.topics import changelog, create_topics
from streams.worker_process import WorkerProcess, handled

WARM_UP = 0.1
"""Share of the events before the clock starts."""

PATIENCE_S = 600
Say = Callable[[str], None]


class BenchmarkFailed(NextactError):  # noqa: N818
    """The worker ended, hung, or its state is not that of the fold: there is no figure."""


class Run(msgspec.Struct, frozen=True):
    """One repetition."""

    events: int  # after the warm-up
    events_per_s: float
    cpu_us_per_event: float  # user and system time of the worker
    stage_us_per_event: dict[str, float]  # wall time
    outputs_per_event: float
    memory_mb: float  # resident, at the end


class Summary(msgspec.Struct, frozen=True):
    """All repetitions, and the median of each figure with its smallest and largest value."""

    events: int
    users: int
    items: int
    slate_size: int
    broker: str
    events_per_s: tuple[float, float, float]
    cpu_us_per_event: tuple[float, float, float]
    runs: list[Run]


def throughput(
    settings: Settings, broker: str, folder: Path, *, events: int, users: int, items: int, repeat: int, say: Say
) -> Summary:
    """Fill the topics, then let a new worker of a new group read them, several times.

    Args:
        settings: a broker that answers; everything else by default, whatever the environment says.
        broker: its name.
        folder: for the model and the logs.
        events: number of events.
        users: number of users.
        items: number of items of the model, which are also those of the events.
        repeat: number of repetitions.
        say: told what is going on.

    Raises:
        BenchmarkFailed: there is no figure.
    """
    save(random_model(items), folder / "model")
    settings = settings.model_copy(
        update={"topic_prefix": f"benchmark{time.time_ns()}.", "model": folder / "model", "clock": "stream"}
    )
    input_ = workload(events, users, items)
    create_topics(settings, for_replay=True)
    say(f"sending {events:,} events of {users:,} users to {broker}")
    _fill(settings, input_)
    runs = []
    for number in range(repeat):
        mine = settings.model_copy(update={"group": f"run{number}"})
        create_topics(mine, for_replay=True)
        run = _run(mine, folder, len(input_))
        _check(mine, input_)
        say(
            f"run {number + 1} of {repeat}: {run.events_per_s:,.0f} events/s,"
            f" {run.cpu_us_per_event:.1f} us of CPU an event"
        )
        runs.append(run)
    return Summary(
        events,
        users,
        items,
        settings.slate_size,
        broker,
        _spread([run.events_per_s for run in runs]),
        _spread([run.cpu_us_per_event for run in runs]),
        runs,
    )


def _fill(settings: Settings, input_: Workload) -> None:
    with Delivery(producer(settings, linger_ms=50), settings.partitions) as delivery:
        for topic, key, value, ts_ms in input_.messages():
            delivery.send(physical_name(topic, settings.topic_prefix), key, value, ts_ms)
        delivery.finish()


def _run(settings: Settings, folder: Path, events: int) -> Run:
    with WorkerProcess(settings, folder / f"{settings.group}.log") as worker:
        before = worker.wait_until(lambda samples: handled(samples) >= events * WARM_UP, PATIENCE_S)
        start_s = time.monotonic()
        after = worker.wait_until(lambda samples: handled(samples) >= events, PATIENCE_S)
        took_s = time.monotonic() - start_s
        if worker.stop() != 0:
            raise BenchmarkFailed(f"the worker ended with code {worker.code}: {worker.last_words()}")
    timed = handled(after) - handled(before)

    def grown(*name: str) -> float:
        return after[name] - before.get(name, 0.0)

    stages = [labels[0] for name, *labels in after if name == "nextact_stage_seconds_sum"]
    return Run(
        events=timed,
        events_per_s=timed / took_s,
        cpu_us_per_event=grown("process_cpu_seconds_total") / timed * 1e6,
        stage_us_per_event={stage: grown("nextact_stage_seconds_sum", stage) / timed * 1e6 for stage in stages},
        outputs_per_event=sum(grown(*name) for name in after if name[0] == "nextact_outputs_total") / timed,
        memory_mb=after["process_resident_memory_bytes",] / 2**20,
    )


def _check(settings: Settings, input_: Workload) -> None:
    """Hold the rows in the changelog against the fold: a fast wrong answer is no answer."""
    rows: dict[bytes, bytes] = {}
    name = changelog(settings).name
    with consumer(settings, auto_offset_reset="earliest") as reader:
        partitions = [TopicPartition(name, number) for number in range(settings.partitions)]
        reader.assign(partitions)
        ends = reader.end_offsets(partitions)
        while any(reader.position(partition) < end for partition, end in ends.items()):
            for batch in reader.poll(1000, max_records=20_000).values():
                rows.update((record.key, record.value) for record in batch)
    rows.pop(MARKER, None)
    found = np.frombuffer(b"".join(rows.values()), VALUE)["row"]["total"].tolist()
    if dict(zip(rows, found, strict=True)) != input_.totals():
        raise BenchmarkFailed("the state in the changelog is not that of a plain fold over the input")


def _spread(values: list[float]) -> tuple[float, float, float]:
    return median(values), min(values), max(values)

"""How many events a second one worker handles, the whole job, from a full backlog."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from models.model_directory import load, save
from schemas.topics import INPUTS, OUTPUTS, physical_name
from streams.benchmark.final_state import (
    BenchmarkFailed,
    check_network,
    check_state,
    equal_share,
    log_bytes,
    record_count,
)
from streams.benchmark.limit import Limit, limit
from streams.benchmark.published import check_counts, check_next_actions, output_ends
from streams.benchmark.report import Spread, spread
from streams.benchmark.workload import Workload, random_model, workload
from streams.clients import producer
from streams.delivery import Delivery
from streams.errors import ProcessEnded
from streams.settings import Settings
from streams.topics import changelog, create_topics
from streams.worker import load_predictor, options
from streams.worker_process import Samples, WorkerProcess, handled

WARM_UP = 0.1
"""Share of the events before the clock starts."""

LEAST_CHUNKS = 20
"""A chunk holds at most the events divided by this: a small run has chunks to be timed too."""

PATIENCE_S = 600
_LONGEST_NAP_S, _SHORTEST_NAP_S = 1.0, 0.03
Say = Callable[[str], None]


class Variant(msgspec.Struct, frozen=True):
    """What a worker is asked for."""

    slate_size: int  # 0: no recommendations
    items: int  # that the model knows
    head: float = 0.0  # share of the events that are one user's

    def __str__(self) -> str:
        slate = f"exact top {self.slate_size} of {self.items:,} items" if self.slate_size else "no slates"
        return f"{slate}, one user with {self.head:.0%} of the events" if self.head else slate


class Run(msgspec.Struct, frozen=True):
    """One repetition: a new worker of a new group reads all events."""

    events: int  # after the warm-up
    events_per_s: float
    cpu_us_per_event: float  # user and system time of the worker
    stage_us_per_event: dict[str, float]  # CPU time of the chunk's thread; `publish`: wall time until acknowledged
    outputs: dict[str, int]  # on the broker, by topic, with those of the warm-up
    outputs_per_event: float
    changelog_records_per_event: float
    bytes_in_per_event: float | None  # on the broker; None: it does not say
    bytes_out_per_event: float | None
    changelog_bytes_per_event: float | None
    peak_memory_mb: float
    equal_forecasts: float  # share of users whose forecasts are those of all events in order of event time
    limit: Limit
    share_of_limit: float  # in events/s
    cpu_share_of_limit: float  # of the worker's CPU time an event: steadier where others use the machine too


class Measured(msgspec.Struct, frozen=True):
    """All repetitions of a variant."""

    variant: Variant
    runs: list[Run]

    def spread(self, figure: str) -> Spread:
        """Return the median, least and most of a figure of the runs."""
        return spread([getattr(run, figure) for run in self.runs])

    def limit_spread(self, figure: str) -> Spread:
        """Return the median, least and most of a figure of the limit."""
        return spread([getattr(run.limit, figure) for run in self.runs])


class Filled(msgspec.Struct, frozen=True):
    """Input topics that hold a workload."""

    settings: Settings
    input: Workload
    bytes_in: int | None


def throughput(
    settings: Settings,
    folder: Path,
    variants: Sequence[Variant],
    *,
    events: int,
    users: int,
    repeat: int,
    say: Say,
) -> list[Measured]:
    """Fill the topics, then let a new worker of a new group read them, several times for each variant.

    Args:
        settings: a broker that answers; everything else by default, whatever the environment says.
        folder: for the models and the logs.
        variants: what to measure.
        events: number of events.
        users: number of users.
        repeat: number of repetitions.
        say: told what is going on.

    Raises:
        BenchmarkFailed: there is no figure.
    """
    filled: dict[float, Filled] = {}
    measured = []
    for number, variant in enumerate(variants):
        if variant.head not in filled:
            prefix = f"benchmark{time.time_ns()}."
            say(f"sending {events:,} events of {users:,} users")
            mine = settings.model_copy(update={"topic_prefix": prefix})
            filled[variant.head] = fill(mine, workload(events, users, head=variant.head))
        model = folder / f"model-{variant.items}"
        if not model.exists():
            save(random_model(variant.items), model)
        runs = []
        for repetition in range(repeat):
            asked = {"model": model, "slate_size": variant.slate_size, "group": f"run{number}-{repetition}"}
            run = _run(filled[variant.head], asked, folder)
            say(
                f"{variant}, {repetition + 1} of {repeat}: {run.events_per_s:,.0f} events/s,"
                f" {run.cpu_us_per_event:.1f} us of CPU an event, {run.share_of_limit:.0%} of the limit"
            )
            runs.append(run)
        measured.append(Measured(variant, runs))
    return measured


def fill(settings: Settings, input_: Workload) -> Filled:
    """Create the topics and send the events as the peers' job has them: without compression and headers."""
    create_topics(settings, for_replay=True)
    with Delivery(producer(settings, linger_ms=50, compression_type=None), settings.partitions) as delivery:
        for topic, key, value, ts_ms in input_.messages():
            delivery.send(physical_name(topic, settings.topic_prefix), key, value, ts_ms)
        delivery.finish()
    return Filled(settings, input_, log_bytes(settings, _names(settings, INPUTS)))


def _run(filled: Filled, asked: dict[str, object], folder: Path) -> Run:
    events = len(filled.input)
    at_once = min(filled.settings.max_poll_records, events // LEAST_CHUNKS)
    settings = filled.settings.model_copy(update={"clock": "stream", "max_poll_records": at_once, **asked})
    create_topics(settings, for_replay=True)
    outputs = _names(settings, OUTPUTS)
    bytes_before, since = log_bytes(settings, outputs), output_ends(settings)
    with WorkerProcess(settings, folder / f"{settings.group}.log") as worker:
        before, start_s = _wait(worker, int(events * WARM_UP))
        after, end_s = _wait(worker, events)
        peak_mb = _peak_mb(worker.pid)
        published = check_counts(settings, since, lambda: [worker.metrics()])
        if worker.stop() != 0:
            raise BenchmarkFailed(f"the worker ended with code {worker.code}: {worker.last_words()}")
    keys, rows = check_state(settings, filled.input)
    check_next_actions(settings, filled.input, since, keys, rows)
    predictor = load_predictor(settings)
    ceiling, reference = limit(
        filled.input,
        predictor,
        options(settings),
        partitions=settings.partitions,
        at_once=at_once,
        warm_up=WARM_UP,
    )
    equal = equal_share(keys, rows, reference)
    if equal < 1:
        raise BenchmarkFailed(f"only {equal:.2%} of the users have the forecasts of all events in order of event time")
    check_network(keys, rows, filled.input, load(Path(str(asked["model"]))))
    timed = handled(after) - handled(before)
    if not timed:
        raise BenchmarkFailed(f"{events:,} events were handled too soon to be timed: give it more")

    def grown(*name: str) -> float:
        return after[name] - before.get(name, 0.0)

    def per_event(size: int | None, less: int | None = 0) -> float | None:
        return None if size is None or less is None else (size - less) / events

    stages = [labels[0] for name, *labels in after if name == "nextact_stage_seconds_sum"]
    changelog_topic = changelog(settings).name
    events_per_s, cpu_us = timed / (end_s - start_s), grown("process_cpu_seconds_total") / timed * 1e6
    return Run(
        events=timed,
        events_per_s=events_per_s,
        cpu_us_per_event=cpu_us,
        stage_us_per_event={stage: grown("nextact_stage_seconds_sum", stage) / timed * 1e6 for stage in stages},
        outputs=published,
        outputs_per_event=sum(published.values()) / events,
        changelog_records_per_event=record_count(settings, changelog_topic) / events,
        bytes_in_per_event=per_event(filled.bytes_in),
        bytes_out_per_event=per_event(log_bytes(settings, outputs), bytes_before),
        changelog_bytes_per_event=per_event(log_bytes(settings, [changelog_topic])),
        peak_memory_mb=peak_mb,
        equal_forecasts=equal,
        limit=ceiling,
        share_of_limit=events_per_s / ceiling.events_per_s,
        cpu_share_of_limit=ceiling.cpu_us_per_event / cpu_us,
    )


def _wait(worker: WorkerProcess, events: int) -> tuple[Samples, float]:
    """Wait until a worker has handled so many events; return its metrics and when it was: each look costs it time."""
    start_s = time.monotonic()
    began: tuple[int, float] | None = None
    while True:
        samples, now_s = worker.metrics(), time.monotonic()
        done = handled(samples)
        if done >= events:
            return samples, now_s
        if worker.code is not None or now_s - start_s > PATIENCE_S:
            raise ProcessEnded(f"the worker ended, or hangs, after {done:,} events: {worker.last_words()}")
        began = began or ((done, now_s) if done else None)
        rate = (done - began[0]) / (now_s - began[1]) if began and now_s > began[1] else 0.0
        # half of the time that is left, by the rate so far
        nap_s = (events - done) / rate / 2 if rate else _SHORTEST_NAP_S
        time.sleep(min(max(nap_s, _SHORTEST_NAP_S), _LONGEST_NAP_S))


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def _names(settings: Settings, topics: Sequence[str]) -> list[str]:
    return [physical_name(topic, settings.topic_prefix) for topic in topics]

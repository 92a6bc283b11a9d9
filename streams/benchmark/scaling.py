"""How much more several workers handle than one, from the same full backlog on the same machine."""

import os
import signal
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec

from models.model_directory import save
from streams.benchmark.final_state import BenchmarkFailed, check_state
from streams.benchmark.published import check_counts, check_next_actions, output_ends
from streams.benchmark.report import Spread, spread
from streams.benchmark.throughput import PATIENCE_S, Say, fill
from streams.benchmark.workload import Workload, random_model, workload
from streams.errors import ProcessEnded
from streams.settings import Settings
from streams.topics import create_topics
from streams.worker_process import Samples, WorkerProcess, handled

WARM_UP = 0.1
"""Share of the events before the clock starts."""

_READY_S = 120.0
_LOOK_S = 0.1
# stopped while the topics are filled, a worker must not lose its partitions; a longer session is not allowed
_LONG_SESSION = {"NEXTACT_SESSION_TIMEOUT_S": "60"}


class Run(msgspec.Struct, frozen=True):
    """One repetition with so many workers."""

    events_per_s: float  # of all together
    cpu_us_per_event: float  # user and system time of the workers
    machine_cores: float | None  # busy, everybody's: broker and strangers too; None where the system does not say
    shares: list[float]  # of the events, by worker


class Workers(msgspec.Struct, frozen=True):
    """All repetitions with so many workers."""

    workers: int
    events_per_s: Spread
    cpu_us_per_event: Spread
    machine_cores: Spread | None
    runs: list[Run]


class Scaling(msgspec.Struct, frozen=True):
    """All numbers of workers."""

    broker: str
    partitions: int
    events: int
    users: int
    items: int
    slate_size: int
    measured: list[Workers]


def scaling(
    settings: Settings,
    broker: str,
    folder: Path,
    *,
    workers: Sequence[int],
    events: int,
    users: int,
    items: int,
    repeat: int,
    say: Say,
) -> Scaling:
    """Let a number of new workers of a new group share a full backlog, several times for each number.

    They join first and are held (SIGSTOP) while the topics are filled: so nobody starts ahead of the others.

    Args:
        settings: a broker that answers; everything else by default, whatever the environment says.
        broker: its name.
        folder: for the model and the logs.
        workers: how many at once; at most one a partition.
        events: number of events; few enough to be sent within a minute.
        users: number of users.
        items: number of items of the model.
        repeat: number of repetitions.
        say: told what is going on.

    Raises:
        BenchmarkFailed: a worker ended or hung, or the state is not that of a plain fold.
    """
    save(random_model(items), folder / "model")
    input_ = workload(events, users)
    measured = []
    for number in workers:
        runs = []
        for repetition in range(repeat):
            asked = {
                "topic_prefix": f"scaling{time.time_ns()}.",
                "group": f"workers{number}-{repetition}",
                "model": folder / "model",
                "clock": "stream",
            }
            run = _run(settings.model_copy(update=asked), folder, input_, number)
            say(
                f"{number} at once, {repetition + 1} of {repeat}: {run.events_per_s:,.0f} events/s,"
                f" {run.cpu_us_per_event:.1f} us of CPU an event"
            )
            runs.append(run)
        cores = [run.machine_cores for run in runs if run.machine_cores is not None]
        measured.append(
            Workers(
                workers=number,
                events_per_s=spread([run.events_per_s for run in runs]),
                cpu_us_per_event=spread([run.cpu_us_per_event for run in runs]),
                machine_cores=spread(cores) if cores else None,
                runs=runs,
            )
        )
    return Scaling(broker, settings.partitions, events, users, items, settings.slate_size, measured)


def figures(found: Scaling) -> dict[str, Spread | float]:
    """Return what a table shows."""
    shown: dict[str, Spread | float] = {}
    for each in found.measured:
        name = f"{each.workers} worker{'s' if each.workers > 1 else ''}"
        shown[f"{name}, events/s"] = each.events_per_s
        shown[f"{name}, CPU us/event"] = each.cpu_us_per_event
        if each.machine_cores is not None:
            shown[f"{name}, busy cores of the machine"] = each.machine_cores
        shown[f"{name}, times the events/s of {found.measured[0].workers}"] = (
            each.events_per_s.median / found.measured[0].events_per_s.median
        )
    return shown


def _run(settings: Settings, folder: Path, input_: Workload, number: int) -> Run:
    create_topics(settings, for_replay=True)
    since = output_ends(settings)
    with ExitStack() as stack:
        workers = [
            stack.enter_context(WorkerProcess(settings, folder / f"{settings.group}-{k}.log", _LONG_SESSION))
            for k in range(number)
        ]
        _wait_until_shared(workers, settings.partitions)
        for worker in workers:
            worker.signal(signal.SIGSTOP)
        stack.callback(_go_on, workers)  # whatever happens: what is stopped cannot end
        fill(settings, input_)
        _go_on(workers)
        before, start_s, busy_before = _wait_until_handled(workers, round(len(input_) * WARM_UP))
        after, end_s, busy_after = _wait_until_handled(workers, len(input_))
        check_counts(settings, since, lambda: _looks(workers))
        for worker in workers:
            if worker.stop() != 0:
                raise BenchmarkFailed(f"a worker ended with code {worker.code}: {worker.last_words()}")
    keys, rows = check_state(settings, input_)
    check_next_actions(settings, input_, since, keys, rows)
    took_s, timed = end_s - start_s, sum(map(handled, after)) - sum(map(handled, before))
    if not timed:
        raise BenchmarkFailed(f"{len(input_):,} events were handled too soon to be timed: give it more")
    cpu_s = sum(
        b["process_cpu_seconds_total",] - a["process_cpu_seconds_total",] for a, b in zip(before, after, strict=True)
    )
    cores = None if busy_before is None or busy_after is None else (busy_after - busy_before) / took_s
    return Run(timed / took_s, cpu_s / timed * 1e6, cores, [handled(samples) / len(input_) for samples in after])


def _go_on(workers: Sequence[WorkerProcess]) -> None:
    for worker in workers:
        if worker.code is None:
            worker.signal(signal.SIGCONT)


def _wait_until_shared(workers: Sequence[WorkerProcess], partitions: int) -> None:
    """Wait until every worker owns its part of the partitions, and nothing else is underway."""
    least = partitions // len(workers)
    deadline_s = time.monotonic() + _READY_S
    while True:
        looks = _looks(workers)
        owned = [look.get(("nextact_partitions",), 0) for look in looks]
        if sum(owned) == partitions and min(owned) >= least and not any(s["nextact_recovering",] for s in looks):
            return
        if time.monotonic() > deadline_s:
            raise BenchmarkFailed(f"{len(workers)} workers share {partitions} partitions as {owned}: one is not there")
        time.sleep(_LOOK_S)


def _wait_until_handled(workers: Sequence[WorkerProcess], events: int) -> tuple[list[Samples], float, float | None]:
    """Return the metrics of the workers, the time, and the CPU seconds of the whole machine, once all is handled."""
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        looks, now_s, machine_s = _looks(workers), time.monotonic(), _machine_cpu_s()
        if all(looks) and sum(map(handled, looks)) >= events:
            return looks, now_s, machine_s
        if now_s > deadline_s:
            raise BenchmarkFailed(f"{sum(map(handled, looks)):,} of {events:,} events are handled: the workers hang")
        time.sleep(_LOOK_S)


def _looks(workers: Sequence[WorkerProcess]) -> list[Samples]:
    for worker in workers:
        if worker.code is not None:
            raise ProcessEnded(f"a worker ended with code {worker.code}: {worker.last_words()}")
    return [worker.metrics() for worker in workers]


def _machine_cpu_s() -> float | None:
    """Return the time that all cores were busy so far (Linux)."""
    try:
        ticks = [int(part) for part in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    except OSError:
        return None
    user, nice, system, _idle, _wait, irq, softirq, _stolen = ticks
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")

"""How soon an event is answered: idle, at a steady rate, at half of the peak; beside it the floor, without a worker."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from models.model_directory import save
from schemas.topics import NEXT_ACTIONS, physical_name
from streams.benchmark.final_state import BenchmarkFailed, check_state
from streams.benchmark.open_loop import Answered, Echoes, Reader, Times, heads, send_when_due
from streams.benchmark.report import Spread, spread
from streams.benchmark.throughput import Say, Variant, throughput
from streams.benchmark.workload import Workload, random_model, workload
from streams.errors import SettingsError
from streams.settings import Settings
from streams.topics import create_topics
from streams.worker_process import Samples, WorkerProcess, handled

PERCENTILES = (50.0, 90.0, 99.0, 99.9, 100.0)
EDGES_MS = np.geomspace(0.1, 10_000, 41)
"""Edges of the bars of a histogram: eight a factor of ten."""

WARM_UP_RATE, WARM_UP_S = 200.0, 3.0
"""What a worker gets before anything is measured: first calls are slow."""

PEAK_EVENTS = 300_000
"""Events of the backlog that tells the peak."""

_PATIENCE_S = 60.0
_ACKNOWLEDGED = "nextact_event_to_output_seconds_bucket"


class Distribution(msgspec.Struct, frozen=True):
    """Milliseconds: percentiles of each repetition with their spread, and all repetitions in one histogram."""

    percentiles: dict[str, Spread]  # p50, p90, p99, p99.9, max
    counts: list[int]  # below EDGES_MS[0], then between two edges, then above the last


class AtRate(msgspec.Struct, frozen=True):
    """What was measured at one rate."""

    rate: float  # events/s
    events: int  # of all repetitions, after the warm-up
    floor: Distribution  # due to be sent, to read, of the events themselves
    read: Distribution  # due to be sent, to read, of the next action that answers the event
    acknowledged: dict[str, Spread]  # ms, record timestamp to outputs and row acknowledged: the worker's own histogram
    chunk_records: Spread  # mean
    cpu_us_per_event: Spread  # of the worker


class Latency(msgspec.Struct, frozen=True):
    """All rates."""

    broker: str
    peak: float | None  # events/s of one worker from a backlog; None: no rate asked for it
    users: int
    items: int
    seconds: float
    repeat: int
    rates: list[AtRate]


class _Part(msgspec.Struct, frozen=True):
    """One rate in one repetition: ms of each event, the worker's own percentiles and costs."""

    floor: Times
    read: Times
    acknowledged: dict[str, float]
    chunk_records: float
    cpu_us_per_event: float


def latency(
    settings: Settings,
    broker: str,
    folder: Path,
    *,
    rates: Sequence[float | None],
    peak: float | None,
    users: int,
    items: int,
    seconds: float,
    warm_up_s: float,
    repeat: int,
    say: Say,
) -> Latency:
    """Send events when they are due, to a worker that has nothing else to do, and read its next actions.

    Args:
        settings: a broker that answers; everything else by default, whatever the environment says.
        broker: its name.
        folder: for the model and the logs.
        rates: events/s, one after the other; None: half of the peak.
        peak: events/s of one worker; None: measured first, if a rate asks for it.
        users: number of users.
        items: number of items of the model.
        seconds: measured at each rate.
        warm_up_s: at each rate before that.
        repeat: number of repetitions, each with a worker, a group and topics of its own.
        say: told what is going on.

    Raises:
        BenchmarkFailed: an event was not answered, or the state is not that of a plain fold.
        ClientMissing: the client that measures is not installed.
    """
    if None in rates and peak is None:
        peak = _peak(settings, folder, users, items, say)
    planned = [rate or (peak or 0.0) / 2 for rate in rates]
    save(random_model(items), folder / "model")
    plan = [WARM_UP_RATE, *planned]
    sizes = [round(WARM_UP_RATE * WARM_UP_S), *(round(rate * (warm_up_s + seconds)) for rate in planned)]
    input_ = workload(sum(sizes), users)
    parts: list[list[_Part]] = [[] for _ in planned]
    for number in range(repeat):
        say(f"run {number + 1} of {repeat}: {', '.join(f'{rate:,.0f}' for rate in planned)} events/s")
        mine = settings.model_copy(
            update={
                "topic_prefix": f"latency{time.time_ns()}.",
                "group": f"run{number}",
                "model": folder / "model",
                "clock": "wall",
            }
        )
        create_topics(mine, for_replay=True)
        floors = _floors(mine, input_, plan, sizes)
        measured = _answers(mine, folder, input_, plan, sizes)
        check_state(mine, input_)
        for place, rate in enumerate(planned, start=1):
            skip = round(rate * warm_up_s)
            read, before, after = measured[place]
            parts[place - 1].append(
                _Part(floors[place][skip:], read[skip:], _own(before, after), *_costs(before, after))
            )
    return Latency(
        broker=broker,
        peak=peak,
        users=users,
        items=items,
        seconds=seconds,
        repeat=repeat,
        rates=[_summary(rate, mine) for rate, mine in zip(planned, parts, strict=True)],
    )


def planned_rates(text: str) -> list[float | None]:
    """Return rates from numbers with commas between; None for `half`.

    Raises:
        SettingsError: one is neither a positive number nor `half`.

    >>> planned_rates("10,200,half")
    [10.0, 200.0, None]
    """
    found: list[float | None] = []
    for part in text.split(","):
        try:
            rate = None if part.strip() == "half" else float(part)
        except ValueError:
            rate = 0.0
        if rate is not None and not 0 < rate < float("inf"):
            raise SettingsError(f"--rates {text}: numbers of events a second with commas between, or `half`")
        found.append(rate)
    return found


def figures(found: AtRate) -> dict[str, Spread]:
    """Return what a table shows of a rate."""
    rows = {f"floor, {name} ms": value for name, value in found.floor.percentiles.items()}
    rows |= {f"answer read, {name} ms": value for name, value in found.read.percentiles.items()}
    rows |= {f"acknowledged, {name} ms": value for name, value in found.acknowledged.items()}
    return rows | {"records in a chunk": found.chunk_records, "CPU us/event": found.cpu_us_per_event}


def _peak(settings: Settings, folder: Path, users: int, items: int, say: Say) -> float:
    say("the peak, from a short backlog:")
    variant = Variant(settings.slate_size, items)
    [measured] = throughput(settings, folder, [variant], events=PEAK_EVENTS, users=users, repeat=1, say=say)
    return measured.runs[0].events_per_s


def _floors(settings: Settings, input_: Workload, plan: Sequence[float], sizes: Sequence[int]) -> list[Times]:
    """Measure the client and the broker alone: the events go straight through a topic, here that of the next actions.

    Its partitions and its settings are those that the answers go through; the worker's come later under another prefix.
    """
    alone = settings.model_copy(update={"topic_prefix": "floor." + settings.topic_prefix})
    create_topics(alone, for_replay=True)
    book, messages, sent = Echoes(len(input_)), heads(input_), 0
    floors: list[Times] = []
    with Reader(alone, physical_name(NEXT_ACTIONS, alone.topic_prefix), book) as reader:
        for rate, size in zip(plan, sizes, strict=True):
            due_s = send_when_due(alone, messages[sent : sent + size], rate, NEXT_ACTIONS)
            reader.wait_until_answered(sent + size)
            floors.append((book.read_s[sent : sent + size] - due_s) * 1e3)
            sent += size
    return floors


def _answers(
    settings: Settings, folder: Path, input_: Workload, plan: Sequence[float], sizes: Sequence[int]
) -> list[tuple[Times, Samples, Samples]]:
    """Measure the worker: ms until each event's answer was read, and its metrics before and after, for each rate."""
    book, messages, sent = Answered(input_), heads(input_), 0
    measured: list[tuple[Times, Samples, Samples]] = []
    log = folder / f"{settings.topic_prefix}log"
    with (
        WorkerProcess(settings, log) as worker,
        Reader(settings, physical_name(NEXT_ACTIONS, settings.topic_prefix), book) as reader,
    ):
        after = worker.wait_until(_ready(settings), _PATIENCE_S)
        for rate, size in zip(plan, sizes, strict=True):
            before = after
            due_s = send_when_due(settings, messages[sent : sent + size], rate)
            reader.wait_until_answered(sent + size, worker)
            done = sent + size
            after = worker.wait_until(lambda samples, done=done: handled(samples) >= done, _PATIENCE_S)  # type: ignore[misc]
            measured.append(((book.read_s[sent:done] - due_s) * 1e3, before, after))
            sent = done
        if worker.stop() != 0:
            raise BenchmarkFailed(f"the worker ended with code {worker.code}: {worker.last_words()}")
    return measured


def _ready(settings: Settings) -> Callable[[Samples], bool]:
    def ready(samples: Samples) -> bool:
        return samples["nextact_partitions",] == settings.partitions and not samples["nextact_recovering",]

    return ready


def _summary(rate: float, parts: Sequence[_Part]) -> AtRate:
    return AtRate(
        rate=rate,
        events=sum(len(part.read) for part in parts),
        floor=distribution([part.floor for part in parts]),
        read=distribution([part.read for part in parts]),
        acknowledged={name: spread([part.acknowledged[name] for part in parts]) for name in parts[0].acknowledged},
        chunk_records=spread([part.chunk_records for part in parts]),
        cpu_us_per_event=spread([part.cpu_us_per_event for part in parts]),
    )


def distribution(runs: Sequence[Times]) -> Distribution:
    """Return percentiles of repetitions with their spread, and one histogram of all.

    >>> found = distribution([np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 40.0])])
    >>> found.percentiles["p50"], found.percentiles["max"].most, sum(found.counts)
    (Spread(median=2.5, least=2.0, most=3.0), 40.0, 6)
    """
    found = [np.percentile(run, PERCENTILES).tolist() for run in runs]
    names = [*(f"p{p:g}" for p in PERCENTILES[:-1]), "max"]
    counts = np.bincount(np.searchsorted(EDGES_MS, np.concatenate(runs)), minlength=len(EDGES_MS) + 1)
    return Distribution(
        {name: spread(values) for name, values in zip(names, zip(*found, strict=True), strict=True)}, counts.tolist()
    )


def _own(before: Samples, after: Samples) -> dict[str, float]:
    """Return p50 and p99 by the worker's histogram, ms: inside a bucket every time counts as equally likely."""
    grown: Mapping[float, float] = {
        float(labels[0]): value - before.get((name, *labels), 0.0)
        for (name, *labels), value in after.items()
        if name == _ACKNOWLEDGED
    }
    edges = [edge for edge in grown if np.isfinite(edge)]
    cumulated = [0.0, *(grown[edge] for edge in edges)]
    total = max(grown.values())
    return {f"p{p:g}": float(np.interp(total * p / 100, cumulated, [0.0, *edges])) * 1e3 for p in (50.0, 99.0)}


def _costs(before: Samples, after: Samples) -> tuple[float, float]:
    """Return records in a chunk and CPU us an event."""

    def grown(name: str) -> float:
        return after[name,] - before.get((name,), 0.0)

    events = handled(after) - handled(before)
    chunks = grown("nextact_chunk_records_count")
    return events / max(chunks, 1.0), grown("process_cpu_seconds_total") / events * 1e6

"""More than a worker can answer: it conflates, stays in its group through passes of seconds, and counts everything."""

import time
from pathlib import Path

import pytest
from workers import Worker, final_rows, wait_until_committed

from models.model_directory import save
from models.state import ACTIONS
from schemas.topics import OUTPUTS
from streams.benchmark.throughput import fill
from streams.benchmark.workload import random_model, workload
from streams.settings import read_settings

pytestmark = [pytest.mark.broker, pytest.mark.long]

EVENTS, USERS, ITEMS = 60_000, 4000, 200_000  # so many items that a slate takes about half a millisecond
SESSION_S = 2
MEGABYTE = 2**20


def peak_bytes(pid: int) -> int:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def test_burst_costs_conflation_and_neither_memory_nor_membership_nor_events(kafka: str, tmp_path: Path) -> None:
    save(random_model(ITEMS), tmp_path / "model")
    settings = read_settings(
        bootstrap_servers=kafka,
        topic_prefix=f"overload{time.time_ns()}.",
        model=tmp_path / "model",
        partitions=4,
        slate_size=20,
    )
    trickle, burst = workload(100, USERS, ITEMS, seed=2), workload(EVENTS, USERS, ITEMS)
    fill(settings, trickle)
    log = tmp_path / "worker.log"
    with Worker(settings, log, {"NEXTACT_SESSION_TIMEOUT_S": str(SESSION_S)}) as worker:
        worker.wait_until_handled(len(trickle))
        before = peak_bytes(worker.pid)
        fill(settings, burst)
        samples = worker.wait_until_handled(len(trickle) + EVENTS)
        wait_until_committed(settings)
        grown = peak_bytes(worker.pid) - before
    outputs = sum(samples.get(("nextact_outputs_total", topic), 0) for topic in OUTPUTS) / len(OUTPUTS)
    pass_s = samples["nextact_stage_seconds_sum", "answer"] / samples["nextact_stage_seconds_count", "answer"]
    assert outputs < EVENTS / 2  # a user gets one answer a chunk
    assert log.read_text().count('"event": "ready"') == 1  # never evicted, though a pass takes as long as a session
    assert grown < 400 * MEGABYTE
    totals = trickle.totals()
    for key, counts in burst.totals().items():
        totals[key] = [a + b for a, b in zip(counts, totals.get(key, [0] * len(ACTIONS)), strict=True)]
    rows = final_rows(settings)
    assert {key: row["total"].tolist() for key, row in rows.items()} == totals
    print(f"{outputs:.0f} answers a topic, a pass of {pass_s:.1f} s on average, {grown / MEGABYTE:.0f} MB more")

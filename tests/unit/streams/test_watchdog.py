"""A worker that gets nowhere ends; one that works, waits or was paused does not."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from streams.chunk import watchdog
from streams.chunk.failure import EXIT_RESTART

STUCK = """
import asyncio, time
from streams.chunk.watchdog import Watchdog

async def main():
    dog = Watchdog(0.4, lambda: {underway}, lambda: {acknowledged}, look_s=0.1)
    await dog.start()
    print("watched", flush=True)
    {work}
    await dog.stop()
    print("done", flush=True)

asyncio.run(main())
"""


def run(work: str, underway: str = "False", acknowledged: str = "0") -> subprocess.Popen[str]:
    code = STUCK.format(work=work, underway=underway, acknowledged=acknowledged)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    ("work", "underway", "acknowledged", "why"),
    [
        ("time.sleep(20)", "False", "0", "the event loop has not run"),
        ("await asyncio.sleep(20)", "True", "7", "a chunk in work was not acknowledged"),
    ],
)
def test_worker_that_gets_nowhere_ends_and_says_where_it_stands(
    work: str, underway: str, acknowledged: str, why: str
) -> None:
    began_s = time.monotonic()
    with run(work, underway, acknowledged) as process:
        logged, traces = process.communicate(timeout=30)
    assert process.returncode == EXIT_RESTART
    assert time.monotonic() - began_s < 20
    assert why in logged
    assert "most recent call first" in traces


@pytest.mark.parametrize(
    ("work", "underway", "acknowledged"),
    [
        ("await asyncio.sleep(1.5)", "False", "0"),  # nothing to do
        ("await asyncio.sleep(1.5)", "True", "time.monotonic()"),  # chunk after chunk
        ("time.sleep(0.2); await asyncio.sleep(0.3); time.sleep(0.2)", "True", "time.monotonic()"),  # a long pass
    ],
)
def test_worker_that_gets_on_is_left_alone(work: str, underway: str, acknowledged: str) -> None:
    with run(work, underway, acknowledged) as process:
        out, said = process.communicate(timeout=30)
    assert (process.returncode, out.split()[-1:]) == (0, ["done"]), said


def test_paused_process_gets_time_to_catch_up() -> None:
    with run("await asyncio.sleep(2)") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "watched\n"
        process.send_signal(signal.SIGSTOP)
        time.sleep(1.5)
        process.send_signal(signal.SIGCONT)
        out, said = process.communicate(timeout=30)
    assert (process.returncode, out.split()) == (0, ["done"]), said


def test_end_does_not_wait_for_a_log_that_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    exit_: Callable[[int], None] = codes.append
    monkeypatch.setattr(os, "_exit", exit_)
    monkeypatch.setattr(watchdog, "LAST_WORDS_S", 0.1)
    dog = watchdog.Watchdog(1, lambda: False, lambda: 0)
    monkeypatch.setattr(dog, "_speak", lambda _: time.sleep(3))
    began_s = time.monotonic()
    dog._end("stuck")
    assert (codes, time.monotonic() - began_s < 2) == ([EXIT_RESTART], True)


def test_trouble_is_told_by_the_clock_and_only_once_the_watch_has_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s, underway = [1000.0], [False]
    monkeypatch.setattr(time, "monotonic", lambda: now_s[0])
    dog = watchdog.Watchdog(120, lambda: underway[0], lambda: 0)
    assert dog.trouble() is None
    dog._turned_s = dog._moved_s = 1000.0
    now_s[0] += 119
    assert dog.trouble() is None
    now_s[0] += 1
    assert dog.trouble() == "the event loop has not run for 120 s"
    dog._turned_s = now_s[0]
    assert dog.trouble() is None  # nothing to do
    underway[0] = True
    assert dog.trouble() == "a chunk in work was not acknowledged for 120 s"


async def watched() -> tuple[float, float]:
    dog = watchdog.Watchdog(60, lambda: True, lambda: 0, look_s=0.05)
    await dog.start()
    first_s = dog._moved_s
    dog._acknowledged = time.monotonic_ns  # chunk after chunk
    await asyncio.sleep(0.5)
    turned_s, moved_s = dog._turned_s, dog._moved_s
    await dog.stop()
    return turned_s - first_s, moved_s - first_s


def test_what_moves_is_noted() -> None:
    turned_s, moved_s = asyncio.run(watched())
    assert turned_s > 0.2
    assert moved_s > 0.2

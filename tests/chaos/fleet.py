"""The workers, under something that starts them again when they end, as every deployment has it."""

import shutil
import signal
import time
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import NamedTuple, Self
from urllib.request import urlopen

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from chaos.journal import Journal
from streams.settings import Settings
from streams.worker_process import Samples, WorkerProcess

STOP_S = 30.0
"""How long a worker may take to stop: `TimeoutStopSec` of the unit in docs/operations.md."""

RESTART_S = 0.3
COUNTED = ("nextact_stale_records", "nextact_repaired_rows", "nextact_late_total")
_SAMPLE_S = 1.0


class Ended(NamedTuple):
    """The end of a worker."""

    worker: str
    code: int
    cause: str  # what we did to it, or "itself"
    why: str  # its last critical or error line
    at_s: float  # by the wall clock


class Member(WorkerProcess):
    """A worker with a name, a folder of its own and what was done to it."""

    def __init__(self, name: str, settings: Settings, logs: Path, more: dict[str, str]) -> None:
        self.name = name
        self.files = logs.parent / "files" / name
        self.files.mkdir(parents=True)
        self.paused = False
        self.cause = "itself"
        self.term_s: float | None = None
        self.samples: Samples = {}
        super().__init__(settings, logs / f"{name}.log", more | {"TMPDIR": str(self.files)})

    def pause(self) -> None:
        """Stop its process as SIGSTOP does."""
        self.paused = True
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self.signal(signal.SIGCONT)
        self.paused = False

    def terminate(self) -> None:
        """Ask it to stop in good order."""
        self.cause, self.term_s = "SIGTERM", time.monotonic()
        self.signal(signal.SIGTERM)

    def shoot(self) -> None:
        """Kill it as `kill -9` does."""
        self.cause = "SIGKILL"
        self.kill()

    @property
    def ready(self) -> bool:
        """Whether it has said that it owns partitions and has recovered them."""
        return self.samples.get(("nextact_recovering",)) == 0 and self.samples.get(("nextact_partitions",), 0) > 0

    def why(self) -> str:
        """Return the last line of its log that is at least an error."""
        lines = self.log.read_text(errors="replace").splitlines()
        bad = [line for line in lines if '"level": "critical"' in line or '"level": "error"' in line]
        critical = [line for line in bad if '"critical"' in line]
        return (critical or bad or lines or [""])[-1][:400]


class Fleet:
    """The workers. Use it in a `with` block: they are stopped at the end, whatever happens.

    Args:
        settings: brokers, topics, group; the model is one of `models`.
        models: directories of models; the first is the one to begin with.
        count: how many workers there should be.
        folder: for logs and the workers' own files.
        environment: further variables of the workers.
        journal: told of each start and end.
    """

    def __init__(
        self,
        settings: Settings,
        models: list[Path],
        count: int,
        folder: Path,
        environment: dict[str, str],
        journal: Journal,
    ) -> None:
        self.members: list[Member] = []
        self.ended: list[Ended] = []
        self.count, self.model = count, 0
        self.counted: dict[str, dict[str, float]] = {}  # by worker, by name: the last value seen
        self._settings, self._models, self._environment, self._journal = settings, models, environment, journal
        self._logs, self._number = folder / "logs", 0
        self._logs.mkdir(parents=True, exist_ok=True)
        self._restart_s: list[float] = []
        self._over = Event()
        self._sampler = Thread(target=self._sample, name="metrics", daemon=True)

    def __enter__(self) -> Self:
        """Start all workers."""
        self._sampler.start()
        for _ in range(self.count):
            self.spawn()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill what still runs."""
        self._over.set()
        for member in self.members:
            member.kill()
        self._sampler.join(5)

    def spawn(self) -> Member:
        """Start a worker with the model of now."""
        self._number += 1
        settings = self._settings.model_copy(update={"model": self._models[self.model]})
        member = Member(f"w{self._number}", settings, self._logs, self._environment)
        self.members.append(member)
        self._journal.say(f"{member.name} starts, pid {member.pid}, model {self.model}")
        return member

    def tick(self) -> None:
        """Notice who has ended, start others in their place, and lose patience with who does not stop."""
        now_s = time.monotonic()
        for member in list(self.members):
            if member.term_s is not None and now_s - member.term_s > STOP_S and member.code is None:
                self._journal.say(f"{member.name} has not stopped {STOP_S:.0f} s after SIGTERM: killed")
                member.cause = "SIGTERM, then SIGKILL"
                member.kill()
            if member.code is not None:
                self._end(member)
                self._restart_s.append(now_s + RESTART_S)
        due = [at_s for at_s in self._restart_s if at_s <= now_s]
        for at_s in due:
            self._restart_s.remove(at_s)
            if len(self.members) < self.count:
                self.spawn()

    def _end(self, member: Member) -> None:
        code = member.code
        if code is None:
            return
        why = member.why() if code not in (0, -signal.SIGKILL) else ""
        self.members.remove(member)
        self.ended.append(Ended(member.name, code, member.cause, why, time.time()))
        self._journal.say(f"{member.name} ended with code {code} after {member.cause} {why}".rstrip())
        shutil.rmtree(member.files, ignore_errors=True)

    @property
    def awake(self) -> list[Member]:
        """Workers that run: not paused, and not on their way out."""
        return [m for m in self.members if not m.paused and m.term_s is None and m.code is None]

    def settled(self) -> bool:
        """Tell whether as many workers as there should be have recovered their partitions."""
        ready = [m for m in self.awake if m.ready]
        return len(ready) == len(self.members) == self.count

    def stop_all(self, tick: Callable[[], None]) -> None:
        """Stop all workers in good order, and start none in their place."""
        for member in self.members:
            if member.paused:
                member.resume()
            if member.term_s is None:
                member.terminate()
        wanted, self.count = self.count, 0
        self._restart_s.clear()
        while self.members:
            self.tick()
            tick()
            time.sleep(0.05)
        self.count = wanted

    def change_model(self, tick: Callable[[], None]) -> tuple[float, float]:
        """Stop all workers and start as many with another model; return when the last stopped and the first started."""
        begun_s = time.time()
        self.stop_all(tick)
        self.model = (self.model + 1) % len(self._models)
        for _ in range(self.count):
            self.spawn()
        return begun_s, time.time()

    def _sample(self) -> None:
        while not self._over.wait(_SAMPLE_S):
            for member in list(self.members):
                if not member.paused and member.code is None:
                    member.samples = _metrics(member.port)
                    if member.samples:
                        seen = self.counted.setdefault(member.name, {})
                        seen.update({name: member.samples.get((name,), 0.0) for name in COUNTED})
                        for outcome in ("redelivered", "duplicate"):
                            seen[outcome] = member.samples.get(("nextact_events_total", outcome), 0.0)


def log_lines(folder: Path, partition: int) -> list[str]:
    """Return the lines of all workers' logs that concern a partition, or all of a worker, in order of time."""
    found: list[tuple[str, str]] = []
    for log in sorted((folder / "logs").glob("*.log")):
        for line in log.read_text(errors="replace").splitlines():
            try:
                entry = msgspec.json.decode(line)
            except msgspec.DecodeError:
                continue
            partitions = entry.get("partitions") or [entry.get("partition", partition)]
            if entry.get("level") in ("warning", "error", "critical") or partition in partitions:
                found.append((entry.get("timestamp", ""), f"{log.stem}: {line[:600]}"))
    return [line for _, line in sorted(found)]


def _metrics(port: int) -> Samples:
    try:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=1) as answer:
            text = answer.read().decode()
    except (OSError, HTTPException):  # killed in the midst of its answer, for one
        return {}
    families = text_string_to_metric_families(text)
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}

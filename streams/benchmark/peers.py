"""The peers' job, run on the same broker: one prediction job on Kafka Streams, Quix Streams, stock Faust, and ours.

The folder of the peers is not part of this project; its run.py runs them, checks their outputs and measures them.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from kafka.errors import UnknownTopicOrPartitionError

from schemas.topics import INPUTS, NEXT_ACTIONS
from streams.benchmark.final_state import BenchmarkFailed
from streams.benchmark.report import Spread, spread
from streams.clients import admin, servers
from streams.errors import SettingsError
from streams.processes import Process
from streams.settings import Settings

NAMES = ("limit", "kstreams", "kstreams2", "kstreams-rocksdb", "kstreams2-rocksdb", "quix", "nextact", "faust")
SLOW, SLOW_EVENTS = "faust", 200_000
TOPICS = [*INPUTS, NEXT_ACTIONS]
"""What the peers' job deletes and creates, without a prefix."""

PATIENCE_S = 3600
_ROOT = Path(__file__).parents[2]
_DRIVER = Path(__file__).with_name("peers_driver.py")
_NEEDED = {"confluent-kafka": "confluent_kafka", "numpy": "numpy", "msgspec": "msgspec"}
"""Packages that run.py imports, with their modules."""

_NEEDED_BY = {"quix": {"quixstreams": "quixstreams"}, "faust": {"faust-streaming": "faust", "orjson": "orjson"}}
"""And those of single peers."""


class Ratio(msgspec.Struct, frozen=True):
    """How many times as good one of ours is as a peer, by the medians."""

    events_per_s: float | None  # from the first event to the last output, both cold; None: ours was warm
    last_60: float  # events/s, ours warm against the last 60 % of its events, when a JVM is warm too
    cpu: float  # events for the same CPU time; a peer's holds all that its JIT compiler took


class Peer(msgspec.Struct, frozen=True):
    """All repetitions of one peer."""

    name: str
    events: int
    events_per_s: Spread  # from the first event to the last output
    events_per_s_last_60: Spread | None  # of the last 60 % of the events
    cpu_us_per_event: Spread
    memory_mb: Spread
    changelog_records_per_event: float
    agree: float | None  # least share of predictions that equal those of all events in order of event time
    ratios: dict[str, Ratio] = {}


class PeersJob:
    """The peers of a folder.

    Args:
        folder: has run.py and what belongs to it.
        names: which peers, of NAMES.
        python: interpreter that has what they need; None: this one.

    Raises:
        SettingsError: something that they need is not there.
    """

    def __init__(self, folder: Path, names: Sequence[str], python: Path | None = None) -> None:
        self.folder, self.names = folder.resolve(), [name.strip() for name in names]
        self.python = str(python.absolute() if python else sys.executable)  # resolved, it would leave its environment
        if not (self.folder / "run.py").is_file():
            raise SettingsError(f"--peers {folder}: there is no run.py")
        if unknown := sorted(set(self.names) - set(NAMES)):
            raise SettingsError(f"no such peer: {', '.join(unknown)}; there are {', '.join(NAMES)}")
        if missing := self._missing():
            raise SettingsError(
                f"{self.python} lacks {', '.join(missing)}, which the peers need: run `make peers`, then"
                " give --peers-python .peers/bin/python"
            )
        if any(name.startswith("kstreams") for name in self.names) and not shutil.which("java", path=_path()):
            raise SettingsError("Kafka Streams needs Java 17 or newer: install it, or set JAVA_HOME")

    def _missing(self) -> list[str]:
        code = "import sys; from importlib.util import find_spec; print(*[m for m in sys.argv[1:] if not find_spec(m)])"
        modules = dict(_NEEDED)
        for name in self.names:
            modules |= _NEEDED_BY.get(name, {})
        try:
            done = subprocess.run(  # noqa: S603 - the interpreter that the user names
                [self.python, "-c", code, *modules.values()], capture_output=True, text=True, check=True
            )
        except (OSError, subprocess.CalledProcessError) as error:
            raise SettingsError(f"--peers-python {self.python} is no Python: {error}") from None
        missing = done.stdout.split()
        return [package for package, module in modules.items() if module in missing]

    @contextmanager
    def topics(self, settings: Settings) -> Iterator[None]:
        """Make sure that the peers delete nobody's topics, and delete at the end what they created.

        Raises:
            BenchmarkFailed: the broker has a topic that the peers would delete.
        """
        with admin(settings) as client:
            if taken := sorted(set(TOPICS) & set(client.list_topics())):
                raise BenchmarkFailed(
                    f"the peers' job would delete topics that are there: {', '.join(taken)}. Name a broker without"
                    " them, or none: with KAFKA_HOME one is started for this run"
                )
        try:
            yield
        finally:
            with admin(settings) as client:
                for topic in set(TOPICS) & set(client.list_topics()):
                    _delete(client, topic)

    def run(
        self, settings: Settings, folder: Path, events: int, users: int, repeat: int, say: Callable[[str], None]
    ) -> list[Peer]:
        """Run them one after another.

        Args:
            settings: a broker that answers.
            folder: for state, logs and results.
            events: number of events; Faust gets at most `SLOW_EVENTS`.
            users: number of users.
            repeat: number of repetitions.
            say: told of each result.

        Raises:
            BenchmarkFailed: a peer does not run, or its answers are wrong.
        """
        rows: list[dict[str, Any]] = []
        for slow in (False, True):
            names = [name for name in self.names if (name == SLOW) == slow]
            if names:
                count = min(events, SLOW_EVENTS) if slow else events
                say(f"the peers' job, {count:,} events: {', '.join(names)}")
                rows += self._run(settings, folder / f"peers-{slow:d}", names, count, users, repeat, say)
        return [_peer(name, [row for row in rows if row["peer"] == name]) for name in self.names]

    def _run(
        self,
        settings: Settings,
        folder: Path,
        names: Sequence[str],
        events: int,
        users: int,
        repeat: int,
        say: Callable[[str], None],
    ) -> list[dict[str, Any]]:
        folder.mkdir()
        results = folder / "results.jsonl"
        arguments = {
            "bootstrap": ",".join(servers(settings)),
            "peers": ",".join(names),
            "events": str(events),
            "users": str(users),
            "repeat": str(repeat),
            "python": self.python,
            "work": str(folder),
            "json": str(results),
        }
        ours = [str(self.folder), sys.executable, str(_ROOT)]
        options = [word for name, value in arguments.items() for word in (f"--{name}", value)]
        environment = {"PATH": _path(), "PYTHONDONTWRITEBYTECODE": "1", "OPENBLAS_NUM_THREADS": "1"}
        command = [self.python, str(_DRIVER), *ours, *options]
        deadline_s = time.monotonic() + PATIENCE_S
        rows: list[dict[str, Any]] = []
        with Process(command, folder / "run.log", environment) as process:
            while True:
                ended = process.code is not None
                lines = results.read_bytes().splitlines(keepends=True) if results.exists() else []
                for line in lines[len(rows) :]:
                    if line.endswith(b"\n"):
                        rows.append(msgspec.json.decode(line))
                        say(_said(rows[-1]))
                if ended:
                    break
                if time.monotonic() > deadline_s:
                    raise BenchmarkFailed(f"the peers are not done after {PATIENCE_S} s: {process.last_words()}")
                time.sleep(0.2)
            if problems := [f"{row['peer']}: {_reason(folder, row['error'])}" for row in rows if "error" in row]:
                raise BenchmarkFailed("; ".join(problems))
            if process.code:
                raise BenchmarkFailed(f"the peers' run.py ended with code {process.code}: {process.last_words()}")
        return rows


class Ours(NamedTuple):
    """Medians of one of ours."""

    events_per_s: float | None  # from the first event to the last output; None: the start was left out
    last_60: float  # events/s when warm
    cpu_us: float


def with_ratios(peers: Sequence[Peer], ours: Mapping[str, Ours]) -> list[Peer]:
    """Return peers with the ratios of ours to them.

    Args:
        peers: measured in this run.
        ours: what is compared, by name.
    """
    return [
        msgspec.structs.replace(peer, ratios={name: _ratio(one, peer) for name, one in ours.items()}) for peer in peers
    ]


def _ratio(ours: Ours, peer: Peer) -> Ratio:
    warm = peer.events_per_s_last_60 or peer.events_per_s  # the loop of the limit has nothing to warm up
    return Ratio(
        events_per_s=ours.events_per_s / peer.events_per_s.median if ours.events_per_s else None,
        last_60=ours.last_60 / warm.median,
        cpu=peer.cpu_us_per_event.median / ours.cpu_us,
    )


def _peer(name: str, rows: Sequence[dict[str, Any]]) -> Peer:
    def all_of(key: str) -> list[float]:
        return [row[key] for row in rows if key in row]

    last_60, agree = all_of("events_s_last60"), all_of("agree_all")
    return Peer(
        name=name,
        events=rows[0]["events"],
        events_per_s=spread(all_of("events_s")),
        events_per_s_last_60=spread(last_60) if last_60 else None,
        cpu_us_per_event=spread(all_of("cpu_us")),
        memory_mb=spread(all_of("rss_mb")),
        changelog_records_per_event=max(all_of("changelog_records")) / rows[0]["events"],
        agree=min(agree) if agree else None,
    )


def _said(row: Mapping[str, Any]) -> str:
    if "error" in row:
        return f"{row['peer']}: {row['error']}"
    return f"{row['peer']}: {row['events_s']:,} events/s, {row['cpu_us']:.1f} us of CPU an event"


def _reason(folder: Path, error: str) -> str:
    """Return what run.py says of a peer that failed, with the last line of the log that it names."""
    log = Path(error.rpartition("; see ")[2])
    lines = log.read_text(errors="replace").split("\n") if log.is_relative_to(folder) and log.is_file() else []
    said = [line.strip() for line in lines if line.strip()]
    return f"{error.partition('; see ')[0]}: {said[-1][:300] if said else 'it printed nothing'}"


def _path() -> str:
    """Return PATH with the Java of JAVA_HOME first: run.py calls `java`."""
    home, path = os.environ.get("JAVA_HOME"), os.environ.get("PATH", "")
    return f"{home}/bin{os.pathsep}{path}" if home else path


def _delete(client: Any, topic: str) -> None:  # noqa: ANN401 - kafka-python's
    try:
        client.delete_topics([topic])
    except UnknownTopicOrPartitionError:
        return

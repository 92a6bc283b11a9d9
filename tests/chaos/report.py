"""The report of a run: what struck, how soon it went on, what was written twice, and whether all is equal."""

import os
import subprocess
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from chaos.fleet import Fleet
from chaos.journal import clock
from chaos.verdict import Verdict
from chaos.watch import resumed_after_s


@dataclass
class Struck:
    """A fault that struck.

    Attributes:
        alone: all was well when it struck.
        resumed_s: the longest time without an answer in a partition that began with it.
    """

    number: int
    kind: str
    what: str
    wall_s: float
    at_s: float
    alone: bool = True
    resumed_s: float = 0.0

    def measure(self, answered_s: Sequence[Sequence[float]], all_: Sequence["Struck"]) -> None:
        """Set `resumed_s` from when each partition was answered."""
        later = [fault.at_s for fault in all_ if fault.number > self.number]
        self.resumed_s = resumed_after_s(answered_s, self.at_s, min(later, default=float("inf")))


class Kind(msgspec.Struct, frozen=True):
    """All faults of a kind."""

    faults: int
    alone: int
    resumed_p50_s: float
    resumed_max_s: float


class Report(msgspec.Struct, frozen=True):
    """What came of a run."""

    equal: bool
    seed: int
    where: str  # date, commit, machine
    seconds: float
    plan: dict[str, Any]
    faults: dict[str, Kind]
    counts: dict[str, int]
    exits: dict[str, int]  # "SIGTERM: 0": how often
    unexpected_exits: list[str]
    workers: dict[str, float]  # of all workers together: counters as last seen
    differences: list[str]
    struck: list[str]

    def markdown(self) -> str:
        """Return the report for people."""
        c = Counter(self.counts)
        lines = [
            f"# Chaos: {sum(kind.faults for kind in self.faults.values())} faults, seed {self.seed}",
            "",
            f"{self.where}",
            "",
            f"**{'All is equal.' if self.equal else 'NOT EQUAL.'}** {self.seconds:.0f} s; {c['events']:,} events of "
            f"{c['users']:,} users at {self.plan['rate']:.0f}/s, {c['duplicates_sent']:,} sent twice, "
            f"{c['events_late']:,} too late for the ring, {c['poison']:,} poison; three brokers, replication 3, "
            "min ISR 2.",
            "",
            "| fault | times | alone | goes on after, p50 | max |",
            "|---|---|---|---|---|",
        ]
        lines += [
            f"| {name} | {kind.faults} | {kind.alone} | {kind.resumed_p50_s:.1f} s | {kind.resumed_max_s:.1f} s |"
            for name, kind in sorted(self.faults.items())
        ]
        lines += ["", "| | |", "|---|---|"]
        lines += [f"| {name} | {value} |" for name, value in self._figures()]
        lines += ["", *(f"- {difference}" for difference in self.differences)]
        return "\n".join(lines).rstrip() + "\n"

    def _figures(self) -> list[tuple[str, str]]:
        c, workers = Counter(self.counts), defaultdict[str, float](float, self.workers)
        return [
            (
                "records acknowledged to the producer, and in the input topics",
                f"{c['records_acknowledged']:,}, {c['records_in_input']:,}",
            ),
            ("events lost, counted twice", f"{c['events_lost']:,}, {c['events_counted_twice']:,}"),
            ("rows equal, of users", f"{c['rows_equal']:,} of {c['users']:,}"),
            ("last outputs equal, of three a user", f"{c['last_outputs_equal']:,} of {3 * c['users']:,}"),
            (
                "outputs written, again under the same id, out of date",
                f"{c['outputs_written']:,}, {c['outputs_written_again']:,}, {c['outputs_out_of_date']:,}",
            ),
            ("silences told; users whose band is one of silence", f"{c['silences_told']:,}; {c['silent_users']:,}"),
            ("dead letters written, again", f"{c['dead_letters_written']:,}, {c['dead_letters_written_again']:,}"),
            (
                "rows in the changelog written, left by compaction",
                f"{c['changelog_written']:,}, {c['changelog_left']:,}",
            ),
            (
                "records that recovery ignored, rows repaired",
                f"{workers['nextact_stale_records']:.0f}, {workers['nextact_repaired_rows']:.0f}",
            ),
            ("records delivered again", f"{workers['redelivered']:,.0f}"),
            ("on the brokers' disks", f"{c['bytes_on_disk'] / 1e6:,.0f} MB"),
            ("workers' ends: cause and exit code", ", ".join(f"{k} {n}" for k, n in sorted(self.exits.items()))),
        ]


def make_report(
    seed: int, seconds: float, struck: Sequence[Struck], fleet: Fleet, verdict: Verdict, plan: dict[str, Any]
) -> Report:
    """Return the report."""
    kinds: dict[str, list[Struck]] = {}
    for fault in struck:
        kinds.setdefault(fault.kind, []).append(fault)
    exits = Counter(f"{end.cause}: {end.code}," for end in fleet.ended)
    allowed = {("SIGTERM", 0), ("SIGTERM", -15), ("SIGTERM", 143), ("SIGKILL", -9), ("SIGTERM, then SIGKILL", -9)}
    # -15, 143: before it was a member of the group, with nothing to lose
    unexpected = [
        f"{end.worker} at {clock(end.at_s)}: {end.code} after {end.cause}: {end.why}"
        for end in fleet.ended
        if end.code != 70 and (end.cause, end.code) not in allowed
    ]
    workers: Counter[str] = Counter()
    for seen in fleet.counted.values():
        workers.update(seen)
    differences = [*verdict.differences, *(f"unexpected exit: {text}" for text in unexpected)]
    return Report(
        equal=not differences,
        seed=seed,
        where=_where(),
        seconds=round(seconds, 1),
        plan=plan,
        faults={
            name: Kind(
                len(faults),
                sum(fault.alone for fault in faults),
                round(median(fault.resumed_s for fault in faults), 2),
                round(max(fault.resumed_s for fault in faults), 2),
            )
            for name, faults in kinds.items()
        },
        counts=dict(verdict.counts),
        exits=dict(exits),
        unexpected_exits=unexpected,
        workers=dict(workers),
        differences=differences,
        struck=[
            f"{clock(f.wall_s)} {f.kind} {f.what}: {f.resumed_s:.2f} s{'' if f.alone else ', not alone'}"
            for f in struck
        ],
    )


def _where() -> str:
    """Return date, commit and machine of the run."""
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        commit = subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):  # not a clone
        commit = "unknown"
    cores, memory = len(os.sched_getaffinity(0)), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{datetime.now(UTC):%Y-%m-%d}, commit {commit}, {cores} cores, {memory / 2**30:.0f} GiB."

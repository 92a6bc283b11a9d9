"""A run: brokers, workers, a producer, faults, and the verdict."""

import random
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from chaos.cluster import Cluster
from chaos.faults import FAULTS, Stage, deal
from chaos.final import not_committed
from chaos.fleet import Fleet, log_lines
from chaos.journal import Journal
from chaos.judge import judge
from chaos.messages import Message, messages
from chaos.producer import Place, Producer
from chaos.report import Report, Struck, make_report
from chaos.silence import Moments
from chaos.verdict import Verdict
from chaos.watch import Watch
from models.model_directory import load, save
from models.predictor import Predictor
from streams.benchmark.workload import random_model
from streams.errors import NextactError
from streams.settings import Settings
from streams.topics import create_topics
from streams.worker import options

PATIENCE_S = 300.0
"""A partition in which nothing new is answered for so long is stuck."""

ITEMS = 500
_EVERY_S = 0.05
_LOOKS_S = 8.0  # enough for the three looks, a second apart, in which the band of somebody silent for weeks rises


class Stuck(NextactError):  # noqa: N818
    """Something that was waited for did not happen."""


class Plan:
    """How a run is to be.

    Args:
        faults: how many.
        seed: same seed, same faults in the same order, same messages but for their start.
        kinds: of faults.
        rate: events a second.
        users: number of users.
        workers: to begin with.
        overlap: share of the faults that strike before the one before them is over.
        calm_s: least and most seconds from when all is well to the next fault.
        session_s: session timeout of the workers.
        compaction_lag_ms: how old a row must be to be compacted.
    """

    def __init__(
        self,
        *,
        faults: int = 20,
        seed: int = 1,
        kinds: list[str] | None = None,
        rate: float = 200.0,
        users: int = 600,
        workers: int = 2,
        overlap: float = 0.3,
        calm_s: tuple[float, float] = (1.0, 4.0),
        session_s: int = 5,
        compaction_lag_ms: int = 40_000,
    ) -> None:
        self.faults, self.seed, self.kinds = faults, seed, kinds or list(FAULTS)
        self.rate, self.users, self.workers = rate, users, workers
        self.overlap, self.calm_s = overlap, calm_s
        self.session_s, self.compaction_lag_ms = session_s, compaction_lag_ms


def chaos(settings: Settings, plan: Plan, out: Path, journal: Journal) -> Report:
    """Run the faults and return what came of them.

    Args:
        settings: `home` says where Apache Kafka is, `partitions` how many the topics get; the rest by default.
        plan: the run.
        out: folder for logs; anything may be there, but no run.
        journal: told of everything.

    Raises:
        NextactError: a broker does not start, or the workers are stuck.
    """
    if settings.home is None:
        raise Stuck("KAFKA_HOME is not set: it names a folder with Apache Kafka's jars in libs/, which Java 17 runs")
    (out / "logs").mkdir(parents=True, exist_ok=True)
    began_s = time.time()
    models = [out / "models" / str(number) for number in range(2)]
    for number, folder in enumerate(models):
        save(random_model(ITEMS, seed=number), folder)
    predictors = [Predictor(load(folder)) for folder in models]
    mine = settings.model_copy(update={"topic_prefix": "chaos.", "group": "chaos", "model": models[0], "clock": "wall"})
    more = {
        "NEXTACT_SESSION_TIMEOUT_S": str(plan.session_s),
        "OPENBLAS_NUM_THREADS": "1",
    }
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True)))
        journal.say(f"three brokers start; logs in {out}")
        cluster = stack.enter_context(Cluster(settings.home, data, mine))
        mine = cluster.settings
        try:
            create_topics(mine)
            cluster.compact_soon(plan.compaction_lag_ms)
            fleet = stack.enter_context(Fleet(mine, models, plan.workers, out, more, journal))
            run = _Run(plan, mine, cluster, fleet, journal)
            acknowledged = run.faults_and_traffic()
            fleet.stop_all(run.stage.do_what_is_due)
            journal.say("all workers have stopped; reading what they left")
            moments = Moments(run.handled_ms, int(time.time() * 1000), fleet.model)
            verdict = judge(mine, acknowledged, predictors, run.stage.changes, options(mine), moments)
            verdict.counts["bytes_on_disk"] = 512 * sum(file.lstat().st_blocks for file in data.rglob("*"))
        finally:
            for node in cluster.nodes:
                if node.log.exists():
                    (out / "logs" / f"{node.data_dir.name}.broker").write_bytes(node.log.read_bytes())
    if verdict.differences:
        _show(verdict, out, journal)
    return make_report(plan.seed, time.time() - began_s, run.struck, fleet, verdict, plan.__dict__)


class _Run:
    """The part of a run in which events flow."""

    def __init__(self, plan: Plan, settings: Settings, cluster: Cluster, fleet: Fleet, journal: Journal) -> None:
        self._plan, self._settings, self._cluster, self._fleet, self._journal = plan, settings, cluster, fleet, journal
        self._chance = random.Random(plan.seed)
        self.stage = Stage(cluster, fleet, journal, self._chance, plan.session_s, plan.workers + 1, self._tick)
        self.struck: list[Struck] = []
        self.handled_ms = 0  # when all had been answered
        self._watch: Watch | None = None
        self._producer: Producer | None = None

    def faults_and_traffic(self) -> list[tuple[Message, Place]]:
        """Send, strike, heal, and wait until everything is handled; return what was acknowledged."""
        plan = self._plan
        self._wait_until("workers are ready", self._fleet.settled)
        start_ms = int(time.time() * 1000) + 200
        flow = messages(plan.seed, plan.users, ITEMS * 2, plan.rate, start_ms)  # half of the items are unknown
        with Watch(self._settings) as watch, Producer(self._settings, flow, start_ms) as producer:
            self._watch, self._producer, self.stage.producer = watch, producer, producer
            self._wait_until("every partition is answered", self._answering)
            self._pause(*plan.calm_s)
            kinds = deal(self._chance, plan.faults, plan.kinds)
            for number, kind in enumerate(kinds, start=1):
                self._strike(number, kind)
                if number < plan.faults and self._chance.random() < plan.overlap:
                    self._pause(0.3, 4)
                else:
                    self._heal()
                    self._pause(*plan.calm_s)
            self._heal()
            self._pause(3, 3)  # owners write over what zombies left
            for fault in self.struck:
                fault.measure(watch.answered_s, self.struck)
            self._journal.say("the producer stops")
            producer.stop()
            self._wait_until("all is committed", lambda: not not_committed(self._settings), pause_s=1.0)
            self._wait_until("the workers are ready", self._fleet.settled)
            self.handled_ms = int(time.time() * 1000)
            self._pause(_LOOKS_S, _LOOKS_S)
            return producer.acknowledged

    def _strike(self, number: int, kind: str) -> None:
        at_s, wall_s = time.monotonic(), time.time()
        fault = Struck(number, kind, "", wall_s, at_s)
        calm = not self.stage.later and self._fleet.settled() and self._answering()
        fault.alone = calm
        self.struck.append(fault)
        self._journal.say(f"fault {number} of {self._plan.faults}: {kind}")
        fault.what = FAULTS[kind](self.stage)
        self._journal.say(f"  {kind}: {fault.what}")

    def _heal(self) -> None:
        """Wait until what was put off is done, brokers are in sync, workers ready, events answered."""
        self._wait_until("all that is put off is done", lambda: not self.stage.later)
        self._wait_until("the brokers are in sync", self._cluster.whole, pause_s=0.3)
        self._wait_until("the workers are ready", self._fleet.settled)
        self._wait_until("every partition is answered", self._answering)

    def _answering(self) -> bool:
        return self._watch is not None and max(self._watch.silent_s()) < 1.0

    def _tick(self) -> None:
        self.stage.do_what_is_due()
        self._fleet.tick()
        if self._producer is not None and self._producer.problem is not None:
            raise self._producer.problem

    def _pause(self, least_s: float, most_s: float) -> None:
        end_s = time.monotonic() + self._chance.uniform(least_s, most_s)
        while time.monotonic() < end_s:
            self._tick()
            time.sleep(_EVERY_S)

    def _wait_until(self, what: str, condition: Callable[[], bool], pause_s: float = _EVERY_S) -> None:
        end_s = time.monotonic() + PATIENCE_S
        while True:
            self._tick()
            if condition():
                return
            if time.monotonic() > end_s:
                self._say_who_is_stuck()
                raise Stuck(f"after {PATIENCE_S:.0f} s it is not so that {what}")
            time.sleep(pause_s)

    def _say_who_is_stuck(self) -> None:
        if self._watch is not None:
            self._journal.say(
                f"seconds without an answer, by partition: {[round(s, 1) for s in self._watch.silent_s()]}"
            )
        for member in self._fleet.members:
            seen = {
                name[0]: value
                for name, value in member.samples.items()
                if name[0] in ("nextact_recovering", "nextact_partitions")
            }
            self._journal.say(f"{member.name}: {seen}; last words: {member.last_words()}")


def _show(verdict: Verdict, out: Path, journal: Journal) -> None:
    """Print the first differences, and the lines of the logs that concern the first of them."""
    for difference in verdict.differences:
        journal.say(f"DIFFERENCE {difference}")
    for line in verdict.story:
        journal.say(line)
    if verdict.suspects:
        _, partition = verdict.suspects[0]
        journal.say(f"the workers' lines on partition {partition}:")
        for line in log_lines(out, partition)[-60:]:
            journal.say(f"  {line}")

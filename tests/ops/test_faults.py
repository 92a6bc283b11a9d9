"""Every alert is fired by a real fault, and clears: the rules that are shipped, their durations scaled down.

Prints a table: alert, fault, seconds until it fired, seconds until it cleared after the fault was undone. The order of
the tests saves time: what an alert needs to clear, another fault can use that does it no harm.
"""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event as Flag
from threading import Thread

import msgspec
import numpy as np
import pytest
import yaml
from deployment import DEPLOY

from models.model_directory import load, save
from ops.journal import Journal
from ops.scaled_rules import FACTOR
from ops.watched import RATE, Watched, WatchedWorker
from schemas.topics import INPUTS
from streams.clients import producer
from streams.local_broker import LocalBroker
from streams.processes import Process

pytestmark = [pytest.mark.ops, pytest.mark.long, pytest.mark.broker, pytest.mark.timeout(600)]

PATIENCE_S = 60
WELL_S = 60
"""So long no alert fires before the first fault: four times as long as the slowest of them waits."""

STALLS = "the broker stalls: paused (SIGSTOP) for 0.6 s, again and again"
BAD = "half as many records again are no events, every seventh item is new"
WRONG = "workers start with a model of 40 days ago that says the opposite"
OPEN = "a producer leaves a transaction open in every partition"
PAUSED = "a worker is paused (SIGSTOP), after a second the other too"
KILLED = "a worker is killed three times (SIGKILL)"
UNREAD = "the broker is paused (SIGSTOP) while workers read their users back"
SILENT = "the broker is paused (SIGSTOP) while chunks are in work"
TRIES = 20

_NAP_S = 0.02


@pytest.fixture(scope="module")
def journal(watched: Watched, request: pytest.FixtureRequest) -> Iterator[Journal]:
    yield watched.journal
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():  # it is what the run is for, whether it passes or not
        print("\n\n" + "\n".join([f"durations of the rules divided by {FACTOR}", *watched.journal.table()]))


@contextmanager
def going_on(*processes: Process | LocalBroker) -> Iterator[None]:
    """Let processes go on at the end of a block that pauses them, also if the block fails."""
    try:
        yield
    finally:
        for process in processes:
            process.signal(signal.SIGCONT)


@contextmanager
def stalling(broker: LocalBroker) -> Iterator[None]:
    """Pause a broker again and again, too short for anybody to give it up."""
    over = Flag()

    def stall() -> None:
        while not over.is_set():
            broker.signal(signal.SIGSTOP)
            time.sleep(0.6)
            broker.signal(signal.SIGCONT)
            over.wait(0.3)

    thread = Thread(target=stall, name="stalls", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def alerts() -> set[str]:
    rules = yaml.safe_load((DEPLOY / "prometheus/rules/alerts.yaml").read_text())
    return {rule["alert"] for group in rules["groups"] for rule in group["rules"]}


class Probe(Thread):
    """Asks a worker again and again whether it is ready, and keeps each answer that is another one."""

    def __init__(self, worker: WatchedWorker) -> None:
        super().__init__(name="probe", daemon=True)
        self._said: list[str] = []
        self._worker, self._over = worker, Flag()

    def run(self) -> None:
        while not self._over.wait(_NAP_S):
            code, line = self._worker.asked("ready")
            line = line.partition(",")[0]  # without the number of records
            if code and self._said[-1:] != [line]:
                assert code == (200 if line == "ready" else 503)
                self._said.append(line)

    def last(self) -> str:
        """Return what was said last."""
        return self._said[-1] if self._said else ""

    def end(self) -> list[str]:
        """Ask no more; return what was said."""
        self._over.set()
        self.join()
        return self._said


def test_nothing_fires_while_all_is_well(watched: Watched, journal: Journal) -> None:
    time.sleep(max(journal.began_s + WELL_S - time.monotonic(), 0))
    assert journal.fired() == set()
    assert watched.prometheus.value("sum(rate(nextact_records_total[5s]))") > 0.9 * RATE


def test_broker_that_stalls(watched: Watched, journal: Journal) -> None:
    burn = ["NextactLatencyBudgetBurnsFast", "NextactLatencyBudgetBurnsSlowly"]
    with stalling(watched.broker), journal.fault(STALLS, burn, PATIENCE_S):
        pass
    journal.undone(STALLS)


def test_bad_input_while_the_slow_burn_clears(watched: Watched, journal: Journal) -> None:
    with journal.fault(BAD, ["NextactRejects", "NextactDeadLetters", "NextactInputDrift"], 2 * PATIENCE_S):
        watched.load.refused, watched.load.strange = 0.5, 0.15
    watched.load.refused, watched.load.strange = 0.0, 0.0
    journal.undone(BAD)
    journal.wait_until_cleared(BAD, 3 * PATIENCE_S)
    journal.wait_until_cleared(STALLS, 3 * PATIENCE_S)  # six hours, which the slow one looks at, are 90 s


def test_killed_worker(watched: Watched, journal: Journal) -> None:
    with journal.fault(KILLED, ["NextactWorkerRestarts"], PATIENCE_S):
        for _ in range(3):
            watched.workers[0].kill()
            watched.start(0).wait_until(bool, PATIENCE_S)
            time.sleep(1)  # in which it is scraped
    journal.undone(KILLED)  # it clears two hours later, which are 30 s
    watched.wait_until_ready()


def test_open_transaction(watched: Watched, journal: Journal) -> None:
    with producer(watched.settings, transactional_id="open") as sender:
        sender.init_transactions()
        sender.begin_transaction()
        with journal.fault(OPEN, ["NextactNoAnswers", "NextactLagGrows"], PATIENCE_S):
            for topic in INPUTS:
                for partition in range(watched.settings.partitions):
                    sender.send(topic, b"{", b"u", partition=partition)
            sender.flush()
        sender.abort_transaction()
        journal.undone(OPEN)
    journal.wait_until_cleared(OPEN, PATIENCE_S)


def test_paused_workers(watched: Watched, journal: Journal) -> None:
    one, other = watched.workers
    with going_on(one, other), journal.fault(PAUSED, ["NextactWorkerDown", "NextactNoWorkers"], PATIENCE_S):
        one.signal(signal.SIGSTOP)
        time.sleep(1)
        other.signal(signal.SIGSTOP)
    journal.undone(PAUSED)
    watched.wait_until_ready()
    journal.wait_until_cleared(PAUSED, PATIENCE_S)


def test_broker_that_is_silent_while_chunks_are_in_work(watched: Watched, journal: Journal) -> None:
    def stuck() -> bool:
        return watched.prometheus.value("max(nextact_chunk_underway_seconds)") > 1

    silent = ["NextactBrokerUnreachable", "NextactWorkerStuck"]
    with going_on(watched.broker), journal.fault(SILENT, silent, PATIENCE_S):
        for _ in range(TRIES):  # a moment at which a chunk is in work
            watched.broker.signal(signal.SIGSTOP)
            time.sleep(2)
            if stuck():
                break
            watched.broker.signal(signal.SIGCONT)
            time.sleep(1)
    journal.undone(SILENT)
    watched.wait_until_ready()
    journal.wait_until_cleared(SILENT, PATIENCE_S)


def test_restarts_are_forgotten(journal: Journal) -> None:
    journal.wait_until_cleared(KILLED, PATIENCE_S)


def test_states_of_ready(watched: Watched) -> None:
    watched.workers[1].stop()
    worker = watched.start(1)
    probe = Probe(worker)
    probe.start()
    watched.wait_until_ready()
    watched.prometheus.wait_until(lambda: probe.last() == "ready", "ready again and again", PATIENCE_S)
    said = probe.end()
    assert said[0] == "not ready: it starts: its compiled loops are made ready"
    assert "not ready: it joins its group" in said
    assert said[-1] == "ready"
    assert worker.asked("live") == (200, "live")

    probe = Probe(worker)
    probe.start()
    watched.prometheus.wait_until(lambda: probe.last() == "ready", "ready again and again", PATIENCE_S)
    assert worker.stop() == 0
    assert probe.end() == ["ready", "not ready: it stops"]
    watched.start(1)
    watched.wait_until_ready()


def test_broker_that_is_silent_while_users_are_read_back(watched: Watched, journal: Journal) -> None:
    with going_on(watched.broker):
        for _ in range(TRIES):
            watched.restart(1)
            watched.workers[1].wait_until(lambda samples: samples.get(("nextact_recovering",)) == 1, PATIENCE_S)
            watched.broker.signal(signal.SIGSTOP)
            if "NextactRecoveryLong" not in watched.prometheus.firing():  # of the rebalance before
                break
            watched.broker.signal(signal.SIGCONT)
            watched.wait_until_ready()
        with journal.fault(UNREAD, ["NextactRecoveryLong"], PATIENCE_S):
            pass
        time.sleep(2)
        assert "NextactRecoveryLong" in watched.prometheus.firing()  # for as long as the broker is silent
    journal.undone(UNREAD)
    watched.wait_until_ready()
    journal.wait_until_cleared(UNREAD, PATIENCE_S)


def wrong_model(good: Path, folder: Path) -> Path:
    """Save a model that finds likely what is not, trained long ago; return where."""
    model = load(good)
    weights = {name: np.array(values) for name, values in model.weights.items()}
    for name in weights.keys() & {"readout", "window", "latest", "readout_bias"}:
        weights[name][..., :4] *= -1  # the logits of the next action
    old_ms = time.time_ns() // 1_000_000 - 40 * 86_400_000
    card = msgspec.structs.replace(model.card, trained_at_ms=old_ms)
    save(msgspec.structs.replace(model, card=card, weights=weights), folder)
    return folder


def test_wrong_old_model(watched: Watched, journal: Journal) -> None:
    assert watched.settings.model is not None
    wrong = wrong_model(watched.settings.model, watched.folder / "wrong")
    watched.restart(0, 1, model=wrong)
    # what fires once they are ready can only be of what these workers do: they began at 0
    watched.wait_until_ready()
    with journal.fault(WRONG, ["NextactPredictionsWorse", "NextactCalibrationOff", "NextactModelStale"], PATIENCE_S):
        pass
    journal.undone(WRONG)
    watched.restart(0, 1)
    watched.wait_until_ready()
    ask = watched.prometheus
    better = "nextact:log_loss:30m < nextact:baseline_log_loss:30m"  # as a number: not just because nothing is known
    ask.wait_until(lambda: ask.value(better) > 0, better, PATIENCE_S)
    journal.wait_until_cleared(WRONG, PATIENCE_S)


def test_every_alert_was_fired_and_cleared(journal: Journal) -> None:
    cleared = [line.alert for line in journal.lines if line.cleared_after_s is not None]
    assert sorted(cleared) == sorted(alerts())

"""Alerts are fired by real faults, and clear: the rules that are shipped, their durations scaled down.

Prints a table: alert, fault, seconds until it fired, seconds until it cleared after the fault was undone.
"""

import signal
import time
from collections.abc import Iterator
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
from ops.watched import Watched, WatchedWorker
from schemas.topics import INPUTS
from streams.clients import producer

pytestmark = [pytest.mark.ops, pytest.mark.long, pytest.mark.broker, pytest.mark.timeout(600)]

PATIENCE_S = 60
NOT_FIRED = {"NextactLatencyBudgetBurnsFast", "NextactLatencyBudgetBurnsSlowly"}
"""Not fired here: before any fault they want 99 % of answers within 250 ms, of a machine with nothing else to do."""

BAD = "half as many records again are no events, and all items are new"
WRONG = "workers start with a model of 40 days ago that says the opposite"
OPEN = "a producer leaves a transaction open in every partition"
PAUSED = "a worker is paused (SIGSTOP), then the other too"
KILLED = "a worker is killed three times (SIGKILL)"
UNREAD = "the broker is paused (SIGSTOP) while workers read their users back"
SILENT = "the broker is paused (SIGSTOP) while chunks are in work"
TRIES = 20

_NAP_S = 0.02


@pytest.fixture(scope="module")
def journal(watched: Watched, request: pytest.FixtureRequest) -> Iterator[Journal]:
    made = Journal(watched.prometheus)
    made.start()
    yield made
    made.stop()
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():  # it is what the run is for, whether it passes or not
        print(
            "\n\n"
            + "\n".join(
                [
                    f"durations of the rules divided by {FACTOR}",
                    *made.table(),
                    *(f"{alert}  not fired here: promtool tests it" for alert in sorted(NOT_FIRED)),
                ]
            )
        )


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


def test_bad_input(watched: Watched, journal: Journal) -> None:
    with journal.fault(BAD, ["NextactRejects", "NextactDeadLetters", "NextactInputDrift"], PATIENCE_S):
        watched.load.refused, watched.load.strange = 0.5, True
    watched.load.refused, watched.load.strange = 0.0, False
    journal.undone(BAD)
    journal.wait_until_cleared(BAD, 2 * PATIENCE_S)


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
    for number in (0, 1):
        watched.workers[number].stop()
        watched.start(number, wrong)
    # what fires once they are ready can only be of what these workers do: they began at 0
    watched.wait_until_ready()
    awry = ["NextactPredictionsWorse", "NextactCalibrationOff", "NextactModelStale"]
    with journal.fault(WRONG, awry, 2 * PATIENCE_S):
        pass
    for number in (0, 1):
        watched.restart(number)
    journal.undone(WRONG)
    watched.wait_until_ready()
    journal.wait_until_cleared(WRONG, 2 * PATIENCE_S)


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
    with journal.fault(PAUSED, ["NextactWorkerDown", "NextactNoWorkers"], PATIENCE_S):
        one.signal(signal.SIGSTOP)
        time.sleep(1)
        other.signal(signal.SIGSTOP)
    for worker in (one, other):
        worker.signal(signal.SIGCONT)
    journal.undone(PAUSED)
    watched.wait_until_ready()
    journal.wait_until_cleared(PAUSED, PATIENCE_S)


def test_killed_worker(watched: Watched, journal: Journal) -> None:
    starts = f"max(changes(process_start_time_seconds[{2 * 3600 // FACTOR}s]))"
    watched.prometheus.wait_until(lambda: watched.prometheus.value(starts) == 0, "no start is remembered", PATIENCE_S)
    with journal.fault(KILLED, ["NextactWorkerRestarts"], PATIENCE_S):
        for _ in range(3):
            watched.workers[1].kill()
            watched.start(1).wait_until(bool, PATIENCE_S)
            time.sleep(1)  # in which it is scraped
    journal.undone(KILLED)
    watched.wait_until_ready()
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
    for _ in range(TRIES):
        worker = watched.restart(1)
        worker.wait_until(lambda samples: samples.get(("nextact_recovering",)) == 1, PATIENCE_S)
        watched.broker.signal(signal.SIGSTOP)
        if "NextactRecoveryLong" not in watched.prometheus.firing():  # of the rebalance before
            break
        watched.broker.signal(signal.SIGCONT)
        watched.wait_until_ready()
    with journal.fault(UNREAD, ["NextactRecoveryLong"], PATIENCE_S):
        pass
    time.sleep(5 * 300 / FACTOR)
    assert "NextactRecoveryLong" in watched.prometheus.firing()  # for as long as the broker is silent
    watched.broker.signal(signal.SIGCONT)
    journal.undone(UNREAD)
    watched.wait_until_ready()
    journal.wait_until_cleared(UNREAD, PATIENCE_S)


def test_broker_that_is_silent_while_chunks_are_in_work(watched: Watched, journal: Journal) -> None:
    def stuck() -> bool:
        return watched.prometheus.value("max(nextact_chunk_underway_seconds)") > 1

    with journal.fault(SILENT, ["NextactBrokerUnreachable", "NextactWorkerStuck"], PATIENCE_S):
        for _ in range(TRIES):  # a moment at which a chunk is in work
            watched.broker.signal(signal.SIGSTOP)
            time.sleep(2)
            if stuck():
                break
            watched.broker.signal(signal.SIGCONT)
            time.sleep(1)
    watched.broker.signal(signal.SIGCONT)
    journal.undone(SILENT)
    watched.wait_until_ready()
    journal.wait_until_cleared(SILENT, PATIENCE_S)


def test_every_other_alert_was_fired(journal: Journal) -> None:
    assert {line.alert for line in journal.lines if journal.fired_s(line) is not None} == alerts() - NOT_FIRED

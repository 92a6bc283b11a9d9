"""The faults, one function each. All act from the main thread: a process that is started dies with its thread."""

import random
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from chaos.cluster import Cluster, Node
from chaos.fleet import Fleet, Member
from chaos.journal import Journal
from chaos.producer import Producer

_HELD_S = 2.5
"""How long events are held back before a worker is paused or killed: then it has much to do at once."""


_THEN_KILLED = 0.4
"""How often the others are killed as soon as a paused worker goes on."""


class Change(NamedTuple):
    """A change of the model, in s by the wall clock."""

    stopping_s: float  # the workers with the old one were told to stop
    started_s: float  # the first with the new one started
    model: int


@dataclass
class Stage:
    """Where faults happen.

    Attributes:
        chance: makes what a fault does follow from the seed.
        session_s: of the workers.
        most_workers: beyond it, starting another stops one in good order too.
        producer: sends.
        tick: keeps everything else going during a wait.
        later: what is to be done when.
        changes: of the model.
    """

    cluster: Cluster
    fleet: Fleet
    journal: Journal
    chance: random.Random
    session_s: float
    most_workers: int
    tick: Callable[[], None]
    producer: Producer | None = None
    later: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        """Have something done later."""
        self.later.append((time.monotonic() + seconds, do))

    def do_what_is_due(self) -> None:
        """Do what was put off until now."""
        now_s = time.monotonic()
        for entry in [entry for entry in self.later if entry[0] <= now_s]:
            self.later.remove(entry)
            entry[1]()

    def wait(self, seconds: float) -> None:
        """Wait, while everything else goes on."""
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            self.tick()
            time.sleep(0.02)

    def make_busy(self) -> None:
        """Hold events back for a while and let them all go; return in the midst of a chunk, if all goes well."""
        busy_s = self.chance.uniform(0.005, 0.06)
        if self.producer is not None:
            self.producer.hold_back()
            self.wait(_HELD_S)
            self.producer.let_go()
            time.sleep(busy_s)

    def victim(self) -> Member:
        """Return a worker that runs, drawn by chance; wait until there is one."""
        while not (awake := self.fleet.awake):
            self.tick()
            time.sleep(0.05)
        return self.chance.choice(awake)

    def node(self) -> Node:
        """Return a node, drawn by chance; wait until all three are in sync: never are two away at once."""
        self.cluster.wait_until_whole(self.tick)
        return self.chance.choice(self.cluster.nodes)


def kill_worker(stage: Stage) -> str:
    """Kill a worker as `kill -9` does, with work in its hands."""
    stage.make_busy()
    member = stage.victim()
    member.shoot()
    return member.name


def stop_worker(stage: Stage) -> str:
    """Stop a worker in good order."""
    member = stage.victim()
    member.terminate()
    return member.name


def pause_worker(stage: Stage) -> str:
    """Stop a worker's process, with work in its hands, for longer than its session; then let it go on: a zombie."""
    pause_s = stage.session_s + stage.chance.uniform(1.5, 5)
    kill_s = stage.chance.uniform(0.01, 0.2) if stage.chance.random() < _THEN_KILLED else None
    stage.make_busy()
    member = stage.victim()

    def resume() -> None:
        if member.code is None and member.paused:
            member.resume()
            stage.journal.say(f"{member.name} goes on")
            if kill_s is not None:
                time.sleep(kill_s)
                for other in stage.fleet.awake:
                    if other is not member:
                        other.shoot()
                        stage.journal.say(f"{other.name} is killed, before it can mend what the other one wrote")

    member.pause()
    stage.after(pause_s, resume)
    return f"{member.name} for {pause_s:.1f} s{'' if kill_s is None else ', then the others are killed'}"


def start_worker(stage: Stage) -> str:
    """Start another worker; where there are enough, stop one in good order besides."""
    if stage.fleet.count < stage.most_workers:
        stage.fleet.count += 1
    else:
        stage.victim().terminate()
    return f"{stage.fleet.spawn().name}: {stage.fleet.count} wanted"


def change_model(stage: Stage) -> str:
    """Stop all workers and start them with another model."""
    stopping_s, started_s = stage.fleet.change_model(stage.tick)
    stage.changes.append(Change(stopping_s, started_s, stage.fleet.model))
    return f"model {stage.fleet.model}"


def delete_files(stage: Stage) -> str:
    """Delete a worker's local files while it runs; a little later, stop it in good order."""
    member = stage.victim()
    for path in member.files.iterdir():
        shutil.rmtree(path, ignore_errors=True)

    def stop() -> None:
        if member.code is None and member.term_s is None and not member.paused:
            stage.journal.say(f"{member.name}, whose files were deleted, is told to stop")
            member.terminate()

    stage.after(2, stop)
    return member.name


def kill_broker(stage: Stage) -> str:
    """Kill a node as `kill -9` does, and start it again some seconds later."""
    node, away_s = stage.node(), stage.chance.uniform(1, 6)

    def start() -> None:
        stage.journal.say(f"broker {node.data_dir.name} starts again")
        node.launch()

    node.kill()
    stage.after(away_s, start)
    return f"{node.data_dir.name} for {away_s:.1f} s"


def pause_broker(stage: Stage) -> str:
    """Stop a node's process for some seconds."""
    node, pause_s = stage.node(), stage.chance.uniform(2, 9)

    def resume() -> None:
        stage.journal.say(f"broker {node.data_dir.name} goes on")
        node.resume()

    node.pause()
    stage.after(pause_s, resume)
    return f"{node.data_dir.name} for {pause_s:.1f} s"


def move_leaders(stage: Stage) -> str:
    """Give the partitions of our topics other leaders."""
    stage.cluster.wait_until_whole(stage.tick)
    return f"{stage.cluster.move_leaders(stage.chance)} partitions"


def compact(stage: Stage) -> str:
    """Have the changelog compacted."""
    stage.cluster.wait_until_whole(stage.tick)
    stage.cluster.compact_now()
    return "the changelog"


FAULTS: dict[str, Callable[[Stage], str]] = {
    fault.__name__: fault
    for fault in (
        kill_worker,
        stop_worker,
        pause_worker,
        start_worker,
        change_model,
        delete_files,
        kill_broker,
        pause_broker,
        move_leaders,
        compact,
    )
}


def deal(chance: random.Random, count: int, kinds: list[str]) -> list[str]:
    """Return so many kinds of faults in random order, each about as often as every other.

    >>> deal(random.Random(1), 3, ["a", "b"])
    ['b', 'a', 'b']
    """
    dealt: list[str] = []
    while len(dealt) < count:
        deck = list(kinds)
        chance.shuffle(deck)
        dealt += deck
    return dealt[:count]

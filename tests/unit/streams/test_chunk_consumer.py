"""What the consumer asks for: with fakes for Faust and aiokafka, where only the order of things matters."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from builders import InputRecord
from faust.tables.recovery import Recovery
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from streams.chunk import consumer as module
from streams.chunk import recovery as recovery_module
from streams.chunk.alignment import Alignment
from streams.chunk.consumer import ChunkConsumer
from streams.chunk.logged_rows import MARKER
from streams.chunk.recovery import ChunkRecovery
from streams.fetched import Fetched, fetched

VIEWS = TP("views", 0)
CAUGHT_UP = ChunkConsumer._caught_up


def records(*offsets: int) -> Fetched:
    """Return records of the present."""
    now_ms = time.time_ns() // 1_000_000
    return fetched([InputRecord(b"ann", b"{}", offset, now_ms) for offset in offsets])


class Faust(SimpleNamespace):
    """A consumer of ours with fakes for what Faust and aiokafka do."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capacity: int, at_once: int) -> None:
        super().__init__(asked=[], delivered=[], to_come=[], sought=[], breaks_after=1000)
        self.client = SimpleNamespace(_position=None, highwater=None, lso=None)
        self.app = SimpleNamespace(consumer_generation_id=1, should_stop=False)

        async def getmany(_: Any, active_partitions: set[TP], timeout: float) -> dict[TP, Fetched]:
            self.asked.append(set(active_partitions))
            offsets = self.to_come.pop(0)
            return {VIEWS: records(*offsets)} if offsets else {}

        async def deliver(consumer: Any, chunk: dict[TP, Fetched]) -> None:
            message = Message(generation_id=1, value=chunk)
            self.delivered.append(message)
            if len(self.delivered) > self.breaks_after:
                raise RuntimeError("no channel takes it")
            consumer._underway.add(message)  # in Faust's queue: not yet among those that it counts as not acknowledged

        async def read_on_at(_: Any, offsets: dict[TP, int]) -> None:
            self.sought += offsets.items()

        monkeypatch.setattr(ChunkConsumer, "_getmany", getmany)
        monkeypatch.setattr(ChunkConsumer, "_read_on_at", read_on_at)
        monkeypatch.setattr(ChunkConsumer, "_state", lambda *_: self.client)
        monkeypatch.setattr(ChunkConsumer, "assignment", lambda _: {VIEWS})
        monkeypatch.setattr(ChunkConsumer, "_deliver", deliver)
        monkeypatch.setattr(ChunkConsumer, "_get_active_partitions", lambda _: {VIEWS})
        monkeypatch.setattr(ChunkConsumer, "_is_changelog_tp", lambda *_: False)
        monkeypatch.setattr(ChunkConsumer, "_caught_up", lambda *_: True)
        monkeypatch.setattr(ChunkConsumer, "app", self.app, raising=False)
        monkeypatch.setattr(ChunkConsumer, "should_stop", False)
        self.consumer: Any = object.__new__(ChunkConsumer)
        self.consumer.flow_active, self.consumer._generation, self.consumer._seeking = True, 1, False
        self.consumer._next_offset, self.consumer._handed_on, self.consumer._acked = {}, {}, {}
        self.consumer._alignment, self.consumer._at_once = Alignment(capacity, 100, at_once), at_once
        self.consumer._unacked_messages, self.consumer._waiting_for_ack = set(), None
        self.consumer._underway, self.consumer._handing_on = set(), set()
        self.consumer._active, self.consumer._active_inputs = set(), set()
        self.consumer._sought, self.consumer.dropped = 1, 0
        self.consumer._went_back_s, self.consumer._committed_offset = {}, {VIEWS: None}
        self.consumer._room_made, self.consumer._one_at_a_time = asyncio.Event(), asyncio.Lock()

    @property
    def offsets(self) -> list[list[int]]:
        return [message.value[VIEWS].offsets.tolist() for message in self.delivered]


@dataclass(eq=False)
class Message:
    generation_id: int
    value: Any


def test_with_all_partitions_full_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiokafka takes an empty set for all partitions, the changelog's among them."""
    faust = Faust(monkeypatch, capacity=1, at_once=10)
    faust.to_come = [[0], [1], [2], [3]]
    monkeypatch.setattr(Alignment, "take", lambda *_: {})
    for _ in range(3):
        asyncio.run(faust.consumer._fetch())
    assert faust.asked == [{VIEWS}]
    assert faust.delivered == []


def live(monkeypatch: pytest.MonkeyPatch, *, at_once: int = 100) -> Faust:
    return Faust(monkeypatch, capacity=100, at_once=at_once)


def test_idle_a_record_is_handed_on_at_once_and_under_load_what_comes_meanwhile_is_one_chunk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    faust = live(monkeypatch)
    faust.to_come = [[0], [1], [2], [3, 4]]

    async def run() -> None:
        await faust.consumer._fetch()
        assert faust.offsets == [[0]]
        for _ in range(3):
            await faust.consumer._fetch()
        assert faust.offsets == [[0], [1]]
        assert faust.consumer.ack(faust.delivered[0])
        await asyncio.sleep(0.01)  # no fetch ends meanwhile
        assert faust.offsets == [[0], [1], [2, 3, 4]]

    asyncio.run(run())


def test_in_a_backlog_a_full_chunk_lies_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    faust = live(monkeypatch, at_once=3)
    faust.to_come = [[0], [1], [2, 3], [4], [5, 6, 7]]

    async def run() -> None:
        for _ in range(5):
            await faust.consumer._fetch()
        assert faust.offsets == [[0], [1], [2, 3, 4]]

    asyncio.run(run())


def test_a_chunk_never_overtakes_one_that_waits_in_front_of_a_full_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    faust = live(monkeypatch)
    faust.to_come = [[0], [1], [2], [3]]
    entered: list[int] = []

    async def run() -> None:
        room = asyncio.Event()

        async def deliver(_: Any, chunk: dict[TP, Fetched]) -> None:
            entered.append(chunk[VIEWS].offsets[0])
            await room.wait()

        monkeypatch.setattr(ChunkConsumer, "_deliver", deliver)
        waiting = asyncio.ensure_future(faust.consumer._fetch())
        await asyncio.sleep(0.01)
        faust.consumer._alignment.add({VIEWS: records(1)}, 0)
        faust.consumer.ack(Message(generation_id=0, value={}))
        await asyncio.sleep(0.01)
        assert entered == [0]
        room.set()
        await waiting
        await asyncio.gather(*faust.consumer._handing_on)
        assert entered == [0, 1]

    faust.consumer._underway.add(Message(generation_id=0, value={}))
    asyncio.run(run())


def test_chunk_that_cannot_be_handed_on_after_an_ack_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []
    monkeypatch.setattr(module, "fail_stop", lambda reason, error: ended.append(f"{reason}: {error}"))
    faust = live(monkeypatch)
    faust.to_come = [[0], [1], [2]]
    faust.breaks_after = 2

    async def run() -> None:
        for _ in range(3):
            await faust.consumer._fetch()
        assert faust.offsets == [[0], [1]]
        faust.consumer.ack(faust.delivered[0])
        await asyncio.sleep(0.01)

    asyncio.run(run())
    assert ended == ["a chunk was not handed on: no channel takes it"]


def test_chunks_of_another_generation_hold_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    faust = live(monkeypatch)
    faust.to_come = [[0]]
    faust.consumer._underway |= {Message(generation_id=0, value={}) for _ in range(5)}
    asyncio.run(faust.consumer._fetch())
    assert faust.offsets == [[0]]


@pytest.mark.parametrize("state", ["seek", "stopped flow", "rebalance"])
def test_nothing_is_handed_on_after_an_ack_while_positions_move(monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    faust = live(monkeypatch)
    faust.to_come = [[0], [1], [2]]

    async def run() -> None:
        for _ in range(3):
            await faust.consumer._fetch()
        if state == "seek":
            faust.consumer._seeking = True
        elif state == "stopped flow":
            faust.consumer.flow_active = False
        else:
            faust.app.consumer_generation_id = 2
        faust.consumer.ack(faust.delivered[0])
        await asyncio.sleep(0.01)
        assert faust.offsets == [[0], [1]]

    asyncio.run(run())


def test_changelog_is_not_read_over_what_is_in_memory_once_recovery_has_ended() -> None:
    applied: list[Any] = []
    recovery = object.__new__(ChunkRecovery)
    recovery.active_tps, recovery.active_offsets = {VIEWS}, {}
    recovery.tp_to_table = {VIEWS: SimpleNamespace(data=SimpleNamespace(apply_records=lambda *a: applied.append(a)))}
    recovery.in_recovery = False
    recovery.on_changelog_records(VIEWS, fetched([InputRecord(b"ann", b"row", 3)]))
    assert applied == []
    recovery.in_recovery = True
    recovery.need_recovery = lambda: True
    recovery.on_changelog_records(VIEWS, fetched([InputRecord(b"ann", b"row", 3)]))
    assert len(applied) == 1


def test_what_is_no_record_is_handled_with_the_records_before_it_and_no_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    faust = live(monkeypatch)
    faust.to_come = [[], [3, 4], []]
    consumer = faust.consumer

    async def run() -> None:
        faust.client._position, faust.client.highwater, faust.client.lso = 3, 9, 6
        await consumer._fetch()  # an aborted transaction and its end, before anything else
        assert (consumer._new_offset(VIEWS), consumer.lag()) == (3, {VIEWS: 6})
        faust.client._position = 6  # past the end of a transaction that was committed; another is open
        await consumer._fetch()
        assert consumer._new_offset(VIEWS) is None, "an offset of records that nobody has handled"
        assert list(consumer._filter_tps_with_pending_acks()) == [VIEWS]
        assert not consumer.drained(0)
        consumer.ack(faust.delivered[0])
        assert (consumer._new_offset(VIEWS), consumer.lag()) == (6, {VIEWS: 3})
        assert consumer.drained(0), "an open transaction holds nobody up"
        faust.client._position = faust.client.lso = 9
        await consumer._fetch()
        assert (consumer._new_offset(VIEWS), consumer.lag()) == (9, {VIEWS: 0})

    monkeypatch.setattr(ChunkConsumer, "_caught_up", CAUGHT_UP)
    asyncio.run(run())


def test_nothing_is_said_to_be_handled_of_what_was_fetched_before_positions_moved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    faust = live(monkeypatch)
    faust.to_come = [[0], [1], [2], []]

    async def run() -> None:
        for position in (1, 2, 3):
            faust.client._position = position
            await faust.consumer._fetch()
        consumer, faust.client._position = faust.consumer, None
        consumer.ack(faust.delivered[0])
        assert consumer._new_offset(VIEWS) == 1
        faust.consumer.flow_active = False
        consumer.ack(faust.delivered[1])
        assert consumer._new_offset(VIEWS) == 2, "what waits is not handled"
        faust.consumer.flow_active = True
        faust.app.consumer_generation_id = 2
        faust.client._position = 3  # of records that a fetch brought and nobody took
        assert consumer.dropped == 0
        await consumer._fetch()
        assert consumer._new_offset(VIEWS) == 2
        assert consumer.dropped == 1, "what waited comes again"

    asyncio.run(run())


def test_records_that_come_twice_are_dropped_and_read_on_from_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a broker that has just woken took our position for one out of its range."""
    faust = live(monkeypatch)
    faust.to_come = [[0, 1, 2], [0, 1], [1, 2, 3], [3]]

    async def run() -> None:
        for position in (3, 2, 4, 4):
            faust.client._position = position
            await faust.consumer._fetch()
            for message in faust.delivered:
                faust.consumer.ack(message)

    asyncio.run(run())
    assert faust.offsets == [[0, 1, 2], [3]]
    assert faust.sought == [(VIEWS, 3), (VIEWS, 3)]


def test_worker_ends_where_nothing_but_what_was_read_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []
    monkeypatch.setattr(module, "fail_stop", lambda reason, **_: ended.append(reason))
    faust = live(monkeypatch)
    faust.to_come = [[7], [0], [0], [0], [0], [0]]

    async def run() -> None:
        faust.client._position = 8
        for at_s in (0, 0, 100, 105, 110, 111):
            monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda at_s=at_s: at_s)
            assert ended == []
            await faust.consumer._fetch()
        assert ended == ["a partition has lost what was read of it"]

    monkeypatch.setattr(module, "PATIENCE_S", 10)
    asyncio.run(run())
    assert faust.sought == [(VIEWS, 8)] * 5


def test_recovery_goes_as_far_as_its_marker_also_if_the_broker_that_is_asked_does_not_know_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ends: Counter[TP] = Counter()
    known, behind = TP("log", 0), TP("log", 1)

    async def claim(partitions: list[int]) -> dict[int, int]:
        return {0: 5, 1: 7}

    async def build(_: Any, consumer: Any, tps: set[TP], destination: Counter[TP], title: str) -> None:
        destination.update({known: 6, behind: 2})

    monkeypatch.setattr(Recovery, "_build_highwaters", build)
    recovery = object.__new__(ChunkRecovery)
    table: Any = type("Table", (), {"claim": staticmethod(claim)})
    recovery.actives_for_table = {table: {known, behind}}
    asyncio.run(recovery._build_highwaters(None, {known, behind}, ends, "active"))
    assert ends == {known: 6, behind: 7}


def test_what_is_left_of_a_recovery_is_that_of_the_partitions_that_are_ours() -> None:
    recovery, mine, other = object.__new__(ChunkRecovery), TP("log", 0), TP("log", 1)
    recovery.in_recovery, recovery.active_tps = True, {mine}
    recovery.active_offsets, recovery.active_highwaters = Counter({mine: 4, other: 1}), Counter({mine: 6, other: 9})
    assert recovery.remaining() == 2
    recovery.active_offsets[mine] = 6
    assert recovery.remaining() == 0
    recovery.in_recovery, recovery.active_offsets[mine] = False, 1
    assert recovery.remaining() == 0


def test_changelog_that_begins_with_a_row_was_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    monkeypatch.setattr(recovery_module, "fail_stop", lambda *_, code, **__: ended.append(code))
    recovery = object.__new__(ChunkRecovery)
    recovery.active_tps, recovery.active_offsets, recovery.in_recovery = {VIEWS}, {}, True
    recovery.tp_to_table = {VIEWS: SimpleNamespace(data=SimpleNamespace(apply_records=lambda *_: None))}
    recovery.need_recovery = lambda: True
    for key, offset in ((MARKER, 0), (b"ann", 1), (b"ann", 0)):
        assert ended == []
        recovery.on_changelog_records(VIEWS, fetched([InputRecord(key, b"row", offset)]))
    assert ended == [2]


def test_partition_without_a_committed_offset_is_read_from_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fetch from before a rebalance brings records of the assignment after it: they are thrown away."""
    faust = live(monkeypatch)
    consumer, clicks, items, log = faust.consumer, TP("clicks", 0), TP("items", 0), TP("log", 0)

    async def perform_seek(its: Any) -> None:
        its._read_offset = {VIEWS: 7, clicks: None, items: 0, log: None}

    monkeypatch.setattr(driver.Consumer, "perform_seek", perform_seek)
    monkeypatch.setattr(ChunkConsumer, "assignment", lambda _: {VIEWS, clicks, items, log})
    monkeypatch.setattr(ChunkConsumer, "_is_changelog_tp", lambda _, tp: tp == log)
    consumer._position_lock = asyncio.Lock()
    asyncio.run(consumer.perform_seek())
    assert (sorted(faust.sought), consumer._next_offset) == ([(clicks, 0), (items, 0)], {VIEWS: 7})

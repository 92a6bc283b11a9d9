"""What the consumer asks for: with fakes for Faust and aiokafka, where only the order of things matters."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from streams.chunk.alignment import Alignment
from streams.chunk.consumer import ChunkConsumer
from streams.chunk.recovery import ChunkRecovery

VIEWS = TP("views", 0)


class Record(SimpleNamespace):
    value = b"{}"
    timestamp = 1


def test_with_all_partitions_full_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiokafka takes an empty set for all partitions, the changelog's among them."""
    asked: list[set[TP]] = []
    delivered: list[Any] = []

    async def getmany(self: Any, active_partitions: set[TP], timeout: float) -> dict[TP, list[Record]]:
        asked.append(set(active_partitions))
        return {VIEWS: [Record(offset=len(asked) - 1)]}

    async def deliver(self: Any, chunk: dict[TP, list[Record]]) -> None:
        delivered.append(chunk)

    monkeypatch.setattr(ChunkConsumer, "_getmany", getmany)
    monkeypatch.setattr(ChunkConsumer, "_deliver", deliver)
    monkeypatch.setattr(ChunkConsumer, "_get_active_partitions", lambda self: {VIEWS})
    monkeypatch.setattr(ChunkConsumer, "_is_changelog_tp", lambda self, tp: False)
    monkeypatch.setattr(ChunkConsumer, "_caught_up", lambda self, tp: False)
    monkeypatch.setattr(ChunkConsumer, "app", SimpleNamespace(consumer_generation_id=1), raising=False)
    consumer = object.__new__(ChunkConsumer)
    consumer.flow_active, consumer._generation = True, 1
    consumer._next_offset, consumer._handed_on = {}, {}
    consumer._alignment = Alignment(capacity=1, patience_s=100, at_once=10)
    monkeypatch.setattr(Alignment, "take", lambda *_: {})
    for _ in range(3):
        asyncio.run(consumer._fetch())
    assert asked == [{VIEWS}]
    assert delivered == []


def test_changelog_is_not_read_over_what_is_in_memory_once_recovery_has_ended() -> None:
    applied: list[Any] = []
    recovery = object.__new__(ChunkRecovery)
    recovery.active_tps, recovery.active_offsets = {VIEWS}, {}
    recovery.tp_to_table = {VIEWS: SimpleNamespace(data=SimpleNamespace(apply_records=lambda *a: applied.append(a)))}
    recovery.in_recovery = False
    recovery.on_changelog_records(VIEWS, [Record(offset=3)])
    assert applied == []
    recovery.in_recovery = True
    recovery.need_recovery = lambda: True
    recovery.on_changelog_records(VIEWS, [Record(offset=3)])
    assert len(applied) == 1

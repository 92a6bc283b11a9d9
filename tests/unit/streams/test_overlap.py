"""Chunks overlap, and are yet written and acknowledged in order, or not at all."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from builders import InputRecord
from faust.types import TP

from models.state import empty_rows
from streams.chunk import overlap as module
from streams.chunk.overlap import SMALL, Overlap, Polled, Step
from streams.fetched import fetched

VIEWS = TP("views", 0)


@dataclass
class Event:
    value: Any
    acks: list[Any]

    def ack(self) -> None:
        self.acks.append(number(self.value))


@dataclass
class Stream:
    chunks: Sequence[int]
    records: int = SMALL + 1
    pause_s: float = 0
    acks: list[Any] = field(default_factory=list)

    def noack(self) -> "Stream":
        return self

    async def events(self) -> AsyncIterator[Event]:
        for chunk in self.chunks:
            yield Event({VIEWS: fetched([InputRecord(b"ann", b"{}", chunk)] * self.records)}, self.acks)
            await asyncio.sleep(self.pause_s)


def number(polled: Polled) -> int:
    return int(polled[VIEWS].offsets[0])


class Job:
    """Acknowledges a chunk when told to."""

    def __init__(self, fails: int | None = None, stopping: bool = False) -> None:
        self.log: list[str] = []
        self.acknowledged: dict[int, asyncio.Event] = {}
        self.fails = fails
        self.threads: set[bool] = set()
        self.data = SimpleNamespace(writer=b"1")
        app: Any = SimpleNamespace(should_stop=stopping, batches=self)
        table: Any = SimpleNamespace(data=self.data, keep=self.keep, packed=self.rows_packed, put=self.rows_put)
        self.overlap: Overlap[int] = Overlap(app, table, self.compute, self.done)

    def compute(self, polled: Polled) -> Step[int]:
        self.threads.add(threading.current_thread() is threading.main_thread())
        chunk = number(polled)
        self.log.append(f"compute {chunk}")
        return Step(chunk, [(chunk, [b"ann"], empty_rows(1))], lambda: [("out", chunk, [])])

    def keep(self, partition: int, keys: object, rows: object) -> int:
        self.log.append(f"keep {partition}")
        return partition

    def rows_packed(self, kept: int) -> list[Any]:
        return []

    async def rows_put(self, kept: int, batches: object) -> Awaitable[None]:
        self.log.append(f"put {kept}")
        return asyncio.sleep(0)

    def packed(self, batches: list[Any]) -> list[Any]:
        return batches

    async def put(self, topic: str, partition: int, batches: object) -> Awaitable[None]:
        self.acknowledged[partition] = asyncio.Event()
        self.log.append(f"handed over {partition}")
        return self._acknowledgement(partition)

    async def _acknowledgement(self, chunk: int) -> None:
        await self.acknowledged[chunk].wait()
        if chunk == self.fails:
            raise OSError("no broker")

    def done(self, polled: Polled, chunk: int, seconds: float) -> None:
        self.log.append(f"done {chunk}")

    async def until(self, line: str) -> None:
        async with asyncio.timeout(5):
            while line not in self.log:
                await asyncio.sleep(0.001)


def test_next_chunk_is_computed_before_this_one_is_acknowledged_and_written_after() -> None:
    async def run() -> None:
        job, stream = Job(), Stream([1, 2])
        consuming = asyncio.ensure_future(job.overlap.consume(stream))
        await job.until("keep 2")
        await job.until("handed over 1")
        await asyncio.sleep(0.05)
        assert [line for line in job.log if line[-1] == "1"] == ["compute 1", "keep 1", "put 1", "handed over 1"]
        assert [line for line in job.log if line[-1] == "2"] == ["compute 2", "keep 2"]
        assert job.log.index("keep 1") < job.log.index("compute 2")
        assert stream.acks == []
        job.acknowledged[1].set()
        await job.until("handed over 2")
        assert stream.acks == [1]
        job.acknowledged[2].set()
        await job.until("done 2")
        await consuming
        assert stream.acks == [1, 2]
        assert job.threads == {False}
        assert (job.overlap.age_s(), job.overlap.underway()) == (0, False)

    asyncio.run(run())


def test_age_of_what_is_underway_is_that_of_the_oldest_chunk() -> None:
    async def run() -> None:
        job = Job()
        assert job.overlap.age_s() == 0
        consuming = asyncio.ensure_future(job.overlap.consume(Stream([1, 2], pause_s=0.2)))
        await job.until("handed over 1")
        seen_s = time.monotonic()
        await job.until("keep 2")
        waited_s = time.monotonic() - seen_s
        assert job.overlap.age_s() >= waited_s
        job.acknowledged[1].set()
        await job.until("handed over 2")
        assert job.overlap.age_s() > 0
        job.acknowledged[2].set()
        await consuming
        await job.until("done 2")
        assert job.overlap.age_s() == 0

    asyncio.run(run())


@pytest.mark.parametrize("stopping", [False, True])
def test_chunk_that_fails_ends_the_worker_and_no_later_one_is_acknowledged(
    stopping: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[str] = []

    def end(reason: str, error: Exception) -> None:
        ended.append(f"{reason}: {error}")

    monkeypatch.setattr(module, "fail_stop", end)

    async def run() -> None:
        job, stream = Job(fails=1, stopping=stopping), Stream([1, 2, 3])
        consuming = asyncio.ensure_future(job.overlap.consume(stream))
        await job.until("keep 2")
        await job.until("handed over 1")
        job.acknowledged[1].set()
        await consuming
        assert stream.acks == []
        assert "put 2" not in job.log
        assert set(ended) == (set() if stopping else {"a chunk failed: no broker"})

    asyncio.run(run())


def test_last_chunk_that_fails_ends_the_worker_though_none_comes_after(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []
    monkeypatch.setattr(module, "fail_stop", lambda reason, error: ended.append(reason))

    async def run() -> None:
        job, stream = Job(fails=1), Stream([1])
        await job.overlap.consume(stream)
        await job.until("handed over 1")
        job.acknowledged[1].set()
        async with asyncio.timeout(5):
            while not ended:
                await asyncio.sleep(0.001)
        assert stream.acks == []

    asyncio.run(run())


def test_who_pauses_the_chunks_finds_all_of_them_written() -> None:
    async def run() -> None:
        job, stream = Job(), Stream([1, 2])
        consuming = asyncio.ensure_future(job.overlap.consume(stream))
        await job.until("handed over 1")

        async def other() -> None:
            async with job.overlap.paused():
                job.log.append("other begins")
                await asyncio.sleep(0.05)
                job.log.append("other ends")

        waiting = asyncio.ensure_future(other())
        await asyncio.sleep(0.05)
        assert "other begins" not in job.log
        job.acknowledged[1].set()
        await job.until("handed over 2")
        job.acknowledged[2].set()
        await asyncio.gather(waiting, consuming)
        begins = job.log.index("other begins")
        assert job.log[begins + 1] == "other ends"
        assert job.log.index("done 2") < begins or job.log.index("compute 2") > begins

    asyncio.run(run())


def test_small_chunk_is_computed_where_it_is() -> None:
    async def run() -> None:
        job, stream = Job(), Stream([1], records=SMALL)
        consuming = asyncio.ensure_future(job.overlap.consume(stream))
        await job.until("handed over 1")
        job.acknowledged[1].set()
        await job.until("done 1")
        await consuming
        assert job.threads == {True}

    asyncio.run(run())


def test_chunk_computed_across_a_rebalance_changes_nothing_and_comes_again() -> None:
    async def run() -> None:
        job, stream = Job(), Stream([1])
        compute = job.overlap._compute

        def rebalanced(polled: Polled) -> Step[int]:
            job.data.writer = b"2"
            return compute(polled)

        job.overlap._compute = rebalanced
        await job.overlap.consume(stream)
        assert job.log == ["compute 1"]
        assert stream.acks == [1]  # of the generation before: the consumer commits nothing for it

    asyncio.run(run())


def test_chunk_that_waits_for_somebody_else_to_end_is_underway() -> None:
    async def wait() -> None:
        job = Job()
        async with job.overlap.paused():
            assert not job.overlap.underway()
            task = asyncio.ensure_future(job.overlap.consume(Stream([1])))
            await asyncio.sleep(0.01)
            assert job.overlap.underway()
            assert job.log == []
        await job.until("handed over 1")
        assert job.overlap.underway()
        job.acknowledged[1].set()
        await task
        await job.until("done 1")
        assert (job.overlap.underway(), job.overlap.acknowledged) == (False, 1)

    asyncio.run(wait())

"""Chunks overlap, and are yet put and acknowledged in order, or not at all."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from streams.chunk import overlap as module
from streams.chunk.overlap import Overlap, Polled


@dataclass
class Event:
    value: Any
    acks: list[Any]

    def ack(self) -> None:
        self.acks.append(self.value)


@dataclass
class Stream:
    chunks: Sequence[Any]
    acks: list[Any] = field(default_factory=list)

    def noack(self) -> "Stream":
        return self

    async def events(self) -> AsyncIterator[Event]:
        for chunk in self.chunks:
            yield Event(chunk, self.acks)


class Job:
    """Acknowledges a chunk when told to."""

    def __init__(self, fails: int | None = None, stopping: bool = False) -> None:
        self.log: list[str] = []
        self.acknowledged: dict[int, asyncio.Event] = {}
        self.fails = fails
        self.overlap: Overlap[int] = Overlap(self.compute, self.put, self.done, lambda: stopping)

    def compute(self, polled: Polled) -> int:
        assert threading.current_thread() is not threading.main_thread()
        chunk: int = polled  # type: ignore[assignment]
        self.log.append(f"compute {chunk}")
        return chunk

    async def put(self, chunk: int) -> Sequence[Awaitable[Any]]:
        assert self.overlap.lock.locked()
        self.log.append(f"put {chunk}")
        self.acknowledged[chunk] = asyncio.Event()
        return [self._acknowledgement(chunk)]

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


def test_next_chunk_is_computed_before_this_one_is_acknowledged_and_put_after() -> None:
    async def run() -> None:
        job, stream = Job(), Stream([1, 2])
        consuming = asyncio.ensure_future(job.overlap.consume(stream))
        await job.until("compute 2")
        await asyncio.sleep(0.05)
        assert job.log == ["compute 1", "put 1", "compute 2"]
        assert stream.acks == []
        job.acknowledged[1].set()
        await job.until("put 2")
        assert stream.acks == [1]
        job.acknowledged[2].set()
        await job.until("done 2")
        await consuming
        assert stream.acks == [1, 2]

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
        await job.until("compute 2")
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
        job.acknowledged[1].set()
        async with asyncio.timeout(5):
            while not ended:
                await asyncio.sleep(0.001)
        assert stream.acks == []

    asyncio.run(run())

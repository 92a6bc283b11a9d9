"""Chunk after chunk: one is computed while the one before it is being written and acknowledged, both in threads.

Rows are in memory before the next chunk is computed. Chunks are written, and acknowledged, in order: a chunk that fails
is never passed by the next.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

import structlog
from faust.types import TP

from models.state import Rows
from streams.chunk.app import ChunkApp
from streams.chunk.failure import fail_stop
from streams.chunk.records import Batch
from streams.chunk.table import ChunkTable, Kept
from streams.fetched import Fetched

SMALL = 256
"""A chunk of so few records is computed where it is: going to a thread and back would take it longer."""

T = TypeVar("T")
U = TypeVar("U")
Polled: TypeAlias = Mapping[TP, Fetched]
Written: TypeAlias = tuple[str, int, Sequence[Batch]]
"""Batches for a partition of a topic."""

_log = structlog.get_logger("nextact")


@dataclass
class Step(Generic[T]):
    """What a chunk leads to."""

    result: T
    changes: Sequence[tuple[int, Sequence[bytes], Rows]]  # partition, and new rows of its users
    outputs: Callable[[], Sequence[Written]]  # makes the outputs' batches; any thread may call it


class Overlap(Generic[T]):
    """Takes a job through a stream of chunks.

    Args:
        app: writes.
        table: the rows.
        compute: makes of a chunk what it leads to, and changes nothing that others see; any thread may call it.
        done: told of each chunk that is acknowledged, with its result and the seconds since it was computed.

    Attributes:
        acknowledged: number of chunks that were written.
    """

    def __init__(
        self,
        app: ChunkApp,
        table: ChunkTable,
        compute: Callable[[Polled], Step[T]],
        done: Callable[[Polled, T, float], None],
    ) -> None:
        self._app, self._table, self._compute, self._done = app, table, compute, done
        self._lock = asyncio.Lock()  # rows are read, and new ones not yet on their way to the changelog
        self._writing: asyncio.Future[None] | None = None
        self._taken_s: float | None = None  # since when a chunk waits or is being computed
        self._written_s: float | None = None  # since when the one that is being written was taken
        self.acknowledged = 0

    def underway(self) -> bool:
        """Tell whether a chunk was taken and is not acknowledged: it waits, is being computed, or written."""
        return self._taken_s is not None or (self._writing is not None and not self._writing.done())

    def age_s(self) -> float:
        """Return for how long the oldest chunk has been underway, 0 if none is; any thread may call it."""
        began_s = self._written_s or self._taken_s  # that of the older one first
        return 0.0 if began_s is None else time.monotonic() - began_s

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Hold the chunks up, with all of them written: for who else reads rows and writes new ones."""
        async with self._lock:
            if self._writing is not None:
                await self._writing
            yield

    async def consume(self, stream: Any) -> None:  # noqa: ANN401 - Faust's stream
        """Take the chunks of a stream, each until it is acknowledged."""
        try:
            async for event in stream.noack().events():
                self._taken_s = time.monotonic()
                try:
                    async with self._lock:
                        await self._take(event)
                finally:
                    self._taken_s = None
        except Exception as error:  # noqa: BLE001 - a bug: end before the chunk is acknowledged
            self._failed(error)

    async def _take(self, event: Any) -> None:  # noqa: ANN401 - Faust's event
        writer = self._table.data.writer
        step = await _run(event.value, self._compute, event.value)
        if self._table.data.writer != writer:
            event.ack()  # of another generation, so nothing is committed: rebalanced meanwhile, the chunk comes again
            return
        kept = [kept for change in step.changes if (kept := self._table.keep(*change))]
        if self._writing is not None:
            await self._writing
        self._written_s = self._taken_s
        self._writing = asyncio.ensure_future(self._write(event, step, kept))

    async def _write(self, event: Any, step: Step[T], kept: Sequence[Kept]) -> None:  # noqa: ANN401 - Faust's event
        clock = asyncio.get_running_loop().time
        began_s = clock()
        try:
            rows, outputs = await _run(event.value, self._packed, step, kept)
            waiting: list[Awaitable[Any]] = [
                await self._table.put(each, batches) for each, batches in zip(kept, rows, strict=True)
            ]
            waiting += [await self._app.batches.put(*each) for each in outputs]
            await asyncio.gather(*waiting)
            self._done(event.value, step.result, clock() - began_s)
        except Exception as error:
            self._failed(error)
            raise  # no later chunk may be acknowledged
        self.acknowledged += 1
        self._written_s = None
        event.ack()

    def _packed(self, step: Step[T], kept: Sequence[Kept]) -> tuple[list[list[Batch]], list[Written]]:
        """Return the batches of rows and of outputs as they are to leave."""
        rows = [self._table.packed(each) for each in kept]
        return rows, [(topic, number, self._app.batches.packed(made)) for topic, number, made in step.outputs()]

    def _failed(self, error: Exception) -> None:
        if not self._app.should_stop:
            fail_stop("a chunk failed", error)
        _log.warning("a chunk was not finished: it comes again after the start", exc_info=error)


async def _run(polled: Polled, work: Callable[..., U], *arguments: Any) -> U:  # noqa: ANN401 - of any work
    if sum(map(len, polled.values())) <= SMALL:
        return work(*arguments)
    return await asyncio.to_thread(work, *arguments)

"""Chunk after chunk: one is computed in a thread while the one before it is being acknowledged.

The event loop fetches and sends meanwhile, and no pass is too long for it. Chunks are handed over, and acknowledged,
in order: a chunk that fails is never passed by the next.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

import structlog
from faust.types import TP

from streams.chunk.failure import fail_stop

T = TypeVar("T")
Polled: TypeAlias = Mapping[TP, Sequence[Any]]
_log = structlog.get_logger("nextact")


class Overlap(Generic[T]):
    """Takes a job through a stream of chunks.

    Args:
        compute: makes a result of a chunk; runs in a thread, and changes nothing that others see.
        put: makes a result known: in memory at once, and handed over to the producer; returns what to wait for.
        done: told of each chunk that is acknowledged, with its result and the seconds since it was put.
        stopping: tells whether the worker is being stopped: what fails then is no bug.
    """

    def __init__(
        self,
        compute: Callable[[Polled], T],
        put: Callable[[T], Awaitable[Sequence[Awaitable[Any]]]],
        done: Callable[[Polled, T, float], None],
        stopping: Callable[[], bool],
    ) -> None:
        self._compute, self._put, self._done, self._stopping = compute, put, done, stopping
        self.lock = asyncio.Lock()
        """Held from when a chunk's rows are read until its new ones are put: whoever else writes rows takes it."""

    async def consume(self, stream: Any) -> None:  # noqa: ANN401 - Faust's stream
        """Take the chunks of a stream, each until it is acknowledged."""
        before: asyncio.Future[None] | None = None
        try:
            async for event in stream.noack().events():
                async with self.lock:
                    result = await asyncio.to_thread(self._compute, event.value)
                    if before is not None:
                        await before
                    waiting = await self._put(result)
                before = asyncio.ensure_future(self._acknowledge(event, result, waiting))
        except Exception as error:  # noqa: BLE001 - a bug: end before the chunk is acknowledged
            self._failed(error)

    async def _acknowledge(self, event: Any, result: T, waiting: Sequence[Awaitable[Any]]) -> None:  # noqa: ANN401
        clock = asyncio.get_running_loop().time
        began_s = clock()
        try:
            await asyncio.gather(*waiting)
            self._done(event.value, result, clock() - began_s)
        except Exception as error:
            self._failed(error)
            raise  # no later chunk may be acknowledged
        event.ack()

    def _failed(self, error: Exception) -> None:
        if not self._stopping():
            fail_stop("a chunk failed", error)
        _log.warning("a chunk was not finished: it comes again after the start", exc_info=error)

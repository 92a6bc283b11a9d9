"""Chunks in: each poll becomes one message, whose value is the chunk `{TP: Fetched}`."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import structlog
from aiokafka.errors import IllegalStateError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage
from mode.utils.futures import notify

from streams.chunk.alignment import Alignment
from streams.chunk.failure import PATIENCE_S, fail_stop
from streams.chunk.fetching import FetchThread
from streams.fetched import TIMESTAMP_MS, Fetched

POLL_S = 0.2
UNDERWAY = 2
"""Chunks, however small, that are handed on and not acknowledged."""

T = TypeVar("T")
_log = structlog.get_logger("nextact")


class ChunkConsumer(driver.Consumer):
    """Faust's consumer, a chunk at a time."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self._position_lock = asyncio.Lock()  # a fetch with its delivery, or a seek: never both
        self._next_offset: dict[TP, int] = {}  # to be fetched
        self._went_back_s: dict[TP, tuple[float, float]] = {}  # the client's position: first and last time of a row
        self._handed_on: dict[TP, int] = {}  # offset of the last record that an agent was given
        self._generation = -1
        self._sought = -1  # the last generation in which positions were set to what was handled
        at_once = self.app.conf.broker_max_poll_records
        self._at_once = at_once
        self._alignment = Alignment(max(1, at_once // 8), self.app.align_wait_s, at_once)
        self._active: set[TP] = set()
        self._active_inputs: set[TP] = set()
        self._seeking = False
        self._room_made = asyncio.Event()  # a chunk was acknowledged
        self._one_at_a_time = asyncio.Lock()
        self._underway: set[Any] = set()  # messages handed on and not acknowledged: Faust counts only what it took
        self._handing_on: set[asyncio.Future[None]] = set()
        self.dropped = 0  # records that were fetched in vain
        self.revoked_s: float | None = None  # when partitions were last taken back

    def _new_consumer_thread(self) -> FetchThread:
        return FetchThread(self, loop=self.loop, beacon=self.beacon)

    async def perform_seek(self) -> None:
        """Go back to the committed offsets, and where there is none to the beginning.

        aiokafka leaves a partition where it is that has none. That may be behind records which were thrown away: a
        fetch that began before a rebalance may bring records of the assignment after it.
        """
        async with self._position_lock, self._positions_move():
            await super().perform_seek()
            begun = {tp: offset for tp, offset in self._read_offset.items() if offset}
            inputs = {tp for tp in self.assignment() if not self._is_changelog_tp(tp)}
            await self._read_on_at(dict.fromkeys(inputs - set(begun), 0))  # aiokafka takes the first that is there
            self._forget()
            self._next_offset, self._sought = begun, self.app.consumer_generation_id

    @asynccontextmanager
    async def _positions_move(self) -> AsyncIterator[None]:
        """Keep what was fetched before a seek from being handed on while it lasts."""
        self._seeking = True
        try:
            yield
        finally:
            self._seeking = False

    def _forget(self) -> None:
        """Drop what was fetched and not handed on: positions have moved, it comes again."""
        self.dropped += len(self._alignment) + sum(_records(message.value) for message in self._underway)
        self._alignment.clear()
        self._next_offset.clear()
        self._handed_on.clear()
        self._underway.clear()

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Go to these offsets."""
        async with self._position_lock, self._positions_move():
            await super().seek_wait(partitions)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Commit before Faust forgets the acknowledged offsets, and only then waits for the agents."""
        self.revoked_s = time.monotonic()
        await self.commit()
        for tp in revoked:
            self._next_offset.pop(tp, None)  # with it the next owner's offsets could be taken back
        await super().on_partitions_revoked(revoked)
        _log.info("partitions revoked", partitions=sorted({tp.partition for tp in revoked}))

    def on_buffer_full(self, tp: TP) -> None:
        """Do nothing: back-pressure comes from the full queue, which blocks `_drain_messages`."""

    def ack(self, message: Any) -> bool:  # noqa: ANN401
        """Mark a chunk as done: its offsets may be committed."""
        message.acked = True
        self._unacked_messages.discard(message)
        self._underway.discard(message)
        notify(self._waiting_for_ack)
        self._room_made.set()
        if len(self._alignment):
            task = asyncio.ensure_future(self._hand_on_the_next(self._generation))
            self._handing_on.add(task)  # else it may be collected
            task.add_done_callback(self._handing_on.discard)
        if message.generation_id != self.app.consumer_generation_id:
            return False  # the stream acknowledges what it skips: an unprocessed offset must not be committed
        self._acked.update((tp, [int(records.offsets[-1])]) for tp, records in message.value.items())
        return True

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:  # noqa: ANN401 - Faust's signature
        tps = {*self._acked, *self._next_offset}  # the end of a transaction is acknowledged by nobody
        return (tp for tp in tps if topics is None or tp in topics or tp.topic in topics)

    def _new_offset(self, tp: TP) -> int | None:
        acked = self._acked.get(tp)  # chunks are acknowledged in order: the last one says it all
        handled = acked[-1] + 1 if acked else 0
        if handled > self._handed_on.get(tp, -1) and not self._alignment.holds(tp):
            handled = max(handled, self._next_offset.get(tp, 0))  # in between is nothing that is ever seen
        return handled or None

    async def _drain_messages(self, fetcher: Any) -> None:  # noqa: ANN401
        try:
            while not (self.should_stop or fetcher.should_stop):
                if not self.flow_active or not self._get_active_partitions():
                    await self.sleep(0.02)
                    continue
                async with self._position_lock:
                    await self._fetch()
        except (*self.consumer_stopped_errors, asyncio.CancelledError):
            if not self.app.should_stop:
                raise
        except Exception as error:  # noqa: BLE001 - e.g. a record that the client cannot decode: say where
            if self.app.should_stop:
                return
            positions = {f"{tp.topic}-{tp.partition}": offset for tp, offset in self._next_offset.items()}
            fail_stop("a fetch failed", error, next_offsets=positions)

    async def _getmany(self, active_partitions: set[TP], timeout: float) -> dict[TP, Fetched]:
        """Fetch in the client's thread.

        Faust's way there is a queue with two workers, each of which makes four tasks to wait for its next call.
        """
        client = self._thread._ensure_consumer()
        return await self._in_thread(
            self._thread._fetch_records(
                client, active_partitions, timeout=timeout, max_records=client._max_poll_records
            )
        )

    def _state(self, tp: TP) -> Any:  # noqa: ANN401 - aiokafka's
        """Return where the client is in a partition, None if it has just been revoked, in aiokafka's own thread."""
        subscription = self._thread._ensure_consumer()._subscription.subscription
        assignment = subscription and subscription.assignment
        return assignment and assignment.state_value(tp)

    def _position(self, tp: TP) -> int:
        """Return the offset that the client reads next, 0 where it does not know."""
        state = self._state(tp)
        return (state and state._position) or 0  # one look: the other thread may take it away

    async def _read_on_at(self, offsets: Mapping[TP, int]) -> None:
        """Have the client read on there, and ask the cluster anew who leads these partitions."""
        client = self._thread._ensure_consumer()

        async def ask() -> None:
            for tp, offset in offsets.items():
                with suppress(IllegalStateError):  # it has just been revoked
                    client.seek(tp, offset)
            client._client.force_metadata_update()

        if offsets:
            await self._in_thread(ask())

    async def committed(self, partitions: Iterable[TP]) -> dict[TP, int]:
        """Return up to where the group has handled each of these partitions, 0 where it has said nothing yet."""
        client = self._thread._ensure_consumer()

        async def ask() -> dict[TP, int]:
            return {tp: await client.committed(tp) or 0 for tp in partitions}

        return await self._in_thread(ask())

    async def _in_thread(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._thread.thread_loop))

    async def _fetch(self) -> None:
        active = set(self._get_active_partitions())
        generation = self.app.consumer_generation_id
        if generation != self._generation:
            self._generation = generation
            self._forget()
        hungry = active - self._alignment.full()
        if hungry:  # aiokafka takes no partitions for all of them, the changelog's too
            fetched = await self._getmany(active_partitions=hungry, timeout=POLL_S)
        else:
            fetched = {}
            await self._wait_for_room()
        if not self._may_hand_on(generation):
            self.dropped += _records({tp: records for tp, records in fetched.items() if not self._is_changelog_tp(tp)})
            return  # a seek follows always
        inputs = {}
        for tp, records in fetched.items():
            if self._is_changelog_tp(tp):
                self.app.tables.recovery.on_changelog_records(tp, records)
            else:
                inputs[tp] = records
        again = {tp for tp, records in inputs.items() if records.offsets[0] < self._next_offset.get(tp, 0)}
        for tp in again:
            self._note_again(tp, len(inputs.pop(tp)))
        self._alignment.add(inputs, asyncio.get_running_loop().time())
        self._next_offset.update((tp, int(records.offsets[-1]) + 1) for tp, records in inputs.items())
        for tp in self._inputs() - again if generation == self._sought else ():
            # past the ends of transactions too, and what was aborted
            self._next_offset[tp] = max(self._position(tp), self._next_offset.get(tp, 0))
        await self._read_on_at({tp: self._next_offset[tp] for tp in again})
        await self._hand_on(generation)

    def _may_hand_on(self, generation: int) -> bool:
        return self.flow_active and not self._seeking and generation == self.app.consumer_generation_id

    def _inputs(self) -> set[TP]:
        active = self._get_active_partitions()
        if active != self._active:
            self._active = set(active)
            self._active_inputs = {tp for tp in active if not self._is_changelog_tp(tp)}
        return self._active_inputs

    def _room(self) -> bool:
        """Tell whether a chunk is wanted now: what comes while two are underway goes into one, however often we fetch.

        One is being acknowledged, the next computed; in a backlog a full one lies ready besides.
        """
        generation = self.app.consumer_generation_id
        underway = sum(message.generation_id == generation for message in self._underway)
        return bool(underway < UNDERWAY or (underway == UNDERWAY and len(self._alignment) >= self._at_once))

    async def _wait_for_room(self) -> None:
        self._room_made.clear()
        if not self._room():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._room_made.wait(), POLL_S)

    async def _hand_on_the_next(self, generation: int) -> None:
        try:
            await self._hand_on(generation)
        except Exception as error:
            if self.should_stop or self.app.should_stop:
                raise
            fail_stop("a chunk was not handed on", error)  # its records are taken: the next would pass them

    async def _hand_on(self, generation: int) -> None:
        """Hand a chunk on if one is wanted and there is one: after a fetch, and after an acknowledgement."""
        # one at a time: where the queue is full, Faust lets the next chunk overtake the one that waits
        async with self._one_at_a_time:
            if not self._may_hand_on(generation) or not self._room():
                return
            now_s = asyncio.get_running_loop().time()
            chunk = self._alignment.take(self._inputs(), self._caught_up, now_s, time.time_ns() // 1_000_000)
            self._handed_on.update((tp, int(records.offsets[-1])) for tp, records in chunk.items())
            if chunk:
                await self._deliver(chunk)

    def _note_again(self, tp: TP, count: int) -> None:
        """Take note of records that came twice, and end the worker if nothing else comes.

        Our position is out of the range of a broker that has just woken (see `PATIENCE_S`), and aiokafka begins the
        partition anew. The same happens for good where the topic was deleted and made anew.
        """
        now_s, context = asyncio.get_running_loop().time(), {"topic": tp.topic, "partition": tp.partition}
        first_s, last_s = self._went_back_s.get(tp, (now_s, now_s))
        if now_s - last_s > PATIENCE_S:
            first_s = last_s = now_s
        self._went_back_s[tp] = first_s, now_s
        if now_s - first_s > PATIENCE_S:
            fail_stop("a partition has lost what was read of it", **context, read_to=self._next_offset[tp])
        if first_s == now_s:
            _log.warning("records came twice: dropped", **context, records=count, read_to=self._next_offset[tp])

    def _caught_up(self, tp: TP) -> bool:
        end = self._end(tp)
        return end is not None and self._next_offset.get(tp, 0) >= end

    def _end(self, tp: TP) -> int | None:
        """Return up to where a partition can be read, as the last fetch saw it, None if none did.

        That is before the first transaction which is still open.
        """
        state = self._state(tp)
        end: int | None = state and state.lso
        return end

    def drained(self, number: int) -> bool:
        """Tell whether all input partitions with this number are read to their end and handled."""
        mine = [tp for tp in self.assignment() if tp.partition == number and not self._is_changelog_tp(tp)]
        if not mine or self._alignment.waits(number) or not all(map(self._caught_up, mine)):
            return False
        return all((self._new_offset(tp) or 0) > self._handed_on.get(tp, -1) for tp in mine)

    async def _deliver(self, chunk: dict[TP, Fetched]) -> None:
        tp = next(iter(chunk))
        offset, timestamp_ms = chunk[tp].columns[: TIMESTAMP_MS + 1, 0].tolist()
        message = ConsumerMessage(
            tp.topic,
            tp.partition,
            offset,
            timestamp_ms / 1000,
            timestamp_type=0,
            headers=[],
            key=None,
            value=chunk,
            checksum=None,
            tp=tp,
            generation_id=self.app.consumer_generation_id,  # as no await came between
        )
        self._underway.add(message)
        delivery = asyncio.ensure_future(self.callback(message))
        await asyncio.sleep(0)  # enough where the queue has room; else it waits, and a rebalance ends that
        if delivery.done():
            delivery.result()
        else:
            await self.wait_first(delivery, self.suspend_flow.wait())

    def lag(self) -> dict[TP, int]:
        """Return how many records of each input partition are not acknowledged yet; those whose end is known.

        Those of transactions which are still open are counted, though they cannot be read: somebody must know of them.
        """
        lags = {}
        for tp in self.assignment():
            state = None if self._is_changelog_tp(tp) else self._state(tp)
            if state is not None and state.highwater is not None:
                done = self._new_offset(tp) or self._committed_offset[tp] or 0
                lags[tp] = max(state.highwater - done, 0)
        return lags


def _records(fetched: Mapping[TP, Fetched]) -> int:
    return sum(map(len, fetched.values()))

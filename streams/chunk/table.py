"""The table of users: rows in arrays, the changelog written and read in batches, fenced against zombies.

A worker that takes a partition over writes a marker with a fresh writer id to the changelog and recovers up to it. Each
value starts with its writer's id. After a marker, recovery ignores what other writers wrote: such a writer is a
zombie, a worker paused past its session. The owner repairs what it wrote as soon as it meets it, in recovery too:
compaction keeps a key's last record, whoever wrote it.
"""

import asyncio
import os
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import faust
import numpy as np
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.stores.memory import Store
from faust.types import TP
from yarl import URL

from models.older_rows import migrated
from models.state import Rows, empty_rows
from streams.chunk.changelog import ID_BYTES, changelog_batches
from streams.chunk.failure import EXIT_CONFIGURATION, PATIENCE_S, fail_stop
from streams.chunk.logged_rows import MARKER, counting
from streams.chunk.producer import Sent
from streams.chunk.records import Batch, single_records
from streams.fetched import KEY, KEY_END, VALUE, VALUE_END, Fetched
from streams.user_rows import PartitionRows, UserRows

_EMPTY = empty_rows(1)

_NOT_OURS = "the changelog holds rows of no layout that this version knows: start it with another NEXTACT_GROUP"
_NOT_THESE_INPUTS = (
    "the state has seen more of an input topic than it holds: the topic was deleted and made anew, or is of another"
    " cluster. Restore it, or start with another NEXTACT_GROUP"
)
MADE_ANEW = (
    "the changelog begins again: it was deleted and made anew under a running worker. Restore it, or start with"
    " another NEXTACT_GROUP, which handles again what the input topics still hold"
)
_log = structlog.get_logger("nextact")


class ChunkStore(Store):
    """Rows by partition, with the changelog offset up to which each is complete.

    Args:
        args: as Faust's stores take them.
        empty: as `UserRows` takes it; its field `layout` is that of every row.
        kwargs: as Faust's stores take them.
    """

    def __init__(self, *args: Any, empty: Rows = _EMPTY, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self.users = UserRows(empty)
        self._layout, self._row = int(empty["layout"][0]), empty.dtype
        self.offsets: dict[int, int] = {}
        self.owner: dict[int, bytes] = {}
        self.overwritten: dict[int, set[bytes]] = {}  # users whose last record is not the owner's
        self.generation, self.writer = 0, b""
        self.stale = self.recovered = self.repaired = 0
        self.rebalances = self.logged_bytes = 0

    def __getitem__(self, key: bytes) -> Any:  # noqa: ANN401
        for rows in self.users.partitions.values():
            if key in rows:
                return rows.read([key])[0]
        raise KeyError(key)

    def __len__(self) -> int:
        return len(self.users)

    def __iter__(self) -> Iterator[bytes]:
        for rows in self.users.partitions.values():
            yield from rows

    def persisted_offset(self, tp: TP) -> int | None:
        """Return the changelog offset up to which the partition is complete."""
        return self.offsets.get(tp.partition)

    def apply_records(self, tp: TP, records: Fetched) -> None:
        """Take in records of the changelog."""
        rows, begin = self.users.of(tp.partition), 0
        while begin < len(records):
            owner = self.owner.get(tp.partition)
            places, until, stale, odd = counting(records, begin, owner, self._row, self._layout)
            counted = records.at(places)
            rows.write_spans(counted.keys, counted.columns[VALUE_END] - self._row.itemsize)
            if stale or self.overwritten.get(tp.partition):
                self._notice(tp.partition, records, range(begin, until), set(places.tolist()))
            self.stale, self.recovered = self.stale + stale, self.recovered + len(counted)
            begin = until + 1
            if odd:
                begin = self._take_in_older(tp, records, until)
            elif until < len(records) and records.key(until) == MARKER:
                self.owner[tp.partition] = records.value(until) or b""
            elif until < len(records):
                self._forget(tp.partition, records.key(until) or b"")
        self.offsets[tp.partition] = int(records.offsets[-1])

    def _forget(self, partition: int, key: bytes) -> None:
        """Take in a record without a value: whoever wrote it, nothing is known of the user from then on."""
        rows = self.users.of(partition)
        if key in rows:
            rows.write([key], self.users.empty)
        self.overwritten.get(partition, set()).discard(key)

    def _take_in_older(self, tp: TP, records: Fetched, begin: int) -> int:
        """Take in records whose rows are of an older layout, as many as follow; return where they end.

        A row of no layout ends the worker.
        """
        values = records.columns[VALUE_END] - records.columns[VALUE]
        alike = (values[begin:] == values[begin]) & (records.columns[KEY, begin:] >= 0)
        end = begin + (len(alike) if alike.all() else int(alike.argmin()))
        logged = np.frombuffer(b"".join([records.value(k) or b"" for k in range(begin, end)]), np.uint8)
        logged = logged.reshape(end - begin, int(values[begin]))
        if logged.shape[1] == ID_BYTES + self._row.itemsize:  # as an older one's: they end where today's begin
            today = np.flatnonzero(logged[:, ID_BYTES + self._row.fields["layout"][1]] == self._layout)  # type: ignore[index]
            end -= len(logged) - int(today[0]) if len(today) else 0
            logged = logged[: end - begin]
        rows = migrated(logged[:, ID_BYTES:]) if end > begin else None
        if rows is None or rows.dtype != self._row:
            fail_stop(_NOT_OURS, code=EXIT_CONFIGURATION, topic=tp.topic, expected_layout=self._layout)
        owner, ours = self.owner.get(tp.partition), np.ones(end - begin, bool)
        if owner is not None:
            ours = (logged[:, :ID_BYTES] == np.frombuffer(owner, np.uint8)).all(axis=1)
        places = np.flatnonzero(ours)
        self._notice(tp.partition, records, range(begin, end), set((begin + places).tolist()))
        self.users.of(tp.partition).write([records.key(begin + k) or b"" for k in places.tolist()], rows[places])
        self.stale, self.recovered = self.stale + len(ours) - len(places), self.recovered + len(places)
        return end

    def _notice(self, partition: int, records: Fetched, looked_at: range, counted: set[int]) -> None:
        overwritten = self.overwritten.setdefault(partition, set())
        for place in looked_at:
            start, end, value = records.columns[[KEY, KEY_END, VALUE], place].tolist()
            if value >= 0:
                (overwritten.discard if place in counted else overwritten.add)(records.data[start:end])

    async def on_rebalance(
        self,
        assigned: set[TP],
        revoked: set[TP],  # noqa: ARG002 - Faust's signature
        newly_assigned: set[TP],  # noqa: ARG002
        generation_id: int = 0,
    ) -> None:
        """Keep the rows of partitions that stay, if nobody else can have owned them in between."""
        keep = {tp.partition for tp in assigned if tp.topic == self.table.changelog_topic_name}
        if generation_id != self.generation + 1:
            keep = set()  # we missed a generation
        self.generation, self.writer = generation_id, os.urandom(ID_BYTES)
        self.rebalances += 1
        for mapping in (self.users.partitions, self.offsets, self.owner, self.overwritten):
            for partition in set(mapping) - keep:
                del mapping[partition]
        for tp in assigned:
            if tp.topic == self.table.changelog_topic_name:
                self.users.of(tp.partition)

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Do nothing: the stock memory store throws the standby partitions away here."""


class Kept(NamedTuple):
    """Rows that are in memory and not yet in the changelog."""

    partition: int
    keys: Sequence[bytes]
    rows: Rows
    mine: PartitionRows
    writer: bytes


class ChunkTable(faust.Table):
    """A Faust table that is read by partition and written by chunk; a `pipeline.UserTable`.

    Attributes:
        input_topics: names of the topics that a row's `applied` offsets are of.
        empty: the row of a user of whom nothing is known [1], before anything is read; all rows are of its dtype.
    """

    data: ChunkStore
    input_topics: Sequence[str] = ()
    empty: Rows = _EMPTY
    _input_ends: Mapping[int, Sequence[int]] = {}  # by partition

    def _new_store(self) -> ChunkStore:
        return ChunkStore(URL("memory://"), self.app, self, table_name=self.name, loop=self.loop, empty=self.empty)

    def on_key_set(self, key: object, value: object = None) -> None:  # noqa: ARG002 - Faust's signature
        """Refuse: `table[key] = value` would bypass the batch and the fence."""
        raise TypeError("write a whole chunk with ChunkTable.write")

    def read(self, partition: int, keys: Sequence[bytes]) -> Rows:
        """Return copies of the rows of these users, empty ones for those not known.

        Raises:
            KeyError: the partition is not ours: an output made of an empty row would pass for the right one.
        """
        return self.data.users.partitions[partition].read(keys)

    async def check_inputs(self) -> None:
        """End with code 2 if the rows have seen more of an input topic than there is: it is not the topic they know.

        All its events would be taken for redelivered ones. It is asked again and again for `PATIENCE_S` before.
        """
        asked = 0
        while beyond := self._beyond_inputs():
            if asked >= PATIENCE_S:
                topic, partition, seen, end = beyond
                fail_stop(
                    _NOT_THESE_INPUTS, code=EXIT_CONFIGURATION, topic=topic, partition=partition, seen=seen, end=end
                )
            await asyncio.sleep(1)
            await self._ask_input_ends(list(self._input_ends))
            asked += 1

    def _beyond_inputs(self) -> tuple[str, int, int, int] | None:
        """Return a topic of which the rows have seen more than it holds: its partition, the last offset, its end."""
        for number, ends in self._input_ends.items():
            rows = self.data.users.of(number).rows
            seen = rows["applied"].max(axis=0, initial=-1).tolist()
            for topic, last, end in zip(self.input_topics, seen, ends, strict=True):
                if last >= end:
                    return topic, number, last, end
        return None

    async def _ask_input_ends(self, partitions: Sequence[int]) -> None:
        inputs = [TP(topic, p) for p in partitions for topic in self.input_topics]
        ends = await self.app.consumer.highwaters(*inputs) if inputs else {}
        self._input_ends = {p: [ends.get(TP(topic, p), 0) for topic in self.input_topics] for p in partitions}

    async def claim(self, partitions: Sequence[int]) -> dict[int, int]:
        """Fence: recovery reads up to our marker, and ignores what others write after it; return the markers' offsets.

        Whoever wrote a row before it had read no further than to where the input topics now end. That is asked here,
        while nothing is fetched: on the same connection an answer comes after that to the fetch, which waits.
        """
        await self._check_changelog(partitions)
        markers = single_records((p, MARKER, self.data.writer, []) for p in partitions)
        sent = await asyncio.gather(
            *(self.app.batches.send(self.changelog_topic_name, p, its) for p, its in markers.items())
        )
        await self._ask_input_ends(partitions)
        return {partition: its[-1].offset for partition, its in zip(markers, sent, strict=True)}

    async def mend(self) -> None:
        """Write again what recovery found overwritten by a zombie."""
        store = self.data
        writer = store.writer
        for partition in list(store.overwritten):
            rows = store.users.of(partition)
            keys = [key for key in store.overwritten[partition] if key in rows]  # a zombie's new users come again
            if keys:
                await self.write(partition, keys, rows.read(keys))
                store.repaired += len(keys)
            if store.writer != writer:
                return  # rebalanced meanwhile: the next recovery does it
            store.overwritten.pop(partition, None)

    async def _check_changelog(self, partitions: Sequence[int]) -> None:
        """End with code 2 if a partition's changelog is empty though the group has handled its events.

        Asked before any marker is written: that would make it look as if there were something in it.
        """
        ends = await self.app.consumer.highwaters(*(TP(self.changelog_topic_name, p) for p in partitions))
        empty = [tp.partition for tp, end in ends.items() if not end]
        inputs = [TP(topic, p) for p in empty for topic in self.input_topics]
        for tp, offset in (await self.app.consumer.committed(inputs)).items():
            if offset:
                fail_stop(
                    "the changelog is empty though events have been handled: it was deleted and made anew. Restore it,"
                    " or start with another NEXTACT_GROUP, which handles again what the input topics still hold",
                    code=EXIT_CONFIGURATION,
                    changelog=self.changelog_topic_name,
                    topic=tp.topic,
                    partition=tp.partition,
                    handled=offset,
                )

    async def write(self, partition: int, keys: Sequence[bytes], rows: Rows) -> None:
        """Set the rows of these users, in memory at once; return when the changelog has acknowledged them."""
        kept = self.keep(partition, keys, rows)
        if kept is not None:
            await (await self.put(kept, self.packed(kept)))

    def keep(self, partition: int, keys: Sequence[bytes], rows: Rows) -> Kept | None:
        """Set the rows of these users in memory; None if the partition is no longer ours."""
        mine = self.data.users.partitions.get(partition)
        if mine is None:
            return None  # rebalanced meanwhile
        mine.write(keys, rows)
        return Kept(partition, keys, rows, mine, self.data.writer)

    def packed(self, kept: Kept) -> list[Batch]:
        """Return the batches of rows that are in memory, as they are to leave; any thread may call it."""
        batches = changelog_batches(kept.partition, kept.writer, kept.keys, kept.rows)
        packed: list[Batch] = self.app.batches.packed(batches)
        return packed

    async def put(self, kept: Kept, batches: Sequence[Batch]) -> Awaitable[None]:
        """Hand rows that are in memory over, to be written to the changelog.

        They are acknowledged when what is returned is done. What is put later is written later, whoever waits first.
        """
        if self.data.writer != kept.writer:
            return _nothing()  # rebalanced meanwhile: what this writer writes now would be ignored
        written = await self.app.batches.put(self.changelog_topic_name, kept.partition, batches)
        size = sum(batch.size for batch in batches)
        return self._follow(kept.partition, kept.mine, kept.writer, written, size)

    async def _follow(
        self, partition: int, mine: PartitionRows, writer: bytes, written: Awaitable[Sequence[Sent]], size: int
    ) -> None:
        store, followed = self.data, list(await written)
        store.logged_bytes += size
        last = store.offsets.get(partition, -1)
        while followed:
            if store.writer != writer or store.users.partitions.get(partition) is not mine:
                return  # rebalanced meanwhile
            sent = followed.pop(0)
            if 0 <= sent.offset <= last:
                fail_stop(MADE_ANEW, code=EXIT_CONFIGURATION, topic=self.changelog_topic_name, partition=partition)
            if sent.offset > last + 1:  # what repairs it may have been overtaken too
                followed += await self._repair(partition, mine, last + 1, sent.offset)
            last = max(last, sent.offset + sent.records - 1)
        store.offsets[partition] = max(store.offsets.get(partition, -1), last)

    async def _repair(self, partition: int, rows: PartitionRows, start: int, end: int) -> list[Sent]:
        """Someone wrote between our writes: a successor (then we are the zombie) or a zombie (rewrite its users)."""
        tp, keys = TopicPartition(self.changelog_topic_name, partition), set()
        _log.error("foreign records in the changelog", topic=tp.topic, partition=partition, start=start, end=end)
        consumer = AIOKafkaConsumer(enable_auto_commit=False, **self.app.kafka_arguments)
        await consumer.start()
        try:
            consumer.assign([tp])
            consumer.seek(tp, start)
            while await consumer.position(tp) < end:
                for record in (await consumer.getmany(tp, timeout_ms=500)).get(tp, ()):
                    if record.offset < end and record.value is not None and record.value[:ID_BYTES] != self.data.writer:
                        if record.key == MARKER:
                            fail_stop("another worker owns this partition", topic=tp.topic, partition=partition)
                        keys.add(record.key)
        finally:
            await consumer.stop()
        ours = [key for key in keys if key in rows]
        self.data.repaired += len(ours)
        batches = changelog_batches(partition, self.data.writer, ours, rows.read(ours))
        repaired: list[Sent] = await self.app.batches.send(tp.topic, partition, batches)
        return repaired


async def _nothing() -> None:
    """Have nothing to wait for."""

"""The agent of the three input topics and the timer of silence: plumbing between Kafka and `pipeline`."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from faust.types import TP

from models.predictor import Predictor
from schemas.topics import INPUTS, logical_name, physical_name
from streams.chunk.app import ChunkApp
from streams.chunk.failure import fail_stop
from streams.chunk.producer import Record
from streams.chunk.table import ChunkTable
from streams.metrics import Metrics
from streams.outputs import Output
from streams.pipeline import Options, Origin, process, rescore

RESCORE_BATCH = 2000
"""Silent users scored at a time: between two batches a chunk may pass."""


class UserEvents:
    """Hands chunks to `process`, publishes what it returns, and looks after silent users.

    Args:
        app: the Faust app.
        table: the rows of users.
        model: predicts.
        options: of the pipeline.
        metrics: counts.
        stream_time: whether "now" is the newest event time seen, not the wall clock's.
    """

    def __init__(
        self,
        app: ChunkApp,
        table: ChunkTable,
        model: Predictor,
        options: Options,
        metrics: Metrics,
        stream_time: bool,
    ) -> None:
        self._app, self._table, self._model, self._options, self._metrics = app, table, model, options, metrics
        self._stream_time, self._newest_ms = stream_time, 0
        self._one_at_a_time = asyncio.Lock()  # a chunk, or a batch of silent users: never both on the same rows

    def register(self, rescore_interval_s: float) -> None:
        """Add the agent and the timers to the app."""
        names = [physical_name(topic, self._options.prefix) for topic in INPUTS]
        topic = self._app.topic(*names, key_serializer="raw", value_serializer="raw")
        self._app.agent(topic, name="users")(self._consume)
        self._app.timer(rescore_interval_s, name="silence")(self._rescore_silent)
        self._app.timer(1.0, name="gauges")(self._set_gauges)

    async def _consume(self, stream: Any) -> None:  # noqa: ANN401 - Faust's stream
        async for event in stream.noack().events():
            try:
                async with self._one_at_a_time:
                    await self._handle(event.value)
            except Exception as error:  # noqa: BLE001 - a bug: end before the chunk is acknowledged
                if self._app.should_stop:
                    return  # what is not acknowledged comes again
                fail_stop("a chunk failed", error)
            event.ack()

    async def _handle(self, polled: Mapping[TP, Sequence[Any]]) -> None:
        chunk = {Origin(logical_name(tp.topic, self._options.prefix), tp.partition): r for tp, r in polled.items()}
        result = process(chunk, self._table, self._model, _wall_ms(), self._options)
        began = time.perf_counter()
        await asyncio.gather(
            *(self._table.write(p, change.keys, change.rows) for p, change in result.changes.items()),
            self._publish(result.outputs),
        )
        result.seconds["publish"] = time.perf_counter() - began
        for change in result.changes.values():
            self._newest_ms = max(self._newest_ms, int(change.rows["newest_ms"].max()))
        records: Counter[str] = Counter()
        for origin, part in chunk.items():
            records[origin.topic] += len(part)
        timestamps = np.array([record.timestamp for part in chunk.values() for record in part])
        self._metrics.chunk_handled(
            records,
            result.tally,
            result.rejected,
            Counter(output.topic for output in result.outputs),
            result.seconds,
            (_wall_ms() - timestamps) / 1000,
        )

    async def _publish(self, outputs: Iterable[Output]) -> None:
        batches: dict[tuple[str, int], list[Record]] = {}
        for output in outputs:
            record = Record(output.key, output.value, output.headers)
            batches.setdefault((output.topic, output.partition), []).append(record)
        await asyncio.gather(
            *(
                self._app.batches.send(physical_name(topic, self._options.prefix), partition, records)
                for (topic, partition), records in batches.items()
            )
        )

    async def _rescore_silent(self) -> None:
        if not self._settled():
            return
        try:
            for partition in self._owned():
                await self._rescore_partition(partition)
        except Exception as error:  # noqa: BLE001 - a bug in a timer ends the worker as one in a chunk does
            if self._app.should_stop:
                return
            fail_stop("scoring silent users failed", error)

    async def _rescore_partition(self, partition: int) -> None:
        now_ms = self._newest_ms if self._stream_time else _wall_ms()
        users = self._table.data.users
        while self._settled() and partition in users.partitions:
            async with self._one_at_a_time:
                rows = users.of(partition)
                due = np.flatnonzero(rows.rows["rescore_ms"] <= now_ms)[:RESCORE_BATCH]
                if not len(due):
                    return
                keys = [rows.keys[place] for place in due.tolist()]
                scored, made, changed = rescore(partition, keys, rows.rows[due], self._model, now_ms, self._options)
                # first the outputs: a crash before the row is written repeats them under the same ids
                await self._publish(made)
                self._metrics.outputs_published(Counter(output.topic for output in made))
                if users.partitions.get(partition) is not rows:
                    return  # rebalanced meanwhile
                rows.write(keys, scored)
                await self._table.write(partition, [keys[k] for k in changed.tolist()], scored[changed])

    def _settled(self) -> bool:
        return not self._app.should_stop and not self._app.rebalancing and not self._app.in_recovery

    def _owned(self) -> list[int]:
        changelog = self._table.changelog_topic_name
        return sorted(tp.partition for tp in self._app.assignor.assigned_actives() if tp.topic == changelog)

    async def _set_gauges(self) -> None:
        m, store, recovery = self._metrics, self._table.data, self._app.tables.recovery
        lag: Counter[str] = Counter(dict.fromkeys(INPUTS, 0))
        for tp, records in self._app.consumer.lag().items():
            lag[logical_name(tp.topic, self._options.prefix)] += records
        for topic, records in lag.items():
            m.lag.labels(topic).set(records)
        m.users.set(len(store))
        m.partitions.set(len(self._owned()))
        m.recovering.set(self._app.in_recovery)
        m.recovery.set(recovery.took_s or 0)
        m.recovered.set(store.recovered)
        m.stale.set(store.stale)
        m.repaired.set(store.repaired)


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000

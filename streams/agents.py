"""The agent of the three input topics and the timer of silence: plumbing between Kafka and `pipeline`."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import numpy as np
import structlog

from models.predictor import Predictor
from models.state import Rows
from schemas.topics import DEAD_LETTERS, INPUTS, logical_name, physical_name
from streams.chunk.app import ChunkApp
from streams.chunk.failure import fail_stop
from streams.chunk.overlap import Overlap, Polled, Step, Written
from streams.chunk.records import Batch, single_records
from streams.chunk.table import ChunkTable
from streams.gauges import Gauges
from streams.metrics import Metrics
from streams.options import Options
from streams.outputs import Outputs
from streams.pipeline import Origin, Result, process, rescore
from streams.publishing import encoded

_log = structlog.get_logger("nextact")

RESCORE_BATCH = 500
"""Silent users scored at a time: between two batches a chunk may pass, and what a batch needs in memory stays."""


class UserEvents:
    """Hands chunks to `process`, publishes what it returns, and looks after silent users.

    Args:
        app: the Faust app.
        table: the rows of users.
        model: predicts.
        options: of the pipeline.
        metrics: counts.
        stream_time: whether "now" is the newest event time seen, not the wall clock's.

    Attributes:
        chunks: takes the chunks through.
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
        self._stream_time = stream_time
        self.chunks = Overlap(app, table, self._compute, self._done)

    def register(self, rescore_interval_s: float) -> None:
        """Add the agent and the timers to the app."""
        names = [physical_name(topic, self._options.prefix) for topic in INPUTS]
        self._table.input_topics = names
        topic = self._app.topic(*names, key_serializer="raw", value_serializer="raw")
        self._app.agent(topic, name="users")(self.chunks.consume)
        self._app.timer(rescore_interval_s, name="silence")(self._rescore_silent)
        asked = (self._options.prefix, self._joined, self._settled, self._owned)
        Gauges(self._app, self._table, self.chunks, *asked).register(self._metrics)

    def waits_for(self) -> str | None:
        """Say what must happen before events are answered here; None: nothing. Any thread may ask."""
        if self._app.should_stop:
            return "it stops"
        if not self._joined():
            return "it joins its group"
        if self._app.rebalancing:
            return "partitions change hands"
        if self._app.in_recovery:
            return f"users are read back, {self._table.data.recovered} changelog records so far"
        return None if self._owned() else "it owns no partition: there may be more workers than partitions"

    def _compute(self, polled: Polled) -> Step[Result]:
        chunk = {Origin(logical_name(tp.topic, self._options.prefix), tp.partition): r for tp, r in polled.items()}
        result = process(chunk, self._table, self._model, _wall_ms(), self._options)
        changes = [(partition, change.keys, change.rows) for partition, change in result.changes.items()]
        return Step(result, changes, partial(self._encode, result))

    def _encode(self, result: Result) -> list[Written]:
        began_s = time.thread_time()
        letters = [(letter.partition, letter.key, letter.value, letter.headers) for letter in result.dead_letters]
        written = [
            *self._encoded(result.outputs),
            *self._named(DEAD_LETTERS, single_records(letters)),
        ]
        result.seconds["encode"] = time.thread_time() - began_s
        return written

    def _encoded(self, outputs: Iterable[Outputs]) -> list[Written]:
        return [written for made in outputs for written in self._named(made.topic, encoded(made))]

    def _named(self, topic: str, batches: Mapping[int, Sequence[Batch]]) -> list[Written]:
        name = physical_name(topic, self._options.prefix)
        return [(name, partition, made) for partition, made in batches.items()]

    def _done(self, polled: Polled, result: Result, seconds: float) -> None:
        records: Counter[str] = Counter()
        for tp, part in polled.items():
            records[logical_name(tp.topic, self._options.prefix)] += len(part)
        timestamps_ms = np.concatenate([part.timestamps_ms for part in polled.values()])
        now_ms = _wall_ms()
        self._metrics.chunk_handled(records, result, seconds, now_ms / 1000, (now_ms - timestamps_ms) / 1000)

    async def _rescore_silent(self) -> None:
        if not self._settled():
            return
        try:
            for partition in self._owned():
                await self._rescore_partition(partition)
        except Exception as error:  # noqa: BLE001 - a bug in a timer ends the worker as one in a chunk does
            if self._app.should_stop:
                _log.warning("scoring silent users was not finished", exc_info=error)
                return
            fail_stop("scoring silent users failed", error)

    async def _rescore_partition(self, partition: int) -> None:
        users = self._table.data.users
        began, now_ms, due = users.partitions.get(partition), 0, np.zeros(0, np.int64)
        if began is not None:
            now_ms = self._now_ms(partition, began.rows)
            due = np.flatnonzero(began.rows["rescore_ms"] <= now_ms)
        for start in range(0, len(due), RESCORE_BATCH):
            async with self.chunks.paused():
                rows = users.partitions.get(partition)
                if rows is None or rows is not began or not self._settled() or partition not in self._owned():
                    return
                part = due[start : start + RESCORE_BATCH]  # a chunk may have come to some of them
                part = part[rows.rows["rescore_ms"][part] <= now_ms]
                keys = [rows.key(place) for place in part.tolist()]
                scored, made, changed = rescore(partition, keys, rows.rows[part], self._model, now_ms)
                # first the outputs: a crash before the row is written repeats them under the same ids
                await asyncio.gather(*[await self._app.batches.put(*written) for written in self._encoded(made)])
                self._metrics.silence_scored(made, scored["band"][changed])
                if users.partitions.get(partition) is not rows:
                    return  # rebalanced meanwhile
                rows.write(keys, scored)
                await self._table.write(partition, [keys[k] for k in changed.tolist()], scored[changed])

    def _now_ms(self, partition: int, rows: Rows) -> int:
        """Return up to when it is known who was silent: in a backlog, what ends a silence is still to come."""
        if not self._stream_time and self._app.consumer.drained(partition):
            return _wall_ms()
        return int(rows["newest_ms"].max(initial=0))

    def _settled(self) -> bool:
        return not self._app.should_stop and not self._app.rebalancing and not self._app.in_recovery

    def _joined(self) -> bool:
        """Tell whether the group has given us anything yet; before, Faust's services must not be touched."""
        return bool(self._table.data.writer)

    def _owned(self) -> list[int]:
        changelog = self._table.changelog_topic_name
        return sorted(tp.partition for tp in self._app.assignor.assigned_actives() if tp.topic == changelog)


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000

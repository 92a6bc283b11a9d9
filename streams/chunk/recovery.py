"""Recovery of the table in bulk, without the races of the stock one."""

import ctypes
import time
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

import structlog
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery, ServiceStopped
from faust.types import TP
from mode import Service

from streams.chunk.failure import EXIT_CONFIGURATION, fail_stop
from streams.chunk.logged_rows import MARKER
from streams.chunk.table import MADE_ANEW
from streams.fetched import Fetched

_log = structlog.get_logger("nextact")


class ChunkRecovery(Recovery):
    """Faust's recovery: changelog records come a fetch at a time from the consumer."""

    started_s: float | None = None
    took_s: float | None = None
    ready_s: float | None = None  # when events were last let through
    _cpu_s = 0.0  # of the recovery; while it lasts, what the process had used before

    @Service.task
    async def _slurp_changelogs(self) -> None:
        """Not used: `on_changelog_records` does this for a whole fetch at once."""

    async def _wait(self, coro: Awaitable[Any], timeout: float | None = None) -> None:
        try:
            await super()._wait(coro, timeout=timeout)
        except ServiceStopped:  # mode reports a timeout as "stopped": the stock recovery then ends silently, for good
            if self.should_stop:
                raise
            fail_stop("a step of the recovery timed out: the broker does not answer")

    def _add(self, table: Any, tp: TP, offsets: dict[TP, int]) -> None:  # noqa: ANN401
        offsets.pop(tp, None)  # only the store knows what it holds
        super()._add(table, tp, offsets)

    async def _build_highwaters(self, consumer: Any, tps: set[TP], destination: Any, title: str) -> None:  # noqa: ANN401
        markers: dict[TP, int] = {}
        if title == "active":
            for table, table_tps in list(self.actives_for_table.items()):
                offsets = await table.claim([tp.partition for tp in table_tps])
                markers |= {tp: offsets[tp.partition] for tp in table_tps}
        await super()._build_highwaters(consumer, tps, destination, title)
        for tp, offset in markers.items():  # a broker that was paused may answer, and not know of them
            destination[tp] = max(destination[tp], offset)

    def _set_recovery_started(self) -> None:
        super()._set_recovery_started()
        self.signal_recovery_end.clear()
        self.started_s, self.took_s, self._cpu_s = time.monotonic(), None, time.process_time()

    def _set_recovery_ended(self) -> None:
        super()._set_recovery_ended()
        if self.started_s is not None and self.took_s is None:
            self.took_s, self._cpu_s = time.monotonic() - self.started_s, time.process_time() - self._cpu_s

    def remaining(self) -> int:
        """Return how many offsets of the changelog are still to be read; any thread may call it."""
        if not self.in_recovery:
            return 0
        read, ends = dict(self.active_offsets), dict(self.active_highwaters)
        return sum(max((ends.get(tp) or 0) - (read.get(tp) or 0), 0) for tp in list(self.active_tps))

    def on_changelog_records(self, tp: TP, records: Fetched) -> None:
        """Take in records that were fetched from one changelog partition."""
        if tp not in self.active_tps or not self.in_recovery:
            return  # what we wrote ourselves is in memory already, and newer there
        if not records.offsets[0] and records.key(0) != MARKER:  # each owner's first record is its marker
            fail_stop(MADE_ANEW, code=EXIT_CONFIGURATION, topic=tp.topic, partition=tp.partition)
        self.tp_to_table[tp].data.apply_records(tp, records)
        self.active_offsets[tp] = int(records.offsets[-1])
        if self.in_recovery and not self.need_recovery():
            self._set_recovery_ended()
            self.signal_recovery_end.set()

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        """Stop the flow first, or the fetcher reads on before the seek to the committed offsets."""
        self.app.consumer.stop_flow()
        for table in self.tables.values():
            await self._wait(table.check_inputs(), timeout=self.app.conf.broker_request_timeout)
            await self._wait(table.mend(), timeout=self.app.conf.broker_request_timeout)
        await super().on_recovery_completed(generation_id)
        _give_back()
        owned = sorted(tp.partition for tp in self.active_tps)
        users = sum(len(table.data) for table in self.tables.values())
        self.ready_s = time.monotonic()
        took_s, cpu_s = round(self.took_s or 0, 2), round(self._cpu_s, 2)
        _log.info("ready", partitions=owned, users=users, recovery_s=took_s, recovery_cpu_s=cpu_s)


def _give_back() -> None:
    """Return to the system what the fetches took: the allocator would keep some 30 MB for good."""
    with suppress(AttributeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)


class ChunkTableManager(TableManager):
    """Faust's table manager, with our recovery."""

    _recovery: ChunkRecovery | None

    @property
    def recovery(self) -> ChunkRecovery:
        """The recovery service."""
        if self._recovery is None:
            self._recovery = ChunkRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

"""What is asked for at a scrape: of the worker's parts, as they stand."""

import math
import time
from collections.abc import Callable, Mapping
from functools import partial

from models.churn import BANDS
from schemas.topics import INPUTS, physical_name
from streams.chunk.app import ChunkApp
from streams.chunk.overlap import Overlap
from streams.chunk.table import ChunkTable
from streams.metrics.asked import Values, labelled
from streams.metrics.catalogue import NO_BAND
from streams.metrics.worker import Metrics
from streams.pipeline import Result

BANDS_EVERY_S = 10.0
"""Users are counted by churn band no more often: it takes a look at each of them."""


class Gauges:
    """The gauges of a worker; any thread may ask, also while the event loop is stuck.

    Args:
        app: the Faust app.
        table: the rows of users.
        chunks: takes the chunks through.
        prefix: of the topics.
        joined: tells whether the group has given us anything yet; before, Faust's services must not be touched.
        settled: tells whether events are handled: no rebalance, no recovery.
        owned: numbers of the partitions that are ours.
    """

    def __init__(
        self,
        app: ChunkApp,
        table: ChunkTable,
        chunks: Overlap[Result],
        prefix: str,
        joined: Callable[[], bool],
        settled: Callable[[], bool],
        owned: Callable[[], list[int]],
    ) -> None:
        self._app, self._table, self._chunks, self._prefix = app, table, chunks, prefix
        self._joined, self._settled, self._owned = joined, settled, owned
        self._bands: Values = {}
        self._bands_s = -math.inf

    def register(self, metrics: Metrics) -> None:
        """Have the metrics ask for themselves, also while the table is recovered and no timer runs."""
        store = self._table.data
        plain: Mapping[str, Callable[[], float]] = {
            "nextact_users": lambda: len(store),
            "nextact_state_bytes": lambda: store.users.nbytes,
            "nextact_changelog_bytes_total": lambda: store.logged_bytes,
            "nextact_recovered_rows": lambda: store.recovered,
            "nextact_stale_records": lambda: store.stale,
            "nextact_repaired_rows": lambda: store.repaired,
            "nextact_rebalances_total": lambda: store.rebalances,
            "nextact_chunk_underway_seconds": self._chunks.age_s,
            "nextact_partitions": partial(self._once_joined, lambda: len(self._owned())),
            "nextact_recovering": lambda: self._joined() and not self._settled(),
            "nextact_recovery_seconds": partial(self._once_joined, lambda: self._app.tables.recovery.took_s or 0),
            "nextact_recovery_remaining_records": partial(
                self._once_joined, lambda: self._app.tables.recovery.remaining()
            ),
            "nextact_rebalance_seconds": partial(self._once_joined, self._rebalance_s),
            "nextact_dropped_records_total": partial(self._once_joined, lambda: self._app.consumer.dropped),
        }
        for name, value in plain.items():
            metrics.ask(name, value)
        metrics.asked["nextact_lag_records"].ask = self._lags
        metrics.asked["nextact_churn_users"].ask = self._churn_users

    def _once_joined(self, value: Callable[[], float]) -> float:
        return value() if self._joined() else 0.0

    def _rebalance_s(self) -> float:
        revoked_s, ready_s = self._app.consumer.revoked_s, self._app.tables.recovery.ready_s
        if revoked_s is None:
            return 0.0
        over = ready_s is not None and ready_s >= revoked_s
        return float((ready_s if over else time.monotonic()) - revoked_s)

    def _lags(self) -> Values:
        return {(topic,): self._lag(physical_name(topic, self._prefix)) for topic in INPUTS}

    def _lag(self, topic: str) -> float:
        """Return the records of a topic that are not handled yet; not a number where that is not known."""
        if not self._joined() or not self._settled():
            return math.nan
        lags = self._app.consumer.lag()
        owned = [tp for tp in self._app.consumer.assignment() if tp.topic == topic]
        return float(sum(lags.get(tp, math.nan) for tp in owned))

    def _churn_users(self) -> Values:
        now_s = time.monotonic()
        if now_s - self._bands_s >= BANDS_EVERY_S:
            self._bands, self._bands_s = labelled((NO_BAND, *BANDS), self._table.data.users.bands().tolist()), now_s
        return self._bands

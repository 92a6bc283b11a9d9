"""The client that fetches, in a thread of its own: Faust's, without what makes it wait or costs it time.

aiokafka's record of eleven fields took a third of the fetch; nothing here needs more than the five that its parser
knows. And it sends no new fetch for a tenth of a second while one partition's records wait to be taken, or while a
fetch of the others waits at the broker for news: as long as Faust says, 1.5 s.
"""

from typing import Any

from aiokafka.consumer import fetcher
from faust.transport.drivers import aiokafka as driver

MAX_WAIT_MS = 100
"""How long the broker may keep a fetch that finds nothing."""


class BareRecords(fetcher.PartitionRecords):  # type: ignore[misc]
    """Fetched records as the parser makes them: offset, timestamp, key, value and headers."""

    def _consumer_record(self, tp: Any, record: Any) -> Any:  # noqa: ANN401, ARG002 - aiokafka's
        return record


class FetchThread(driver.AIOKafkaConsumerThread):
    """Faust's thread of the consumer."""

    async def on_start(self) -> None:
        """Connect."""
        fetcher.PartitionRecords = BareRecords  # the fetcher finds the class by this name: for the whole process
        await super().on_start()
        self._ensure_consumer()._fetcher._prefetch_backoff = 0

    def _create_worker_consumer(self, transport: driver.Transport) -> Any:  # noqa: ANN401 - aiokafka's
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = MAX_WAIT_MS
        return consumer

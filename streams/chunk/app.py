"""The Faust app of the chunk path."""

from typing import Any

import faust
from faust.transport.drivers import aiokafka as driver

from streams.chunk.consumer import ChunkConsumer
from streams.chunk.producer import BatchProducer
from streams.chunk.recovery import ChunkTableManager
from streams.chunk.table import ChunkTable
from streams.chunk.watchdog import Watchdog


class ChunkApp(faust.App):
    """A Faust app whose agents get chunks and whose tables are written in batches.

    Args:
        id: of the consumer group.
        kafka_arguments: keyword arguments of aiokafka's clients: addresses and security.
        align_wait_s: how long to wait for a topic that is behind the others.
        compression: whether batches leave in LZ4.
        options: settings of Faust.

    Attributes:
        watchdog: what ends a worker that gets nowhere; to be set before the start.
    """

    def __init__(
        self,
        id: str,
        *,
        kafka_arguments: dict[str, Any],
        align_wait_s: float,
        compression: bool = True,
        **options: Any,  # noqa: ANN401 - Faust's
    ) -> None:
        self.kafka_arguments, self.align_wait_s = kafka_arguments, align_wait_s
        super().__init__(id, Table=ChunkTable, TableManager=ChunkTableManager, **options)
        self.batches = BatchProducer(kafka_arguments, compression)
        self.watchdog: Watchdog | None = None

    def _new_transport(self) -> driver.Transport:
        transport = driver.Transport(self.conf.broker_consumer, self)
        transport.Consumer = ChunkConsumer
        return transport

    async def on_start(self) -> None:
        """Start the producer before anything that writes."""
        await super().on_start()
        await self.add_runtime_dependency(self.batches)
        if self.watchdog is not None:
            await self.add_runtime_dependency(self.watchdog)

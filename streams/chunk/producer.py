"""Batches out: closed batches for one partition, one future a batch."""

import time
from collections.abc import Awaitable, Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from mode import Service

from streams.chunk.records import MAX_BATCH_BYTES, Batch

MAX_REQUEST_BYTES = 1_000_000


class Sent(NamedTuple):
    """A batch that the broker has acknowledged."""

    offset: int  # of its first record
    records: int


class _Written(BatchBuilder):  # type: ignore[misc]
    """A batch of aiokafka's whose records are written already: it adds the head, with the checksum."""

    _buffer: bytearray | None

    def __init__(self, batch: Batch, now_ms: int) -> None:
        super().__init__(MAX_BATCH_BYTES, compression_type=0)
        head = _DefaultRecordBatchBuilderPy(2, batch.codec, 0, -1, -1, 0, MAX_BATCH_BYTES)
        head._buffer += batch.data
        head._first_timestamp = head._max_timestamp = now_ms
        head._num_records, head._last_offset = batch.records, batch.records - 1
        self._builder, self._relative_offset = head, batch.records
        self.close()

    def _build(self) -> bytearray:
        if self._buffer is None:
            self._builder._write_header()
            self._buffer = self._builder._buffer
        return self._buffer  # type: ignore[return-value]

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        self._builder.set_producer_state(producer_id, producer_epoch, base_sequence)


class BatchProducer(Service):
    """An idempotent producer that writes whole batches and waits for all replicas.

    Args:
        arguments: keyword arguments of `AIOKafkaProducer`: addresses and security.
        compression: whether batches leave in LZ4.
    """

    def __init__(self, arguments: dict[str, Any], compression: bool = True, **kwargs: Any) -> None:  # noqa: ANN401 - mode's
        super().__init__(**kwargs)
        self._arguments, self._compression = arguments, compression
        self._kafka: AIOKafkaProducer

    async def on_start(self) -> None:
        """Connect."""
        self._kafka = AIOKafkaProducer(
            acks="all",
            enable_idempotence=True,
            max_batch_size=MAX_BATCH_BYTES,
            max_request_size=MAX_REQUEST_BYTES,
            **self._arguments,
        )
        await self._kafka.start()

    async def on_stop(self) -> None:
        """Send what is waiting and disconnect."""
        await self._kafka.stop()

    def packed(self, batches: Sequence[Batch]) -> list[Batch]:
        """Return batches as they are to leave: the costly part of sending them, which any thread may do."""
        return [batch.compressed() for batch in batches] if self._compression else list(batches)

    async def put(self, topic: str, partition: int, batches: Sequence[Batch]) -> Awaitable[list[Sent]]:
        """Hand batches over, to be written to a partition; they are acknowledged when what is returned is done.

        What is put later is written later, whoever waits first.
        """
        now_ms = time.time_ns() // 1_000_000
        futures = [
            await self._kafka.send_batch(_Written(batch, now_ms), topic, partition=partition) for batch in batches
        ]
        return _acknowledged(futures, [batch.records for batch in batches])

    async def send(self, topic: str, partition: int, batches: Sequence[Batch]) -> list[Sent]:
        """Write batches to a partition, in order; return once all are acknowledged."""
        return await (await self.put(topic, partition, batches))


async def _acknowledged(futures: Sequence[Awaitable[Any]], counts: Sequence[int]) -> list[Sent]:
    return [Sent((await future).offset, count) for future, count in zip(futures, counts, strict=True)]

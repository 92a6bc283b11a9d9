"""Batches out: closed batches for one partition, one future a batch."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from mode import Service

MAX_BATCH_BYTES = 900_000
"""Below the broker's default limit of 1,048,588 bytes a message batch."""

MAX_REQUEST_BYTES = 1_000_000


class Record(NamedTuple):
    """A record to be written."""

    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]


class Sent(NamedTuple):
    """A batch that the broker has acknowledged."""

    offset: int  # of its first record
    records: int


class BatchProducer(Service):
    """An idempotent producer that writes whole batches and waits for all replicas.

    Args:
        arguments: keyword arguments of `AIOKafkaProducer`: addresses and security.
    """

    def __init__(self, arguments: dict[str, Any], **kwargs: Any) -> None:  # noqa: ANN401 - as mode's Service has them
        super().__init__(**kwargs)
        self._arguments = arguments
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

    async def send(self, topic: str, partition: int, records: Sequence[Record]) -> list[Sent]:
        """Write records to a partition, in order; return once all are acknowledged."""
        batches: list[Any] = []
        for record in records:
            if not batches or batches[-1].append(timestamp=None, **record._asdict()) is None:  # the batch is full
                batches.append(self._kafka.create_batch())
                if batches[-1].append(timestamp=None, **record._asdict()) is None:
                    raise ValueError(f"a record of {len(record.value)} bytes for {topic} does not fit a batch")
        for batch in batches:
            batch.close()
        pending = [await self._kafka.send_batch(batch, topic, partition=partition) for batch in batches]
        return [
            Sent((await future).offset, batch.record_count()) for future, batch in zip(pending, batches, strict=True)
        ]

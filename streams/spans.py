"""What stands in partitions from an offset up to another, and a reason where a broker stops to tell it."""

import time
from collections.abc import Iterator
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from streams.clients import check_broker
from streams.errors import BrokerUnavailable
from streams.settings import Settings

Span = dict[TopicPartition, tuple[int, int]]
"""First offset of each partition, and the one after its last."""

_POLL_MS = 500
_IDLE_S = 0.05  # the embedded broker answers an empty fetch at once
_SILENT_S = 30  # without any record before the broker is asked whether it is still there


def records_of(client: KafkaConsumer, settings: Settings, span: Span) -> Iterator[Any]:
    """Yield the records of a span, each partition in order.

    Args:
        client: reads; whatever else it was assigned is given up.
        settings: the broker.
        span: what to read.

    Raises:
        BrokerUnavailable, BrokerRefused: nothing came for a while.
    """
    left, heard_s = {partition for partition, (start, end) in span.items() if start < end}, time.monotonic()
    if left:
        client.assign(list(left))
    for partition in left:
        client.seek(partition, span[partition][0])
    while left:
        batches = client.poll(timeout_ms=_POLL_MS)
        for partition, batch in batches.items():
            end = span[partition][1]
            yield from (record for record in batch if record.offset < end)
        done = {partition for partition in left if client.position(partition) >= span[partition][1]}
        left -= done  # and fetched on: a partition that was paused may not be fetched any more when it is resumed
        if batches or done:
            heard_s = time.monotonic()
        elif time.monotonic() - heard_s > _SILENT_S:
            check_broker(settings)
            where = ", ".join(sorted(f"{partition.topic} {partition.partition}" for partition in left))
            raise BrokerUnavailable(f"no record came for {_SILENT_S} s of {where}: is its leader there?")
        else:
            time.sleep(_IDLE_S)

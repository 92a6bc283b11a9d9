"""Outputs as Kafka takes them: record batches with CloudEvents headers."""

from functools import lru_cache

from schemas.cloudevents import attributes
from streams.chunk.records import Batch, header_template, record_batches
from streams.outputs import Outputs
from streams.templates import Template, slot


def encoded(outputs: Outputs) -> dict[int, list[Batch]]:
    """Return the batches of each partition."""
    headers = _headers(outputs.topic).fill({"id": outputs.ids, "time": outputs.as_of_ms[:, None]})
    return record_batches(outputs.partition, outputs.keys, outputs.values, headers)


@lru_cache(maxsize=8)
def _headers(topic: str) -> Template:
    return header_template(attributes(topic, slot("text", "id"), slot("moment", "time")))

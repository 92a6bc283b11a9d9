"""Outputs as Kafka takes them: record batches with CloudEvents headers."""

from functools import lru_cache

import numpy as np

from models.state import Ints
from schemas.cloudevents import attributes
from streams.chunk.records import Batch, header_template, record_batches, single_records, varint
from streams.columns import FEW, Bytes, Template, padded, slot, text, texts
from streams.outputs import Outputs

_MS = "datetime64[ms]"


def encoded(outputs: Outputs) -> dict[int, list[Batch]]:
    """Return the batches of each partition."""
    if len(outputs) <= FEW:
        singles = ((output.partition, output.key, output.value, output.headers) for output in outputs)
        return single_records(singles)
    columns = {
        "id": outputs.ids[:, None],
        "id_length": _length(outputs.ids),
        "time": (time := times(outputs.as_of_ms)),
        "time_length": _length(time[:, 0]),
    }
    return record_batches(
        outputs.partition,
        padded(outputs.keys),
        texts(outputs.values),
        texts(_headers(outputs.topic).fill(columns)),
    )


def times(ms: Ints) -> Bytes:
    """Return moments as RFC 3339 has them: ms since 1970 [n], [n, 1, width].

    >>> bytes(times(np.array([1_700_000_000_123]))[0, 0])
    b'2023-11-14T22:13:20.123Z'
    """
    local = text(np.asarray(ms, np.int64).astype(_MS).astype("S23"))
    zone = np.full((len(ms), 1, 1), ord("Z"), np.uint8)
    return np.concatenate([local, zone], axis=2)


def _length(column: Bytes) -> Bytes:
    return varint((column != 0).sum(axis=1)).data[:, None]


@lru_cache(maxsize=8)
def _headers(topic: str) -> Template:
    return header_template(attributes(topic, bytes(slot("id")), bytes(slot("time"))))

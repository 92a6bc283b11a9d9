"""What a partition's owner writes to the changelog: rows behind its id."""

from collections.abc import Sequence

import numpy as np

from models.state import ROW, Rows
from streams.chunk.records import Batch, record_batches
from streams.texts import Texts, texts

ID_BYTES = 8
"""Length of a writer's id."""


LOGGED = np.dtype([("writer", f"V{ID_BYTES}"), ("row", ROW)])
"""A value of the changelog."""


def changelog_batches(partition: int, writer: bytes, keys: Sequence[bytes], rows: Rows) -> list[Batch]:
    """Return what the owner with this writer id writes to the changelog for these users, not compressed."""
    size = ID_BYTES + rows.itemsize
    blob = np.empty((len(rows), size), np.uint8)
    blob[:, :ID_BYTES] = np.frombuffer(writer, np.uint8)
    blob[:, ID_BYTES:] = np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), rows.itemsize)
    values = Texts(blob.reshape(-1), np.arange(1, len(rows) + 1) * size)
    return record_batches(np.full(len(rows), partition), texts(keys), values, None).get(partition, [])

"""The compiled loops made ready before a worker takes part: compiling takes seconds, in which no chunk may wait."""

import time
from dataclasses import replace
from typing import NamedTuple

import structlog
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from faust.types import TP

from models.predictor import Predictor
from models.state import LAYOUT, Rows
from schemas.cloudevents import Headers
from schemas.topics import INPUTS
from streams.chunk.alignment import Alignment
from streams.chunk.changelog import ID_BYTES, changelog_batches
from streams.chunk.logged_rows import counting
from streams.chunk.reading import Unread
from streams.fetched import VALUE_END, fetched
from streams.options import Options
from streams.pipeline import Origin, process, rescore
from streams.publishing import encoded
from streams.user_rows import UserRows

_NOW_MS = 10**12
_MORE = 100
_BATCH_BYTES = 10_000
_log = structlog.get_logger("nextact")


class _Record(NamedTuple):
    key: bytes
    value: bytes
    headers: Headers
    timestamp: int
    offset: int


def warm_up(model: Predictor, options: Options) -> None:
    """Take events of a user who does not exist all the way, in memory: in order, late, in order, then silence."""
    began_s = time.perf_counter()
    options = replace(options, reject_unknown_items=False)  # the item is none of the model's
    users = UserRows()
    for offset, late_ms in enumerate((0, 1, -1)):
        value = b'{"event_id":"%d","user_id":"u","item_id":"i","ts_ms":%d}' % (offset, _NOW_MS - late_ms)
        chunk = {Origin(INPUTS[0], 0): fetched([_Record(b"u", value, (), _NOW_MS, offset)])}
        result = process(chunk, users, model, _NOW_MS, options)
        for outputs in result.outputs:
            encoded(outputs)
        for partition, change in result.changes.items():
            users.write(partition, change.keys, change.rows)
            changelog_batches(partition, bytes(ID_BYTES), change.keys, change.rows)
    _wait()
    row = users.read(0, [b"u"])
    rescore(0, [b"u"], row, model, 2 * _NOW_MS)
    _recover(row)
    took_s = time.perf_counter() - began_s
    _log.info("compiled loops are ready", seconds=round(took_s, 1))


def _wait() -> None:
    """Take records in, and out in parts of fetches: those that are whole, and those that are not."""
    place, alignment = TP(INPUTS[0], 0), Alignment(_MORE, 0, _MORE)
    for offset in (0, 2):
        records = [_Record(b"u", b"", (), _NOW_MS, offset), _Record(b"u", b"", (), _NOW_MS + offset, offset + 1)]
        alignment.add({place: fetched(records)}, 0)
    alignment.take({place}, lambda _: True, 0, _NOW_MS)


def _recover(row: Rows) -> None:
    log = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, _BATCH_BYTES)
    log.append(0, 0, b"u", bytes(ID_BYTES) + row.tobytes(), [])
    logged = Unread(bytes(log.build()), 0, check_crcs=True).take(1)
    counting(logged, 0, None, row.dtype, LAYOUT)
    rows = UserRows().of(0)
    rows.write_spans(logged.keys, logged.columns[VALUE_END] - row.itemsize)
    rows.write([b"%d" % k for k in range(_MORE)], row.repeat(_MORE))  # so many that the index grows

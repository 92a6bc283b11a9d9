"""What is compiled before a worker takes part: all that a chunk needs, however its records lie."""

import sys

from builders import event_record, random_model
from faust.types import TP
from record_batches import Plain, batch

from models.predictor import Predictor
from streams.chunk.alignment import Alignment
from streams.chunk.reading import Unread
from streams.options import Options
from streams.pipeline import Origin, process
from streams.user_rows import UserRows
from streams.warm_up import warm_up

VIEWS = TP("views", 0)


def compiled_for() -> dict[str, int]:
    """Return for how many types of arguments each loop is compiled."""
    loops = {}
    for name, module in list(sys.modules.items()):
        if name.startswith(("models.", "streams.")):
            for called, loop in vars(module).items():
                if hasattr(loop, "signatures"):
                    loops[f"{name}.{called}"] = len(loop.signatures)
    return loops


def test_no_chunk_waits_for_the_compiler() -> None:
    model, users, alignment = Predictor(random_model()), UserRows(), Alignment(1000, 0, 7)
    warm_up(model, Options())
    before = compiled_for()
    events = [event_record(ts_ms=10**12 + k, price=5.5, device="phone", offset=k) for k in range(60)]
    records = [Plain(e.offset, e.timestamp, e.key, e.value) for e in events]
    fetch = b"".join(batch(records[k : k + 10], codec=3 if k == 40 else 0, base=k) for k in range(0, 60, 10))
    unread, done = Unread(fetch, 0, check_crcs=True), 0
    while not unread.done:
        if len(some := unread.take(7)):
            alignment.add({VIEWS: some}, 0)
    while len(alignment):
        chunk = alignment.take({VIEWS}, lambda _: True, 0, 10**12)
        result = process({Origin(*tp): part for tp, part in chunk.items()}, users, model, 2 * 10**12, Options())
        for partition, change in result.changes.items():
            users.write(partition, change.keys, change.rows)
        done += result.tally.applied
    assert done == 60
    assert compiled_for() == before

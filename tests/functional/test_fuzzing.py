"""Whatever bytes come, nothing raises, and every record becomes an event or a dead letter.

`make fuzz N=1000000 SEED=7` makes it a long run, in which compiled loops check the bounds of their arrays.
"""

import json
import os
import struct
import time
import zlib
from collections import Counter
from itertools import islice
from random import Random

import cramjam
import pytest
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from builders import InputRecord
from chunks import MODEL, NOW_MS, content, handle, validate
from poison import records

from schemas.dead_letters import decode_dead_letter
from schemas.events import Event, Reason, Rejected, decode_event, decode_events
from schemas.fields import MAX_LENGTH
from schemas.topics import DEAD_LETTERS, INPUTS, OUTPUTS
from streams.chunk.producer import _Written
from streams.chunk.reading import Unread
from streams.chunk.records import Batch, single_records
from streams.fetched import KEY, VALUE_END
from streams.options import Options
from streams.outputs import Output
from streams.pipeline import Origin, Result, rescore
from streams.publishing import encoded
from streams.user_rows import UserRows

PAYLOADS = int(os.environ.get("FUZZ_PAYLOADS", "20000"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
SIZES = (1, 2, 7, 60, 600, 3000)
PARTITIONS = 3
HEAD_BYTES = 61  # of a record batch
REFUSED = (CorruptRecordException, UnsupportedCodecError, UnicodeDecodeError, EOFError, OSError, struct.error,
           zlib.error, cramjam.DecompressionError)  # fmt: skip
"""What reading a batch may raise: not IndexError, with which NUMBA_BOUNDSCHECK=1 stops a loop that leaves its array."""
OPTIONS = Options(prefix="shop.")
DAY_MS = 86_400_000

pytestmark = pytest.mark.timeout(max(300, PAYLOADS // 100))


def test_every_payload_is_an_event_or_refused_with_a_reason() -> None:
    reasons: Counter[str] = Counter()
    source, random = records(SEED), Random(SEED)
    left = PAYLOADS
    while left > 0:
        some = list(islice(source, min(left, random.choice(SIZES))))
        left -= len(some)
        topic = random.choice(INPUTS)
        one_by_one = [decode_event(r.value, r.key, r.headers, topic, NOW_MS) for r in some]
        values, keys, headers = [r.value for r in some], [r.key for r in some], [r.headers for r in some]
        assert decode_events(values, keys, headers, topic, NOW_MS) == one_by_one
        for record, verdict in zip(some, one_by_one, strict=True):
            if isinstance(verdict, Rejected):
                assert 0 < len(verdict.detail) <= 200
                reasons[verdict.reason] += 1
            else:
                _check_event(verdict, record)
                reasons["event"] += 1
    assert reasons.total() == PAYLOADS
    if PAYLOADS >= 20_000:
        # otherwise this test would show little
        expected = {reason.value for reason in Reason} - {Reason.UNKNOWN_ITEM, Reason.OVERSIZED}
        assert expected <= reasons.keys()
        assert reasons["event"] > PAYLOADS / 6


def test_batch_that_was_tampered_with_is_refused_or_read_within_its_bytes() -> None:
    source, random = records(SEED + 2), Random(SEED)
    outcomes: Counter[str] = Counter()
    for _ in range(PAYLOADS // 10):
        some = [
            next(record for record in source if len(record.value or b"") < 5000) for _ in range(random.randint(1, 40))
        ]
        whole = _batch(some, random.choice((0, 0, 0, 1, 2, 3, 4)))  # codecs
        read = Unread(whole, 0, check_crcs=True).take(len(some) + 1)
        assert [read.value(k) for k in range(len(read))] == [record.value for record in some]
        try:
            read = Unread(_tampered(whole, random), 0, check_crcs=False).take(100)
        except REFUSED as error:
            outcomes[type(error).__name__] += 1
            continue
        outcomes["read"] += 1
        key, key_end, value, value_end = read.columns[KEY : VALUE_END + 1]
        for begin, end in ((key, key_end), (value, value_end)):
            assert ((begin == -1) & (end == -1) | (begin >= 0) & (begin <= end) & (end <= len(read.data))).all()
    assert min(outcomes["read"], outcomes["CorruptRecordException"]) > PAYLOADS / 1000


def _batch(some: list[InputRecord], codec: int) -> bytes:
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, 0, 1 << 22)
    for offset, record in enumerate(some):
        builder.append(offset, record.timestamp % 2**45, record.key, record.value, list(record.headers))
    return bytes(builder.build())


def _tampered(whole: bytes, random: Random) -> bytes:
    data = bytearray(whole)
    for _ in range(random.choice((1, 1, 2, 6))):
        at = random.randrange(HEAD_BYTES, max(len(data), HEAD_BYTES + 1))
        match random.randrange(4):
            case 0:
                data[at : at + 1] = random.randbytes(1)
            case 1:
                data[at : at + 1] = random.choice((b"\x00", b"\x01", b"\x7f", b"\x80", b"\xff", b"\xfe"))
            case 2:
                data[at:at] = b"\xff" * random.randrange(1, 11)  # a length beyond all bounds
            case _:
                del data[at : at + random.randrange(1, 9)]
    data[8:12] = (len(data) - 12).to_bytes(4, "big")
    return bytes(data)


def _check_event(event: Event, record: InputRecord) -> None:
    """What is taken for an event is one for Python's own JSON reader too, which knows nothing of ours.

    But for bytes that are no UTF-8 in a field that is not read: there it is stricter.
    """
    assert record.value is not None
    read = json.loads(record.value.decode(errors="replace"))
    for name in ("event_id", "user_id", "item_id"):
        assert read[name] == getattr(event, name)
        assert 1 <= len(read[name]) <= MAX_LENGTH
    assert read["ts_ms"] == event.ts_ms
    assert 0 <= event.ts_ms <= NOW_MS + 300_000
    assert event.user_id.encode() == record.key


def test_every_record_of_a_chunk_is_applied_or_a_dead_letter_and_all_that_comes_of_it_can_be_sent() -> None:
    source, random, users = records(SEED + 1), Random(SEED), UserRows()
    offsets = dict.fromkeys((Origin(topic, p) for topic in INPUTS for p in range(PARTITIONS)), 0)
    began_s, left, applied, letters = time.monotonic(), PAYLOADS, 0, 0
    while left > 0:
        size = min(left, random.choice(SIZES))
        left -= size
        chunk = _chunk(list(islice(source, size)), offsets, random)
        result = handle(users, chunk, options=OPTIONS)
        accepted = _check(chunk, result)
        tally = result.tally
        assert (tally.applied + tally.duplicates, tally.redelivered) == (accepted, 0)
        if size <= 600:
            _send(result)
        if size <= 60:
            validate(result.records())
            before = content(users)
            again = handle(users, chunk, options=OPTIONS)
            assert _check(chunk, again) == again.tally.redelivered == accepted
            assert content(users) == before
        applied, letters = applied + tally.applied, letters + size - accepted
    _rescore(users)
    took_s = time.monotonic() - began_s
    print(f"{PAYLOADS:,} payloads in {took_s:.0f} s: {applied:,} events applied, {letters:,} dead letters")


def _check(chunk: dict[Origin, list[InputRecord]], result: Result) -> int:
    """Check that each record was refused with all its bytes, or its user answered; return how many were accepted."""
    left = {(origin, record.offset): record for origin, some in chunk.items() for record in some}
    total = len(left)
    for output in result.dead_letters:
        letter = decode_dead_letter(output.value)
        record = left.pop((Origin(letter.topic.removeprefix("shop."), letter.partition), letter.offset))
        assert (letter.key, letter.value, letter.headers) == (record.key, record.value, list(record.headers))
        assert (output.topic, output.partition, output.key) == (DEAD_LETTERS, letter.partition, record.key)
    assert sum(result.rejected.values()) == len(result.dead_letters) == total - len(left)
    answered = {(origin.partition, record.key) for (origin, _), record in left.items()}
    assert {(p, key) for p, change in result.changes.items() for key in change.keys} == answered
    per_topic = Counter(output.topic for made in result.outputs for output in made)
    assert per_topic == dict.fromkeys(OUTPUTS if answered else (), len(answered))
    return len(left)


def _send(result: Result) -> None:
    """Write all outputs and letters as the worker does, and read them with Kafka's own reader."""
    for made in result.outputs:
        _read_back(encoded(made), list(made))
    letters = result.dead_letters
    _read_back(single_records((each.partition, each.key, each.value, each.headers) for each in letters), letters)


def _read_back(batches: dict[int, list[Batch]], expected: list[Output]) -> None:
    found = []
    for partition, made in batches.items():
        for batch in made:
            written = MemoryRecords(bytes(_Written(batch.compressed(), 1)._build())).next_batch()
            assert written is not None
            found += [(partition, record.key, record.value, record.headers) for record in written]
    assert Counter(map(repr, found)) == Counter(repr((o.partition, o.key, o.value, o.headers)) for o in expected)


def _chunk(some: list[InputRecord], offsets: dict[Origin, int], random: Random) -> dict[Origin, list[InputRecord]]:
    """Spread records over the topics, those of a key on one partition; with gaps, as transactions leave them."""
    chunk: dict[Origin, list[InputRecord]] = {}
    for record in some:
        origin = Origin(random.choice(INPUTS), zlib.crc32(record.key or b"") % PARTITIONS)
        chunk.setdefault(origin, []).append(record._replace(offset=offsets[origin]))
        offsets[origin] += random.choice((1, 1, 1, 5))
    return chunk


def _rescore(users: UserRows) -> None:
    """Silence passes over whoever came of it, too."""
    for partition, mine in users.partitions.items():
        keys = list(mine)
        for days in (1, 40, 4000):
            rows, made, _ = rescore(partition, keys, mine.read(keys), MODEL, NOW_MS + days * DAY_MS)
            mine.write(keys, rows)
            for outputs in made:
                validate(outputs)
                _read_back(encoded(outputs), list(outputs))

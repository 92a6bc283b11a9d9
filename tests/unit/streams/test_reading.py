"""Record batches read as columns, held against aiokafka's own reader."""

import struct
from unittest.mock import patch

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from aiokafka.record.control_record import ABORT_MARKER
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st
from record_batches import APPEND_TIME, CONTROL, COUNT_AT, HEAD, Plain, batch, objects, sealed, with_attributes

from schemas.cloudevents import Headers
from streams.chunk import reading
from streams.chunk.reading import Unread
from streams.fetched import KEY, fetched, joined


def all_of(unread: Unread, most: int = 1000) -> list[Plain]:
    found = []
    while not unread.done:
        found += objects(unread.take(most))
    return found


def theirs(data: bytes, fetch_offset: int) -> list[Plain]:
    memory, found = MemoryRecords(data), []
    while (made := memory.next_batch()) is not None:
        assert made.validate_crc()
        found += [Plain(r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in made]
    return [record for record in found if record.offset >= fetch_offset]


TEXT = st.none() | st.binary(max_size=200) | st.just(b"x" * 10_000)
PRODUCER_AT = 43
HEADERS = st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=5)), max_size=3).map(tuple)
RECORD = st.tuples(st.integers(0, 2**42), TEXT, TEXT, st.just(()) | HEADERS)
GAP = st.integers(1, 3) | st.just(100_000)
BATCHES = st.lists(
    st.tuples(st.integers(0, 4), st.booleans(), st.lists(st.tuples(GAP, RECORD), min_size=1, max_size=8)), max_size=4
)


@given(BATCHES, st.integers(0, 12), st.integers(1, 9), st.integers(0, 20))
def test_what_is_read_is_what_aiokafka_reads(
    batches: list[tuple[int, bool, list[tuple[int, tuple[int, bytes | None, bytes | None, Headers]]]]],
    fetch_offset: int,
    most: int,
    cut: int,
) -> None:
    data, offset = b"", -1
    for codec, append_time, entries in batches:
        records = []
        for gap, entry in entries:
            offset += gap
            records.append(Plain(offset, *entry))
        made = batch(records, codec, records[0].offset)
        data += with_attributes(made, APPEND_TIME) if append_time else made
    more = data + batch([Plain(offset + 1)], base=offset + 1)[:cut]  # the broker cuts its answer off anywhere
    assert Unread(more, 0, check_crcs=True).readable
    unread = Unread(more, fetch_offset, check_crcs=True)
    assert all_of(unread, most) == theirs(data, fetch_offset)
    assert unread.next_fetch_offset == max(fetch_offset, offset + 1)
    assert len(unread.take(most)) == 0


def test_position_is_after_what_was_taken_and_at_the_end_after_what_was_compacted_away() -> None:
    made = bytearray(batch([Plain(10), Plain(12), Plain(13)], base=10))
    struct.pack_into(">i", made, 23, 9)  # the last offset was 19; its record is gone
    unread = Unread(sealed(bytes(made)), 0, check_crcs=True)
    positions = []
    while not unread.done:
        unread.take(1)
        positions.append(unread.next_fetch_offset)
    assert positions == [11, 13, 20]


def test_what_lies_before_the_position_is_skipped_also_if_it_is_all() -> None:
    data = batch([Plain(3), Plain(4)], base=3) + batch([Plain(5), Plain(6)], base=5)
    unread = Unread(data, 6, check_crcs=True)
    assert [record.offset for record in all_of(unread)] == [6]


def test_no_more_is_decompressed_at_once_than_is_asked_for_or_than_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"".join(batch([Plain(k, value=b"x" * 1000)], codec=3, base=k) for k in range(20))
    unread = Unread(data, 0, check_crcs=True)
    assert len(unread.take(3)) == 3
    monkeypatch.setattr(reading, "_AT_ONCE_BYTES", 4500)
    assert len(unread.take(1000)) == 5
    assert len(all_of(unread)) == 12


def test_control_batches_are_not_records() -> None:
    marker = with_attributes(batch([Plain(4)], base=4, transactional=True), CONTROL)
    unread = Unread(batch([Plain(3)], base=3) + marker, 0, check_crcs=True)
    assert [record.offset for record in all_of(unread)] == [3]
    assert unread.next_fetch_offset == 5


def test_of_interleaved_transactions_those_that_were_aborted_are_left_out() -> None:
    def sent(offset: int, producer: int, bits: int = 0) -> bytes:
        made = bytearray(batch([Plain(offset, key=bytes([producer]))], base=offset, transactional=True))
        struct.pack_into(">q", made, PRODUCER_AT, producer)
        return with_attributes(bytes(made), bits) if bits else sealed(bytes(made))

    data = sent(0, 7) + sent(1, 8) + sent(2, 7, CONTROL) + batch([Plain(3)], base=3) + sent(4, 7) + sent(5, 8)
    data += sent(6, 8, CONTROL) + sent(7, 8) + sent(8, 7, CONTROL) + sent(9, 8, CONTROL)
    for most in (1, 2, 100):
        unread = Unread(data, 0, check_crcs=True, aborted=[(7, 4), (8, 1)])  # 7 committed at 2, 8 at 9
        assert [record.offset for record in all_of(unread, most)] == [0, 3, 7]
        assert unread.next_fetch_offset == 10
    parts = fetcher.PartitionRecords(
        TopicPartition("log", 0), MemoryRecords(data), [(7, 4), (8, 1)], 0, None, None, True, fetcher.READ_COMMITTED
    )
    with patch.object(fetcher.ControlRecord, "parse", lambda _: ABORT_MARKER):
        assert [record.offset for record in parts] == [0, 3, 7]


def test_old_formats_are_aiokafkas() -> None:
    old = LegacyRecordBatchBuilder(magic=1, compression_type=0, batch_size=1000)
    old.append(0, timestamp=1, key=b"ann", value=b"{}")
    assert not Unread(bytes(old.build()), 0, check_crcs=True).readable


def test_damage_is_noticed_by_the_checksum_if_it_is_looked_at() -> None:
    made = batch([Plain(0, value=b"abc")])
    damaged = made.replace(b"abc", b"abd")
    with pytest.raises(CorruptRecordException, match="checksum of the record batch at offset 0"):
        Unread(damaged, 0, check_crcs=True).take(1)
    assert all_of(Unread(damaged, 0, check_crcs=False))[0].value == b"abd"


def test_unknown_compression_is_refused() -> None:
    with pytest.raises(UnsupportedCodecError, match="codec 7"):
        Unread(with_attributes(batch([Plain(0)]), 7), 0, check_crcs=True).take(1)


@pytest.mark.parametrize("length", [-20, -12, 0, 8, HEAD - 13])
def test_batch_shorter_than_its_head_is_refused(length: int) -> None:
    data = bytes(8) + length.to_bytes(4, "big", signed=True) + b"\2" * 100
    assert Unread(data, 0, check_crcs=True).readable
    with pytest.raises(CorruptRecordException, match="a record batch of"):
        Unread(data, 0, check_crcs=True).take(1)


RECORDS = [Plain(k, key=b"k" * k, value=b"v" * 70, headers=(("h", b"1"),) if k == 2 else ()) for k in range(4)]


@given(st.integers(HEAD, len(batch(RECORDS)) - 1), st.integers(0, 255))
def test_malformed_records_are_refused_or_read_within_their_batch(at: int, byte: int) -> None:
    """Whatever byte is wrong: what is read lies in the batch, and is what aiokafka reads if that reads it too."""
    made = batch(RECORDS)
    made = sealed(made[:at] + bytes([byte]) + made[at + 1 :])
    try:
        read = Unread(made, 0, check_crcs=True).take(10)
    except CorruptRecordException:
        return
    assert read.columns[KEY:].max() <= len(made)
    assert objects(read) == theirs(made, 0)


@pytest.mark.parametrize("count", [-1, 3, 5, 2**31 - 1])
def test_wrong_number_of_records_is_refused(count: int) -> None:
    made = bytearray(batch(RECORDS))
    struct.pack_into(">i", made, COUNT_AT, count)
    with pytest.raises(CorruptRecordException):
        Unread(sealed(bytes(made)), 0, check_crcs=True).take(10)


def test_records_as_objects_become_the_same_columns() -> None:
    several = [Plain(5), Plain(7, 3, None, b"x"), Plain(8, 4, b"", None, (("a", None),)), Plain(9, 0, b"bob", b"")]
    assert objects(fetched(several)) == several
    assert objects(fetched(several)[1:3]) == several[1:3]
    assert objects(joined([fetched(several[:1]), fetched(several[1:3]), fetched(several[3:])])) == several
    assert objects(fetched([])) == objects(joined([])) == []
    assert fetched(several)[1:3].columns.flags.c_contiguous  # else loops are compiled anew, while a chunk waits
    whole, other = fetched(several), fetched(several[:2])
    mixed = joined([whole[:1], other, whole[1:2], whole[2:]])  # pieces of one lie in the same data
    assert objects(mixed) == [several[0], *several[:2], *several[1:]]
    assert len(mixed.data) == len(whole.data) + len(other.data)

"""Record batches written in one loop hold what Kafka's own reader reads back."""

from collections.abc import Iterator

import numpy as np
import pytest
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from models.state import Ints
from schemas.cloudevents import output_headers
from streams.chunk.producer import _Written
from streams.chunk.records import Batch, Single, header_template, record_batches, single_records
from streams.outputs import Outputs
from streams.publishing import encoded
from streams.templates import slot
from streams.texts import texts

BINARY = st.lists(st.tuples(st.binary(min_size=1, max_size=90), st.binary(max_size=200)), min_size=1, max_size=40)


def read(batch: Batch) -> list[tuple[bytes, bytes, list[tuple[str, bytes]], int]]:
    written = MemoryRecords(bytes(_Written(batch, 123)._build()))
    one = written.next_batch()
    assert one is not None
    assert one.validate_crc()
    assert not written.has_next()
    return [(record.key, record.value, record.headers, record.offset) for record in one]


@given(BINARY, st.integers(0, 5), st.sampled_from([400, 1000, 100_000]))
def test_records_read_back_in_order_whatever_their_bytes_and_cuts(
    records: list[tuple[bytes, bytes]], last_part: int, max_bytes: int
) -> None:
    part = np.sort(np.arange(len(records)) % (last_part + 1))
    keys, values = texts([key for key, _ in records]), texts([value for _, value in records])
    single: Iterator[Single] = ((its, key, value, []) for its, (key, value) in zip(part.tolist(), records, strict=True))
    check(part, records, record_batches(part, keys, values, None, max_bytes), max_bytes)
    check(part, records, single_records(single, max_bytes), max_bytes)


def check(part: Ints, records: list[tuple[bytes, bytes]], batches: dict[int, list[Batch]], max_bytes: int) -> None:
    assert sorted(batches) == sorted(set(part.tolist()))
    for number, made in batches.items():
        expected = [record for record, its in zip(records, part.tolist(), strict=True) if its == number]
        found = [read(batch) for batch in made]
        assert [(key, value) for one in found for key, value, _, _ in one] == expected
        assert all([offset for *_, offset in one] == list(range(len(one))) for one in found)
        assert all(len(batch.data) <= max_bytes for batch in made)


@given(st.lists(st.text("abc", min_size=1, max_size=150), min_size=1, max_size=9))
def test_headers_stand_as_they_were_given(ids: list[str]) -> None:
    template = header_template([("first", b"1"), ("id", slot("text", "id")), ("last", b"x" * 200)])
    same = texts([b"k"] * len(ids))
    headers = template.fill({"id": texts([name.encode() for name in ids])})
    [[batch]] = record_batches(np.zeros(len(ids), np.int64), same, same, headers, 100_000).values()
    expected = [[("first", b"1"), ("id", name.encode()), ("last", b"x" * 200)] for name in ids]
    assert [headers for _, _, headers, _ in read(batch)] == expected


def test_no_records_are_no_batches() -> None:
    none = texts([])
    assert record_batches(np.zeros(0, np.int64), none, none, None, 500) == single_records([], 500) == {}


def test_record_larger_than_a_batch_is_an_error() -> None:
    key, value = texts([b"k"]), texts([b"v" * 500])
    with pytest.raises(ValueError, match="does not fit"):
        record_batches(np.zeros(1, np.int64), key, value, None, 500)
    with pytest.raises(ValueError, match="does not fit"):
        single_records([(0, b"k", b"v" * 500, [])], 500)


def test_head_fits_beside_the_records() -> None:
    key, largest = texts([b"k"]), texts([b"\7" * 899_800])
    [[batch]] = record_batches(np.zeros(1, np.int64), key, largest, None, 899_900).values()
    assert len(_Written(batch, 0)._build()) <= 900_000


def test_output_headers_are_the_cloudevents_of_the_message() -> None:
    ids, values = texts([b"churn-risk.1", b"churn-risk.22"]), texts([b"{}", b"[1]"])
    moments = np.array([1_700_000_000_123, 0])
    outputs = Outputs("churn-risk", np.array([3, 3]), texts([b"ann", b"bob"]), ids, moments, values)
    [(number, [batch])] = encoded(outputs).items()
    assert number == 3
    assert [(key, value, headers) for key, value, headers, _ in read(batch)] == [
        (b"ann", b"{}", output_headers("churn-risk", "churn-risk.1", 1_700_000_000_123)),
        (b"bob", b"[1]", output_headers("churn-risk", "churn-risk.22", 0)),
    ]
    assert [(o.key, o.value, o.headers) for o in outputs] == [
        (key, value, headers) for key, value, headers, _ in read(batch)
    ]

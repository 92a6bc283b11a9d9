"""Decode of one record: what is accepted, and every way to be refused."""

import json
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from models.state import high_bits, ring_action, ring_ts_ms
from schemas.cloudevents import Headers
from schemas.events import (
    DEFAULT_LIMITS,
    MAX_DETAIL,
    MAX_TIME_MS,
    Event,
    Limits,
    Reason,
    Rejected,
    decode_event,
    decode_events,
)
from schemas.json_schema import schema

NOW_MS = 1_700_000_000_000
GOOD = {"event_id": "e-1", "user_id": "u-1", "item_id": "i-1", "ts_ms": NOW_MS}

SCHEMA = Draft202012Validator(schema(Event))


def record(**changes: object) -> bytes:
    return msgspec.json.encode({k: v for k, v in (GOOD | changes).items() if v is not ...})


def decode(
    value: bytes | None, key: bytes | None = b"u-1", headers: Headers = (), limits: Limits = DEFAULT_LIMITS
) -> Event | Rejected:
    return decode_event(value, key, headers, "views", NOW_MS, limits)


def reason(value: bytes | None, **given: Any) -> Reason:
    rejected = decode(value, **given)
    assert isinstance(rejected, Rejected)
    assert 0 < len(rejected.detail) <= MAX_DETAIL
    return rejected.reason


def test_required_fields_alone_are_an_event() -> None:
    assert decode(record()) == Event("e-1", "u-1", "i-1", NOW_MS)


def test_every_optional_field_is_kept() -> None:
    extra = {
        "session_id": "s",
        "category": "shoes",
        "price": 59.9,
        "currency": "EUR",
        "quantity": 2,
        "device": "phone",
        "place": "search",
        "recommendation_id": "r",
    }
    assert msgspec.to_builtins(decode(record(**extra))) == GOOD | extra
    assert set(Event.__struct_fields__) == set(GOOD | extra)


def test_unknown_fields_and_nulls_of_optional_fields_are_ignored() -> None:
    assert decode(record(colour="red", nested={"a": [1, None]}, price=None)) == decode(record())


def test_unknown_field_with_a_number_out_of_range_is_ignored() -> None:
    assert decode(record()[:-1] + b',"x":1e999}') == decode(record())


@pytest.mark.parametrize("id_", ["a\0b", "\n", " ", "ü-😀", "x" * 256, "😀" * 256])
def test_any_character_may_stand_in_an_id(id_: str) -> None:
    event = decode(record(user_id=id_, item_id=id_), key=id_.encode())
    assert isinstance(event, Event)
    assert (event.user_id, event.item_id) == (id_, id_)


@pytest.mark.parametrize("value", [None, b""])
def test_no_value_is_empty(value: bytes | None) -> None:
    assert reason(value) == Reason.EMPTY


@pytest.mark.parametrize(
    "value",
    [
        b"view u-1 i-1",
        b"\x00\x00\x00\x00\x01" + record(),
        b"\xef\xbb\xbf" + record(),
        record()[:-1],
        record() + record(),
        record().replace(b"i-1", b"i-\xff"),
        record().replace(b"i-1", b"\\ud800"),
        record().replace(b"u-1", b"\xed\xa0\x80"),
        record().replace(b"i-1", b"i\x01"),
        record(price=0).replace(b'"price":0', b'"price":NaN'),
        record(price=0).replace(b'"price":0', b'"price":Infinity'),
        record()[:-1] + b',"x":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        record()[:-1] + b',"x":' + b'{"x":' * 10_000,
        b"\0",
    ],
)
def test_malformed_json_is_not_json(value: bytes | None) -> None:
    assert reason(value) == Reason.NOT_JSON


@pytest.mark.parametrize(
    "value",
    [
        b"[]",
        b"null",
        b"17",
        b"[" * 30_000,
        record(ts_ms="now"),
        record(ts_ms=1.5),
        record(ts_ms=True),
        record(ts_ms=None),
        record(user_id=7),
        record(item_id=None),
        record(event_id=["e"]),
        record(price="59.9"),
        record(quantity=1.5),
        record(device={"kind": "phone"}),
    ],
)
def test_wrong_type(value: bytes | None) -> None:
    assert reason(value) == Reason.WRONG_TYPE


@pytest.mark.parametrize("field", GOOD)
def test_missing_field_is_named(field: str) -> None:
    rejected = decode(record(**{field: ...}))
    assert isinstance(rejected, Rejected)
    assert rejected.reason == Reason.MISSING_FIELD
    assert field in rejected.detail


@pytest.mark.parametrize("field", ["event_id", "user_id", "item_id"])
def test_empty_id(field: str) -> None:
    assert reason(record(**{field: ""})) == Reason.EMPTY_ID


@pytest.mark.parametrize("field", ["event_id", "user_id", "item_id"])
def test_id_too_long(field: str) -> None:
    assert reason(record(**{field: "x" * 257})) == Reason.ID_TOO_LONG


@pytest.mark.parametrize("ts", [b"-1", b"-" + b"9" * 30, b"9" * 5000, b"-" + b"9" * 5000])
def test_negative_or_unreadable_time_is_bad(ts: bytes) -> None:
    assert reason(record(ts_ms=0).replace(b":0}", b":" + ts + b"}")) == Reason.BAD_TIME


def test_time_zero_is_accepted() -> None:
    assert isinstance(decode(record(ts_ms=0)), Event)


def test_future_time_starts_after_the_tolerance() -> None:
    limits = Limits(future_ms=1000)
    assert isinstance(decode(record(ts_ms=NOW_MS + 1000), limits=limits), Event)
    assert reason(record(ts_ms=NOW_MS + 1001), limits=limits) == Reason.FUTURE_TIME
    assert reason(record(ts_ms=2**63)) == Reason.FUTURE_TIME
    assert reason(record().replace(str(NOW_MS).encode(), b"9" * 30)) == Reason.FUTURE_TIME


def test_time_past_what_a_history_holds_is_refused_whatever_the_clock_says() -> None:
    limits = Limits(future_ms=2**62)
    for ts_ms, kept in ((MAX_TIME_MS, True), (MAX_TIME_MS + 1, False)):
        assert isinstance(decode(record(ts_ms=ts_ms), limits=limits), Event) == kept
        [one] = decode_events([record(ts_ms=ts_ms)], [b"u-1"], [()], "views", NOW_MS, limits)
        assert one == decode(record(ts_ms=ts_ms), limits=limits)
    high = high_bits(np.array([MAX_TIME_MS]), np.array([2]))
    assert (ring_ts_ms(np.array([MAX_TIME_MS & 2**32 - 1]), high).item(), ring_action(high).item()) == (MAX_TIME_MS, 2)


def test_oversized_starts_after_the_limit() -> None:
    size = len(record())
    assert isinstance(decode(record(), limits=Limits(max_bytes=size)), Event)
    assert reason(record(), limits=Limits(max_bytes=size - 1)) == Reason.OVERSIZED
    assert reason(b"\0" * 65_537) == Reason.OVERSIZED


@pytest.mark.parametrize(
    "field",
    [
        b'"price":-0.01',
        b'"price":1e999',
        b'"price":' + b"9" * 400,
        b'"quantity":0',
        b'"quantity":2147483648',
        b'"quantity":' + b"9" * 5000,
        b'"session_id":"' + b"x" * 257 + b'"',
    ],
)
def test_value_outside_its_range(field: bytes) -> None:
    assert reason(record()[:-1] + b"," + field + b"}") == Reason.WRONG_VALUE


@pytest.mark.parametrize("key", [None, b"", b"u-2", b"U-1", b"u-1 ", b"\xff", b'"u-1"', "u-1".encode("utf-16")])
def test_key_that_is_not_the_user_id(key: bytes | None) -> None:
    assert reason(record(), key=key) == Reason.KEY_MISMATCH


def test_key_is_compared_byte_by_byte() -> None:
    composed, decomposed = "\u00e9", "e\u0301"
    assert isinstance(decode(record(user_id=composed), key=composed.encode()), Event)
    assert reason(record(user_id=composed), key=decomposed.encode()) == Reason.KEY_MISMATCH


def test_last_of_duplicate_fields_counts_and_a_wrong_first_one_is_refused() -> None:
    event = decode(record()[:-1] + b',"item_id":"i-2"}')
    assert isinstance(event, Event)
    assert event.item_id == "i-2"
    assert reason(b'{"ts_ms":"x",' + record()[1:]) == Reason.WRONG_TYPE


@pytest.mark.parametrize(
    "headers",
    [
        [("ce_specversion", b"0.3")],
        [("ce_specversion", None)],
        [("ce_specversion", b"1.0"), ("ce_type", b"nextact.views.v2")],
        [("ce_type", b"nextact.clicks.v1")],
        [("ce_specversion", b"1.0"), ("ce_specversion", b"2.0")],
    ],
)
def test_unknown_version_in_the_headers(headers: Headers) -> None:
    assert reason(record(), headers=headers) == Reason.UNSUPPORTED_VERSION
    assert reason(b"an unreadable next version", headers=headers) == Reason.UNSUPPORTED_VERSION


@pytest.mark.parametrize(
    "headers",
    [
        [("ce_specversion", b"1.0"), ("ce_type", b"nextact.views.v1")],
        [("ce_type", b"com.shop.product-viewed")],
        [("ce_type", None), ("traceparent", b"\xff")],
    ],
)
def test_other_headers_are_accepted(headers: Headers) -> None:
    assert isinstance(decode(record(), headers=headers), Event)


def test_detail_does_not_repeat_the_content() -> None:
    for bad in (record(ts_ms="4111-1111"), record(), record(price=-4111.0), b"4111-1111"):
        rejected = decode(bad, key=b"other")
        assert isinstance(rejected, Rejected)
        assert "4111" not in rejected.detail
        assert "u-1" not in rejected.detail


def test_batch_answers_each_record_in_order() -> None:
    values = [record(), None, record(user_id="u-2"), b"{"]
    keys = [b"u-1", b"u-1", b"u-2", b"u-2"]
    decoded = decode_events(values, keys, [(), (), (), ()], "views", NOW_MS)
    assert decoded == [decode(v, key=k) for v, k in zip(values, keys, strict=True)]
    assert [type(d) for d in decoded] == [Event, Rejected, Event, Rejected]


def test_batch_of_unequal_lengths_is_a_bug() -> None:
    with pytest.raises(ValueError, match="shorter"):
        decode_events([record()], [], [()], "views", NOW_MS)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A good record with some bytes cut out, replaced or put in."""
    data = bytearray(record(price=1.5, quantity=2, session_id="ü", x={"y": [1]}))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        stop = draw(st.integers(start, min(start + 6, len(data))))
        data[start:stop] = draw(
            st.binary(max_size=4) | st.sampled_from([b'"', b"{", b"]", b"\\ud800", b"1e999", b"-", b"null"])
        )
    return bytes(data)


headers_ = st.lists(
    st.tuples(
        st.sampled_from(["ce_specversion", "ce_type", "x"]),
        st.none() | st.binary(max_size=8) | st.sampled_from([b"1.0", b"nextact.views.v1"]),
    ),
    max_size=3,
)


@given(st.binary() | mutated() | st.none(), st.binary() | st.none() | st.just(b"u-1"), headers_)
def test_any_bytes_give_a_valid_event_or_a_reason(value: bytes | None, key: bytes | None, headers: Headers) -> None:
    decoded = decode(value, key=key, headers=headers)
    if isinstance(decoded, Rejected):
        assert 0 < len(decoded.detail) <= MAX_DETAIL
        decoded.detail.encode()
        return
    assert value is not None
    assert decoded.user_id.encode() == key
    assert decoded.ts_ms <= NOW_MS + DEFAULT_LIMITS.future_ms
    plain = json.loads(value.decode(errors="replace"))
    SCHEMA.validate(plain)
    assert msgspec.to_builtins(decoded) == {field: plain.get(field) for field in Event.__struct_fields__}

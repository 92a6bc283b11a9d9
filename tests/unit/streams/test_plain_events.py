"""Plain events read by a compiled loop, held against the decoder that knows all events."""

from itertools import islice
from zlib import crc32

import msgspec
import numpy as np
import pytest
from builders import START_MS, InputRecord, event_json, event_record
from hypothesis import given
from hypothesis import strategies as st
from poison import records

from models.features import context_code
from schemas.events import Event, decode_event
from streams.fetched import fetched
from streams.plain_events import TS_MS, plain_events

NOW_MS = START_MS + 10**9
LATEST_MS = NOW_MS + 300_000
MAX_BYTES = 65_536


def read(*some: InputRecord) -> list[list[int] | None]:
    """Return what the loop finds in each record, None where it does not say."""
    found = plain_events(fetched(some), LATEST_MS, MAX_BYTES).T.tolist()
    return [each if each[TS_MS] >= 0 else None for each in found]


def decoded(record: InputRecord) -> list[int] | None:
    """Return the same as it follows from the event, None if the record is refused."""
    event = decode_event(record.value, record.key, record.headers, "views", NOW_MS)
    if not isinstance(event, Event):
        return None
    ids = crc32(event.item_id.encode()), crc32(event.event_id.encode())
    return [event.ts_ms, *ids, context_code(event.device, event.price, event.quantity)]


FULL = event_record(
    price=59.9,
    quantity=3,
    device="phone",
    session_id="s-1",
    category="shoes/men",
    currency="EUR",
    place="",
    recommendation_id="recommendations.3.17.-1.4.1700000000000.3f0c9b2e77aa.event",
)


def test_usual_events_are_plain() -> None:
    spaced = InputRecord(b"ann", msgspec.json.format(FULL.value or b"", indent=2))
    nothing = InputRecord(b"ann", (event_json()[:-1] + b',"price":null,"device":null,"quantity":null}'))
    for record in (event_record(), FULL, spaced, nothing, event_record(price=0), event_record(price=1000)):
        assert read(record) == [decoded(record)]
        assert decoded(record) is not None


def test_what_is_plain_is_what_the_decoder_makes_of_it() -> None:
    some = list(islice(records(seed=3), 20_000))
    plain = read(*some)
    assert sum(each is not None for each in plain) > 1000
    for record, found in zip(some, plain, strict=True):
        assert found is None or found == decoded(record), record


@given(st.integers(0, len(FULL.value or b"") - 1), st.binary(max_size=2), st.integers(0, 3))
def test_any_byte_wrong_anywhere(at: int, other: bytes, gone: int) -> None:
    value = FULL.value or b""
    record = FULL._replace(value=value[:at] + other + value[at + gone :])
    [found] = read(record)
    assert found is None or found == decoded(record)


@given(st.floats(min_value=0, allow_infinity=False) | st.integers(0, 10**20) | st.decimals(0, 10**6, places=2))
def test_prices(price: object) -> None:
    record = InputRecord(b"ann", event_json()[:-1] + b',"price":' + msgspec.json.encode(price).strip(b'"') + b"}")
    [found] = read(record)
    assert found is None or found == decoded(record)


@pytest.mark.parametrize("code", range(2, 32))
def test_price_at_the_edge_of_a_code(code: int) -> None:
    edge = 2.0 ** ((code - 16) / 2)
    prices = [edge]
    for towards in (0, np.inf):
        price = edge
        for _ in range(3):
            price = float(np.nextafter(price, towards))
            prices.append(price)
    texts = [f"{price:.{digits}f}" for price in prices for digits in (0, 5, 10, 13)]
    some = [InputRecord(b"ann", event_json()[:-1] + b',"price":' + text.encode() + b"}") for text in texts]
    plain = read(*some)
    assert any(plain)
    for record, found in zip(some, plain, strict=True):
        assert found is None or found == decoded(record), record


@pytest.mark.parametrize(
    "record",
    [
        event_record(user="é"),
        event_record(unknown=1),
        event_record(category="a\\b"),
        event_record(item="x" * 257),
        event_record(device="x" * 257),
        event_record(ts_ms=LATEST_MS + 1),
        event_record()._replace(key=b"bob"),
        event_record()._replace(key=None),
        event_record()._replace(value=None),
        event_record()._replace(headers=(("h", None),)),
        InputRecord(b"ann", event_json()[:-1] + b',"item_id":"i2"}'),
        InputRecord(b"ann", event_json()[:-1] + b',"price":1e3}'),
        InputRecord(b"ann", event_json() + b" " * MAX_BYTES),
        InputRecord(b"ann", event_json()[:-1]),
    ],
)
def test_all_else_is_left_to_the_decoder(record: InputRecord) -> None:
    assert read(event_record(), record)[1:] == [None]

from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.cloudevents import Headers
from schemas.dead_letters import MAX_BYTES, DeadLetter, dead_letter, decode_dead_letter, encode_dead_letter
from schemas.events import MAX_DETAIL, Reason, Rejected

some_bytes = st.none() | st.binary()
SMALLEST = 16_384


def letter(
    value: bytes | None = b"v",
    key: bytes | None = b"k",
    headers: Headers = (),
    max_bytes: int = MAX_BYTES,
    detail: str = "bad",
) -> DeadLetter:
    return dead_letter(
        Rejected(Reason.UNSUPPORTED_VERSION, detail),
        topic="t" * 249,
        partition=2**31 - 1,
        offset=2**63 - 1,
        timestamp_ms=2**62,
        key=key,
        value=value,
        headers=headers,
        rejected_at_ms=2**62,
        max_bytes=max_bytes,
    )


def published_bytes(message: DeadLetter) -> int:
    return len(message.key or b"") + len(encode_dead_letter(message))


@given(some_bytes, some_bytes, st.lists(st.tuples(st.text(), some_bytes)))
def test_original_bytes_come_back_exactly(key: bytes | None, value: bytes | None, headers: Headers) -> None:
    original = letter(value, key, headers)
    read = decode_dead_letter(encode_dead_letter(original))
    assert (read.key, read.value, read.headers) == (key, value, headers)
    assert not read.truncated
    assert read == original


def test_null_and_empty_are_told_apart() -> None:
    assert decode_dead_letter(encode_dead_letter(letter(value=None, key=b""))).value is None
    assert decode_dead_letter(encode_dead_letter(letter(value=b"", key=None))).value == b""


def test_position_and_reason_are_kept() -> None:
    message = letter()
    assert message.id == f"{message.topic}-{2**31 - 1}-{2**63 - 1}"
    assert (message.reason, message.detail) == ("unsupported_version", "bad")


def test_reader_accepts_a_reason_of_a_later_version() -> None:
    text = encode_dead_letter(letter()).replace(b"unsupported_version", b"invented_later")
    assert decode_dead_letter(text).reason == "invented_later"


def test_value_up_to_two_thirds_of_the_limit_is_whole() -> None:
    value = bytes(range(256)) * 2600  # 665,600 bytes
    message = letter(value)
    assert message.value == value
    assert not message.truncated
    assert published_bytes(message) <= MAX_BYTES


def test_value_too_large_is_cut_and_described() -> None:
    value = bytes(range(256)) * 4096  # 1 MiB
    message = letter(value, headers=[("a", b"b")])
    assert message.truncated
    assert message.value is not None
    assert value.startswith(message.value)
    assert len(message.value) > 650_000
    assert (message.value_size, message.value_sha256) == (len(value), sha256(value).hexdigest())
    assert message.headers == []
    assert message.key == b"k"
    assert published_bytes(message) <= MAX_BYTES


@pytest.mark.parametrize(
    "what",
    [
        {"key": b"k" * 10**6},
        {"headers": [("h" * 10**6, b"x")]},
        {"headers": [("\0" * 200_000, b"x")]},  # six bytes each in JSON
        {"headers": [("", None)] * 95_000},  # brackets and commas alone
    ],
)
def test_key_or_headers_too_large_are_cut_too(what: dict[str, Any]) -> None:
    message = letter(**what)
    assert message.truncated
    assert message.value == b"v"
    assert published_bytes(message) <= MAX_BYTES


@given(
    st.integers(0, 30_000),
    st.none() | st.integers(0, 30_000),
    st.lists(st.tuples(st.text(max_size=2000), st.none() | st.binary(max_size=200)), max_size=8),
    st.text(max_size=MAX_DETAIL),
)
def test_no_letter_is_larger_than_the_limit(
    value_size: int, key_size: int | None, headers: Headers, detail: str
) -> None:
    message = letter(b"\xff" * value_size, None if key_size is None else b"k" * key_size, headers, SMALLEST, detail)
    assert published_bytes(message) <= SMALLEST


def test_cut_letter_of_a_record_without_value_has_none() -> None:
    message = letter(value=None, key=b"k" * 10**6)
    assert (message.truncated, message.value, message.value_size) == (True, None, 0)

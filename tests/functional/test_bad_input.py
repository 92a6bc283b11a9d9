"""Bad input: each kind becomes a dead letter with its reason and its bytes, and the stream goes on."""

import pytest
from builders import START_MS, InputRecord, event_json, event_record
from chunks import NOW_MS, VIEWS, by_topic, content, handle, validate

from schemas.dead_letters import decode_dead_letter
from schemas.events import Limits
from schemas.topics import DEAD_LETTERS, OUTPUTS
from streams.options import Options
from streams.user_rows import UserRows

BAD_INPUT: dict[str, tuple[bytes | None, bytes | None, str]] = {  # key, value, reason
    "not JSON": (b"ann", b"{oops", "not_json"),
    "not text": (b"ann", b"\x00\xff\xfe", "not_json"),
    "text that is not UTF-8": (b"ann", event_json(session_id="s-1").replace(b"s-1", b"\xff"), "not_json"),
    "nested too deep": (b"ann", b'{"x":' + b"[" * 5000, "not_json"),
    "no object": (b"ann", b"[1]", "wrong_type"),
    "time as text": (b"ann", event_json(ts_ms=str(START_MS)), "wrong_type"),  # type: ignore[arg-type]
    "price as text": (b"ann", event_json(price="9.99"), "wrong_type"),
    "item as number": (b"ann", event_json(item_id=7), "wrong_type"),
    "no event_id": (b"ann", event_json(event_id=None), "missing_field"),
    "no user_id": (b"ann", event_json(user_id=None), "missing_field"),
    "no item_id": (b"ann", event_json(item_id=None), "missing_field"),
    "no time": (b"ann", event_json(ts_ms=None), "missing_field"),  # type: ignore[arg-type]
    "empty event_id": (b"ann", event_json(event_id=""), "empty_id"),
    "empty user_id": (b"", event_json(user_id=""), "empty_id"),
    "empty item_id": (b"ann", event_json(item_id=""), "empty_id"),
    "item_id too long": (b"ann", event_json(item_id="x" * 257), "id_too_long"),
    "negative time": (b"ann", event_json(ts_ms=-1), "bad_time"),
    "time beyond 64 bits": (b"ann", event_json(ts_ms=2**64 - 1), "future_time"),
    "far future": (b"ann", event_json(ts_ms=NOW_MS + 300_001), "future_time"),
    "negative price": (b"ann", event_json(price=-1), "wrong_value"),
    "oversized": (b"ann", event_json(extra="x" * 65_536), "oversized"),
    "key of another user": (b"bob", event_json(), "key_mismatch"),
    "no key": (None, event_json(), "key_mismatch"),
    "unknown item": (b"ann", event_json(item="never seen"), "unknown_item"),
    "tombstone": (b"ann", None, "empty"),
    "no bytes": (b"ann", b"", "empty"),
}
VERSIONS: dict[str, list[tuple[str, bytes | None]]] = {
    "later version of the topic": [("ce_type", b"nextact.views.v2")],
    "another topic's type": [("ce_type", b"nextact.clicks.v1")],
    "later CloudEvents": [("ce_specversion", b"2.0"), ("ce_type", b"nextact.views.v1")],
}
BAD_RECORDS = {
    name: (InputRecord(key, value, 18, START_MS + 5, [("trace", b"\xff\x00"), ("empty", None)]), reason)
    for name, (key, value, reason) in BAD_INPUT.items()
} | {
    name: (InputRecord(b"ann", event_json(), 18, START_MS + 5, headers), "unsupported_version")
    for name, headers in VERSIONS.items()
}
STRICT = Options(prefix="shop.", reject_unknown_items=True)


@pytest.mark.parametrize("name", BAD_RECORDS)
def test_bad_input_becomes_a_dead_letter_and_the_stream_goes_on(name: str) -> None:
    bad, reason = BAD_RECORDS[name]
    users = UserRows()
    valid = [event_record("eve", ts_ms=START_MS + k, offset=17 + 2 * k) for k in range(2)]
    result = handle(users, {VIEWS: [valid[0], bad, valid[1]]}, options=STRICT)
    outputs = by_topic(result)

    [letter_record] = outputs.pop(DEAD_LETTERS)
    assert (letter_record.partition, letter_record.key) == (3, bad.key)
    letter = decode_dead_letter(letter_record.value)
    assert letter.reason == reason
    assert letter.detail
    assert (letter.topic, letter.partition, letter.offset) == ("shop.views", 3, 18)
    assert (letter.key, letter.value, letter.headers) == (bad.key, bad.value, list(bad.headers))
    assert (letter.timestamp_ms, letter.rejected_at_ms, letter.truncated) == (START_MS + 5, NOW_MS, False)
    assert result.rejected == {("views", reason): 1}

    assert {topic: [o.key for o in made] for topic, made in outputs.items()} == {t: [b"eve"] for t in OUTPUTS}
    assert result.tally.applied == 2
    assert list(content(users)) == [(3, b"eve")]


def test_all_kinds_of_bad_input_in_one_chunk_are_told_apart() -> None:
    bad = [record._replace(offset=k) for k, (record, _) in enumerate(BAD_RECORDS.values())]
    result = handle(UserRows(), {VIEWS: bad}, options=STRICT)
    letters = [decode_dead_letter(output.value) for output in result.records()]
    assert [letter.reason for letter in letters] == [reason for _, reason in BAD_RECORDS.values()]
    assert [letter.offset for letter in letters] == list(range(len(bad)))
    assert sum(result.rejected.values()) == len(bad)
    assert result.changes == {}
    validate(result.records())


def test_what_is_refused_follows_the_options() -> None:
    unknown, later, large = (
        event_record(item="never seen"),
        event_record(ts_ms=NOW_MS + 1000, offset=1),
        event_record(session_id="x" * 200, ts_ms=START_MS + 1, offset=2),
    )
    records = {VIEWS: [unknown, later, large]}
    assert handle(UserRows(), records).rejected == {}
    limits = Limits(max_bytes=200, future_ms=999)
    assert handle(UserRows(), records, options=Options(limits=limits, reject_unknown_items=True)).rejected == {
        ("views", "unknown_item"): 1,
        ("views", "future_time"): 1,
        ("views", "oversized"): 1,
    }


def test_letter_of_a_huge_record_keeps_what_fits() -> None:
    huge = InputRecord(b"ann", b"x" * 3_000_000)
    [output] = handle(UserRows(), {VIEWS: [huge]}).records()
    letter = decode_dead_letter(output.value)
    assert len(output.value) < 1_000_000
    assert (letter.truncated, letter.value_size) == (True, 3_000_000)
    assert letter.value is not None
    assert huge.value is not None
    assert huge.value.startswith(letter.value)

"""Letters as lines: what is read back unchanged is what was refused, byte for byte; nothing odd reaches a terminal."""

from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from builders import START_MS, event_json
from hypothesis import example, given
from hypothesis import strategies as st
from letters import letter

from schemas.dead_letters import REPLAY_OF, Replay
from schemas.events import Limits, Reason
from schemas.partitioner import partition
from streams.errors import SettingsError
from streams.letter_lines import json_line, read_corrections, row, set_fields, unchanged
from streams.letter_plan import Correction, Plan, plan
from streams.letters import Found, Selection, by_reason, newest

some_bytes = st.none() | st.binary() | st.text().map(str.encode)
VALUES = [
    b'{"a":1,\r\n "a":2}', b'{"x":1e400}', b'{"base64":"x"}', b'"text"', b"null", b"", b"{", b"[1]", b" {} ",
    b"\xff\xfe", b"\x00", '{"a":"\u2028\U0001f600"}'.encode(), b'{"n":123456789012345678901234567890}', None,
]  # fmt: skip


def corrections(*lines: str) -> dict[str, tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "lines"
        path.write_bytes("".join(f"{line}\n" for line in lines).encode())
        return read_corrections(path)


def planned(found: Found, correction: Correction | None = None, **options: bool) -> Plan:
    return plan(
        found,
        correction or Correction(),
        prefix="",
        partitions=4,
        limits=Limits(),
        now_ms=START_MS + 10**9,
        **options,
    )


@given(value=some_bytes, key=some_bytes, headers=st.lists(st.tuples(st.text(), some_bytes), max_size=3))
@example(value=b'{"user_id":"u"}', key=b"u", headers=[])
def test_line_that_is_not_edited_sends_the_original_bytes(
    value: bytes | None, key: bytes | None, headers: list[tuple[str, bytes | None]]
) -> None:
    found = Found(letter(value, key, headers=tuple(headers)), 0)
    line = json_line(found)
    assert "\n" not in line
    contents = corrections(line)
    assert unchanged(found.letter, contents["views-0-0"])
    made = planned(found, Correction(contents), even_if_refused=True)
    kept = [header for header in headers if header[0] != REPLAY_OF]
    assert (made.key, made.value, made.headers) == (key, value, [*kept, (REPLAY_OF, b"views-0-0")])


@pytest.mark.parametrize("value", VALUES)
def test_odd_values_come_back_as_they_were(value: bytes | None) -> None:
    found = Found(letter(value), 0)
    line = json_line(found)
    assert len(line.splitlines()) == 1 or "\u2028" in line
    assert planned(found, Correction(corrections(line)), even_if_refused=True).value == value


def test_edited_line_is_sent_as_it_stands_and_is_sent_only_if_it_is_right_now() -> None:
    found = Found(letter(event_json(ts_ms="1760000000000")), 0)  # type: ignore[arg-type]
    assert planned(found).obstacle == "would be refused again: wrong_type"
    line = msgspec.json.decode(json_line(found))
    line["value"]["ts_ms"] = START_MS
    made = planned(found, Correction(corrections(msgspec.json.encode(line).decode())))
    assert (made.obstacle, made.value) == ("", event_json())


def test_line_may_replace_text_that_is_no_object() -> None:
    found = Found(letter(b"{oops", reason=Reason.NOT_JSON), 0)
    line = msgspec.json.decode(json_line(found))
    assert line["value"] == "{oops"
    line["value"] = msgspec.json.decode(event_json())
    assert planned(found, Correction(corrections(msgspec.json.encode(line).decode()))).obstacle == ""


@pytest.mark.parametrize("text", ["{", "[]", '{"reason":"x"}', '{"id":"a","value":"\\ud800"}', '{"id":7}'])
def test_line_that_is_none_is_named(text: str) -> None:
    with pytest.raises(SettingsError, match="line 2"):
        corrections('{"id":"views-0-0"}', text)


def test_letter_that_is_corrected_twice_is_refused() -> None:
    with pytest.raises(SettingsError, match="twice"):
        corrections('{"id":"views-0-0"}', '{"id":"views-0-0","value":{}}')


@given(value=some_bytes, key=some_bytes)
def test_row_holds_nothing_that_a_terminal_obeys(value: bytes | None, key: bytes | None) -> None:
    for cell in row(Found(letter(value, key), 0)):
        assert cell.isprintable()


def test_fields_are_set_and_key_follows_user_id() -> None:
    found = Found(letter(event_json(user="bob"), b"21", partition=1, reason=Reason.KEY_MISMATCH), 1)
    assert planned(found).obstacle == "would be refused again: key_mismatch"
    made = planned(found, Correction(fields={"user_id": "ann", "currency": "EUR"}, rekey=True))
    assert (made.key, made.partition, made.obstacle) == (b"ann", partition(b"ann", 4), "")
    assert made.value is not None
    assert msgspec.json.decode(made.value)["currency"] == "EUR"
    assert planned(Found(letter(b"[]"), 0), Correction(fields={"a": 1})).obstacle == (
        "no object whose fields could be set"
    )
    assert set_fields(b"\xff", {}) is None


def test_record_with_its_own_key_goes_back_to_its_partition_wherever_the_producer_had_put_it() -> None:
    for number in range(4):
        assert planned(Found(letter(event_json(), partition=number), number)).partition == number


def test_wrong_header_can_be_left_out_and_others_stay() -> None:
    headers = (("ce_type", b"nextact.views.v9"), ("trace", b"\xff"), (REPLAY_OF, b"views-9-9"))
    found = Found(letter(event_json(), headers=headers), 0)
    assert found.replay_of == "views-9-9"
    assert planned(found).obstacle == "would be refused again: unsupported_version"
    made = planned(found, Correction(without_headers=frozenset({"ce_type"})))
    assert (made.obstacle, made.headers) == ("", [("trace", b"\xff"), (REPLAY_OF, b"views-0-0")])


def test_cut_letter_needs_the_whole_value() -> None:
    found = Found(letter(b"x" * 2_000_000), 0)
    assert found.letter.truncated
    assert planned(found, even_if_refused=True).obstacle == "cut"
    line = msgspec.json.decode(json_line(found))
    line["value"] = msgspec.json.decode(event_json())
    assert planned(found, Correction(corrections(msgspec.json.encode(line).decode()))).obstacle == ""


def test_letter_of_another_topic_is_never_sent_there() -> None:
    assert planned(Found(letter(event_json(), topic="bank-transfers"), 0)).obstacle == "of no input topic"


def test_letters_are_chosen_by_what_is_asked() -> None:
    one = letter(b"", topic="shop.views", rejected_at_ms=100)
    for chosen in (
        Selection(), Selection(reasons=frozenset({"wrong_type", "x"})), Selection(topics=frozenset({"shop.views"})),
        Selection(topics=frozenset({"views"}), prefix="shop."), Selection(ids=frozenset({"shop.views-0-0"})),
        Selection(since_ms=100), Selection(until_ms=101),
    ):  # fmt: skip
        assert one in chosen
    for other in (
        Selection(reasons=frozenset({"x"})), Selection(topics=frozenset({"views"})), Selection(ids=frozenset({"a"})),
        Selection(since_ms=101), Selection(until_ms=100),
    ):  # fmt: skip
        assert one not in other


def test_newest_and_summary() -> None:
    all_ = [Found(letter(b"", offset=k, rejected_at_ms=k), 0) for k in (3, 1, 2)]
    all_[0].sent = Replay(call="c", at_ms=0, partition=0, after=0, offset=1)
    assert [each.letter.offset for each in newest(all_, 2)] == [2, 3]
    assert by_reason(all_) == {"wrong_type": (3, 1)}

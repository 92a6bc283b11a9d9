"""`nextact contract check`: every mistake is named, with the worker's own verdicts, where it stands."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import msgspec
import numpy as np
import pytest
from builders import START_MS, InputRecord, event_json
from chunks import NOW_MS, handle
from hypothesis import given, settings
from hypothesis import strategies as st
from letters import letter
from typer.testing import CliRunner, Result

from models.model_directory import save
from models.state import RING
from schemas.cloudevents import Headers
from schemas.events import Limits, Reason
from schemas.partitioner import partition
from schemas.topics import INPUTS
from streams.benchmark.workload import random_model
from streams.cli import app
from streams.commands.contract import WRONG
from streams.contract.check import Check, Finding, Kind
from streams.contract.lines import records
from streams.contract.record import Place, Record, Unreadable
from streams.contract.words import line, summary
from streams.letter_lines import json_line as letter_line
from streams.letters import Found
from streams.pipeline import Origin
from streams.tail import Message
from streams.tail import json_line as tail_line
from streams.user_rows import UserRows

PARTITIONS = 8
LIMITS = Limits()


def check(found: Sequence[Record | Unreadable], **options: Any) -> tuple[list[Finding], Check]:
    checking = Check(LIMITS, NOW_MS, PARTITIONS, **options)
    return checking.feed(found), checking


def record(number: int, value: bytes | None, user: str = "ann", **fields: Any) -> Record:
    key = user.encode()
    return Record(Place("f", number), **{"topic": "views", "value": value, "key": key} | fields)


def kinds(found: list[Finding]) -> list[tuple[str, str, int]]:
    return [(each.kind, each.code, each.place.number) for each in found]


# -- one of each mistake, in a file as `kcat -J` or `tail --json` writes it


def one_of_each() -> list[tuple[dict[str, Any], str]]:
    """Lines, and what is to be said of each; "" of a good one."""
    now_ms = 1_790_000_000_000
    good = {"event_id": "e0", "user_id": "ann", "item_id": "i1", "ts_ms": now_ms}

    def line(said: str, *, key: str | None = "ann", headers: Any = (), **changes: Any) -> tuple[dict[str, Any], str]:
        value = {name: cell for name, cell in (good | changes).items() if cell is not ...}
        return {"topic": "views", "key": key, "headers": list(headers), "value": value}, said

    def text(said: str, value: str | None) -> tuple[dict[str, Any], str]:
        return {"topic": "views", "key": "ann", "value": value}, said

    old = [line("", event_id=f"o{k}", user_id="old", key="old", ts_ms=now_ms + k) for k in range(RING + 1)]
    return [
        line(""),
        text("rejected, empty", None),
        line("rejected, oversized", note="x" * 70_000),
        line("rejected, unsupported_version", headers=["ce_type", "nextact.views.v9"]),
        text("rejected, not_json", "{"),
        line("rejected, missing_field", item_id=...),
        line("rejected, wrong_type", ts_ms="yesterday"),
        line("rejected, empty_id", item_id=""),
        line("rejected, id_too_long", item_id="i" * 257),
        line("rejected, bad_time", ts_ms=-1),
        line("rejected, future_time", ts_ms=now_ms * 1000),
        line("rejected, wrong_value", price=-1),
        line("rejected, key_mismatch", key="21"),
        line("rejected, unknown_item", item_id="of no model"),
        line("doubled, dropped"),
        line("doubled, other_time", ts_ms=now_ms + 1),
        *old,
        line("late", event_id="late", user_id="old", key="old", ts_ms=now_ms - 1),
        line("doubled, counted_twice", event_id="o0", user_id="old", key="old", ts_ms=now_ms),
        (line("wrong partition", event_id="p")[0] | {"partition": (partition(b"ann", 8) + 1) % 8}, "wrong partition"),
        (line("", event_id="q")[0] | {"partition": partition(b"ann", 8)}, ""),
        line("odd time", event_id="s", user_id="sue", key="sue", ts_ms=now_ms // 1000),
        (line("", event_id="r")[0] | {"topic": "carts"}, "unreadable, foreign_topic"),
        (line("", event_id="r")[0] | {"key": 7}, "unreadable, no_record"),
    ]


def run(*arguments: str, environment: dict[str, str] | None = None, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(app, ["contract", "check", *arguments], env=environment, input=stdin)


def sent(**changes: Any) -> str:
    event = {"event_id": "e", "user_id": "ann", "item_id": "i", "ts_ms": 1_790_000_000_000} | changes
    return msgspec.json.encode({name: cell for name, cell in event.items() if cell is not ...}).decode()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{'event_id': 'e'}", "this is no JSON from byte 1 on: object keys must be strings"),
        ("user_id,item_id,action,ts_ms", "this is no JSON from byte 0 on"),
        ("[" + sent() + "]", "this is a list, and must be an object: one event, with its fields"),
        (sent()[:-1], "the JSON ends in the middle"),
        (sent(item_id=7), "item_id is a whole number, and must be text"),
        (sent(item_id=None), "item_id is null, and must be text"),
        (sent(ts_ms="2026-11-23T10:00:00Z"), "ts_ms is text, and must be a whole number"),
        (sent(ts_ms=1_790_000_000.5), "ts_ms is a number with a point, and must be a whole number"),
        (sent(ts_ms=-1), "ts_ms is less than 0"),
        (sent(price="12.50"), "price is text, and must be a number"),
        (sent(price=-0.5), "price is less than 0"),
        (sent(user_id=""), "user_id is empty"),
        (sent(event_id="e" * 257), "event_id has more than 256 characters"),
        (sent(event_id=...), "event_id is missing;"),
        (sent(user_id=..., userId="ann"), "user_id is missing, and 'userId' is there"),
        (sent(action="buy"), "'action' (1; none of view, click, purchase: checked as views, or as --as says)"),
    ],
)
def test_mistake_is_told_in_plain_words(line: str, said: str) -> None:
    assert said in run("-", stdin=f"{line}\n".encode()).output


def test_what_holds_no_events_is_told(tmp_path: Path) -> None:
    pretty = msgspec.json.format(f"[{sent()}]".encode(), indent=2)
    assert "no line is an event: each must be one" in run("-", stdin=pretty).output
    empty = tmp_path / "empty.jsonl"
    empty.write_bytes(b"\n\n")
    for arguments in ((str(empty),), (str(empty), "--json"), ("-",)):
        result = run(*arguments, stdin=b"")
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr == f"error: {arguments[0]}: no line stands there: nothing was checked\n"
    assert "not read" not in run("-", stdin=sent(action="purchase").encode()).output


def test_file_with_one_of_each_mistake_has_every_one_named_with_its_line(tmp_path: Path) -> None:
    lines = one_of_each()
    path = tmp_path / "mistakes.jsonl"
    path.write_bytes(b"".join(msgspec.json.encode(each) + b"\n" for each, _ in lines))
    save(random_model(items=50), tmp_path / "model")
    items = {"NEXTACT_UNKNOWN_ITEMS": "reject", "NEXTACT_MODEL": str(tmp_path / "model")}
    said = [f"{path}:{number}: {words}" for number, (_, words) in enumerate(lines, 1) if words]

    result = run(str(path), environment=items)
    assert result.exit_code == WRONG, result.output
    named = [each for each in result.output.splitlines() if each.startswith(str(path))]
    assert [each.split(": ")[0] + ": " + each.split(": ")[1] for each in named] == said
    assert all(";" in each for each in named)
    for reason in Reason:
        assert f"rejected, {reason.value}: " in result.output
    assert not set("`$") & set(result.output), "a parser's words are not plain"
    assert f"{len(lines)} records, {len(lines) - len(Reason) - 2} accepted" in result.output

    result = run(str(path), "--json", environment=items)
    assert result.exit_code == WRONG
    [one] = result.stdout.splitlines()
    told = msgspec.json.decode(one)
    assert [f"{path}:{each['line']}" for each in told["findings"]] == [each.split(": ")[0] for each in said]
    assert told["rejected"] == {reason.value: 1 for reason in Reason}
    assert told["doubled"] == {"dropped": 1, "other_time": 1, "counted_twice": 1}
    assert (told["late"], told["wrong_partition"], told["odd_time"]) == (
        {"windows_only": 1}, {"murmur2": 1}, {"seconds": 1},
    )  # fmt: skip


def test_good_file_ends_with_0_and_what_cannot_be_checked_with_2(tmp_path: Path) -> None:
    good = tmp_path / "good.jsonl"
    good.write_bytes(event_json() + b"\n\n" + event_json(ts_ms=START_MS + 1, colour="red", sesion_id="s"))
    result = run(str(good))
    assert (result.exit_code, result.output.splitlines()[0]) == (0, "2 records, 2 accepted: nothing is wrong")
    assert "'sesion_id' (1; session_id?)" in result.output
    assert "2 lines have no key" in result.output
    assert run("-", stdin=good.read_bytes()).exit_code == 0
    for arguments, words in (
        ((), "a FILE or --topic"),
        ((str(good), "--topic", "views"), "not both"),
        ((str(good), "--as", "carts"), "--as carts"),
        ((str(good), "--last", "5"), "--last goes with --topic"),
        (("--topic", "views", "--as", "clicks"), "--as goes with a FILE"),
        ((str(tmp_path / "none.jsonl"),), "none.jsonl"),
        ((str(tmp_path / "log.parquet"),), "lines of JSON"),
    ):
        result = run(*arguments)
        assert result.exit_code == 2
        assert words in result.output


def test_foreign_line_is_a_finding_among_the_others(tmp_path: Path) -> None:
    strange = tmp_path / "strange.jsonl"
    lines = b"{", b'{"topic":"carts\\u001b","key":"u","value":{}}', b'{"value":1,"key":7}', event_json(), b'{"a":1}'
    strange.write_bytes(b"\n".join(lines))
    result = run(str(strange))
    assert result.exit_code == WRONG
    named = [each.removeprefix(f"{strange}:") for each in result.output.splitlines() if each.startswith(str(strange))]
    assert [each.rpartition(":")[0].split(":")[0] for each in named] == ["1", "2", "3", "5"]
    assert named[1].startswith("2: unreadable, foreign_topic: topic 'carts\\x1b' is none of views, clicks, purchases; ")
    assert "--as" in named[1]
    assert named[2].startswith("3: unreadable, no_record: key is a whole number, and must be text; ")
    assert "5 records, 1 accepted: " in result.output
    told = msgspec.json.decode(run(str(strange), "--json").stdout)
    assert told["unreadable"] == {"foreign_topic": 1, "no_record": 1}
    assert "carts" not in run(str(strange), "--as", "views").output


def test_shown_findings_are_limited_for_each_sort_and_all_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "many.jsonl"
    path.write_bytes(b"{\n" * 30 + b'{"a":1}\n' * 3)
    told = msgspec.json.decode(run(str(path), "--json", "--show", "5").stdout)
    assert [each["line"] for each in told["findings"]] == [1, 2, 3, 4, 5, 31, 32, 33]
    assert (told["findings_left_out"], told["rejected"]) == (25, {"not_json": 30, "missing_field": 3})
    assert "and 25 more: --show 30 shows all" in run(str(path), "--show", "5").output


# -- the verdicts are the worker's


@st.composite
def arrivals(draw: st.DrawFn) -> list[tuple[str, InputRecord]]:
    """Records of a few users on one partition: good, sent twice, late, refused, in any order."""
    made = []
    for k in range(draw(st.integers(1, 60))):
        user, item = draw(st.sampled_from(["ann", "bob"])), draw(st.sampled_from(["i1", "i2"]))
        event = draw(st.integers(0, 40))
        value = event_json(user, item, START_MS + event, event_id=f"e{event}")
        value = draw(st.sampled_from([value] * 8 + [value[:-1], value.replace(b"ts_ms", b"time"), b""]))
        key = draw(st.sampled_from([user.encode()] * 8 + [b"eve", None]))
        headers: Headers = draw(st.sampled_from([()] * 5 + [[("ce_specversion", b"2.0")]]))
        made.append((draw(st.sampled_from(INPUTS)), InputRecord(key, value, k, START_MS, headers)))
    return made


@settings(max_examples=100)
@given(arrivals(), st.integers(1, 20))
def test_verdicts_are_those_of_the_pipeline(arrived: list[tuple[str, InputRecord]], size: int) -> None:
    checking, users = Check(LIMITS, NOW_MS, PARTITIONS), UserRows()
    found: list[Finding] = []
    fates: dict[str, int] = {"duplicates": 0, "late": 0, "reordered": 0, "applied": 0}
    rejected: dict[str, int] = {}
    given_ = [
        Record(Place(topic, each.offset, 3), topic, each.value, each.key, each.headers, partition=None)
        for topic, each in arrived
    ]
    for start in range(0, len(given_), size):
        found += checking.feed(given_[start : start + size])
    for topic, each in arrived:  # one record a chunk: a worker sorts the records of a chunk by time
        result = handle(users, {Origin(topic, 3): [each]})
        for name in fates:
            fates[name] += getattr(result.tally, name)
        for (_, reason), count in result.rejected.items():
            rejected[reason] = rejected.get(reason, 0) + count
    counts = checking.counts
    assert {code: n for (kind, code), n in counts.findings.items() if kind == Kind.REJECTED} == rejected
    assert counts.accepted == fates["applied"] + fates["duplicates"]
    assert counts.findings[(Kind.DOUBLED, "dropped")] == fates["duplicates"]
    assert counts.reordered == fates["reordered"]
    twice = counts.findings[(Kind.DOUBLED, "counted_twice")]
    others = sum(1 for each in found if each.kind == Kind.DOUBLED and each.code == "other_time")
    late = counts.findings[(Kind.LATE, "windows_only")]
    assert late + twice <= fates["late"] <= late + twice + others


def test_late_and_doubled_name_where_the_event_stood_first() -> None:
    history = [record(k, event_json(item=f"i{k}", ts_ms=START_MS + k)) for k in range(1, RING + 2)]
    again = record(50, event_json(item="i1", ts_ms=START_MS + 1))
    soon = record(51, event_json(item="i17", ts_ms=START_MS + 17))
    late = record(52, event_json(ts_ms=START_MS))
    found, _ = check([*history, again, soon, late])
    assert kinds(found) == [
        ("doubled", "counted_twice", 50), ("doubled", "dropped", 51), ("late", "windows_only", 52)
    ]  # fmt: skip
    assert [each.first and each.first.number for each in found] == [1, 17, None]


def test_wrong_partition_says_where_it_should_be_and_which_hash_it_looks_like() -> None:
    users = [f"u{k}" for k in range(100)]
    as_librdkafka = [
        record(k, event_json(user), user, partition=crc32(user.encode()) % PARTITIONS) for k, user in enumerate(users)
    ]
    found, checking = check(as_librdkafka)
    assert 50 < len(found) < 100
    assert all(each.belongs == partition(f"u{each.place.number}".encode(), PARTITIONS) for each in found)
    assert "librdkafka puts keys by default" in " ".join(summary(checking.counts))
    elsewhere = record(999, event_json("u1"), "u1", partition=(partition(b"u1", PARTITIONS) + 1) % PARTITIONS)
    found += checking.feed([elsewhere])
    assert "librdkafka puts keys" not in " ".join(summary(checking.counts))
    assert "murmur2_random" in line(found[0])


def test_items_are_unknown_only_where_the_model_is_asked() -> None:
    one = record(1, event_json(item="i9"))
    assert kinds(check([one])[0]) == []
    asked: list[int] = []

    def knows(items: np.ndarray[Any, Any]) -> list[bool]:
        asked.extend(items.tolist())
        return [False]

    assert kinds(check([one], knows=knows)[0]) == [("rejected", "unknown_item", 1)]
    assert asked == [crc32(b"i9")]


# -- lines


def told(lines: Iterable[bytes], **options: str) -> list[Record]:
    """Records, all of which can be read."""
    found = list(records(lines, "f", **options))
    readable = [each for each in found if isinstance(each, Record)]
    assert readable == found
    return readable


def test_lines_of_other_commands_and_of_kcat_are_read_back() -> None:
    value, headers = event_json(user="z\u00fc"), (("ce_source", b"/\xff"), ("null", None))
    message = Message("clicks", 3, 7, 0, "z\u00fc".encode(), value)
    found = Found(letter(b"\xff", b"\xfe", topic="shop.views", headers=headers), 0)
    kcat = {"topic": "shop.purchases", "partition": 2, "offset": 5, "ts": 1, "broker": 0, "key": "u", "payload": "{}"}
    lines = [tail_line(message), letter_line(found), msgspec.json.encode(kcat | {"headers": ["a", "b"]}).decode()]
    one, two, three = told([each.encode() + b"\n" for each in lines], prefix="shop.")
    assert (one.topic, one.key, one.partition, one.keyed) == ("clicks", message.key, 3, True)
    assert msgspec.json.decode(one.value or b"") == msgspec.json.decode(value)
    assert (two.topic, two.key, two.value, tuple(two.headers)) == ("views", b"\xfe", b"\xff", headers)
    assert (three.topic, three.value, three.headers, three.partition) == ("purchases", b"{}", [("a", b"b")], 2)


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        (b'{"event_id":"e"}', "clicks"),
        (b'{"event_id":"e","action":"purchase"}', "purchases"),
        (b'{"event_id":"e","action":7}', "clicks"),
        (b'{"value":1,"ts_ms":2}', "clicks"),
        (b"\xff not json", "clicks"),
        (b"[" * 100_000, "clicks"),
    ],
)
def test_any_other_line_is_an_event_as_it_will_be_sent(text: bytes, topic: str) -> None:
    [found] = told([text], topic="clicks")
    assert (found.topic, found.value, found.keyed) == (topic, text, False)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b'{"value":1,"key":7}', "key is a whole number, and must be text"),
        (b'{"value":"x","headers":["a"]}', "headers are no pairs of a name and a value"),
        (b'{"value":1,"headers":[["a"]]}', "headers are no pairs of a name and a value"),
        (b'{"payload":3}', "payload is a whole number, and must be text"),
        (b'{"value_base64":"?"}', "value_base64 is no base64"),
    ],
)
def test_record_that_cannot_be_told_is_a_finding_of_its_line(text: bytes, why: str) -> None:
    found, checking = check(list(records([b"{}", text, text], "f")))
    assert kinds(found) == [("rejected", "missing_field", 1), *(("unreadable", "no_record", k) for k in (2, 3))]
    assert f"f:2: unreadable, no_record: {why}; " in line(found[1])
    assert checking.counts.records == 3


@given(st.binary())
def test_no_line_is_a_bug(text: bytes) -> None:
    check(list(records([text], "f")))

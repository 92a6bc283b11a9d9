"""Records from lines of text.

A line is an event as it will be sent, or a record as `tail --json`, `dead-letters list --json` or `kcat -J` writes it.
"""

from collections.abc import Iterable, Iterator, Set
from typing import Any

import msgspec

from schemas.cloudevents import Headers
from schemas.topics import INPUTS, TOPIC_OF_ACTION
from streams.contract.record import FOREIGN_TOPIC, NO_RECORD, Place, Record, Unreadable

ACTION = "action"
"""A field of EVENTS files: which topic a line is for."""

_OF_EVENTS = frozenset({"event_id", "user_id", "item_id", "ts_ms"})
_OF_RECORDS = frozenset({"value", "value_base64", "payload"})


class _Line(msgspec.Struct):
    """A record as one of the commands writes it; what none of them writes is as if it were not there."""

    topic: str | None = None
    partition: int | None = None
    key: str | None = None
    key_base64: bytes | None = None
    value: msgspec.Raw = msgspec.Raw(b"null")  # an object, a text, or null
    value_base64: bytes | None = None
    payload: str | None = None  # kcat's word for the value
    headers: list[Any] = []  # pairs of a name and base64, or as kcat has them: names and texts in turns


def records(
    lines: Iterable[bytes], name: str, topic: str | None = None, prefix: str = ""
) -> Iterator[Record | Unreadable]:
    """Yield what stands in lines, one record each; empty lines are left out.

    A record whose topic, key or headers cannot be told is unreadable.

    Args:
        lines: of a file.
        name: of the file, for people.
        topic: what lines are taken to be for that name no topic of ours (name without prefix).
        prefix: of the topics that lines may name.

    >>> [r.topic for r in records([b'{"user_id":"u"}', b'{"topic":"clicks","key":"u","value":null}'], "f")]
    ['views', 'clicks']
    >>> [r.code for r in records([b'{"topic":"carts","key":"u","value":null}'], "f")]
    ['foreign_topic']
    """
    for number, line in enumerate(lines, 1):
        text, place = line.strip(b"\r\n"), Place(name, number)
        if not text.strip():
            continue
        fields = _fields(text)
        if not _OF_RECORDS.isdisjoint(fields) and _OF_EVENTS.isdisjoint(fields):
            yield _record(text, place, topic, prefix)
        else:
            yield Record(place, _topic_of_action(fields) or topic or INPUTS[0], text, keyed=False)


def _record(text: bytes, place: Place, topic: str | None, prefix: str) -> Record | Unreadable:
    try:
        line = msgspec.json.decode(text, type=_Line)
        sent_to = _topic(line, topic, prefix)
        if sent_to is None:
            return Unreadable(place, FOREIGN_TOPIC, f"topic {line.topic!r} is none of {', '.join(INPUTS)}")
        key = line.key_base64 if line.key is None else line.key.encode()
        return Record(place, sent_to, _value(line), key, _headers(line.headers), line.partition)
    except (msgspec.MsgspecError, UnicodeError, ValueError) as error:
        return Unreadable(place, NO_RECORD, str(error))


def _topic(line: _Line, given: str | None, prefix: str) -> str | None:
    named = (line.topic or "").removeprefix(prefix)
    return named if named in INPUTS else given or (None if line.topic else INPUTS[0])


def _value(line: _Line) -> bytes | None:
    if line.payload is not None or line.value_base64 is not None:
        return line.value_base64 if line.payload is None else line.payload.encode()
    raw = bytes(line.value).strip()
    if raw == b"null":
        return None
    return msgspec.json.decode(raw, type=str).encode() if raw.startswith(b'"') else raw


def _headers(found: list[Any]) -> Headers:
    try:
        if all(isinstance(each, list) for each in found):
            return msgspec.convert(found, list[tuple[str, bytes | None]])
        flat = msgspec.convert(found, list[str])
        return [(name, text.encode()) for name, text in zip(flat[::2], flat[1::2], strict=True)]
    except (msgspec.MsgspecError, ValueError):
        raise ValueError("headers are no pairs of a name and a value") from None


def _topic_of_action(fields: dict[str, msgspec.Raw]) -> str | None:
    """Return the topic of a line of an EVENTS file, which says what was done."""
    try:
        return TOPIC_OF_ACTION.get(msgspec.json.decode(fields.get(ACTION, msgspec.Raw(b'""')), type=str))
    except msgspec.MsgspecError:
        return None


def _fields(text: bytes) -> dict[str, msgspec.Raw]:
    try:
        return msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}


def names_of_fields(text: bytes) -> Set[str]:
    """Return the names in an object, none if it is not one; without `action` where that names a topic."""
    fields = _fields(text)
    return fields.keys() - {ACTION} if _topic_of_action(fields) else fields.keys()

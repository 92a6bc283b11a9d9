"""A letter as one line of JSON that can be corrected and read back, and as a row for people."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from schemas.dead_letters import DeadLetter, Replay
from streams.errors import SettingsError
from streams.letters import Found

SHOWN = 100
"""Characters of a value that a row shows."""

_NULL = msgspec.Raw(b"null")


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One letter. Key and value stand as text, or as the object that the value is, or in base64 if they are no text."""

    id: str
    reason: str = ""
    detail: str = ""
    topic: str = ""
    partition: int = 0
    offset: int = 0
    timestamp_ms: int = -1
    rejected_at_ms: int = 0
    key: str | None = None
    key_base64: bytes | None = None
    value: msgspec.Raw = _NULL  # an object as it came, byte for byte but for ends of lines
    value_base64: bytes | None = None
    headers: list[tuple[str, bytes | None]] = []
    truncated: bool = False
    replay_of: str | None = None
    claimed: Replay | None = None
    replayed: Replay | None = None


Content: TypeAlias = tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]
"""Key, value and headers of a record."""

_decode_line = msgspec.json.Decoder(Line).decode


def json_line(found: Found) -> str:
    """Return a letter as one line of JSON."""
    letter = found.letter
    key, value = _utf8(letter.key), _utf8(letter.value)
    line = Line(
        id=letter.id,
        reason=letter.reason,
        detail=letter.detail,
        topic=letter.topic,
        partition=letter.partition,
        offset=letter.offset,
        timestamp_ms=letter.timestamp_ms,
        rejected_at_ms=letter.rejected_at_ms,
        key=key,
        key_base64=letter.key if key is None else None,
        value=_NULL if value is None else _embedded(value),
        value_base64=letter.value if value is None else None,
        headers=letter.headers,
        truncated=letter.truncated,
        replay_of=found.replay_of,
        claimed=found.owner() if found.sent is None else None,
        replayed=found.sent,
    )
    return msgspec.json.encode(line).decode()


def read_corrections(path: Path) -> dict[str, Content]:
    """Return what is to be sent for each letter, by id, from a file of lines as `json_line` makes them.

    Raises:
        SettingsError: a line cannot be used.
    """
    corrections: dict[str, Content] = {}
    for number, text in enumerate(path.read_bytes().splitlines(), 1):
        if not text.strip():
            continue
        try:
            line = _decode_line(text)
            value = _content(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise SettingsError(f"{path} line {number}: {error}: give lines of `dead-letters list --json`") from None
        if line.id in corrections:
            raise SettingsError(f"{path} line {number}: {line.id} stands there twice: which is right?")
        corrections[line.id] = (line.key_base64 if line.key is None else line.key.encode(), value, line.headers)
    return corrections


def row(found: Found) -> tuple[str, str, str, str, str, str]:
    """Return time, id, key, reason with detail, first characters of the value, and what became of the record."""
    letter = found.letter
    again = f" (again: sent from {found.replay_of})" if found.replay_of else ""
    return (
        moment(letter.rejected_at_ms),
        letter.id,
        shown(letter.key, 24),
        f"{letter.reason}{again}: {_safe(letter.detail)}",
        shown(letter.value, SHOWN),
        fate(found),
    )


def fate(found: Found) -> str:
    """Return what became of a letter's record, in words."""
    if found.sent is not None:
        return f"sent {moment(found.sent.at_ms)} to {found.sent.partition} at {found.sent.offset}"
    return "sending, or interrupted" if found.claims else "cut" if found.letter.truncated else ""


def shown(data: bytes | None, most: int) -> str:
    """Return the first characters of bytes from outside, with nothing in them that a terminal would obey.

    >>> shown(bytes([91, 27, 255]), 60), shown(None, 60), shown(b"x" * 9, 4)
    ('[<1b><ff>', '-', 'xxxx... (9 bytes)')
    """
    if data is None:
        return "-"
    text = _safe(data[: 4 * most].decode(errors="surrogateescape"))
    return text if len(text) <= most else f"{text[:most]}... ({len(data)} bytes)"


def moment(ts_ms: int) -> str:
    """Return a time for people, UTC."""
    try:
        return datetime.fromtimestamp(ts_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return f"{ts_ms} ms"


def _safe(text: str) -> str:
    return "".join(c if c.isprintable() else f"<{c.encode(errors='surrogateescape').hex()}>" for c in text)


def _utf8(data: bytes | None) -> str | None:
    try:
        return None if data is None else data.decode()
    except UnicodeDecodeError:
        return None


def _embedded(text: str) -> msgspec.Raw:
    """Return a value as JSON: an object as it is, its ends of lines made spaces; anything else as a string."""
    try:
        msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError):
        return msgspec.Raw(msgspec.json.encode(text))
    return msgspec.Raw(text.replace("\n", " ").replace("\r", " ").encode())


def _content(line: Line) -> bytes | None:
    raw = bytes(line.value).strip()
    if raw == b"null":
        return line.value_base64
    return msgspec.json.decode(raw, type=str).encode() if raw.startswith(b'"') else raw


def unchanged(letter: DeadLetter, content: Content) -> bool:
    """Tell whether a line that was read back says of key and value what the letter does."""
    key, value, _ = content
    text = _utf8(letter.value)
    same = value == letter.value or (text is not None and value == bytes(_embedded(text)).strip())
    return same and key == letter.key


def set_fields(value: bytes | None, fields: Iterable[tuple[str, Any]]) -> bytes | None:
    """Return a JSON object with some of its fields set, None if the value is no object.

    >>> set_fields(b'{"a":"1","b":2}', [("a", 1)])
    b'{"a":1,"b":2}'
    """
    try:
        event = msgspec.json.decode(value or b"", type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return msgspec.json.encode(event | dict(fields))

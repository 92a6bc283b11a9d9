"""What is sent for a letter, and why some letters are not sent: pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec

from schemas.dead_letters import REPLAY_OF, DeadLetter
from schemas.events import Limits, Rejected, decode_event
from schemas.partitioner import partition
from schemas.topics import INPUTS, logical_name, physical_name
from streams.letter_lines import Content, set_fields, unchanged
from streams.letters import Found

Headers: TypeAlias = list[tuple[str, bytes | None]]


@dataclass(frozen=True)
class Correction:
    """How records are changed before they are sent again; nothing given: not at all."""

    contents: Mapping[str, Content] | None = None  # by id of the letter
    fields: Mapping[str, Any] = field(default_factory=dict)  # set in the value, which must be an object
    rekey: bool = False  # the key becomes the event's user_id
    without_headers: frozenset[str] = frozenset()

    def content(self, letter: DeadLetter) -> Content | None:
        """Return key, value and headers to send for a letter, None if its fields cannot be set."""
        key, value, headers = letter.key, letter.value, list(letter.headers)
        given = (self.contents or {}).get(letter.id)
        if given is not None and not unchanged(letter, given):
            key, value, _ = given
        if given is not None:
            headers = given[2]
        if self.fields:
            value = set_fields(value, self.fields.items())
            if value is None:
                return None
        if self.rekey:
            key = _user(value) or key
        return key, value, [header for header in headers if header[0] not in self.without_headers]


@dataclass(frozen=True)
class Plan:
    """What is to be sent for a letter, and what speaks against it, empty if nothing does."""

    found: Found
    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    obstacle: str = ""


def plan(
    found: Found,
    correction: Correction,
    *,
    prefix: str,
    partitions: int,
    limits: Limits,
    now_ms: int,
    even_if_refused: bool = False,
) -> Plan:
    """Say what is sent for a letter: its record, corrected, with a header that names the letter.

    Args:
        found: the letter.
        correction: what is changed.
        prefix: of the topics.
        partitions: of the input topics.
        limits: what workers accept.
        now_ms: the present.
        even_if_refused: also what would be refused again for its content.

    Returns:
        the plan. The record goes to the partition that it came from; where its key is corrected, to the key's.
    """
    letter = found.letter
    content = correction.content(letter)
    key, value, headers = content or (letter.key, letter.value, [])
    headers = [*(header for header in headers if header[0] != REPLAY_OF), (REPLAY_OF, letter.id.encode())]
    moved = key != letter.key or letter.partition >= partitions
    number = partition(key, partitions) if moved and key is not None else letter.partition % partitions
    made = Plan(found, letter.topic, number, key, value, headers)
    if letter.topic not in {physical_name(topic, prefix) for topic in INPUTS}:
        return _not_sent(made, "of no input topic")
    if content is None:
        return _not_sent(made, "no object whose fields could be set")
    if letter.truncated and value == letter.value:
        return _not_sent(made, "cut")
    if even_if_refused:
        return made
    verdict = decode_event(value, key, headers, logical_name(letter.topic, prefix), now_ms, limits)
    return _not_sent(made, f"would be refused again: {verdict.reason}") if isinstance(verdict, Rejected) else made


def _not_sent(made: Plan, obstacle: str) -> Plan:
    return Plan(made.found, made.topic, made.partition, made.key, made.value, made.headers, obstacle)


def _user(value: bytes | None) -> bytes | None:
    try:
        user = msgspec.json.decode(value or b"", type=dict[str, Any]).get("user_id")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return user.encode() if isinstance(user, str) else None

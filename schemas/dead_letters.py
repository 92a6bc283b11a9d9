"""A record that was refused, as it came: one record of `dead-letters`.

The original bytes stand in it as base64, which grows them by a third. Where that would be larger than `max_bytes`, the
letter keeps what fits: the first bytes of key and value, no headers. Then `truncated` is set, and `value_size` and
`value_sha256` describe the whole, which still stands in the input topic, at the letter's position, for as long as that
topic keeps it.

A letter whose record is sent again is written once more, whole and under the same id, with `replay`: whoever drops ids
that they have seen drops it, and a broker that deletes by age deletes the letter before what is known of it.
"""

from hashlib import sha256
from typing import Annotated

import msgspec
from msgspec import Meta

from schemas.cloudevents import Headers
from schemas.events import Reason, Rejected
from schemas.fields import Count, TimeMs

MAX_BYTES = 900_000
"""Largest letter by default, key and JSON together. By default a broker takes 1,048,588 bytes, a producer 1,000,000."""

MAX_KEY_BYTES = 4096
"""What a truncated letter keeps of its key."""

_ENVELOPE_BYTES = 4096  # names, numbers, reason and detail of a letter: never more


REPLAY_OF = "nextact_replay_of"
"""Header of a record that was sent again: the `id` of the letter that it was sent from."""


class Replay(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """That a letter's record is sent to its topic again, or was."""

    call: Annotated[str, Meta(description="Who sends: one call of the command.", examples=["5f1c0d9ab2e34c77"])]
    at_ms: Annotated[TimeMs, Meta(description="When, ms since 1970.", examples=[1_700_000_600_000])]
    partition: Annotated[Count, Meta(description="Partition that it goes to.", examples=[3])]
    after: Annotated[
        Count, Meta(description="It stands at this offset or a later one: the end before.", examples=[1999])
    ]
    offset: Annotated[
        Count | None, Meta(description="Where it stands; null: it is about to be sent.", examples=[2004])
    ] = None


class DeadLetter(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One record that was refused, with its reason, position and original bytes."""

    id: Annotated[str, Meta(description="Topic, partition and offset of the record.", examples=["views-3-1042"])]
    reason: Annotated[
        str, Meta(description="Why, as a code. New codes may come.", examples=[reason.value for reason in Reason])
    ]
    detail: Annotated[str, Meta(description="Why, for people.", examples=["Expected `int`, got `str` - at `$.ts_ms`"])]
    topic: Annotated[str, Meta(description="Topic of the record, as the broker calls it.", examples=["views"])]
    partition: Annotated[Count, Meta(description="Partition of the record.", examples=[3])]
    offset: Annotated[Count, Meta(description="Offset of the record.", examples=[1042])]
    timestamp_ms: Annotated[
        int, Meta(description="The record's Kafka timestamp, ms since 1970; -1: none.", examples=[1_700_000_000_000])
    ]
    rejected_at_ms: Annotated[
        TimeMs, Meta(description="When it was refused, ms since 1970.", examples=[1_700_000_000_250])
    ]
    key: Annotated[bytes | None, Meta(description="The record's key, base64; null: it had none.")]
    value: Annotated[bytes | None, Meta(description="The record's value, base64; null: it had none.")]
    headers: Annotated[
        list[tuple[str, bytes | None]], Meta(description="The record's headers: name, and value as base64 or null.")
    ]
    truncated: Annotated[
        bool,
        Meta(description="Only the first bytes of key and value are here, and no headers: the record was too large."),
    ] = False
    value_size: Annotated[Count | None, Meta(description="Size of the whole value in bytes; only if truncated.")] = None
    value_sha256: Annotated[str | None, Meta(description="SHA-256 of the whole value, hex; only if truncated.")] = None
    replay: Annotated[
        Replay | None, Meta(description="The letter once more, with this: its record is sent again, or was.")
    ] = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(DeadLetter)


def dead_letter(
    rejected: Rejected,
    *,
    topic: str,
    partition: int,
    offset: int,
    timestamp_ms: int,
    key: bytes | None,
    value: bytes | None,
    headers: Headers,
    rejected_at_ms: int,
    max_bytes: int = MAX_BYTES,
) -> DeadLetter:
    """Return the letter for a record that was refused.

    Its record is keyed by the letter's own `key`; key and JSON together have at most `max_bytes` bytes. Give at least
    16,384: a small `max_bytes` would leave no room for the letter itself.

    >>> dead_letter(Rejected(Reason.EMPTY, "no value"), topic="views", partition=3, offset=7, timestamp_ms=0, key=b"u",
    ...             value=None, headers=[], rejected_at_ms=5).id
    'views-3-7'
    """
    letter = DeadLetter(
        id=f"{topic}-{partition}-{offset}",
        reason=rejected.reason.value,
        detail=rejected.detail,
        topic=topic,
        partition=partition,
        offset=offset,
        timestamp_ms=timestamp_ms,
        rejected_at_ms=rejected_at_ms,
        key=key,
        value=value,
        headers=list(headers),
    )
    if _size(letter) <= max_bytes:
        return letter
    kept_key = None if key is None else key[:MAX_KEY_BYTES]
    room = (max_bytes - _ENVELOPE_BYTES - len(kept_key or b"") - _base64_size(kept_key)) // 4 * 3
    return msgspec.structs.replace(
        letter,
        key=kept_key,
        value=None if value is None else value[:room],
        headers=[],
        truncated=True,
        value_size=len(value or b""),
        value_sha256=sha256(value or b"").hexdigest(),
    )


def encode_dead_letter(letter: DeadLetter) -> bytes:
    """Return a letter as JSON."""
    return _encoder.encode(letter)


def decode_dead_letter(value: bytes) -> DeadLetter:
    """Return the letter in a record's value.

    Raises:
        msgspec.MsgspecError: it is no letter.
    """
    return _decoder.decode(value)


def _size(letter: DeadLetter) -> int:
    """Return an upper bound of the size of a letter's key and JSON, without making it."""
    # a character of a name may be written with six bytes (\\u0000), and needs six more for quotes, commas and brackets
    headers = sum(6 * len(name.encode()) + _base64_size(value) + 16 for name, value in letter.headers)
    key = len(letter.key or b"") + _base64_size(letter.key)
    return _ENVELOPE_BYTES + key + _base64_size(letter.value) + headers


def _base64_size(data: bytes | None) -> int:
    return 4 if data is None else (len(data) + 2) // 3 * 4

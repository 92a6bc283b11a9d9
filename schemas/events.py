"""What a shopper did: one record of `views`, `clicks` or `purchases`, and why a record is refused.

Bad input is a value. Nothing here raises for bytes that came from outside.
"""

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

from schemas.cloudevents import Headers, unsupported
from schemas.fields import Id, ItemId, Price, Text, TimeMs, UserId

Quantity: TypeAlias = Annotated[int, Meta(ge=1, le=2**31 - 1)]


class Event(msgspec.Struct, frozen=True, gc=False):
    """One thing that a shopper did with one item; the topic says which action. Unknown fields are ignored."""

    event_id: Annotated[
        Id,
        Meta(
            description="Unique for each event. A second one with the same id, time, topic and item is dropped, if the "
            "first is still among the user's last 16 events.",
            examples=["e-01hx3"],
        ),
    ]
    user_id: UserId
    item_id: ItemId
    ts_ms: Annotated[
        TimeMs,
        Meta(description="When it happened, ms since 1970-01-01T00:00Z; an integer.", examples=[1_700_000_000_000]),
    ]
    session_id: Annotated[Text | None, Meta(description="The shopper's visit.", examples=["s-77"])] = None
    category: Annotated[Text | None, Meta(description="The item's category.", examples=["shoes"])] = None
    price: Annotated[Price | None, Meta(description="Price of one piece, in `currency`.", examples=[59.9])] = None
    currency: Annotated[Text | None, Meta(description="ISO 4217 code of the price.", examples=["EUR"])] = None
    quantity: Annotated[Quantity | None, Meta(description="Number of pieces.", examples=[1])] = None
    device: Annotated[Text | None, Meta(description="Kind of device.", examples=["phone"])] = None
    place: Annotated[Text | None, Meta(description="Where on the site.", examples=["search"])] = None
    recommendation_id: Annotated[
        Text | None,
        Meta(
            description="`id` of the recommendation that showed the item.",
            examples=["recommendations.3.17.-1.4.1700000000000.3f0c9b2e77aa.event"],
        ),
    ] = None


class Reason(StrEnum):
    """Why a record is refused; the code that its dead letter carries."""

    EMPTY = "empty"  # no value: a tombstone, or no bytes
    OVERSIZED = "oversized"
    UNSUPPORTED_VERSION = "unsupported_version"  # the headers announce a version that we do not read
    NOT_JSON = "not_json"  # malformed, not UTF-8, or nested too deeply
    WRONG_TYPE = "wrong_type"
    MISSING_FIELD = "missing_field"
    EMPTY_ID = "empty_id"
    ID_TOO_LONG = "id_too_long"
    BAD_TIME = "bad_time"  # negative, or no 64-bit number
    FUTURE_TIME = "future_time"
    WRONG_VALUE = "wrong_value"  # of the right type, outside its range
    KEY_MISMATCH = "key_mismatch"  # the record's key is missing, or is not `user_id`
    UNKNOWN_ITEM = "unknown_item"  # given by whoever knows the items, not by decode


class Rejected(msgspec.Struct, frozen=True, gc=False):
    """A record that is refused: a code for programs, a short detail for people (without the record's own content)."""

    reason: Reason
    detail: str


class Limits(msgspec.Struct, frozen=True):
    """What is still accepted."""

    max_bytes: int = 65_536  # size of a value
    future_ms: int = 300_000  # how far a producer's clock may be ahead of ours

    def latest_ms(self, now_ms: int) -> int:
        """Return the latest time of an event that is accepted."""
        return min(now_ms + self.future_ms, MAX_TIME_MS)


DEFAULT_LIMITS = Limits()
MAX_DETAIL = 200
MAX_TIME_MS = 2**44 - 1
"""Latest time of an event, in the year 2527: whatever the clock says, later ones do not fit a user's history."""
_decode = msgspec.json.Decoder(Event).decode
_FAULT = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<field>.*)`)?", re.DOTALL)


def decode_event(
    value: bytes | None, key: bytes | None, headers: Headers, topic: str, now_ms: int, limits: Limits = DEFAULT_LIMITS
) -> Event | Rejected:
    """Return the event in a record, or the first reason to refuse it.

    Args:
        value: the record's value.
        key: the record's key.
        headers: the record's headers; may be empty.
        topic: name without prefix.
        now_ms: the present, ms since 1970.
        limits: what is still accepted.

    >>> decode_event(b'{"event_id":"e","user_id":"u","item_id":"i","ts_ms":-1}', b"u", [], "views", 0)
    Rejected(reason=<Reason.BAD_TIME: 'bad_time'>, detail='Expected `int` >= 0 - at `$.ts_ms`')
    """
    if not value:
        return Rejected(Reason.EMPTY, "the record has no value")
    if len(value) > limits.max_bytes:
        return Rejected(Reason.OVERSIZED, f"{len(value)} bytes, more than {limits.max_bytes}")
    if headers and (detail := unsupported(headers, topic)):
        return Rejected(Reason.UNSUPPORTED_VERSION, detail)
    try:
        event = _decode(value)
    except msgspec.ValidationError as error:
        return Rejected(_reason(str(error)), str(error)[:MAX_DETAIL])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Rejected(Reason.NOT_JSON, str(error)[:MAX_DETAIL])
    if event.ts_ms > MAX_TIME_MS:
        return Rejected(Reason.FUTURE_TIME, f"ts_ms is more than {MAX_TIME_MS}")
    if event.ts_ms > now_ms + limits.future_ms:
        return Rejected(Reason.FUTURE_TIME, f"ts_ms is more than {limits.future_ms} ms ahead")
    if event.user_id.encode() != key:
        return Rejected(Reason.KEY_MISMATCH, "the key is missing" if key is None else "the key is not user_id as UTF-8")
    return event


def decode_events(
    values: Sequence[bytes | None],
    keys: Sequence[bytes | None],
    headers: Sequence[Headers],
    topic: str,
    now_ms: int,
    limits: Limits = DEFAULT_LIMITS,
) -> list[Event | Rejected]:
    """Return what `decode_event` returns for each record of one topic, in order.

    Args:
        values: the values [records].
        keys: the keys [records].
        headers: the headers of each record [records].
        topic: name without prefix.
        now_ms: the present, ms since 1970.
        limits: what is still accepted.
    """
    if all(values) and not any(headers):
        try:
            events = list(map(_decode, values))  # type: ignore[arg-type]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            events = []
        if events and _all_good(events, values, keys, now_ms, limits):
            return events  # type: ignore[return-value]
    return [
        decode_event(value, key, header, topic, now_ms, limits)
        for value, key, header in zip(values, keys, headers, strict=True)
    ]


def _all_good(
    events: Sequence[Event], values: Sequence[bytes | None], keys: Sequence[bytes | None], now_ms: int, limits: Limits
) -> bool:
    """Tell whether `decode_event` would take every one of the records: a third of the time of asking it for each."""
    return (
        max(map(len, values)) <= limits.max_bytes  # type: ignore[arg-type]
        and max([event.ts_ms for event in events]) <= limits.latest_ms(now_ms)
        and [event.user_id.encode() for event in events] == list(keys)
    )


def _reason(fault: str) -> Reason:
    """Return the code for what msgspec says is wrong; a fault that it words in a new way counts as a wrong value."""
    match = _FAULT.fullmatch(fault)
    what, field = (match["what"], match["field"]) if match else (fault, None)
    if what.startswith("Object missing"):
        return Reason.MISSING_FIELD
    if ", got `" in what:
        return Reason.WRONG_TYPE
    if field == "ts_ms":
        return Reason.BAD_TIME
    if field in ("event_id", "user_id", "item_id"):
        return Reason.EMPTY_ID if "length >=" in what else Reason.ID_TOO_LONG
    return Reason.WRONG_VALUE

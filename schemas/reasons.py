"""What each reason of a refusal means, and what a producer does about it, in plain words."""

from typing import NamedTuple

from schemas.events import Reason


class Meaning(NamedTuple):
    """Both end without a stop."""

    record: str  # what the record is or has, after "the record"
    advice: str  # what to do, as an order


MEANINGS: dict[Reason, Meaning] = {
    Reason.EMPTY: Meaning("has no value", "send the event as its value; nothing is deleted by a record without one"),
    Reason.OVERSIZED: Meaning(
        "has a value of more than `NEXTACT_MAX_EVENT_BYTES`", "leave out what is not a field of the contract"
    ),
    Reason.UNSUPPORTED_VERSION: Meaning(
        "announces, in its headers, a version that is not read",
        "set ce_specversion to 1.0 and ce_type to the type of the topic, or leave both out",
    ),
    Reason.NOT_JSON: Meaning(
        "is malformed, not UTF-8 (in a field that is read), or nested too deeply",
        "send one JSON object in UTF-8, without a schema id or anything else before it",
    ),
    Reason.MISSING_FIELD: Meaning(
        "lacks a field that must be there", "send event_id, user_id, item_id and ts_ms, spelled so"
    ),
    Reason.WRONG_TYPE: Meaning(
        "holds a field of another type",
        "send ids and texts as JSON strings, ts_ms and quantity as whole numbers, price as a number",
    ),
    Reason.EMPTY_ID: Meaning("holds an id without a character", "send no event of nobody or nothing, or give it an id"),
    Reason.ID_TOO_LONG: Meaning("holds an id of more than 256 characters", "send a shorter id, such as a hash of it"),
    Reason.BAD_TIME: Meaning("has a negative `ts_ms`, or one beyond 64 bits", "send ms since 1970, UTC"),
    Reason.FUTURE_TIME: Meaning(
        "has a `ts_ms` more than `NEXTACT_FUTURE_TOLERANCE_S` ahead of the worker's clock, or past the year 2527",
        "send ms since 1970, UTC, not us or ns, by a clock that is set",
    ),
    Reason.WRONG_VALUE: Meaning(
        "holds a field of the right type outside its range",
        "send a price of 0 or more, a quantity of 1 or more, texts of up to 256 characters",
    ),
    Reason.KEY_MISMATCH: Meaning(
        "has no key, or one that is not `user_id` as UTF-8",
        "set the key to the bytes of user_id: no quotes around it, no schema id before it",
    ),
    Reason.UNKNOWN_ITEM: Meaning(
        "is about an item that the model does not know; only with `NEXTACT_UNKNOWN_ITEMS=reject`",
        "train a model that knows it, or set NEXTACT_UNKNOWN_ITEMS=accept",
    ),
}
"""By reason, in the order in which they are looked for."""

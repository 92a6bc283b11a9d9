"""Reasons of refusals by kind, as a label takes few values; the dead letter has the reason itself."""

from collections.abc import Mapping

from schemas.events import Reason

REFUSALS: Mapping[str, tuple[Reason, ...]] = {
    "wrong_payload": (Reason.EMPTY, Reason.OVERSIZED, Reason.NOT_JSON),
    "unsupported_version": (Reason.UNSUPPORTED_VERSION,),
    "wrong_field": (Reason.MISSING_FIELD, Reason.WRONG_TYPE, Reason.WRONG_VALUE),
    "wrong_id": (Reason.EMPTY_ID, Reason.ID_TOO_LONG),
    "wrong_time": (Reason.BAD_TIME, Reason.FUTURE_TIME),
    "key_mismatch": (Reason.KEY_MISMATCH,),
    "unknown_item": (Reason.UNKNOWN_ITEM,),
}
"""Reasons by what of a record is wrong: who looks at it first is the same for all of a kind."""

REFUSED_AS: Mapping[str, str] = {reason.value: kind for kind, reasons in REFUSALS.items() for reason in reasons}
"""The kind that each reason is counted as."""


def in_words() -> str:
    """Return which reasons each kind holds that is not one reason.

    >>> in_words()[:48]
    '`wrong_payload` is empty, oversized or not_json;'
    """
    several = {kind: [reason.value for reason in reasons] for kind, reasons in REFUSALS.items() if len(reasons) > 1}
    return "; ".join(f"`{kind}` is {', '.join(each[:-1])} or {each[-1]}" for kind, each in several.items())

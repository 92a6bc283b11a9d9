"""Examples of every message, as they stand in the contract: what is sent to each topic, and what comes from it."""

from typing import Any, NamedTuple

import msgspec

from schemas.announcements import ModelAnnouncement
from schemas.catalogue import Item
from schemas.cloudevents import Headers, message_type, output_headers
from schemas.dead_letters import Replay, dead_letter
from schemas.events import Event, Reason, Rejected
from schemas.outputs import ChurnRisk, NextAction, Output, Position, Recommendation, SlateItem, output_id
from schemas.topics import CHURN_RISK, DEAD_LETTERS, INPUTS, ITEMS, MODELS, NEXT_ACTIONS, RECOMMENDATIONS

_MS = 1_789_997_315_496
_LATER_MS = _MS + 229_376_000
_USER, _ITEM, _MODEL = "u000513", "i00235", "7919f761e003"
_AT = Position(6, {"views": 3887, "clicks": 1861, "purchases": 328})


class Example(NamedTuple):
    """One message of a topic."""

    summary: str
    key: bytes | None
    message: msgspec.Struct
    headers: Headers = ()

    def value(self) -> Any:  # noqa: ANN401 - JSON
        """Return the message as an object; what a producer would leave out is left out."""
        value = msgspec.json.decode(msgspec.json.encode(self.message), type=dict[str, Any])
        if isinstance(self.message, Event | Item | ModelAnnouncement):
            return {name: cell for name, cell in value.items() if cell is not None}
        return value


def _sent(topic: str, number: int) -> Headers:
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"%s-%d" % (_USER.encode(), _MS + number)),
        ("ce_source", b"/shop/web"),
        ("ce_type", message_type(topic).encode()),
        ("content-type", b"application/json"),
    ]


def _event(summary: str, number: int, headers: Headers = (), **fields: Any) -> Example:  # noqa: ANN401 - of any type
    event = Event(f"{_USER}-{_MS + number}", _USER, _ITEM, _MS + number, **fields)
    return Example(summary, _USER.encode(), event, headers)


def _head(topic: str, as_of_ms: int, valid_for_ms: int, trigger: str = "event") -> dict[str, Any]:
    applied = [_AT.offsets[name] for name in INPUTS]
    return {
        "id": output_id(topic, _AT.partition, applied, _MODEL, as_of_ms, trigger),
        "user_id": _USER,
        "as_of_ms": as_of_ms,
        "valid_until_ms": as_of_ms + valid_for_ms,
        "model_version": _MODEL,
        "based_on": _AT,
    }


def _answer(topic: str, summary: str, output: Output) -> Example:
    return Example(summary, _USER.encode(), output, output_headers(topic, output.id, output.as_of_ms))


_HOUR_MS, _WEEK_MS = 3_600_000, 604_800_000
_VISIT: dict[str, Any] = {"session_id": f"{_USER}-s1789997300235", "device": "phone", "category": "dresses"}

_LETTER = dead_letter(
    Rejected(Reason.WRONG_TYPE, "Expected `int`, got `str` - at `$.ts_ms`"),
    topic="views",
    partition=7,
    offset=268,
    timestamp_ms=1_795_389_547_581,
    key=b"u-81723",
    value=b'{"event_id":"e-1","user_id":"u-81723","item_id":"sku-5521","ts_ms":"yesterday"}',
    headers=[],
    rejected_at_ms=1_795_389_549_493,
)
_REPLAY = Replay(call="5f1c0d9ab2e34c77", at_ms=1_795_393_149_493, partition=7, after=1999, offset=2004)
_CUT = dead_letter(
    Rejected(Reason.OVERSIZED, "1200000 bytes, more than 65536"),
    topic="clicks",
    partition=7,
    offset=31,
    timestamp_ms=1_795_389_547_900,
    key=b"u-81723",
    value=b'{"event_id":"e-2","page":"' + b"x" * 1_199_974,
    headers=[("ce_source", b"/shop/web"), ("traceparent", None)],
    rejected_at_ms=1_795_389_549_493,
    max_bytes=4096 + 100,
)

EXAMPLES: dict[str, list[Example]] = {
    "views": [
        _event("All that must be there", 0),
        _event("A product page, with CloudEvents headers", 4, _sent("views", 4), **_VISIT, place="search", price=7.53),
    ],
    "clicks": [
        _event("A click on what was recommended", 9, **_VISIT, recommendation_id=_head(RECOMMENDATIONS, _MS, 0)["id"]),
    ],
    "purchases": [_event("Two pieces", 17, **_VISIT, price=7.53, currency="EUR", quantity=2)],
    NEXT_ACTIONS: [
        _answer(
            NEXT_ACTIONS,
            "After an event",
            NextAction(
                **_head(NEXT_ACTIONS, _MS, _HOUR_MS),
                actions={"view": 0.455444, "click": 0.143476, "purchase": 0.248789, "leave": 0.15229},
                purchase_within={"1h": 0.507492, "1d": 0.772757, "7d": 0.963144},
                windows={
                    "1h": {"view": 8, "click": 6, "purchase": 2},
                    "1d": {"view": 14, "click": 9, "purchase": 3},
                    "14d": {"view": 61, "click": 28, "purchase": 13},
                },
                totals={"view": 61, "click": 28, "purchase": 13},
            ),
        )
    ],
    RECOMMENDATIONS: [
        _answer(
            RECOMMENDATIONS,
            "What the model scores best",
            Recommendation(
                **_head(RECOMMENDATIONS, _MS, _HOUR_MS),
                slate=[
                    SlateItem("i00235", 1, 9.743399, 1.0, "seen_before"),
                    SlateItem("i00335", 2, 8.553489, 1.0, "predicted"),
                ],
            ),
        ),
        _answer(
            RECOMMENDATIONS,
            "The model knows none of the user's items",
            Recommendation(
                **_head(RECOMMENDATIONS, _MS, _HOUR_MS),
                slate=[SlateItem("i00001", 1, 4.25, 1.0, "popular")],
                degradation="popular",
            ),
        ),
    ],
    CHURN_RISK: [
        _answer(
            CHURN_RISK,
            "After an event",
            ChurnRisk(
                **_head(CHURN_RISK, _MS, _WEEK_MS),
                silent_for={"1d": 0.221134, "7d": 0.061502, "30d": 0.011897},
                band="low",
                trigger="event",
                silent_ms=0,
            ),
        ),
        _answer(
            CHURN_RISK,
            "64 hours later, and nothing has come",
            ChurnRisk(
                **_head(CHURN_RISK, _LATER_MS, _WEEK_MS, "silence"),
                silent_for={"1d": 0.722057, "7d": 0.332146, "30d": 0.111251},
                band="medium",
                trigger="silence",
                silent_ms=_LATER_MS - _MS,
                previous_band="low",
            ),
        ),
    ],
    DEAD_LETTERS: [
        Example("An event whose ts_ms was a word", _LETTER.key, _LETTER),
        Example("The same, sent again", _LETTER.key, msgspec.structs.replace(_LETTER, replay=_REPLAY)),
        Example("A record that was too large, cut", _CUT.key, _CUT),
    ],
    ITEMS: [
        Example("All that must be there", b"i00235", Item("i00235")),
        Example(
            "An item that is sold out",
            b"i00235",
            Item("i00235", "Summer dress", "Light, knee-long.", "dresses", 7.53, available=False),
        ),
    ],
    MODELS: [
        Example(
            "A new model",
            b"champion",
            ModelAnnouncement("champion", _MODEL, f"file:///models/{_MODEL}", _MS, "better recall@20"),
        )
    ],
}
"""By topic (name without prefix); the first of each is the plainest."""

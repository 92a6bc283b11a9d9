"""One whole example of each message."""

from typing import Any

from schemas.announcements import ModelAnnouncement
from schemas.catalogue import Item
from schemas.dead_letters import DeadLetter, dead_letter
from schemas.events import Event, Reason, Rejected
from schemas.outputs import ChurnRisk, NextAction, Position, Recommendation, SlateItem

EVENT = Event("e-1", "u-1", "i-1", 1_700_000_000_000, price=59.9, currency="EUR", quantity=2)

HEAD: dict[str, Any] = {
    "id": "recommendations.3.17.-1.4.1700000000000.3f0c9b2e77aa.event",
    "user_id": "u-1",
    "as_of_ms": 1_700_000_000_000,
    "valid_until_ms": 1_700_001_800_000,
    "model_version": "3f0c9b2e77aa",
    "based_on": Position(3, {"views": 17, "clicks": -1, "purchases": 4}),
}

NEXT_ACTION = NextAction(
    **HEAD,
    actions={"view": 0.5, "click": 0.25, "purchase": 0.125, "leave": 0.125},
    purchase_within={"1h": 0.1, "1d": 0.2, "7d": 0.3},
    windows={"1h": {"view": 1, "click": 0, "purchase": 0}, "1d": {"view": 2}, "14d": {"view": 3}},
    totals={"view": 3, "click": 1, "purchase": 0},
)

RECOMMENDATION = Recommendation(
    **HEAD, slate=[SlateItem("i-1", 1, 3.5, 1.0, "predicted"), SlateItem("i-2", 2, -0.5, 1.0, "popular")]
)

CHURN_RISK = ChurnRisk(
    **HEAD,
    silent_for={"1d": 0.75, "7d": 0.5},
    band="medium",
    previous_band="low",
    trigger="silence",
    silent_ms=3_600_000,
)

DEAD_LETTER: DeadLetter = dead_letter(
    Rejected(Reason.NOT_JSON, "JSON is malformed"),
    topic="shop.views",
    partition=3,
    offset=1042,
    timestamp_ms=-1,
    key=b"\xff\x00",
    value=b"\x00not json",
    headers=[("traceparent", b"\xfe"), ("empty", None)],
    rejected_at_ms=1_700_000_000_250,
)

ITEM = Item("i-1", title="Trail shoe", category="shoes", price=59.9)

MODEL_ANNOUNCEMENT = ModelAnnouncement("champion", "3f0c9b2e77aa", "file:///models/3f0c9b2e77aa", 1_700_000_000_000)

EXAMPLES = {
    "event": EVENT,
    "next-action": NEXT_ACTION,
    "recommendation": RECOMMENDATION,
    "churn-risk": CHURN_RISK,
    "dead-letter": DEAD_LETTER,
    "item": ITEM,
    "model-announcement": MODEL_ANNOUNCEMENT,
}

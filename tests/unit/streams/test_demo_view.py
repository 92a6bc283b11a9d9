"""The picture in the terminal, drawn from real messages."""

import io
import re
from typing import Any

import msgspec
import pytest
from rich.console import Console

from schemas.outputs import ChurnRisk, NextAction, Position, Recommendation, SlateItem, encode_output
from streams.answers import Answers
from streams.demo_view import LINES, LiveViewer

ABOUT: dict[str, Any] = {
    "id": "x",
    "user_id": "ann",
    "as_of_ms": 0,
    "valid_until_ms": 0,
    "model_version": "m",
    "based_on": Position(0, {"views": 0}),
}


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=120, height=30, force_terminal=True, color_system=None)


def event(item: str) -> bytes:
    return msgspec.json.encode({"event_id": "e", "user_id": "ann", "item_id": item, "ts_ms": 1_760_000_000_000})


def drawn(viewer: LiveViewer) -> str:
    viewer.refresh(Answers())
    viewer.close()
    file = viewer.console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_shopper_stands_there_with_actions_and_predictions(console: Console) -> None:
    viewer = LiveViewer(console)
    viewer.see("views", b"ann", event("shoe"))
    actions = NextAction(**ABOUT, actions={"view": 0.75, "leave": 0.25}, purchase_within={}, windows={}, totals={})
    slate = Recommendation(**ABOUT, slate=[SlateItem("boot", 1, 0.5, 1.0, "predicted")])
    churn = ChurnRisk(**ABOUT, silent_for={"7d": 0.3}, band="medium", trigger="event", silent_ms=0)
    for topic, output in (("next-actions", actions), ("recommendations", slate), ("churn-risk", churn)):
        viewer.see(topic, b"ann", encode_output(output))
    picture = drawn(viewer)
    for words in ("ann", "view shoe", "view   75%", "leave  25%", "1 boot", "7d  30%", "Thu 09 Oct 08:53"):
        assert words in picture


def test_only_as_many_shoppers_as_fit_are_shown(console: Console) -> None:
    viewer = LiveViewer(console)
    for number in range(50):
        viewer.see("views", b"user%d" % number, event("shoe"))
    shown = set(re.findall(r"user\d+", drawn(viewer)))
    assert 2 <= len(shown) <= console.height // LINES

"""The picture in the terminal, drawn from real messages."""

import io
import re
from typing import Any

import msgspec
import pytest
from rich.console import Console

from schemas.outputs import ChurnRisk, NextAction, Position, Recommendation, SlateItem, encode_output
from streams.answers import Answers
from streams.demo import Summary
from streams.demo_view import LINES, LiveViewer, in_words

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


def event(item: str, ts_ms: int = 1_760_000_000_000) -> bytes:
    return msgspec.json.encode({"event_id": "e", "user_id": "ann", "item_id": item, "ts_ms": ts_ms})


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


@pytest.mark.parametrize("width", [80, 100, 120])
def test_nothing_is_cut_and_no_frame_is_of_another_width(width: int) -> None:
    console = Console(file=io.StringIO(), width=width, height=30, force_terminal=True, color_system=None)
    viewer = LiveViewer(console)
    viewer.see("purchases", b"u0012345", event("i00123"))
    empty = drawn(viewer)
    assert "dead letters   shop time Thu 09 Oct 08:53" in empty
    viewer = LiveViewer(console)
    viewer.see("purchases", b"u0012345", event("i00123"))
    actions = NextAction(**ABOUT, actions={"purchase": 1.0}, purchase_within={}, windows={}, totals={})
    churn = ChurnRisk(**ABOUT, silent_for={"30d": 1.0}, band="high", trigger="event", silent_ms=0)
    slate = Recommendation(**ABOUT, slate=[SlateItem("i00012", 1, 0.5, 1.0, "predicted")])
    for topic, output in (("next-actions", actions), ("recommendations", slate), ("churn-risk", churn)):
        viewer.see(topic, b"u0012345", encode_output(output))
    full = drawn(viewer)
    for words in ("u0012345", "purchase i00123", "purchase 100%", "1 i00012", "30d 100%"):
        assert words in full
    assert "…" not in full
    assert {len(line) for line in re.findall("┏.*┓", full)} == {len(line) for line in re.findall("┏.*┓", empty)}
    assert all(len(line) <= width for line in re.sub("\x1b\\[[0-9;?]*[a-zA-Z]", "", full).splitlines())


def test_longest_silent_shopper_is_shown_with_the_risk_that_silence_brings(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.demo_view.STAY_S", 0.0)
    viewer = LiveViewer(console)
    begin_ms = 1_760_000_000_000
    for number in range(10):
        viewer.see("views", b"user%d" % number, event("shoe", begin_ms + number * 3_600_000))
    churn = ChurnRisk(**ABOUT, silent_for={"7d": 0.9}, band="high", trigger="silence", silent_ms=1)
    viewer.see("churn-risk", b"user0", encode_output(churn))
    viewer.refresh(Answers())
    file = console.file
    assert isinstance(file, io.StringIO)
    before = file.getvalue()
    assert set(re.findall(r"user\d+", before)) == {"user0", "user1", "user8", "user9"}
    for words in ("silent", "9h 0m", "7d  90%"):
        assert words in before
    viewer.see("views", b"user0", event("boot", begin_ms + 36_000_000))
    file.seek(0)
    file.truncate()
    after = drawn(viewer)
    assert set(re.findall(r"user\d+", after)) == {"user0", "user9", "user1", "user2"}
    assert "10h 0m" not in after, "who comes back is silent no more"


def test_summary_says_in_words_how_it_went() -> None:
    numbers: dict[str, Any] = dict.fromkeys(("next_actions", "recommendations", "churn_risk"), 15_000)
    latency = {"p50": 30.2, "p99": 143.4}
    summary = Summary(
        events=20_000, **numbers, dead_letters=0, users=900, events_per_s=498.7, latency_ms=latency, broker="b", ok=True
    )
    words = in_words(summary)
    assert words.startswith("20,000 events, every one answered")
    assert "p50 30 ms, p99 143 ms" in words
    assert "fewer answers than events" in words
    assert "not all" in in_words(msgspec.structs.replace(summary, ok=False))

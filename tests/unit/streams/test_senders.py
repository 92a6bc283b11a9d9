"""The scorecard by producer: who sent what, in a chunk and over all of them."""

import numpy as np
from builders import START_MS, InputRecord, event_json, event_record
from chunks import CLICKS, NOW_MS, VIEWS, handle

from models.state import RING
from streams.metrics.catalogue import NAMED_SOURCES
from streams.metrics.scorecard import Scorecard
from streams.senders import Score
from streams.user_rows import UserRows

WEB, APP = [("ce_source", b"/web")], [("traceparent", b"00"), ("ce_source", b"/app")]
DAY_MS = 86_400_000


def sent(headers: list[tuple[str, bytes]], offset: int, ts_ms: int = START_MS, item: str = "i1") -> InputRecord:
    return InputRecord(b"ann", event_json(item=item, ts_ms=ts_ms), offset, ts_ms, headers)


def test_plain_records_have_no_sender() -> None:
    assert handle(UserRows(), {VIEWS: [event_record()]}).senders.scores == {}


def test_what_became_of_each_senders_records() -> None:
    users = UserRows()
    handle(users, {VIEWS: [event_record(item=f"i{k}", ts_ms=START_MS + DAY_MS + k, offset=k) for k in range(RING + 1)]})
    views = [
        sent(WEB, 20, START_MS + 2 * DAY_MS, "new"),
        sent(APP, 21, START_MS + 2 * DAY_MS, "new"),  # the same again
        sent([], 22, START_MS + 2 * DAY_MS, "new"),
        InputRecord(b"ann", b"{", 23, headers=WEB),
    ]
    result = handle(users, {CLICKS: [sent(WEB, 3, START_MS)], VIEWS: views})  # the click comes too late
    assert result.senders.scores == {
        "/web": Score(records=3, rejected=1, late=1),
        "/app": Score(records=1, duplicates=1),
    }


def test_chunk_of_nothing_but_refused_records_is_counted() -> None:
    result = handle(UserRows(), {VIEWS: [InputRecord(b"ann", b"{", 0, headers=WEB)]})
    assert result.senders.scores == {"/web": Score(records=1, rejected=1)}


def test_delay_is_from_event_to_record() -> None:
    records = [InputRecord(b"ann", event_json(ts_ms=NOW_MS - 5000), 0, NOW_MS - 3500, WEB)]
    assert handle(UserRows(), {VIEWS: records}).senders.scores["/web"].delay_s == 1.5


def test_senders_beyond_the_first_few_are_others_and_the_rest_is_nobodys() -> None:
    card = Scorecard()
    for k in range(NAMED_SOURCES + 3):
        card.add({f"/p{k}": Score(records=10 + k, late=k)})
    card.add({"/p0": Score(records=1), "none": Score(records=2), "other": Score(records=4)})
    records = card.values("records", total=1000)
    first = sum(10 + k for k in range(NAMED_SOURCES))
    rest = sum(10 + k for k in range(NAMED_SOURCES, NAMED_SOURCES + 3))
    assert len(records) == NAMED_SOURCES + 2 < 10
    assert records["/p0",] == 11
    assert records["other",] == rest + 6
    assert records["none",] == 1000 - first - rest - 7
    assert card.values("late", total=100)["/p6",] == 6
    assert np.isclose(sum(records.values()), 1000)


def test_long_names_are_cut() -> None:
    card = Scorecard()
    card.add({"x" * 5000: Score(records=1)})
    assert max(len(name) for (name,) in card.values("records", 1)) == 100

"""Sequences: the order, inputs and targets of every step are those of serving."""

from zlib import crc32

import numpy as np
import polars as pl

from models import windows
from models.features import GAPS, NO_GAP, context_code, gap_code
from models.sequences import IGNORED, item_rows, sequences, targets, vocabulary
from models.state import empty_rows

LEAVE_AFTER_MS = 10_000
VIEW, CLICK, PURCHASE, LEAVE = range(4)


def log(*rows: tuple[str, str, str, int], **columns: list[object]) -> pl.DataFrame:
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "action", "ts_ms"], orient="row")
    ids = pl.Series([f"e{k}" for k in range(len(rows))])
    return frame.with_columns(**({"event_id": ids} | {name: pl.Series(values) for name, values in columns.items()}))


def test_users_stand_one_after_another_each_by_time_action_event_and_item() -> None:
    events = log(
        ("b", "i1", "view", 5),
        ("a", "i1", "click", 7),
        ("a", "i1", "view", 7),
        ("a", "i2", "view", 1),
        ("a", "i3", "view", 7),
    )
    made = sequences(events, 0)
    tied = sorted([("e2", "i1"), ("e4", "i3")], key=lambda pair: crc32(pair[0].encode()))
    assert made.first.tolist() == [0, 4]
    assert made.item.tolist() == [crc32(item.encode()) for item in ("i2", tied[0][1], tied[1][1], "i1", "i1")]
    assert made.action.tolist() == [VIEW, VIEW, VIEW, CLICK, VIEW]


def test_an_event_that_was_sent_twice_counts_once() -> None:
    events = log(*[("a", "i1", "view", 7)] * 3, event_id=["same", "same", "other"])
    assert sequences(events, 0).window_bins[:, windows.bins(empty_rows(1)).argmax()].tolist() == [1, 2]


def test_inputs_are_those_of_the_features() -> None:
    events = log(
        ("a", "i", "view", 1_000), ("a", "i", "click", 4_500), ("b", "i", "view", 3_600_000),
        device=["phone", None, "phone"], price=[9.5, 9.5, None],
    )  # fmt: skip
    made = sequences(events, 2)
    gap = int(gap_code(np.array([3_500]))[0])
    assert made.action_gap.tolist() == [NO_GAP, GAPS + gap, NO_GAP]
    assert made.hour.tolist() == [2, 2, 3]
    assert made.context.tolist() == [context_code("phone", 9.5), context_code(None, 9.5), context_code("phone", None)]


def test_windows_after_each_event_equal_those_of_one_event_at_a_time() -> None:
    rng = np.random.default_rng(1)
    count = 400
    rows = [
        (f"u{rng.integers(12)}", f"i{rng.integers(9)}", ("view", "click", "purchase")[rng.integers(3)], int(ts))
        for ts in np.sort(rng.integers(0, 3 * 86_400_000, count))
    ]
    made = sequences(log(*rows), 0)
    ends = np.append(made.first[1:], count)
    for first, end in zip(made.first, ends, strict=True):
        row = empty_rows(1)
        for event in range(first, end):
            windows.add(row, np.array([0]), made.action[event : event + 1], made.ts_ms[event : event + 1])
            assert made.window_bins[event].tolist() == windows.bins(row)[0].tolist()


def test_what_came_next_is_the_next_event_or_leave_or_unknown() -> None:
    made = sequences(
        log(
            ("a", "i1", "view", 0), ("a", "i2", "click", 10_000), ("a", "i3", "purchase", 20_001),
            ("b", "i1", "view", 15_000),
        ),
        0,
    )  # fmt: skip
    after = targets(made, 25_000, LEAVE_AFTER_MS)
    assert after.action.tolist() == [CLICK, LEAVE, IGNORED, IGNORED]
    assert after.came.tolist() == [True, True, False, False]
    assert targets(made, 25_001, LEAVE_AFTER_MS).action[3] == LEAVE
    cut = targets(made, 15_000, LEAVE_AFTER_MS)
    assert cut.action[[0, 1, 3]].tolist() == [CLICK, IGNORED, IGNORED]
    assert cut.came[[0, 1, 3]].tolist() == [True, False, False]


def test_times_are_bins_of_what_came_and_shares_of_what_did_not() -> None:
    made = sequences(
        log(
            ("a", "i", "view", 0), ("a", "i", "purchase", 3_000), ("a", "i", "purchase", 9_000),
            ("a", "i", "view", 9_500),
            ("b", "i", "view", 1_000),
        ),
        0,
    )  # fmt: skip
    after = targets(made, 12_500, LEAVE_AFTER_MS)
    assert after.any.came.tolist() == [True, True, True, False, False]
    assert after.any.bin.tolist() == gap_code(np.array([3_000, 6_000, 500, 3_000, 11_500])).tolist()
    assert after.any.share.tolist() == [0, 0, 0, 0.5, 3.5 / 8]
    assert after.purchase.came.tolist() == [True, True, False, False, False]
    assert after.purchase.bin[:4].tolist() == gap_code(np.array([3_000, 6_000, 3_500, 3_000])).tolist()


def test_vocabulary_holds_frequent_items_one_for_each_hash() -> None:
    assert crc32(b"plumless") == crc32(b"buckeroo")
    counts = {"plumless": 3, "buckeroo": 4, "rare": 1, "often": 9, "b": 2, "a": 2}
    events = log(*[("u", item, "view", 0) for item, count in counts.items() for _ in range(count)])
    assert vocabulary(events, 2, 100) == ["often", "buckeroo", "a", "b"]
    assert vocabulary(events, 2, 2) == ["often", "buckeroo"]
    hashes = np.array([crc32(name.encode()) for name in ("b", "plumless", "nowhere", "often")], np.uint32)
    assert item_rows(["often", "buckeroo", "a", "b"], hashes).tolist() == [4, 2, 0, 1]
    assert item_rows([], hashes).tolist() == [0, 0, 0, 0]

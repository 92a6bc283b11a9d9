"""Sequences: inputs and targets of every step are those of serving, and a split knows no more than its own rows."""

from collections.abc import Sequence
from zlib import crc32

import numpy as np
import polars as pl
import pytest

from models import windows
from models.features import GAPS, NO_GAP, context_code, gap_code
from models.item_index import ItemIndex, item_hashes
from models.log import Log, log
from models.log_windows import window_bins
from models.model_directory import SERVED, Heads
from models.sequences import IGNORED, categories, heads_of, inputs, targets, vocabulary
from models.state import empty_rows
from models.survival import STARTS_MS, WIDTHS_MS

LEAVE_AFTER_MS = 10_000
VIEW, CLICK, PURCHASE, LEAVE = range(4)


def made(*rows: tuple[str, str, str, int], **columns: Sequence[object]) -> Log:
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "action", "ts_ms"], orient="row")
    ids = pl.Series([f"e{k}" for k in range(len(rows))])
    read = log(frame.with_columns(event_id=ids, **{name: pl.Series(values) for name, values in columns.items()}))
    return read if "split" in columns else read._replace(split=np.zeros(len(rows), np.int8))


def test_inputs_are_those_of_the_features() -> None:
    read = made(
        ("a", "i", "view", 1_000), ("a", "j", "click", 4_500), ("b", "k", "view", 3_600_000),
        device=["phone", None, "phone"], price=[9.5, 9.5, None], quantity=[None, 7, 2],
    )  # fmt: skip
    steps = inputs(read, SERVED, ["j", "i"], 2)
    gap = int(gap_code(np.array([3_500]))[0])
    assert steps.begins.tolist() == [True, False, True]
    assert steps.item.tolist() == [2, 1, 0]
    assert steps.action_gap.tolist() == [NO_GAP, GAPS + gap, NO_GAP]
    assert steps.hour.tolist() == [2, 2, 3]
    assert steps.context.tolist() == [context_code("phone", 9.5), context_code(None, 66.5), context_code("phone", None)]


def test_a_log_without_times_has_actions_and_items_only() -> None:
    frame = pl.DataFrame({"user_id": ["a", "a"], "item_id": ["i", "j"], "action": ["rate", "like"], "position": [2, 1]})
    read = log(frame)
    heads = heads_of(read)
    assert heads == Heads(("like", "rate"), ())
    steps = inputs(read, heads, ["i"], 0)
    assert (steps.item.tolist(), steps.action_gap.tolist(), steps.hour.tolist()) == ([0, 1], [0, 1], [0, 0])
    assert steps.window_bins.shape == (2, 0)


def test_what_a_model_does_not_know_is_refused() -> None:
    read = made(("a", "i", "view", 1), ("a", "i", "fav", 2))
    with pytest.raises(ValueError, match="knows no action 'fav'; it learnt view, click, purchase"):
        inputs(read, SERVED, [], 0)
    with pytest.raises(ValueError, match="these events have none"):
        inputs(read._replace(actions=("view", "click"), timed=False), SERVED, [], 0)


@pytest.mark.parametrize("actions", [1, 3, 5])
def test_windows_after_each_event_equal_those_of_one_event_at_a_time(actions: int) -> None:
    rng = np.random.default_rng(1)
    count = 600
    user = np.sort(rng.integers(0, 12, count))
    first = np.flatnonzero(np.diff(user, prepend=-1))
    ts_ms = np.concatenate([np.sort(part) for part in np.split(rng.integers(0, 20 * 86_400_000, count), first[1:])])
    ts_ms[: count // 2] //= 500  # bursts, too
    action = rng.integers(0, actions, count)
    found = window_bins(first, action, ts_ms, actions).reshape(count, 3, actions)
    for start, end in zip(first, np.append(first[1:], count), strict=True):
        for code in range(actions):  # a row counts three actions: this one, and all the others together
            row = empty_rows(1)
            for event in range(start, end):
                windows.add(row, np.array([0]), np.array([int(action[event] != code)]), ts_ms[event : event + 1])
                assert found[event, :, code].tolist() == windows.bins(row)[0].reshape(3, 3)[:, 0].tolist()


def test_an_action_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="no such action"):
        window_bins(np.array([0]), np.array([3]), np.array([0]), 3)


def test_what_came_next_is_the_next_event_or_leave_or_unknown() -> None:
    rows = (
        ("a", "i1", "view", 0), ("a", "i2", "click", 10_000), ("a", "i3", "purchase", 20_001),
        ("b", "i1", "view", 15_000), ("c", "i1", "view", 25_000),
    )  # fmt: skip
    after = targets(made(*rows), "train", SERVED, LEAVE_AFTER_MS)
    assert after.action.tolist() == [CLICK, LEAVE, IGNORED, IGNORED, IGNORED]
    assert after.came.tolist() == [True, True, False, False, False]
    later = targets(made(*rows[:4], ("c", "i1", "view", 25_001)), "train", SERVED, LEAVE_AFTER_MS)
    assert later.action[3] == LEAVE


def test_a_split_knows_its_own_rows_and_silence_until_its_newest() -> None:
    rows = (
        ("a", "i", "view", 0), ("a", "i", "click", 1_000), ("a", "i", "click", 2_000), ("a", "i", "view", 90_000),
        ("b", "i", "view", 40_000), ("b", "i", "view", 41_000),
        ("c", "i", "view", 0), ("c", "i", "click", 5_000),
    )  # fmt: skip
    split = ["train", "train", "test", "validation", "train", "train", "context", "train"]
    read = made(*rows, split=split)
    train = targets(read, "train", SERVED, LEAVE_AFTER_MS)
    #                                     test follows, too early; silence; next; newest; after context; silence
    assert train.known.tolist() == [True, False, False, False, True, True, True, True]
    assert train.came.tolist() == [True, False, False, False, True, False, True, False]
    assert train.action.tolist() == [CLICK, IGNORED, IGNORED, IGNORED, VIEW, IGNORED, CLICK, LEAVE]
    validation = targets(read, "validation", SERVED, LEAVE_AFTER_MS)
    # what came before it, its own, and who of the training rows was silent all through
    assert np.flatnonzero(validation.known).tolist() == [2, 3, 5, 7]
    assert (validation.action == IGNORED).all()  # before it began they had left
    since_ms = STARTS_MS[validation.since.bin] + validation.since.share * WIDTHS_MS[validation.since.bin]
    assert since_ms[[2, 3, 5, 7]].tolist() == [88_000, 0, 49_000, 85_000]
    assert not train.since.bin.any()
    altered = made(*rows[:2], ("a", "j", "purchase", 3_000), ("a", "j", "purchase", 91_000), *rows[4:], split=split)
    again = targets(altered, "train", SERVED, LEAVE_AFTER_MS)
    for field in ("known", "came", "action"):
        assert getattr(again, field).tolist() == getattr(train, field).tolist()
    for one, other in zip(train.times, again.times, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_times_are_bins_of_what_came_and_shares_of_what_did_not() -> None:
    read = made(
        ("a", "i", "view", 0), ("a", "i", "purchase", 3_000), ("a", "i", "purchase", 9_000),
        ("a", "i", "view", 9_500),
        ("b", "i", "view", 1_000), ("b", "i", "view", 12_500),
    )  # fmt: skip
    any_, purchase = targets(read, "train", SERVED, LEAVE_AFTER_MS).times
    assert any_.came.tolist() == [True, True, True, False, True, False]
    assert any_.bin.tolist() == gap_code(np.array([3_000, 6_000, 500, 3_000, 11_500, 0])).tolist()
    assert any_.share.tolist() == [0, 0, 0, 0.5, 0, 0]
    assert purchase.came.tolist() == [True, True, False, False, False, False]
    assert purchase.bin[:5].tolist() == gap_code(np.array([3_000, 6_000, 3_500, 3_000, 11_500])).tolist()
    assert purchase.share[4] == 3.5 / 8


def test_a_wait_of_which_a_split_knows_nothing_says_nothing_of_the_time_before_it_either() -> None:
    read = made(
        ("a", "i", "view", 0), ("a", "i", "view", 50_000), ("a", "i", "purchase", 60_000), ("b", "i", "view", 90_000),
        split=["train", "validation", "test", "validation"],
    )  # fmt: skip
    found = targets(read, "validation", SERVED, LEAVE_AFTER_MS)
    any_, purchase = found.times
    assert any_.came.tolist() == [True, False, False, False]
    assert not purchase.came.any()  # that of the test row is not to be known
    assert [purchase.bin[0], purchase.share[0]] == [found.since.bin[0], found.since.share[0]]


def test_vocabulary_holds_frequent_items_of_training_rows_one_for_each_hash() -> None:
    assert crc32(b"plumless") == crc32(b"buckeroo")
    counts = {"plumless": 3, "buckeroo": 4, "rare": 1, "often": 9, "b": 2, "a": 2, "later": 7}
    rows = [("u", item, "view", k) for item, count in counts.items() for k in range(count)]
    read = made(*rows, split=["test" if row[1] == "later" else "train" for row in rows])
    assert vocabulary(read, 2, 100) == ["often", "buckeroo", "a", "b"]
    assert vocabulary(read, 2, 2) == ["often", "buckeroo"]
    hashes = np.array([crc32(name.encode()) for name in ("b", "plumless", "nowhere", "often")], np.uint32)
    assert ItemIndex(item_hashes(["often", "buckeroo", "a", "b"])).rows(hashes).tolist() == [4, 2, 0, 1]
    assert ItemIndex(item_hashes([])).rows(hashes).tolist() == [0, 0, 0, 0]


def test_an_item_has_the_category_that_training_rows_give_it_most_often() -> None:
    items = ["i", "j", "k", "m"]
    rows = [("a", item, "view", 1_000 * place) for place, item in enumerate("iiijkkmnj")]
    names = ["x", "y", "y", "y", "x", None, None, "x", "x"]
    split = ["train"] * 8 + ["validation"]
    read = made(*rows, category=names, split=split)
    assert categories(read, items).tolist() == [0, 2, 2, 1, 0]


def test_categories_of_one_item_each_are_none() -> None:
    rows = [("a", item, "view", 1_000 * place) for place, item in enumerate("ijij")]
    assert categories(made(*rows, category=["x", "y", "x", "y"]), ["i", "j"]).tolist() == [0, 0, 0]
    assert categories(made(*rows), ["i", "j"]).tolist() == [0, 0, 0]

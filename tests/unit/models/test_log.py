"""A log as sequences: what a sequence is, its order, duplicates, splits."""

from typing import Any, get_args
from zlib import crc32

import numpy as np
import polars as pl
import pytest
from same_logs import assert_same_logs

from models.log import SPLITS, By, Log, log
from models.state import ACTIONS


def frame(*rows: tuple[Any, ...], columns: str = "user_id item_id action ts_ms") -> pl.DataFrame:
    return pl.DataFrame(rows, schema=columns.split(), orient="row")


def shown(made: Log) -> dict[str, list[str]]:
    """Items of each sequence."""
    ends = np.append(made.first[1:], len(made.item))
    return {
        name: [made.items[code] for code in made.item[a:b]]
        for name, a, b in zip(made.names, made.first, ends, strict=True)
    }


def splits(made: Log) -> list[str]:
    return [SPLITS[code] for code in made.split]


def test_sequences_are_users_in_order_of_time() -> None:
    made = log(frame(("u", "b", "view", 2), ("t", "c", "click", 9), ("u", "a", "view", 1)))
    assert shown(made) == {"t": ["c"], "u": ["a", "b"]}
    assert made.first.tolist() == [0, 1]
    assert made.ts_ms.tolist() == [9, 1, 2]
    assert made.timed


def test_ties_stand_as_serving_orders_them_by_action_and_then_hashes() -> None:
    ids = [f"e{k}" for k in range(20)]
    rows = [("u", "i", "view", 5, name) for name in ids] + [("u", "j", "click", 5, "a"), ("u", "k", "view", 4, "z")]
    made = log(frame(*rows, columns="user_id item_id action ts_ms event_id").with_columns(title=pl.col("event_id")))
    by_hash = sorted(ids, key=lambda name: crc32(name.encode()))
    assert made.columns["title"].to_list() == ["z", *by_hash, "a"]
    assert made.columns.columns == ["title"]
    same = log(
        frame(*[("u", f"i{k}", "view", 5, "e") for k in range(9)], columns="user_id item_id action ts_ms event_id")
    )
    assert shown(same)["u"] == sorted(same.items, key=lambda name: crc32(name.encode()))


def test_order_is_that_of_a_plain_sort() -> None:
    rng = np.random.default_rng(3)
    drawn = [rng.choice(list(names), 2000).tolist() for names in ("uvw", "abcd", ACTIONS, [f"e{k}" for k in range(9)])]
    rows = list(zip(*drawn, rng.integers(0, 20, 2000).tolist(), strict=True))
    expected = sorted(
        {(u, ts, ACTIONS.index(action), crc32(e.encode()), crc32(i.encode()), i) for u, i, action, e, ts in rows}
    )
    made = log(frame(*rows, columns="user_id item_id action event_id ts_ms"))
    assert len(made.item) == len(expected) < 2000
    assert made.ts_ms.tolist() == [row[1] for row in expected]
    assert made.action.tolist() == [row[2] for row in expected]
    assert [made.items[code] for code in made.item] == [row[5] for row in expected]


def test_events_without_ids_have_the_numbers_of_their_rows() -> None:
    rows = [("u", f"i{k}", "view", 5) for k in range(9)]
    named = [(*row, f"r{k:06d}") for k, row in enumerate(rows, 1)]
    with_ids = frame(*named, columns="user_id item_id action ts_ms event_id")
    some = with_ids.with_columns(event_id=pl.when(pl.int_range(pl.len()) % 2 == 0).then("event_id"))
    for events in (frame(*rows), some, some.fill_null("")):
        assert_same_logs(log(events), log(with_ids))


def test_exact_duplicates_are_dropped_and_near_ones_stay() -> None:
    row = ("u", "i", "view", 5, "e", "first")
    others = [("v", *row[1:]), ("u", "j", *row[2:]), ("u", "i", "click", *row[3:]), ("u", "i", "view", 6, "e", "x")]
    rows = [row, *others, ("u", "i", "view", 5, "f", "x"), (*row[:5], "again"), (*row[:5], "and again")]
    made = log(frame(*rows, columns="user_id item_id action ts_ms event_id place"))
    assert len(made.item) == len(rows) - 2
    assert "first" in made.columns["place"].to_list()
    assert not {"again", "and again"} & set(made.columns["place"])


def test_positions_go_before_times_and_stand_in_for_them() -> None:
    columns = "user_id item_id action position"
    made = log(frame(("u", "c", "view", 10), ("u", "a", "view", -3), ("u", "b", "view", 2), columns=columns))
    assert shown(made) == {"u": ["a", "b", "c"]}
    assert not made.timed
    assert made.ts_ms.tolist() == [-1] * 3
    rows = [("u", "a", "view", 1, 7), ("u", "b", "click", 2, 7), ("u", "c", "view", 3, 7)]
    timed = log(frame(*rows, columns=columns + " ts_ms"))
    assert shown(timed) == {"u": ["a", "b", "c"]}
    assert timed.timed
    back = frame(*rows, ("u", "d", "view", 4, 6), columns=columns + " ts_ms")
    with pytest.raises(ValueError, match="ts_ms goes back where position goes on, in user_id 'u'"):
        log(back)


SESSIONS = "user_id item_id action ts_ms session_id"


def test_sequences_are_sessions_where_asked_for_or_every_user_has_one() -> None:
    rows = [("u", "a", "view", 1, "s"), ("u", "b", "view", 2, "t"), ("v", "c", "view", 3, "s")]
    several = frame(*rows, columns=SESSIONS)
    assert shown(log(several)) == {"u": ["a", "b"], "v": ["c"]}
    by_session = log(several, by="session")
    assert by_session.names == ["s", "t", "s"]  # each user's own, though two have one name
    assert by_session.first.tolist() == [0, 1, 2]
    assert by_session.columns["user_id"].to_list() == ["u", "u", "v"]
    one = frame(rows[0], rows[2], columns=SESSIONS)
    assert log(one).names == ["s", "s"]
    assert log(one, by="user").names == ["u", "v"]
    assert log(one, by="user").columns["session_id"].to_list() == ["s", "s"]


def test_sessions_are_refused_where_rows_have_none() -> None:
    some = frame(("u", "a", "view", 1, "s"), ("u", "b", "view", 2, None), columns=SESSIONS)
    assert log(some).names == ["u"]
    for events, number in ((some, 1), (some.drop("session_id"), 2)):
        with pytest.raises(ValueError, match=f"{number} events have no session_id"):
            log(events, by="session")


def test_actions_that_are_served_come_first_and_in_their_order() -> None:
    names = ["view", "purchase", "cart", "click", "buy"]
    made = log(frame(*[("u", "i", name, k) for k, name in enumerate(names)]))
    assert made.actions == (*ACTIONS, "buy", "cart")
    assert [made.actions[code] for code in made.action] == names
    assert log(frame(("u", "i", "purchase", 1), ("u", "i", "view", 2))).actions == ("view", "purchase")


def test_other_columns_come_along_in_the_same_order() -> None:
    made = log(
        frame(
            ("u", "b", "view", 2, "x", 1.5),
            ("u", "a", "view", 1, "y", None),
            columns=SESSIONS.replace("session_id", "category price"),
        )
    )
    assert made.columns.rows() == [("y", None), ("x", 1.5)]


def test_without_a_split_the_last_tenth_by_time_is_validation() -> None:
    made = log(frame(*[(f"u{k % 3}", "i", "view", k) for k in range(30)]))
    assert {int(ts) for ts in made.ts_ms[made.split == 1]} == {27, 28, 29}
    assert set(splits(made)) == {"train", "validation"}


def test_rows_of_the_time_of_the_cut_are_held_out_together_and_never_all() -> None:
    times = [1] * 5 + [2] * 10
    made = log(frame(*[("u", f"i{k}", "view", ts) for k, ts in enumerate(times)]))
    assert splits(made) == ["train"] * 5 + ["validation"] * 10
    mostly_first = log(frame(*[("u", f"i{k}", "view", ts) for k, ts in enumerate([1] * 20 + [2])]))
    assert splits(mostly_first).count("validation") == 1
    assert splits(log(frame(("u", "a", "view", 1), ("u", "b", "view", 1)))) == ["train"] * 2


def test_a_split_without_validation_gets_it_from_its_training_rows() -> None:
    given = ["train"] * 10 + ["context", "test"]
    rows = [("u", "i", "view", k, name) for k, name in enumerate(given)]
    made = log(frame(*rows, columns="user_id item_id action ts_ms split"))
    assert splits(made) == ["train"] * 9 + ["validation", "context", "test"]
    whole = [*given[:4], "validation", *given[4:]]
    rows = [("u", "i", "view", k, name) for k, name in enumerate(whole)]
    assert splits(log(frame(*rows, columns="user_id item_id action ts_ms split"))) == whole


def test_without_times_the_last_tenth_of_the_sequences_of_the_file_is_validation() -> None:
    columns = "user_id item_id action position split"
    names = [f"{k}" for k in range(12, 0, -1)]  # not as they are sorted
    rows = [(name, "i", "view", k, "train") for k in (2, 1) for name in names]
    made = log(frame(*rows, ("zz", "i", "view", 1, "test"), columns=columns))
    held_out = [made.names[k] for k, at in enumerate(made.first) if splits(made)[at] == "validation"]
    assert sorted(held_out) == ["1", "2"]
    assert splits(made).count("validation") == 4
    assert splits(log(frame(rows[0], columns=columns))) == ["train"]
    assert splits(log(frame((*rows[0][:4], "test"), columns=columns))) == ["test"]


def test_a_log_of_one_event_is_a_log() -> None:
    for by in (None, *get_args(By)):
        made = log(frame(("u", "i", "view", 1, "s"), columns=SESSIONS), by)
        assert (made.first.tolist(), made.items, made.actions) == ([0], ["i"], ("view",))
        assert splits(made) == ["train"]


def test_categories_are_read_as_text_is() -> None:
    events = frame(("u", "b", "view", 2, "s"), ("t", "a", "buy", 1, "r"), ("u", "a", "buy", 2, "s"), columns=SESSIONS)
    assert_same_logs(log(events.with_columns(pl.col(pl.String).cast(pl.Categorical))), log(events))

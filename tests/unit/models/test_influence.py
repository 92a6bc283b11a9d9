"""Influence: the prediction of a history without an event is that of a log in which it never came."""

from copy import copy
from dataclasses import replace
from zlib import crc32

import numpy as np
import pytest
from builders import event_columns, random_predictor
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from models.churn import as_of_ms
from models.history import Events, apply
from models.influence import CHURN, Influence, influence, log_odds, predicted
from models.left_out import ring_steps, without
from models.likeliest import put_right
from models.model_directory import OUTCOMES
from models.slate import top_items
from models.state import RING, ROW, Rows, empty_rows
from models.survival import Curves

MODEL = random_predictor()
ITEMS = np.append(MODEL.item_hashes[:2], 3)  # the last one of no item that the model knows
START_MS, HOUR = 1_760_000_000_000, 3_600_000
NOT_OF_THE_HISTORY = {"applied", "model"}  # offsets count in another way; of an empty row no model has been asked


def history(actions: list[int], times: list[int]) -> Events:
    """Return events of one user, every third of an item that the model does not know."""
    events = event_columns([0] * len(actions), actions, times)
    number = np.arange(len(actions))
    return replace(events, item=np.where(number % 3 == 2, 7919 * number, MODEL.item_hashes[number % 5]))


def rows_of(events: Events) -> Rows:
    rows = empty_rows(1)
    apply(rows, events, MODEL)
    return rows


def order(events: Events) -> np.ndarray:
    """Return the events' places in the order of the ring."""
    return np.lexsort((events.item, events.id, events.action, events.ts_ms))


@st.composite
def histories(draw: st.DrawFn, most: int = RING) -> Events:
    """Events of one user, in order of time; buckets of all resolutions pass by."""
    n = draw(st.integers(1, most))
    actions = draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    gaps = draw(st.lists(st.sampled_from([0, 1, 60_000, HOUR, 30 * HOUR, 500 * HOUR]), min_size=n, max_size=n))
    return history(actions, (START_MS + np.cumsum(gaps)).tolist())


def left_out(events: Events, gone: list[int]) -> Events:
    return events.at(np.setdiff1d(np.arange(len(events)), order(events)[gone]))


@given(histories(), st.sets(st.integers(0, RING - 1)))
def test_row_without_events_is_that_of_the_log_without_them(events: Events, places: set[int]) -> None:
    """To the bit, whichever events are left out, where the history fits the ring."""
    gone = sorted(place for place in places if place < len(events))
    mask = np.isin(np.arange(RING), sorted(places))[None]
    fewer, replayed = without(rows_of(events), mask, MODEL), rows_of(left_out(events, gone))
    differing = [name for name in ROW.names or () if fewer[name].tobytes() != replayed[name].tobytes()]
    assert set(differing) <= NOT_OF_THE_HISTORY


@given(histories(most=3 * RING), st.integers(0, RING - 1))
def test_state_and_windows_are_exact_in_longer_histories_too(events: Events, place: int) -> None:
    """But for windows that the newest event had turned past events which have left the ring."""
    place = min(place, len(events) - 1)
    number = max(len(events) - RING, 0) + place
    fewer = without(rows_of(events), np.arange(RING)[None] == place, MODEL)
    replayed = rows_of(left_out(events, [number]))
    exact = ["now", "newest_ms", "total"]
    if number < len(events) - 1 or len(events) <= RING:
        exact += ["minutes", "hours", "days"]
    assert [name for name in exact if fewer[name].tobytes() != replayed[name].tobytes()] == []


@given(histories())
def test_influence_is_the_difference_to_the_replay(events: Events) -> None:
    rows = rows_of(events)
    found, moment_ms = influence(rows, MODEL, ITEMS), as_of_ms(rows)
    whole = predicted(rows, MODEL, moment_ms, ITEMS)
    assert found.held.sum() == len(events)
    for place in range(len(events)):
        rest = predicted(rows_of(left_out(events, [place])), MODEL, moment_ms, ITEMS)
        for target in (*OUTCOMES, CHURN, "item"):
            p, q = whole.of(target)[0], rest.of(target)[0]
            assert found.change(target)[0, place] == p - q
            assert found.log_odds(target)[0, place] == log_odds(p) - log_odds(q)


def test_users_stand_together_as_each_alone() -> None:
    draw = np.random.default_rng(3)
    numbers = [1, 2, 15, 16, 17, 40]
    rows = np.concatenate(
        [
            rows_of(history(draw.integers(0, 3, n).tolist(), np.sort(draw.integers(0, HOUR, n)).tolist()))
            for n in numbers
        ]
    )
    together = influence(rows, MODEL, ITEMS)
    for k in range(len(rows)):
        alone = influence(rows[k : k + 1], MODEL, ITEMS)
        for target in (*OUTCOMES, CHURN, "item"):
            assert np.array_equal(together.change(target)[k], alone.change(target)[0])
    assert together.held.sum(1).tolist() == [min(n, RING) for n in numbers]


def test_places_without_an_event_have_no_influence_and_rows_stay_as_they_are() -> None:
    rows = rows_of(history([0, 1, 2], [START_MS, START_MS + 5_000, START_MS + 9_000]))
    before = rows.copy()
    found = influence(rows, MODEL, ITEMS)
    assert rows.tobytes() == before.tobytes()
    assert found.held[0].tolist() == [True] * 3 + [False] * (RING - 3)
    for target in (*OUTCOMES, CHURN, "item"):
        assert not found.change(target)[0, 3:].any()
        assert found.change(target)[0, :3].any()


def test_churn_without_the_newest_event_is_asked_after_the_silence_that_it_broke() -> None:
    events = history([0, 1, 0], [START_MS, START_MS + 60_000, START_MS + 9 * HOUR])
    before = rows_of(events.at(np.arange(2)))
    _, hazards = MODEL.predict(before)
    silent_ms = np.array([9 * HOUR - 60_000])
    after_silence = Curves(hazards).silence(0, silent_ms, MODEL.card.churn.band_horizon_ms)
    assert influence(rows_of(events), MODEL).without.of(CHURN)[2] == after_silence[0]


def test_items_of_a_user_of_whose_items_none_is_known_are_as_popular_as_they_are() -> None:
    events = history([0, 0, 0], [START_MS, START_MS + 1, START_MS + 2])
    rows = rows_of(replace(events, item=np.array([5, 6, 7])))
    every = [crc32(name.encode()) for name in MODEL.items]
    bias = MODEL.item_bias[1:].astype(float)
    found = predicted(rows, MODEL, as_of_ms(rows), np.array(every))
    assert found.items[0] == pytest.approx(np.exp(bias) / np.exp(bias).sum())


def test_full_bucket_stays_full() -> None:
    n = 300
    rows = rows_of(history([0] * n, (START_MS + np.arange(n)).tolist()))
    fewer = without(rows, np.arange(RING)[None] == 0, MODEL)
    assert (rows["minutes"].max(), fewer["minutes"].max(), fewer["days"].max()) == (255, 255, n - 1)


def test_rows_of_another_model_get_their_states_first() -> None:
    events = history([0, 1, 0, 2, 0], (START_MS + np.arange(5) * 60_000).tolist())
    other = empty_rows(1)
    apply(other, events, random_predictor(seed=1))
    assert same(influence(other, MODEL, ITEMS), influence(rows_of(events), MODEL, ITEMS))


def same(a: Influence, b: Influence) -> bool:
    return all(np.array_equal(x, y) for x, y in zip((*a.whole, *a.without), (*b.whole, *b.without), strict=True))


def test_items_of_a_user_have_the_shares_of_a_softmax() -> None:
    rows = rows_of(history([0, 1, 0, 0], (START_MS + np.arange(4) * 60_000).tolist()))
    every = MODEL.item_hashes
    shares = predicted(rows, MODEL, as_of_ms(rows), np.append(every, 5))
    assert shares.items[0].sum() == pytest.approx(1)
    assert shares.items[0, -1] == 0  # of an item that the model does not know


def test_the_likeliest_item_of_a_user_is_as_likely_as_the_card_has_it() -> None:
    rows, every = rows_of(history([0, 1, 0, 0], (START_MS + np.arange(4) * 60_000).tolist())), MODEL.item_hashes
    said = predicted(rows, MODEL, as_of_ms(rows), every).items
    bent = copy(MODEL)
    bent.card = structs.replace(MODEL.card, likeliest_item=(0.8, 0.0, -0.6))
    now = predicted(rows, bent, as_of_ms(rows), every).items
    np.testing.assert_allclose(now, put_right(said.copy(), (0.8, 0.0, -0.6)))
    assert now.max() != pytest.approx(said.max(), rel=0.01)


def test_items_are_told_by_the_scores_of_the_slate_from_older_items_too() -> None:
    rows = rows_of(history([0] * 40, (START_MS + np.arange(40) * 60_000).tolist()))
    rows["ring_item"] = 7  # which the model does not know
    slate = top_items(rows, MODEL, len(MODEL.items))
    assert slate.known[0]
    odds = np.exp(slate.score[0] - slate.score[0].max())
    shares = predicted(rows, MODEL, as_of_ms(rows), MODEL.item_hashes[slate.item[0]]).items[0]
    assert shares == pytest.approx(odds / odds.sum())


def test_ring_is_read_in_order() -> None:
    n = RING + 5
    rows = rows_of(history([k % 3 for k in range(n)], (START_MS + np.arange(n) * 1000).tolist()))
    steps, held = ring_steps(rows)
    assert held.all()
    assert steps.ts_ms[0].tolist() == (START_MS + np.arange(5, n) * 1000).tolist()
    assert steps.before_ms[0].tolist() == (START_MS + np.arange(4, n - 1) * 1000).tolist()
    assert steps.action[0].tolist() == [k % 3 for k in range(5, n)]

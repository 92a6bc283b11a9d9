"""Codes of the last events: of a row, of a log, and by a way of their own."""

from zlib import crc32

import numpy as np
import pytest
from builders import event_columns, random_predictor
from hypothesis import given
from hypothesis import strategies as st

from models import latest
from models.features import PRICES
from models.history import Events, apply
from models.latest import COLUMNS, LATEST, codes, log_codes, nothing, sizes
from models.left_out import without
from models.state import RING, empty_rows
from streams.benchmark.plain_network import Event
from streams.benchmark.plain_network import codes as plain_codes

MODEL = random_predictor()
START_MS, MINUTE_MS = 1_760_000_000_000, 60_000
STARTS = np.cumsum([0, *sizes(3)[:-1]])
GAPS_MS = st.sampled_from([1, 999, 5_000, 29 * MINUTE_MS, 30 * MINUTE_MS, 10**11])
HISTORY = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), GAPS_MS), min_size=1, max_size=3 * RING)
LONG_HISTORY = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), GAPS_MS), min_size=RING + 1, max_size=3 * RING)


def events_of(history: list[tuple[int, int, int]]) -> Events:
    action, item, gap_ms = (np.array(column) for column in zip(*history, strict=True))
    made = event_columns([0] * len(action), action.tolist(), (START_MS + np.cumsum(gap_ms)).tolist())
    return Events(made.row, made.action, made.offset, made.ts_ms, item + 5, made.id, made.context * 7 % 256)


@given(HISTORY)
def test_codes_of_a_row_are_those_of_the_log_and_of_the_plain_way(history: list[tuple[int, int, int]]) -> None:
    events, rows = events_of(history), empty_rows(1)
    found = log_codes(np.array([0]), events.action, events.item, events.ts_ms, events.context, 3)
    columns = (column.tolist() for column in (events.item, events.action, events.ts_ms))
    plain = [Event(b"%d" % item, action, ts_ms) for item, action, ts_ms in zip(*columns, strict=True)]
    for k in range(len(history)):
        apply(rows, events.at(np.array([k])), MODEL)
        assert codes(rows, 3)[0].tolist() == found[k].tolist()
        last = slice(max(k + 1 - LATEST, 0), k + 1)
        without_prices = plain_codes(plain[last], k + 1)[:-1]
        known = [price for price in (events.context[last] % PRICES).tolist() if price]
        price = int(sum(known) / max(len(known), 1) + 0.5)
        assert np.add(STARTS, [*without_prices, price]).tolist() == found[k].tolist()


@given(LONG_HISTORY, st.sets(st.integers(RING - LATEST, RING - 1), min_size=1))
def test_codes_are_exact_without_some_events_of_the_ring(history: list[tuple[int, int, int]], places: set[int]) -> None:
    """However long the history, as long as so many stay in the ring as are looked at."""
    events, rows, other = events_of(history), empty_rows(1), empty_rows(1)
    apply(rows, events, MODEL)
    held = min(len(history), RING)
    gone = [len(history) - held + place for place in places if place < held]
    apply(other, events.at(np.setdiff1d(np.arange(len(history)), gone)), MODEL)
    fewer = without(rows, np.isin(np.arange(RING), list(places))[None], MODEL)
    assert codes(fewer, 3).tolist() == codes(other, 3).tolist()


@pytest.mark.parametrize("actions", [1, 3, 17, 18, 19, 1000])
def test_each_code_has_rows_of_its_own(actions: int) -> None:
    rng = np.random.default_rng(actions)
    count = 3_000
    first = np.sort(rng.choice(np.arange(1, count), 200, replace=False))
    ts_ms = np.cumsum(np.exp(rng.uniform(0, 20, count)).astype(np.int64))
    columns = rng.integers(0, actions, count), rng.integers(0, 4, count), ts_ms, rng.integers(0, 256, count)
    found = log_codes(np.append(0, first), *columns, actions)
    assert found.shape == (count, COLUMNS)
    ends = np.cumsum(sizes(actions))
    assert ends[-1] < np.iinfo(np.int16).max
    for column, end in enumerate(ends):
        assert found[:, column].min() >= end - sizes(actions)[column]
        assert found[:, column].max() < end
    assert (nothing(actions) < ends).all()


def test_what_a_code_says() -> None:
    minutes = [0, 1, 2, 50, 51]
    item = [crc32(name) for name in (b"a", b"a", b"b", b"b", b"a")]
    ts_ms = START_MS + np.array(minutes) * MINUTE_MS
    prices = np.array([0, 3 * PRICES + 7, PRICES, 7, 10])
    found = log_codes(np.array([0]), np.array([0, 1, 2, 0, 1]), np.array(item), ts_ms, prices, 3) - STARTS
    actions, pair, met, sources, run, gap, span, total, visits, price = found[-1].tolist()
    assert actions == (1 * 4 + 0) * 4 + 2  # click, view, purchase
    assert pair == 1 * 4 + 0
    assert met == 1 * LATEST + 3  # the item was there three events ago
    assert sources == 1 * 4 + 2  # it begins with a click now, the one before with a purchase
    assert run == 1 * LATEST
    assert gap == 1 * 26 + 6  # from 32 s on
    assert span == 12  # from 34 min on
    assert total == 5
    assert visits == 1 * LATEST + 2  # two visits, two events of the second
    assert price == 8  # of those that have one
    assert latest.VISIT_GAP_MS == 30 * MINUTE_MS


def test_a_log_without_times_has_codes_all_the_same() -> None:
    found = log_codes(
        np.array([0, 2]), np.array([0, 1, 1]), np.zeros(3, np.int64), np.full(3, -1), np.zeros(3, np.int64), 2
    )
    assert found.shape == (3, COLUMNS)
    assert len({tuple(row) for row in found.tolist()}) == 3

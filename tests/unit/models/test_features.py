"""Inputs of a step: gaps, hours, circumstances."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.features import (
    CONTEXTS,
    GAP_EDGES_MS,
    GAPS,
    HOURS_OF_WEEK,
    NO_GAP,
    TIME_BINS,
    Steps,
    context_code,
    gap_code,
    hour_of_week,
    table_rows,
)
from models.state import ACTIONS


@given(st.integers(0, 10**13))
def test_gap_doubles_from_bin_to_bin(gap_ms: int) -> None:
    assert gap_code(np.array([gap_ms]))[0] == min((gap_ms // 1000).bit_length(), TIME_BINS - 1)


def test_gap_at_an_edge_is_in_the_bin_that_starts_there() -> None:
    assert gap_code(GAP_EDGES_MS).tolist() == list(range(1, TIME_BINS))
    assert gap_code(GAP_EDGES_MS - 1).tolist() == list(range(TIME_BINS - 1))


def test_no_event_before_has_a_code_of_its_own() -> None:
    assert gap_code(np.array([-1, 0])).tolist() == [NO_GAP, 0]
    assert NO_GAP == GAPS - 1


@given(st.integers(0, 4_000_000_000_000), st.integers(-12, 14))
def test_hour_of_week_is_the_calendars_at_the_shop(ts_ms: int, utc_offset_h: int) -> None:
    there = datetime.fromtimestamp(ts_ms // 1000, UTC) + timedelta(hours=utc_offset_h)
    from_thursday = (there.weekday() - 3) % 7
    assert hour_of_week(np.array([ts_ms]), utc_offset_h)[0] == from_thursday * 24 + there.hour


@given(st.one_of(st.none(), st.text()), st.one_of(st.none(), st.floats(0, allow_infinity=False, allow_nan=False)))
def test_any_device_and_price_fit_a_byte(device: str | None, price: float | None) -> None:
    code = context_code(device, price)
    assert type(code) is int
    assert 0 <= code < CONTEXTS
    assert (code // 32 == 0) == (device is None)
    assert (code % 32 == 0) == (price is None)


@pytest.mark.parametrize(("price", "code"), [(0, 1), (0.01, 2), (1, 16), (1.5, 17), (2, 18), (100, 29), (1e300, 31)])
def test_price_has_two_codes_to_each_doubling(price: float, code: int) -> None:
    assert context_code(None, price) == code


@given(st.floats(0, allow_infinity=False, allow_nan=False), st.integers(1, 2**31 - 1))
def test_what_counts_is_the_cost_of_all_pieces(price: float, quantity: int) -> None:
    cost = min(price * quantity, 1e300)
    assert context_code(None, price, quantity) == context_code(None, cost)
    assert context_code("phone", None, quantity) == context_code("phone", None)


def test_devices_have_the_same_code_on_every_machine() -> None:
    assert [context_code(device, None) // 32 for device in ("phone", "desktop", "tablet", "")] == [2, 3, 5, 1]


@given(
    st.sampled_from(range(len(ACTIONS))),
    st.integers(0, 4_000_000_000_000),
    st.one_of(st.just(-1), st.integers(0, 4_000_000_000_000)),
    st.integers(0, CONTEXTS - 1),
    st.integers(-12, 14),
)
def test_serving_reads_the_rows_that_training_reads(
    action: int, ts_ms: int, before_ms: int, context: int, offset_h: int
) -> None:
    before_ms = min(before_ms, ts_ms)
    step = Steps(*(np.array([value]) for value in (0, action, ts_ms, before_ms, context)))
    gap = gap_code(np.array([-1 if before_ms < 0 else ts_ms - before_ms]))[0]
    hour = hour_of_week(np.array([ts_ms]), offset_h)[0]
    first = [0, len(ACTIONS) * GAPS, len(ACTIONS) * GAPS + HOURS_OF_WEEK]
    assert (table_rows(step, offset_h) - first).tolist() == [[action * GAPS + gap, hour, context]]


@pytest.mark.parametrize(("field", "value"), [("action", 3), ("action", -1), ("context", CONTEXTS), ("context", -1)])
def test_what_stands_in_no_table_is_refused(field: str, value: int) -> None:
    step = Steps(*(np.array([0]) for _ in Steps._fields))
    with pytest.raises(ValueError, match="no such action or context"):
        table_rows(step._replace(**{field: np.array([value])}), 0)

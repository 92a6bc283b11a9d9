"""What the training data is like, and how far other counts are from it: numbers worked out by hand."""

import math

import numpy as np
import pytest

from models.features import TIME_BINS
from models.reference import reference, shares, stability_index

HOUR_MS = 3_600_000


def test_counts_are_those_of_two_sequences() -> None:
    made = reference(
        np.array([0, 1, 0, 2, 0]),
        np.array([0, 1000, 1000 + HOUR_MS, 5000, 5000]),
        np.array([True, False, False, True, False]),
        np.array([True, True, False, False, True]),
        actions=3,
        utc_offset_h=-1,
        leave_after_ms=HOUR_MS - 1,
    )
    assert made.action == (3, 1, 1)
    assert {k: n for k, n in enumerate(made.gap) if n} == {0: 1, 1: 1, 12: 1}  # 0 s; 1 s; 1 h: from 2048 s on
    assert {k: n for k, n in enumerate(made.hour) if n} == {23: 4, 0: 1}
    assert made.known_item == (2, 3)
    assert made.next_action == (1, 1, 0)  # the one after an hour is of a user who had gone
    assert (len(made.gap), len(made.hour)) == (TIME_BINS, 24)


def test_shares_are_of_counts_with_half_an_event_more_each() -> None:
    assert shares(np.array([0, 3])).tolist() == [0.125, 0.875]


def test_stability_index_by_hand() -> None:
    expected, found = np.array([69.5, 29.5]), np.array([49.5, 49.5])  # shares of .7 and .3, of .5 and .5
    by_hand = (0.5 - 0.7) * math.log(0.5 / 0.7) + (0.5 - 0.3) * math.log(0.5 / 0.3)
    assert stability_index(expected, found) == pytest.approx(by_hand)
    assert by_hand == pytest.approx(0.1695, abs=1e-4)
    assert stability_index(expected, 3 * expected + 1) == pytest.approx(0)


def test_bin_that_one_side_has_never_seen_is_no_infinity() -> None:
    assert 0.5 < stability_index(np.array([1000, 0]), np.array([900, 100])) < 1

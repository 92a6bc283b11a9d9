"""Rolling windows against a plain fold over all events."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.state import ACTIONS, RESOLUTIONS, ROW, Rows, empty_rows
from models.windows import BINS, FEATURES, add, bins, counts

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
USERS = 3
Event = tuple[int, int, int]  # user, action, time
MOMENTS = st.one_of(
    st.integers(0, 2 * HOUR),
    st.integers(0, 40 * DAY),
    st.sampled_from([0, 5 * MINUTE - 1, 5 * MINUTE, HOUR - 1, HOUR, DAY - 1, DAY, 14 * DAY - 1, 14 * DAY]),
    st.integers(1_760_000_000_000, 1_760_000_000_000 + 20 * DAY),
)
EVENTS = st.lists(st.tuples(st.integers(0, USERS - 1), st.integers(0, 2), MOMENTS), max_size=60)


def fold(events: list[Event]) -> Rows:
    """The rows after these events, one at a time, from the definition of a window."""
    rows = empty_rows(USERS)
    for user in range(USERS):
        mine = [(action, ts) for u, action, ts in events if u == user]
        if not mine:
            continue
        row = rows[user]
        newest = max(ts for _, ts in mine)
        row["newest_ms"] = newest
        for action, ts in mine:
            row["total"][action] += 1
            for field, width, size in RESOLUTIONS:
                full = np.iinfo(ROW[field].base).max
                if newest // width - ts // width < size and row[field][action][ts // width % size] < full:
                    row[field][action][ts // width % size] += 1
    return rows


def added(events: list[Event], cuts: list[int]) -> Rows:
    rows = empty_rows(USERS)
    for a, b in zip([0, *cuts], [*cuts, len(events)], strict=True):
        part = np.array(events[a:b], np.int64).reshape(-1, 3)
        add(rows, part[:, 0], part[:, 1], part[:, 2])
    return rows


@given(EVENTS, st.lists(st.integers(0, 60), max_size=5), st.randoms(use_true_random=False))
def test_any_order_and_any_chunking_give_the_plain_fold(events: list[Event], cuts: list[int], random: object) -> None:
    shuffled = list(events)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    cuts = sorted(min(cut, len(events)) for cut in cuts)
    assert added(shuffled, cuts).tobytes() == fold(events).tobytes()


@given(EVENTS)
def test_counts_are_the_events_of_each_window_up_to_the_newest(events: list[Event]) -> None:
    rows = added(events, [])
    for user, row in enumerate(counts(rows).tolist()):
        newest = int(rows["newest_ms"][user])
        for window, (_, width, size) in zip(row, RESOLUTIONS, strict=True):
            for action, count in enumerate(window):
                inside = [
                    ts for u, a, ts in events if (u, a) == (user, action) and newest // width - ts // width < size
                ]
                assert count == len(inside)


@pytest.mark.parametrize(("field", "full"), [("minutes", 255), ("hours", 255), ("days", 65_535)])
def test_full_bucket_stays_full(field: str, full: int) -> None:
    for cuts in ([], [full - 1, full, full + 1]):
        rows = empty_rows(1)
        for a, b in zip([0, *cuts], [*cuts, full + 3], strict=True):
            n = b - a
            add(rows, np.zeros(n, int), np.ones(n, int), np.full(n, 1000))
        assert rows[field][0, 1].max() == full
        assert rows["total"][0].tolist() == [0, full + 3, 0]


def test_event_older_than_every_window_counts_in_the_totals_only() -> None:
    rows = added([(0, 0, 100 * DAY), (0, 1, 86 * DAY)], [1])
    assert counts(rows)[0].tolist() == [[1, 0, 0]] * 3
    assert rows["total"][0].tolist() == [1, 1, 0]


def test_window_empties_when_time_goes_on() -> None:
    events = [(0, 2, 0), (0, 2, 30 * MINUTE), (0, 0, 90 * MINUTE), (0, 0, 13 * DAY), (0, 0, 20 * DAY)]
    purchases = [counts(added(events[: k + 1], []))[0, :, 2].tolist() for k in range(len(events))]
    assert purchases == [[1, 1, 1], [2, 2, 2], [0, 2, 2], [0, 0, 2], [0, 0, 0]]


def test_first_event_at_time_0_counts() -> None:
    rows = added([(1, 0, 0)], [])
    assert counts(rows)[1].tolist() == [[1, 0, 0]] * 3


def test_users_without_events_stay_as_they_are() -> None:
    rows = added([(0, 0, DAY)], [])
    before = rows[1:].copy()
    add(rows, np.array([0]), np.array([0]), np.array([2 * DAY]))
    assert rows[1:].tobytes() == before.tobytes()


def test_bins_of_the_counts() -> None:
    rows = empty_rows(1)
    expected = {0: 0, 1: 1, 2: 2, 3: 3, 4: 3, 5: 4, 8: 4, 9: 5, 16: 5, 17: 6, 32: 6, 33: 7, 64: 7, 65: 8, 999: 8}
    for count, bin_ in expected.items():
        rows["days"][0, 0, 3] = count
        assert bins(rows).shape == (1, FEATURES)
        assert bins(rows)[0].tolist() == [0] * 6 + [bin_, 0, 0]
    assert max(expected.values()) == BINS - 1


def test_features_stand_by_resolution_then_action() -> None:
    rows = added([(0, 2, 20 * DAY), (0, 1, 20 * DAY - 2 * HOUR), (0, 0, 18 * DAY)], [])
    assert [f"{field} {a}" for (field, _, _) in RESOLUTIONS for a in ACTIONS][2] == "minutes purchase"
    assert bins(rows)[0].tolist() == [0, 0, 1, 0, 1, 1, 1, 1, 1]

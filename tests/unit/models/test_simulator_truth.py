"""The stated chances against many draws: of one state again and again, and of a whole crowd over weeks.

Seeds are fixed; a bound of 4 or 5 standard deviations leaves room for other versions of numpy, and none for a wrong
formula.
"""

from collections import defaultdict
from collections.abc import Callable

import numpy as np
import pytest

from models.model_directory import DAY_MS, HOUR_MS, OUTCOMES, Card
from models.simulator import (
    LEAVE_AFTER_MS,
    MAX_GAP_MS,
    Shop,
    State,
    advance,
    gone,
    next_action_probabilities,
    next_item_probabilities,
    silence,
    states,
    survival,
)
from models.simulator.rhythm import FACTORS, activity, when
from models.simulator.shopper import CLICK, LEAVE, NOTHING, PURCHASE, VIEW, churn, start

SHOP = Shop(seed=5, users=300, items=120, sessions_per_life=6)
NOW_MS = 1_750_000_000_000
DRAWS = 20_000


def uniform(seed: int) -> Callable[[], float]:
    return np.random.default_rng(seed).random


def examples() -> dict[str, State]:
    shopper = max((SHOP.shopper(number) for number in range(40)), key=lambda s: s.rate_per_h)
    item = SHOP.tables.members[shopper.favourites[0]][0]
    other = SHOP.tables.members[shopper.favourites[1]][0]
    base = State(shopper, NOW_MS, VIEW, item, 1, NOTHING, NOW_MS - 60_000, 3, False)
    return {
        "view": base,
        "view, wishing": base._replace(wish=other),
        "view, wishing, in haste": base._replace(wish=other, shopper=shopper._replace(haste=2.5)),
        "click": base._replace(action=CLICK, wish=item),
        "purchase": base._replace(action=PURCHASE, bought=True, steps=30),
    }


def drawn(state: State, seed: int) -> list[State | None]:
    source = uniform(seed)
    return [advance(SHOP, state, source) for _ in range(DRAWS)]


def outcome(state: State, following: State | None) -> int:
    left = following is None or following.ts_ms - state.ts_ms > LEAVE_AFTER_MS
    return LEAVE if left or following is None else following.action


def deviations(hits: float, expected: float, variance: float) -> float:
    return float(abs(hits - expected) / max(variance, 1e-18) ** 0.5)


@pytest.mark.parametrize("name", examples())
def test_draws_from_one_state_agree_with_its_next_action_probabilities(name: str) -> None:
    state = examples()[name]
    chance = next_action_probabilities(SHOP, state)
    counts = np.bincount([outcome(state, s) for s in drawn(state, 1)], minlength=len(OUTCOMES))
    assert chance.sum() == pytest.approx(1)
    for k in range(len(OUTCOMES)):
        assert deviations(counts[k], DRAWS * chance[k], DRAWS * chance[k] * (1 - chance[k])) < 4


@pytest.mark.parametrize("name", examples())
def test_draws_from_one_state_agree_with_its_survival_at_every_time_scale(name: str) -> None:
    state = examples()[name]
    gaps = np.array([np.inf if s is None else s.ts_ms - state.ts_ms for s in drawn(state, 2)])
    t_ms = np.array([0, 2_000, 10_000, 60_000, MAX_GAP_MS, LEAVE_AFTER_MS, HOUR_MS, 9 * HOUR_MS, DAY_MS, 3 * DAY_MS])
    chance = survival(SHOP, state, t_ms)
    assert chance[0] == pytest.approx(1)
    for t, p in zip(t_ms, chance, strict=True):
        assert deviations(float((gaps > t).sum()), DRAWS * p, DRAWS * p * (1 - p)) < 4


@pytest.mark.parametrize("name", examples())
def test_draws_from_one_state_agree_with_its_next_item_probabilities(name: str) -> None:
    state = examples()[name]
    chance = next_item_probabilities(SHOP, state)
    items = [s.item for s in drawn(state, 3) if s is not None]
    counts = np.bincount(items, minlength=SHOP.items)
    assert chance.sum() == pytest.approx(1)
    assert not counts[chance == 0].any()
    expected = len(items) * chance[chance > 0]
    chi_square = float(((counts[chance > 0] - expected) ** 2 / expected).sum())
    free = (chance > 0).sum() - 1
    assert deviations(chi_square, free, 2 * free) < 5


@pytest.mark.parametrize("name", examples())
def test_gaps_inside_a_session_end_before_their_bound(name: str) -> None:
    state = examples()[name]
    leave = next_action_probabilities(SHOP, state)[LEAVE]
    assert survival(SHOP, state, np.array(MAX_GAP_MS - 1)) == pytest.approx(leave, abs=1e-7)
    assert survival(SHOP, state, np.array(LEAVE_AFTER_MS)) == pytest.approx(leave, abs=1e-12)
    longest = advance(SHOP, state, lambda: 0.0)  # 0 draws a view, and the longest gap
    assert longest is not None
    assert MAX_GAP_MS - 1 <= longest.ts_ms - state.ts_ms <= MAX_GAP_MS + 1


def test_silence_is_survival_from_now_on_among_those_still_silent() -> None:
    state = examples()["view"]
    gaps = np.array([np.inf if s is None else s.ts_ms - state.ts_ms for s in drawn(state, 4)])
    for silent_ms in (30_000, HOUR_MS, DAY_MS):
        still = gaps[gaps > silent_ms]
        p = float(silence(SHOP, state, np.array(silent_ms), DAY_MS))
        assert deviations(float((still > silent_ms + DAY_MS).sum()), len(still) * p, len(still) * p * (1 - p)) < 4


def test_the_silent_are_more_and_more_likely_to_be_gone_and_in_the_end_surely() -> None:
    for state in examples().values():
        chance = gone(SHOP, state, np.array([0, 60_000, LEAVE_AFTER_MS, DAY_MS, 300 * DAY_MS]))
        assert (np.diff(chance) >= 0).all()
        assert chance[0] == pytest.approx(next_action_probabilities(SHOP, state)[LEAVE] * churn(state))
        assert chance[2] == pytest.approx(churn(state))
        assert chance[-1] > 0.99


def test_leave_is_what_the_models_mean_by_it() -> None:
    assert Card(name="any").leave_after_ms == LEAVE_AFTER_MS
    assert OUTCOMES == ("view", "click", "purchase", "leave")


@pytest.fixture(scope="module")
def crowd() -> list[tuple[State, State | None]]:
    """Return every state of 40 days that had a week's time to be followed, with what followed within the log."""
    end_ms = NOW_MS + 40 * DAY_MS
    by_shopper = defaultdict(list)
    for state in states(SHOP, NOW_MS):
        if state.ts_ms >= end_ms:
            break
        by_shopper[state.shopper.number].append(state)
    pairs = [pair for lives in by_shopper.values() for pair in zip(lives, [*lives[1:], None], strict=True)]
    return [pair for pair in pairs if pair[0].ts_ms < end_ms - 7 * DAY_MS]


def test_next_action_probabilities_are_calibrated_over_the_crowd(crowd: list[tuple[State, State | None]]) -> None:
    chance = np.array([next_action_probabilities(SHOP, state) for state, _ in crowd])
    hit = np.eye(len(OUTCOMES))[[outcome(state, following) for state, following in crowd]]
    action = np.array([state.action for state, _ in crowd])
    for k in range(len(OUTCOMES)):
        high = chance[:, k] > np.median(chance[:, k])
        for part in (high, ~high, *(action == a for a in (VIEW, CLICK, PURCHASE))):
            p = chance[part, k]
            assert deviations(hit[part, k].sum(), p.sum(), (p * (1 - p)).sum()) < 4


def test_survival_is_calibrated_over_the_crowd(crowd: list[tuple[State, State | None]]) -> None:
    t_ms = np.array([30_000, LEAVE_AFTER_MS, 6 * HOUR_MS, DAY_MS, 7 * DAY_MS])
    chance = np.array([survival(SHOP, state, t_ms) for state, _ in crowd])
    gap = np.array([np.inf if following is None else following.ts_ms - state.ts_ms for state, following in crowd])
    for k, t in enumerate(t_ms):
        high = chance[:, k] > np.median(chance[:, k])
        for part in (high, ~high):
            p = chance[part, k]
            assert deviations((gap[part] > t).sum(), p.sum(), (p * (1 - p)).sum()) < 4


def test_a_forecast_that_does_not_know_the_shopper_does_worse_than_the_truth(
    crowd: list[tuple[State, State | None]],
) -> None:
    chance = np.array([next_action_probabilities(SHOP, state) for state, _ in crowd])
    came = np.array([outcome(state, following) for state, following in crowd])
    action = np.array([state.action for state, _ in crowd])
    table = np.array([np.bincount(came[action == a], minlength=4) / (action == a).sum() for a in range(3)])
    loss = -np.log(chance[np.arange(len(came)), came]).mean()
    assert loss < -np.log(table[action, came]).mean() - 0.05


def test_sessions_start_in_the_weekly_rhythm() -> None:
    shopper = SHOP.shopper(0)._replace(rate_per_h=1 / 500)  # so rare that the start of the wait is forgotten
    source = uniform(6)
    starts = np.array([start(SHOP, shopper, NOW_MS, source).ts_ms for _ in range(DRAWS)])
    counts = np.bincount(starts // HOUR_MS % 168, minlength=168)
    # a wait of 500 mean hours is about three weeks: the memory of where it began is in the exact density of the start
    edges_ms = NOW_MS // HOUR_MS * HOUR_MS + HOUR_MS * np.arange(168 * 60)
    late = 1 - np.exp(-(np.maximum(activity(edges_ms) - activity(np.array(NOW_MS)), 0)) / 500)
    expected = np.bincount(edges_ms[:-1] // HOUR_MS % 168, weights=np.diff(late) * DRAWS, minlength=168)
    assert deviations(float(((counts - expected) ** 2 / expected).sum()), 167, 2 * 167) < 5
    assert np.corrcoef(counts, FACTORS)[0, 1] > 0.9


def test_crowd_is_busy_at_eight_in_the_evening_and_quiet_at_eight_in_the_morning(
    crowd: list[tuple[State, State | None]],
) -> None:
    hours = np.bincount([state.ts_ms // HOUR_MS % 24 for state, _ in crowd if state.steps == 1], minlength=24)
    assert hours[19:22].sum() > 5 * hours[7:10].sum() > 0


def test_when_undoes_activity() -> None:
    assert FACTORS.mean() == pytest.approx(1)
    for ts_ms in (0, 1, NOW_MS, NOW_MS + 3 * HOUR_MS + 17):
        assert when(float(activity(np.array(ts_ms)))) == pytest.approx(ts_ms, abs=1e-3)


@pytest.mark.parametrize("name", examples())
def test_as_many_are_gone_for_good_as_stated(name: str) -> None:
    state = examples()[name]
    p = float(next_action_probabilities(SHOP, state)[LEAVE]) * churn(state)
    assert deviations(drawn(state, 7).count(None), DRAWS * p, DRAWS * p * (1 - p)) < 4


def test_a_purchase_in_the_session_makes_churn_less_likely() -> None:
    state = examples()["view"]
    assert churn(state._replace(bought=True)) < 0.5 * churn(state)

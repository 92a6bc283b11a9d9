import numpy as np
import pytest
from public_data import public_file
from small_logs import small_log

from models.convert import cdnow
from models.floors.bg_nbd import BgNbd, Parameters, active, alive, expected, fit, log_likelihood
from models.floors.occasions import DAY_MS, Occasions, counts_ahead, occasions
from models.floors.recency_frequency import RecencyFrequency
from models.log import Log, log

DAY_S = DAY_MS // 1000
PUBLISHED = Parameters(0.243, 4.414, 0.793, 2.426)
"""Of one customer in ten of CDNOW, in weeks: table 2 of the paper."""


def days(*sequences: list[float]) -> Log:
    """Return a log of purchases on days."""
    return small_log(
        ["a" * len(times) for times in sequences],
        ["t" * len(times) for times in sequences],
        [[int(day * DAY_S) for day in times] for times in sequences],
    )


def test_occasions_are_days_counted_back_from_the_moment() -> None:
    made = days([0.1, 0.5, 3.2, 9.9], [4.0], [10.0])
    who, seen = occasions(made, np.arange(len(made.item)), 10 * DAY_MS)
    assert who.tolist() == [0, 1]
    assert seen.again.tolist() == [2, 0]
    assert seen.last.tolist() == [9, 0]
    assert seen.age.tolist() == [10, 6]
    assert seen.events.tolist() == [4, 1]


def test_what_is_expected_of_a_customer_is_as_published() -> None:
    """Fader, Hardie, Lee: Implementing the BG/NBD model for customer base analysis in Excel, 2005."""
    seen = Occasions(np.array([2]), np.array([30.43 * 7]), np.array([38.86 * 7]), np.array([3]))
    assert expected(PUBLISHED, seen, 39.0) == pytest.approx([1.226], abs=1e-3)


def test_who_never_came_back_is_still_alive_and_a_long_silence_is_not() -> None:
    seen = Occasions(np.array([0, 5, 5]), np.array([0.0, 250, 30]), np.full(3, 260.0), np.full(3, 1))
    fresh, recent, silent = alive(PUBLISHED, seen)
    assert fresh == 1
    assert recent > 0.8
    assert silent < 0.1


def test_fitting_finds_the_parameters_that_customers_were_drawn_from() -> None:
    true, draw = Parameters(0.6, 5.0, 0.8, 2.5), np.random.default_rng(1)
    n, age = 4000, 60.0
    rate, leaving = draw.gamma(true.r, 1 / true.alpha, n), draw.beta(true.a, true.b, n)
    again, last, ahead = np.zeros(n, np.int64), np.zeros(n), np.zeros(n)
    for k in range(n):
        week = 0.0
        while (week := week + draw.exponential(1 / rate[k])) < age + 30:
            if week < age:
                again[k], last[k] = again[k] + 1, week
            else:
                ahead[k] += 1
            if draw.random() < leaving[k]:
                break
    seen = Occasions(again, last * 7, np.full(n, age * 7), again + 1)
    found = fit(seen)
    assert log_likelihood(found, seen).sum() >= log_likelihood(true, seen).sum() - 1e-3
    assert found.r == pytest.approx(true.r, rel=0.15)
    assert expected(found, seen, 30.0).mean() == pytest.approx(ahead.mean(), rel=0.15)
    assert active(found, seen, 30.0).mean() == pytest.approx((ahead > 0).mean(), rel=0.1)


def test_several_events_a_day_are_expected_again() -> None:
    draw = np.random.default_rng(0)
    once = [sorted(draw.uniform(0, 60, draw.integers(1, 12))) for _ in range(60)]
    twice = [sorted([*times, *(time + 1e-4 for time in times)]) for times in once]
    (one, few), (other, many) = (
        BgNbd(made, np.arange(len(made.item))).activity(made, 60 * DAY_MS, 30 * DAY_MS)
        for made in (days(*once), days(*twice))
    )
    assert one == pytest.approx(other)
    assert many == pytest.approx(2 * few, rel=1e-6)


def test_what_is_bought_together_is_one_purchase() -> None:
    made = days([0, 1, 1, 1, 9, 9], [5])
    _, seen = occasions(made, np.arange(len(made.item)), 3 * DAY_MS)
    assert seen.events.tolist() == [2]
    assert counts_ahead(made, np.arange(len(made.item)), 3 * DAY_MS, 10 * DAY_MS).tolist() == [1, 1]


def test_frequent_and_recent_users_come_back_says_the_regression() -> None:
    regular = [[float(day) for day in range(k % 3, 100, 3)] for k in range(40)]
    gone = [[float(k % 5), 5.0 + k % 7] for k in range(40)]
    made = days(*regular, *gone)
    probability, count = RecencyFrequency(made, np.arange(len(made.item))).activity(made, 80 * DAY_MS, 20 * DAY_MS)
    assert probability[:40].min() > 0.9
    assert probability[40:].max() < 0.1
    assert count[:40].min() > 5
    assert count[40:].max() < 0.5
    alike, mean = RecencyFrequency(made, np.arange(len(made.item)), "nothing").activity(made, 80 * DAY_MS, 20 * DAY_MS)
    assert set(alike) == {0.5}
    assert mean[0] == pytest.approx(20 / 3 / 2, rel=0.1)


def test_a_short_past_is_stretched_at_a_constant_rate() -> None:
    made = days(*[[0.0] for _ in range(10)], *[[0.0, 8.0] for _ in range(10)])
    probability, _ = RecencyFrequency(made, np.arange(len(made.item)), "nothing").activity(
        made, 10 * DAY_MS, 15 * DAY_MS
    )
    assert probability[0] == pytest.approx(1 - 0.5**3)  # half came in the last 5 days


def test_parameters_of_all_customers_are_near_those_published_of_one_in_ten() -> None:
    made = log(cdnow.convert(public_file("cdnow_master.txt.gz")).events)
    _, seen = occasions(made, np.arange(len(made.item)), cdnow.TEST_FROM_MS)
    assert len(seen.again) == 23_570
    assert list(fit(seen)) == pytest.approx(list(PUBLISHED), rel=0.1)

"""Survival from hazards, against a product bin by bin and against a draw."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.features import GAP_EDGES_MS, TIME_BINS, gap_code
from models.state import Floats, Ints
from models.survival import STARTS_MS, WIDTHS_MS, Curves, widths_passed

DAY_MS = 86_400_000
LAST_MS = int(GAP_EDGES_MS[-1])
HAZARDS = st.lists(st.floats(0, 0.999), min_size=TIME_BINS, max_size=TIME_BINS)


def plain_survival(hazards: list[float], t_ms: int) -> float:
    """The product of what each bin leaves over; inside a bin the rate is constant."""
    product, start = 1.0, 0
    for end, hazard in zip(GAP_EDGES_MS.tolist(), hazards, strict=False):
        if t_ms < end:
            return float(product * (1 - hazard) ** ((t_ms - start) / (end - start)))
        product, start = product * (1 - hazard), end
    while t_ms >= 2 * start:
        product, start = product * (1 - hazards[-1]), 2 * start
    return float(product * (1 - hazards[-1]) ** ((t_ms - start) / start))


def silence(hazards: Floats, silent_ms: Ints, horizon_ms: int | Ints) -> Floats:
    return Curves(hazards[:, None]).silence(0, silent_ms, horizon_ms)


def survived(hazards: Floats, t_ms: Ints) -> Floats:
    return silence(hazards, np.zeros_like(t_ms), t_ms)


def test_bins_follow_each_other_from_0_and_are_those_of_the_gaps() -> None:
    assert STARTS_MS[0] == 0
    assert (STARTS_MS[:-1] + WIDTHS_MS[:-1] == STARTS_MS[1:]).all()
    assert gap_code(STARTS_MS).tolist() == list(range(TIME_BINS))


@given(HAZARDS, st.lists(st.integers(0, 40 * LAST_MS), min_size=1, max_size=5))
def test_survival_is_the_product_of_what_each_bin_leaves(hazards: list[float], times: list[int]) -> None:
    plain = [plain_survival(hazards, t) for t in times]
    one_user = np.array([hazards])
    assert survived(one_user, np.array([times]))[0] == pytest.approx(plain, rel=1e-9, abs=1e-300)
    same = np.repeat(one_user, len(times), axis=0)
    assert survived(same, np.array(times)) == pytest.approx(plain, rel=1e-9, abs=1e-300)


@given(HAZARDS, st.integers(0, 2 * LAST_MS), st.integers(1, 60 * DAY_MS))
def test_silence_is_a_probability_that_falls_with_the_horizon(hazards: list[float], silent_ms: int, more: int) -> None:
    values = [float(silence(np.array([hazards]), np.array([silent_ms]), h)[0]) for h in (0, more, 2 * more)]
    assert values[0] == 1
    assert 0 <= values[2] <= values[1] * (1 + 1e-12) <= 1 + 1e-11


def test_silence_after_silence_multiplies() -> None:
    hazards = np.random.default_rng(0).uniform(0, 0.5, (50, TIME_BINS))
    t = np.random.default_rng(1).integers(0, 40 * DAY_MS, 50)
    whole = silence(hazards, t, 9 * DAY_MS)
    assert whole == pytest.approx(silence(hazards, t, 2 * DAY_MS) * silence(hazards, t + 2 * DAY_MS, 7 * DAY_MS))


def test_nobody_has_no_probabilities() -> None:
    nobody = Curves(np.zeros((0, 2, TIME_BINS)))
    assert nobody.silence(1, np.zeros(0, np.int64), DAY_MS).shape == (0,)
    assert nobody.silence(1, np.zeros((0, 3), np.int64), np.array([1, 2, 3])).shape == (0, 3)


def test_hazard_goes_on_for_ever_after_the_last_edge_in_bins_twice_as_wide_each() -> None:
    hazards = np.full((1, TIME_BINS), 0.1)
    far = [float(silence(hazards, np.array([t]), t)[0]) for t in (LAST_MS, 4 * LAST_MS, 128 * LAST_MS)]
    assert far == pytest.approx([0.9] * 3)
    near, late = (float(silence(hazards, np.array([t]), DAY_MS)[0]) for t in (LAST_MS, 5 * LAST_MS))
    assert near < late < 1


@given(st.integers(0, 2**44))
def test_widths_passed_are_those_that_survival_counts(t_ms: int) -> None:
    bin_ = gap_code(np.array([t_ms]))
    hazards = np.zeros((1, TIME_BINS))
    hazards[0, bin_] = 0.3
    passed = np.log(survived(hazards, np.array([t_ms]))) / np.log1p(-0.3)
    assert widths_passed(bin_, np.array([t_ms])) == pytest.approx(passed, abs=1e-9)


def test_silence_agrees_with_drawn_gaps() -> None:
    random = np.random.default_rng(2)
    hazards = np.random.default_rng(3).uniform(0.02, 0.3, TIME_BINS)
    falls = random.random((100_000, TIME_BINS)) < hazards
    bin_ = np.where(falls.any(axis=1), falls.argmax(axis=1), TIME_BINS)
    for code in (5, 12, 20):
        at = np.array([int(STARTS_MS[code])])
        left = float(survived(hazards[None], at)[0])
        assert (bin_ >= code).mean() == pytest.approx(left, abs=4 * np.sqrt(left / 100_000))

"""How sure to be of the likeliest item: the curve is found, and changes no item's place."""

import numpy as np
import pytest

from models.likeliest import AS_SAID, Curve, bent, fit, fit_by_fold, put_right
from models.state import Floats

RANDOM = np.random.default_rng(1)


@pytest.mark.parametrize("curve", [AS_SAID, (0.75, 0.1, -0.65), (1.5, 1.0, 0.25)])
def test_a_curve_is_the_one_that_rows_were_drawn_by(curve: Curve) -> None:
    sure = RANDOM.uniform(0.01, 0.95, 40_000)
    came = RANDOM.random(len(sure)) < bent(curve, sure)
    found = bent(fit(sure, came), sure)
    assert np.abs(found - bent(curve, sure)).max() < 0.02
    by_fold = fit_by_fold(sure, came, np.arange(len(sure)) % 5, 5)
    assert 0 < np.abs(by_fold - found).max() < 0.02


def test_a_fold_is_bent_by_the_others() -> None:
    sure, fold = np.full(1_000, 0.5), np.arange(1_000) % 2
    found = fit_by_fold(sure, fold == 0, fold, 2)
    assert found[0] < 0.1 < 0.9 < found[1]


def test_few_rows_change_little() -> None:
    sure = np.full(3, 0.5)
    assert bent(fit(sure, np.zeros(3, np.bool_)), sure)[0] == pytest.approx(0.5, abs=0.1)


def test_who_is_surer_stays_so_even_where_the_surest_erred() -> None:
    sure = np.linspace(0.05, 0.95, 2_000)
    a, b, _ = curve = fit(sure, sure < 0.5)
    assert min(a, b) >= 0
    assert (np.diff(bent(curve, sure)) >= 0).all()


@pytest.mark.parametrize("curve", [(0.75, 0.1, -0.65), (1.5, 1.0, 0.25), (1.0, 1.0, -5.0), (1.0, 1.0, 5.0)])
@pytest.mark.parametrize("form", [np.float32, np.float64])
def test_probabilities_stay_some_and_no_two_change_places(curve: Curve, form: type) -> None:
    odds: Floats = RANDOM.dirichlet(np.full(30, 0.3), 500).astype(form)
    before = odds.copy()
    after = put_right(odds, curve)
    np.testing.assert_allclose(after.sum(1), 1, rtol=1e-5)
    row, top = np.arange(len(odds)), before.argmax(1)
    assert (after.argmax(1) == top).all()
    rest = np.argsort(before, axis=1, kind="stable")[:, :-1]
    assert (np.diff(np.take_along_axis(after, rest, 1), axis=1) >= 0).all()
    wanted, least = bent(curve, before[row, top].astype(np.float64)), np.sort(after, axis=1)[:, -2]
    np.testing.assert_allclose(after[row, top], np.maximum(wanted, least), rtol=1e-4)


def test_what_is_certain_and_what_is_alone_stays_so() -> None:
    curve = (0.5, 0.0, -1.0)
    assert put_right(np.array([[1.0]]), curve).tolist() == [[1.0]]
    assert put_right(np.array([[0.0, 1.0, 0.0]], np.float32), curve).tolist() == [[0.0, 1.0, 0.0]]
    assert put_right(np.zeros((2, 0)), curve).shape == (2, 0)


def test_what_rounding_has_made_certain_is_shared_as_others_are() -> None:
    """The largest of float32 is 1 where the others are 3e-8 together, which 1 less the largest does not tell."""
    odds = np.array([[1e-8, 1.0, 2e-8]], np.float32)
    after = put_right(odds, (0.5, 0.0, -1.0))
    assert after.sum() == pytest.approx(1)
    assert after[0, 2] == pytest.approx(2 * after[0, 0])
    assert after[0, 1] < 0.5

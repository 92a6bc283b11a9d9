import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from models.evaluation.binary import Curve, binary_figures
from models.evaluation.bootstrap import Bootstrap
from models.evaluation.calibration import BINS, calibration_error, mass_bins
from models.evaluation.concordance import Bools, Concordance
from models.state import Floats


def test_a_figure_lies_in_its_interval_and_the_interval_is_as_wide_as_theory_has_it() -> None:
    values = np.random.default_rng(1).normal(size=2000)
    figure = Bootstrap(np.arange(2000), replicates=1000).mean(values)
    assert figure.value == pytest.approx(values.mean())
    assert figure.high - figure.low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(2000), rel=0.15)


def test_rows_of_one_sequence_are_drawn_together() -> None:
    values = np.repeat(np.random.default_rng(1).normal(size=200), 10)
    whole = Bootstrap(np.repeat(np.arange(200), 10)).mean(values)
    alone = Bootstrap(np.arange(2000)).mean(values)
    assert (whole.high - whole.low) / (alone.high - alone.low) == pytest.approx(np.sqrt(10), rel=0.2)


def test_draws_depend_on_the_seed_alone() -> None:
    values = np.arange(50.0)
    first, again, other = (Bootstrap(np.arange(50), seed=seed).mean(values) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_what_is_not_defined_has_no_interval() -> None:
    [figure] = Bootstrap(np.arange(3)).figures(lambda weights: np.array([np.nan]))
    assert np.isnan([figure.value, figure.low, figure.high]).all()


@pytest.mark.parametrize("seed", range(10))
def test_areas_are_those_of_scikit_learn_ties_and_weights_included(seed: int) -> None:
    draw = np.random.default_rng(seed)
    score, came = draw.integers(0, 12, 200) / 12, (draw.random(200) < 0.3).astype(np.float64)
    weights = draw.poisson(1, 200).astype(np.float64)
    auc, precision = Curve(score, came).areas(weights)
    assert auc == pytest.approx(roc_auc_score(came, score, sample_weight=weights))
    assert precision == pytest.approx(average_precision_score(came, score, sample_weight=weights))


def test_areas_need_both_outcomes() -> None:
    assert np.isnan(Curve(np.array([0.1, 0.2]), np.zeros(2)).areas(np.ones(2))).all()


def test_binary_figures_are_those_of_scikit_learn() -> None:
    draw = np.random.default_rng(5)
    probability = draw.random(300)
    came = (draw.random(300) < probability).astype(np.float64)
    figures = binary_figures(Bootstrap(np.arange(300), 20), probability, came)
    assert figures["log_loss"].value == pytest.approx(log_loss(came, probability))
    assert figures["brier"].value == pytest.approx(brier_score_loss(came, probability))
    assert figures["roc_auc"].value == pytest.approx(roc_auc_score(came, probability))


def ece(probability: Floats, came: Floats) -> float:
    return calibration_error(Bootstrap(np.arange(len(came)), 2), probability, came).value


def test_calibration_error_is_the_gap_of_each_bin_by_its_rows() -> None:
    assert ece(np.full(10, 0.5), np.array([1.0] * 8 + [0.0] * 2)) == pytest.approx(0.3)
    probability = np.array([0.2] * 5 + [0.9] * 5)
    came = np.array([1, 0, 0, 0, 0, 1, 1, 1, 0, 0], np.float64)
    assert ece(probability, came) == pytest.approx((0 * 5 + 0.3 * 5) / 10)


def test_bins_have_equal_mass_and_never_part_what_is_equal() -> None:
    bins = mass_bins(np.random.default_rng(0).random(15_000))
    assert np.bincount(bins).tolist() == [1000] * BINS
    assert len(set(mass_bins(np.full(100, 0.3)).tolist())) == 1


def test_believable_probabilities_have_an_error_near_zero_and_their_interval_holds_the_figure() -> None:
    draw = np.random.default_rng(2)
    probability = draw.random(20_000)
    came = (draw.random(20_000) < probability).astype(np.float64)
    figure = calibration_error(Bootstrap(np.arange(20_000), 50), probability, came)
    assert figure.low <= figure.value <= figure.high
    assert figure.value < 0.015


def pairs(later: Floats, time: Floats, came: Bools, weights: Floats) -> float:
    right = total = 0.0
    for i in range(len(time)):
        for j in range(len(time)):
            if came[i] and (time[i] < time[j] or (time[i] == time[j] and not came[j])):
                weight = weights[i] * weights[j]
                total += weight
                right += weight * ((later[i] < later[j]) + 0.5 * (later[i] == later[j]))
    return right / total


@pytest.mark.parametrize("seed", range(10))
def test_concordance_counts_every_pair_that_can_be_told(seed: int) -> None:
    draw = np.random.default_rng(seed)
    later, time = draw.integers(0, 8, 60) / 8, draw.integers(0, 20, 60).astype(np.float64)
    came, weights = draw.random(60) < 0.7, draw.poisson(1, 60).astype(np.float64)
    assert Concordance(later, time, came).of(weights) == pytest.approx(pairs(later, time, came, weights))


def test_concordance_of_nothing_to_compare_is_not_defined() -> None:
    assert np.isnan(Concordance(np.ones(2), np.ones(2), np.zeros(2, bool)).of(np.ones(2)))

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score, log_loss, precision_score, recall_score
from small_logs import random_log, small_log

from models.evaluation.churn import churn
from models.evaluation.next_action import next_action
from models.evaluation.rows import NothingToScoreError, scored_rows
from models.evaluation.time_to_next import medians_ms, time_to_next
from models.features import GAP_EDGES_MS
from models.log import Log
from models.state import Floats, Ints

HOUR_MS = 3_600_000


class Random:
    """Says anything."""

    def action_probabilities(self, log: Log, rows: Ints) -> Floats:
        drawn = np.random.default_rng(len(rows)).random((len(rows), len(log.actions)))
        probabilities: Floats = drawn / drawn.sum(1, keepdims=True)
        return probabilities


def test_next_action_is_scored_as_scikit_learn_does() -> None:
    made = random_log(1, sequences=200)
    report = next_action(made, {"random": Random()}, split="train", replicates=5)
    rows = scored_rows(made, "train")
    came, said = made.action[rows], Random().action_probabilities(made, rows)
    scores, best = report.predictors["random"], said.argmax(1)
    assert scores.confusion == confusion_matrix(came, best).tolist()
    assert scores.figures["log_loss"].value == pytest.approx(log_loss(came, said))
    assert scores.figures["macro_f1"].value == pytest.approx(f1_score(came, best, average="macro"))
    assert scores.figures["error"].value == pytest.approx((came != best).mean())
    precision, recall = precision_score(came, best, average=None), recall_score(came, best, average=None)
    for k, action in enumerate(made.actions):
        assert scores.parts[action]["precision"].value == pytest.approx(precision[k])
        assert scores.parts[action]["recall"].value == pytest.approx(recall[k])
        assert scores.parts[action]["roc_auc"].value == pytest.approx(0.5, abs=0.15)


def test_an_action_that_never_comes_does_not_count_in_macro_f1() -> None:
    made = small_log(["aaa", "aaa"], ["ttt", "vvv"], actions=["vcp", "vcc"])

    class Right:
        def action_probabilities(self, log: Log, rows: Ints) -> Floats:
            return np.eye(len(log.actions))[log.action[rows]]

    report = next_action(made, {"right": Right()}, replicates=3)
    assert report.predictors["right"].figures["macro_f1"].value == 1
    assert report.about["came"] == {"view": 0, "click": 2, "purchase": 0}


def test_probabilities_that_are_none_are_a_bug() -> None:
    class Wrong:
        def action_probabilities(self, log: Log, rows: Ints) -> Floats:
            return np.ones((len(rows), len(log.actions)))

    with pytest.raises(ValueError, match="wrong: the probabilities"):
        next_action(small_log(["aaa", "aaa"], actions=["vcp", "vcc"]), {"wrong": Wrong()})


class Half:
    """Says that half of what is left comes in each bin."""

    def survival(self, log: Log, rows: Ints, horizons_ms: Ints, silent_ms: Ints | None = None) -> Floats:
        passed = np.searchsorted(GAP_EDGES_MS, horizons_ms, side="right")
        return np.tile(0.5**passed, (len(rows), 1))


def test_time_is_scored_on_bins_and_what_has_not_come_by_what_was_watched() -> None:
    made = small_log(["ab", "aa", "aa"], ["tt", "vv", "vv"], [[0, 1], [0, 2], [0, 7]])
    report = time_to_next(made, {"half": Half()}, replicates=5, horizons_ms=[4000])
    # gaps 2 s (bin 2), then nothing for 5 s (not before bin 3); 7 s (bin 3), then nothing for 0 s
    assert (report.about["rows"], report.about["not_come"]) == (4, 2)
    scores = report.predictors["half"]
    expected = -np.log([0.5**3, 0.5**3, 0.5**4, 1]).mean()
    assert scores.figures["log_loss"].value == pytest.approx(expected)
    assert scores.figures["concordance"].value == 0.5
    assert scores.figures["mae_h"].value == pytest.approx((1 + 6) / 2 / 3600)
    at = scores.parts["0.00111111h"]  # 2 s came in time, 5 s of nothing and 7 s did not, 0 s of nothing say nothing
    came = np.array([1.0, 0, 0])
    assert at["brier"].value == pytest.approx(((1 - 0.5**3 - came) ** 2).mean())


class Rate:
    """Says that events come at a constant rate, whatever happened."""

    def survival(self, log: Log, rows: Ints, horizons_ms: Ints, silent_ms: Ints | None = None) -> Floats:
        return np.tile(np.exp(-horizons_ms / 100_000), (len(rows), 1))


def test_the_truth_is_calibrated_in_a_log_that_is_cut_in_time() -> None:
    """Waits that the cut goes through, and those that the end cuts off, look neither longer nor shorter for it."""
    draw = np.random.default_rng(5)
    times = [np.unique(np.append(0, draw.exponential(100, 30).cumsum().astype(int))) for _ in range(300)]
    times = [some[some < 1000] for some in times]
    made = small_log(
        ["a" * len(some) for some in times],
        ["".join("te"[int(second >= 700)] for second in some) for some in times],
        [some.tolist() for some in times],
    )
    report = time_to_next(made, {"truth": Rate()}, replicates=3, horizons_ms=[50_000, 200_000])
    assert report.about["not_come"] == 300
    for horizon in report.predictors["truth"].parts.values():
        assert horizon["ece"].value < 0.02


def test_who_was_silent_when_the_split_began_is_asked_about_the_time_from_then_on() -> None:
    made = small_log(["ab", "aa"], ["te", "te"], [[0, 40], [20, 30]])

    class Asked:
        def survival(self, log: Log, rows: Ints, horizons_ms: Ints, silent_ms: Ints | None = None) -> Floats:
            assert silent_ms is not None
            self.silent_ms = silent_ms.tolist()
            return Half().survival(log, rows, horizons_ms)

    asked = Asked()
    report = time_to_next(made, {"asked": asked}, replicates=3, horizons_ms=[4000])
    assert asked.silent_ms == [30_000, 0, 10_000, 0]
    # 10 s from 30 s on (bin 4), nothing for 0 s, 0 s (bin 0), nothing for 10 s (not before bin 4)
    expected = -np.log([0.5**5, 1, 0.5, 0.5**4]).mean()
    assert report.predictors["asked"].figures["log_loss"].value == pytest.approx(expected)


def test_medians_lie_between_edges() -> None:
    survival = np.array([np.linspace(0.9, 0.1, 24), np.full(24, 0.9), np.full(24, 0.25)])
    median = medians_ms(survival)
    place = np.searchsorted(GAP_EDGES_MS, median[0])
    assert survival[0, place] <= 0.5 <= survival[0, place - 1]
    assert median[1] == GAP_EDGES_MS[-1]
    assert median[2] == pytest.approx(1000 * 0.5 / 0.75)


class Said:
    """Says of users in order."""

    def __init__(self, probability: list[float], count: list[float]) -> None:
        self._said = np.array(probability), np.array(count)

    def activity(self, log: Log, at_ms: int, horizon_ms: int) -> tuple[Floats, Floats]:
        return self._said


def test_churn_is_scored_over_all_who_were_there_and_the_time_from_the_moment_to_the_horizon() -> None:
    times = [[0, 10, 10], [0, 15, 19], [5, 20], [12]]
    made = small_log(["aaa", "aaa", "aa", "a"], ["ttt", "ttt", "tt", "v"], times)
    said = Said([0.9, 0.8, 0.1], [1, 1, 0])
    report = churn(made, {"said": said}, at_ms=10_000, horizon_ms=10_000, replicates=5)
    figures = {name: figure.value for name, figure in report.predictors["said"].figures.items()}
    # counts 1 (at the moment itself, two rows at once), 2, 0 (the horizon is not in it); the fourth came later
    assert report.about["rows"] == 3
    assert figures["mae_count"] == pytest.approx(1 / 3)
    assert figures["roc_auc"] == 1
    assert figures["roc_auc_of_count"] == 1
    assert figures["brier"] == pytest.approx((0.01 + 0.04 + 0.01) / 3)


@pytest.mark.parametrize(
    ("at_ms", "horizon_ms", "message"),
    [(0, 1000, "before the moment"), (5000, 1000, "in the time to score"), (90_000, 1000, "in the time to score")],
)
def test_moments_that_say_nothing_are_refused(at_ms: int, horizon_ms: int, message: str) -> None:
    made = small_log(["aa", "aa"], ["tt", "vv"], [[0, 10], [1, 11]])
    with pytest.raises(NothingToScoreError, match=message):
        churn(made, {}, at_ms=at_ms, horizon_ms=horizon_ms)


def test_positions_have_no_times() -> None:
    made = small_log(["aa", "aa"])
    with pytest.raises(NothingToScoreError, match="no times"):
        churn(made, {}, at_ms=0, horizon_ms=1)
    with pytest.raises(NothingToScoreError, match="no times"):
        time_to_next(made, {})

import numpy as np
import pytest
from small_logs import code, small_log

from models.evaluation.next_item import next_item
from models.evaluation.ranking import ranked
from models.log import Log
from models.state import Floats, Ints

INF = np.inf


def test_a_tie_counts_as_the_middle_of_its_places() -> None:
    rank, top = ranked(np.zeros((1, 5)), np.array([0]), np.ones(5, bool), 2)
    assert rank.tolist() == [3]
    assert top.tolist() == [[0, 1]]


@pytest.mark.parametrize("score", [-INF, np.nan])
def test_what_has_no_score_is_never_found(score: float) -> None:
    rank, top = ranked(np.array([[score, score, 1.0]]), np.array([0]), np.ones(3, bool), 3)
    assert rank.tolist() == [INF]
    assert top.tolist() == [[2, -1, -1]]


def test_items_that_are_no_candidates_take_no_place() -> None:
    candidates = np.array([True, False, True])
    scores = np.array([[1.0, 9.0, 2.0], [1.0, 9.0, 2.0]])
    rank, top = ranked(scores, np.array([0, 1]), candidates, 3)
    assert rank.tolist() == [2, INF]
    assert top.tolist() == [[2, 0, -1]] * 2


def test_items_of_the_history_are_left_out_and_the_scores_of_the_caller_stay() -> None:
    scores = np.array([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]], np.float32)
    seen = np.array([0, 0, 1]), np.array([0, 2, 3])
    rank, top = ranked(scores, np.array([1, 1]), np.ones(3, bool), 2, seen)
    assert rank.tolist() == [1, INF]
    assert top.tolist() == [[1, 2], [0, 2]]
    assert scores.tolist() == [[3, 2, 1]] * 2


@pytest.mark.parametrize("seed", range(20))
def test_ranks_are_those_of_sorting(seed: int) -> None:
    draw = np.random.default_rng(seed)
    scores = draw.integers(0, 6, (8, 30)).astype(np.float64)
    scores[draw.random(scores.shape) < 0.1] = -INF
    candidates = draw.random(30) < 0.8
    wanted = draw.integers(0, 30, 8)
    rank, top = ranked(scores, wanted, candidates, 7)
    for row, item in enumerate(wanted):
        listed = [k for k in np.argsort(-scores[row], kind="stable") if candidates[k] and scores[row, k] > -INF]
        assert top[row].tolist() == (listed + [-1] * 7)[:7]
        places = [n for n, k in enumerate(listed, 1) if scores[row, k] == scores[row, item]]
        assert rank[row] == (np.mean(places) if item in listed else INF)


class Fixed:
    """Says the same of every row."""

    def __init__(self, **scores: float) -> None:
        self._scores = scores

    def item_scores(self, log: Log, rows: Ints) -> Floats:
        return np.tile([self._scores.get(item, 0.0) for item in log.items], (len(rows), 1))


def test_figures_of_the_next_item_are_those_worked_out_by_hand() -> None:
    made = small_log(["aabc", "cabcz", "ab"], ["tttt", "ceeee", "vv"])
    report = next_item(made, {"fixed": Fixed(a=3, b=2, c=1, z=9)}, k=2, replicates=10)
    figures = {name: figure.value for name, figure in report.predictors["fixed"].figures.items()}
    # targets a, b, c, z; learned: a a b c, a b; z was never learned
    assert report.about["rows"] == 4
    assert report.about["rows_with_item_never_learned"] == 1
    assert report.about["candidates"] == 3
    assert figures["recall"] == 2 / 4
    assert figures["mrr"] == (1 + 1 / 2) / 4
    assert figures["ndcg"] == pytest.approx((1 + 1 / np.log2(3)) / 4)
    assert figures["coverage"] == 2 / 3
    assert figures["novelty"] == pytest.approx((-np.log2(3 / 6) - np.log2(2 / 6)) / 2)


class Shares(Fixed):
    """Says the same shares of every row."""

    def item_probabilities(self, log: Log, rows: Ints) -> Floats:
        scores = self.item_scores(log, rows)
        shares: Floats = scores / scores.sum(1, keepdims=True)
        return shares


def test_probabilities_of_items_are_scored_among_those_that_can_come() -> None:
    made = small_log(["abcd", "abz"], ["tttt", "cvv"])
    said = Shares(a=4, b=2, c=1, d=1, z=8)
    figures = next_item(made, {"": said}, replicates=3).predictors[""].figures
    # z was never learned: b has 2 of 8, z nothing; a is the surest, 1/2, and never comes
    assert figures["log_loss"].value == pytest.approx((-np.log(2 / 8) - np.log(1e-6)) / 2)
    assert figures["ece"].value == pytest.approx(1 / 2)
    figures = next_item(made, {"": said}, exclude_seen=True, replicates=3).predictors[""].figures
    # first without a: b has 2 of 4 and comes; then without b: c and d have half each
    assert figures["log_loss"].value == pytest.approx((-np.log(2 / 4) - np.log(1e-6)) / 2)
    assert "log_loss" not in next_item(made, {"": Fixed(a=1)}, replicates=2).predictors[""].figures


def test_the_history_is_masked_when_asked_for_and_then_a_repeat_is_a_miss() -> None:
    made = small_log(["abc", "abca"], ["ttt", "cvvv"])
    best = Fixed(a=3, b=2, c=1)
    open_, masked = (
        next_item(made, {"": best}, k=1, exclude_seen=hidden, replicates=2).predictors[""].figures["recall"].value
        for hidden in (False, True)
    )
    assert open_ == 1 / 3
    assert masked == 2 / 3
    assert code(made, "a") == 0

"""Each floor on a log small enough to work out by hand, or against a plain reading of its paper."""

from collections import Counter

import numpy as np
import pytest
from small_logs import code, random_log, small_log

from models.evaluation.rows import known_rows, scored_rows
from models.features import GAP_EDGES_MS
from models.floors.item_knn import ItemKnn
from models.floors.markov import Markov
from models.floors.popularity import Popularity
from models.floors.recency import Recency
from models.floors.sequential_rules import SequentialRules
from models.floors.survival_curve import SurvivalCurve
from models.floors.v_sknn import NEIGHBOURS, SAMPLE, VSknn
from models.log import Log
from models.state import Floats, Ints


def last(made: Log) -> Ints:
    return np.array([len(made.item) - 1])


def named(made: Log, scores: Floats) -> dict[str, float]:
    return dict(zip(made.items, scores[0].tolist(), strict=True))


def test_popularity_counts_what_may_be_learned_from() -> None:
    made = small_log(["aab", "aacccc"], ["ttt", "cvvvvv"], actions=["vvc", "vpppvv"])
    floor = Popularity(made, known_rows(made, "validation"))
    assert named(made, floor.item_scores(made, last(made))) == {"a": 2, "b": 1, "c": 0}
    assert floor.action_probabilities(made, last(made))[0] == pytest.approx(np.array([2.5, 1.5, 0.5]) / 4.5)


def test_recency_ranks_the_own_history_from_its_end_and_the_rest_by_popularity() -> None:
    made = small_log(["ddddcce", "abab?"])
    scores = Recency(made, known_rows(made, "validation")).item_scores(made, last(made))
    ranked = sorted(made.items, key=lambda item: -named(made, scores)[item])
    assert ranked[:5] == ["b", "a", "d", "c", "e"]


def test_recency_of_actions_decays_and_leans_on_the_prior() -> None:
    made = small_log(["aaaa", "aaa"], actions=["vvvv", "ccv"])
    found = Recency(made, known_rows(made, "validation")).action_probabilities(made, last(made))
    assert found[0] == pytest.approx(np.array([4.5 / 5, 1.8 + 0.5 / 5]) / 2.8)


def test_markov_chains_mix_the_counts_of_each_order_with_the_order_below() -> None:
    made = small_log(["abc", "abd", "xbd", "ab?"], ["ttt", "ttt", "ttt", "vvv"])
    rows, seven = known_rows(made, "validation"), len(made.items)
    zero = {item: (count + 1 / seven) / 7 for item, count in {"b": 3, "c": 1, "d": 2}.items()}
    one = {item: (count + zero[item]) / 4 for item, count in {"c": 1, "d": 2}.items()}
    two = {item: (count + one[item]) / 3 for item, count in {"c": 1, "d": 1}.items()}
    for chain, expected in ((Markov(made, rows, 1), one), (Markov(made, rows, 2), two)):
        scores = named(made, chain.item_scores(made, last(made)))
        assert scores["c"] == pytest.approx(expected["c"], rel=1e-5)
        assert scores["d"] == pytest.approx(expected["d"], rel=1e-5)
        assert sum(scores.values()) == pytest.approx(1, abs=1e-5)


def test_a_context_never_met_is_left_to_the_order_below() -> None:
    made = small_log(["abc", "abd", "zz?"], ["ttt", "ttt", "vvv"], actions=["vcp", "vcp", "ppv"])
    rows = known_rows(made, "validation")
    lower, higher = (
        chain.action_probabilities(made, last(made)) for chain in (Markov(made, rows, 1), Markov(made, rows, 2))
    )
    assert lower == pytest.approx(higher)


def test_the_beginning_of_a_sequence_is_a_context_of_its_own() -> None:
    made = small_log(["ab", "xac", "xac", "ad"], ["tt", "ttt", "ttt", "vv"])
    scores = named(made, Markov(made, known_rows(made, "validation"), 2).item_scores(made, last(made)))
    assert scores["b"] > scores["c"]


def test_sequential_rules_count_nearer_steps_more() -> None:
    made = small_log(["abc", "acb", "a?"], ["ttt", "ttt", "vv"])
    scores = SequentialRules(made, known_rows(made, "validation")).item_scores(made, last(made))
    assert named(made, scores) == {"a": 0, "b": 1.5, "c": 1.5, "?": 0}
    made = small_log(["a" + "x" * 9 + "bc", "a?"], ["t" * 12, "vv"])
    scores = SequentialRules(made, known_rows(made, "validation")).item_scores(made, last(made))
    assert named(made, scores)["b"] == pytest.approx(0.1)
    assert named(made, scores)["c"] == 0


def test_item_knn_shares_sequences_and_shrinks_what_is_rare() -> None:
    made = small_log(["abb", "ab", "ac", "a?"], ["ttt", "tt", "tt", "vv"])
    scores = named(made, ItemKnn(made, known_rows(made, "validation")).item_scores(made, last(made)))
    assert scores["a"] == 0
    assert scores["b"] == pytest.approx(2 / np.sqrt((3 + 20) * (2 + 20)))
    assert scores["c"] == pytest.approx(1 / np.sqrt((3 + 20) * (1 + 20)))


def v_sknn(sessions: list[list[int]], current: list[int]) -> Counter[int]:
    """Read the paper as plainly as possible; a session's number tells how recent it is."""
    weight = {item: place / len(current) for place, item in enumerate(current, 1)}
    shared = [k for k, items in enumerate(sessions) if set(items) & set(current)][-SAMPLE:]
    similarity = {k: sum(weight[item] for item in set(sessions[k]) & set(current)) for k in shared}
    scores: Counter[int] = Counter()
    for k in sorted(shared, key=lambda k: (-round(similarity[k], 9), -k))[:NEIGHBOURS]:
        back = next(n for n, item in enumerate(reversed(current), 1) if item in sessions[k])
        for item in set(sessions[k]):
            scores[item] += similarity[k] / back  # type: ignore[assignment]
    return scores


@pytest.mark.parametrize("letters", ["abcdefgh", "abcdefghijklmnopqrstuvwxyz"])
def test_v_sknn_is_as_its_paper_has_it(letters: str) -> None:
    draw = np.random.default_rng(len(letters))
    past = ["".join(draw.choice(list(letters), draw.integers(1, 7))) for _ in range(1500)]
    made = small_log([*past, *(["abcabd"] * 3)], ["t" * len(items) for items in past] + ["eeeeee"] * 3)
    order = sorted(range(len(past)), key=lambda k: f"s{k:02d}")  # as a log sorts names
    sessions = [[code(made, letter) for letter in past[k]] for k in order]
    rows = scored_rows(made, "test")[:5]
    scores = VSknn(made, known_rows(made, "test")).item_scores(made, rows)
    start = rows[0] - 1
    for row, found in zip(rows, scores, strict=True):
        expected = v_sknn(sessions, made.item[start:row].tolist())
        assert found == pytest.approx([expected[k] for k in range(len(made.items))], rel=1e-4, abs=1e-4)


def test_recent_sequences_are_those_that_ended_last() -> None:
    many = SAMPLE + 5
    times = [[2 * k + 100, 2 * k + 101] for k in range(many)]
    times[0], times[1] = [10**6, 10**6 + 1], [0, 1]  # s00 is the newest, s01 the oldest
    sequences = ["ab", "ac"] + ["ad"] * (many - 2) + ["a?"]
    made = small_log(sequences, ["tt"] * many + ["ee"], [*times, [2 * 10**6, 2 * 10**6 + 1]])
    floor = VSknn(made, known_rows(made, "test"))
    scores = named(made, floor.item_scores(made, scored_rows(made, "test")))
    assert scores["c"] == 0
    assert scores["d"] > 0


def test_survival_curve_is_the_life_table() -> None:
    made = small_log(["aa", "aaa", "aa"], ["tt", "ttt", "vv"], [[0, 5], [0, 1, 10], [20, 21]])
    floor = SurvivalCurve(made, known_rows(made, "validation"), "none")
    survival = floor.survival(made, scored_rows(made, "validation"), GAP_EDGES_MS)[0]
    # gaps 1, 5 and 9 s, and 5 and 0 s of nothing: bins 1, 3, 4, and no event in 3 and 0
    left, before = [4, 4, 3, 2.25, 1], [0, 1, 0, 1, 1]
    expected: list[float] = []
    for waiting, came in zip(left, before, strict=True):
        hazard = (came + 0.5) / (waiting + 1)
        expected.append((expected[-1] if expected else 1) * (1 - hazard))
    assert survival[:5] == pytest.approx(expected, rel=0.1)
    assert (np.diff(survival) < 0).all()


def test_groups_have_curves_of_their_own_and_lean_on_that_of_all() -> None:
    times = [[0, 1] if k % 2 else [0, 5000] for k in range(200)]
    actions = ["vv" if k % 2 else "cc" for k in range(200)]
    made = small_log(
        ["aa"] * 202, ["tt"] * 200 + ["vv"] * 2, [*times, [6000, 6010], [6000, 6010]], [*actions, "vv", "cc"]
    )
    rows = scored_rows(made, "validation")
    known = known_rows(made, "validation")
    of_all = SurvivalCurve(made, known, "none").survival(made, rows, np.array([60_000]))[:, 0]
    quick, slow = SurvivalCurve(made, known, "action").survival(made, rows, np.array([60_000]))[:, 0]
    assert of_all[0] == of_all[1]
    assert quick < of_all[0] < slow


def test_gaps_group_by_the_last_one() -> None:
    made = random_log(4, sequences=30)
    rows = scored_rows(made, "test")
    survival = SurvivalCurve(made, known_rows(made, "test"), "gap").survival(made, rows, GAP_EDGES_MS)
    assert survival.shape == (len(rows), len(GAP_EDGES_MS))
    assert ((survival >= 0) & (survival <= 1)).all()

"""The numbers behind a report, against small cases worked out by hand."""

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve, roc_curve
from small_logs import random_log, small_log

from models.evaluation.bootstrap import Bootstrap, Figure
from models.evaluation.next_item import Lists, next_item
from models.evaluation.rows import known_rows, scored_rows
from models.floors.catalogue import NEXT_ITEM
from models.log import Log
from models.report import seasons
from models.report.asked import MODEL, Asked
from models.report.learning import Epoch, learning_curves
from models.report.numbers import Numbers, numbers
from models.report.reliability import HISTOGRAM, reliability
from models.report.slices import HISTORIES, TENTHS, history, most_listed, tenths
from models.report.thresholds import thresholds
from models.report.waiting import GRID_MS, waiting, waits
from models.state import Floats, Ints

NONE = Figure(0.0, 0.0, 0.0)
DAY_MS = 86_400_000
EVENTS = 4000


class Even:
    """Holds everything equally likely, and events to come at a constant rate."""

    def __init__(self, rate_per_s: float = 0.01) -> None:
        self._rate = rate_per_s / 1000

    def item_scores(self, log: Log, rows: Ints) -> Floats:
        return np.tile(np.arange(len(log.items), dtype=np.float64), (len(rows), 1))

    def action_probabilities(self, log: Log, rows: Ints) -> Floats:
        return np.full((len(rows), len(log.actions)), 1 / len(log.actions))

    def survival(
        self, log: Log, rows: Ints, horizons_ms: Ints, silent_ms: Ints | None = None, *, target: int = 0
    ) -> Floats:
        return np.tile(np.exp(-self._rate * 0.1**target * horizons_ms), (len(rows), 1))


def made_of(log: Log, *targets: str) -> Numbers:
    return numbers(log, Even(), targets, [], Asked("validation", k=2, replicates=3))


def test_thresholds_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(1)
    said = random.integers(0, 40, 300) / 40
    came = (random.random(300) < said).astype(np.float64)
    made = thresholds(said, came, NONE, NONE)
    false_alarms, recall, _ = roc_curve(came, said, drop_intermediate=False)
    precision, _, _ = precision_recall_curve(came, said)
    np.testing.assert_allclose(made.false_alarms, false_alarms)
    np.testing.assert_allclose(made.recall, recall)
    np.testing.assert_allclose(made.precision[1:], precision[::-1][1:])
    assert (made.rows, made.came) == (300, came.sum())


def test_many_thresholds_are_thinned_and_keep_their_ends() -> None:
    said = np.random.default_rng(2).random(5000)
    made = thresholds(said, (said > 0.5).astype(np.float64), NONE, NONE)
    assert len(made.recall) <= 202
    assert (made.recall[-1], made.false_alarms[-1], made.recall[0]) == (1, 1, 0)
    assert 0.0 in [alarms for alarms, recall in zip(made.false_alarms, made.recall, strict=True) if recall > 0.95]


def test_reliability_holds_what_was_said_against_what_came() -> None:
    said = np.repeat([0.1, 0.3, 1.0], 100)
    came = np.concatenate([np.arange(100) < 10, np.arange(100) < 60, np.ones(100)]).astype(np.float64)
    made = reliability(Bootstrap(np.arange(300), 20), said, came)
    assert made.said == pytest.approx([0.1, 0.3, 1.0])
    assert [figure.value for figure in made.came] == pytest.approx([0.1, 0.6, 1.0])
    assert made.came[1].low < 0.6 < made.came[1].high
    assert made.in_bin == [100, 100, 100]
    assert [bar for bar in range(HISTOGRAM) if made.histogram[bar]] == [2, 6, 19] or made.histogram[19] == 100
    assert sum(made.histogram) == made.rows == 300
    assert made.ece.value == pytest.approx(0.1)


def test_a_season_is_of_the_hour_in_which_the_forecast_was_made() -> None:
    said = np.array([[0.9, 0.1], [0.5, 0.5], [0.7, 0.3]])
    made_ms = np.array([3_600_000, 3_600_001, 23 * 3_600_000 + 5 * DAY_MS])
    draws, came = Bootstrap(np.arange(3), 3), np.array([0, 1, 0])
    made = seasons.hours(draws, made_ms, said, came, ("view", "buy"))
    assert (made.predicted.labels, made.predicted.place, made.predicted.rows) == (["01", "23"], [1, 23], [2, 1])
    assert [figure.value for figure in made.predicted.means["view"]] == pytest.approx([0.7, 0.7])
    assert [figure.value for figure in made.observed.means["buy"]] == pytest.approx([0.5, 0.0])
    days = seasons.days(draws, made_ms, said, came, ("view", "buy"))
    assert (days.days, days.predicted.labels, days.predicted.place) == (1, ["1970-01-01", "1970-01-06"], [0, 5])


def test_many_days_are_put_together() -> None:
    made_ms = np.arange(200) * DAY_MS
    made = seasons.days(Bootstrap(np.arange(200), 3), made_ms, np.ones((200, 1)), np.zeros(200, np.int64), ("view",))
    assert (made.days, made.predicted.rows[0], made.predicted.labels[1]) == (4, 4, "1970-01-05")
    assert sum(made.predicted.rows) == 200


def test_forecasts_from_before_the_scored_rows_are_left_aside() -> None:
    made = small_log(["ab", "abc"], ["tv", "tvv"], [[0, 100], [0, 150, 160]])
    rows = scored_rows(made, "validation")
    assert rows[seasons.made_within(made, rows, "validation")].tolist() == [4]


def test_waits_last_until_the_event_or_the_end_of_the_observation() -> None:
    made = small_log(["abcd", "ab"], ["vvvv", "vv"], [[0, 10, 30, 60], [5, 25]], ["vpvv", "vv"])
    found = waits(made, "validation")
    assert found.gap_ms.tolist() == [10_000, 20_000, 30_000, 0, 20_000, 35_000]
    assert found.came.tolist() == [True, True, True, False, True, False]
    assert found.watched_ms.tolist() == [60_000, 50_000, 30_000, 0, 55_000, 35_000]
    bought = waits(made, "validation", "purchase")
    assert bought.came.tolist() == [True] + [False] * 5
    assert bought.gap_ms.tolist() == [10_000, 50_000, 30_000, 0, 55_000, 35_000]
    assert not waits(made, "validation", "return").came.any()


def waiters(mean_s: Floats, watched_s: Floats) -> Log:
    """Return sequences of one event, then one after an exponential time if it was watched for so long."""
    random = np.random.default_rng(9)
    gap = random.exponential(mean_s)
    end = float(watched_s.max())
    times = [[end - w, end - w + g] if g < w else [end - w] for g, w in zip(gap, watched_s, strict=True)]
    return small_log(["ab"[: len(some)] for some in times], ["v" * len(some) for some in times], times)


def test_a_true_forecast_lies_on_kaplan_and_meiers_curve_though_the_slow_leave_early() -> None:
    slow = np.arange(EVENTS) % 2 == 0
    mean = np.where(slow, 1000.0, 100.0)
    made = waiters(mean, np.where(slow, 150.0, 1200.0))
    found = waits(made, "validation")
    first = found.rows == found.log.first[np.searchsorted(found.log.first, found.rows, side="right") - 1] + 1
    found = found._replace(
        rows=found.rows[first],
        gap_ms=found.gap_ms[first],
        came=found.came[first],
        watched_ms=found.watched_ms[first],
    )
    is_slow = found.watched_ms < 200_000

    class Knowing:
        def survival(self, log: Log, rows: Ints, horizons_ms: Ints, silent_ms: Ints | None = None) -> Floats:
            rate = np.where(is_slow[np.searchsorted(found.rows, rows)], 1 / 1000, 1 / 100)
            survival: Floats = np.exp(-rate[:, None] * horizons_ms / 1000)
            return survival

    curve = waiting(found, Knowing().survival, replicates=20)
    observed = np.array([figure.value for figure in curve.observed])
    assert curve.rows == EVENTS
    assert len(observed) > 30
    np.testing.assert_allclose(curve.predicted, observed, atol=0.03)
    plain = Knowing().survival(found.log, found.rows, GRID_MS[: len(observed)]).mean(0)
    assert np.abs(plain - observed).max() > 0.1  # the mean forecast, of people who are no longer watched too


def test_kaplan_and_meier_by_hand() -> None:
    times = [[0, 2, 1000]] * 40 + [[0, 400, 1000]] * 40
    made = small_log(["abc"] * 80, ["vvv"] * 80, times)
    curve = waiting(waits(made, "validation"), Even().survival, replicates=3)
    at = dict(zip(curve.until_ms, [figure.value for figure in curve.observed], strict=True))
    assert at[1000] == 1
    assert at[2000] == pytest.approx(120 / 160)  # 40 of 160 waits; the open ends of no length are in no step
    assert at[512_000] == pytest.approx(80 / 160)


def test_rows_are_told_apart_by_what_came_before() -> None:
    made = small_log(["a" * 20])
    groups = history(made, np.arange(1, 20))
    assert [HISTORIES[k] for k in groups] == ["1"] + ["2-3"] * 2 + ["4-7"] * 4 + ["8-15"] * 8 + ["16+"] * 4


def test_tenths_of_the_items_and_what_the_lists_hold() -> None:
    counts = np.array([0, *range(20, 0, -1)])
    assert [TENTHS[k] for k in tenths(counts)[:6]] == ["new", "1", "1", "2", "2", "3"]
    made = small_log(["ab", "ab", "cb"])
    found = most_listed(made, np.array([1, 3]), np.array([0, 2, 1]))
    assert [(one.item, one.of_lists, one.of_targets) for one in found] == [("b", 1.0, 1.0), ("c", 0.5, 0.0)]


@pytest.mark.parametrize("exclude_seen", [False, True])
def test_what_is_said_of_each_row_comes_to_the_figures(exclude_seen: bool) -> None:
    made, said = random_log(3, sequences=30), dict[str, Lists]()
    floor = NEXT_ITEM["Markov-1"](made, known_rows(made, "test"))
    settings: dict[str, Any] = {"k": 2, "exclude_seen": exclude_seen, "replicates": 2, "tell": said.__setitem__}
    figures = next_item(made, {"it": floor}, split="test", **settings).predictors["it"].figures
    assert (said["it"].rank <= 2).mean() == figures["recall"].value
    assert said["it"].novelty.mean() == pytest.approx(figures["novelty"].value)
    rows = len(scored_rows(made, "test"))
    assert len(said["it"].rank) == rows
    assert said["it"].listed.sum() <= 2 * rows


def test_a_report_asks_for_each_row_once() -> None:
    asked: dict[str, int] = {}

    class Counting(Even):
        def item_scores(self, log: Log, rows: Ints) -> Floats:
            asked["items"] = asked.get("items", 0) + len(rows)
            return super().item_scores(log, rows)

        def action_probabilities(self, log: Log, rows: Ints) -> Floats:
            asked["actions"] = asked.get("actions", 0) + len(rows)
            return super().action_probabilities(log, rows)

    made = random_log(4, sequences=60)
    numbers(made, Counting(), (), [], Asked("validation", k=2, replicates=3))
    rows = len(scored_rows(made, "validation"))
    assert asked == {"items": rows, "actions": rows}


def test_a_report_has_all_that_the_log_gives() -> None:
    made = made_of(random_log(4, sequences=60), "any", "purchase")
    assert made.actions is not None
    assert made.times is not None
    assert set(made.left_out) == {"Learning curves"}
    assert set(made.actions.thresholds) == {"view", "click", "purchase"}
    assert set(made.times.waiting) == {"any", "purchase"}
    by_tenth = made.items.recall_by_popularity
    recall = np.average([figure.value for figure in by_tenth.means[MODEL]], weights=by_tenth.rows)
    assert made.items.table.predictors[MODEL].figures["recall"].value == pytest.approx(recall)
    assert sum(made.items.of_lists) == pytest.approx(1)
    assert sum(made.items.of_targets) == pytest.approx(1)
    assert sum(made.actions.log_loss_by_history.rows) == made.rows


def test_what_a_log_cannot_give_is_left_out_with_the_reason() -> None:
    plain = made_of(small_log(["abab", "abab"], actions=["vvvv", "vvvv"]), "any")
    assert (plain.actions, plain.times) == (None, None)
    assert "every event is “view”" in plain.left_out["Next action"]
    assert "no times" in plain.left_out["Season, trend and times"]
    timed = small_log(["abab", "abab"], ["tttt", "tttt"], [[0, 1, 2, 3], [10, 20, 30, 40]], ["vvvv", "vcvc"])
    assert "learnt from a log without times" in made_of(timed).left_out["Times"]
    assert "Time to purchase" in made_of(timed, "any", "purchase").left_out


def test_learning_curves_are_read_from_the_card_and_no_other_form_is_taken_for_them() -> None:
    history = [{"epoch": 1, "loss": 2.0, "validation_loss": 1.5, "heads": {"next_item": 1.0}}]
    assert learning_curves({"history": history}) == [Epoch(1, 2.0, 1.5, {"next_item": 1.0})]
    assert learning_curves({"history": {"1": 2}}) == learning_curves({}) == []

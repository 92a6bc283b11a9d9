"""Bands of risk, and the next moment at which silence alone changes one."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.churn import BANDS, FIRST_RESCORE_MS, as_of_ms, bands, score_event, score_silence
from models.features import TIME_BINS
from models.model_directory import DAY_MS, TARGETS, Churn
from models.state import NEVER, Rows, empty_rows
from models.survival import STARTS_MS, Curves

CHURN = Churn()
NEWEST_MS = 1_760_000_000_000
NEW, NO_NEWS = np.array([True]), np.array([False])
QUARTERS = sorted({int(start + start * k // 4) for start in STARTS_MS if start >= FIRST_RESCORE_MS for k in range(4)})


def curves_of(any_event: npt.NDArray[np.float64], purchase: float = 0.9) -> Curves:
    """The curves of one user; that of a purchase must not matter to churn."""
    return Curves(np.stack([any_event, np.full(TIME_BINS, purchase)])[None])


def constant(hazard: float, purchase: float = 0.9) -> Curves:
    return curves_of(np.full(TIME_BINS, hazard), purchase)


LEAVING = curves_of(np.where(STARTS_MS < DAY_MS, 0.2, 0.01))  # soon or never: the risk grows with silence


def user(newest_ms: int = NEWEST_MS) -> Rows:
    rows = empty_rows(1)
    rows["newest_ms"] = newest_ms
    return rows


@pytest.mark.parametrize(
    ("risk", "band"), [(0.0, "low"), (0.29, "low"), (0.31, "medium"), (0.69, "medium"), (0.71, "high"), (1.0, "high")]
)
def test_band_is_where_the_risk_lies_between_the_edges(risk: float, band: str) -> None:
    bins_passed = np.searchsorted(STARTS_MS, 7 * DAY_MS, side="right") - 1
    share = (7 * DAY_MS - STARTS_MS[bins_passed]) / (STARTS_MS[bins_passed + 1] - STARTS_MS[bins_passed])
    hazard = min(1 - risk ** (1 / (bins_passed + share)), 1 - 1e-12)
    curves = constant(hazard)
    assert curves.silence(0, np.array([0]), CHURN.band_horizon_ms)[0] == pytest.approx(risk, abs=1e-9)
    assert BANDS[bands(curves, np.array([0]), CHURN)[0] - 1] == band


def test_bands_follow_the_model_and_not_the_purchases() -> None:
    one, other = constant(0.1), constant(0.1, purchase=0.001)
    silent = np.array([[0, DAY_MS, 30 * DAY_MS]])
    assert bands(one, silent, CHURN).tolist() == bands(other, silent, CHURN).tolist()
    strict = Churn(band_edges=(0.0001, 0.0002))
    assert bands(LEAVING, np.array([0]), strict)[0] == 3 > bands(LEAVING, np.array([0]), CHURN)[0]


def test_event_sets_the_band_as_of_itself_and_the_first_look_after_ten_minutes() -> None:
    rows = user()
    rows["rescore_ms"] = NEVER
    score_event(rows, LEAVING, CHURN, moved=NEW)
    assert rows["band"].tolist() == bands(LEAVING, np.array([0]), CHURN).tolist()
    assert rows["rescore_ms"].tolist() == [NEWEST_MS + FIRST_RESCORE_MS]


def test_event_that_is_no_news_leaves_the_band_as_of_the_silence_that_was_reached() -> None:
    rows = user()
    score_event(rows, LEAVING, CHURN, moved=NEW)
    assert as_of_ms(rows).tolist() == [NEWEST_MS]
    looks = [rows.copy()]
    while rows["rescore_ms"][0] != NEVER:
        changed_ms = rows["rescore_ms"].tolist()
        changed = score_silence(rows, LEAVING, CHURN).tolist()
        assert as_of_ms(rows).tolist() == (changed_ms if changed == [True] else as_of_ms(looks[-1]).tolist())
        looks.append(rows.copy())
    assert len(looks) > 2
    for look in looks:
        again = look.copy()
        score_event(again, LEAVING, CHURN, moved=NO_NEWS)
        assert again.tobytes() == look.tobytes()
        score_event(again, LEAVING, CHURN, moved=NEW)
        assert again.tobytes() == looks[0].tobytes()


def test_late_event_that_changes_the_hazards_changes_band_and_next_look_as_of_the_silence() -> None:
    rows = user()
    score_event(rows, LEAVING, CHURN, moved=NEW)
    while rows["rescore_ms"][0] != NEVER:
        score_silence(rows, LEAVING, CHURN)
    silent_ms = as_of_ms(rows) - NEWEST_MS
    other = constant(0.1)
    score_event(rows, other, CHURN, moved=NO_NEWS)
    assert as_of_ms(rows).tolist() == (NEWEST_MS + silent_ms).tolist()
    assert rows["band"].tolist() == bands(other, silent_ms, CHURN).tolist() == [2]
    later = [t for t in QUARTERS if t > silent_ms[0]]
    assert rows["rescore_ms"][0] == NEWEST_MS + next(t for t in later if bands(other, np.array([t]), CHURN)[0] != 2)


def test_first_event_of_all_is_scored_even_at_time_0() -> None:
    rows = user(newest_ms=0)
    score_event(rows, LEAVING, CHURN, moved=NO_NEWS)
    assert (rows["band"][0], rows["rescore_ms"][0]) == (1, FIRST_RESCORE_MS)


def test_silence_scores_as_of_the_scheduled_time() -> None:
    rows = user()
    rows["band"], rows["rescore_ms"] = 1, NEWEST_MS + 20 * DAY_MS
    assert score_silence(rows, LEAVING, CHURN).tolist() == [True]
    assert rows["band"].tolist() == bands(LEAVING, np.array([20 * DAY_MS]), CHURN).tolist() == [3]


def test_next_look_is_the_first_candidate_at_which_the_band_has_changed() -> None:
    rows = user()
    score_event(rows, LEAVING, CHURN, moved=NEW)
    assert not score_silence(rows, LEAVING, CHURN).any()
    scheduled = int(rows["rescore_ms"][0]) - NEWEST_MS
    assert scheduled in QUARTERS
    now = rows["band"][0]
    later = [t for t in QUARTERS if t > FIRST_RESCORE_MS]
    assert scheduled == next(t for t in later if bands(LEAVING, np.array([t]), CHURN)[0] != now)


def test_user_whose_band_cannot_change_is_never_looked_at_again() -> None:
    for hazard in (1e-9, 1 - 1e-12):
        rows = user()
        score_event(rows, constant(hazard), CHURN, moved=NEW)
        score_silence(rows, constant(hazard), CHURN)
        assert rows["rescore_ms"].tolist() == [NEVER]


@given(
    st.lists(st.floats(1e-6, 0.999), min_size=TIME_BINS, max_size=TIME_BINS),
    st.tuples(st.floats(0.05, 0.5), st.floats(0.5, 0.95)),
)
def test_chain_of_looks_meets_every_change_in_order_and_ends(hazard: list[float], edges: tuple[float, float]) -> None:
    churn = Churn(band_edges=edges)
    curves = curves_of(np.array(hazard))
    rows = user()
    score_event(rows, curves, churn, moved=NEW)
    seen = [(0, int(rows["band"][0]))]
    score_silence(rows, curves, churn)
    if rows["band"][0] != seen[0][1]:
        seen.append((FIRST_RESCORE_MS, int(rows["band"][0])))
    while rows["rescore_ms"][0] != NEVER:
        at = int(rows["rescore_ms"][0]) - NEWEST_MS
        assert at > seen[-1][0]
        assert score_silence(rows, curves, churn).tolist() == [True]
        seen.append((at, int(rows["band"][0])))
    moments = [0, FIRST_RESCORE_MS, *(t for t in QUARTERS if t > FIRST_RESCORE_MS)]
    plain = [(t, int(bands(curves, np.array([t]), churn)[0])) for t in moments]
    assert seen == [(t, band) for k, (t, band) in enumerate(plain) if k == 0 or band != plain[k - 1][1]]


def test_users_do_not_depend_on_each_other() -> None:
    random = np.random.default_rng(0)
    curves = Curves(random.uniform(0, 0.5, (60, len(TARGETS), TIME_BINS)))
    rows = empty_rows(60)
    rows["newest_ms"] = NEWEST_MS + random.integers(0, DAY_MS, 60)
    score_event(rows, curves, CHURN, moved=np.ones(60, bool))
    alone = rows.copy()
    changed = score_silence(rows, curves, CHURN)
    each = np.concatenate([score_silence(alone[k : k + 1], curves.at(np.array([k])), CHURN) for k in range(60)])
    assert rows.tobytes() == alone.tobytes()
    assert changed.tolist() == each.tolist()

"""The stream and the log: same seed same events, order, funnel, newcomers, going on where the log ends."""

from itertools import islice

import polars as pl
import pytest

from models.model_directory import DAY_MS, HOUR_MS
from models.simulator import LEAVE_AFTER_MS, MAX_GAP_MS, Shop, event, log, simulate, states

SHOP = Shop(seed=3, users=80, items=120, sessions_per_life=5)
NOW_MS = 1_750_000_000_000


@pytest.fixture(scope="module")
def month() -> pl.DataFrame:
    return log(SHOP, NOW_MS, days=30)


def test_same_settings_give_the_same_events_and_another_seed_or_start_gives_others() -> None:
    def first(shop: Shop, start_ms: int) -> list[object]:
        return [(e["user_id"], e["item_id"], e["ts_ms"] - start_ms) for e in islice(simulate(shop, start_ms), 500)]

    assert first(SHOP, NOW_MS) == first(Shop(seed=3, users=80, items=120, sessions_per_life=5), NOW_MS)
    assert first(SHOP, NOW_MS) != first(Shop(seed=4, users=80, items=120, sessions_per_life=5), NOW_MS)
    assert first(SHOP, NOW_MS) != first(SHOP, NOW_MS + 7 * DAY_MS)


def test_events_come_in_order_of_time_and_their_ids_are_unique(month: pl.DataFrame) -> None:
    assert len(month) > 5_000
    assert month["ts_ms"].is_sorted()
    assert month["event_id"].is_unique().all()
    assert NOW_MS - 30 * DAY_MS < month["ts_ms"][0] < NOW_MS - 29 * DAY_MS
    assert NOW_MS - DAY_MS < month["ts_ms"][-1] < NOW_MS


def test_each_purchase_follows_a_click_on_the_item_and_each_click_a_view(month: pl.DataFrame) -> None:
    last: dict[str, tuple[str, str, str]] = {}
    wish: dict[str, str | None] = {}
    later = 0
    for user, item, action, session in month.select("user_id", "item_id", "action", "session_id").iter_rows():
        if action == "purchase":
            assert wish[user] == item
            wish[user] = None
            later += last[user][2] != item
        elif action == "click":
            assert last[user][0] in ("view", "click")
            assert last[user][1:] == (session, item)
            wish[user] = item
        last[user] = (action, session, item)
    assert later > 10  # some buy what they clicked a while ago


def test_every_session_starts_with_a_view_and_keeps_its_device_and_its_distance(month: pl.DataFrame) -> None:
    sessions = month.group_by("session_id", maintain_order=True).agg(
        pl.col("action").first(), pl.col("device").n_unique(), pl.col("ts_ms").diff().max().alias("gap_ms")
    )
    assert (sessions["action"] == "view").all()
    assert (sessions["device"] == 1).all()
    assert sessions["gap_ms"].max() <= MAX_GAP_MS  # type: ignore[operator]
    away = month.with_columns(
        gap_ms=pl.col("ts_ms").diff().over("user_id"), new=pl.col("session_id").shift().over("user_id")
    ).filter(pl.col("new") != pl.col("session_id"))
    assert away["gap_ms"].min() > LEAVE_AFTER_MS  # type: ignore[operator]


def test_actions_narrow_down_from_view_to_purchase(month: pl.DataFrame) -> None:
    share = dict(month["action"].value_counts(normalize=True).iter_rows())
    assert 0.5 < share["view"] < 0.8
    assert 0.15 < share["click"] < 0.45
    assert 0.02 < share["purchase"] < 0.12


def test_whoever_is_gone_is_replaced_so_that_the_crowd_stays_as_large() -> None:
    seen: dict[int, tuple[int, int]] = {}
    for state in islice(states(SHOP, NOW_MS), 30_000):
        first_ms, _ = seen.get(state.shopper.number, (state.ts_ms, 0))
        seen[state.shopper.number] = (first_ms, state.ts_ms)
    assert len(seen) > 4 * SHOP.users
    newest_ms = max(last_ms for _, last_ms in seen.values())
    for share in (0.25, 0.5, 0.75):
        at_ms = NOW_MS + share * (newest_ms - NOW_MS)
        present = sum(first_ms <= at_ms <= last_ms for first_ms, last_ms in seen.values())
        assert 0.6 * SHOP.users < present <= SHOP.users  # who came and has not yet shown up is not seen


def test_live_shoppers_go_on_where_the_log_ends() -> None:
    whole = list(islice(simulate(SHOP, NOW_MS - 2 * DAY_MS), 1_500))
    past = log(SHOP, NOW_MS, days=2).to_dicts()
    live = list(islice(simulate(SHOP, NOW_MS, warm_ms=2 * DAY_MS), 1_500 - len(past)))
    assert 0 < len(past) < 1_500
    assert past + [dict(e) for e in live] == whole


def test_log_of_so_many_events_has_the_last_ones_before_its_end() -> None:
    past = log(SHOP, NOW_MS, events=3_000)
    assert len(past) == 3_000
    assert NOW_MS - HOUR_MS < past["ts_ms"][-1] < NOW_MS
    with pytest.raises(ValueError, match="days or events"):
        log(SHOP, NOW_MS)
    with pytest.raises(ValueError, match="days or events"):
        log(SHOP, NOW_MS, days=1, events=1)


def test_log_with_truth_is_the_same_log_with_probabilities_beside_it() -> None:
    plain, told = log(SHOP, NOW_MS, days=2), log(SHOP, NOW_MS, days=2, with_truth=True)
    assert told.select(plain.columns).equals(plain)
    actions = told.select("p_view", "p_click", "p_purchase", "p_leave")
    assert actions.sum_horizontal().is_between(1 - 1e-9, 1 + 1e-9).all()
    assert (told["p_silent_1d"] >= told["p_silent_7d"]).all()
    assert (told["p_silent_7d"] >= told["p_silent_30d"]).all()


def test_more_active_settings_give_more_sessions() -> None:
    calm, busy = (
        log(Shop(users=80, items=120, sessions_per_day=rate), NOW_MS, days=10)["session_id"].n_unique()
        for rate in (0.5, 2.0)
    )
    assert 2.5 * calm < busy < 4.5 * calm


def test_event_shows_the_item_as_the_shop_has_it() -> None:
    state = next(states(SHOP, NOW_MS))
    shown = event(SHOP, state)
    assert shown["category"] == SHOP.categories[SHOP.tables.category[state.item]]
    assert shown["price"] == SHOP.tables.price[state.item] > 0


@pytest.mark.parametrize(
    "wrong", [{"items": 20}, {"categories": ("a", "b")}, {"seed": -1}, {"users": 0}, {"sessions_per_day": 0}]
)
def test_shop_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="a shop needs"):
        Shop(**wrong)  # type: ignore[arg-type]

"""What a chunk tells of inputs and predictions, against numbers worked out by hand."""

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from builders import START_MS, InputRecord, event_columns, event_json, event_record, random_predictor
from chunks import CLICKS, MODEL, NOW_MS, VIEWS, by_topic, handle

from models.history import apply
from models.observed import DELAY_EDGES_S, OBSERVED, SAMPLE, Sample, look, score
from models.reference import shares
from models.state import ACTIONS, Rows, empty_rows
from streams.pipeline import Result
from streams.user_rows import UserRows

LEAVE_AFTER_MS = MODEL.card.leave_after_ms


def scored(outcomes: list[list[float]], action: list[int]) -> Rows:
    observed = np.zeros(1, OBSERVED)
    score(np.array(outcomes), np.array(action), observed)
    told: Rows = observed[0]
    return told


def looked_at(rows: Rows, users: list[int], actions: list[int], times: list[int]) -> tuple[Sample, Rows]:
    """What events of known users tell, each the topic's next one."""
    observed = np.zeros(1, OBSERVED)
    events = event_columns(users, actions, times, [100 + k for k in range(len(users))])
    return look(rows, events, events.ts_ms, MODEL, START_MS, observed), observed[0]


def known(users: int) -> Rows:
    """Rows of users with one view each at the start."""
    rows = empty_rows(users)
    apply(rows, event_columns([*range(users)], [0] * users, [START_MS] * users), MODEL)
    return rows


def test_log_loss_calibration_and_shares_by_hand() -> None:
    told = scored([[0.4, 0.3, 0.1, 0.2], [0.9, 0.04, 0.01, 0.05], [0.1, 0.1, 0.4, 0.4]], [0, 1, 2])
    assert told["scored"] == 3
    assert told["loss"] == pytest.approx(-math.log(4 / 8) - math.log(4 / 95) - math.log(4 / 6))
    views, clicks, purchases = 4 / 8 + 90 / 95 + 1 / 6, 3 / 8 + 4 / 95 + 1 / 6, 1 / 8 + 1 / 95 + 4 / 6
    assert told["predicted"].tolist() == pytest.approx([views, clicks, purchases])
    assert told["came"].tolist() == [1, 1, 1]
    assert told["confident"].tolist() == [0, 0, 1, 1, 1]
    assert told["confidence"].tolist() == pytest.approx([0, 0, 4 / 8, 4 / 6, 90 / 95])
    assert told["correct"].tolist() == [0, 0, 1, 1, 0]


def test_what_could_not_be_is_no_infinite_loss() -> None:
    assert scored([[1.0, 0.0, 0.0, 0.0]], [2])["loss"] == pytest.approx(12 * math.log(10))
    assert math.isfinite(scored([[0.0, 0.0, 0.0, 1.0]], [0])["loss"])


def test_prediction_that_is_scored_is_the_one_that_was_published() -> None:
    users = UserRows()
    before = by_topic(handle(users, {VIEWS: [event_record(ts_ms=START_MS), event_record("bob", ts_ms=START_MS)]}))
    published = {m["user_id"]: m["actions"] for m in (msgspec.json.decode(o.value) for o in before["next-actions"])}
    later = {"ann": CLICKS, "bob": VIEWS}
    chunk = {origin: [event_record(user, ts_ms=START_MS + 60_000, offset=5)] for user, origin in later.items()}
    told = handle(users, chunk).observed[0]
    said = {user: {a: p[a] / sum(p[b] for b in ACTIONS) for a in ACTIONS} for user, p in published.items()}
    assert told["scored"] == 2
    assert told["loss"] == pytest.approx(-math.log(said["ann"]["click"]) - math.log(said["bob"]["view"]), abs=1e-4)
    assert told["predicted"].tolist() == pytest.approx([sum(p[a] for p in said.values()) for a in ACTIONS], abs=1e-4)


@pytest.mark.parametrize(
    ("change", "times", "scores"),
    [
        ({}, [START_MS + 1000], 1),
        ({}, [START_MS + 1000, START_MS + 2000], 1),  # of two in a chunk the first alone had a prediction
        ({}, [START_MS + LEAVE_AFTER_MS], 1),
        ({}, [START_MS + LEAVE_AFTER_MS + 1], 0),  # the user had gone
        ({}, [START_MS - 1], 0),  # out of order
        ({}, [START_MS], 0),
        ({"model": MODEL.tag + 1}, [START_MS + 1000], 0),  # another model had predicted
        ({"accepted": 0}, [START_MS + 1000], 0),  # all were too late for the states
        ({"applied": 10**6}, [START_MS + 1000], 0),  # delivered again
    ],
)
def test_only_what_a_prediction_was_about_is_scored(change: dict[str, Any], times: list[int], scores: int) -> None:
    rows = known(1)
    for field, value in change.items():
        rows[field] = value
    sample, _ = looked_at(rows, [0] * len(times), [1] * len(times), times)
    assert len(sample.action) == scores


def test_user_who_is_new_is_not_scored() -> None:
    sample, told = looked_at(empty_rows(2), [0, 1, 0], [0, 0, 1], [START_MS, START_MS, START_MS + 1000])
    assert len(sample.action) == 0
    assert (told["gap"].sum(), told["action"].tolist()) == (1, [2, 1, 0])


@pytest.mark.parametrize("users", [1, SAMPLE, SAMPLE + 1, 1000])
def test_sample_is_bounded_and_spread_over_the_users(users: int) -> None:
    times = [START_MS + 1000] * users
    sample, told = looked_at(known(users), [*range(users)], [0] * users, times)
    assert len(sample.action) == told["looked_at"] == told["action"][0]
    assert min(users, SAMPLE) / 2 <= len(sample.action) <= SAMPLE


def test_state_of_the_sample_is_that_before_the_event() -> None:
    rows = known(1)
    sample, _ = looked_at(rows, [0], [2], [START_MS + 1000])
    assert (sample.states == rows["now"]).all()
    assert sample.action.tolist() == [2]
    assert sample.newest_ms == START_MS + 1000


def test_features_of_events_are_counted() -> None:
    rows = known(1)
    observed = np.zeros(1, OBSERVED)
    events = event_columns([0, 0, 0], [0, 1, 0], [START_MS + 1000, START_MS + 5000, START_MS + 3000], [7, 8, 9])
    events.item[1] = MODEL.item_hashes[0]
    look(rows, events, events.ts_ms, MODEL, START_MS, observed)
    told = observed[0]
    assert {k: n for k, n in enumerate(told["gap"].tolist()) if n} == {
        1: 1,
        3: 1,
    }  # 1 s, 4 s; the last is late
    assert told["known_item"].tolist() == [2, 1]
    assert told["unknown"].tolist() == [2, 0, 0]
    assert told["hour"].sum() == told["hour"][START_MS // 3_600_000 % 24] == 3
    assert told["conflated"] == 2


def chunk_of(delays_ms: list[int], arrived_ms: int) -> Result:
    records = [
        InputRecord(b"ann", event_json(ts_ms=arrived_ms - delay, item=f"i{k}"), k, arrived_ms)
        for k, delay in enumerate(delays_ms)
    ]
    return handle(UserRows(), {VIEWS: records})


def test_delays_of_records_that_are_not_old_are_counted() -> None:
    told = chunk_of([0, 100, 101, 10**9, -5], NOW_MS - 1000).observed[0]
    assert told["delay"].tolist() == [3, 1, *[0] * (len(DELAY_EDGES_S) - 2), 1]
    assert told["delay_s"] == pytest.approx(0.201 + 10**6)
    assert chunk_of([0, 100], NOW_MS - 3_600_000).observed["delay"].sum() == 0


def test_first_band_of_a_user_and_every_other_one_is_counted() -> None:
    users = UserRows()
    first = handle(users, {VIEWS: [event_record(), event_record("bob")]})
    assert first.observed["changed"].sum() == 2
    rows = users.read(3, [b"ann"])
    band = int(rows["band"][0])
    rows["band"] = 1 + band % 3
    users.write(3, [b"ann"], rows)
    again = handle(users, {VIEWS: [event_record(offset=0)]})  # delivered again: the band is made anew
    assert again.observed["changed"][0].tolist() == np.eye(3)[band - 1].tolist()


def test_rows_of_another_model_are_not_scored() -> None:
    users = UserRows()
    handle(users, {VIEWS: [event_record(ts_ms=START_MS)]}, random_predictor(5))
    told = handle(users, {VIEWS: [event_record(ts_ms=START_MS + 1000, offset=1)]}).observed[0]
    assert told["scored"] == 0
    told = handle(users, {VIEWS: [event_record(ts_ms=START_MS + 2000, offset=2)]}).observed[0]
    assert told["scored"] == 1


def test_shares_of_a_reference_make_a_baseline() -> None:
    assert shares(np.array([6, 3, 0])).tolist() == pytest.approx([6.5 / 10.5, 3.5 / 10.5, 0.5 / 10.5])

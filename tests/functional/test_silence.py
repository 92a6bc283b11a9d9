"""`rescore`: what is published while nobody does anything."""

from collections import defaultdict

import msgspec
import numpy as np
import pytest
from builders import START_MS, event_record, random_model
from chunks import DAY_MS, NOW_MS, VIEWS, by_topic, handle, validate

from models.churn import FIRST_RESCORE_MS
from models.features import TIME_BINS
from models.model_directory import OUTCOMES, TARGETS, Model
from models.predictor import Predictor
from models.state import NEVER, Rows
from schemas.outputs import ChurnRisk, output_id
from schemas.topics import CHURN_RISK
from streams.fetched import fetched
from streams.options import Options
from streams.outputs import Output
from streams.pipeline import Result, process, rescore
from streams.user_rows import UserRows


def leavers(version: str = "00abcdef0000") -> Predictor:
    """A model of users who come again within hours or stay away: their risk grows with silence alone."""
    model = random_model(version=version)
    weights = {name: w * 0 if name in ("readout", "window", "latest") else w for name, w in model.weights.items()}
    hazards = np.full((len(TARGETS), TIME_BINS), -4.6)
    hazards[:, :17] = -1.4
    weights["readout_bias"] = np.concatenate([np.zeros(len(OUTCOMES)), hazards.ravel()]).astype(np.float32)
    return Predictor(Model(model.card, model.items, weights))


LEAVERS = leavers()
FIRST = {VIEWS: [event_record("u0")]}


def silent_users(count: int = 4) -> tuple[list[bytes], Rows]:
    """Users of one event each, a minute apart."""
    users = UserRows()
    handle(
        users, {VIEWS: [event_record(f"u{k}", ts_ms=START_MS + 60_000 * k, offset=k) for k in range(count)]}, LEAVERS
    )
    keys = [f"u{k}".encode() for k in range(count)]
    return keys, users.read(3, keys)


def chain(keys: list[bytes], rows: Rows, now_ms: int) -> tuple[Rows, list[Output]]:
    """Rescore until nobody is due, as the timer does."""
    made: list[Output] = []
    while (rows["rescore_ms"] <= now_ms).any():
        rows, outputs, _ = rescore(3, keys, rows, LEAVERS, now_ms)
        made += [output for one in outputs for output in one]
    return rows, made


def test_silence_is_told_only_when_the_band_changes_and_as_of_the_scheduled_time() -> None:
    keys, rows = silent_users()
    early, made, changed = rescore(3, keys, rows, LEAVERS, START_MS + FIRST_RESCORE_MS + 60_000)
    assert (made, changed.tolist()) == ([], [])
    assert (early["rescore_ms"][:2] > rows["rescore_ms"][:2]).all()
    assert early[2:].tobytes() == rows[2:].tobytes()  # not due yet
    due = int(early["rescore_ms"][0])
    late_ms = due + 30_000  # the timer comes when it can: the message is about the moment that was scheduled
    scored, made, changed = rescore(3, keys, early, LEAVERS, late_ms)
    assert changed.tolist() == [0]
    [[output]] = made
    assert (output.topic, output.partition, output.key) == (CHURN_RISK, 3, b"u0")
    message = msgspec.json.decode(output.value, type=ChurnRisk)
    assert (message.as_of_ms, message.silent_ms, message.trigger) == (due, due - START_MS, "silence")
    assert (message.previous_band, message.band) == ("low", "medium")
    assert message.id == output_id(CHURN_RISK, 3, [0, -1, -1], LEAVERS.card.version, due, "silence")
    assert message.valid_until_ms == due + LEAVERS.card.churn.band_horizon_ms
    assert scored["band"][0] == 2
    assert rows["band"].tolist() == [1] * 4  # the rows handed in are not touched


def test_whoever_stays_away_goes_from_low_to_high_and_is_then_left_alone() -> None:
    keys, rows = silent_users()
    scored, made = chain(keys, rows, START_MS + 300 * DAY_MS)
    bands: dict[str, list[tuple[str | None, str]]] = defaultdict(list)
    for output in made:
        message = msgspec.json.decode(output.value, type=ChurnRisk)
        bands[message.user_id].append((message.previous_band, message.band))
    assert dict(bands) == {key.decode(): [("low", "medium"), ("medium", "high")] for key in keys}
    assert scored["rescore_ms"].tolist() == [NEVER] * 4
    validate(made)


def test_messages_of_silence_do_not_depend_on_when_or_with_whom_they_are_made() -> None:
    keys, rows = silent_users()
    whole, made = chain(keys, rows, START_MS + 300 * DAY_MS)
    again, step_by_step = rows, []
    for day in range(0, 301, 5):
        again, outputs = chain(keys, again, START_MS + day * DAY_MS)
        step_by_step += outputs
    assert again.tobytes() == whole.tobytes()
    assert sorted(step_by_step) == sorted(made)
    alone = [output for k in range(4) for output in chain(keys[k : k + 1], rows[k : k + 1], START_MS + 300 * DAY_MS)[1]]
    assert sorted(alone) == sorted(made)
    ids = [msgspec.json.decode(output.value)["id"] for output in made]
    assert len(set(ids)) == len(ids)


def test_event_after_silence_starts_anew() -> None:
    keys, rows = silent_users(1)
    scored, _ = chain(keys, rows, START_MS + 300 * DAY_MS)
    users = UserRows()
    users.write(3, keys, scored)
    result = process(
        {VIEWS: fetched([event_record("u0", ts_ms=START_MS + 9, offset=9)])}, users, LEAVERS, NOW_MS, Options()
    )
    row = result.changes[3].rows[0]
    assert (row["band"], row["rescore_ms"]) == (1, START_MS + 9 + FIRST_RESCORE_MS)


def churn_of(result: Result) -> ChurnRisk:
    [output] = by_topic(result)[CHURN_RISK]
    return msgspec.json.decode(output.value, type=ChurnRisk)


@pytest.mark.parametrize("days", [1, 20, 300])  # looked at with no change, changed once, for good
def test_what_comes_twice_or_late_does_not_end_a_silence(days: int) -> None:
    keys, rows = silent_users(1)
    scored, made = chain(keys, rows, START_MS + days * DAY_MS)
    users = UserRows()
    users.write(3, keys, scored)
    twice = handle(users, {VIEWS: [event_record("u0", ts_ms=START_MS, offset=1)]}, LEAVERS)
    late = handle(users, {VIEWS: [event_record("u0", ts_ms=START_MS - DAY_MS, offset=2)]}, LEAVERS)
    assert (twice.tally.duplicates, late.tally.applied) == (1, 1)
    row = users.read(3, keys)
    for name in ("band", "silent_s", "rescore_ms", "newest_ms"):
        assert row[name].tolist() == scored[name].tolist()
    told = msgspec.json.decode(made[-1].value, type=ChurnRisk) if made else churn_of(handle(UserRows(), FIRST, LEAVERS))
    for answer in (churn_of(twice), churn_of(late)):
        assert (answer.band, answer.as_of_ms, answer.silent_ms) == (told.band, told.as_of_ms, told.silent_ms)
        assert answer.silent_for == told.silent_for
        assert (answer.trigger, answer.previous_band) == ("event", None)
    assert chain(keys, row, START_MS + 300 * DAY_MS)[0]["band"].tolist() == [3]


def test_rows_of_another_model_are_rebuilt_when_they_are_due() -> None:
    keys, rows = silent_users()
    rows["rescore_ms"][:2] = START_MS + 200 * DAY_MS  # by then every band has changed
    rows["rescore_ms"][2:] = START_MS + 400 * DAY_MS
    before = rows.copy()
    for place in (1, 3):
        rows["model"][place], rows["base"][place], rows["now"][place] = 77, 5, 5
    scored, made, changed = rescore(3, keys, rows, LEAVERS, START_MS + 300 * DAY_MS)
    assert changed.tolist() == [0, 1]
    assert [output.key for [*of_topic] in made for output in of_topic] == [b"u0", b"u1"]
    assert (scored["model"][1], scored["now"][1].tolist()) == (LEAVERS.tag, before["now"][1].tolist())
    assert rescore(3, keys, before, LEAVERS, START_MS + 300 * DAY_MS)[0][:3].tobytes() == scored[:3].tobytes()
    assert scored[3:].tobytes() == rows[3:].tobytes()  # not due

"""`process` without a broker: records in; rows and outputs out."""

import msgspec
import numpy as np
import pytest
from builders import START_MS, InputRecord, event_record, random_model
from chunks import CLICKS, DAY_MS, MODEL, NOW_MS, VIEWS, by_topic, content, handle, validate

from models.model_directory import OUTCOMES, Model
from models.predictor import Predictor
from schemas.outputs import ChurnRisk, NextAction, Recommendation
from schemas.topics import CHURN_RISK, INPUTS, NEXT_ACTIONS, OUTPUTS, RECOMMENDATIONS
from streams.fetched import fetched, in_columns
from streams.options import Options
from streams.pipeline import Origin, process
from streams.user_rows import UserRows


def test_model_of_no_items_answers_with_empty_slates() -> None:
    for many in (1, 100):
        chunk = {VIEWS: [event_record(f"u{k}", offset=k) for k in range(many)]}
        outputs = by_topic(handle(UserRows(), chunk, Predictor(random_model(0))))
        assert {topic: len(its) for topic, its in outputs.items()} == dict.fromkeys(OUTPUTS, many)
        for output in outputs[RECOMMENDATIONS]:
            assert msgspec.json.decode(output.value, type=Recommendation).slate == []


def test_each_touched_user_gets_three_outputs_about_its_newest_event() -> None:
    users = UserRows()
    chunk = {
        Origin("views", 0): [event_record("ann", ts_ms=START_MS + k, offset=k) for k in range(3)],
        Origin("clicks", 1): [event_record("bob", ts_ms=START_MS + 7, offset=4)],
        Origin("purchases", 0): [event_record("ann", "i2", ts_ms=START_MS + 1000, offset=9)],
    }
    result = handle(users, chunk)
    assert [(output.topic, output.key) for output in result.records()] == [
        (topic, user) for topic in (NEXT_ACTIONS, RECOMMENDATIONS, CHURN_RISK) for user in (b"ann", b"bob")
    ]
    for output in result.records():
        of_ann = output.key == b"ann"
        message = msgspec.json.decode(output.value)
        assert output.partition == message["based_on"]["partition"] == (0 if of_ann else 1)
        expected = [2, -1, 9] if of_ann else [-1, 4, -1]
        assert message["based_on"]["offsets"] == dict(zip(INPUTS, expected, strict=True))
        assert message["as_of_ms"] == START_MS + (1000 if of_ann else 7)
        valid_for_ms = 7 * DAY_MS if output.topic == CHURN_RISK else Options().valid_for_ms
        assert message["valid_until_ms"] == message["as_of_ms"] + valid_for_ms
        assert message["model_version"] == MODEL.card.version
        assert dict(output.headers)["ce_id"] == message["id"].encode()
        assert dict(output.headers)["ce_type"] == f"nextact.{output.topic}.v1".encode()
    assert len({msgspec.json.decode(output.value)["id"] for output in result.records()}) == 6
    assert {p: change.keys for p, change in result.changes.items()} == {0: [b"ann"], 1: [b"bob"]}


def test_messages_say_what_the_row_and_the_model_say() -> None:
    users = UserRows()
    times = [START_MS - 2 * DAY_MS, START_MS - 2 * 3_600_000, START_MS]
    handle(users, {VIEWS: [event_record(ts_ms=t, offset=k) for k, t in enumerate(times)]})
    bought = event_record(item="i5", ts_ms=START_MS + 1000)
    outputs = {o.topic: o.value for o in handle(users, {Origin("purchases", 3): [bought]}).records()}
    row = users.read(3, [b"ann"])

    action = msgspec.json.decode(outputs[NEXT_ACTIONS], type=NextAction)
    assert action.windows == {
        "1h": {"view": 1, "click": 0, "purchase": 1},
        "1d": {"view": 2, "click": 0, "purchase": 1},
        "14d": {"view": 3, "click": 0, "purchase": 1},
    }
    assert action.totals == {"view": 3, "click": 0, "purchase": 1}
    assert list(action.actions) == list(OUTCOMES)
    assert sum(action.actions.values()) == pytest.approx(1, abs=1e-5)
    within = list(action.purchase_within.values())
    assert list(action.purchase_within) == ["1h", "1d", "7d"]
    assert within == sorted(within)

    slate = msgspec.json.decode(outputs[RECOMMENDATIONS], type=Recommendation).slate
    assert [item.rank for item in slate] == list(range(1, 11))
    assert [item.score for item in slate] == sorted((item.score for item in slate), reverse=True)
    assert "i5" not in [item.item_id for item in slate]
    assert all((item.reason == "seen_before") == (item.item_id == "i1") for item in slate)

    risk = msgspec.json.decode(outputs[CHURN_RISK], type=ChurnRisk)
    assert (risk.trigger, risk.silent_ms, risk.previous_band) == ("event", 0, None)
    assert list(risk.silent_for) == ["1d", "7d", "30d"]
    assert risk.band == ("low", "medium", "high")[int(row["band"][0]) - 1]


def test_user_of_unknown_items_gets_popular_ones_and_is_told() -> None:
    result = handle(UserRows(), {VIEWS: [event_record(item="never seen")]})
    [output] = by_topic(result)[RECOMMENDATIONS]
    message = msgspec.json.decode(output.value, type=Recommendation)
    assert message.degradation == "popular"
    assert {item.reason for item in message.slate} == {"popular"}


def test_user_who_bought_everything_gets_an_empty_slate() -> None:
    two_items = Predictor(random_model(2, version="00abcabc0000"))
    bought = [event_record(item=f"i{k}", ts_ms=START_MS + k, offset=k) for k in range(2)]
    result = handle(UserRows(), {Origin("purchases", 3): bought}, two_items)
    validate(result.records())
    [output] = by_topic(result)[RECOMMENDATIONS]
    assert msgspec.json.decode(output.value, type=Recommendation).slate == []


def test_one_user_id_in_two_partitions_is_two_users() -> None:
    users = UserRows()
    handle(users, {Origin("views", 0): [event_record()], Origin("views", 1): [event_record(), event_record("bob")]})
    assert sorted(content(users)) == [(0, b"ann"), (1, b"ann"), (1, b"bob")]


def test_every_record_is_applied_duplicate_redelivered_or_rejected() -> None:
    users = UserRows()
    handle(users, {VIEWS: [event_record(ts_ms=START_MS + k, offset=k) for k in range(20)]})
    chunk = {
        VIEWS: [
            event_record(ts_ms=START_MS + 5, offset=5),  # redelivered
            event_record(ts_ms=START_MS + 10, offset=20),  # a duplicate
            event_record("bob", ts_ms=START_MS, offset=21),
            InputRecord(b"ann", b"{", 22),
        ],
        CLICKS: [event_record(ts_ms=START_MS, offset=0), event_record(ts_ms=START_MS + 30, offset=1)],
    }
    result = handle(users, chunk)
    tally = result.tally
    assert (tally.applied, tally.duplicates, tally.redelivered, tally.late) == (3, 1, 1, 1)
    assert sum(result.rejected.values()) == 1


def test_chunk_of_nothing_leads_to_nothing() -> None:
    chunks: list[dict[Origin, list[InputRecord]]] = [{}, {VIEWS: []}]
    for chunk in chunks:
        result = process(in_columns(chunk), UserRows(), MODEL, NOW_MS, Options())
        assert (result.records(), result.changes, result.rejected) == ([], {}, {})


def test_process_leaves_the_table_as_it_is() -> None:
    users = UserRows()
    handle(users, {VIEWS: [event_record()]})
    before = content(users)
    process({VIEWS: fetched([event_record(ts_ms=START_MS + 9, offset=1)])}, users, MODEL, NOW_MS, Options())
    assert content(users) == before


def test_everything_published_is_valid_by_the_committed_schemas() -> None:
    records = [
        event_record(f"u{k % 7}\u00e9\n", f"i{k % 30}", START_MS + k, offset=k, price=1e300, device="")
        for k in range(50)
    ]
    published = handle(UserRows(), {VIEWS: records, Origin("purchases", 3): records}).records()
    validate(published)
    assert {output.topic for output in published} == set(OUTPUTS)


def test_extreme_model_still_publishes_valid_probabilities() -> None:
    model = random_model(version="00fedcba0000")
    wild = Predictor(Model(model.card, model.items, {name: np.sign(w) * 1e6 for name, w in model.weights.items()}))
    records = [event_record(f"u{k}", f"i{k}", START_MS + k, offset=k) for k in range(20)]
    validate(handle(UserRows(), {VIEWS: records}, wild).records())

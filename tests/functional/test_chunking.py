"""The same records in other chunks, again after a crash, in another order of topics: the same end."""

from collections import defaultdict
from collections.abc import Sequence

import msgspec
import numpy as np
from builders import START_MS, InputRecord, event_record, random_model, random_predictor
from chunks import CLICKS, DAY_MS, VIEWS, by_topic, content, handle
from hypothesis import given
from hypothesis import strategies as st

from models.model_directory import Churn, Model
from models.predictor import Predictor
from models.state import RING
from schemas.topics import CHURN_RISK, DEAD_LETTERS, INPUTS
from streams.outputs import Output
from streams.pipeline import Origin
from streams.user_rows import UserRows

Delivery = Sequence[tuple[Origin, InputRecord]]


def deliver(users: UserRows, records: Delivery, cuts: Sequence[int] = ()) -> dict[tuple[str, bytes], Output]:
    """Handle records in chunks cut at these places; return the last output of each user on each topic."""
    last: dict[tuple[str, bytes], Output] = {}
    for a, b in zip([0, *cuts], [*cuts, len(records)], strict=True):
        chunk: dict[Origin, list[InputRecord]] = {}
        for origin, record in records[a:b]:
            chunk.setdefault(origin, []).append(record)
        last |= {(output.topic, output.key or b""): output for output in handle(users, chunk).records()}
    return last


def test_redelivered_records_change_no_row_and_are_answered_again_under_the_same_ids() -> None:
    users = UserRows()
    chunk = {
        VIEWS: [event_record(user, ts_ms=START_MS + k, offset=k) for k, user in enumerate(["ann", "bob", "ann"])],
        CLICKS: [event_record(ts_ms=START_MS + 50, offset=0)],
    }
    first = handle(users, chunk)
    before = content(users)
    again = handle(users, chunk)
    assert again.records() == first.records()
    assert content(users) == before
    assert (again.tally.redelivered, again.tally.applied) == (4, 0)
    partly = handle(users, {VIEWS: [chunk[VIEWS][2], event_record(ts_ms=START_MS + 60, offset=3)]})
    assert (partly.tally.redelivered, partly.tally.applied) == (1, 1)


def test_duplicate_of_the_producer_moves_the_offset_and_is_answered_but_not_counted() -> None:
    users = UserRows()
    handle(users, {VIEWS: [event_record()]})
    before = users.read(3, [b"ann"])
    result = handle(users, {VIEWS: [event_record(offset=1)]})
    assert (result.tally.duplicates, result.tally.applied) == (1, 0)
    assert len(result.records()) == 3
    after = users.read(3, [b"ann"])
    assert after["applied"].tolist() == [[1, -1, -1]]
    after["applied"] = before["applied"]
    assert after.tobytes() == before.tobytes()


@st.composite
def shopping(draw: st.DrawFn) -> list[tuple[Origin, InputRecord]]:
    """Records of three users, no user with more events than its ring holds, in order of offsets of each topic."""
    n = draw(st.integers(1, 30))
    picks = draw(
        st.lists(
            st.tuples(st.sampled_from(["ann", "bob", "eve"]), st.sampled_from(INPUTS), st.integers(0, 5 * DAY_MS)),
            min_size=n,
            max_size=n,
        )
    )
    held: dict[str, int] = defaultdict(int)
    offsets: dict[Origin, int] = defaultdict(int)
    records = []
    for k, (user, topic, after) in enumerate(picks):
        held[user] += 1
        if held[user] > RING:
            continue
        origin = Origin(topic, {"ann": 0, "bob": 0, "eve": 1}[user])
        record = event_record(user, f"i{k % 25}", START_MS + after, offsets[origin], event_id=str(k), price=k * 1.5)
        if k % 7 == 6:
            record = record._replace(value=b"?")
        records.append((origin, record))
        offsets[origin] += 1
    return records


def interleaved(draw: st.DrawFn, records: Delivery) -> list[tuple[Origin, InputRecord]]:
    """The same records in another order of topics and partitions, each of these in its own order."""
    queues: dict[Origin, list[InputRecord]] = defaultdict(list)
    for origin, record in records:
        queues[origin].append(record)
    order = draw(st.permutations([origin for origin, _ in records]))
    return [(origin, queues[origin].pop(0)) for origin in order]


@st.composite
def two_deliveries(draw: st.DrawFn) -> list[tuple[list[tuple[Origin, InputRecord]], list[int]]]:
    records = draw(shopping())
    cuts = st.lists(st.integers(0, len(records)), max_size=8).map(sorted)
    return [(records, []), (interleaved(draw, records), draw(cuts))]


@given(two_deliveries())
def test_any_chunking_and_interleaving_gives_the_same_rows_and_last_outputs(
    deliveries: list[tuple[Delivery, list[int]]],
) -> None:
    ends = []
    for records, cuts in deliveries:
        users = UserRows()
        last = deliver(users, records, cuts)
        ends.append((content(users), {k: v for k, v in last.items() if k[0] != DEAD_LETTERS}))
    assert ends[0] == ends[1]


@given(st.integers(0, 2**32), st.lists(st.integers(0, 200), max_size=12).map(sorted), st.integers(1, 40))
def test_long_histories_and_replays_after_a_crash_end_in_the_same_rows(seed: int, cuts: list[int], lost: int) -> None:
    random = np.random.default_rng(seed)
    offsets: dict[Origin, int] = defaultdict(int)
    records: list[tuple[Origin, InputRecord]] = []
    for k in range(200):
        origin = Origin(INPUTS[random.choice(3, p=[0.6, 0.3, 0.1])], int(random.integers(2)))
        user, ts_ms = (
            f"u{origin.partition}{random.integers(2)}",
            START_MS + k * 60_000 + int(random.integers(4)) * 30_000,
        )
        records.append((origin, event_record(user, f"i{random.integers(25)}", ts_ms, offsets[origin])))
        offsets[origin] += 1
    whole, pieces = UserRows(), UserRows()
    last = deliver(whole, records)
    deliver(pieces, records[: 100 + lost], [cut for cut in cuts if cut <= 100 + lost])
    replayed = deliver(pieces, records[100:], [cut for cut in cuts if cut <= 100])
    assert content(pieces) == content(whole)
    assert whole.read(0, [b"u00", b"u01"])["accepted"].max() > 2 * RING
    assert {key: replayed[key] for key in last} == last


def test_topics_of_a_chunk_are_merged_by_event_time() -> None:
    users, others = UserRows(), UserRows()
    views = [event_record("ann", ts_ms=START_MS + 2000 * k, offset=k) for k in range(40)]
    clicks = [event_record("ann", ts_ms=START_MS + 2000 * k + 1000, offset=k) for k in range(40)]
    result = handle(users, {VIEWS: views, CLICKS: clicks})
    assert (result.tally.late, result.tally.reordered, result.tally.applied) == (0, 0, 80)
    handle(others, {CLICKS: clicks, VIEWS: views})
    assert content(users) == content(others)


def test_late_event_does_not_pull_ahead_what_its_topic_delivered_before_it() -> None:
    """A stray event with an old time stays where it came: behind the views before it."""
    views = [event_record("ann", ts_ms=START_MS + 1000 * k, offset=k) for k in range(20)]
    stray = event_record("ann", ts_ms=START_MS - DAY_MS, offset=20)
    result = handle(UserRows(), {VIEWS: [*views, stray]})
    assert (result.tally.late, result.tally.reordered) == (1, 0)


def test_band_after_a_late_event_is_that_of_both_in_one_chunk() -> None:
    drawn = random_model(version="00bad0000000")
    weights = drawn.weights | {"readout_bias": np.full_like(drawn.weights["readout_bias"], -3.5)}
    keys = [f"u{k}" for k in range(40)]
    views = {VIEWS: [event_record(key, ts_ms=START_MS, offset=k) for k, key in enumerate(keys)]}
    clicks = {CLICKS: [event_record(key, f"i{k % 20}", START_MS - 1000, k) for k, key in enumerate(keys)]}
    risk = msgspec.json.decode(
        by_topic(handle(UserRows(), views, Predictor(Model(drawn.card, drawn.items, weights))))[CHURN_RISK][0].value
    )["silent_for"]["7d"]
    card = msgspec.structs.replace(drawn.card, churn=Churn(band_edges=(risk * 0.999, risk * 1.001)))
    model = Predictor(Model(card, drawn.items, weights))  # any other risk is of another band
    both, parts = UserRows(), UserRows()
    whole = handle(both, views | clicks, model)
    handle(parts, views, model)
    assert (parts.read(3, [b"u0", b"u7"])["band"] == 2).all()
    after = handle(parts, clicks, model)
    assert (after.changes[3].rows["band"] != 2).any()
    assert content(parts) == content(both)
    assert sorted(after.records()) == sorted(whole.records())


def test_row_of_another_model_is_rebuilt_before_it_is_answered() -> None:
    other = random_predictor(seed=1)
    switched, only_new = UserRows(), UserRows()
    records = [event_record(ts_ms=START_MS + 1000 * k, offset=k) for k in range(5)]
    old = handle(switched, {VIEWS: records})
    redelivered = handle(switched, {VIEWS: records}, other)
    fresh = handle(only_new, {VIEWS: records}, other)
    assert redelivered.records() == fresh.records()
    assert content(switched) == content(only_new)
    assert not {o.value for o in old.records()} & {o.value for o in fresh.records()}

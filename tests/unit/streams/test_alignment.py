"""Topics merged by time: nothing lost, nothing reordered, nobody held up for long."""

from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st
from record_batches import objects

from schemas.cloudevents import Headers
from streams.chunk import alignment as alignment_module
from streams.chunk.alignment import LIVE_MS, PARTITION_BYTES
from streams.fetched import fetched

VIEWS, CLICKS, PURCHASES = TP("views", 0), TP("clicks", 0), TP("purchases", 0)
TOPICS = {VIEWS, CLICKS, PURCHASES}
PATIENCE_S = 0.5
KNOWN_MORE_S = 10 * PATIENCE_S
LONG_AFTER_MS = 100 + 10 * LIVE_MS
"""A present in which all records of these tests come from a backlog."""


class Record(NamedTuple):
    offset: int
    timestamp: int
    value: bytes | None = b"{}"
    key: bytes | None = None
    headers: Headers = ()


class Alignment(alignment_module.Alignment):
    """With records one by one on both sides."""

    def add_all(self, some: dict[TP, list[Record]], now_s: float) -> None:
        super().add({tp: fetched(part) for tp, part in some.items()}, now_s)

    def take_all(
        self, assigned: set[TP], caught_up: Callable[[TP], bool], now_s: float, wall_ms: int
    ) -> dict[TP, list[Record]]:
        taken = super().take(assigned, caught_up, now_s, wall_ms)
        return {tp: [Record(*each[:2], each.value) for each in objects(part)] for tp, part in taken.items()}


def records(*timestamps: int, start: int = 0) -> list[Record]:
    return [Record(start + k, timestamp) for k, timestamp in enumerate(timestamps)]


def never(_: TP) -> bool:
    return False


def always(_: TP) -> bool:
    return True


def times(taken: dict[TP, list[Record]]) -> dict[TP, list[int]]:
    return {tp: [record.timestamp for record in part] for tp, part in taken.items()}


def made(*parts: tuple[TP, list[Record]], capacity: int = 100, at_once: int = 1000) -> Alignment:
    alignment = Alignment(capacity, PATIENCE_S, at_once)
    alignment.add_all(dict(parts), 0)
    return alignment


def test_records_are_handed_on_up_to_the_time_that_all_topics_have_reached() -> None:
    alignment = made((VIEWS, records(1, 5, 9)), (CLICKS, records(2, 6)), (PURCHASES, records(4, 7)))
    taken = alignment.take_all(TOPICS, never, 0, LONG_AFTER_MS)
    assert times(taken) == {VIEWS: [1, 5], CLICKS: [2, 6], PURCHASES: [4]}
    alignment.add_all({CLICKS: records(20, start=2), PURCHASES: records(15, start=2)}, 0)
    assert times(alignment.take_all(TOPICS, never, 0, LONG_AFTER_MS)) == {VIEWS: [9], PURCHASES: [7]}


def test_topic_that_is_behind_holds_the_others_back() -> None:
    alignment = made((VIEWS, records(1, 5)), (CLICKS, records(2)))
    assert alignment.take_all(TOPICS, never, 0, LONG_AFTER_MS) == {}
    assert alignment.take_all(TOPICS, never, 0.9 * KNOWN_MORE_S, LONG_AFTER_MS) == {}


def test_live_a_topic_that_is_read_to_its_end_holds_nobody_up() -> None:
    alignment = made((VIEWS, records(1, 5)), (CLICKS, records(2)))
    assert times(alignment.take_all(TOPICS, always, 0, LIVE_MS)) == {VIEWS: [1, 5], CLICKS: [2]}


def test_live_too_a_topic_that_is_known_to_have_more_is_waited_for() -> None:
    alignment = made((VIEWS, records(1, 5)), (CLICKS, records(2)))
    assert alignment.take_all(TOPICS, {VIEWS, CLICKS}.__contains__, 0, LIVE_MS) == {}
    alignment.add_all({PURCHASES: records(3)}, 0)
    taken = alignment.take_all(TOPICS, {VIEWS, CLICKS}.__contains__, 0, LIVE_MS)
    assert times(taken) == {VIEWS: [1], CLICKS: [2], PURCHASES: [3]}


def test_in_a_backlog_a_topic_at_its_end_is_waited_for_until_it_was_silent_for_a_while() -> None:
    alignment = made((VIEWS, records(1, 5)), (CLICKS, records(2)))
    assert alignment.take_all(TOPICS, always, 0, LONG_AFTER_MS) == {}
    assert alignment.take_all(TOPICS, always, 0.9 * PATIENCE_S, LONG_AFTER_MS) == {}
    taken = alignment.take_all(TOPICS, {PURCHASES}.__contains__, PATIENCE_S, LONG_AFTER_MS)
    assert times(taken) == {VIEWS: [1], CLICKS: [2]}


def test_topic_that_is_heard_of_is_waited_for_again() -> None:
    alignment = made((VIEWS, records(1, 5)), (CLICKS, records(2)))
    alignment.take_all(TOPICS, always, 0, LONG_AFTER_MS)
    alignment.add_all({PURCHASES: records(3)}, 0.4)
    taken = alignment.take_all(TOPICS, always, 0.4, LONG_AFTER_MS)
    assert times(taken) == {VIEWS: [1], CLICKS: [2]}
    alignment.add_all({CLICKS: records(8, start=1)}, 0.4)
    assert times(alignment.take_all(TOPICS, always, 0.4, LONG_AFTER_MS)) == {PURCHASES: [3]}
    assert alignment.take_all(TOPICS, always, 0.8, LONG_AFTER_MS) == {}
    assert times(alignment.take_all(TOPICS, always, 0.9, LONG_AFTER_MS)) == {VIEWS: [5]}
    assert times(alignment.take_all(TOPICS, always, 0.9, LONG_AFTER_MS)) == {CLICKS: [8]}


def test_topic_that_never_comes_though_it_has_more_is_given_up_after_longer() -> None:
    alignment = made((VIEWS, records(1, 5)), (CLICKS, records(2)))
    assert alignment.take_all(TOPICS, never, 0, LONG_AFTER_MS) == {}
    taken = alignment.take_all(TOPICS, never, KNOWN_MORE_S, LONG_AFTER_MS)
    assert times(taken) == {VIEWS: [1], CLICKS: [2]}


def test_full_partition_is_not_taken_for_a_silent_one() -> None:
    """It is not fetched while it waits for the others: what it brings next is later than what it holds."""
    alignment = made((VIEWS, records(10, 11)), (CLICKS, records(1)), capacity=2)
    both = {VIEWS, CLICKS}
    assert alignment.full() == {VIEWS}
    assert times(alignment.take_all(both, never, 0, LONG_AFTER_MS)) == {CLICKS: [1]}
    alignment.add_all({CLICKS: records(12, 13, start=1)}, 2 * KNOWN_MORE_S)
    taken = alignment.take_all(both, never, 2 * KNOWN_MORE_S, LONG_AFTER_MS)
    assert times(taken) == {VIEWS: [10, 11]}  # the views of 12 are still to come


def test_partitions_of_another_number_do_not_wait_for_each_other() -> None:
    other = TP("views", 1)
    alignment = made((VIEWS, records(1)), (other, records(50)))
    assert times(alignment.take_all({VIEWS, CLICKS, other}, never, 0, LONG_AFTER_MS)) == {other: [50]}


def test_late_record_stays_behind_what_its_topic_had_before_it() -> None:
    alignment = made((VIEWS, records(10, 3, 20)), (CLICKS, records(12)))
    assert times(alignment.take_all({VIEWS, CLICKS}, never, 0, LONG_AFTER_MS)) == {VIEWS: [10, 3], CLICKS: [12]}


def test_partition_that_holds_enough_need_not_be_fetched_until_some_is_taken() -> None:
    alignment = made((VIEWS, records(1, 2, 3)), (CLICKS, records(9)), capacity=3)
    assert alignment.full() == {VIEWS}
    alignment.take_all({VIEWS, CLICKS}, never, 0, LONG_AFTER_MS)
    assert alignment.full() == set()


def test_cleared_of_everything_it_starts_anew() -> None:
    alignment = made((VIEWS, records(1)), (CLICKS, records(2)))
    alignment.take_all(TOPICS, always, 0, LONG_AFTER_MS)
    alignment.clear()
    assert alignment.take_all(TOPICS, always, PATIENCE_S, LONG_AFTER_MS) == {}
    alignment.add_all({VIEWS: records(8)}, PATIENCE_S)
    assert alignment.take_all(TOPICS, always, PATIENCE_S, LONG_AFTER_MS) == {}  # clicks are waited for anew


def test_no_more_is_handed_on_at_once_than_asked_for_and_in_order_of_time() -> None:
    alignment = made((VIEWS, records(*range(0, 100, 2))), (CLICKS, records(*range(1, 100, 2))), at_once=10)
    got = []
    for _ in range(10):
        taken = alignment.take_all({VIEWS, CLICKS}, always, 0, LIVE_MS)
        times_taken = sorted(r.timestamp for part in taken.values() for r in part)
        assert len(times_taken) == 10
        got += times_taken
    assert got == list(range(100))


def test_late_record_at_the_limit_does_not_stop_its_partition() -> None:
    alignment = made((VIEWS, records(10, 3, 4, 5)), at_once=1)
    got = [times(alignment.take_all({VIEWS}, always, 0, LIVE_MS)) for _ in range(2)]
    assert got == [{VIEWS: [10, 3, 4, 5]}, {}]


def test_partition_of_large_records_is_full_before_its_number_is() -> None:
    large = [Record(k, k, b"x" * (PARTITION_BYTES // 3 + 1)) for k in range(3)]
    alignment = made((VIEWS, large[:2]))
    assert alignment.full() == set()
    alignment.add_all({VIEWS: large[2:]}, 0)
    assert alignment.full() == {VIEWS}


def test_few_records_of_old_time_do_not_make_a_live_partition_wait() -> None:
    present = 100 * LIVE_MS
    alignment = made((VIEWS, records(present - 1, present - 2 * LIVE_MS)))
    assert alignment.take_all(TOPICS, always, 0, present) != {}
    alignment.add_all({CLICKS: records(present - 2 * LIVE_MS)}, 0.1)
    assert alignment.take_all(TOPICS, always, 0.1, present) != {}


def test_topics_whose_clocks_differ_do_not_wait_for_each_other_for_ever() -> None:
    present, alignment, waited = 100 * LIVE_MS, Alignment(100, PATIENCE_S, 1000), []
    for tick in range(100):
        now_s = tick * 0.1
        hour_old, two_hours_old = present - 40 * LIVE_MS + tick * 100, present - 80 * LIVE_MS + tick * 100
        alignment.add_all({VIEWS: records(hour_old, start=tick), CLICKS: records(two_hours_old, start=tick)}, now_s)
        for record in alignment.take_all({VIEWS, CLICKS}, always, now_s, present + tick * 100).get(VIEWS, ()):
            waited.append(now_s - record.offset * 0.1)
    assert len(waited) > 40
    assert max(waited) <= KNOWN_MORE_S + 0.2


LOGS = st.fixed_dictionaries(
    {TP(topic, number): st.lists(st.integers(0, 50), max_size=25) for topic in ("views", "clicks") for number in (0, 1)}
)
FETCHES = st.lists(
    st.tuples(
        st.sampled_from([TP(topic, number) for topic in ("views", "clicks") for number in (0, 1)]),
        st.integers(0, 8),  # how many records
        st.sampled_from([0, 0.1, 1, 10]),  # how long after the last fetch, s
        st.integers(0, 15),  # which partitions are read to their end
    ),
    max_size=30,
)


@given(LOGS, FETCHES, st.sampled_from([LIVE_MS, LONG_AFTER_MS]), st.sampled_from([1, 7, 1000]))
def test_nothing_is_lost_or_reordered_whatever_is_fetched_when(
    logs: dict[TP, list[int]], fetches: list[tuple[TP, int, float, int]], wall_ms: int, at_once: int
) -> None:
    alignment, now_s = Alignment(5, PATIENCE_S, at_once), 0.0
    at, got = dict.fromkeys(logs, 0), defaultdict[TP, list[Record]](list)
    for tp, count, after_s, ended in fetches:
        now_s += after_s
        part = records(*logs[tp][at[tp] : at[tp] + count], start=at[tp])
        alignment.add_all({tp: part} if part else {}, now_s)
        at[tp] += len(part)
        idle = {each for k, each in enumerate(logs) if ended >> k & 1}
        for taken_of, part in alignment.take_all(set(logs), idle.__contains__, now_s, wall_ms).items():
            assert part
            got[taken_of] += part
    while any(alignment.waits(number) for number in (0, 1)):
        now_s += 100  # however patient, for what was never heard of too
        for taken_of, part in alignment.take_all(set(logs), always, now_s, LONG_AFTER_MS).items():
            got[taken_of] += part
    assert got == {tp: records(*log[: at[tp]]) for tp, log in logs.items() if at[tp]}


@given(LOGS, st.integers(1, 4), st.integers(1, 9), st.sampled_from([0.1, 1]), st.sampled_from([2, 1000]))
def test_topics_in_order_of_time_come_out_in_order_of_time_and_to_the_end(
    logs: dict[TP, list[int]], capacity: int, pace: int, step_s: float, at_once: int
) -> None:
    """As the consumer runs it: full partitions are not fetched, of the others now one, now another."""
    logs = {tp: sorted(log) for tp, log in logs.items()}
    alignment, at = Alignment(capacity, 20, at_once), dict.fromkeys(logs, 0)
    got: dict[int, list[int]] = defaultdict(list)
    for turn in range(400):
        more = [tp for tp in sorted(logs) if at[tp] < len(logs[tp]) and tp not in alignment.full()]
        for place in {turn * pace % len(more), (turn * pace + 1) % len(more)} if more else ():
            tp = more[place]
            alignment.add_all({tp: records(logs[tp][at[tp]], start=at[tp])}, turn * step_s)
            at[tp] += 1
        taken = alignment.take_all(set(logs), lambda tp: at[tp] == len(logs[tp]), turn * step_s, LONG_AFTER_MS)
        for number in (0, 1):
            got[number] += sorted(r.timestamp for tp, part in taken.items() if tp.partition == number for r in part)
    for number in (0, 1):
        assert got[number] == sorted(t for tp, log in logs.items() if tp.partition == number for t in log)

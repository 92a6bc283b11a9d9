"""A short run: a release has two hundred faults, CI these. `make chaos` runs as many as you like."""

from itertools import islice
from pathlib import Path

import msgspec
import pytest
from builders import START_MS

from chaos.journal import Journal
from chaos.messages import messages
from chaos.run import Plan, chaos
from models.churn import FIRST_RESCORE_MS
from models.state import RING
from schemas.events import Reason, Rejected, decode_event
from streams.settings import read_settings

FAULTS = ["pause_worker", "kill_worker", "kill_broker", "change_model", "move_leaders", "pause_broker", "stop_worker"]


def test_same_seed_gives_the_same_messages_and_an_event_is_overtaken_by_few_or_by_more_than_a_ring() -> None:
    sent = list(islice(messages(7, users=30, items=9, rate=100, start_ms=START_MS), 3000))
    assert sent == list(islice(messages(7, users=30, items=9, rate=100, start_ms=START_MS), 3000))
    assert sent != list(islice(messages(8, users=30, items=9, rate=100, start_ms=START_MS), 3000))
    seen: dict[int, set[tuple[int, str]]] = {}
    overtaken, twice, silent = set(), 0, 0
    for message in sent:
        if not message.poison:
            ts_ms = msgspec.json.decode(message.value or b"")["ts_ms"]
            before = seen.setdefault(message.user, set())
            twice += (ts_ms, message.topic) in before
            newer = [topic for other, topic in before if other > ts_ms]
            assert len(newer) < RING // 2 or newer.count(message.topic) > RING
            overtaken.add(len(newer))
            silent += not before and ts_ms < START_MS - FIRST_RESCORE_MS
            before.add((ts_ms, message.topic))
    assert 0 < len([number for number in overtaken if number < RING]) < len(overtaken)
    assert twice > 0
    assert silent > 10


def test_poison_is_refused_for_many_reasons_and_nothing_else_is() -> None:
    reasons = set()
    for message in islice(messages(7, users=30, items=9, rate=100, start_ms=START_MS), 20_000):
        got = decode_event(message.value, message.key, message.headers or [], message.topic, START_MS + 10**6)
        assert isinstance(got, Rejected) == message.poison, message
        if isinstance(got, Rejected):
            reasons.add(got.reason)
    assert reasons == set(Reason) - {Reason.UNKNOWN_ITEM}


@pytest.mark.broker
@pytest.mark.long
@pytest.mark.timeout(900)
def test_nothing_is_lost_and_nothing_counted_twice_whatever_strikes(kafka_home: Path, tmp_path: Path) -> None:
    plan = Plan(faults=len(FAULTS), seed=1, kinds=FAULTS, calm_s=(0.5, 2), compaction_lag_ms=30_000)
    report = chaos(read_settings(home=kafka_home, partitions=6), plan, tmp_path, Journal())
    print(report.markdown())
    assert report.differences == []
    assert report.counts["rows_equal"] == report.counts["users"] > plan.users
    assert report.counts["last_outputs_equal"] == 3 * report.counts["users"]
    assert report.counts["events_late"] > 0
    assert report.counts["silent_users"] > 0
    assert report.counts["changelog_left"] < report.counts["changelog_written"], "nothing was compacted"
    assert sum(kind.faults for kind in report.faults.values()) == plan.faults

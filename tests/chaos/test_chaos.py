"""A short run: a release has two hundred faults, CI these. `make chaos` runs as many as you like."""

from itertools import islice
from pathlib import Path

import msgspec
import pytest
from builders import START_MS

from chaos.journal import Journal
from chaos.messages import messages
from chaos.run import Plan, chaos
from models.state import RING
from schemas.events import Reason, Rejected, decode_event
from streams.settings import read_settings

FAULTS = ["pause_worker", "kill_worker", "kill_broker", "change_model", "move_leaders", "pause_broker", "stop_worker"]


def test_same_seed_gives_the_same_messages_and_no_event_is_overtaken_by_a_ring() -> None:
    sent = list(islice(messages(7, users=30, items=9, rate=100, start_ms=START_MS), 3000))
    assert sent == list(islice(messages(7, users=30, items=9, rate=100, start_ms=START_MS), 3000))
    assert sent != list(islice(messages(8, users=30, items=9, rate=100, start_ms=START_MS), 3000))
    seen: dict[int, set[int]] = {}
    overtaken, twice = 0, 0
    for message in sent:
        if not message.poison:
            ts_ms = msgspec.json.decode(message.value or b"")["ts_ms"]
            before = seen.setdefault(message.user, set())
            twice += ts_ms in before
            overtaken = max(overtaken, sum(other > ts_ms for other in before))
            before.add(ts_ms)
    assert 0 < overtaken < RING // 2
    assert twice > 0


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
    assert report.counts["changelog_left"] < report.counts["changelog_written"], "nothing was compacted"
    assert sum(kind.faults for kind in report.faults.values()) == plan.faults

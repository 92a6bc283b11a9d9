"""Every metric of the catalogue, scraped from a worker after traffic that gives it a value."""

import math
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from builders import event_json, random_model
from kafka import KafkaConsumer, TopicPartition
from kafka.structs import OffsetAndMetadata
from workers import PATIENCE_S, Worker, wait_until_committed

from models.features import TIME_BINS
from models.model_directory import save
from models.reference import Reference
from models.state import RING
from schemas.topics import INPUTS, physical_name
from streams.clients import admin, kafka_arguments, producer
from streams.metrics.catalogue import CATALOGUE, Described
from streams.metrics.group_lag import group_lag
from streams.settings import Settings, read_settings
from streams.topics import create_topics
from streams.worker_process import Samples

pytestmark = pytest.mark.broker

USERS, ITEMS, WAVES, SOURCES = 60, 50, 10, 3
TRAINED_MS = 1_750_000_000_000


@pytest.fixture
def settings(kafka: str, tmp_path: Path) -> Settings:
    model = random_model(items=ITEMS)
    reference = Reference(
        action=(600, 300, 100), gap=(40,) * TIME_BINS, hour=(9,) * 24, known_item=(1, 999), next_action=(6, 3, 1)
    )
    card = msgspec.structs.replace(model.card, reference=reference, trained_at_ms=TRAINED_MS)
    save(msgspec.structs.replace(model, card=card), tmp_path / "model")
    made = read_settings(
        bootstrap_servers=kafka,
        topic_prefix=f"metrics{time.time_ns()}.",
        model=tmp_path / "model",
        partitions=2,
        group_lag_interval_s=0.5,
    )
    create_topics(made)
    return made


class Traffic:
    """Sends events that happened a moment ago, and counts them."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._now_ms = settings, time.time_ns() // 1_000_000 - 60_000
        self.sent = 0

    def send(self, records: list[tuple[str, str, bytes]], source: str | None = None) -> None:
        """Send records: topic, user, value."""
        headers = [("ce_source", source.encode())] if source else []
        with producer(self._settings) as sender:
            for topic, user, value in records:
                sender.send(physical_name(topic, self._settings.topic_prefix), value, user.encode(), headers=headers)
            sender.flush()
        self.sent += len(records)

    def event(self, user: str, at_s: float, item: str = "i1", topic: str = "views") -> tuple[str, str, bytes]:
        return topic, user, event_json(user, item, self._now_ms + round(at_s * 1000))

    def waves(self) -> None:
        """Each user does something every few seconds."""
        for wave in range(WAVES):
            topic = INPUTS[wave % 3]
            self.send([self.event(f"u{k}", 5 * wave, f"i{(k + wave) % ITEMS}", topic) for k in range(USERS)])

    def mistakes(self) -> None:
        """Each producer makes mistakes of its own."""
        burst = [self.event("late", 10 + k) for k in range(RING + 1)]
        self.send(burst, "/shop/web")
        self.send([burst[-1]], "/shop/web")  # a duplicate
        self.send([self.event("late", 15.5), self.event("late", 1)], "/shop/app")  # out of order, too late
        self.send([("clicks", "x", b"{"), self.event("u1", 50, "never heard of", "clicks")], "/shop/app")
        self.send([self.event("u2", 51 + k / 10) for k in range(5)], "/shop/till")


def labels(samples: Samples, described: Described) -> dict[tuple[str, ...], float]:
    return {key[1:]: value for key, value in samples.items() if key[0] == described.name}


EXACT = {
    "nextact_rejected_total": 1,
    "nextact_late_total": 1,
    "nextact_reordered_total": 1,
    "nextact_unknown_items_total": 1,
    "nextact_producer_rejected_total": 1,
    "nextact_producer_duplicates_total": 1,
    "nextact_producer_late_total": 1,
    "nextact_stale_records": 0,
    "nextact_repaired_rows": 0,
    "nextact_lag_records": 0,
    "nextact_group_lag_records": 0,
    "nextact_partitions": 2,
    "nextact_recovering": 0,
    "nextact_recovery_remaining_records": 0,
    "nextact_chunk_underway_seconds": 0,
    "nextact_users": USERS + 1,
    "nextact_churn_users": USERS + 1,
    "nextact_model_trained_timestamp_seconds": TRAINED_MS / 1000,
}
"""Sums over all labels."""

RANGES = {
    "nextact_state_bytes": (770 * USERS, 1000 * USERS),
    "nextact_changelog_bytes_total": (100 * USERS, 1e6),
    "nextact_rebalances_total": (3, 20),
    "nextact_rebalance_seconds": (0.001, PATIENCE_S),
    "nextact_recovery_seconds": (0.001, PATIENCE_S),
    "nextact_recovered_rows": (1, 1e5),
    "nextact_dropped_records_total": (0, 1e4),
    "nextact_slate_places_total": (10 * USERS, 1e6),
    "nextact_churn_changes_total": (USERS + 1, 1e5),
    "nextact_producer_delay_seconds_total": (60 * USERS, 1e6),
}


def test_every_metric_has_a_value_after_traffic_that_gives_it_one(settings: Settings, tmp_path: Path) -> None:
    traffic, began_s = Traffic(settings), time.time()
    with Worker(settings, tmp_path / "log") as worker:
        worker.wait_until(alone, PATIENCE_S)
        traffic.waves()
        traffic.mistakes()
        worker.wait_until_handled(traffic.sent)
        with Worker(settings, tmp_path / "other") as other:
            other.wait_until(lambda samples: samples["nextact_partitions",] == 1 and settled(samples), PATIENCE_S)
        worker.wait_until(alone, PATIENCE_S)
        wait_until_committed(settings)
        worker.wait_until(caught_up, PATIENCE_S)
        time.sleep(10)  # users are counted by band no more often
        samples = worker.metrics()
    found = {name: labels(samples, described) for name, described in CATALOGUE.items()}
    sums = {name: sum(values.values()) for name, values in found.items() if values}
    for name, described in CATALOGUE.items():
        if described.kind == "histogram":
            count = sum(value for key, value in samples.items() if key[0] == f"{name}_count")
            assert count > 0, name
        else:
            assert found[name], name
            assert all(len(values) == len(described.labels) for values in found[name]), name
    assert {name: sums[name] for name in EXACT} == EXACT
    for name, (least, most) in RANGES.items():
        assert least <= sums[name] <= most, (name, sums[name])
    assert sums["nextact_records_total"] == sums["nextact_producer_records_total"] == traffic.sent
    assert sums["nextact_events_total"] + sums["nextact_rejected_total"] == traffic.sent
    assert found["nextact_events_total"]["duplicate",] == 1
    assert set(found["nextact_producer_records_total"]) == {
        (source,) for source in ("none", "other", "/shop/web", "/shop/app", "/shop/till")
    }
    assert found["nextact_producer_records_total"]["/shop/app",] == 4
    assert found["nextact_producer_late_total"]["/shop/app",] == 1
    quality_adds_up(found, sums)
    for name in ("nextact_last_answer_timestamp_seconds", "nextact_model_loaded_timestamp_seconds"):
        assert began_s <= sums[name] <= time.time()
    drift = found["nextact_input_drift"]
    assert math.isnan(drift.pop(("hour",)))  # no day has passed
    assert all(0 <= value < 10 for value in drift.values()), drift


def quality_adds_up(found: dict[str, dict[tuple[str, ...], float]], sums: dict[str, float]) -> None:
    scored = sums["nextact_predictions_scored_total"]
    assert USERS <= scored <= USERS * (WAVES - 1) + 30
    for name in ("predicted_actions", "observed_actions", "confidence_scored"):
        assert sums[f"nextact_{name}_total"] == pytest.approx(scored)
    assert 0 < sums["nextact_confidence_correct_total"] < scored
    assert scored / 3 < sums["nextact_confidence_sum_total"] < scored
    assert 0.1 < sums["nextact_prediction_log_loss_total"] / scored < 5
    observed = found["nextact_observed_actions_total"]
    shares = {"view": 6.5 / 11.5, "click": 3.5 / 11.5, "purchase": 1.5 / 11.5}
    by_hand = sum(-math.log(share) * observed[action,] for action, share in shares.items())
    assert sums["nextact_baseline_log_loss_total"] == pytest.approx(by_hand)


def settled(samples: Samples) -> bool:
    return not samples["nextact_recovering",] and samples["nextact_rebalances_total",] > 0


def alone(samples: Samples) -> bool:
    return samples["nextact_partitions",] == 2 and settled(samples)


def caught_up(samples: Samples) -> bool:
    return all(samples["nextact_group_lag_records", topic] == 0 for topic in INPUTS)


def test_lag_of_a_group_is_of_all_partitions_and_of_what_it_has_committed(settings: Settings) -> None:
    group, topics = "some-group", {topic: physical_name(topic, settings.topic_prefix) for topic in INPUTS}
    traffic = Traffic(settings)
    with admin(settings) as client:
        ask: Callable[[], object] = lambda: group_lag(client, group, topics)  # noqa: E731
        assert ask() == {("views",): 0, ("clicks",): 0, ("purchases",): 0}
        traffic.waves()
        waves = {topic: len(range(k, WAVES, 3)) * USERS for k, topic in enumerate(INPUTS)}
        assert ask() == {(topic,): count for topic, count in waves.items()}
        with KafkaConsumer(**kafka_arguments(settings), group_id=group, enable_auto_commit=False) as reader:
            place = TopicPartition(topics["views"], 0)
            reader.assign([place])
            handled = reader.end_offsets([place])[place] - 7
            reader.commit({place: OffsetAndMetadata(handled, "", -1)})
        assert ask() == {(topic,): count - (handled if topic == "views" else 0) for topic, count in waves.items()}

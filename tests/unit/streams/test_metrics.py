"""What Prometheus reads, against what was handled."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from builders import START_MS, InputRecord, event_record
from chunks import CLICKS, VIEWS, handle
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from models.features import TIME_BINS
from models.model_directory import Card
from models.reference import Reference
from models.state import ACTIONS
from schemas.events import Reason
from streams.metrics.catalogue import CATALOGUE
from streams.metrics.refusals import REFUSALS
from streams.metrics.worker import BACKFILL_S, LATENCY_BUCKETS_S, Metrics
from streams.pipeline import Origin, Result
from streams.user_rows import UserRows

NOW_S = 1_700_000_000.0
LATENCY = "nextact_event_to_output_seconds"
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def exposed(registry: CollectorRegistry) -> Samples:
    """Every sample that a scrape reads, by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def total(samples: Samples, name: str, **labels: str) -> float:
    """The sum of a metric over all labels that are not given."""
    return sum(value for (n, have), value in samples.items() if n == name and set(labels.items()) <= set(have))


def count(metrics: Metrics, result: Result, ages_s: Sequence[float], topic: str = "views") -> None:
    """Count a chunk with a record of each of these ages, as the agent does."""
    records = {topic: len(ages_s)} if ages_s else {}
    metrics.chunk_handled(records, result, 0.002, NOW_S, np.array(ages_s, np.float64))


def handled(metrics: Metrics, users: UserRows, chunk: dict[Origin, list[InputRecord]]) -> None:
    """Handle a chunk and count it as the agent does."""
    records = Counter({origin.topic: len(records) for origin, records in chunk.items()})
    metrics.chunk_handled(records, handle(users, chunk), 0.002, NOW_S, np.full(records.total(), 0.003))


def test_records_are_the_sum_of_what_became_of_them() -> None:
    metrics, users = Metrics(), UserRows()
    old = [event_record(ts_ms=START_MS + k, offset=k) for k in range(20)]
    handled(metrics, users, {VIEWS: old})
    mixed = [
        old[5],  # delivered again
        event_record(ts_ms=START_MS + 10, offset=20),  # sent twice
        event_record("bob", ts_ms=START_MS, offset=21),
        InputRecord(b"ann", b"{", 22),
        InputRecord(b"ann", None, 23),
    ]
    handled(metrics, users, {VIEWS: mixed, CLICKS: [event_record(ts_ms=START_MS, offset=0)]})  # the last one is late
    samples = exposed(metrics.registry)
    assert total(samples, "nextact_records_total") == 26
    assert total(samples, "nextact_records_total", topic="views") == 25
    by_outcome = {o: total(samples, "nextact_events_total", outcome=o) for o in ("applied", "duplicate", "redelivered")}
    assert by_outcome == {"applied": 22, "duplicate": 1, "redelivered": 1}
    assert total(samples, "nextact_rejected_total") == 2
    assert total(samples, "nextact_rejected_total", topic="views", reason="wrong_payload") == 2
    assert sum(by_outcome.values()) + total(samples, "nextact_rejected_total") == 26
    assert total(samples, "nextact_late_total") == 1
    assert total(samples, "nextact_outputs_total", topic="dead-letters") == 2
    assert {total(samples, "nextact_outputs_total", topic=t) for t in ("next-actions", "churn-risk")} == {3}
    assert total(samples, "nextact_chunk_records_sum") == 26
    assert total(samples, "nextact_chunk_records_count") == 2
    assert total(samples, "nextact_stage_seconds_count", stage="decode") == 2
    assert total(samples, f"{LATENCY}_count") == 26


def test_counters_that_must_be_there_are_0_before_the_first_record() -> None:
    samples = exposed(Metrics().registry)
    for name, count in (("nextact_records_total", 3), ("nextact_events_total", 3), ("nextact_outputs_total", 4)):
        values = [value for (n, _), value in samples.items() if n == name]
        assert values == [0] * count


AGES = st.lists(
    st.one_of(st.floats(-1, 100), st.sampled_from(LATENCY_BUCKETS_S), st.floats(0, 3 * BACKFILL_S)), max_size=40
)


@given(st.lists(AGES, max_size=4))
def test_latencies_of_whole_chunks_are_what_a_histogram_would_have_counted(chunks: list[list[float]]) -> None:
    metrics, registry = Metrics(), CollectorRegistry()
    histogram = Histogram(LATENCY, "one by one", buckets=LATENCY_BUCKETS_S, registry=registry)
    for ages in chunks:
        count(metrics, Result(), ages)
        for age in ages:
            if age < BACKFILL_S:
                histogram.observe(max(age, 0))
    ours = {key: value for key, value in exposed(metrics.registry).items() if key[0].startswith(LATENCY)}
    theirs = exposed(registry)
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        assert ours[key] == pytest.approx(value, rel=1e-9), key


def test_record_from_a_backlog_or_without_time_has_no_latency() -> None:
    metrics = Metrics()
    count(metrics, Result(), [0.5, BACKFILL_S, 1.7e9])
    assert total(exposed(metrics.registry), f"{LATENCY}_count") == 1


def test_two_workers_in_one_process_count_for_themselves() -> None:
    one, other = Metrics(), Metrics()
    count(one, Result(), [0.0] * 7)
    assert [total(exposed(each.registry), "nextact_records_total") for each in (one, other)] == [7, 0]


def test_every_metric_of_the_catalogue_is_scraped_and_no_other() -> None:
    registry = Metrics().registry
    there = {family.name: family.type for family in text_string_to_metric_families(generate_latest(registry).decode())}
    ours = {name: kind for name, kind in there.items() if not name.startswith("process_")}
    kinds = {"info": "gauge"}  # in Prometheus' own format
    wanted = {each.name.removesuffix("_total"): kinds.get(each.kind, each.kind) for each in CATALOGUE.values()}
    assert ours == wanted


def test_labels_take_few_values() -> None:
    for described in CATALOGUE.values():
        for label, values in described.labels.items():
            assert len(values) < 10, (described.name, label)


def test_every_reason_is_counted_as_one_kind() -> None:
    reasons = [reason for kind in REFUSALS.values() for reason in kind]
    assert sorted(reasons) == sorted(Reason)
    assert all(kind not in set(Reason) or REFUSALS[kind] == (kind,) for kind in REFUSALS), "a reason's name is its own"


def test_what_chunks_tell_adds_up() -> None:
    metrics, users = Metrics(), UserRows()
    handled(metrics, users, {VIEWS: [event_record(ts_ms=START_MS), event_record(ts_ms=START_MS + 1, offset=1)]})
    handled(metrics, users, {CLICKS: [event_record(item="unheard of", ts_ms=START_MS + 2000, offset=2)]})
    samples = exposed(metrics.registry)
    assert total(samples, "nextact_conflated_total") == 1
    assert total(samples, "nextact_predictions_scored_total") == 1
    assert total(samples, "nextact_observed_actions_total", action="click") == 1
    assert sum(total(samples, "nextact_predicted_actions_total", action=a) for a in ACTIONS) == pytest.approx(1)
    assert total(samples, "nextact_prediction_log_loss_total") > 0
    assert total(samples, "nextact_confidence_scored_total") == 1
    assert total(samples, "nextact_unknown_items_total", topic="clicks") == 1
    assert total(samples, "nextact_slate_places_total") == 20
    assert total(samples, "nextact_churn_changes_total") >= 1
    assert samples["nextact_last_answer_timestamp_seconds", ()] == NOW_S
    assert math.isnan(samples["nextact_baseline_log_loss_total", ()])
    assert math.isnan(samples["nextact_input_drift", (("feature", "gap"),)])


def test_model_says_when_it_was_trained_and_what_is_to_be_beaten() -> None:
    metrics, users = Metrics(), UserRows()
    counts = Reference(action=(3, 1, 0), gap=(1,) * TIME_BINS, hour=(1,) * 24, known_item=(1, 1), next_action=(6, 3, 0))
    assert exposed(metrics.registry)["nextact_baseline_log_loss_total", ()] == 0
    metrics.model_loaded(Card(name="m", trained_at_ms=5_000, reference=counts), now_s=7.0)
    handled(metrics, users, {VIEWS: [event_record(ts_ms=START_MS)]})
    handled(metrics, users, {CLICKS: [event_record(ts_ms=START_MS + 2000)]})
    samples = exposed(metrics.registry)
    assert samples["nextact_model_trained_timestamp_seconds", ()] == 5
    assert samples["nextact_model_loaded_timestamp_seconds", ()] == 7
    assert samples["nextact_baseline_log_loss_total", ()] == pytest.approx(-math.log(3.5 / 10.5))


def test_churn_bands_that_silence_changed_are_counted() -> None:
    metrics = Metrics()
    metrics.silence_scored([], np.array([2, 3, 3], np.uint8))
    samples = exposed(metrics.registry)
    changes = [total(samples, "nextact_churn_changes_total", band=band) for band in ("low", "medium", "high")]
    assert changes == [0, 1, 2]

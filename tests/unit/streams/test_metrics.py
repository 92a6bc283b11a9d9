"""What Prometheus reads, against what was handled."""

from collections import Counter

import numpy as np
import pytest
from builders import START_MS, InputRecord, event_record
from chunks import CLICKS, VIEWS, handle
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from models.history import Tally
from schemas.events import Reason
from streams.metrics.catalogue import CATALOGUE
from streams.metrics.worker import BACKFILL_S, LATENCY_BUCKETS_S, Metrics
from streams.pipeline import Origin
from streams.user_rows import UserRows

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


def handled(metrics: Metrics, users: UserRows, chunk: dict[Origin, list[InputRecord]]) -> None:
    """Handle a chunk and count it as the agent does."""
    result = handle(users, chunk)
    metrics.chunk_handled(
        Counter({origin.topic: len(records) for origin, records in chunk.items()}),
        result.tally,
        result.rejected,
        Counter(output.topic for output in result.records()),
        result.seconds,
        np.full(sum(map(len, chunk.values())), 0.003),
    )


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
    assert total(samples, "nextact_rejected_total", topic="views", reason="not_json") == 1
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
        metrics.chunk_handled({}, Tally(), {}, {}, {}, np.array(ages, np.float64))
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
    metrics.chunk_handled({"views": 3}, Tally(), {}, {}, {}, np.array([0.5, BACKFILL_S, 1.7e9]))
    assert total(exposed(metrics.registry), f"{LATENCY}_count") == 1


def test_two_workers_in_one_process_count_for_themselves() -> None:
    one, other = Metrics(), Metrics()
    one.outputs_published({"churn-risk": 7})
    assert total(exposed(other.registry), "nextact_outputs_total") == 0


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
            assert len(values) < 10 or (label, values) == ("reason", tuple(Reason)), (described.name, label)

"""Every metric of a worker: its name, labels, meaning and what is healthy; what is registered and documented.

Labels are topics, outcomes, stages and the like: never a user, an item or a partition.
"""

from collections.abc import Mapping
from itertools import chain
from typing import Literal, NamedTuple, TypeAlias

from models.churn import BANDS
from models.state import ACTIONS
from schemas.topics import DEAD_LETTERS, INPUTS, OUTPUTS
from streams.metrics.refusals import REFUSALS, in_words
from streams.slate_json import REASONS

Kind: TypeAlias = Literal["counter", "gauge", "histogram", "info"]

OUTCOMES = ("applied", "duplicate", "redelivered")
STAGES = ("decode", "update", "predict", "answer", "encode", "publish")
FEATURES = ("action", "gap", "hour", "known_item")
NO_BAND = "none"
SLATE_SOURCES = REASONS
CONFIDENCES = ("0.2", "0.4", "0.6", "0.8", "1.0")
"""Upper edges of the bins of the largest probability."""

NAMED_SOURCES = 7
"""Producers with series of their own."""

NO_SOURCE, OTHER_SOURCES = "none", "other"


class Described(NamedTuple):
    """A metric.

    Fields:
        name: as Prometheus shows it.
        kind: its type.
        meaning: what it is.
        healthy: what a healthy worker shows.
        labels: the values that each may take; none: known only while the worker runs.
    """

    name: str
    kind: Kind
    meaning: str
    healthy: str
    labels: Mapping[str, tuple[str, ...]] = {}


_BY_TOPIC = {"topic": INPUTS}
_BY_ACTION = {"action": ACTIONS}
_BY_BIN = {"bin": CONFIDENCES}
_BY_SOURCE = {"source": (NO_SOURCE, OTHER_SOURCES)}  # and those that come

GROUPS: Mapping[str, tuple[Described, ...]] = {
    "Events in": (
        Described(
            "nextact_records_total", "counter", "input records handled", "follows what producers send", _BY_TOPIC
        ),
        Described(
            "nextact_events_total",
            "counter",
            "valid events: applied, duplicate (sent twice), redelivered (seen before a restart)",
            "duplicates under 1 %; redelivered only after a restart",
            {"outcome": OUTCOMES},
        ),
        Described(
            "nextact_rejected_total",
            "counter",
            f"records refused, by kind of reason; each is in `dead-letters` with the reason itself: {in_words()}",
            "under 0.1 % of the records",
            {"topic": INPUTS, "reason": tuple(REFUSALS)},
        ),
        Described(
            "nextact_late_total",
            "counter",
            "events too late to be put in order; they count in the windows only",
            "under 0.1 % of the events",
        ),
        Described(
            "nextact_reordered_total",
            "counter",
            "events that came out of order and were put in order",
            "a few percent of the events; each costs some steps of the network",
        ),
        Described(
            "nextact_unknown_items_total",
            "counter",
            "valid events whose item the model does not know",
            "as many as there are new items; growing: the model is getting old",
            _BY_TOPIC,
        ),
        Described(
            "nextact_arrival_delay_seconds",
            "histogram",
            "from when an event happened to its record's timestamp; not of records over an hour old",
            "p99 of some seconds; negative ones, of clocks ahead, count as 0",
        ),
        Described(
            "nextact_dropped_records_total",
            "counter",
            "fetched input records thrown away at a rebalance: their partition's owner fetches them again",
            "grows at rebalances only",
        ),
    ),
    "Answers": (
        Described(
            "nextact_outputs_total",
            "counter",
            "records published and acknowledged",
            "each output topic grows as the events do, or slower under load",
            {"topic": (*OUTPUTS, DEAD_LETTERS)},
        ),
        Described(
            "nextact_conflated_total",
            "counter",
            "valid events that share their answer with another one of the same user in the chunk",
            "few while there is no backlog",
        ),
        Described(
            "nextact_event_to_output_seconds",
            "histogram",
            "from a record's timestamp to its acknowledged outputs; not of records over an hour old",
            '99 % within 0.25 s: `le="0.25"`',
        ),
        Described(
            "nextact_last_answer_timestamp_seconds",
            "gauge",
            "unix time at which a chunk was last acknowledged, 0: none yet",
            "now, while events come",
        ),
        Described(
            "nextact_slate_places_total",
            "counter",
            "places in slates by where the item came from: in the user's last events, predicted from them, or popular,"
            " as nothing is known of the user's items",
            "mostly predicted and seen before",
            {"source": SLATE_SOURCES},
        ),
        Described(
            "nextact_churn_changes_total",
            "counter",
            "users whose churn band changed, by the new band; the first one of a user too",
            "no jump; a new model moves many at once",
            {"band": BANDS},
        ),
        Described(
            "nextact_churn_users",
            "gauge",
            "users in memory by churn band; counted at most every ten seconds",
            "shares that change slowly",
            {"band": (*BANDS, NO_BAND)},
        ),
    ),
    "Work": (
        Described(
            "nextact_chunk_records", "histogram", "records handled together", "tens while live, thousands in a backlog"
        ),
        Described(
            "nextact_stage_seconds",
            "histogram",
            "decode, update, predict, answer, encode: CPU time of a chunk; publish: until it is acknowledged",
            "publish under 0.1 s while live",
            {"stage": STAGES},
        ),
        Described(
            "nextact_chunk_underway_seconds",
            "gauge",
            "age of the oldest chunk in work, 0: none; true also while the worker is stuck",
            "under 1 s; at `NEXTACT_WATCHDOG_S` the worker ends",
        ),
        Described("nextact_users", "gauge", "users in memory", "grows with the number of users"),
        Described(
            "nextact_state_bytes",
            "gauge",
            "memory held by rows and the index of their keys",
            "some 800 bytes and the key for each user",
        ),
        Described(
            "nextact_changelog_bytes_total",
            "counter",
            "bytes of changelog batches acknowledged, before the broker compacts",
            "some 500 bytes for each user of a chunk",
        ),
    ),
    "Lag and recovery": (
        Described(
            "nextact_lag_records",
            "gauge",
            "input records of the worker's own partitions that are not handled yet; NaN while that is not known",
            "near 0, and falling after a burst",
            _BY_TOPIC,
        ),
        Described(
            "nextact_group_lag_records",
            "gauge",
            "input records that the whole group has not handled yet, of partitions without an owner too: every worker"
            " asks the broker and says the same; NaN while the broker does not answer",
            "what comes in a second or two, as offsets are committed once a second",
            _BY_TOPIC,
        ),
        Described("nextact_partitions", "gauge", "partitions owned", "over all workers `NEXTACT_PARTITIONS`"),
        Described("nextact_rebalances_total", "counter", "assignments received", "grows when workers come and go"),
        Described(
            "nextact_rebalance_seconds",
            "gauge",
            "from the last revocation until events are handled again, recovery included; while it lasts, so far",
            "seconds; with millions of users in the changelog tens of seconds",
        ),
        Described(
            "nextact_recovering",
            "gauge",
            "1 while partitions change hands and state is read back from Kafka",
            "0, but for seconds after a rebalance",
        ),
        Described(
            "nextact_recovery_remaining_records",
            "gauge",
            "changelog records still to be read, 0: none",
            "0, and falling during a recovery",
        ),
        Described(
            "nextact_recovered_rows", "gauge", "changelog records read since the start", "grows at recoveries only"
        ),
        Described(
            "nextact_recovery_seconds",
            "gauge",
            "time that the last recovery took",
            "200,000 users take a second or two",
        ),
        Described(
            "nextact_stale_records",
            "gauge",
            "changelog records of a worker that had lost its partitions, ignored",
            "0; more after a worker was paused past its session",
        ),
        Described("nextact_repaired_rows", "gauge", "rows written again over such records", "as above"),
    ),
    "Model": (
        Described(
            "nextact_model_info",
            "info",
            "the model in use",
            "one version over all workers, but for the minutes of a change",
            {"name": (), "version": ()},
        ),
        Described(
            "nextact_model_trained_timestamp_seconds",
            "gauge",
            "unix time at which the model in use was trained; NaN: it does not say",
            "as old as the plan for training allows",
        ),
        Described(
            "nextact_model_loaded_timestamp_seconds",
            "gauge",
            "unix time at which the model in use was loaded",
            "after it was trained",
        ),
    ),
    "Prediction quality": (
        Described(
            "nextact_predictions_scored_total",
            "counter",
            "predictions held against the action that came next: a sample of the users of each chunk, whose event came"
            " before they would count as gone",
            "grows while users come back; the figures below are of these",
        ),
        Described(
            "nextact_prediction_log_loss_total",
            "counter",
            "sum of -ln P(action that came), P of the state before the event, given that one came",
            "the mean is below that of the baseline",
        ),
        Described(
            "nextact_baseline_log_loss_total",
            "counter",
            "the same for the shares of the actions that came next in the training data; NaN: the model has none",
            "above the model's",
        ),
        Described(
            "nextact_predicted_actions_total",
            "counter",
            "sum of the predicted probabilities of each action",
            "close to what was observed",
            _BY_ACTION,
        ),
        Described(
            "nextact_observed_actions_total", "counter", "actions that came", "close to what was predicted", _BY_ACTION
        ),
        Described(
            "nextact_confidence_scored_total",
            "counter",
            "scored predictions by their largest probability",
            "",
            _BY_BIN,
        ),
        Described(
            "nextact_confidence_sum_total",
            "counter",
            "sum of the largest probabilities",
            "in each bin close to the correct ones",
            _BY_BIN,
        ),
        Described(
            "nextact_confidence_correct_total",
            "counter",
            "those whose most probable action came",
            "in each bin close to the sum",
            _BY_BIN,
        ),
        Described(
            "nextact_input_drift",
            "gauge",
            "population stability index of sampled events against the training data: of the last 10,000 or so, and of"
            " the hours of a week or so; NaN: the model has no reference, or there are too few events",
            "under 0.1; above 0.25 the input is not what was learnt from",
            {"feature": FEATURES},
        ),
    ),
    "Producers": (
        Described(
            "nextact_producer_records_total",
            "counter",
            f"records by their `ce_source` header: the first {NAMED_SOURCES} that come by name, the rest as other;"
            " none: without the header",
            "every producer that should send does",
            _BY_SOURCE,
        ),
        Described(
            "nextact_producer_rejected_total", "counter", "refused", "under 0.1 % of the producer's records", _BY_SOURCE
        ),
        Described("nextact_producer_duplicates_total", "counter", "sent twice", "under 1 %", _BY_SOURCE),
        Described("nextact_producer_late_total", "counter", "too late to be put in order", "under 0.1 %", _BY_SOURCE),
        Described(
            "nextact_producer_delay_seconds_total",
            "counter",
            "sum of the delays from event to record, as in `nextact_arrival_delay_seconds`",
            "by records: some seconds",
            _BY_SOURCE,
        ),
    ),
}
"""The metrics under their headings."""

CATALOGUE: Mapping[str, Described] = {each.name: each for each in chain.from_iterable(GROUPS.values())}
"""Every metric by its name."""

"""The metrics of one worker, registered and counted."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)

from models.churn import BANDS
from models.model_directory import Card
from models.observed import BACKFILL_MS, DELAY_EDGES_S, OBSERVED
from models.state import Ints
from schemas.topics import DEAD_LETTERS, INPUTS, OUTPUTS
from streams.metrics.asked import Asked, Values, labelled
from streams.metrics.catalogue import CATALOGUE, OUTCOMES, SLATE_SOURCES, STAGES
from streams.metrics.drift import Drift
from streams.metrics.figures import baseline_loss, figures
from streams.metrics.histogram import ChunkHistogram
from streams.metrics.refusals import REFUSED_AS
from streams.metrics.scorecard import Scorecard
from streams.outputs import Outputs
from streams.pipeline import Result
from streams.senders import Score

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, read by nobody

LATENCY_BUCKETS_S = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
STAGE_BUCKETS_S = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)
CHUNK_BUCKETS = (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 30_000)
BACKFILL_S = BACKFILL_MS / 1000
"""A record older than this when it is answered comes from a backlog or a replay: it has no latency."""

_OF_THE_MODEL = (
    "nextact_model_trained_timestamp_seconds",
    "nextact_model_loaded_timestamp_seconds",
)


class Metrics:
    """All metrics of one worker, in a registry of their own.

    `records = events applied + duplicates + redelivered + rejected` always holds.

    Attributes:
        asked: by name those that are worked out when they are scraped.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._left = dict(CATALOGUE)
        ProcessCollector(registry=self.registry)
        self._observed = np.zeros(1, OBSERVED)  # of all chunks
        self._slates = np.zeros(len(SLATE_SOURCES))
        self._drift, self._scorecard, self._all = Drift(None), Scorecard(), Score()
        self._answered_s = 0.0
        self._records = self._counter("nextact_records_total", *INPUTS)
        self._events = self._counter("nextact_events_total", *OUTCOMES)
        self._rejected = self._counter("nextact_rejected_total")[()]
        self._late = self._counter("nextact_late_total")[()]
        self._reordered = self._counter("nextact_reordered_total")[()]
        self._outputs = self._counter("nextact_outputs_total", *OUTPUTS, DEAD_LETTERS)
        self._chunk_records = self._histogram("nextact_chunk_records", CHUNK_BUCKETS)
        stage = self._histogram("nextact_stage_seconds", STAGE_BUCKETS_S)
        self._stages = {name: stage.labels(name) for name in STAGES}
        self._latency = ChunkHistogram(self._left.pop("nextact_event_to_output_seconds"), LATENCY_BUCKETS_S)
        delays = self._observed["delay"][0], self._observed["delay_s"]
        self._delay = ChunkHistogram(self._left.pop("nextact_arrival_delay_seconds"), DELAY_EDGES_S, *delays)
        described = self._left.pop("nextact_model_info")
        self._model = Info(described.name.removesuffix("_info"), described.meaning, registry=self.registry)
        self.asked = {name: Asked(described) for name, described in self._left.items()}
        for each in (self._latency, self._delay, *self.asked.values()):
            self.registry.register(each)
        self._ask()

    def _counter(self, name: str, *values: str) -> dict[str | tuple[()], Counter]:
        """Return the counter's series by the values of its one label, without any values the counter itself."""
        described = self._left.pop(name)
        counter = Counter(described.name, described.meaning, [*described.labels], registry=self.registry)
        return {value: counter.labels(value) for value in values} or {(): counter}

    def _histogram(self, name: str, edges: tuple[float, ...]) -> Histogram:
        described = self._left.pop(name)
        labels = [*described.labels]
        return Histogram(described.name, described.meaning, labels, buckets=edges, registry=self.registry)

    def _ask(self) -> None:
        for name, ask in figures(self._observed).items():
            self.asked[name].ask = ask
        self.ask("nextact_last_answer_timestamp_seconds", lambda: self._answered_s)
        self.asked["nextact_slate_places_total"].ask = lambda: labelled(SLATE_SOURCES, self._slates.tolist())
        self.asked["nextact_input_drift"].ask = lambda: self._drift.values()
        for count in ("records", "rejected", "duplicates", "late"):
            self.asked[f"nextact_producer_{count}_total"].ask = partial(self._by_producer, count)
        self.asked["nextact_group_lag_records"].ask = lambda: labelled(INPUTS, [math.nan] * len(INPUTS))
        for name in _OF_THE_MODEL:
            self.ask(name, lambda: math.nan)
        self.ask("nextact_baseline_log_loss_total", lambda: baseline_loss(self._observed, None))
        delay = lambda: self._scorecard.values("delay_s", float(self._observed["delay_s"][0]))  # noqa: E731
        self.asked["nextact_producer_delay_seconds_total"].ask = delay

    def _by_producer(self, count: str) -> Values:
        return self._scorecard.values(count, getattr(self._all, count))

    def ask(self, name: str, value: Callable[[], float]) -> None:
        """Let a metric without labels be asked for; any thread may ask."""
        self.asked[name].ask = lambda: {(): value()}

    def model_loaded(self, card: Card, now_s: float) -> None:
        """Take note of the model in use, loaded at this unix time."""
        trained_s = card.trained_at_ms / 1000 or math.nan
        self._model.info({"name": card.name, "version": card.version})
        self.ask("nextact_model_trained_timestamp_seconds", lambda: trained_s)
        self.ask("nextact_model_loaded_timestamp_seconds", lambda: now_s)
        self.ask("nextact_baseline_log_loss_total", lambda: baseline_loss(self._observed, card.reference))
        self._drift = Drift(card.reference)

    def chunk_handled(
        self,
        records: Mapping[str, int],
        result: Result,
        publish_s: float,
        now_s: float,
        age_s: npt.NDArray[np.float64],
    ) -> None:
        """Count a chunk whose outputs and rows are acknowledged.

        Args:
            records: number of input records by topic.
            result: what the chunk led to.
            publish_s: from when it was computed until it was acknowledged.
            now_s: unix time.
            age_s: time since each record's timestamp [records].
        """
        count, tally = len(age_s), result.tally
        for topic, number in records.items():
            self._records[topic].inc(number)
        self._events["applied"].inc(tally.applied)
        self._events["duplicate"].inc(tally.duplicates)
        self._events["redelivered"].inc(tally.redelivered)
        for (topic, reason), number in result.rejected.items():
            self._rejected.labels(topic, REFUSED_AS[reason]).inc(number)
        self._late.inc(tally.late)
        self._reordered.inc(tally.reordered)
        self._published(result.outputs)
        self._outputs[DEAD_LETTERS].inc(len(result.dead_letters))
        self._chunk_records.observe(count)
        for stage, took_s in result.seconds.items():
            self._stages[stage].observe(took_s)
        self._stages["publish"].observe(publish_s)
        self._latency.observe(np.maximum(age_s[age_s < BACKFILL_S], 0))
        self._observed.view(np.float64)[:] += result.observed.view(np.float64)
        self._drift.add(result.observed, result.newest_ms)
        self._all.records += count
        self._all.rejected += len(result.dead_letters)
        self._all.duplicates += tally.duplicates
        self._all.late += tally.late
        self._scorecard.add(result.senders.scores)
        self._answered_s = now_s

    def silence_scored(self, outputs: Sequence[Outputs], bands: Ints) -> None:
        """Count outputs that are acknowledged and that silence led to, of users whose churn band is now this one."""
        self._published(outputs)
        self._observed["changed"][0] += np.bincount(bands, minlength=len(BANDS) + 1)[1:]

    def _published(self, outputs: Sequence[Outputs]) -> None:
        for made in outputs:
            self._outputs[made.topic].inc(len(made))
            if made.places:
                self._slates += made.places

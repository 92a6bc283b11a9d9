"""The pipeline over a log, with no broker: the same code, the same rows, the same outputs."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

import msgspec
import polars as pl

from models.history import Tally
from models.model_directory import Card
from models.predictor import Predictor
from models.scoring import Forecast, NextActionScore, score_next_actions
from schemas.cloudevents import Headers
from schemas.outputs import NextAction
from schemas.partitioner import partition
from schemas.topics import NEXT_ACTIONS, TOPIC_OF_ACTION
from streams.fetched import in_columns
from streams.options import Options
from streams.outputs import Output
from streams.pipeline import Origin, process
from streams.replay import messages
from streams.user_rows import UserRows

Report = Callable[[int], None]
"""Called now and then with the number of events done so far."""

Sink = Callable[[Output], None]
"""Takes each output as it is made."""

_decode_next_action = msgspec.json.Decoder(NextAction).decode


class Record(NamedTuple):
    """A record as a replay of the log into empty topics would have made it."""

    key: bytes
    value: bytes
    headers: Headers
    timestamp: int
    offset: int


@dataclass
class Backtest:
    """What a backtest leads to."""

    users: UserRows = field(default_factory=UserRows)
    events: int = 0
    outputs: Counter[str] = field(default_factory=Counter)  # number by topic
    rejected: Counter[str] = field(default_factory=Counter)  # number by reason
    tally: Tally = field(default_factory=Tally)


def backtest(
    events: pl.DataFrame,
    model: Predictor,
    options: Options,
    sink: Sink,
    *,
    partitions: int = 8,
    chunk_records: int = 1000,
    report: Report | None = None,
) -> Backtest:
    """Run the pipeline over an EVENTS log.

    Args:
        events: the log, as `models.events_file.read_serving_events` returns it.
        model: predicts.
        options: of the pipeline.
        sink: takes the outputs.
        partitions: as the topics would have: output ids depend on it.
        chunk_records: events handled together; a user gets one set of outputs a chunk.
        report: told of the progress.
    """
    result = Backtest()
    now_ms = int(events["ts_ms"].to_numpy().max(initial=0))
    records = _records(events, partitions)
    while batch := list(islice(records, chunk_records)):
        chunk: dict[Origin, list[Record]] = {}
        for origin, record in batch:
            chunk.setdefault(origin, []).append(record)
        done = process(in_columns(chunk), result.users, model, now_ms, options)
        for number, change in done.changes.items():
            result.users.write(number, change.keys, change.rows)
        for output in done.records():
            result.outputs[output.topic] += 1
            sink(output)
        for (_, reason), count in done.rejected.items():
            result.rejected[reason] += count
        for name, count in vars(done.tally).items():
            setattr(result.tally, name, getattr(result.tally, name) + count)
        result.events += len(batch)
        if report is not None:
            report(result.events)
    return result


def _records(events: pl.DataFrame, partitions: int) -> Iterator[tuple[Origin, Record]]:
    offsets: Counter[Origin] = Counter()
    for action, key, value, ts_ms in messages(events):
        origin = Origin(TOPIC_OF_ACTION[action], partition(key, partitions))
        yield origin, Record(key, value, (), ts_ms, offsets[origin])
        offsets[origin] += 1


class Forecasts:
    """A sink that keeps the next-action forecasts among the outputs, to score them."""

    def __init__(self) -> None:
        self._kept: list[Forecast] = []

    def __call__(self, output: Output) -> None:
        """Take an output."""
        if output.topic == NEXT_ACTIONS:
            self.add(output.value)

    def add(self, value: bytes) -> None:
        """Take the value of a record of `next-actions`."""
        message = _decode_next_action(value)
        self._kept.append(Forecast(message.user_id, sum(message.totals.values()), message.actions))

    def score(self, events: pl.DataFrame, card: Card, from_ms: int | None = None) -> NextActionScore:
        """Score them against the log; by default only what is later than all that the model was trained on."""
        since = card.trained_until_ms + 1 if from_ms is None else from_ms
        return score_next_actions(self._kept, events, since)

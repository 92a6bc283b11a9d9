"""What a worker published, held against its own counters and against a plain fold over the input."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
from kafka import TopicPartition

from models.left_out import ring_steps
from models.model_directory import load
from models.state import ACTIONS, Rows
from schemas.topics import NEXT_ACTIONS, OUTPUTS, physical_name
from streams.benchmark.final_state import BenchmarkFailed, last_values
from streams.benchmark.plain_network import Event, PlainNetwork
from streams.benchmark.workload import Workload
from streams.clients import consumer
from streams.settings import Settings
from streams.worker_process import Samples

Ends = Mapping[TopicPartition, int]
"""Where partitions end: the offset that the next record gets."""

_PATIENCE_S = 20.0
_LOOK_S = 0.2


SAMPLE = 200
"""Users whose probabilities are computed again."""

_ROUNDING = 1e-5  # probabilities are published with six digits


class _Said(msgspec.Struct):
    """What a next action says, as far as it is checked."""

    actions: dict[str, float]
    windows: dict[str, dict[str, int]]
    totals: dict[str, int]


_decode = msgspec.json.Decoder(_Said).decode


def output_ends(settings: Settings) -> Ends:
    """Return where the partitions of the output topics end."""
    names = [physical_name(topic, settings.topic_prefix) for topic in OUTPUTS]
    places = [TopicPartition(name, number) for name in names for number in range(settings.partitions)]
    with consumer(settings) as reader:
        ends: Ends = reader.end_offsets(places)
    return ends


def check_counts(settings: Settings, since: Ends, looks: Callable[[], Sequence[Samples]]) -> dict[str, int]:
    """Return the number of records of each output topic, by the broker, once it is what the workers counted.

    They are looked at several times: what silence leads to is published at any time, and counted afterwards.

    Args:
        settings: a broker that answers.
        since: where the topics ended before.
        looks: asks all the workers for their metrics.

    Raises:
        BenchmarkFailed: the broker has more records, or less.
    """
    deadline_s = time.monotonic() + _PATIENCE_S
    while True:
        samples = looks()
        counted = {
            topic: int(sum(each.get(("nextact_outputs_total", topic), 0) for each in samples)) for topic in OUTPUTS
        }
        found, ends = dict.fromkeys(OUTPUTS, 0), output_ends(settings)
        for topic in OUTPUTS:
            name = physical_name(topic, settings.topic_prefix)
            found[topic] = sum(end - since[place] for place, end in ends.items() if place.topic == name)
        if found == counted:
            return found
        if time.monotonic() > deadline_s:
            wrong = [f"{found[t]:,} records of {t}, not {n:,}" for t, n in counted.items() if found[t] != n]
            raise BenchmarkFailed(f"the broker does not have what the workers counted: {', '.join(wrong)}")
        time.sleep(_LOOK_S)


def check_next_actions(settings: Settings, input_: Workload, since: Ends, keys: Sequence[bytes], rows: Rows) -> None:
    """Hold the last next action of every user against the fold, and those of some against the plain network.

    Args:
        settings: a broker that answers.
        input_: all events.
        since: where the topics ended before.
        keys: all users.
        rows: theirs as the changelog has them [users]: where the plain network goes on from.

    Raises:
        BenchmarkFailed: a user has none, its last one counts other events, or has other probabilities.
    """
    name = physical_name(NEXT_ACTIONS, settings.topic_prefix)
    values = last_values(settings, {place: offset for place, offset in since.items() if place.topic == name})
    said = {key: _decode(value) for key, value in values.items()}
    totals = {key: one.totals for key, one in said.items()}
    wanted = {key: dict(zip(ACTIONS, counts, strict=True)) for key, counts in input_.totals().items()}
    if totals != wanted:
        none, wrong = len(wanted.keys() - totals), sum(wanted.get(key) != counts for key, counts in totals.items())
        raise BenchmarkFailed(
            f"of {len(wanted):,} users {none:,} have no next action, and {wrong:,} one that counts other events"
        )
    network, wrong = PlainNetwork(load(settings.model or Path())), 0
    drawn = np.random.default_rng(1).permutation(len(keys))[:SAMPLE].tolist()
    for place in drawn:
        one = said[keys[place]]
        counts = [count for window in one.windows.values() for count in window.values()]
        total = int(rows["total"][place].sum())
        plain = network.outcomes(rows["now"][place].tolist(), counts, _last_events(rows[place : place + 1]), total)
        wrong += one.actions.keys() != plain.keys() or any(abs(one.actions[k] - plain[k]) > _ROUNDING for k in plain)
    if wrong:
        raise BenchmarkFailed(f"the probabilities of {wrong} of {len(drawn)} users are not the plain network's")


def _last_events(row: Rows) -> list[Event]:
    """Return the events of the ring of one row, in order of time; items by their hashes."""
    steps, held = ring_steps(row)
    columns = (column[held].tolist() for column in (steps.item, steps.action, steps.ts_ms))
    return [Event(b"%d" % item, action, ts_ms) for item, action, ts_ms in zip(*columns, strict=True)]

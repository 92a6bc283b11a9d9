"""What a worker published, held against its own counters and against a plain fold over the input."""

import time
from collections.abc import Callable, Mapping, Sequence

import msgspec
from kafka import TopicPartition

from models.state import ACTIONS
from schemas.topics import NEXT_ACTIONS, OUTPUTS, physical_name
from streams.benchmark.final_state import BenchmarkFailed, last_values
from streams.benchmark.workload import Workload
from streams.clients import consumer
from streams.settings import Settings
from streams.worker_process import Samples

Ends = Mapping[TopicPartition, int]
"""Where partitions end: the offset that the next record gets."""

_PATIENCE_S = 20.0
_LOOK_S = 0.2


class _Totals(msgspec.Struct):
    totals: dict[str, int]


_decode = msgspec.json.Decoder(_Totals).decode


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


def check_next_actions(settings: Settings, input_: Workload, since: Ends) -> None:
    """Hold the last next action of every user against the fold.

    Args:
        settings: a broker that answers.
        input_: all events.
        since: where the topics ended before.

    Raises:
        BenchmarkFailed: a user has none, or its last one counts other events.
    """
    name = physical_name(NEXT_ACTIONS, settings.topic_prefix)
    values = last_values(settings, {place: offset for place, offset in since.items() if place.topic == name})
    totals = {key: _decode(value).totals for key, value in values.items()}
    wanted = {key: dict(zip(ACTIONS, counts, strict=True)) for key, counts in input_.totals().items()}
    if totals != wanted:
        none, wrong = len(wanted.keys() - totals), sum(wanted.get(key) != counts for key, counts in totals.items())
        raise BenchmarkFailed(
            f"of {len(wanted):,} users {none:,} have no next action, and {wrong:,} one that counts other events"
        )

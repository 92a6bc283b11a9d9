"""The limit of our own pipeline: its work on a chunk in one loop in one process, with no broker and no Kafka client."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice

import msgspec
from aiokafka.structs import ConsumerRecord
from threadpoolctl import threadpool_limits

from models.predictor import Predictor
from schemas.partitioner import partition
from streams.benchmark.workload import Workload
from streams.chunk.changelog import ID_BYTES, changelog_batches
from streams.fetched import in_columns
from streams.options import Options
from streams.pipeline import Chunk, Origin, process
from streams.publishing import encoded
from streams.user_rows import UserRows


class Limit(msgspec.Struct, frozen=True):
    """What the loop costs, after the warm-up."""

    events_per_s: float
    cpu_us_per_event: float
    stage_us_per_event: dict[str, float]  # CPU time


def limit(
    input_: Workload, model: Predictor, options: Options, *, partitions: int, at_once: int, warm_up: float
) -> tuple[Limit, UserRows]:
    """Decode, update, predict and encode all events in order of event time; return the cost and the rows at the end.

    What is encoded is what leaves a worker: outputs and changelog as record batches in LZ4.

    Args:
        input_: the events; those of the chunk in work are in memory as a consumer's records before the clock runs.
        model: predicts.
        options: of the pipeline.
        partitions: of each topic.
        at_once: number of events in a chunk.
        warm_up: share of the events before the clock starts.
    """
    users = UserRows()
    now_ms = time.time_ns() // 1_000_000
    seen, timed, took_s, cpu_s = 0, 0, 0.0, 0.0
    stages: defaultdict[str, float] = defaultdict(float)
    with threadpool_limits(1):
        for chunk in chunks(input_, partitions, at_once):
            began_s, began_cpu_s = time.perf_counter(), time.process_time()
            result = process(chunk, users, model, now_ms, options)
            processed_cpu_s = time.process_time()
            for number, change in result.changes.items():
                users.write(number, change.keys, change.rows)
            written_cpu_s = time.process_time()
            batches = [batch for made in result.outputs for its in encoded(made).values() for batch in its]
            encoded_cpu_s = time.process_time()
            for number, change in result.changes.items():
                batches += changelog_batches(number, bytes(ID_BYTES), change.keys, change.rows)
            for batch in batches:
                batch.compressed()
            ended_s, ended_cpu_s = time.perf_counter(), time.process_time()
            size = sum(map(len, chunk.values()))
            if seen >= len(input_) * warm_up:
                timed += size
                took_s += ended_s - began_s
                cpu_s += ended_cpu_s - began_cpu_s
                after = {
                    "write": written_cpu_s - processed_cpu_s,
                    "encode": encoded_cpu_s - written_cpu_s,
                    "pack": ended_cpu_s - encoded_cpu_s,
                }
                for stage, seconds in (result.seconds | after).items():
                    stages[stage] += seconds
            seen += size
    cost = {stage: seconds / timed * 1e6 for stage, seconds in stages.items()}
    return Limit(timed / took_s, cpu_s / timed * 1e6, cost), users


def chunks(input_: Workload, partitions: int, at_once: int) -> Iterator[Chunk]:
    """Yield events as chunks of records with the offsets that a broker would give them, in order of event time."""
    place = lru_cache(maxsize=None)(lambda key: partition(key, partitions))
    offsets: Counter[Origin] = Counter()
    messages = input_.messages()
    while part := list(islice(messages, at_once)):
        chunk: dict[Origin, list[ConsumerRecord[bytes, bytes]]] = {}
        for topic, key, value, ts_ms in part:
            origin = Origin(topic, place(key))
            record = ConsumerRecord(
                topic, origin.partition, offsets[origin], ts_ms, 0, key, value, None, len(key), len(value), ()
            )
            offsets[origin] += 1
            chunk.setdefault(origin, []).append(record)
        yield in_columns(chunk)

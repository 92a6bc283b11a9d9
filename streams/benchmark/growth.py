"""How the cost of an event grows with the users that are known and the items that are ranked: the pipeline alone.

A chunk costs by its events and by its distinct users: each is read, answered and written once. The more users are
drawn from, the fewer events each has in a chunk, so the cost is shown both ways: as the users are drawn, and with as
many in every chunk, where only the number of known ones grows.
"""

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from models.predictor import Predictor
from models.state import Ints
from schemas.cloudevents import Headers
from schemas.partitioner import partition
from schemas.topics import INPUTS
from streams.benchmark.known_users import LAST_MS, known_users
from streams.benchmark.report import Spread, spread
from streams.benchmark.workload import random_model, workload
from streams.fetched import in_columns
from streams.options import Options
from streams.pipeline import Chunk, Origin, process
from streams.user_rows import UserRows

PARTITIONS = 8
CHUNK = 5000
"""Events handled together."""

DISTINCT = 1000
"""Users of a chunk where their number is the same, however many are known."""

SLATE = 10
_AT_ONCE = 20_000
_NOW_MS = LAST_MS + 10**9


class Cost(msgspec.Struct, frozen=True):
    """CPU time of an event."""

    known: int  # users, or items
    same_users_us: Spread  # us an event, every chunk with events of 1,000 users drawn from all
    as_drawn_us: Spread | None  # us an event, users as the benchmark of throughput draws them
    users_of_a_chunk: float | None  # so drawn


class _Record(NamedTuple):
    key: bytes
    value: bytes
    offset: int
    timestamp: int
    headers: Headers = ()


def cost_by_users(counts: Sequence[int], chunks: int, repeat: int) -> Iterator[Cost]:
    """Yield the cost of an event, without slates, as more and more users are known.

    Args:
        counts: numbers of users, growing.
        chunks: chunks of a repetition.
        repeat: number of repetitions.
    """
    model, users, known = Predictor(random_model()), UserRows(), 0
    place = _Place()
    for count in counts:
        for first in range(known, count, _AT_ONCE):
            keys, rows = known_users(first, min(_AT_ONCE, count - first), model)
            number = np.array([partition(key, PARTITIONS) for key in keys])
            for k in range(PARTITIONS):
                mine = np.flatnonzero(number == k)
                users.write(k, [keys[m] for m in mine.tolist()], rows[mine])
        known = count
        same = [
            _cost(place.chunks(_of_distinct(count, chunks)), users, model, Options(slate_size=0)) for _ in range(repeat)
        ]
        drawn = workload(chunks * CHUNK * repeat, count).user.reshape(repeat, -1)
        as_drawn = [_cost(place.chunks(part), users, model, Options(slate_size=0)) for part in drawn]
        distinct = np.mean([len(np.unique(chunk)) for chunk in drawn.reshape(-1, CHUNK)])
        yield Cost(count, spread(same), spread(as_drawn), float(distinct))


def cost_by_items(counts: Sequence[int], chunks: int, repeat: int) -> Iterator[Cost]:
    """Yield the cost of an event with slates of ten, as they are chosen from more and more items.

    Args:
        counts: numbers of items.
        chunks: chunks of a repetition.
        repeat: number of repetitions.
    """
    for count in counts:
        model, users, place = Predictor(random_model(count)), UserRows(), _Place()
        options = Options(slate_size=SLATE)
        costs = [_cost(place.chunks(_of_distinct(DISTINCT, chunks)), users, model, options) for _ in range(repeat + 1)]
        yield Cost(count, spread(costs[1:]), None, None)  # the first, on users not known yet, warms up


def _of_distinct(count: int, chunks: int) -> Ints:
    """Draw the users of chunks: in each, every one of DISTINCT users (all, if there are fewer) equally often."""
    random = np.random.default_rng(count)
    drawn = [random.permutation(count)[:DISTINCT] for _ in range(chunks)]
    return np.concatenate([np.resize(users, CHUNK) for users in drawn])


class _Place:
    """Makes records, with offsets and times that go on from chunk to chunk."""

    def __init__(self) -> None:
        self._offset, self._ms = 0, LAST_MS

    def chunks(self, users: Ints) -> list[Chunk]:
        made: list[Chunk] = []
        for start in range(0, len(users), CHUNK):
            chunk: dict[Origin, list[_Record]] = {}
            for user in users[start : start + CHUNK].tolist():
                key = b"u%d" % user
                self._offset, self._ms = self._offset + 1, self._ms + 1
                value = b'{"event_id":"e%d","user_id":"u%d","item_id":"i%d","ts_ms":%d}'
                record = _Record(key, value % (self._offset, user, self._offset % 20, self._ms), self._offset, self._ms)
                origin = Origin(INPUTS[self._offset % len(INPUTS)], partition(key, PARTITIONS))
                chunk.setdefault(origin, []).append(record)
            made.append(in_columns(chunk))
        return made


def _cost(chunks: list[Chunk], users: UserRows, model: Predictor, options: Options) -> float:
    start_s = time.process_time()
    for chunk in chunks:
        for number, change in process(chunk, users, model, _NOW_MS, options).changes.items():
            users.write(number, change.keys, change.rows)
    return (time.process_time() - start_s) / (len(chunks) * CHUNK) * 1e6

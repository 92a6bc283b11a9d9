"""Users that are known already: their rows as a worker would have left them, and a changelog full of these."""

import asyncio
from collections.abc import Callable
from zlib import crc32

import numpy as np

from models.churn import score_event
from models.history import Events, apply
from models.predictor import Predictor
from models.state import Floats, Ints, Rows, empty_rows
from models.survival import Curves
from schemas.partitioner import partition
from streams.benchmark.workload import START_MS
from streams.chunk.changelog import changelog_batches
from streams.chunk.logged_rows import MARKER
from streams.chunk.producer import BatchProducer
from streams.chunk.records import single_records
from streams.clients import aiokafka_arguments
from streams.settings import Settings
from streams.topics import changelog

_MOST_EVENTS = 40
"""A user has from one to so many: most rings are full, as they are where users come back."""

_LONGEST_GAP_S = 7200
LAST_MS = START_MS + _MOST_EVENTS * _LONGEST_GAP_S * 1000
"""None of their events is as late as this."""

_VIEWS_UP_TO, _CLICKS_UP_TO = 0.80, 0.97  # the rest are purchases
_AT_ONCE = 20_000
_WRITER = b"previous"  # an id as long as every writer's


def known_users(first: int, count: int, model: Predictor) -> tuple[list[bytes], Rows]:
    """Return the users `u<first>`, `u<first + 1>`, ... and their rows after 1 to 40 events.

    What is in the rows is drawn from the user's number alone, whoever else is asked for: items and event ids as
    hashes are, gaps from a second to two hours, so rows compress as little as those of real users. The events are of
    topics that were deleted since: no offset is applied.

    >>> from streams.benchmark.workload import random_model
    >>> users, rows = known_users(4, 3, Predictor(random_model()))
    >>> users, rows["accepted"].tolist()
    ([b'u4', b'u5', b'u6'], [9, 13, 17])
    """
    number = np.arange(first, first + count)
    each = 1 + (_drawn(number, 0) * _MOST_EVENTS).astype(np.int64)
    user = np.repeat(number, each)
    start = np.cumsum(each) - each
    nth = np.arange(len(user)) - np.repeat(start, each)
    event = user * _MOST_EVENTS + nth
    gap_ms = (1000 * _LONGEST_GAP_S ** _drawn(event, 1)).astype(np.int64)
    since_ms = np.cumsum(gap_ms) - gap_ms
    items = np.array([crc32(item.encode()) for item in model.items], np.int64)
    events = Events(
        row=user - first,
        action=np.searchsorted([_VIEWS_UP_TO, _CLICKS_UP_TO], _drawn(event, 2), side="right"),
        offset=nth,
        ts_ms=START_MS + since_ms - np.repeat(since_ms[start], each),
        item=items[(_drawn(event, 3) * len(items)).astype(np.int64)],
        id=(_drawn(event, 4) * 2**32).astype(np.int64),
        context=np.zeros(len(user), np.int64),
    )
    rows = empty_rows(count)
    apply(rows, events, model)
    _, hazards = model.predict(rows)
    score_event(rows, Curves(hazards), model.card.churn, moved=np.ones(count, bool))
    rows["applied"] = -1
    return [b"u%d" % k for k in number.tolist()], rows


def _drawn(number: Ints, column: int) -> Floats:
    """Return a number from 0 to below 1 for each number, by SplitMix64 (Steele, Lea and Flood 2014)."""
    x = (number.astype(np.uint64) * np.uint64(8) + np.uint64(column)) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ x >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ x >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    drawn: Floats = (x >> np.uint64(11)).astype(np.float64) / 2**53
    return drawn


def fill_changelog(settings: Settings, users: int, model: Predictor, report: Callable[[int], None]) -> None:
    """Write a row of each user to the group's changelog, as its last owner would have; `report` gets the number."""
    asyncio.run(_fill(settings, users, model, report))


async def _fill(settings: Settings, users: int, model: Predictor, report: Callable[[int], None]) -> None:
    topic = changelog(settings).name
    async with BatchProducer(aiokafka_arguments(settings)) as batches:
        for number in range(settings.partitions):
            await batches.send(topic, number, single_records([(number, MARKER, _WRITER, [])])[number])
        for first in range(0, users, _AT_ONCE):
            keys, rows = known_users(first, min(_AT_ONCE, users - first), model)
            where = np.array([partition(key, settings.partitions) for key in keys])
            for number in range(settings.partitions):
                mine = np.flatnonzero(where == number)
                rows_of = changelog_batches(number, _WRITER, [keys[k] for k in mine.tolist()], rows[mine])
                await batches.send(topic, number, batches.packed(rows_of))
            report(first + len(keys))

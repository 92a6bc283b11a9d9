"""Users that are known already: their rows as a worker would have left them, and a changelog full of these."""

import asyncio
from collections.abc import Callable
from zlib import crc32

import numpy as np

from models.churn import score_event
from models.history import Events, apply
from models.predictor import Predictor
from models.state import ACTIONS, Rows, empty_rows
from models.windows import bins
from schemas.partitioner import partition
from streams.benchmark.workload import START_MS
from streams.chunk.producer import BatchProducer, Record
from streams.chunk.table import MARKER, changelog_batches
from streams.clients import aiokafka_arguments
from streams.settings import Settings
from streams.topics import changelog

LAST_MS = START_MS + 10_000
"""None of their events is as late as this."""

_MOST_EVENTS = 7
_AT_ONCE = 20_000
_WRITER = b"previous"  # an id as long as every writer's


def known_users(first: int, count: int, model: Predictor) -> tuple[list[bytes], Rows]:
    """Return the users `u<first>`, `u<first + 1>`, ... and their rows after one to seven events.

    The events are of topics that were deleted since: no offset is applied.

    >>> from streams.benchmark.workload import random_model
    >>> users, rows = known_users(4, 3, Predictor(random_model()))
    >>> users, rows["accepted"].tolist()
    ([b'u4', b'u5', b'u6'], [5, 6, 7])
    """
    number = np.arange(first, first + count)
    each = 1 + number % _MOST_EVENTS
    user = np.repeat(number, each)
    nth = np.arange(len(user)) - np.repeat(np.cumsum(each) - each, each)
    items = np.array([crc32(item.encode()) for item in model.items], np.int64)
    events = Events(
        row=user - first,
        action=(user + nth) % len(ACTIONS),
        offset=nth,
        ts_ms=START_MS + user % 1000 + nth * 1000,
        item=items[(user * 31 + nth * 7) % len(items)],
        id=(user * _MOST_EVENTS + nth) & 0xFFFFFFFF,
        context=np.zeros(len(user), np.int64),
    )
    rows = empty_rows(count)
    apply(rows, events, model)
    _, hazards = model.heads(rows["now"], bins(rows))
    score_event(rows, hazards, model.card.churn, moved=np.ones(count, bool))
    rows["applied"] = -1
    return [b"u%d" % k for k in number.tolist()], rows


def fill_changelog(settings: Settings, users: int, model: Predictor, report: Callable[[int], None]) -> None:
    """Write a row of each user to the group's changelog, as its last owner would have; `report` gets the number."""
    asyncio.run(_fill(settings, users, model, report))


async def _fill(settings: Settings, users: int, model: Predictor, report: Callable[[int], None]) -> None:
    topic = changelog(settings).name
    async with BatchProducer(aiokafka_arguments(settings)) as batches:
        for number in range(settings.partitions):
            await batches.send(topic, number, [Record(MARKER, _WRITER, [])])
        for first in range(0, users, _AT_ONCE):
            keys, rows = known_users(first, min(_AT_ONCE, users - first), model)
            where = np.array([partition(key, settings.partitions) for key in keys])
            for number in range(settings.partitions):
                mine = np.flatnonzero(where == number)
                rows_of = changelog_batches(number, _WRITER, [keys[k] for k in mine.tolist()], rows[mine])
                await batches.send_batches(topic, number, batches.packed(rows_of))
            report(first + len(keys))

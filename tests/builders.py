"""Small real parts for tests: a model with random weights, columns of random events, records of an input topic."""

from typing import Any, NamedTuple

import msgspec
import numpy as np

from models.history import Events
from models.predictor import Predictor
from schemas.cloudevents import Headers
from streams.benchmark.workload import random_model as random_model

START_MS = 1_760_000_000_000
"""The time of the first event in most tests."""


class InputRecord(NamedTuple):
    """A record as aiokafka hands it out, as far as the pipeline looks at it."""

    key: bytes | None
    value: bytes | None
    offset: int = 0
    timestamp: int = START_MS
    headers: Headers = ()


def random_predictor(seed: int = 0) -> Predictor:
    """Return a predictor of its own tag for each seed."""
    return Predictor(random_model(seed=seed, version=f"{seed + 1:08x}0000"))


def event_columns(users: list[int], actions: list[int], times: list[int], offsets: list[int] | None = None) -> Events:
    """Return events whose ids and items follow from their place in the list; offsets count up from 0 in each topic."""
    n = len(users)
    if offsets is None:
        counters = [0, 0, 0]
        offsets = []
        for action in actions:
            offsets.append(counters[action])
            counters[action] += 1
    number = np.arange(n)
    return Events(
        row=np.array(users, np.int64),
        action=np.array(actions, np.int64),
        offset=np.array(offsets, np.int64),
        ts_ms=np.array(times, np.int64),
        item=number * 7919 % 2**32,
        id=number + 1,
        context=number % 256,
    )


def event_json(user: str = "ann", item: str = "i1", ts_ms: int = START_MS, **fields: Any) -> bytes:
    """Return an event as a producer sends it; a field given as None is left out."""
    event = {"event_id": f"{user}-{item}-{ts_ms}", "user_id": user, "item_id": item, "ts_ms": ts_ms} | fields
    return msgspec.json.encode({name: value for name, value in event.items() if value is not None})


def event_record(
    user: str = "ann", item: str = "i1", ts_ms: int = START_MS, offset: int = 0, **fields: Any
) -> InputRecord:
    """Return a valid record of an input topic, produced when its event happened."""
    return InputRecord(user.encode(), event_json(user, item, ts_ms, **fields), offset, ts_ms)

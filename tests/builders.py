"""Small real parts for tests: a model with random weights, columns of random events."""

import numpy as np

from models.history import Events
from models.model_directory import Card, Model, shapes
from models.predictor import Predictor


def random_model(items: int = 20, seed: int = 0, version: str = "0123456789ab") -> Model:
    """Return a model with random weights and items `i0`, `i1`, ..."""
    random = np.random.default_rng(seed)
    weights = {name: random.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes(items).items()}
    return Model(Card(name="random", version=version), [f"i{k}" for k in range(items)], weights)


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

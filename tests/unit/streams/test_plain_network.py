"""The plain network of the benchmarks: the states of the fast one to the bit, and by a way of its own."""

from zlib import crc32

import numpy as np
from builders import START_MS

from models.features import Steps
from models.predictor import Predictor
from models.state import HIDDEN
from streams.benchmark.plain_network import Event, PlainNetwork
from streams.benchmark.workload import random_model


def test_states_are_those_of_the_predictor_to_the_bit() -> None:
    random, model = np.random.default_rng(0), random_model(30)
    gaps_ms = np.exp(random.uniform(0, np.log(10**10), 200)).astype(np.int64)
    ts_ms = START_MS + np.cumsum(gaps_ms)
    names = [b"i%d" % k for k in random.integers(0, 40, 200)]  # the last ten are unknown
    action = random.integers(0, 3, 200)
    steps = Steps(
        item=np.array([crc32(name) for name in names]),
        action=action,
        ts_ms=ts_ms,
        before_ms=np.concatenate([[-1], ts_ms[:-1]]),
        context=np.zeros(200, np.int64),
    )
    fast = Predictor(model).advance(np.zeros((1, HIDDEN), np.int8), steps, np.array([200]))
    events = [Event(*event) for event in zip(names, action.tolist(), ts_ms.tolist(), strict=True)]
    assert PlainNetwork(model).state(events) == fast[0].tolist()

"""What one step of a network costs as events come: processor time, one torch thread, the same inputs for all."""

from collections.abc import Callable
from statistics import median
from time import thread_time
from typing import NamedTuple

import numpy as np
import torch

from models.cells.sizes import NETWORKS, SERVED_NETWORK, SPAN
from models.network import Network, inputs
from models.recurrence import Recurrence
from models.state import HIDDEN

USERS = 256
"""Users whose events come together in the second measurement."""

_ITEMS = 1_000
BLOCK_S = 0.05
"""How long one of the measurements lasts whose median is taken."""

_BLOCKS = 7


class StepCost(NamedTuple):
    """Processor time in us of a step of one user alone, and of a step of one of `USERS` users together."""

    alone_us: float
    together_us: float


def step_cost(network: str) -> StepCost:
    """Measure a step from an event's codes to what the heads read, in torch; the state is that after many events.

    Args:
        network: one of `NETWORKS`.
    """
    with torch.inference_mode():
        return StepCost(*(_of_users(network, users) for users in (1, USERS)))


def served_step_cost() -> StepCost:
    """Measure the GRU's step as the worker takes it, in integers."""
    random = np.random.default_rng(0)
    width = NETWORKS[SERVED_NETWORK].inputs
    recurrence = Recurrence(random.normal(0, 0.1, (HIDDEN, width)), random.normal(0, 0.1, HIDDEN))
    tables = [random.integers(-1000, 1000, (_ITEMS, width), dtype=np.int32) for _ in range(2)]

    def of_users(users: int) -> float:
        states, ones = np.zeros((users, HIDDEN), np.int8), np.ones(users, np.int64)
        items, others = random.integers(_ITEMS, size=users), random.integers(_ITEMS, size=(users, 3))

        def step() -> None:
            recurrence.advance(states, ones, items, tables[0], others, tables[1])

        return _timed(step) / users

    return StepCost(of_users(1), of_users(USERS))


def _of_users(network: str, users: int) -> float:
    generator = torch.Generator().manual_seed(0)
    made = Network(_ITEMS, generator, kind=network)
    weights = {name: weight.detach() for name, weight in made.on_grid().items()}
    columns = [torch.randint(len(weights[table]), (SPAN, users), generator=generator) for table in _TABLES]
    keep = torch.ones(SPAN, users, dtype=torch.bool)
    state = torch.zeros(users, made.cell.sizes.state)
    _, state = made.cell.run(weights, inputs(weights, *columns), keep, state)
    one = [column[:1] for column in columns]

    def step() -> None:
        made.cell.run(weights, inputs(weights, *one), keep[:1], state)

    return _timed(step) / users


_TABLES = ("item_embedding", "action_gap", "hour_of_week", "context")


def _timed(step: Callable[[], None]) -> float:
    """Return the processor time of a call in us."""
    step()
    found = []
    for _ in range(_BLOCKS):
        calls, begun, spent = 0, thread_time(), 0.0
        while not calls or spent < BLOCK_S:
            step()
            calls, spent = calls + 1, thread_time() - begun
        found.append(spent / calls * 1e6)
    return median(found)

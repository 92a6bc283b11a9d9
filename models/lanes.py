"""Whole sequences side by side: each lane holds users one after another, and all lanes step together.

The state of a lane begins anew where a user begins, so nothing is padded but the ends of the lanes, and a long user is
cut into pieces without losing the state between them (session-parallel batches: Hidasi et al., Session-based
recommendations with recurrent neural networks, ICLR 2016).
"""

import heapq

import numpy as np
import numpy.typing as npt

from models.state import Ints

NOTHING = -1
"""Stands in a lane after its last event."""


def reach(first: Ints, wanted: npt.NDArray[np.bool_]) -> Ints:
    """Return how many events of each sequence reach to the last one that is wanted, 0 if none is [sequences].

    >>> reach(np.array([0, 3, 5]), np.array([True, True, False, False, False, False, True])).tolist()
    [2, 0, 2]
    """
    place = np.where(wanted, np.arange(1, len(wanted) + 1), 0)
    return np.maximum(np.maximum.reduceat(place, first) - first, 0)


def fill(first: Ints, lengths: Ints, count: int, rng: np.random.Generator) -> Ints:
    """Return which event each lane handles at each step, or `NOTHING`: [steps, lanes].

    Args:
        first: number of each user's first event [users].
        lengths: number of events of each user [users], 0 allowed.
        count: number of lanes; fewer are made if there are fewer users.
        rng: shuffles the users.

    >>> fill(np.array([0, 2, 3]), np.array([2, 1, 1]), 2, np.random.default_rng(0)).T.tolist()
    [[0, 1], [2, 3]]
    """
    users = rng.permutation(np.flatnonzero(lengths))
    count = min(count, len(users))
    lanes: list[list[int]] = [[] for _ in range(count)]
    loads = [(0, lane) for lane in range(count)]
    for user in users[np.argsort(-lengths[users], kind="stable")]:  # longest first into the shortest lane
        load, lane = loads[0]
        lanes[lane].append(user)
        heapq.heapreplace(loads, (load + int(lengths[user]), lane))
    steps = max((load for load, _ in loads), default=0)
    plan: npt.NDArray[np.int64] = np.full((count, steps), NOTHING)
    for lane, members in enumerate(lanes):
        held = rng.permutation(members)
        events = np.concatenate([np.arange(first[user], first[user] + lengths[user]) for user in held])
        plan[lane, : len(events)] = events
    return plan.T

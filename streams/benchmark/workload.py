"""The input of the benchmarks: deterministic, heavy-tailed, of any size; and a model of any size."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.model_directory import FOLLOWERS, Card, Model, shapes
from models.state import Ints
from schemas.topics import INPUTS

ITEMS = 200_000
"""Items in the events, however many the model knows."""

START_MS = 1_760_000_000_000
STEP_MS = 100
_VIEWS_UP_TO, _CLICKS_UP_TO = 0.80, 0.97  # the rest are purchases
_ONLY_VIEWS = 10  # a user whose number is a multiple of this: its topic alone tells the order of its events
_FLATTENED = 100  # the popularity of rank r is 1 / (r + this): the busiest of 50,000 users makes 0.16 % of the events


@dataclass(frozen=True)
class Workload:
    """Events in order of event time: one array a column [events]."""

    user: Ints
    item: Ints
    action: Ints  # index in `schemas.topics.INPUTS`
    ts_ms: Ints

    def __len__(self) -> int:
        return len(self.user)

    def messages(self) -> Iterator[tuple[str, bytes, bytes, int]]:
        """Yield topic (without prefix), key, value and time in ms of each event."""
        columns = zip(self.user.tolist(), self.item.tolist(), self.action.tolist(), self.ts_ms.tolist(), strict=True)
        for number, (user, item, action, ts_ms) in enumerate(columns):
            value = b'{"event_id":"e%d","user_id":"u%d","item_id":"i%d","ts_ms":%d}' % (number, user, item, ts_ms)
            yield INPUTS[action], b"u%d" % user, value, ts_ms

    def totals(self) -> dict[bytes, list[int]]:
        """Return the number of events of each action, by user key: the fold that a worker's state must equal."""
        users, place = np.unique(self.user, return_inverse=True)
        counts = np.zeros((len(users), len(INPUTS)), np.int64)
        np.add.at(counts, (place, self.action), 1)
        return {b"u%d" % user: row for user, row in zip(users.tolist(), counts.tolist(), strict=True)}


def workload(events: int, users: int, items: int = ITEMS, seed: int = 1, head: float = 0.0) -> Workload:
    """Make events of shoppers and items whose popularity is a Zipf law with a flattened head.

    Args:
        events: number of events.
        users: number of users.
        items: number of items that the events are of.
        seed: same seed, same events.
        head: share of the events that are one user's, `u1`, whatever they were else.

    >>> list(workload(1, users=5, items=9).messages())
    [('views', b'u2', b'{"event_id":"e0","user_id":"u2","item_id":"i2","ts_ms":1760000000094}', 1760000000094)]
    """
    random = np.random.default_rng(seed)  # drawn from in this order, so that the events are those of other jobs too
    rank = _ranks(random, events, users)
    user = random.permutation(users)[rank]
    item = _ranks(random, events, items)
    action = np.searchsorted([_VIEWS_UP_TO, _CLICKS_UP_TO], random.random(events), side="right")
    ts_ms = START_MS + np.arange(events) * STEP_MS + random.integers(0, STEP_MS, events)
    user[random.random(events) < head] = 1
    action[user % _ONLY_VIEWS == 0] = 0
    return Workload(user, item, action, ts_ms)


def _ranks(random: np.random.Generator, draws: int, size: int) -> Ints:
    weights = 1 / (np.arange(size) + 1 + _FLATTENED)
    ranks: Ints = np.searchsorted(np.cumsum(weights / weights.sum()), random.random(draws)).clip(max=size - 1)
    return ranks


def random_model(items: int = 20, seed: int = 0, version: str = "0123456789ab") -> Model:
    """Return a model of items `i0`, `i1`, ... with random weights: it costs what a trained one costs."""
    random = np.random.default_rng(seed)
    weights = {name: random.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes(items).items()}
    weights["follower"] = _followers(items, random).astype(np.float32)
    return Model(Card(name="random", version=version), [f"i{k}" for k in range(items)], weights)


def _followers(items: int, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return as many different items behind each as a model keeps, none behind the unknown one."""
    count = min(items, FOLLOWERS)
    made = np.zeros((items + 1, FOLLOWERS), np.int64)
    # the first item is drawn, the others stand at equal distances behind it, round the end
    first = random.integers(0, max(items, 1), (items, 1))
    made[1:, :count] = (first + np.arange(count) * max(items // FOLLOWERS, 1)) % max(items, 1) + 1
    return made

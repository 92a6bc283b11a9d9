"""The input of the benchmarks: deterministic, heavy-tailed, of any size; and a model of any size."""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import numpy as np

from models.model_directory import Card, Model, shapes
from models.state import Ints
from schemas.topics import INPUTS

START_MS = 1_760_000_000_000
STEP_MS = 100
_ACTION_SHARES = (0.80, 0.17, 0.03)  # views, clicks, purchases
_FLATTENED = 100  # the popularity of rank r is 1 / (r + this): the busiest of 50,000 users makes 0.16 % of the events
_encode = msgspec.json.Encoder().encode


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
            event = {"event_id": f"e{number}", "user_id": f"u{user}", "item_id": f"i{item}", "ts_ms": ts_ms}
            yield INPUTS[action], b"u%d" % user, _encode(event), ts_ms

    def totals(self) -> dict[bytes, list[int]]:
        """Return the number of events of each action, by user key: the fold that a worker's state must equal."""
        users, place = np.unique(self.user, return_inverse=True)
        counts = np.zeros((len(users), len(INPUTS)), np.int64)
        np.add.at(counts, (place, self.action), 1)
        return {b"u%d" % user: row for user, row in zip(users.tolist(), counts.tolist(), strict=True)}


def workload(events: int, users: int, items: int, seed: int = 1) -> Workload:
    """Make events of shoppers and items whose popularity is a Zipf law with a flattened head."""
    random = np.random.default_rng(seed)
    return Workload(
        user=random.permutation(users)[_ranks(random, events, users)],
        item=_ranks(random, events, items),
        action=np.searchsorted(np.cumsum(_ACTION_SHARES)[:-1], random.random(events), side="right"),
        ts_ms=START_MS + np.arange(events) * STEP_MS + random.integers(0, STEP_MS, events),
    )


def _ranks(random: np.random.Generator, draws: int, size: int) -> Ints:
    weights = 1 / (np.arange(size) + 1 + _FLATTENED)
    ranks: Ints = np.searchsorted(np.cumsum(weights / weights.sum()), random.random(draws)).clip(max=size - 1)
    return ranks


def random_model(items: int = 20, seed: int = 0, version: str = "0123456789ab") -> Model:
    """Return a model of items `i0`, `i1`, ... with random weights: it costs what a trained one costs."""
    random = np.random.default_rng(seed)
    weights = {name: random.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes(items).items()}
    return Model(Card(name="random", version=version), [f"i{k}" for k in range(items)], weights)

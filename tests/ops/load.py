"""Shoppers who never stop: events of the simulator, sped up, with what a shop's producers get wrong."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from random import Random
from threading import Event as Flag
from threading import Thread
from typing import Any

import polars as pl
from kafka.errors import KafkaTimeoutError

from models.simulator import Shop, simulate
from models.simulator.shopper import Observed
from schemas.partitioner import partition
from schemas.topics import TOPIC_OF_ACTION, physical_name
from streams.clients import producer
from streams.settings import Settings

SHOP = Shop(users=1000, items=100, sessions_per_day=300.0, sessions_per_life=4.0)
"""Busy by day and night, and of short lives: what comes in ten minutes is as what a model has seen in two."""

SOURCES = ("/shop/web", "/shop/app")
START_MS = 1_749_978_000_000  # nine in the morning
_OPEN_MS = 12 * 3_600_000  # until people no longer come all at once

_NAP_S = 0.01
_ODDS = 2000
"""Of so many events of a healthy shop one is refused, some are sent twice, late, or of an item that is new."""


def shoppers() -> Iterator[Observed]:
    """Yield what they do, without end: who learns from the first events is asked about those that follow."""
    return simulate(SHOP, START_MS, warm_ms=_OPEN_MS)


def at_a_rate(past: Sequence[Observed], rate: float) -> pl.DataFrame:
    """Return events that come so many a second, as `Load` sends them: their times begin at 0."""
    return pl.DataFrame(past).with_columns(ts_ms=(pl.int_range(pl.len()) * 1000 / rate).cast(pl.Int64))


class Load(Thread):
    """Sends events at a rate, until it is stopped.

    Args:
        settings: broker, prefix, partitions.
        rate: events a second.
        shoppers: who do what is sent.
        seed: of what goes wrong.

    Attributes:
        refused: share of records that are no events, sent beside the others.
        strange: share of events whose item is a new one.
        sent: number of records.
    """

    def __init__(self, settings: Settings, rate: float, shoppers: Iterator[Observed], seed: int = 1) -> None:
        super().__init__(name="load", daemon=True)
        self.refused, self.strange, self.sent = 0.0, 0.0, 0
        self._settings, self._rate, self._shoppers = settings, rate, shoppers
        self._random, self._over = Random(seed), Flag()

    def stop(self) -> None:
        """Send no more, and wait until all is sent."""
        self._over.set()
        self.join()

    def run(self) -> None:
        """Send."""
        sender = producer(self._settings, linger_ms=0)
        try:
            due_s = time.time()
            while not self._over.wait(_NAP_S):
                now_s = time.time()
                due_s = max(due_s, now_s - 1)  # what a broker that is silent kept us from sending is not made up for
                while due_s <= now_s:
                    self._event(sender.send, int(due_s * 1000))
                    due_s += 1 / self._rate
        finally:
            with suppress(KafkaTimeoutError):  # after a minute without its broker it waits for ever
                sender.close(timeout=5)

    def _event(self, send: Callable[..., object], ts_ms: int) -> None:
        seen, chance = next(self._shoppers), self._random.random()
        user, action = seen["user_id"], seen["action"]
        event: dict[str, Any] = {
            "event_id": f"e{self.sent}",
            "user_id": user,
            "item_id": seen["item_id"],
            "ts_ms": ts_ms,
        }
        number = int(chance * _ODDS)
        if number == 0 and action == "view":
            event["user_id"] = ""
        elif 1 <= number < 5:
            event["ts_ms"] -= 3_600_000
        elif 5 <= number < 15 or self._random.random() < self.strange:
            event["item_id"] = f"new-{self.sent}"
        self._send(send, action, user, json.dumps(event).encode())
        if 15 <= number < 20:
            self._send(send, action, user, json.dumps(event).encode())
        if self._random.random() < self.refused:
            self._send(send, action, user, b"{")

    def _send(self, send: Callable[..., object], action: str, user: str, value: bytes) -> None:
        key, settings = user.encode(), self._settings
        topic = physical_name(TOPIC_OF_ACTION[action], settings.topic_prefix)
        source = SOURCES[key[-1] % 2]
        send(
            topic,
            value,
            key,
            headers=[("ce_source", source.encode())],
            partition=partition(key, settings.partitions),
            timestamp_ms=time.time_ns() // 1_000_000,
        )
        self.sent += 1

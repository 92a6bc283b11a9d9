"""Shoppers who never stop: events of the simulator, sped up, with what a shop's producers get wrong."""

import json
import time
from collections.abc import Callable
from random import Random
from threading import Event as Flag
from threading import Thread
from typing import Any

import polars as pl

from models.simulator import Shop, log
from schemas.partitioner import partition
from schemas.topics import physical_name
from streams.clients import producer
from streams.replay import TOPIC_OF_ACTION
from streams.settings import Settings

SHOP = Shop(users=2000, items=100)
SOURCES = ("/shop/web", "/shop/app")
END_MS = 1_750_000_000_000
EVENTS = 30_000

_NAP_S = 0.02
_ODDS = 2000
"""Of so many events of a healthy shop one is refused, some are sent twice, late, or of an item that is new."""


def events(rate: float) -> pl.DataFrame:
    """Return events of the shop's past, with so many a second: their times begin at 0."""
    past = log(SHOP, END_MS, events=EVENTS)
    ts_ms = past["ts_ms"] - past["ts_ms"][0]
    return past.with_columns(ts_ms=(ts_ms * (EVENTS / rate * 1000 / ts_ms[-1])).cast(pl.Int64))


class Load(Thread):
    """Sends events at a rate, until it is stopped.

    Args:
        settings: broker, prefix, partitions.
        rate: events a second.
        seed: of what goes wrong.

    Attributes:
        rate: may be changed at any time.
        age_ms: so much older than now are records said to be.
        refused: share of records that are no events, sent beside the others.
        strange: whether all items are new ones.
        sent: number of records.
    """

    def __init__(self, settings: Settings, rate: float, seed: int = 1) -> None:
        super().__init__(name="load", daemon=True)
        self.rate, self.age_ms, self.refused, self.sent = rate, 0, 0.0, 0
        self.strange = False
        self._settings, self._random, self._over = settings, Random(seed), Flag()
        self._events = events(rate).select("user_id", "item_id", "action").rows()

    def stop(self) -> None:
        """Send no more, and wait until all is sent."""
        self._over.set()
        self.join()

    def run(self) -> None:
        """Send."""
        with producer(self._settings, linger_ms=0) as sender:
            due, last_s = 0.0, time.monotonic()
            while not self._over.wait(_NAP_S):
                now_s = time.monotonic()
                due, last_s = due + self.rate * min(now_s - last_s, 1.0), now_s
                while due >= 1:
                    due -= 1
                    self._event(sender.send)
            sender.flush(5)

    def _event(self, send: Callable[..., object]) -> None:
        user, item, action = self._events[self.sent % len(self._events)]
        chance, now_ms = self._random.random(), time.time_ns() // 1_000_000
        event: dict[str, Any] = {
            "event_id": f"e{self.sent}",
            "user_id": user,
            "item_id": item,
            "ts_ms": now_ms - self.age_ms,
        }
        number = int(chance * _ODDS)
        if number == 0 and action == "view":
            event["user_id"] = ""
        elif 1 <= number < 5:
            event["ts_ms"] -= 3_600_000
        elif self.strange or 5 <= number < 15:
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
            timestamp_ms=time.time_ns() // 1_000_000 - self.age_ms,
        )
        self.sent += 1

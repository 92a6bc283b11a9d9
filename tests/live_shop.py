"""A shop as dashboards see it: shoppers of the simulator, live, by several producers, each with mistakes of its own."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random
from threading import Event as Flag
from typing import Any, TypeAlias

import typer
from kafka import KafkaProducer

from models.simulator import Shop, simulate
from schemas.partitioner import partition
from schemas.topics import TOPIC_OF_ACTION, physical_name
from streams.clients import producer
from streams.settings import Settings, read_settings

Event: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Source:
    """A producer: its share of the events, its delay, and how often it makes which mistake."""

    name: str
    share: float
    delay_s: float  # the median; one in a hundred takes ten times as long
    wrong: float = 0
    twice: float = 0
    old: float = 0
    new_items: float = 0


SOURCES = (
    Source("web", 0.46, 0.06),
    Source("ios-app", 0.22, 0.4, twice=0.004),
    Source("android-app", 0.18, 0.6, twice=0.006, old=0.002),
    Source("till", 0.09, 4.0, new_items=0.02),
    Source("partner-feed", 0.05, 12.0, wrong=0.03, twice=0.05, old=0.02, new_items=0.1),
)
_WRONG = (
    lambda event: event | {"item_id": 7},
    lambda event: {k: v for k, v in event.items() if k != "ts_ms"},
    lambda event: event | {"ts_ms": event["ts_ms"] + 86_400_000},
    lambda event: event | {"event_id": ""},
)


@dataclass
class LiveShop:
    """Sends what happens, when it happens, until it is stopped; `sent` counts records."""

    settings: Settings
    shop: Shop
    seed: int = 0
    stop: Flag = field(default_factory=Flag)
    sent: int = 0

    def send(self, since_ms: int) -> None:
        """Send all that happened from then on: what is past at once, stamped as it was, then as it comes."""
        random, waiting = Random(self.seed), _delayed(self.shop, since_ms, Random(self.seed))
        with producer(self.settings, linger_ms=5) as client:
            for arrives_ms, source, event in waiting:
                wait_s = arrives_ms / 1000 - time.time()
                if (wait_s > 0.002 and self.stop.wait(wait_s)) or self.stop.is_set():
                    break
                self._send(client, source, event, arrives_ms, random)
            client.flush()

    def _send(self, client: KafkaProducer, source: Source, event: Event, at_ms: int, random: Random) -> None:
        topic = physical_name(TOPIC_OF_ACTION[str(event.pop("action"))], self.settings.topic_prefix)
        key = str(event["user_id"]).encode()
        if random.random() < source.old:
            event = event | {
                "ts_ms": int(str(event["ts_ms"])) - 30 * 86_400_000,
                "event_id": f"old-{event['event_id']}",
            }
        if random.random() < source.new_items:
            event = event | {"item_id": f"new-{random.randrange(50)}"}
        if random.random() < source.wrong:
            event = random.choice(_WRONG)(event)
        for _ in range(1 + (random.random() < source.twice)):
            client.send(
                topic,
                json.dumps(event).encode(),
                key,
                headers=[("ce_source", source.name.encode())],
                partition=partition(key, self.settings.partitions),
                timestamp_ms=at_ms,
            )
            self.sent += 1


def _delayed(shop: Shop, since_ms: int, random: Random) -> Iterator[tuple[int, Source, Event]]:
    """Yield events in the order in which they reach Kafka: when, by whom, what."""
    heap: list[tuple[int, int, Source, Event]] = []
    weights = [source.share for source in SOURCES]
    for number, event in enumerate(simulate(shop, since_ms)):
        [source] = random.choices(SOURCES, weights)
        slow = 10 if random.random() < 0.01 else 1
        delay_ms = 1000 * source.delay_s * slow * random.lognormvariate(0, 0.5)
        heappush(heap, (event["ts_ms"] + int(delay_ms), number, source, dict(event)))
        while heap[0][0] <= event["ts_ms"]:
            arrives_ms, _, by, what = heappop(heap)
            yield arrives_ms, by, what


def main(users: int = 14_000, past_minutes: float = 20) -> None:
    """Send to the broker that the environment names, until Ctrl-C: `PYTHONPATH=tests python -m live_shop`."""
    shop = Shop(users=users, items=400, sessions_per_day=30.0, sessions_per_life=60.0)
    LiveShop(read_settings(), shop).send(int(1000 * (time.time() - 60 * past_minutes)))


if __name__ == "__main__":
    typer.run(main)

"""Shoppers of the simulator, live on the input topics."""

import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from threading import Event as Flag

import msgspec

from models.simulator import Shop
from models.simulator import simulate as shoppers
from models.simulator.shopper import Observed
from schemas.topics import TOPIC_OF_ACTION, physical_name
from streams.clients import producer
from streams.delivery import Delivery
from streams.replay import Report, Sent
from streams.rights import SENDER
from streams.settings import Settings
from streams.topics import check_topics

_NAP_S = 0.002
_encode = msgspec.json.Encoder().encode


def simulate(
    settings: Settings,
    shop: Shop,
    *,
    start_ms: int,
    rate: float,
    events: int | None = None,
    report: Report | None = None,
    stop: Flag | None = None,
) -> Sent:
    """Send what simulated shoppers do; a record's time is the moment it is sent, as with any live producer.

    Event time starts in the past and runs faster than the clock, until it has caught up; from then on events come when
    they happen: none is ever ahead of the clock.

    Args:
        settings: broker, prefix, partitions.
        shop: who shops, and where.
        start_ms: time of the first event, ms since 1970.
        rate: events a second while event time lies in the past.
        events: how many; None: until it is stopped.
        report: told of the progress.
        stop: ends it when set; what was sent by then is still acknowledged and counted, within a few seconds.

    Raises:
        BrokerUnavailable, BrokerRefused, TopicsMissing, PartitionsDiffer: there is nowhere to send to.
        NotDelivered: some were not acknowledged.
    """
    stop = stop or Flag()
    check_topics(settings, SENDER)
    names = {action: physical_name(topic, settings.topic_prefix) for action, topic in TOPIC_OF_ACTION.items()}
    counts: Counter[str] = Counter()
    start_s = time.monotonic()
    with Delivery(producer(settings), settings.partitions, stop) as delivery:
        for event in _paced(islice(shoppers(shop, start_ms), events), rate, stop):
            fields = dict(event)
            action = str(fields.pop("action"))
            delivery.send(names[action], event["user_id"].encode(), _encode(fields))
            counts[TOPIC_OF_ACTION[action]] += 1
            if report is not None:
                report(delivery.sent)
        delivery.finish()
    return Sent(delivery.acknowledged, time.monotonic() - start_s, dict(counts))


def _paced(events: Iterator[Observed], rate: float, stop: Flag) -> Iterator[Observed]:
    start_s = time.monotonic()
    for number, event in enumerate(events):
        wait_s = max(start_s + number / rate - time.monotonic(), event["ts_ms"] / 1000 - time.time())
        if wait_s > _NAP_S:
            stop.wait(wait_s)
        if stop.is_set():
            return
        yield event

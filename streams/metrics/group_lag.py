"""How far the whole group is behind, asked from outside: true also while this worker is stuck, or owns nothing."""

import math
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread

import structlog
from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import KafkaError

from schemas.topics import INPUTS, physical_name
from streams.clients import admin
from streams.errors import NextactError
from streams.metrics.asked import Values
from streams.settings import Settings

UNANSWERED = 3
"""Intervals without an answer after which nothing is known any more."""

_log = structlog.get_logger("nextact")


def group_lag(client: KafkaAdminClient, group: str, topics: dict[str, str]) -> Values:
    """Return the records of each topic that a group has not handled, over all partitions.

    A partition of which the group has committed nothing is counted from its begin. Those of open transactions are
    counted.

    Args:
        client: asks.
        group: name of the group.
        topics: names on the broker by what they are to be called.
    """
    described = client.describe_topics(list(topics.values()))
    numbers = {topic["name"]: [part["partition_index"] for part in topic["partitions"]] for topic in described}
    places = [TopicPartition(name, number) for name in topics.values() for number in numbers[name]]
    committed = client.list_group_offsets({group: places})[group]
    ends = client.list_partition_offsets(dict.fromkeys(places, OffsetSpec.LATEST))
    begins = client.list_partition_offsets(dict.fromkeys(places, OffsetSpec.EARLIEST))
    lags = dict.fromkeys(topics.values(), 0)
    for place in places:
        handled = committed[place].offset if place in committed else -1
        lags[place.topic] += max(ends[place].offset - max(handled, begins[place].offset), 0)
    return {(label,): float(lags[name]) for label, name in topics.items()}


class GroupLag:
    """Asks the broker every few seconds, in a thread with a client of its own.

    Args:
        settings: the broker, the group, the topics, how often.
        connect: makes the client.
    """

    def __init__(self, settings: Settings, connect: Callable[[Settings], KafkaAdminClient] = admin) -> None:
        self._settings, self._connect = settings, connect
        self._group = settings.topic_prefix + settings.group
        self._topics = {topic: physical_name(topic, settings.topic_prefix) for topic in INPUTS}
        self._unknown: Values = {(topic,): math.nan for topic in INPUTS}
        self._values: Values = self._unknown
        self._answered_s = time.monotonic()
        self._over = Event()

    def start(self) -> None:
        """Begin to ask. The thread never holds up the end of the process."""
        Thread(target=self._run, name="group-lag", daemon=True).start()

    def stop(self) -> None:
        """End the asking, within an interval or the time that a question takes."""
        self._over.set()

    def values(self) -> Values:
        """Return the lag by topic, NaN while the broker does not answer; any thread may ask."""
        silent_s = time.monotonic() - self._answered_s
        return self._values if silent_s <= UNANSWERED * self._settings.group_lag_interval_s else self._unknown

    def _run(self) -> None:
        client, told = None, False
        while True:
            try:
                client = client or self._connect(self._settings)
                self._values, self._answered_s = group_lag(client, self._group, self._topics), time.monotonic()
                if told:
                    _log.info("the lag of the group is known again")
                told = False
            except Exception as error:  # noqa: BLE001 - whatever a client raises: the worker can do without
                if not told:
                    _log.warning("the lag of the group is not known: the broker does not answer", reason=_words(error))
                told = True
                with suppress(Exception):
                    if client is not None:
                        client.close()
                client = None
            if self._over.wait(self._settings.group_lag_interval_s):
                break
        if client is not None:
            client.close()


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, NextactError | KafkaError) else repr(error)

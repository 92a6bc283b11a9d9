"""aiokafka's fetcher with columns, over the answers of a broker that is not there."""

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import CorruptRecordException, KafkaError
from aiokafka.protocol.fetch import FetchRequest
from faust.transport.drivers import aiokafka as driver
from record_batches import APPEND_TIME, CONTROL, Plain, batch, objects, with_attributes

from streams.chunk.fetching import MAX_WAIT_MS, ColumnFetcher, FetchThread

LOG, OTHER = TopicPartition("log", 0), TopicPartition("other", 1)
THREE = batch([Plain(5), Plain(6), Plain(7)], codec=3, base=5)


class Broker:
    """What a fetcher asks aiokafka's client."""

    _metadata_max_age_ms = 1000

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.answers: list[Any] = []

    async def send(self, node_id: int, request: Any) -> Any:
        await asyncio.sleep(0)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def answer(*parts: tuple[TopicPartition, bytes], aborted: list[tuple[int, int]] | None = None) -> Any:
    return SimpleNamespace(
        API_VERSION=4, topics=[(tp.topic, [(tp.partition, 0, 99, 99, aborted, d)]) for tp, d in parts]
    )


class Setting:
    """A fetcher of ours that has two partitions at offset 5, and its broker."""

    def __init__(self, isolation_level: str) -> None:
        self.broker, subscriptions = Broker(), SubscriptionState()
        self.fetcher: Any = fetcher.Fetcher(
            self.broker, subscriptions, isolation_level=isolation_level, retry_backoff_ms=1
        )
        self.recovering = False
        ColumnFetcher.take_over(SimpleNamespace(_fetcher=self.fetcher), lambda tp: True, lambda: self.recovering)
        subscriptions.assign_from_user([LOG, OTHER])
        self.assignment: Any = subscriptions.subscription.assignment
        self.fetcher._fetch_task.cancel()  # the tests fetch themselves
        for tp in (LOG, OTHER):
            self.state(tp).reset_to(5)

    def state(self, tp: TopicPartition) -> Any:
        return self.assignment.state_value(tp)

    async def fetch(self, *answers: Any) -> list[bool]:
        self.broker.answers = list(answers)
        partitions = [(tp.topic, [(tp.partition, 5, 1000)]) for tp in (LOG, OTHER)]
        requests = [FetchRequest(100, 1, 1000, 0, partitions, rack_id="") for _ in answers]
        return list(await asyncio.gather(*[self.fetcher._proc_fetch_request(self.assignment, 0, r) for r in requests]))

    async def take(self, most: int = 100) -> dict[TopicPartition, list[Plain]]:
        taken = await self.fetcher.fetched_records({LOG, OTHER}, timeout=0, max_records=most)
        return {tp: objects(records) for tp, records in taken.items()}


def with_fetcher(look: Callable[[Setting], Awaitable[None]], isolation_level: str = "read_uncommitted") -> None:
    async def main() -> None:
        await look(Setting(isolation_level))

    asyncio.run(main())


def test_records_are_columns_and_positions_follow_what_was_taken() -> None:
    async def look(it: Setting) -> None:
        assert await it.fetch(answer((LOG, THREE), (OTHER, batch([Plain(9)], base=9)))) == [True]
        assert await it.take(2) == {LOG: [Plain(5), Plain(6)]}
        assert (it.state(LOG).position, it.state(OTHER).position, it.state(LOG).highwater) == (7, 5, 99)
        assert await it.take() == {LOG: [Plain(7)], OTHER: [Plain(9)]}
        assert (it.state(LOG).position, it.state(OTHER).position) == (8, 10)
        assert not it.fetcher._records
        assert await it.take() == {}

    with_fetcher(look)


def test_answers_of_two_brokers_do_not_mix_and_none_is_kept() -> None:
    async def look(it: Setting) -> None:
        other = batch([Plain(5, value=b"other")], base=5)
        assert await it.fetch(answer((LOG, THREE)), answer((OTHER, other)), KafkaError()) == [True, True, False]
        assert await it.take() == {LOG: [Plain(5), Plain(6), Plain(7)], OTHER: [Plain(5, value=b"other")]}
        assert it.fetcher._client.kept == {}

    with_fetcher(look)


def test_what_was_fetched_before_a_seek_is_dropped() -> None:
    async def look(it: Setting) -> None:
        await it.fetch(answer((LOG, THREE)))
        it.state(LOG).seek(6)
        assert await it.take() == {}
        assert not it.fetcher._records

    with_fetcher(look)


def test_damaged_batch_is_an_error_and_moves_no_position() -> None:
    async def look(it: Setting) -> None:
        await it.fetch(answer((LOG, THREE[:-1] + b"?")))
        with pytest.raises(CorruptRecordException):
            await it.take()
        assert it.state(LOG).position == 5

    with_fetcher(look)


def test_transactions_that_were_given_up_are_not_seen() -> None:
    given_up = batch([Plain(5)], base=5, transactional=True)
    committed = batch([Plain(6)], base=6)

    async def look(it: Setting) -> None:
        await it.fetch(answer((LOG, given_up + committed), aborted=[(7, 5)]))
        assert await it.take(1) == {LOG: [Plain(6)]}
        assert await it.take(1) == {}
        assert it.state(LOG).position == 7

    with_fetcher(look, "read_committed")


def test_position_passes_what_holds_no_record() -> None:
    marker = with_attributes(batch([Plain(5)], base=5, transactional=True), CONTROL | APPEND_TIME)

    async def look(it: Setting) -> None:
        await it.fetch(answer((LOG, marker)))
        assert await it.take() == {}
        assert it.state(LOG).position == 6

    with_fetcher(look)


def test_nothing_that_was_read_waits_for_the_garbage_collector() -> None:
    async def look(it: Setting) -> None:
        await it.fetch(answer((LOG, THREE)))
        [result] = it.fetcher._records.values()
        gone = [weakref.ref(result), weakref.ref(result._partition_records)]
        del result
        await it.take()
        assert [reference() for reference in gone] == [None, None]
        # by type: isinstance asks each object for its class, which warns where that is deprecated
        assert not [each for each in gc.get_objects() if type(each) is fetcher.PartitionRecords]

    gc.collect()
    gc.disable()
    try:
        with_fetcher(look)
    finally:
        gc.enable()


def test_in_a_recovery_nothing_is_asked_for_that_leaves_the_changelog_out() -> None:
    """Such a fetch waits at the broker, and no other is sent to it meanwhile."""

    async def look(setting: Setting) -> None:
        setting.fetcher._client.cluster = SimpleNamespace(leader_for_partition=lambda _: 0)
        setting.fetcher.of_changelog = lambda tp: tp.topic == LOG.topic

        def asked() -> list[set[str]]:
            requests = setting.fetcher._get_actions_per_node(setting.assignment)[0]
            return [{topic for topic, _ in request.topics} for _, request in requests]

        assert asked() == [{"log", "other"}]
        setting.recovering = True
        assert asked() == [{"log", "other"}]
        await setting.fetch(answer((LOG, THREE)))  # is here, and not taken yet
        assert asked() == []
        setting.recovering = False
        assert asked() == [{"other"}]

    with_fetcher(look)


def test_consumer_of_the_thread_reads_what_is_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer = SimpleNamespace()
    monkeypatch.setattr(driver.AIOKafkaConsumerThread, "_create_worker_consumer", lambda self, transport: consumer)
    made = FetchThread._create_worker_consumer(object.__new__(FetchThread), None)
    assert (made._isolation_level, made._fetch_max_wait_ms) == ("read_committed", MAX_WAIT_MS)

"""Every private name of Faust, mode and aiokafka that the worker relies on: where it is, and in which shape.

When one of these fails after an upgrade, read how the new version does what the message tells, adapt `streams/chunk`,
and run the integration tests: a name that is back is not yet a behaviour that is back.
"""

import asyncio
import inspect
import re
from asyncio import Event
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any, TypeVar

import faust
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer import fetcher
from aiokafka.consumer.subscription_state import Assignment, SubscriptionState, TopicPartitionState
from aiokafka.record.default_records import DefaultRecord
from aiokafka.structs import ConsumerRecord
from faust.stores.memory import Store
from faust.tables import recovery as faust_recovery
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport.consumer import Fetcher, ThreadDelegateConsumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage
from mode import Service
from mode.services import ServiceTask
from mode.threads import MethodQueue, QueueServiceThread
from mode.utils.futures import notify

from streams.chunk.app import ChunkApp
from streams.chunk.consumer import ChunkConsumer
from streams.chunk.fetching import ColumnFetcher, FetchThread
from streams.chunk.producer import BatchProducer
from streams.chunk.recovery import ChunkRecovery, ChunkTableManager
from streams.chunk.table import ChunkStore, ChunkTable
from streams.fetched import fetched, in_columns

T = TypeVar("T")
READ_CODE = {"faust-streaming": "0.15.3", "mode-streaming": "0.7.1"}
PARTITION = TP("views", 0)


def test_versions_are_those_whose_code_was_read() -> None:
    assert {name: version(name) for name in READ_CODE} == READ_CODE, "read the changes, then run every integration test"


OVERRIDDEN: list[tuple[type, str, list[str], str]] = [
    # class of Faust, name, parameters, what breaks
    (faust.App, "_new_transport", ["self"], "our consumer is not used: stock Faust reads records one by one"),
    (faust.App, "on_start", ["self"], "the producer does not start"),
    (driver.Consumer, "perform_seek", ["self"], "a fetch may be delivered across a seek: events lost or doubled"),
    (driver.Consumer, "seek_wait", ["self", "partitions"], "a fetch may be delivered across a seek in recovery"),
    (driver.Consumer, "on_partitions_revoked", ["self", "revoked"], "acknowledged chunks are handled twice"),
    (driver.Consumer, "on_buffer_full", ["self", "tp"], "Faust pauses partitions: no more changelog either"),
    (driver.Consumer, "ack", ["self", "message"], "offsets of skipped chunks are committed: events lost"),
    (driver.Consumer, "_new_offset", ["self", "tp"], "wrong offsets are committed"),
    (driver.Consumer, "_filter_tps_with_pending_acks", ["self", "topics"], "the end of a transaction is not committed"),
    (driver.Consumer, "_getmany", ["self", "active_partitions", "timeout"], "fetches wait in Faust's queue"),
    (driver.Consumer, "_new_consumer_thread", ["self"], "fetches wait, and records are slow: see fetching.py"),
    (driver.AIOKafkaConsumerThread, "on_start", ["self"], "a fetch waits for a tenth of a second"),
    (driver.AIOKafkaConsumerThread, "_create_worker_consumer", ["self", "transport"], "a fetch waits for 1.5 s"),
    (fetcher.Fetcher, "_proc_fetch_request", ["self", "assignment", "node_id", "request"], "records are objects"),
    (fetcher.Fetcher, "_get_actions_per_node", ["self", "assignment"], "recovery waits at the broker for other news"),
    (driver.Consumer, "_drain_messages", ["self", "fetcher"], "stock Faust reads records one by one"),
    (
        Recovery,
        "_wait",
        ["self", "coro", "timeout"],
        "a recovery that timed out ends silently: the worker idles for good",
    ),
    (Recovery, "_add", ["self", "table", "tp", "offsets"], "recovery starts from an offset that the store has not got"),
    (Recovery, "_build_highwaters", ["self", "consumer", "tps", "destination", "title"], "no marker: zombies may win"),
    (Recovery, "_set_recovery_started", ["self"], "an old end signal ends the next recovery at once"),
    (Recovery, "_set_recovery_ended", ["self"], "the time that a recovery took is not known"),
    (Recovery, "on_recovery_completed", ["self", "generation_id"], "the fetcher reads on before the seek: events lost"),
    (
        Store,
        "on_rebalance",
        ["self", "assigned", "revoked", "newly_assigned", "generation_id"],
        "rows of a partition that others owned in between are kept",
    ),
    (Store, "on_recovery_completed", ["self", "active_tps", "standby_tps"], "standby rows are thrown away"),
    (Store, "persisted_offset", ["self", "tp"], "the whole changelog is read again on every rebalance"),
    (faust.Table, "_new_store", ["self"], "rows are kept in Faust's dict, not in ours"),
    (faust.Table, "on_key_set", ["self", "key", "value"], "table[key] = value bypasses the batch and the fence"),
]
OURS = {
    faust.App: ChunkApp,
    driver.Consumer: ChunkConsumer,
    Recovery: ChunkRecovery,
    Store: ChunkStore,
    faust.Table: ChunkTable,
    TableManager: ChunkTableManager,
    Service: BatchProducer,
    driver.AIOKafkaConsumerThread: FetchThread,
    fetcher.Fetcher: ColumnFetcher,
}
NOT_METHODS = {(TableManager, "recovery"), (Recovery, "_slurp_changelogs")}  # tested by themselves
PYTHONS = {"__init__", "__module__", "__doc__", "__annotations__", "__abstractmethods__", "__orig_bases__", "__hash__"}


@pytest.mark.parametrize(
    ("stock", "name", "parameters", "breaks"), OVERRIDDEN, ids=lambda v: v if type(v) is str else ""
)
def test_overridden_method_is_there_and_called_as_ours_is(
    stock: type, name: str, parameters: list[str], breaks: str
) -> None:
    theirs, ours = getattr(stock, name, None), getattr(OURS[stock], name)
    assert theirs is not None, f"{stock.__name__}.{name} is gone, so ours is never called: {breaks}"
    assert theirs is not ours
    for method in (theirs, ours):
        assert list(inspect.signature(method).parameters) == parameters, f"{stock.__name__}.{name} changed: {breaks}"
    asynchronous = [inspect.iscoroutinefunction(inspect.unwrap(method)) for method in (theirs, ours)]
    assert asynchronous[0] == asynchronous[1], (
        f"{stock.__name__}.{name} is awaited in one and not in the other: {breaks}"
    )


def test_every_override_is_pinned_here() -> None:
    pinned = {(stock, name) for stock, name, _, _ in OVERRIDDEN} | NOT_METHODS
    service_api = {(Service, "on_start"), (Service, "on_stop")}  # public
    dict_api = {(Store, name) for name in ("__getitem__", "__len__", "__iter__", "__reversed__", "__contains__")}
    shared = {
        (stock, name)
        for stock, ours in OURS.items()
        for name, value in vars(ours).items()
        if hasattr(stock, name) and name not in PYTHONS and (callable(value) or hasattr(value, "__get__"))
    }
    made_by_mode = {(stock, name) for stock, name in shared if name in ("_tasks", "logger", "log", "abstract")}
    assert shared - made_by_mode - service_api - dict_api <= pinned, "pin what else is overridden"


CALLED: list[tuple[type, str, list[str], str]] = [
    # what the chunk path calls: class, name, parameters
    (driver.Consumer, "_get_active_partitions", ["self"], "the fetch does not know its partitions"),
    (driver.Consumer, "_is_changelog_tp", ["self", "tp"], "rows are taken for events"),
    (driver.Consumer, "_to_message", ["self", "tp", "record"], "chunks cannot be handed on"),
    (driver.Consumer, "stop_flow", ["self"], "the fetcher reads on before the seek"),
    (driver.Consumer, "assignment", ["self"], "no lag"),
    (Assignment, "state_value", ["self", "tp"], "no lag, and topics wait for each other in vain"),
    (AIOKafkaClient, "force_metadata_update", ["self"], "a broker that leads no more is asked again and again"),
    (driver.AIOKafkaConsumerThread, "_ensure_consumer", ["self"], "nothing is fetched"),
    (
        driver.AIOKafkaConsumerThread,
        "_fetch_records",
        ["self", "consumer", "active_partitions", "timeout", "max_records"],
        "nothing is fetched",
    ),
    (
        driver.Consumer,
        "commit",
        ["self", "topics", "start_new_transaction"],
        "nothing is committed before a revocation",
    ),
    (fetcher.FetchResult, "check_assignment", ["self", "tp"], "records from before a seek are handed on"),
    (fetcher.FetchResult, "has_more", ["self"], "nothing is fetched"),
    (fetcher.FetchResult, "_update_position", ["self"], "records come twice"),
    (fetcher.FetchResult, "getall", ["self", "max_records"], "records are objects"),
    (Recovery, "need_recovery", ["self"], "recovery does not end"),
    (Recovery, "standby_remaining_total", ["self"], "standbys are never ready"),
    (TableManager, "on_standbys_ready", ["self"], "standbys are never ready"),
    (Service, "add_runtime_dependency", ["self", "service"], "the producer does not start"),
    (faust.Stream, "noack", ["self"], "chunks are acknowledged before their outputs are"),
    (faust.Stream, "events", ["self"], "chunks cannot be acknowledged"),
    (faust.Event, "ack", ["self"], "chunks cannot be acknowledged"),
    (AIOKafkaProducer, "create_batch", ["self"], "no batches"),
    (AIOKafkaProducer, "send_batch", ["self", "batch", "topic", "partition"], "no batches"),
    (AIOKafkaConsumer, "getmany", ["self", "partitions", "timeout_ms", "max_records"], "no repair after a zombie"),
    (AIOKafkaConsumer, "seek", ["self", "partition", "offset"], "no repair after a zombie"),
    (AIOKafkaConsumer, "position", ["self", "partition"], "no repair after a zombie"),
    (AIOKafkaConsumer, "assign", ["self", "partitions"], "no repair after a zombie"),
]


@pytest.mark.parametrize(("owner", "name", "parameters", "breaks"), CALLED, ids=lambda v: v if type(v) is str else "")
def test_called_method_is_there(owner: type, name: str, parameters: list[str], breaks: str) -> None:
    method = getattr(owner, name, None)
    assert method is not None, f"{owner.__name__}.{name} is gone: {breaks}"
    assert list(inspect.signature(method).parameters) == parameters, f"{owner.__name__}.{name} changed: {breaks}"


CALLERS: list[tuple[Callable[..., Any], str, str]] = [
    (Fetcher.__dict__["_fetcher"].fun, "consumer._drain_messages(self)", "our fetch loop is not run"),
    (ThreadDelegateConsumer._getmany, "self._thread.getmany(active_partitions, timeout)", "another fetch"),
    (driver.AIOKafkaConsumerThread.getmany, "self.call_thread( self._fetch_records,", "another fetch"),
    (driver.AIOKafkaConsumerThread.getmany, "max_records=_consumer._max_poll_records", "fetches of another size"),
    (QueueServiceThread.call_thread, "self.method_queue.call(", "fetches run elsewhere"),
    (MethodQueue.call, "self.loop.call_soon_threadsafe(", "fetches run elsewhere"),
    (QueueServiceThread.__dict__["method_queue"].fget, "loop=self.thread_loop", "fetches run elsewhere"),
    (fetcher.Fetcher._proc_fetch_request, "response = await self._client.send(node_id, request)", "answers are lost"),
    (fetcher.Fetcher._proc_fetch_request, "in response.topics", "answers are not understood"),
    (fetcher.Fetcher._proc_fetch_request, "MemoryRecords(part_data[-1])", "the records are elsewhere in the answer"),
    (fetcher.Fetcher._proc_fetch_request, "self._records[tp] = FetchResult(", "records are objects"),
    (fetcher.Fetcher.fetched_records, "type(res_or_error) is FetchResult", "our results are taken for errors"),
    (fetcher.Fetcher.fetched_records, "res_or_error.getall(max_records)", "records are objects"),
    (fetcher.FetchResult._update_position, "self._partition_records.next_fetch_offset", "the position is wrong"),
    (fetcher.FetchResult.check_assignment, "self._partition_records.next_fetch_offset", "nothing is fetched"),
    (fetcher.FetchResult.has_more, "self._partition_records is not None", "what is read is fetched again"),
    (fetcher.PartitionRecords.__init__, "self._records_iterator = self._unpack_records()", "answers stay in memory"),
    (fetcher.PartitionRecords.__init__, "self._aborted_transactions =", "aborted transactions are applied"),
    (fetcher.Fetcher._proc_fetch_request, "tp_state.lso = lso", "topics wait for each other in vain"),
    (fetcher.Fetcher._proc_fetch_request, "tp_state.highwater = highwater", "no lag"),
    (TopicPartitionState.consumed_to, "self._position = position", "the end of a transaction is never handled"),
    (AIOKafkaConsumer.start, "isolation_level=self._isolation_level", "aborted transactions are applied"),
    (driver.Consumer._to_message, "generation_id=self.app.consumer_generation_id", "chunks have no generation"),
    (driver.ConsumerRebalanceListener.on_partitions_assigned, "app.consumer_generation_id =", "no generation is set"),
    (driver.Consumer._filter_committable_offsets, "self._new_offset(tp)", "wrong offsets are committed"),
    (driver.Consumer._filter_tps_with_pending_acks, "in self._acked", "acknowledged chunks are not committed"),
    (driver.Consumer._commit_offsets, "self._committed_offset.update(", "the lag is wrong"),
    (driver.Consumer.perform_seek, "self._read_offset", "the position after a seek is not known"),
    (driver.Consumer.wait_empty, "self._unacked_messages", "a revocation does not wait for the chunk in work"),
    (driver.Consumer._wait_for_ack, "self._waiting_for_ack = asyncio.Future", "a revocation is not woken by an ack"),
    (Recovery.__dict__["_restart_recovery"].fun, 'active_highwaters, "active"', "no marker: zombies may win"),
    (Recovery.__dict__["_restart_recovery"].fun, "self._wait(self.signal_recovery_end.wait())", "recovery never ends"),
    (
        Recovery.__dict__["_restart_recovery"].fun,
        "self.on_recovery_completed)(generation_id)",
        "no stop before the seek",
    ),
    (Recovery.add_active, "self._add(table, tp, self.active_offsets)", "recovery starts at a wrong offset"),
    (Recovery._wait, "raise ServiceStopped()", "a timeout is not noticed"),
    (Recovery.on_recovery_completed, "consumer.perform_seek()", "no seek after recovery"),
    (Recovery._build_highwaters, "value - 1", "highwaters are not last offsets: recovery ends early or never"),
    (faust.Table.on_rebalance, "self.data.on_rebalance(", "the store does not hear of rebalances"),
    (faust.Table.persisted_offset, "self.data.persisted_offset(tp)", "the store is not asked what it holds"),
]


@pytest.mark.parametrize(("caller", "words", "breaks"), CALLERS, ids=lambda v: v if type(v) is str else "")
def test_faust_still_calls_what_we_replace(caller: Callable[..., Any], words: str, breaks: str) -> None:
    source = " ".join(inspect.getsource(inspect.unwrap(caller)).split())
    assert words in source, f"{caller.__qualname__} no longer has `{words}`: {breaks}"


def test_tables_hear_of_a_rebalance_before_recovery_does() -> None:
    source = inspect.getsource(inspect.unwrap(TableManager.on_rebalance))
    assert 0 < source.index("table.on_rebalance") < source.index("self.recovery.on_rebalance"), (
        "recovery asks the store for its offsets before the store has dropped what it may not keep"
    )


def on_app(look: Callable[[ChunkApp, ChunkTable], Awaitable[T]]) -> T:
    """Look at an app that is made and never started: no broker."""

    async def main() -> T:
        app = ChunkApp(
            "names",
            kafka_arguments={"bootstrap_servers": "127.0.0.1:1"},
            align_wait_s=0.1,
            broker="kafka://127.0.0.1:1",
            store="memory://",
            web_enabled=False,
            topic_disable_leader=True,
            broker_max_poll_records=100,
        )
        return await look(app, app.Table("users", partitions=4, key_type=bytes, value_type=bytes))

    return asyncio.run(main())


def test_app_takes_our_classes() -> None:
    async def look(app: ChunkApp, table: ChunkTable) -> None:
        assert type(app.consumer) is ChunkConsumer, "Transport.Consumer is not asked for the class"
        assert type(app.tables) is ChunkTableManager, "the setting TableManager is not followed"
        assert type(app.tables.recovery) is ChunkRecovery, "TableManager.recovery is not ours"
        assert app.tables.recovery is app.tables._recovery
        assert type(table) is ChunkTable, "the setting Table is not followed"
        assert type(table.data) is ChunkStore, "Table._new_store is not asked"
        assert table.data.table is table
        assert table.changelog_topic_name == "names-users-changelog", "rows stand in a topic of another name"
        assert isinstance(table.data, Store)
        assert app.conf.broker_consumer is not None

    on_app(look)


def test_app_says_what_the_agent_and_the_timer_ask() -> None:
    async def look(app: ChunkApp, _: ChunkTable) -> None:
        assert (app.consumer_generation_id, app.rebalancing, app.in_recovery, app.should_stop) == (
            0,
            False,
            False,
            False,
        )
        assert app.assignor.assigned_actives() == set()

    on_app(look)


CONSUMER_STATE: list[tuple[str, Callable[[Any], bool], str]] = [
    ("_acked", lambda v: v["new"] == [], "acks have no place"),
    ("_read_offset", lambda v: v["new"] is None, "the position after a seek is not known"),
    ("_committed_offset", lambda v: v["new"] is None, "the lag is wrong"),
    ("_unacked_messages", lambda v: hasattr(v, "discard"), "a revocation waits for chunks that are done"),
    ("_waiting_for_ack", lambda v: v is None, "a revocation is not woken by an ack"),
    ("flow_active", lambda v: v is True, "fetching goes on in a rebalance"),
    ("suspend_flow", lambda v: isinstance(v, Event), "a full queue blocks a rebalance"),
    ("callback", callable, "chunks cannot be handed on"),
    (
        "consumer_stopped_errors",
        lambda v: all(issubclass(e, Exception) for e in v),
        "a stopped consumer looks like a bug",
    ),
    ("should_stop", lambda v: v is False, "fetching does not end"),
    ("wait_first", inspect.iscoroutinefunction, "a full queue blocks a rebalance"),
    ("sleep", inspect.iscoroutinefunction, "fetching spins"),
]


@pytest.mark.parametrize(("name", "fits", "breaks"), CONSUMER_STATE, ids=lambda v: v if type(v) is str else "")
def test_consumer_has(name: str, fits: Callable[[Any], bool], breaks: str) -> None:
    async def look(app: ChunkApp, _: ChunkTable) -> None:
        consumer = app.consumer
        assert hasattr(consumer, name), f"Consumer.{name} is gone: {breaks}"
        assert fits(getattr(consumer, name)), f"Consumer.{name} is {getattr(consumer, name)!r}: {breaks}"

    on_app(look)


RECOVERY_STATE: list[tuple[str, Callable[[Any], bool], str]] = [
    ("active_tps", lambda v: v == set(), "changelog records are dropped"),
    ("standby_tps", lambda v: v == set(), "changelog records of standbys are dropped"),
    ("tp_to_table", lambda v: v == {}, "changelog records find no table"),
    ("actives_for_table", lambda v: v["new"] == set(), "no marker: zombies may win"),
    ("active_offsets", lambda v: v["new"] == 0 and hasattr(v, "pop"), "recovery does not end"),
    ("standby_offsets", lambda v: v["new"] == 0 and hasattr(v, "pop"), "standbys are never ready"),
    ("in_recovery", lambda v: v is False, "recovery does not end"),
    ("signal_recovery_end", lambda v: isinstance(v, Event), "recovery does not end"),
    ("should_stop", lambda v: v is False, "a stop in recovery looks like a timeout"),
]


@pytest.mark.parametrize(("name", "fits", "breaks"), RECOVERY_STATE, ids=lambda v: v if type(v) is str else "")
def test_recovery_has(name: str, fits: Callable[[Any], bool], breaks: str) -> None:
    async def look(app: ChunkApp, _: ChunkTable) -> None:
        recovery = app.tables.recovery
        assert hasattr(recovery, name), f"Recovery.{name} is gone: {breaks}"
        assert fits(getattr(recovery, name)), f"Recovery.{name} is {getattr(recovery, name)!r}: {breaks}"
        assert app.tables.standbys_ready is False

    on_app(look)


def test_recovery_reports_a_timeout_as_stopped() -> None:
    assert issubclass(faust_recovery.ServiceStopped, Exception)

    async def look(app: ChunkApp, _: ChunkTable) -> None:
        recovery = Recovery(app, app.tables)
        with pytest.raises(faust_recovery.ServiceStopped):
            await recovery._wait(asyncio.sleep(5), timeout=0.01)
        assert not recovery.should_stop, (
            "a timeout can no longer be told from a stop: `ChunkRecovery._wait` exits at stops"
        )

    on_app(look)


def test_our_task_takes_the_place_of_the_stock_changelog_reader() -> None:
    assert isinstance(vars(Recovery)["_slurp_changelogs"], ServiceTask), (
        "another reader of the changelog runs beside ours"
    )
    assert isinstance(vars(ChunkRecovery)["_slurp_changelogs"], ServiceTask)

    async def look(app: ChunkApp, _: ChunkTable) -> list[ServiceTask]:
        return [task for task in app.tables.recovery._get_tasks() if task.fun.__name__ == "_slurp_changelogs"]

    assert on_app(look) == [vars(ChunkRecovery)["_slurp_changelogs"]], "both readers run, or the stock one alone"


def kafka_record(topic: str = "views", offset: int = 7) -> Any:
    return ConsumerRecord(topic, 0, offset, 1000, 0, b"ann", b"{}", None, 3, 2, (("h", b"1"),))


def test_message_carries_a_chunk_and_its_generation() -> None:
    async def look(app: ChunkApp, _: ChunkTable) -> None:
        app.consumer_generation_id = 5
        message = app.consumer._to_message(PARTITION, kafka_record())
        assert type(message) is ConsumerMessage
        assert message.generation_id == 5, "the stream cannot tell a stale chunk"
        message.key, message.value, message.acked = None, {PARTITION: fetched([kafka_record()])}, True

    on_app(look)


def test_only_chunks_of_this_generation_are_committed() -> None:
    async def look(app: ChunkApp, _: ChunkTable) -> None:
        consumer, app.consumer_generation_id = app.consumer, 5
        message = consumer._to_message(PARTITION, kafka_record())
        views, clicks = [kafka_record(offset=7), kafka_record(offset=9)], [kafka_record()]
        message.value = in_columns({PARTITION: views, TP("clicks", 0): clicks})
        waiting = consumer._waiting_for_ack = asyncio.get_running_loop().create_future()
        consumer._unacked_messages.add(message)
        app.consumer_generation_id = 6
        assert consumer.ack(message) is False
        assert message.acked
        assert waiting.done()
        assert not consumer._unacked_messages
        assert consumer._filter_committable_offsets(list(consumer._acked)) == {}
        app.consumer_generation_id = 5
        assert consumer.ack(message) is True
        assert consumer._filter_committable_offsets(list(consumer._acked)) == {PARTITION: 10, TP("clicks", 0): 8}

    on_app(look)


def test_notify_takes_nothing_too() -> None:
    notify(None)


def test_table_refuses_to_be_set_a_key_at_a_time() -> None:
    async def look(_: ChunkApp, table: ChunkTable) -> None:
        with pytest.raises(TypeError, match="whole chunk"):
            table[b"ann"] = b"row"

    on_app(look)


def test_batch_of_aiokafka_says_when_it_is_full_and_how_much_it_holds() -> None:
    async def main() -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers="127.0.0.1:1",
            acks="all",
            enable_idempotence=True,
            max_batch_size=1000,
            max_request_size=1_000_000,
        )
        batch = producer.create_batch()
        record = {"key": b"ann", "value": b"x" * 600, "headers": [("h", b"1")]}
        assert batch.append(timestamp=None, **record) is not None
        assert batch.append(timestamp=None, **record) is None, "a full batch takes more: the broker refuses it"
        assert batch.record_count() == 1
        batch.close()
        assert batch.append(timestamp=None, **record) is None

    asyncio.run(main())


def test_fetcher_of_aiokafka_has_what_the_fetch_thread_sets() -> None:
    code = inspect.getsource(fetcher.Fetcher)
    names = {"_client", "_records", "_check_crcs", "_isolation_level", "_prefetch_backoff"}
    assert names <= set(re.findall(r"self\.(_\w+)", code))
    assert "fetch_max_wait_ms=self._fetch_max_wait_ms" in inspect.getsource(AIOKafkaConsumer.start)
    assert {"offset", "timestamp", "key", "value", "headers"} <= set(dir(DefaultRecord))


def test_fetcher_of_a_consumer_becomes_ours_and_no_other_does() -> None:
    async def main() -> None:
        client: Any = SimpleNamespace(_loop=asyncio.get_running_loop(), _metadata_max_age_ms=1)
        ours, theirs = (fetcher.Fetcher(client, SubscriptionState()) for _ in range(2))
        ColumnFetcher.take_over(SimpleNamespace(_fetcher=ours), lambda tp: True, lambda: False)
        assert (type(ours), type(theirs)) == (ColumnFetcher, fetcher.Fetcher)
        assert (ours._client._client, theirs._client) == (client, client)
        assert (ours._prefetch_backoff, theirs._prefetch_backoff) == (0, 0.1)
        for each in (ours, theirs):
            await each.close()

    asyncio.run(main())

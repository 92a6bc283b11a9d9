"""The client that fetches, in a thread of its own: Faust's, without what makes it wait or costs it time.

aiokafka makes an object of each record; ours stay bytes and columns, see `streams/chunk/reading.py`. And it sends no
new fetch for a tenth of a second while one partition's records wait to be taken, or while a fetch of the others waits
at the broker for news: as long as Faust says, 1.5 s.
"""

from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any
from weakref import proxy

from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import KafkaError
from aiokafka.protocol.fetch import FetchRequest
from faust.transport.drivers import aiokafka as driver

from streams.chunk.reading import Unread
from streams.fetched import Fetched, fetched

MAX_WAIT_MS = 100
"""How long the broker may keep a fetch that finds nothing."""


class _Answers:
    """aiokafka's client, which keeps what a fetch was answered until that is taken."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401 - aiokafka's
        self._client, self.kept = client, dict[int, Any]()  # by identity of the request

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._client, name)

    async def send(self, node_id: int, request: Any) -> Any:  # noqa: ANN401
        answer = await self._client.send(node_id, request)
        if isinstance(request, FetchRequest):
            self.kept[id(request)] = answer
        return answer


class _Objects:
    """What is unread of a partition whose records only aiokafka can read; as `Unread`."""

    def __init__(self, records: Any) -> None:  # noqa: ANN401 - aiokafka's
        self._records, self.done = records, False

    @property
    def next_fetch_offset(self) -> int:
        offset: int = self._records.next_fetch_offset
        return offset

    def take(self, most: int) -> Fetched:
        records = list(islice(self._records, most))
        self.done = len(records) < most
        return fetched(records)


class ColumnFetcher(fetcher.Fetcher):  # type: ignore[misc]
    """aiokafka's fetcher, whose records are columns.

    Attributes:
        of_changelog: tells which partitions are.
        recovering: tells whether they are what is wanted.
    """

    of_changelog: Callable[[Any], bool]
    recovering: Callable[[], bool]

    @staticmethod
    def take_over(consumer: Any, of_changelog: Callable[[Any], bool], recovering: Callable[[], bool]) -> None:  # noqa: ANN401 - aiokafka's
        """Make a consumer's fetcher, which has fetched nothing yet, one of ours: it knows no other way to get one."""
        mine = consumer._fetcher
        mine._client, mine._prefetch_backoff, mine.__class__ = _Answers(mine._client), 0, ColumnFetcher
        mine.of_changelog, mine.recovering = of_changelog, recovering

    def _get_actions_per_node(self, assignment: Any) -> tuple[Any, ...]:  # noqa: ANN401 - aiokafka's
        """Return what to ask each broker for: in a recovery, nothing that leaves the changelog out.

        Such a fetch finds no news, waits for them at the broker, and no other is sent to it meanwhile.
        """
        requests, *rest = super()._get_actions_per_node(assignment)
        if self.recovering():
            requests = [(node, request) for node, request in requests if self._asks_for_changelog(request)]
        return requests, *rest

    def _asks_for_changelog(self, request: Any) -> bool:  # noqa: ANN401 - aiokafka's
        return any(
            self.of_changelog(TopicPartition(topic, place[0])) for topic, places in request.topics for place in places
        )

    async def _proc_fetch_request(self, assignment: Any, node_id: int, request: Any) -> bool:  # noqa: ANN401
        try:
            woken: bool = await super()._proc_fetch_request(assignment, node_id, request)
        finally:
            answer = self._client.kept.pop(id(request), None)
        # no await since the answer came: whatever aiokafka has made of it is still as it was
        for topic, partitions in answer.topics if woken else ():
            for number, *_, data in partitions:
                result = self._records.get(TopicPartition(topic, number))
                if isinstance(getattr(result, "_partition_records", None), fetcher.PartitionRecords):
                    self._replace(result, data)
        return woken

    def _replace(self, result: Any, data: bytes) -> None:  # noqa: ANN401 - aiokafka's
        theirs = result._partition_records
        aborted = tuple(theirs._aborted_transactions)  # aiokafka takes them out as it reads
        unread = Unread(data, theirs.next_fetch_offset, self._check_crcs, aborted)
        if unread.readable:
            result._partition_records = unread
            theirs._records_iterator = None  # it holds them, as they hold it: until garbage is collected
        else:
            result._partition_records = _Objects(theirs)
        result.getall = partial(_take, proxy(result))  # aiokafka wants its own class, so ours cannot have the method


def _take(result: Any, max_records: int) -> Any:  # noqa: ANN401 - aiokafka's
    """Return the next records of a partition, as `FetchResult.getall` does."""
    if not result.check_assignment(result._topic_partition) or not result.has_more():
        return ()
    unread = result._partition_records
    try:
        records = unread.take(max_records)
    except KafkaError as error:
        tp = result._topic_partition
        error.add_note(f"in {tp.topic}, partition {tp.partition}")
        raise
    result._update_position()
    if unread.done:
        result._partition_records = None
    return records


class FetchThread(driver.AIOKafkaConsumerThread):
    """Faust's thread of the consumer."""

    async def on_start(self) -> None:
        """Connect."""
        await super().on_start()
        app = self.consumer.app
        ColumnFetcher.take_over(self._ensure_consumer(), self.consumer._is_changelog_tp, lambda: bool(app.in_recovery))

    def _create_worker_consumer(self, transport: driver.Transport) -> Any:  # noqa: ANN401 - aiokafka's
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = MAX_WAIT_MS
        consumer._isolation_level = "read_committed"  # Faust does so in its own transactions only
        return consumer

"""Reading partitions from here to there, on a client that hands out what it is told."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest
from kafka import TopicPartition

from streams import spans
from streams.errors import BrokerUnavailable
from streams.settings import Settings
from streams.spans import Span, records_of

A, B = TopicPartition("views", 0), TopicPartition("views", 1)
SETTINGS = Settings(bootstrap_servers="nowhere:9092")


class Record(NamedTuple):
    place: TopicPartition
    offset: int


@dataclass
class Client:
    """Hands out so many records of each partition at a time, from where it was sent to; gaps are what was compacted."""

    there: dict[TopicPartition, list[int]]
    at: dict[TopicPartition, int] = field(default_factory=dict)
    asked: int = 0

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        self.at = dict.fromkeys(partitions, -1)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.at[partition] = offset

    def position(self, partition: TopicPartition) -> int:
        return self.at[partition]

    def poll(self, timeout_ms: int) -> dict[TopicPartition, list[Record]]:
        self.asked += 1
        found = {}
        for partition, at in self.at.items():
            batch = [offset for offset in self.there.get(partition, []) if offset >= at][:3]
            if batch:
                found[partition] = [Record(partition, offset) for offset in batch]
                self.at[partition] = batch[-1] + 1
        return found


def read(client: Any, span: Span) -> list[Record]:
    return list(records_of(client, SETTINGS, span))


def test_records_from_here_to_there_and_no_further() -> None:
    client = Client({A: [*range(4), 6, 7, *range(9, 40)], B: [5, 6]})
    found = read(client, {A: (2, 10), B: (0, 6)})
    assert [record.offset for record in found if record.place == A] == [2, 3, 6, 7, 9]
    assert [record.offset for record in found if record.place == B] == [5]


def test_the_same_client_reads_on() -> None:
    client = Client({A: [*range(20)]})
    parts = [read(client, {A: (start, end), B: (0, 0)}) for start, end in ((0, 4), (4, 4), (4, 11))]
    assert [record.offset for part in parts for record in part] == [*range(11)]


def test_nothing_is_asked_where_nothing_is() -> None:
    client = Client({A: [1]})
    assert read(client, {A: (0, 0), B: (7, 7)}) == []
    assert client.asked == 0


@pytest.mark.parametrize("broker", [True, False])
def test_silence_ends_with_a_reason(monkeypatch: pytest.MonkeyPatch, broker: bool) -> None:
    def check_broker(_: Settings) -> None:
        if not broker:
            raise BrokerUnavailable("gone")

    monkeypatch.setattr(spans, "_SILENT_S", 0.0)
    monkeypatch.setattr(spans, "check_broker", check_broker)
    with pytest.raises(
        BrokerUnavailable, match="no record came for 0.0 s of views 1: is its leader" if broker else "gone"
    ):
        read(Client({A: [0, 1]}), {A: (0, 2), B: (0, 2)})

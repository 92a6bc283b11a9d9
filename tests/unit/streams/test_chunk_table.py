"""What recovery makes of a changelog: rows, markers, and what zombies wrote."""

import asyncio
import base64
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, NoReturn

import numpy as np
import pytest
from faust.types import TP

from models.older_rows import migrated
from models.state import LAYOUT, Rows, empty_rows
from schemas.cloudevents import Headers
from streams.chunk import table
from streams.chunk.changelog import changelog_batches
from streams.chunk.logged_rows import MARKER
from streams.chunk.producer import Sent, _Written
from streams.chunk.reading import Unread
from streams.chunk.table import ChunkStore, ChunkTable
from streams.fetched import Fetched, fetched, joined
from streams.user_rows import PartitionRows

CHANGELOG = "users-changelog"
MINE, OTHER = b"writer-1", b"writer-2"
FIRST, SECOND = TP(CHANGELOG, 0), TP(CHANGELOG, 1)


class Logged(NamedTuple):
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int = 0
    headers: Headers = ()


class Stopped(Exception):  # noqa: N818 - what ends the process, here
    pass


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> ChunkStore:
    def fail_stop(event: str, *_: object, **__: object) -> NoReturn:
        raise Stopped(event)

    monkeypatch.setattr(table, "fail_stop", fail_stop)
    users: Any = SimpleNamespace(changelog_topic_name=CHANGELOG)
    return ChunkStore("memory://", SimpleNamespace(conf=None), users, table_name="users")


def row(number: int) -> Rows:
    rows = empty_rows(1)
    rows["newest_ms"] = number
    return rows


def logged(*entries: tuple[bytes, bytes, int] | tuple[bytes, bytes], start: int = 0) -> Fetched:
    """Records of a changelog: (writer, key, number of the row), or (MARKER, writer)."""
    return fetched(
        [
            Logged(start + k, MARKER, entry[1])
            if len(entry) == 2
            else Logged(start + k, entry[1], entry[0] + row(entry[2]).tobytes())
            for k, entry in enumerate(entries)
        ]
    )


def held(store: ChunkStore, partition: int = 0) -> dict[bytes, int]:
    rows = store.users.of(partition)
    return dict(zip(rows, rows.rows["newest_ms"].tolist(), strict=True))


def test_last_row_of_a_user_counts(store: ChunkStore) -> None:
    store.apply_records(FIRST, logged((MINE, b"ann", 1), (MINE, b"bob", 2), (MINE, b"ann", 3)))
    store.apply_records(SECOND, logged((MINE, b"ann", 9), start=4))
    assert (held(store), held(store, 1)) == ({b"ann": 3, b"bob": 2}, {b"ann": 9})
    assert (store.persisted_offset(FIRST), store.persisted_offset(SECOND)) == (2, 4)
    assert (len(store), store.recovered, store.stale) == (3, 4, 0)
    assert store.persisted_offset(TP(CHANGELOG, 2)) is None


def test_what_others_write_after_a_marker_is_ignored(store: ChunkStore) -> None:
    store.apply_records(
        FIRST,
        logged(
            (OTHER, b"ann", 1),
            (OTHER, b"bob", 2),
            (MARKER, MINE),
            (OTHER, b"ann", 3),  # a zombie's
            (MINE, b"bob", 4),
            (OTHER, b"bob", 5),  # again
            (OTHER, b"new", 6),
        ),
    )
    assert held(store) == {b"ann": 1, b"bob": 4}
    assert (store.stale, store.persisted_offset(FIRST)) == (3, 6)


def test_marker_holds_from_one_fetch_to_the_next_and_until_another(store: ChunkStore) -> None:
    store.apply_records(FIRST, logged((MARKER, MINE)))
    store.apply_records(FIRST, logged((OTHER, b"ann", 1), start=1))
    assert held(store) == {}
    store.apply_records(SECOND, logged((OTHER, b"ann", 2)))  # of this partition nobody else has a marker
    assert held(store, 1) == {b"ann": 2}
    store.apply_records(FIRST, logged((MARKER, OTHER), (OTHER, b"ann", 3), (MINE, b"ann", 4), start=2))
    assert held(store) == {b"ann": 3}


def test_users_whose_last_record_is_a_zombies_are_known(store: ChunkStore) -> None:
    store.apply_records(FIRST, logged((MINE, b"ann", 1), (MARKER, MINE), (OTHER, b"ann", 3), (OTHER, b"bob", 4)))
    assert store.overwritten[0] == {b"ann", b"bob"}
    store.apply_records(FIRST, logged((OTHER, b"bob", 5), (MINE, b"bob", 6), start=4))
    assert store.overwritten[0] == {b"ann"}
    store.apply_records(FIRST, logged((MINE, b"ann", 7), (OTHER, b"ann", 8), (MARKER, OTHER), start=6))
    assert store.overwritten[0] == {b"ann"}  # compaction would keep the zombie's
    store.apply_records(FIRST, logged((OTHER, b"ann", 9), start=9))
    assert store.overwritten[0] == set()


def test_recovery_writes_again_what_a_zombie_overwrote(store: ChunkStore) -> None:
    store.apply_records(FIRST, logged((MARKER, MINE), (MINE, b"ann", 2), (OTHER, b"ann", 1), (OTHER, b"new", 3)))
    written = []

    async def write(partition: int, keys: list[bytes], rows: Rows) -> None:
        written.append((partition, keys, rows["newest_ms"].tolist()))

    mended: Any = SimpleNamespace(data=store, write=write)
    asyncio.run(ChunkTable.mend(mended))
    assert written == [(0, [b"ann"], [2])]
    assert store.repaired == 1
    asyncio.run(ChunkTable.mend(mended))
    assert len(written) == 1


def test_what_a_rebalance_interrupts_is_written_again_by_the_next_recovery(store: ChunkStore) -> None:
    store.apply_records(FIRST, logged((MARKER, MINE), (MINE, b"ann", 2), (OTHER, b"ann", 1)))

    async def write(*_: object) -> None:
        store.writer = b"of-later"

    interrupted: Any = SimpleNamespace(data=store, write=write)
    asyncio.run(ChunkTable.mend(interrupted))
    assert store.overwritten[0] == {b"ann"}


def test_what_comes_between_a_write_and_its_repair_is_repaired_too(store: ChunkStore) -> None:
    rows, asked = store.users.of(0), []

    async def repair(partition: int, mine: PartitionRows, start: int, end: int) -> list[Sent]:
        asked.append((start, end))
        return [Sent(12, 2)] if start == 0 else []

    async def written() -> list[Sent]:
        return [Sent(3, 2), Sent(5, 1)]  # three records of others before them, six before what repairs those

    table: Any = SimpleNamespace(data=store, _repair=repair)
    asyncio.run(ChunkTable._follow(table, 0, rows, store.writer, written(), 70))
    assert store.logged_bytes == 70
    assert asked == [(0, 3), (6, 12)]
    assert store.offsets == {0: 13}


def test_user_without_a_row_is_forgotten_whoever_wrote_so(store: ChunkStore) -> None:
    def forgotten(offset: int, key: bytes | None) -> Fetched:
        return fetched([Logged(offset, key, None)])

    store.apply_records(
        FIRST,
        joined(
            [
                logged((MARKER, MINE), (MINE, b"ann", 1), (MINE, b"bob", 2), (OTHER, b"ann", 7)),
                *(forgotten(4 + k, key) for k, key in enumerate([b"ann", b"bob", b"zoe", None])),
                logged((MINE, b"bob", 5), start=8),
            ]
        ),
    )
    assert held(store) == {b"ann": 0, b"bob": 5}
    assert store.users.read(0, [b"ann"]).tobytes() == empty_rows(1).tobytes()
    assert (store.overwritten, store.persisted_offset(FIRST)) == ({0: set()}, 8)


def test_records_of_another_size_or_layout_end_the_worker(store: ChunkStore) -> None:
    with pytest.raises(Stopped, match="no layout that this version knows"):
        store.apply_records(FIRST, fetched([Logged(0, b"ann", MINE + b"short")]))
    whole = MINE + row(1).tobytes()
    with pytest.raises(
        Stopped, match="no layout that this version knows"
    ):  # two wrong sizes that add up to two right ones
        store.apply_records(FIRST, fetched([Logged(0, b"ann", whole[:-1]), Logged(1, b"bob", whole + b"x")]))
    other = row(1)
    other["layout"] = LAYOUT + 1
    with pytest.raises(Stopped, match="no layout that this version knows"):
        store.apply_records(FIRST, fetched([Logged(0, b"ann", MINE + other.tobytes())]))
    with pytest.raises(Stopped, match="no layout that this version knows"):
        store.apply_records(FIRST, fetched([Logged(0, None, whole)]))
    assert held(store) == {}


@pytest.mark.parametrize("layout", [1, 2, 3])
def test_rows_of_an_older_layout_are_made_rows_of_today(store: ChunkStore, layout: int) -> None:
    recorded = json.loads((Path(__file__).parents[2] / "data" / f"rows_of_layout_{layout}.json").read_text())["rows"]
    older = {key.encode(): base64.b64decode(row) for key, row in recorded.items()}
    logs = [
        Logged(0, MARKER, MINE),
        Logged(1, b"ann", MINE + older[b"ann"]),
        Logged(2, b"new", MINE + row(1).tobytes()),
        Logged(3, b"joe", MINE + older[b"joe"]),
        Logged(4, b"joe", OTHER + older[b"bob"]),  # a zombie's
        Logged(5, b"eve", OTHER + older[b"eve"]),
        Logged(6, b"ann", MINE + row(7).tobytes()),
    ]
    store.apply_records(FIRST, fetched(logs))
    rows = store.users.of(0)
    assert sorted(rows) == [b"ann", b"joe", b"new"]
    assert rows.read([b"joe"]).tobytes() == np.asarray(migrated(np.frombuffer(older[b"joe"], np.uint8)[None])).tobytes()
    assert rows.read([b"ann"])["newest_ms"].tolist() == [7]
    assert (store.recovered, store.stale, store.overwritten[0]) == (4, 2, {b"joe", b"eve"})


def rebalance(store: ChunkStore, assigned: set[TP], generation: int) -> None:
    asyncio.run(store.on_rebalance(assigned, set(), set(), generation))


def test_rows_of_partitions_that_stay_are_kept_from_one_generation_to_the_next(store: ChunkStore) -> None:
    rebalance(store, {FIRST, SECOND}, 1)
    store.apply_records(FIRST, logged((MARKER, MINE), (MINE, b"ann", 1)))
    store.apply_records(SECOND, logged((MINE, b"bob", 2)))
    rebalance(store, {FIRST, TP("views", 1)}, 2)
    assert held(store) == {b"ann": 1}
    assert store.persisted_offset(FIRST) == 1
    assert (held(store, 1), store.persisted_offset(SECOND)) == ({}, None)
    store.apply_records(FIRST, logged((OTHER, b"ann", 9), start=2))
    assert held(store) == {b"ann": 1}  # the marker too was kept


def test_whoever_missed_a_generation_starts_from_nothing(store: ChunkStore) -> None:
    """Others may have written in between."""
    rebalance(store, {FIRST}, 1)
    store.apply_records(FIRST, logged((MARKER, MINE), (MINE, b"ann", 1)))
    rebalance(store, {FIRST}, 3)
    assert held(store) == {}
    assert store.persisted_offset(FIRST) is None
    assert store.owner == {}


def test_each_assignment_has_a_writer_of_its_own(store: ChunkStore) -> None:
    writers = set()
    for generation in range(1, 6):
        rebalance(store, {FIRST}, generation)
        writers.add(store.writer)
    assert len(writers) == 5
    assert {len(writer) for writer in writers} == {8}


def test_user_is_found_in_whichever_partition_it_stands(store: ChunkStore) -> None:
    store.apply_records(SECOND, logged((MINE, b"bob", 2)))
    assert store[b"bob"]["newest_ms"] == 2
    with pytest.raises(KeyError):
        store[b"ann"]
    assert list(store) == [b"bob"]


def test_end_of_a_recovery_keeps_standby_rows(store: ChunkStore) -> None:
    store.apply_records(SECOND, logged((MINE, b"bob", 2)))
    asyncio.run(store.on_recovery_completed({FIRST}, {SECOND}))
    assert held(store, 1) == {b"bob": 2}


def test_records_written_are_records_that_recovery_reads(store: ChunkStore) -> None:
    rows = np.concatenate([row(1), row(2)])
    [batch] = changelog_batches(0, MINE, [b"ann", b"bob"], rows)
    sent = bytes(_Written(batch.compressed(), 123)._build())
    store.apply_records(FIRST, Unread(sent, 0, check_crcs=True).take(10))
    assert store.users.read(0, [b"ann", b"bob"]).tobytes() == rows.tobytes()


def test_no_rows_are_no_batches() -> None:
    assert changelog_batches(0, MINE, [], row(1)[:0]) == []


@pytest.mark.parametrize(("later", "ends_it"), [([5, 10], False), ([5] * 10, True)], ids=["it woke", "made anew"])
def test_topic_that_holds_less_than_the_rows_have_seen_is_asked_again_before_it_is_believed(
    store: ChunkStore, monkeypatch: pytest.MonkeyPatch, later: list[int], ends_it: bool
) -> None:
    asked: list[int] = []

    async def highwaters(*tps: TP) -> dict[TP, int]:
        asked.append(later.pop(0))
        return dict.fromkeys(tps, asked[-1])

    async def no_sleep(_: float) -> None:
        pass

    monkeypatch.setattr(asyncio, "sleep", no_sleep)
    mine: Any = object.__new__(type("Known", (ChunkTable,), {"data": store}))
    mine.app = SimpleNamespace(consumer=SimpleNamespace(highwaters=highwaters))
    mine.input_topics = ("views", "clicks", "purchases")
    seen = row(1)
    seen["applied"] = 9
    store.users.of(0).write([b"ann"], seen)
    mine._input_ends = {0: [5, 5, 5]}
    if ends_it:
        with pytest.raises(Stopped, match="made anew"):
            asyncio.run(mine.check_inputs())
    else:
        asyncio.run(mine.check_inputs())
    assert asked == ([5] * 10 if ends_it else [5, 10])

"""The row of one user: from a log, as serving would have made it, or as the workers of a cluster keep it."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from kafka import TopicPartition

from models.events_file import read_serving_events
from models.item_index import item_hashes
from models.older_items import keys, older_key
from models.older_rows import migrated
from models.predictor import Predictor
from models.state import LAYOUT, ROW, Rows
from schemas.partitioner import partition
from streams.backtest import backtest
from streams.chunk.changelog import ID_BYTES
from streams.chunk.logged_rows import MARKER
from streams.clients import admin, consumer
from streams.errors import NextactError, TopicsMissing
from streams.options import Options
from streams.progress import counting
from streams.rights import READ, check_rights
from streams.settings import Settings
from streams.spans import records_of
from streams.topics import CREATE, changelog

_TOLD_EVERY = 1000  # records
_SHOWN = 3


class UserRow(NamedTuple):
    """All that is known of a user."""

    user: str
    row: Rows  # [1]
    items: dict[int, str]  # ids by hash, as far as they are known

    def item(self, hash_: int) -> str:
        """Return the id of an item, its hash where nobody knows it."""
        return self.items.get(hash_, f"#{hash_:08x}")

    def older_items(self) -> list[str]:
        """Return the ids of the older items, the newest first; `a or b` where both have the key that is kept."""
        ids = dict[int, list[str]]()
        for key, name in zip(older_key(np.array([*self.items], np.int64)).tolist(), self.items.values(), strict=True):
            ids.setdefault(key, []).append(name)
        kept = keys(self.row["older_low"], self.row["older_high"])[0]
        return [" or ".join(ids.get(key, [f"#..{key:06x}"])) for key in kept[kept > 0].tolist()]


def from_log(file: Path, user: str, model: Predictor, settings: Settings, until_ms: int | None = None) -> UserRow:
    """Return the row that serving makes of a user's events in a log.

    Args:
        file: EVENTS.
        user: whose.
        model: makes the states.
        settings: which events are accepted.
        until_ms: only events before this time.

    Raises:
        EventsFileError: the log cannot be read.
        NextactError: the user has no events there that are accepted.
    """
    events = read_serving_events(file)
    mine = events.filter(pl.col("user_id") == user)
    if not len(mine):
        others = ", ".join(events["user_id"].unique(maintain_order=True).head(_SHOWN).to_list())
        raise NextactError(f"{file} has no events of user {user}; it has those of {others}, ...")
    if until_ms is not None:
        first_ms = mine["ts_ms"][0]
        mine = mine.filter(pl.col("ts_ms") < until_ms)
        if not len(mine):
            raise NextactError(f"user {user} has no events before --until: the first one is of {first_ms} ms")
    options = Options(limits=settings.limits, slate_size=0, reject_unknown_items=settings.unknown_items == "reject")
    result = backtest(mine, model, options, lambda _: None, partitions=1)
    if not len(result.users):
        reasons = ", ".join(result.rejected)
        raise NextactError(f"every event of user {user} in {file} is refused: {reasons}")
    ids = mine["item_id"].unique().to_list()
    return UserRow(user, result.users.read(0, [user.encode()]), _names(model) | _by_hash(ids))


def from_changelog(settings: Settings, user: str, model: Predictor) -> UserRow:
    """Return the row of a user as the workers last wrote it: one partition of the changelog is read through.

    Args:
        settings: broker, prefix, group.
        user: whose.
        model: knows items.

    Raises:
        BrokerUnavailable, BrokerRefused, TopicsMissing: there is nothing to read from.
        NextactError: nothing is known of the user, or the row is of no layout that this version knows.
    """
    name = changelog(settings).name
    with admin(settings) as client:
        check_rights(client, {name: (READ,)})
    with consumer(settings, auto_offset_reset="earliest") as client:
        numbers = client.partitions_for_topic(name)
        if not numbers:
            raise TopicsMissing(f"topic {name} is missing. Create it with `{CREATE}`")
        place = TopicPartition(name, partition(user.encode(), len(numbers)))
        [start], [end] = client.beginning_offsets([place]).values(), client.end_offsets([place]).values()

        def records() -> Iterator[tuple[bytes | None, bytes | None]]:
            with counting(f"reading {name}-{place.partition}", end - start) as report:
                for count, record in enumerate(records_of(client, settings, {place: (start, end)})):
                    yield record.key, record.value
                    if count % _TOLD_EVERY == 0:
                        report(record.offset - start)

        row = last_row(records(), user.encode())
    if row is None:
        raise NextactError(f"{name} knows nothing of user {user}")
    return UserRow(user, _of_today(row, user), _names(model))


def last_row(records: Iterable[tuple[bytes | None, bytes | None]], user: bytes) -> bytes | None:
    """Return the last row of a user in a partition of the changelog, None if there is none.

    After a marker only rows of the writer that it names count; a record without a value ends what is known.

    >>> marker, row = (MARKER, b"writer-2"), b"a row"
    >>> last_row([(b"ann", b"writer-1" + row), marker, (b"ann", b"writer-1 zombie")], b"ann")
    b'a row'
    """
    owner, found = None, None
    for key, value in records:
        if key == MARKER:
            owner = value
        elif key == user and value is None:
            found = None
        elif key == user and value is not None and owner in (None, value[:ID_BYTES]):
            found = value[ID_BYTES:]
    return found


def _of_today(row: bytes, user: str) -> Rows:
    if len(row) == ROW.itemsize:
        rows: Rows = np.frombuffer(row, ROW).copy()
        if rows["layout"][0] == LAYOUT:
            return rows
    older = migrated(np.frombuffer(row, np.uint8)[None])
    if older is None:
        raise NextactError(f"the row of user {user} is of no layout that this version knows: use the workers' version")
    return older


def _names(model: Predictor) -> dict[int, str]:
    return _by_hash(model.items)


def _by_hash(items: list[str]) -> dict[int, str]:
    return dict(zip(item_hashes(items).tolist(), items, strict=True))

"""What should have come of the accepted events: `process`, one event of a user at a time, in order.

It shares the network and the row with the pipeline, but neither disorder nor duplicates, lateness, chunks, recovery or
redelivery: it sees each event once, in order of event time. What came too late for the ring it never sees: the plain
fold counts it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from builders import InputRecord

from chaos.fold import MOST, History
from models.predictor import Predictor
from models.state import RESOLUTIONS, Rows, empty_rows
from schemas.topics import INPUTS
from streams.fetched import in_columns
from streams.options import Options
from streams.pipeline import Origin, process
from streams.user_rows import UserRows

_NOW_MS = 2**44 - 1


class Reference:
    """Rows as `process` makes them.

    Args:
        users: their histories.
        models: the models that workers had.
        options: of the pipeline.
    """

    def __init__(self, users: Mapping[bytes, History], models: Sequence[Predictor], options: Options) -> None:
        self._users, self._models, self._options = users, models, options
        self._rows_alone = replace(options, slate_size=0)  # of a wave the rows are kept: they don't depend on slates

    def user(self, key: bytes) -> History:
        """Return what a user did."""
        return self._users[key]

    def rows(self, model: Predictor, users: Iterable[History]) -> dict[bytes, Rows]:
        """Return the rows of users whose events one model has all seen."""
        chosen = list(users)
        table, waves = UserRows(), max((len(user.events) for user in chosen), default=0)
        for number in range(waves):
            self._wave(table, model, chosen, number)
        self._count_late(table, model, chosen)
        return {user.key: self._with_offsets(user, table) for user in chosen}

    def rows_after_swap(
        self, old: Predictor, new: Predictor, users: Mapping[bytes, Sequence[int]]
    ) -> Iterator[tuple[bytes, Rows]]:
        """Yield user and row for each number of events before the swap that is to be tried, the largest ones first.

        Args:
            old: saw the events before the swap; nothing of its states is left.
            new: saw the rest.
            users: for each, the numbers of events to try; of a user taken out meanwhile no more is tried.
        """
        chosen = [self._users[key] for key in users]
        table, wanted = UserRows(), {key: set(numbers) for key, numbers in users.items()}
        before: dict[tuple[bytes, int], Rows] = {}
        for number in range(max((max(numbers) for numbers in users.values()), default=-1) + 1):
            for user in chosen:
                if number in wanted[user.key]:
                    before[user.key, number] = table.read(user.partition, [user.key])
            self._wave(table, old, chosen, number)
        tries: dict[int, list[tuple[History, int]]] = defaultdict(list)  # the k-th try of each user
        for user in chosen:
            for place, number in enumerate(sorted(wanted[user.key], reverse=True)):
                tries[place].append((user, number))
        for planned in tries.values():
            table, each = UserRows(), [(user, number) for user, number in planned if user.key in users]
            for user, number in each:
                table.write(user.partition, [user.key], before[user.key, number])
            # of the last event again: one sent twice, or delivered again, may be all that the new model got of a user
            self._wave(table, new, [user for user, _ in each], -1, {u.key: n for u, n in each}, offset=0)
            for step in range(max((len(user.events) - number for user, number in each), default=0)):
                self._wave(table, new, [user for user, _ in each], step, {u.key: n for u, n in each})
            self._count_late(table, new, [user for user, _ in each])
            for user, _ in each:
                yield user.key, self._with_offsets(user, table)

    def outputs(self, model: Predictor, rows: Mapping[bytes, Rows]) -> dict[tuple[str, bytes], bytes]:
        """Return what is published of these rows, by topic and user: as if their last records came again."""
        table, chunk = UserRows(), defaultdict[Origin, list[InputRecord]](list)
        for key, row in rows.items():
            user = self._users[key]
            event = user.events[-1]
            table.write(user.partition, [key], row.reshape(1))
            offset = user.applied[event.action]
            chunk[Origin(INPUTS[event.action], user.partition)].append(
                InputRecord(key, event.value, offset, event.ts_ms)
            )
        ordered = {origin: sorted(records, key=lambda r: r.offset) for origin, records in chunk.items()}
        result = process(in_columns(ordered), table, model, _NOW_MS, self._options)
        return {(each.topic, each.key or b""): each.value for each in result.records()}

    def _wave(
        self,
        table: UserRows,
        model: Predictor,
        users: Sequence[History],
        number: int,
        first: Mapping[bytes, int] | None = None,
        offset: int | None = None,
    ) -> None:
        """Take in one event of each user: that with this number, from the user's first on; offset 0: once more."""
        chunk = defaultdict[Origin, list[InputRecord]](list)
        for user in users:
            place = number + (0 if first is None else first[user.key])
            if 0 <= place < len(user.events):
                event = user.events[place]
                origin = Origin(INPUTS[event.action], user.partition)
                chunk[origin].append(
                    InputRecord(user.key, event.value, place if offset is None else offset, event.ts_ms)
                )
        if chunk:
            result = process(in_columns(chunk), table, model, _NOW_MS, self._rows_alone)
            for partition, change in result.changes.items():
                table.write(partition, change.keys, change.rows)

    def _count_late(self, table: UserRows, model: Predictor, users: Iterable[History]) -> None:
        """Put the plain fold's counts into the rows of users with late events; score the last event again with them."""
        behind = [user for user in users if user.late]
        for user in behind:
            rows = table.read(user.partition, [user.key])
            row = rows[0]
            row["late"], row["total"] = len(user.late), user.totals()
            for name, width, size in RESOLUTIONS:
                row[name] = 0
                for (action, bucket), count in user.cells(width, size, MOST[name]).items():
                    row[name][action, bucket] = count
            table.write(user.partition, [user.key], rows)
        self._wave(table, model, behind, -1, {user.key: len(user.events) for user in behind}, offset=0)

    def _with_offsets(self, user: History, table: UserRows) -> Rows:
        row: Rows = table.read(user.partition, [user.key])[0]
        row["applied"] = user.applied
        return row


SILENCE = ("band", "silent_s", "rescore_ms")
"""What of a row changes by silence alone."""


def differing_fields(ours: Rows, theirs: Rows, but: Sequence[str] = ()) -> list[str]:
    """Return the names of the fields in which two rows differ, but for some."""
    names = [name for name in empty_rows(0).dtype.names or () if name not in but]
    return [name for name in names if np.asarray(ours[name]).tobytes() != np.asarray(theirs[name]).tobytes()]

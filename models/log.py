"""A log of events in the one form that learning and evaluation work on: sequences, one after another, as arrays."""

from collections.abc import Iterable
from typing import Literal, NamedTuple, TypeAlias
from zlib import crc32

import numpy as np
import numpy.typing as npt
import polars as pl

from models.state import ACTIONS, Ints

SPLITS = ("train", "validation", "test", "context")
"""What a row is as a target: learned from, chosen by, judged on, or none: history only. The index is the code."""

By: TypeAlias = Literal["user", "session"]

_TRAIN, _VALIDATION = 0, 1
_TENTH = 10
_ARRAYS = ("event_id", "item_id", "action", "ts_ms", "split", "position")


class Log(NamedTuple):
    """A log of events as sequences (sessions or users), by name, each in order; arrays [events] but for `first`.

    Every row is a target that is predicted from the rows before it in its sequence.

    Fields:
        first: index of each sequence's first event [sequences].
        names: its session's or user's id [sequences].
        item, action: codes: index in `items` and `actions`.
        ts_ms: time in ms since 1970; all -1 in a log that has positions only: `timed` tells.
        split: index in `SPLITS`.
        items: every item id of the log, sorted.
        actions: every action of the log: those that are served, in their order, then the others, sorted.
        timed: whether there are times.
        columns: all other columns but `event_id`, in the same order of rows.
    """

    first: Ints
    names: list[str]
    item: Ints
    action: Ints
    ts_ms: Ints
    split: Ints
    items: list[str]
    actions: tuple[str, ...]
    timed: bool
    columns: pl.DataFrame


def log(events: pl.DataFrame, by: By | None = None) -> Log:
    """Put events in sequences.

    In a sequence events stand by `position` where there is one, then as serving orders them: by `(ts_ms, action,
    crc32(event_id), crc32(item_id))`; of events that are equal in all of these the first is kept. Rows without a
    `split` are training rows. If none is for validation, the last tenth of the training rows by time is, or, in a log
    without times, the last tenth of the sequences with training rows, as they first occur in the file.

    Args:
        events: as `events_file.read_events` returns them.
        by: what a sequence is; by default a session if every user has one, else a user.

    Raises:
        ValueError: sequences are to be sessions and a row has none, or `ts_ms` goes back where `position` goes on.

    >>> events = pl.DataFrame({"user_id": ["u", "v", "u"], "item_id": ["b", "a", "a"], "position": [2, 1, 1]})
    >>> made = log(events.with_columns(action=pl.lit("view"), split=pl.lit("train")))
    >>> made.names, made.first.tolist(), [made.items[code] for code in made.item]
    (['u', 'v'], [0, 2], ['a', 'b', 'a'])
    """
    names, sequence, own = _sequences(events, by)
    actions, action = _codes(events["action"], known=ACTIONS)
    timed = "ts_ms" in events.columns
    ts_ms = events["ts_ms"].to_numpy() if timed else np.full(len(events), -1)
    position = [events["position"].to_numpy()] if "position" in events.columns else []
    order = _order(events, [sequence, *position, ts_ms, action])
    sequence, action, ts_ms = sequence[order], action[order].astype(np.int64), ts_ms[order]
    starts = _changes(sequence)
    back = np.flatnonzero((ts_ms[1:] < ts_ms[:-1]) & ~starts[1:])
    if len(back):
        raise ValueError(f"ts_ms goes back where position goes on, in {own} {names[sequence[back[0]]]!r}")
    first = np.flatnonzero(starts)
    if "split" in events.columns:
        split = events["split"].cast(pl.Enum(SPLITS)).to_physical().to_numpy()[order].astype(np.int8)
    else:
        split = np.full(len(order), _TRAIN, np.int8)
    if not (split == _VALIDATION).any():
        split[_last_rows(split, ts_ms) if timed else _last_sequences(split, first, order)] = _VALIDATION
    items, item = _codes(events["item_id"])
    item = item[order].astype(np.int64)
    columns = events.drop(own, *_ARRAYS, strict=False)[order]
    return Log(first, names, item, action, ts_ms, split, items, tuple(actions), timed, columns)


def cuts_through(log: Log, split: str) -> bool:
    """Return whether a split begins in the middle of sequences: most of those it has rows of had begun before.

    Context rows do not count, nor do rows after the split's newest one.
    """
    mine, sequence = log.split == SPLITS.index(split), np.repeat(log.first, np.diff(log.first, append=len(log.item)))
    before = (log.ts_ms <= log.ts_ms[mine].max(initial=-1)) & ~mine & (log.split != SPLITS.index("context"))
    watched = np.unique(sequence[mine])
    return bool(2 * np.isin(watched, sequence[before]).sum() > len(watched))


def _sequences(events: pl.DataFrame, by: By | None) -> tuple[list[str], Ints, str]:
    """Return the names of the sequences, each row's sequence [events], and the column that has the names."""
    users, user = _codes(events["user_id"])
    lacking = len(events) if "session_id" not in events.columns else events["session_id"].null_count()
    if by == "session" and lacking:
        raise ValueError(f"{lacking:,} events have no session_id: they cannot be put in sequences by session")
    if by == "user" or lacking:
        return users, user, "user_id"
    sessions, session = _codes(events["session_id"])
    pair = pl.Series(user.astype(np.int64) * len(sessions) + session)  # two users may have sessions of the same name
    pairs = pair.unique().sort().to_numpy()
    if by is None and len(pairs) > len(users):
        return users, user, "user_id"
    names = [sessions[code] for code in pairs % len(sessions)]
    return names, np.searchsorted(pairs, pair.to_numpy()), "session_id"


def _codes(values: pl.Series, known: tuple[str, ...] = ()) -> tuple[list[str], Ints]:
    """Return the values that occur, sorted after those that are known, and each row's index in them [rows]."""
    values = values.cast(pl.Categorical)
    found = values.unique()
    place = pl.DataFrame({"name": found.cast(pl.String), "category": found.to_physical()}).sort("name")
    if known:
        rank = pl.col("name").replace_strict(known, range(len(known)), default=len(known), return_dtype=pl.Int64)
        place = place.sort(rank, maintain_order=True)
    categories = place["category"].to_numpy()
    codes = np.zeros(categories.max(initial=0) + 1, np.uint32)
    codes[categories] = np.arange(len(categories))
    return place["name"].to_list(), codes[values.to_physical().to_numpy()]


def _changes(column: Ints) -> npt.NDArray[np.bool_]:
    """Return where a value differs from the one before it; the first does."""
    return np.append(np.ones(len(column[:1]), bool), column[1:] != column[:-1])


def _order(events: pl.DataFrame, keys: list[Ints]) -> Ints:
    """Return the rows to keep, in order of the keys; only of rows that are equal in all of them the ids are hashed."""
    order = np.lexsort(keys[::-1])
    new = np.zeros(len(order), bool)
    for key in keys:
        new |= _changes(key[order])
    tied = np.flatnonzero(~new | np.append(~new[1:], False))
    rows = order[tied]
    frame = pl.DataFrame({"tie": np.cumsum(new)[tied], "row": rows}).with_columns(
        id=_hashes(_event_ids(events, rows)), item=_hashes(events["item_id"].gather(rows).cast(pl.String))
    )
    frame = frame.sort("tie", "id", "item", maintain_order=True)
    order[tied] = frame["row"].to_numpy()
    again = frame.select(~pl.struct("tie", "id", "item").is_first_distinct()).to_series().to_numpy()
    return np.delete(order, tied[again])


def _event_ids(events: pl.DataFrame, rows: Ints) -> list[str]:
    given = events["event_id"].gather(rows) if "event_id" in events.columns else [None] * len(rows)
    return [name or f"r{row + 1:06d}" for name, row in zip(given, rows.tolist(), strict=True)]


def _hashes(ids: Iterable[str]) -> pl.Series:
    return pl.Series([crc32(name.encode()) for name in ids], dtype=pl.UInt32)


def _last_rows(split: Ints, ts_ms: Ints) -> npt.NDArray[np.bool_]:
    """Return which rows are the last tenth of the training rows, by time; never all of them."""
    training = split == _TRAIN
    times = ts_ms[training]
    oldest = times.min(initial=np.iinfo(np.int64).max)
    if not (times > oldest).any():
        return np.zeros(len(split), bool)
    last = len(times) - -(-len(times) // _TENTH)
    times.partition(last)
    cut = times[last] if times[last] > oldest else times[times > oldest].min()
    held_out: npt.NDArray[np.bool_] = training & (ts_ms >= cut)
    return held_out


def _last_sequences(split: Ints, first: Ints, order: Ints) -> Ints:
    """Return the training rows in the last tenth of the sequences that have some, as they first occur in the file."""
    training = np.flatnonzero(split == _TRAIN)
    of = np.searchsorted(first, training, side="right") - 1
    learning = np.unique(of)
    latest = learning[np.argsort(np.minimum.reduceat(order, first)[learning])]
    count = min(-(-len(latest) // _TENTH), len(latest) - 1)
    return training[np.isin(of, latest[len(latest) - max(count, 0) :])]

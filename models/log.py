"""A log of events in the one form that learning and evaluation work on: sequences, one after another, as arrays."""

from typing import Literal, NamedTuple, TypeAlias
from zlib import crc32

import numpy as np
import polars as pl

from models.state import ACTIONS, Ints

SPLITS = ("train", "validation", "test", "context")
"""What a row is as a target: learned from, chosen by, judged on, or none: history only. The index is the code."""

By: TypeAlias = Literal["user", "session"]

_TRAIN, _VALIDATION = 0, 1
_TENTH = 10
_STRUCTURE = ("item_id", "action", "ts_ms", "split", "position")


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
        columns: all other columns, in the same order of rows.
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
    position = [events["position"]] if "position" in events.columns else []
    order = _order(
        events, pl.DataFrame([pl.Series("sequence", sequence), *position]).with_columns(ts_ms=ts_ms, action=action)
    )
    sequence, ts_ms = sequence[order], ts_ms[order]
    starts = np.diff(sequence, prepend=-1) != 0
    back = np.flatnonzero((np.diff(ts_ms, prepend=0) < 0) & ~starts)
    if len(back):
        raise ValueError(f"ts_ms goes back where position goes on, in {own} {names[sequence[back[0]]]!r}")
    first = np.flatnonzero(starts)
    if "split" in events.columns:
        split = events["split"].cast(pl.Enum(SPLITS)).to_physical().to_numpy()[order].astype(np.int8)
    else:
        split = np.full(len(order), _TRAIN, np.int8)
    if not (split == _VALIDATION).any():
        held_out = (
            _last_rows(split, ts_ms) if timed else _last_sequences(split, first, np.minimum.reduceat(order, first))
        )
        split[held_out] = _VALIDATION
    items, item = _codes(events["item_id"])
    columns = events.drop(own, *_STRUCTURE, strict=False)[order]
    return Log(first, names, item[order], action[order], ts_ms, split, items, tuple(actions), timed, columns)


def _sequences(events: pl.DataFrame, by: By | None) -> tuple[list[str], Ints, str]:
    """Return the names of the sequences, each row's sequence [events], and the column that has the names."""
    users, user = _codes(events["user_id"])
    lacking = len(events) if "session_id" not in events.columns else events["session_id"].null_count()
    if by == "session" and lacking:
        raise ValueError(f"{lacking:,} events have no session_id: they cannot be put in sequences by session")
    if by == "user" or lacking:
        return users, user, "user_id"
    sessions, session = _codes(events["session_id"])
    pair = pl.Series(user * len(sessions) + session)  # two users may have sessions of the same name
    pairs = pair.unique().sort().to_numpy()
    if by is None and len(pairs) > len(users):
        return users, user, "user_id"
    names = [sessions[code] for code in pairs % len(sessions)]
    return names, np.searchsorted(pairs, pair.to_numpy()), "session_id"


def _codes(values: pl.Series, known: tuple[str, ...] = ()) -> tuple[list[str], Ints]:
    """Return the values that occur, sorted after those that are known, and each row's index in them [rows]."""
    names = values.unique().cast(pl.String).sort().to_list()
    names = [name for name in known if name in names] + [name for name in names if name not in known]
    return names, values.cast(pl.Enum(names)).to_physical().to_numpy().astype(np.int64)


def _order(events: pl.DataFrame, keys: pl.DataFrame) -> Ints:
    """Return the rows to keep, in order; only rows that are equal in the keys need their ids hashed."""
    order = keys.select(pl.arg_sort_by(keys.columns, maintain_order=True)).to_series().to_numpy().astype(np.int64)
    same = np.ones(len(order), bool)
    for name in keys.columns:
        same &= np.diff(keys[name].to_numpy()[order], prepend=-1) == 0
    same[:1] = False
    tied = np.flatnonzero(same | np.append(same[1:], False))
    rows = order[tied]
    frame = pl.DataFrame({"tie": np.cumsum(~same)[tied], "row": rows}).with_columns(
        id=_hashes(_event_ids(events, rows)), item=_hashes(events["item_id"].cast(pl.String).gather(rows))
    )
    frame = frame.sort("tie", "id", "item", maintain_order=True)
    order[tied] = frame["row"].to_numpy()
    again = frame.select(~pl.struct("tie", "id", "item").is_first_distinct()).to_series().to_numpy()
    return np.delete(order, tied[again])


def _event_ids(events: pl.DataFrame, rows: Ints) -> pl.Series:
    if "event_id" in events.columns:
        return events["event_id"].gather(rows)
    return pl.Series([f"r{row + 1:06d}" for row in rows.tolist()], dtype=pl.String)


def _hashes(ids: pl.Series) -> pl.Series:
    return pl.Series([crc32(name.encode()) for name in ids], dtype=pl.UInt32)


def _last_rows(split: Ints, ts_ms: Ints) -> Ints:
    """Return the last tenth of the training rows, by time; never all of them."""
    training = np.flatnonzero(split == _TRAIN)
    times = np.sort(ts_ms[training])
    if not len(times) or times[0] == times[-1]:
        return training[:0]
    cut = times[len(times) - -(-len(times) // _TENTH)]
    if cut == times[0]:
        cut = times[np.searchsorted(times, cut, side="right")]
    held_out: Ints = training[ts_ms[training] >= cut]
    return held_out


def _last_sequences(split: Ints, first: Ints, occurs: Ints) -> Ints:
    """Return the training rows of the last tenth of the sequences that have some, by `occurs` [sequences]."""
    training = np.flatnonzero(split == _TRAIN)
    of = np.searchsorted(first, training, side="right") - 1
    learning = np.unique(of)
    latest = learning[np.argsort(occurs[learning])]
    count = min(-(-len(latest) // _TENTH), len(latest) - 1)
    return training[np.isin(of, latest[len(latest) - max(count, 0) :])]

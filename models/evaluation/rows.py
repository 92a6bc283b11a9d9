"""Which rows of a log are learned from, and which are scored."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import polars as pl

from models.log import SPLITS, Log, cuts_through
from models.state import Ints

_CELLS = 1 << 22  # of a batch of scores: 16 MB of float32, which malloc keeps and uses again
_TRAIN, _VALIDATION, _TEST, _ = range(len(SPLITS))


class NothingToScoreError(Exception):
    """A log has no row that could be scored; the message says which were asked for."""


def sequence_of(log: Log) -> Ints:
    """Return the number of each row's sequence [events]."""
    return np.repeat(np.arange(len(log.first)), np.diff(log.first, append=len(log.item)))


def starts(log: Log) -> Ints:
    """Return where each row's sequence begins [events]."""
    return np.repeat(log.first, np.diff(log.first, append=len(log.item)))


def split_to_score(log: Log, asked: str | None = None) -> str:
    """Return the split that is scored: the one asked for, else `test` if the log has any such row, else `validation`.

    Raises:
        NothingToScoreError: no row of it has a row before it.
    """
    split = asked or ("test" if (log.split == _TEST).any() else "validation")
    if not len(scored_rows(log, split)):
        raise NothingToScoreError(f"no {split} row of the log has a row before it in its sequence")
    return split


def scored_rows(log: Log, split: str) -> Ints:
    """Return the rows of a split that have a row before them: a sequence's first row says nothing of a predictor."""
    return np.flatnonzero((log.split == SPLITS.index(split)) & (np.arange(len(log.item)) > starts(log)))


def known_rows(log: Log, split: str) -> Ints:
    """Return the rows that may be learned from when a split is scored: the training rows; for test, validation too."""
    known = log.split == _TRAIN
    if split == "test":
        known |= log.split == _VALIDATION
    return np.flatnonzero(known)


def histories(log: Log, rows: Ints, first: Ints) -> tuple[Ints, Ints]:
    """Return the items before each row in its sequence, one row's after another's, and where each row's begin and end.

    Args:
        log: of events.
        rows: of it [rows].
        first: where each one's sequence begins [rows].

    Returns:
        items, and places in them [rows + 1].
    """
    lengths = rows - first
    ends = np.concatenate([[0], np.cumsum(lengths)])
    place = np.arange(ends[-1]) - np.repeat(ends[:-1], lengths) + np.repeat(first, lengths)
    return log.item[place], ends


def batches(rows: Ints, width: int) -> Iterator[Ints]:
    """Yield the rows in order, as many at once as have scores of `width` each that fit memory."""
    at_once = max(_CELLS // max(width, 1), 1)
    for start in range(0, len(rows), at_once):
        yield rows[start : start + at_once]


def start_of(log: Log, split: str) -> int:
    """Return when the observation of a split begins: the time of its oldest row, in ms."""
    return int(log.ts_ms[log.split == SPLITS.index(split)].min())


def end_of(log: Log, split: str) -> int:
    """Return when the observation of a split ends: the time of its newest row, in ms."""
    return int(log.ts_ms[log.split == SPLITS.index(split)].max())


def with_open_ends(log: Log, split: str) -> tuple[Log, Ints, Ints]:
    """Return the log up to the end of a split with one more row a sequence, which stands for what has not come.

    The rows added lie at the end of the observation; their item and action mean nothing. Where a split cuts through
    sequences, each one that has no row after the end was watched up to it; where a split takes whole sequences, only
    its own were.

    Returns:
        log, its rows to score (those of the split that have a row before them, and the open ends), and which of them
        are open ends, as their places among the scored rows.
    """
    code, end_ms = SPLITS.index(split), end_of(log, split)
    sequence, early = sequence_of(log), log.ts_ms <= end_ms
    watched = np.bincount(sequence[early], minlength=len(log.first)) > 0
    if not cuts_through(log, split):
        watched &= np.bincount(sequence[log.split == code], minlength=len(log.first)) > 0
    order = np.argsort(np.concatenate([sequence[early], np.flatnonzero(watched)]), kind="stable")
    opened = int(watched.sum())
    kept = np.flatnonzero(early)

    def joined(values: Ints, value: int) -> Ints:
        return np.concatenate([values[kept], np.full(opened, value, values.dtype)])[order]

    present = np.unique(sequence[early])
    rows = np.bincount(sequence[early], minlength=len(log.first)) + watched
    first = np.concatenate([[0], np.cumsum(rows[present])[:-1]])
    columns = log.columns.with_columns(row=pl.int_range(pl.len()))  # so that a frame without columns has a height too
    columns = pl.concat([columns[kept], columns.clear(opened)])[order].drop("row")
    ended = log._replace(
        first=first,
        names=[log.names[k] for k in present],
        item=joined(log.item, 0),
        action=joined(log.action, 0),
        ts_ms=joined(log.ts_ms, end_ms),
        split=joined(log.split, code),
        columns=columns,
    )
    is_open = np.concatenate([np.zeros(len(kept), bool), np.ones(opened, bool)])[order]
    scored = scored_rows(ended, split)
    return ended, scored, np.flatnonzero(is_open[scored])


def moments(log: Log) -> npt.NDArray[np.bool_]:
    """Return which rows are the first at their time in their sequence [events]."""
    fresh: npt.NDArray[np.bool_] = np.diff(log.ts_ms, prepend=-1) != 0
    fresh[log.first] = True
    return fresh
